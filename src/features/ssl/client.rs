//! Clients' certificates: what is asked of them in the handshake, and the verdict on what they sent. As in nginx a bad
//! certificate does not break the handshake; the request is answered with 400 and says why.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use x509_cert::der::Decode;

use crate::exchange::tls::Verdict;
use crate::tls::chain;

/// Who is let in.
#[derive(Debug)]
pub struct Clients {
    /// Certificates that vouch for others; some may be clients' own.
    roots: Vec<CertificateDer<'static>>,
    /// None where there are no roots: nobody is known then.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// How many certificates may stand between a client's and a root.
    depth: usize,
}

impl Clients {
    /// Clients that these roots vouch for.
    pub fn new(
        roots: Vec<CertificateDer<'static>>,
        crls: Vec<CertificateRevocationListDer<'static>>,
        depth: usize,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Clients, String> {
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone()).map_err(|error| format!("holds a certificate that cannot be read: {error}"))?;
        }
        let verifier = match roots.is_empty() {
            true => None,
            false => {
                let builder = WebPkiClientVerifier::builder_with_provider(store.into(), provider.clone());
                let built = builder.with_crls(crls).build();
                Some(built.map_err(|error| format!("holds what cannot be used: {error}"))?)
            }
        };
        Ok(Clients { roots, verifier, depth })
    }

    /// What is wrong with a client's certificates, its own first.
    pub fn judge(&self, shown: &[Vec<u8>]) -> Verdict {
        let all: Vec<CertificateDer<'_>> = shown.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let Some((own, others)) = all.split_first() else { return Verdict::GOOD };
        let checked = match &self.verifier {
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
            Some(verifier) => verifier.verify_client_cert(own, others, UnixTime::now()),
        };
        match checked {
            Ok(_) if chain::links(&all, &self.roots) > self.depth => {
                Verdict { code: 22, words: "certificate chain too long" }
            }
            Ok(_) => Verdict::GOOD,
            // Its own authority, and named in the conf as it is.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.roots.contains(own) && chain::is_current(own) =>
            {
                Verdict::GOOD
            }
            Err(error) => verdict_of(&error, own),
        }
    }
}

/// OpenSSL's number and words for what rustls found.
fn verdict_of(error: &Error, own: &CertificateDer<'_>) -> Verdict {
    use CertificateError as E;
    let Error::InvalidCertificate(error) = error else {
        return Verdict { code: 1, words: "unspecified certificate verification error" };
    };
    let (code, words) = match error {
        E::Expired | E::ExpiredContext { .. } => (10, "certificate has expired"),
        E::NotValidYet | E::NotValidYetContext { .. } => (9, "certificate is not yet valid"),
        E::Revoked => (23, "certificate revoked"),
        E::UnknownIssuer if is_own_issuer(own) => (18, "self-signed certificate"),
        E::UnknownIssuer => (21, "unable to verify the first certificate"),
        E::UnknownRevocationStatus => (3, "unable to get certificate CRL"),
        E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => (12, "CRL has expired"),
        E::BadSignature => (7, "certificate signature failure"),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => (26, "unsuitable certificate purpose"),
        _ => (1, "unspecified certificate verification error"),
    };
    Verdict { code, words }
}

fn is_own_issuer(der: &CertificateDer<'_>) -> bool {
    x509_cert::Certificate::from_der(der)
        .is_ok_and(|found| found.tbs_certificate().subject() == found.tbs_certificate().issuer())
}

/// Whether `optional_no_ca` lets this pass: only nobody is known who vouches for it, as in nginx.
pub fn is_only_unknown(verdict: Verdict) -> bool {
    matches!(verdict.code, 18..=21)
}

/// The part that takes part in the handshake: asks for a certificate and has the client prove that it holds the key.
#[derive(Debug)]
pub struct Asks {
    /// Names that tell the client which of its certificates is meant.
    pub hints: Vec<DistinguishedName>,
    /// What signatures are checked with.
    pub provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Asks {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Who signed it is judged for each request: see `Clients`.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
