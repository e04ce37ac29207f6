//! `proxy_ssl_*`: how another server is spoken to in TLS, and what it must show.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::rows::Conf as Proxy;
use crate::conf::args::{Args, Fault};
use crate::conf::directive::Arity::{self, AtLeast, Flag, Words};
use crate::conf::directive::{Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::gateway::relay::Secure;
use crate::http::escape;

/// The largest file of certificates or keys.
const LARGEST: u64 = 16 << 20;

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    server_name: bool,
    name: Option<Text>,
    verify: bool,
    trusted: Option<Arc<[u8]>>,
    certificate: Option<Arc<[u8]>>,
    key: Option<Arc<[u8]>>,
    reuse: bool,
    tls12: bool,
    tls13: bool,
    built: Built,
}

/// What was made of the settings at the first request; a changed copy makes its own.
#[derive(Debug, Default)]
struct Built(OnceLock<Result<Arc<ClientConfig>, String>>);

impl Clone for Built {
    fn clone(&self) -> Self {
        Built::default()
    }
}

impl Default for Conf {
    fn default() -> Self {
        Conf {
            server_name: false,
            name: None,
            verify: false,
            trusted: None,
            certificate: None,
            key: None,
            reuse: true,
            tls12: true,
            tls13: true,
            built: Built::default(),
        }
    }
}

/// A row of the family.
const fn row(
    name: &'static str,
    syntax: &'static [&'static str],
    default: Option<&'static str>,
    arity: Arity,
    doc: &'static str,
    set: fn(&mut Proxy, &mut Args<'_>) -> Result<(), Fault>,
) -> Directive<Proxy> {
    Directive {
        manual: Manual { name, syntax, default, contexts: Contexts::SCOPES, arity, block: false, doc },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set,
    }
}

/// `proxy_ssl_server_name`.
pub const SERVER_NAME: Directive<Proxy> = row(
    "proxy_ssl_server_name",
    &["on | off"],
    Some("off"),
    Flag,
    "Whether an https server is told in the handshake which name is meant (SNI), as most servers of several names need it.",
    |conf, args| flag(&mut edit(conf).server_name, args),
);

/// `proxy_ssl_name`.
pub const NAME: Directive<Proxy> = row(
    "proxy_ssl_name",
    &["name"],
    Some("$proxy_host"),
    Words(1, 1),
    "The name that the certificate of an https server is checked for, and that SNI names. It may contain variables; a port at its end is \
     left out.",
    |conf, args| {
        edit(conf).name = Some(args.text(0)?);
        Ok(())
    },
);

/// `proxy_ssl_verify`.
pub const VERIFY: Directive<Proxy> = row(
    "proxy_ssl_verify",
    &["on | off"],
    Some("off"),
    Flag,
    "Whether the certificate of an https server must come from an authority of `proxy_ssl_trusted_certificate` and bear its name.",
    |conf, args| flag(&mut edit(conf).verify, args),
);

/// `proxy_ssl_trusted_certificate`.
pub const TRUSTED: Directive<Proxy> = row(
    "proxy_ssl_trusted_certificate",
    &["file"],
    None,
    Words(1, 1),
    "A PEM file with the authorities that `proxy_ssl_verify` trusts.",
    |conf, args| {
        let bytes = read(args)?;
        certificates(&bytes).map_err(|what| Fault::at(args.word(0), what))?;
        edit(conf).trusted = Some(bytes);
        Ok(())
    },
);

/// `proxy_ssl_certificate`.
pub const CERTIFICATE: Directive<Proxy> = row(
    "proxy_ssl_certificate",
    &["file"],
    None,
    Words(1, 1),
    "A PEM file with the certificate that is shown to an https server which asks for one.",
    |conf, args| {
        let bytes = read(args)?;
        certificates(&bytes).map_err(|what| Fault::at(args.word(0), what))?;
        edit(conf).certificate = Some(bytes);
        Ok(())
    },
);

/// `proxy_ssl_certificate_key`.
pub const KEY: Directive<Proxy> = row(
    "proxy_ssl_certificate_key",
    &["file"],
    None,
    Words(1, 1),
    "A PEM file with the key of `proxy_ssl_certificate`. It must not be encrypted.",
    |conf, args| {
        let bytes = read(args)?;
        key(&bytes).map_err(|what| Fault::at(args.word(0), what))?;
        edit(conf).key = Some(bytes);
        Ok(())
    },
);

/// `proxy_ssl_session_reuse`.
pub const REUSE: Directive<Proxy> = row(
    "proxy_ssl_session_reuse",
    &["on | off"],
    Some("on"),
    Flag,
    "Whether a new connection to an https server takes up a session of an earlier one.",
    |conf, args| flag(&mut edit(conf).reuse, args),
);

