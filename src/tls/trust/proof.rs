//! Whether the other end of a handshake holds the key of the certificate that it showed. rustls says so where it can read the
//! certificate; from others, those of version 1 among them, the key is taken out. Whether one is believed is another question.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error};
use x509_cert::der::{Decode, Encode};

use super::certificate::Key;

/// Whether the signature in a handshake of TLS 1.2 is by the key of this certificate.
pub fn signed12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let Some(key) = key_of_unread(certificate) else {
        return verify_tls12_signature(message, certificate, signed, algorithms);
    };
    let key = Key::read(&key).map_err(|_| CertificateError::BadEncoding)?;
    // Of a scheme that was not offered there is none.
    let known = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let (_, known) = known.ok_or(CertificateError::BadSignature)?;
    let is_by = known.iter().any(|algorithm| {
        algorithm.public_key_alg_id().as_ref() == key.algorithm()
            && algorithm.verify_signature(key.bits(), message, signed.signature()).is_ok()
    });
    match is_by {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(CertificateError::BadSignature.into()),
    }
}

/// Whether the signature in a handshake of TLS 1.3 is by the key of this certificate.
pub fn signed13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    match key_of_unread(certificate) {
        None => verify_tls13_signature(message, certificate, signed, algorithms),
        Some(key) => {
            verify_tls13_signature_with_raw_key(message, &SubjectPublicKeyInfoDer::from(key), signed, algorithms)
        }
    }
}

/// The public key of a certificate that webpki does not read.
fn key_of_unread(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    if ParsedCertificate::try_from(certificate).is_ok() {
        return None;
    }
    let found = x509_cert::Certificate::from_der(certificate).ok()?;
    found.tbs_certificate().subject_public_key_info().to_der().ok()
}
