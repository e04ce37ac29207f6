//! Whom a test trusts that speaks TLS: everybody, or those that an authority vouches for. Reads files of certificates; sends
//! nothing.

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, OtherError, RootCertStore};

use crate::gateway::secure::proof::{Anybody, Known};
use crate::tls::files;
use crate::tls::trust::{self as chains, Fault, Purpose};

/// Where systems keep the authorities they trust: Debian and Alpine, Fedora, BSD.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The configurations, made when they are first needed.
pub struct Trust {
    file: Option<PathBuf>,
    anybody: OnceCell<Result<Arc<ClientConfig>, String>>,
    known: OnceCell<Result<Arc<ClientConfig>, String>>,
}

impl Trust {
    /// Trust in the authorities of a file, else in the system's.
    pub fn new(file: Option<&Path>) -> Trust {
        Trust { file: file.map(Path::to_path_buf), anybody: OnceCell::new(), known: OnceCell::new() }
    }

    /// The configuration for a server whose certificate may be any, or must be good.
    pub fn config(&self, insecure: bool) -> Result<Arc<ClientConfig>, String> {
        match insecure {
            true => self.anybody.get_or_init(|| build(Arc::new(Anybody(provider())))).clone(),
            false => self.known.get_or_init(|| build(Arc::new(self.authorities()?))).clone(),
        }
    }

    fn authorities(&self) -> Result<Known, String> {
        let own = || AUTHORITIES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_path_buf);
        let file = self.file.clone().or_else(own);
        let file = file.ok_or("this system has no file of authorities: name one with --ca FILE")?;
        let bytes = std::fs::read(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let roots = files::certificates(&bytes, &file).map_err(|wrong| format!("--ca {}", wrong.what))?;
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let built = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider()).build();
        let by_roots = built.map_err(|error| format!("{} holds what cannot be used: {error}", file.display()))?;
        // What cannot be read of the world's authorities vouches for nobody.
        let (trust, _) = chains::Trust::new(&roots, Arc::default(), usize::MAX, Purpose::Server, &provider());
        Ok(Known { trust, by_roots, provider: provider() })
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn build(verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    // A line does not depend on those before it.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The name to ask a server for.
pub fn name(host: &str) -> Result<ServerName<'static>, String> {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(plain.to_string()).map_err(|_| format!("`{host}` is no name that TLS could ask for"))
}

/// Whether it was the server that would not go on with a handshake.
pub fn is_refused(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(_)))
        || matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

/// Why TLS failed, and what to do about it.
pub fn refusal(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("the server's certificate is not trusted: {}; the line `insecure on` takes any", distrust(why))
        }
        Some(rustls::Error::AlertReceived(alert)) => format!("the server ended the TLS handshake with {alert:?}"),
        Some(rustls::Error::InvalidMessage(_)) => "the server does not speak TLS here: is http:// meant?".into(),
        Some(other) => format!("TLS failed: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the server closed within the TLS handshake".into(),
        None => format!("TLS failed: {error}"),
    }
}

/// What is wrong with a certificate.
fn distrust(why: &CertificateError) -> String {
    let nobody = || "nobody who is trusted vouches for it (`--ca FILE` names who does)".into();
    match why {
        CertificateError::UnknownIssuer => nobody(),
        CertificateError::Other(OtherError(other)) => match other.downcast_ref::<Fault>() {
            Some(fault) if fault.is_of_a_stranger() => nobody(),
            Some(fault) if *fault == Fault::EXPIRED => distrust(&CertificateError::Expired),
            Some(fault) if *fault == Fault::TOO_EARLY => distrust(&CertificateError::NotValidYet),
            _ => other.to_string(),
        },
        CertificateError::NotValidForNameContext { expected, presented } => {
            // Each is shown as `DnsName("a.test")`.
            let plain = |name: &String| name.split('"').nth(1).unwrap_or(name).to_string();
            let names: Vec<String> = presented.iter().map(plain).collect();
            format!("it is for {}, not for {}", names.join(", "), expected.to_str())
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".into(),
        other => format!("{other:?}"),
    }
}
