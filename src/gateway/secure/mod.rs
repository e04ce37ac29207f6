//! `proxy_ssl_*` and `uwsgi_ssl_*`: how another server is spoken to in TLS, and what it must show. The rows are made for each
//! prefix in `rows`; what is wrong is said in words that name the directives by the family's own prefix. Knows no feature.

pub mod proof;
mod rows;
mod shown;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

use proof::{Anybody, Known};
use sha2::{Digest, Sha256};
use shown::Shown;

use crate::conf::args::{Args, Fault};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::gateway::relay::Secure;
use crate::http::escape;
use crate::tls::ciphers;
use crate::tls::files::{self, Wrong};
use crate::tls::number;
use crate::tls::trust::{List, Purpose, Trust};
use crate::tls::words::{self, Command, Curves, Suites};

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    server_name: bool,
    name: Option<Text>,
    verify: bool,
    trusted: Option<Arc<Vec<CertificateDer<'static>>>>,
    depth: usize,
    lists: Arc<Vec<List>>,
    shown: Shown,
    reuse: bool,
    tls12: bool,
    tls13: bool,
    suites12: Suites,
    suites13: Suites,
    curves: Curves,
    built: Built,
}

/// The directive whose files do not go together with the others, and why.
pub type Lack = (String, Wrong);

/// What was made of the settings when all of them were read; a changed copy makes its own.
#[derive(Debug, Default)]
struct Built(OnceLock<Result<(Arc<ClientConfig>, u64), Lack>>);

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
            lists: Arc::default(),
            shown: Shown::default(),
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

impl Conf {
    /// Reads `ssl_server_name`.
    pub fn set_server_name(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.server_name = args.flag(0)?;
        Ok(())
    }

    /// Reads `ssl_name`.
    pub fn set_name(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.name = Some(args.text(0)?);
        Ok(())
    }

    /// Reads `ssl_verify`.
    pub fn set_verify(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.verify = args.flag(0)?;
        Ok(())
    }

    /// Reads `ssl_verify_depth`.
    pub fn set_depth(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.depth = args.number(0, 0..=1000)? as usize;
        Ok(())
    }

    /// Reads `ssl_trusted_certificate`.
    pub fn set_trusted(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        let (path, bytes) = read(args)?;
        self.trusted = Some(Arc::new(files::certificates(&bytes, &path).map_err(|wrong| fault(args, wrong))?));
        Ok(())
    }

    /// Reads `ssl_crl`.
    pub fn set_crl(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        let (path, bytes) = read(args)?;
        self.lists = Arc::new(files::revoked(&bytes, &path).map_err(|wrong| fault(args, wrong))?);
        Ok(())
    }

    /// Reads `ssl_certificate`.
    pub fn set_certificate(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.shown.set_certificate(args)
    }

    /// Reads `ssl_certificate_key`.
    pub fn set_key(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.shown.set_key(args)
    }

    /// Reads `ssl_certificate_cache`.
    pub fn set_kept(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.shown.set_kept(args)
    }

    /// Reads `ssl_password_file`.
    pub fn set_passwords(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.shown.set_passwords(args)
    }

    /// Reads `ssl_session_reuse`.
    pub fn set_reuse(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.reuse = args.flag(0)?;
        Ok(())
    }

    /// Reads `ssl_protocols`.
    pub fn set_protocols(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        (self.tls12, self.tls13) = words::protocols(args)?;
        Ok(())
    }

    /// Reads `ssl_ciphers`.
    pub fn set_ciphers(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.suites12 = words::ciphers(args)?;
        Ok(())
    }

    /// Reads `ssl_conf_command`.
    pub fn set_command(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        match words::command(args)? {
            Command::Suites(suites) => self.suites13 = suites,
            Command::Curves(curves) => self.curves = curves,
            Command::None => {}
        }
        Ok(())
    }

