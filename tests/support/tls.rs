//! A client's side of TLS: trusts everybody, shows a certificate where the case says so, and tells the alert that a
//! server sent.

use super::server::Place;
use super::trusting::Trusting;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, Error, StreamOwned};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

/// How a request speaks TLS.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tls {
    /// The name it asks for; none sends no name.
    pub name: Option<String>,
    /// `1.2` or `1.3`; both are offered where none is named.
    pub version: Option<String>,
    /// The certificate it shows, by the name of its section.
    pub certificate: Option<String>,
    /// Whether the session of an earlier such request is taken up again.
    pub resumes: bool,
    pub alpn: Option<String>,
}

/// The clients of one run of a case: a session is taken up again by the client that had it.
#[derive(Default)]
pub struct Clients(Mutex<Vec<(Tls, Arc<ClientConfig>)>>);

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// TLS over a connected socket; the handshake comes with the first bytes.
pub fn over(socket: TcpStream, tls: &Tls, clients: &Clients, place: &Place) -> Result<Stream, String> {
    let mut clients = clients.0.lock().unwrap_or_else(PoisonError::into_inner);
    let config = match clients.iter().find(|(known, _)| known == tls) {
        Some((_, config)) => config.clone(),
        None => {
            let config = Arc::new(config(tls, place)?);
            clients.push((tls.clone(), config.clone()));
            config
        }
    };
    let name = tls.name.clone().unwrap_or("nameless.test".into());
    let name = ServerName::try_from(name).map_err(text)?;
    Ok(StreamOwned::new(ClientConnection::new(config, name).map_err(text)?, socket))
}

fn config(tls: &Tls, place: &Place) -> Result<ClientConfig, String> {
    let versions: &[_] = match tls.version.as_deref() {
        Some("1.2") => &[&rustls::version::TLS12],
        Some("1.3") => &[&rustls::version::TLS13],
        Some(other) => return Err(format!("no version {other} of TLS")),
        None => rustls::ALL_VERSIONS,
    };
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).map_err(text)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Trusting(provider)));
    let mut config = match &tls.certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let file = |end: &str| place.log(&format!("{name}.{end}"));
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file("pem")).collect();
            let key = PrivateKeyDer::from_pem_slice(&file("key")).map_err(text)?;
            // Put together by hand: the library looks into the certificate and takes none of version 1.
            let key = ring::sign::any_supported_type(&key).map_err(text)?;
            let pair = SingleCertAndKey::from(CertifiedKey::new(chain.map_err(text)?, key));
            builder.with_client_cert_resolver(Arc::new(pair))
        }
    };
    config.enable_sni = tls.name.is_some();
    config.alpn_protocols = tls.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    config.resumption = if tls.resumes { Resumption::in_memory_sessions(8) } else { Resumption::disabled() };
    Ok(config)
}

/// The alert in an error, if it is one: `UnrecognizedName`.
pub fn alert(error: &std::io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::AlertReceived(alert) => Some(format!("{alert:?}")),
        _ => None,
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
