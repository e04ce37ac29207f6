//! `proxy_ssl_*`: how another server is spoken to in TLS, and what it must show.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

use super::proof::{Anybody, Known};
use super::rows::Conf as Proxy;
use crate::conf::args::{Args, Fault};
use crate::conf::directive::Arity::{self, AtLeast, Flag, Words};
use crate::conf::directive::{Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::gateway::relay::Secure;
use crate::http::escape;
use crate::tls::ciphers;
use crate::tls::files::{self, Passwords, Wrong};
use crate::tls::words::{self, Command, Curves, Suites};

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    server_name: bool,
    name: Option<Text>,
    verify: bool,
    trusted: Option<Arc<Vec<CertificateDer<'static>>>>,
    depth: usize,
    crls: Arc<Vec<CertificateRevocationListDer<'static>>>,
    certificate: Option<Arc<Shown>>,
    key: Option<Arc<Secret>>,
    passwords: Arc<Vec<Vec<u8>>>,
    reuse: bool,
    tls12: bool,
    tls13: bool,
    suites12: Suites,
    suites13: Suites,
    curves: Curves,
    built: Built,
}

/// A certificate that is shown, with those that vouch for it.
#[derive(Debug)]
struct Shown {
    path: PathBuf,
    chain: Vec<CertificateDer<'static>>,
}

/// The file of a key, which a password may have to open.
#[derive(Debug)]
struct Secret {
    path: PathBuf,
    bytes: Arc<[u8]>,
}

/// The directive whose files do not go together with the others, and why.
type Lack = (&'static str, Wrong);

/// What was made of the settings when all of them were read; a changed copy makes its own.
#[derive(Debug, Default)]
struct Built(OnceLock<Result<Arc<ClientConfig>, Lack>>);

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
            depth: 1,
            crls: Arc::default(),
            certificate: None,
            key: None,
            passwords: Arc::default(),
            reuse: true,
            tls12: true,
            tls13: true,
            suites12: ciphers::all12(),
            suites13: ciphers::all13(),
            curves: ciphers::all_curves(),
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
        let (path, bytes) = read(args)?;
        edit(conf).trusted = Some(Arc::new(files::certificates(&bytes, &path).map_err(|wrong| fault(args, wrong))?));
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
        let (path, bytes) = read(args)?;
        let chain = files::certificates(&bytes, &path).map_err(|wrong| fault(args, wrong))?;
        edit(conf).certificate = Some(Arc::new(Shown { path, chain }));
        Ok(())
    },
);