    /// How a connection for this request is made safe; `host` is whom the conf names. `family` is the prefix of the directives.
    pub fn secure(&self, x: &Exchange, host: &[u8], family: &str) -> Result<Secure, HttpError> {
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
        let config = self.config(family).clone();
        let refuse = |(directive, wrong): Lack| refuse(format!("{directive} {}", wrong.what));
        let (config, number) = config.map_err(refuse)?;
        let late = self.shown.late(x, config.crypto_provider()).map_err(|lack| {
            HttpError::new(500, "upstream-tls").log(Level::Error, format!("{lack} while connecting to upstream"))
        })?;
        Ok(match late {
            None => Secure { config, number, name, shown: None },
            Some(pair) => {
                let shown = pair.cert.first().map(|own| Sha256::digest(own).into());
                Secure { config: showing(&config, pair), number, name, shown }
            }
        })
    }

    /// The directive that does not go together with the others, and why; none if all is well.
    pub fn lack(&self, family: &str) -> Option<Lack> {
        self.config(family).clone().err()
    }

    fn config(&self, family: &str) -> &Result<(Arc<ClientConfig>, u64), Lack> {
        self.built.0.get_or_init(|| Ok((self.build(family)?, number())))
    }

    fn build(&self, family: &str) -> Result<Arc<ClientConfig>, Lack> {
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
            let what = format!("and the ciphers and curves do not go together: {error}");
            (format!("{family}_ssl_protocols"), Wrong { what, help: None })
        })?;
        let builder = builder.dangerous().with_custom_certificate_verifier(self.verifier(&provider, family)?);
        let mut config = match self.shown.pair(&provider, family)? {
            None => builder.with_no_client_auth(),
            Some(pair) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair))),
        };
        config.enable_sni = self.server_name;
        if !self.reuse {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>, family: &str) -> Result<Arc<dyn ServerCertVerifier>, Lack> {
        if !self.verify {
            return Ok(Arc::new(Anybody(provider.clone())));
        }
        let Some(trusted) = &self.trusted else {
            let what = "asks for proof and no line says whose is good".to_string();
            let help = format!("name the authority's certificate with `{family}_ssl_trusted_certificate FILE;`");
            return Err((format!("{family}_ssl_verify"), Wrong { what, help: Some(help) }));
        };
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(trusted.iter().cloned());
        let built = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone()).build();
        let by_roots = built.map_err(|error| {
            let what = format!("holds what cannot be used: {error}");
            (format!("{family}_ssl_trusted_certificate"), Wrong { what, help: None })
        })?;
        // What cannot be read vouches for nobody, as in a bundle of all authorities of the world.
        let (trust, _) = Trust::new(trusted, self.lists.clone(), self.depth, Purpose::Server, provider);
        Ok(Arc::new(Known { trust, by_roots, provider: provider.clone() }))
    }
}

/// The configuration with a certificate that one request chose. No session is taken up again: it would speak for whoever was shown
/// when it began.
fn showing(config: &ClientConfig, pair: Arc<CertifiedKey>) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(pair));
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn read(args: &Args<'_>) -> Result<(PathBuf, Arc<[u8]>), Fault> {
    let path = words::constant_file(args)?;
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

fn without_port(text: &[u8]) -> &[u8] {
    if let Some(inner) = text.strip_prefix(b"[") {
        return &inner[..inner.iter().position(|&b| b == b']').unwrap_or(inner.len())];
    }
    &text[..text.iter().position(|&b| b == b':').unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_configurations_have_one_number() {
        // Each is gone before the next is made, perhaps in its place.
        let numbers: HashSet<u64> = (0..100).map(|_| Conf::default().config("proxy").as_ref().unwrap().1).collect();
        assert_eq!(numbers.len(), 100);
    }

    #[test]
    fn names_have_no_port() {
        for (text, want) in [("a.b:8443", "a.b"), ("a.b", "a.b"), ("[::1]:443", "::1"), ("[::1]", "::1")] {
            assert_eq!(without_port(text.as_bytes()), want.as_bytes());
        }
    }
}
