//! A backend's side of TLS: shows the certificate that the case names, asks for one and takes any, and can tell how it was
//! spoken to. Knows no protocol above.

use super::server::Place;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, ServerConnection, SignatureScheme, StreamOwned,
    client::danger::HandshakeSignatureValid,
};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

/// A connection in TLS that says goodbye when it is dropped.
pub struct Sealed(StreamOwned<ServerConnection, TcpStream>);

/// What a backend needs to speak TLS with the certificate of this name.
pub fn config(name: &str, place: &Place) -> Result<Arc<ServerConfig>, String> {
    let file = |end: &str| place.log(&format!("{name}.{end}"));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file("pem")).collect();
    let key = PrivateKeyDer::from_pem_slice(&file("key")).map_err(text)?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(text)?.with_client_cert_verifier(Arc::new(Curious(provider)));
    // Put together by hand: the library looks into the certificate and takes none of version 1.
    let key = ring::sign::any_supported_type(&key).map_err(text)?;
    let pair = SingleCertAndKey::from(CertifiedKey::new(chain.map_err(text)?, key));
    Ok(Arc::new(builder.with_cert_resolver(Arc::new(pair))))
}

impl Sealed {
    /// TLS over an accepted socket; the handshake comes with the first bytes.
    pub fn over(socket: TcpStream, config: &Arc<ServerConfig>) -> Result<Sealed, Error> {
        Ok(Sealed(StreamOwned::new(ServerConnection::new(config.clone())?, socket)))
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        &self.0.sock
    }

    /// How this connection came to be: version, the name that was asked for, what was shown, whether it is a new session.
    pub fn told(&self) -> String {
        let session = &self.0.conn;
        let version = session.protocol_version().map_or("-".into(), |version| format!("{version:?}"));
        let name = session.server_name().unwrap_or("-");
        let shown = session.peer_certificates().map_or(0, <[_]>::len);
        let kind = session.handshake_kind().map_or("-".into(), |kind| format!("{kind:?}"));
        format!("{version} name {name} shown {shown} {kind}\n")
    }

    /// Says that nothing more comes.
    pub fn goodbye(&mut self) {
        self.0.conn.send_close_notify();
        // It fails where the other end has left already.
        let _ = self.0.flush();
        let _ = self.0.sock.shutdown(Shutdown::Write);
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        self.goodbye();
    }
}

impl Read for Sealed {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Sealed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Asks for a certificate and takes any, or none.
#[derive(Debug)]
struct Curious(Arc<CryptoProvider>);

impl ClientCertVerifier for Curious {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