/// `proxy_ssl_certificate_key`.
pub const KEY: Directive<Proxy> = row(
    "proxy_ssl_certificate_key",
    &["file"],
    None,
    Words(1, 1),
    "A PEM file with the key of `proxy_ssl_certificate`; it may be under a password, see `proxy_ssl_password_file`.",
    |conf, args| {
        let (path, bytes) = read(args)?;
        edit(conf).key = Some(Arc::new(Secret { path, bytes }));
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

/// `proxy_ssl_password_file`.
pub const PASSWORDS: Directive<Proxy> = row(
    "proxy_ssl_password_file",
    &["file"],
    None,
    Words(1, 1),
    "A file with passwords for the key of `proxy_ssl_certificate_key`, one on each line; they are tried in turn. Keys in the form of \
     PKCS#8 can be opened.",
    |conf, args| {
        let (_, bytes) = read(args)?;
        edit(conf).passwords = Arc::new(files::passwords(&bytes));
        Ok(())
    },
);

/// `proxy_ssl_crl`.
pub const CRL: Directive<Proxy> = row(
    "proxy_ssl_crl",
    &["file"],
    None,
    Words(1, 1),
    "Lists of revoked certificates in PEM, for `proxy_ssl_verify`. Once there is one, each authority of a server's chain needs its own.",
    |conf, args| {
        let (path, bytes) = read(args)?;
        edit(conf).crls = Arc::new(files::revoked(&bytes, &path).map_err(|wrong| fault(args, wrong))?);
        Ok(())
    },
);

/// `proxy_ssl_verify_depth`.
pub const DEPTH: Directive<Proxy> = row(
    "proxy_ssl_verify_depth",
    &["number"],
    Some("1"),
    Words(1, 1),
    "How many certificates may stand between that of an https server and the one that vouches for it.",
    |conf, args| {
        edit(conf).depth = args.number(0, 0..=1000)? as usize;
        Ok(())
    },
);

/// `proxy_ssl_ciphers`.
pub const CIPHERS: Directive<Proxy> = row(
    "proxy_ssl_ciphers",
    &["ciphers"],
    Some("DEFAULT"),
    Words(1, 1),
    "The cipher suites of TLS 1.2 that an https server may choose from, in the language of OpenSSL's lists, as `ssl_ciphers` has it. The \
     suites of TLS 1.3 are all had.",
    |conf, args| {
        edit(conf).suites12 = words::ciphers(args)?;
        Ok(())
    },
);

/// `proxy_ssl_conf_command`.
pub const COMMAND: Directive<Proxy> = Directive {
    repeat: Repeat::Allowed,
    ..row(
        "proxy_ssl_conf_command",
        &["name value"],
        None,
        Words(2, 2),
        "A command of OpenSSL for connections to https servers. `Ciphersuites` names the suites of TLS 1.3, `Groups` or `Curves` the \
         curves; any other brings a warning and has no effect.",
        |conf, args| {
            match words::command(args)? {
                Command::Suites(suites) => edit(conf).suites13 = suites,
                Command::Curves(curves) => edit(conf).curves = curves,
                Command::None => {}
            }
            Ok(())
        },
    )
};

fn edit(conf: &mut Proxy) -> &mut Conf {
    Arc::make_mut(&mut conf.secure)
}

fn flag(value: &mut bool, args: &mut Args<'_>) -> Result<(), Fault> {
    *value = args.flag(0)?;
    Ok(())
}

fn set_protocols(conf: &mut Proxy, args: &mut Args<'_>) -> Result<(), Fault> {
    let secure = edit(conf);
    (secure.tls12, secure.tls13) = words::protocols(args)?;
    Ok(())
}

fn read(args: &Args<'_>) -> Result<(PathBuf, Arc<[u8]>), Fault> {
    let path: PathBuf = args.conf_path(0);
    let bytes = files::read(&args.load.outside, &path).map_err(|wrong| fault(args, wrong))?;
    Ok((path, bytes))
}

fn fault(args: &Args<'_>, wrong: Wrong) -> Fault {
    let fault = Fault::at(args.word(0), wrong.what);
    match wrong.help {
        Some(help) => fault.help(help),
        None => fault,
    }
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
        let config = self.config().clone();
        let refuse = |(directive, wrong): Lack| refuse(format!("{directive} {}", wrong.what));
        Ok(Secure { config: config.map_err(refuse)?, name })
    }

    /// The directive that does not go together with the others, and why; none if all is well.
    pub fn lack(&self) -> Option<Lack> {
        self.config().clone().err()
    }

    fn config(&self) -> &Result<Arc<ClientConfig>, Lack> {
        self.built.0.get_or_init(|| self.build())
    }

    fn build(&self) -> Result<Arc<ClientConfig>, Lack> {
        let lack = |directive, what: String| (directive, Wrong { what, help: None });
        let provider = Arc::new(CryptoProvider {
            cipher_suites: self.suites13.iter().chain(&self.suites12).map(|suite| **suite).collect(),
            kx_groups: self.curves.clone(),
            ..ring::default_provider()
        });
        let mut versions = Vec::new();
        versions.extend(self.tls12.then_some(&rustls::version::TLS12));
        versions.extend(self.tls13.then_some(&rustls::version::TLS13));
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(&versions).map_err(|error| {
            lack("proxy_ssl_protocols", format!("and the ciphers and curves do not go together: {error}"))
        })?;
        let builder = builder.dangerous().with_custom_certificate_verifier(self.verifier(&provider)?);
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(self.pair(shown, &provider)?)))
            }
        };
        config.enable_sni = self.server_name;
        if !self.reuse {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Lack> {
        if !self.verify {
            return Ok(Arc::new(Anybody(provider.clone())));
        }
        let Some(trusted) = &self.trusted else {
            let what = "asks for proof and no line says whose is good".to_string();
            let help = Some("name the authority's certificate with `proxy_ssl_trusted_certificate FILE;`".to_string());
            return Err(("proxy_ssl_verify", Wrong { what, help }));
        };
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(trusted.iter().cloned());
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone());
        let built = builder.with_crls(self.crls.iter().cloned()).build().map_err(|error| {
            ("proxy_ssl_trusted_certificate", Wrong { what: format!("holds what cannot be used: {error}"), help: None })
        })?;
        Ok(Arc::new(Known { by_roots: built, roots: trusted.clone(), depth: self.depth }))
    }

    /// The certificate that is shown, with its key.
    fn pair(&self, shown: &Shown, provider: &CryptoProvider) -> Result<CertifiedKey, Lack> {
        let Some(secret) = &self.key else {
            let what = format!("names `{}` and no `proxy_ssl_certificate_key` belongs to it", shown.path.display());
            let help = "each certificate has a key: write `proxy_ssl_certificate_key FILE;` behind it".to_string();
            return Err(("proxy_ssl_certificate", Wrong { what, help: Some(help) }));
        };
        let passwords = Passwords { directive: "proxy_ssl_password_file", all: &self.passwords };
        let key = files::key(&secret.bytes, &secret.path, passwords);
        key.and_then(|key| files::pair(shown.chain.clone(), key, (&shown.path, &secret.path), provider))
            .map_err(|wrong| ("proxy_ssl_certificate_key", wrong))
    }
}

fn without_port(text: &[u8]) -> &[u8] {
    if let Some(inner) = text.strip_prefix(b"[") {
        return &inner[..inner.iter().position(|&b| b == b']').unwrap_or(inner.len())];
    }
    &text[..text.iter().position(|&b| b == b':').unwrap_or(text.len())]
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