/// `proxy_ssl_protocols`.
pub const PROTOCOLS: Directive<Proxy> = row(
    "proxy_ssl_protocols",
    &["[SSLv2] [SSLv3] [TLSv1] [TLSv1.1] [TLSv1.2] [TLSv1.3]"],
    Some("TLSv1.2 TLSv1.3"),
    AtLeast(1),
    "The versions of TLS that are spoken with an https server. What is older than TLS 1.2 is not had: such a name brings a warning.",
    set_protocols,
);

fn edit(conf: &mut Proxy) -> &mut Conf {
    Arc::make_mut(&mut conf.secure)
}

fn flag(value: &mut bool, args: &mut Args<'_>) -> Result<(), Fault> {
    *value = args.flag(0)?;
    Ok(())
}

fn set_protocols(conf: &mut Proxy, args: &mut Args<'_>) -> Result<(), Fault> {
    let secure = edit(conf);
    (secure.tls12, secure.tls13) = (false, false);
    for i in 0..args.len() {
        match args.word(i).text.to_ascii_lowercase().as_slice() {
            b"tlsv1.2" => secure.tls12 = true,
            b"tlsv1.3" => secure.tls13 = true,
            b"sslv2" | b"sslv3" | b"tlsv1" | b"tlsv1.1" => {
                let text = format!("`{}` is not spoken: it is no longer safe", args.word(i).show());
                args.warn(Some(i), text);
            }
            _ => {
                let text = format!("takes `TLSv1.2` and `TLSv1.3`, not `{}`", args.word(i).show());
                return Err(Fault::at(args.word(i), text));
            }
        }
    }
    match secure.tls12 || secure.tls13 {
        true => Ok(()),
        false => {
            Err(Fault::new("names no version that is spoken").help("write `proxy_ssl_protocols TLSv1.2 TLSv1.3;`"))
        }
    }
}

fn read(args: &Args<'_>) -> Result<Arc<[u8]>, Fault> {
    let path: PathBuf = args.conf_path(0);
    let read = args.load.outside.read(&path, LARGEST);
    read.map_err(|error| Fault::at(args.word(0), format!("cannot read `{}`: {error}", path.display())))
}

fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("names a file that holds no certificate".into()),
        Err(error) => Err(format!("names a file that is no PEM: {error}")),
    }
}

fn key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| format!("names a file with no key that can be read: {error}"))
}

impl Conf {
    /// How a connection for this request is made safe.
    pub fn secure(&self, x: &Exchange, host: &[u8]) -> Result<Secure, HttpError> {
        let text = self.name.as_ref().map_or(host.to_vec(), |text| x.eval(text).into_owned());
        let bare = without_port(&text);
        let refuse = |words: String| HttpError::new(502, "upstream-tls").log(Level::Error, words);
        let name = std::str::from_utf8(bare).ok().and_then(|name| ServerName::try_from(name.to_string()).ok());
        let name = match name {
            Some(name) => name,
            // Where nobody looks at it, any name will do.
            None if !self.verify && !self.server_name => ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
            None => return Err(refuse(format!("\"{}\" is no name for TLS", escape::error_log(bare)))),
        };
        let config = self.built.0.get_or_init(|| self.build()).clone();
        Ok(Secure { config: config.map_err(|words| refuse(format!("TLS to the upstream: {words}")))?, name })
    }

    fn build(&self) -> Result<Arc<ClientConfig>, String> {
        let words = |error: rustls::Error| error.to_string();
        let provider = Arc::new(ring::default_provider());
        let mut versions = Vec::new();
        versions.extend(self.tls12.then_some(&rustls::version::TLS12));
        versions.extend(self.tls13.then_some(&rustls::version::TLS13));
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(&versions).map_err(words)?;
        let verifier: Arc<dyn ServerCertVerifier> = match (self.verify, &self.trusted) {
            (false, _) => Arc::new(Anybody(provider)),
            (true, None) => return Err("proxy_ssl_verify needs proxy_ssl_trusted_certificate".into()),
            (true, Some(bytes)) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates(bytes)?);
                let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
                built.map_err(|error| error.to_string())?
            }
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match (&self.certificate, &self.key) {
            (Some(chain), Some(secret)) => {
                builder.with_client_auth_cert(certificates(chain)?, key(secret)?).map_err(words)?
            }
            _ => builder.with_no_client_auth(),
        };
        config.enable_sni = self.server_name;
        if !self.reuse {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }
}

fn without_port(text: &[u8]) -> &[u8] {
    if let Some(inner) = text.strip_prefix(b"[") {
        return &inner[..inner.iter().position(|&b| b == b']').unwrap_or(inner.len())];
    }
    &text[..text.iter().position(|&b| b == b':').unwrap_or(text.len())]
}

/// Where the conf does not ask for proof, any certificate will do, as in nginx; that its key signed the handshake is still
/// checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_port() {
        for (text, want) in [("a.b:8443", "a.b"), ("a.b", "a.b"), ("[::1]:443", "::1"), ("[::1]", "::1")] {
            assert_eq!(without_port(text.as_bytes()), want.as_bytes());
        }
    }
}
