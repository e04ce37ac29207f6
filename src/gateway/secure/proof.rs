//! Whether a server's certificate is good: proof by roots, or none. What the conf asks for is settled elsewhere.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};

use crate::tls::chain;

/// Servers that a root vouches for over no more than so many others.
#[derive(Debug)]
pub struct Known {
    /// Who decides but for the length of the chain.
    pub by_roots: Arc<WebPkiServerVerifier>,
    /// The roots.
    pub roots: Arc<Vec<CertificateDer<'static>>>,
    /// How many may stand between.
    pub depth: usize,
    /// The prefix of the directives, for messages.
    pub family: Box<str>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.by_roots.verify_server_cert(own, others, name, ocsp, now) {
            // Its own authority, and named in the conf as it is, as OpenSSL makes them for a server of one's own.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.roots.contains(own) && chain::is_current(own) =>
            {
                verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
                return Ok(ServerCertVerified::assertion());
            }
            done => done?,
        };
        let all: Vec<CertificateDer<'_>> = std::iter::once(own).chain(others).cloned().collect();
        match chain::links(&all, &self.roots) > self.depth {
            true => {
                let text = format!("the certificate's chain is longer than {}_ssl_verify_depth", self.family);
                Err(rustls::Error::General(text))
            }
            false => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_roots.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_roots.verify_tls13_signature(message, certificate, signed)
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
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
