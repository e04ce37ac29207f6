//! Whether a server's certificate is good: proof by roots, or none. What the conf asks for is settled elsewhere.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use crate::tls::trust::{Fault, Kind, Trust, proof};

/// A certificate of version 1 has no names but the common one, which proves nothing (RFC 9525 section 2).
const NAMELESS: Fault =
    Fault { code: 62, words: "hostname mismatch: it is of X.509 version 1, which has no names of hosts" };

/// Servers that a root vouches for. Two judge it, and both must call the certificate good; webpki cannot read all that OpenSSL
/// believes.
#[derive(Debug)]
pub struct Known {
    /// The conf's own judge.
    pub trust: Trust,
    /// webpki.
    pub by_roots: Arc<WebPkiServerVerifier>,
    /// What signatures are checked with.
    pub provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all: Vec<CertificateDer<'_>> = std::iter::once(own).chain(others).cloned().collect();
        let judged = self.trust.judge(&all, now);
        match judged.map_err(|fault| CertificateError::Other(OtherError(Arc::new(fault))))? {
            Kind::Plain => self.by_roots.verify_server_cert(own, others, name, ocsp, now),
            Kind::Unusual => {
                let parsed = ParsedCertificate::try_from(own);
                verify_server_name(
                    &parsed.map_err(|_| CertificateError::Other(OtherError(Arc::new(NAMELESS))))?,
                    name,
                )?;
                Ok(ServerCertVerified::assertion())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        proof::signed12(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        proof::signed13(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_roots.supported_verify_schemes()
    }
}

/// Where the conf does not ask for proof, any certificate will do, as in nginx; that its key signed the handshake is still
/// checked.
#[derive(Debug)]
pub struct Anybody(pub Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        proof::signed12(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        proof::signed13(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
