//! From the settings of a server to what its handshakes need: certificates, suites, sessions, clients. Everything that can
//! be wrong with the files is said here, with its place in the conf.

use std::collections::HashSet;
use std::sync::Arc;

use rustls::compress::CompressionCache;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{DistinguishedName, RootCertStore, ServerConfig, SignatureAlgorithm};

use super::client::{Asks, Clients};
use super::{Conf, Named, Own, Verify, sessions};
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::outside::Outside;
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::tls::files::{self, Passwords, Wrong};
use crate::tls::late::{Names, Store};
use crate::tls::number;

/// Tickets that go out after a handshake of TLS 1.3, as OpenSSL has it: browsers open several connections.
const TICKETS: usize = 2;
/// Messages with certificates that are kept in fewer bytes: two certificates, with or without what is stapled, in both ways. Fewer
/// would let clients choose that it is done anew, which costs milliseconds.
const COMPRESSED: usize = 16;
/// Bytes of a record's head, which rustls counts in a record's size.
const RECORD_HEAD: usize = 5;

/// What the handshakes of one server need.
pub struct Context {
    /// Its number, which no other ever has.
    pub number: u64,
    /// None where every handshake is refused (`ssl_reject_handshake`).
    pub config: Option<Arc<ServerConfig>>,
    /// Whether a certificate is asked of clients.
    pub verify: Verify,
    /// Whose certificates are good.
    pub clients: Clients,
    /// The server's own certificates, where they are found in each handshake.
    late: Option<Late>,
}

/// Certificates and keys whose names hang on variables.
struct Late {
    pairs: Vec<(Text, Text)>,
    store: Store,
    provider: Arc<CryptoProvider>,
    ocsp: Option<Vec<u8>>,
}

impl Context {
    /// Whether certificates are found in each handshake.
    pub fn is_late(&self) -> bool {
        self.late.is_some()
    }

    /// The settings of a handshake with the certificates that its variables name; a line for the error log where they cannot be had.
    pub fn late_config(&self, x: &Exchange) -> Result<Option<Arc<ServerConfig>>, String> {
        let (Some(config), Some(late)) = (&self.config, &self.late) else { return Ok(self.config.clone()) };
        let pairs = late.pairs.iter().map(|(certificate, key)| {
            let pair = late.store.pair(Names::of(x, certificate, key)?, &late.provider)?;
            Ok(match &late.ocsp {
                None => pair,
                ocsp => Arc::new(CertifiedKey { ocsp: ocsp.clone(), ..CertifiedKey::clone(&pair) }),
            })
        });
        let pairs = pairs.collect::<Result<Vec<_>, String>>()?;
        let mut config = ServerConfig::clone(config);
        config.cert_resolver = Arc::new(Certificates::in_order(pairs));
        Ok(Some(Arc::new(config)))
    }
}

/// Reads what a server's settings name. None without certificates, and when something was wrong.
pub fn build(conf: &Conf, outside: &Outside, diagnostics: &mut Vec<Diagnostic>) -> Option<Arc<Context>> {
    if conf.certificates.is_empty() && !conf.reject {
        return None;
    }
    let mut builder = Builder { conf, outside, diagnostics, failed: false };
    let context = builder.context();
    let failed = builder.failed;
    context.filter(|_| !failed).map(Arc::new)
}

struct Builder<'a> {
    conf: &'a Conf,
    outside: &'a Outside,
    diagnostics: &'a mut Vec<Diagnostic>,
    failed: bool,
}

impl Builder<'_> {
    fn context(&mut self) -> Option<Context> {
        let conf = self.conf;
        let provider = Arc::new(CryptoProvider {
            cipher_suites: conf.suites13.iter().chain(&conf.suites12).map(|suite| **suite).collect(),
            kx_groups: conf.curves.clone(),
            ..ring::default_provider()
        });
        let (clients, hints) = self.clients(&provider)?;
        if conf.reject {
            return Some(Context { number: number(), config: None, verify: conf.verify, clients, late: None });
        }
        let late = self.late(&provider)?;
        let certificates = if late.is_some() { Vec::new() } else { self.certificates(&provider)? };
        let versions: Vec<_> =
            [(conf.tls13, &TLS13), (conf.tls12, &TLS12)].into_iter().filter(|(on, _)| *on).map(|(_, v)| v).collect();
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions);
        let builder = match builder {
            Ok(builder) => builder,
            Err(error) => {
                let place = &conf.certificates.first()?.named;
                let what = format!("has protocols, ciphers and curves that do not go together: {error}");
                self.wrong("ssl_certificate", place, Wrong { what, help: None });
                return None;
            }
        };
        let builder = builder.with_client_cert_verifier(match conf.verify {
            Verify::Off => WebPkiClientVerifier::no_client_auth(),
            _ => Arc::new(Asks { hints, provider: provider.clone() }),
        });
        let mut config = builder.with_cert_resolver(Arc::new(Certificates::in_order(certificates)));
        config.ignore_client_order = conf.prefer_server;
        config.max_fragment_size = conf.buffer_size.map(|bytes| bytes + RECORD_HEAD);
        config.alpn_protocols = ["http/1.1", "http/1.0", "http/0.9"].map(|name| name.as_bytes().to_vec()).to_vec();
        config.send_tls13_tickets = TICKETS;
        // Nothing bounds how many are found in handshakes: quickly compressed is better there than kept.
        let compressed = if late.is_some() { 0 } else { COMPRESSED };
        match conf.compression {
            true => config.cert_compression_cache = Arc::new(CompressionCache::new(compressed)),
            false => config.cert_compressors.clear(),
        }
        config.session_storage = match &conf.cache {
            Some((name, bytes)) => sessions::cache(name, *bytes, conf.timeout),
            None => Arc::new(NoServerSessionStorage {}),
        };
        if conf.tickets {
            config.ticketer = match conf.ticket_keys.is_empty() {
                true => sessions::tickets(conf.timeout),
                false => sessions::tickets_under(&self.ticket_keys(), conf.timeout),
            };
        }
        Some(Context { number: number(), config: Some(config.into()), verify: conf.verify, clients, late })
    }

    /// Who is let in, and the names of those who vouch for them.
    fn clients(&mut self, provider: &Arc<CryptoProvider>) -> Option<(Clients, Vec<DistinguishedName>)> {
        let conf = self.conf;
        let asked = self.roots("ssl_client_certificate", conf.client_certificate.as_ref());
        let trusted = self.roots("ssl_trusted_certificate", conf.trusted_certificate.as_ref());
        if let (Verify::On | Verify::Optional, None, None, Some(span)) =
            (conf.verify, &conf.client_certificate, &conf.trusted_certificate, conf.verify_span)
        {
            let message = "`ssl_verify_client` asks for certificates and no line says whose are good";
            let help = "name the authority's certificate with `ssl_client_certificate FILE;`";
            self.push(Diagnostic::error(span, message).code(Code::Certificate).help(help));
            return None;
        }
        let hints = names_of(&asked);
        let mut lists = Vec::new();
        if let Some(named) = &conf.crl {
            match files::read(self.outside, &named.path).and_then(|bytes| files::revoked(&bytes, &named.path)) {
                Ok(found) => lists = found,
                Err(wrong) => self.wrong("ssl_crl", named, wrong),
            }
        }
        let roots: Vec<_> = asked.into_iter().chain(trusted).collect();
        let roots = if conf.verify == Verify::Off { Vec::new() } else { roots };
        match Clients::new(&roots, Arc::new(lists), conf.depth, provider) {
            Ok(clients) => Some((clients, hints)),
            Err(what) => {
                let named = conf.client_certificate.as_ref().or(conf.trusted_certificate.as_ref())?;
                self.wrong("ssl_client_certificate", named, Wrong { what, help: None });
                None
            }
        }
    }

    fn roots(&mut self, directive: &str, named: Option<&Named>) -> Vec<CertificateDer<'static>> {
        let Some(named) = named else { return Vec::new() };
        match files::read(self.outside, &named.path).and_then(|bytes| files::certificates(&bytes, &named.path)) {
            Ok(found) => found,
            Err(wrong) => {
                self.wrong(directive, named, wrong);
                Vec::new()
            }
        }
    }

    /// The certificates where they are found in handshakes: all of them are where variables are in the name of one, as in nginx.
    #[allow(clippy::option_option)] // Outside: whether all is well so far; inside: whether they are found late.
    fn late(&mut self, provider: &Arc<CryptoProvider>) -> Option<Option<Late>> {
        let conf = self.conf;
        if conf.certificates.iter().chain(&conf.keys).all(|own| own.late.is_none()) {
            return Some(None);
        }
        let (passwords, ocsp) = (self.passwords()?, self.stapled());
        let text = |own: &Own| own.late.clone().unwrap_or_else(|| Text::literal(own.text.to_vec()));
        let mut pairs = Vec::new();
        for (at, own) in conf.certificates.iter().enumerate() {
            match conf.keys.get(at) {
                Some(key) => pairs.push((text(own), text(key))),
                None => self.lacks_key(&own.named),
            }
        }
        let store = Store { folder: conf.folder.clone(), cache: conf.kept.clone(), passwords: Arc::new(passwords) };
        Some(Some(Late { pairs, store, provider: provider.clone(), ocsp }))
    }

    fn passwords(&mut self) -> Option<Vec<Vec<u8>>> {
        let Some(named) = &self.conf.passwords else { return Some(Vec::new()) };
        match files::read(self.outside, &named.path) {
            Ok(bytes) => Some(files::passwords(&bytes)),
            Err(wrong) => {
                self.wrong("ssl_password_file", named, wrong);
                None
            }
        }
    }

    fn lacks_key(&mut self, named: &Named) {
        let what = format!("names `{}` and no `ssl_certificate_key` belongs to it", named.path.display());
        let help = "each certificate has a key: write `ssl_certificate_key FILE;` behind it".to_string();
        self.wrong("ssl_certificate", named, Wrong { what, help: Some(help) });
    }

    /// Each certificate with its key.
    fn certificates(&mut self, provider: &CryptoProvider) -> Option<Vec<Arc<CertifiedKey>>> {
        let (conf, mut found) = (self.conf, Vec::new());
        let passwords = self.passwords()?;
        let passwords = Passwords { directive: "ssl_password_file", all: &passwords };
        let ocsp = self.stapled();
        for (at, own) in conf.certificates.iter().enumerate() {
            let Some(key) = conf.keys.get(at) else {
                self.lacks_key(&own.named);
                continue;
            };
            let pair = self.pair(&own.named, &key.named, passwords, provider);
            found.extend(pair.map(|pair| Arc::new(CertifiedKey { ocsp: ocsp.clone(), ..pair })));
        }
        (!self.failed).then_some(found)
    }

    fn pair(
        &mut self,
        named: &Named,
        key: &Named,
        passwords: Passwords<'_>,
        provider: &CryptoProvider,
    ) -> Option<CertifiedKey> {
        let chain = files::read(self.outside, &named.path).and_then(|bytes| files::certificates(&bytes, &named.path));
        let secret = files::read(self.outside, &key.path).and_then(|bytes| files::key(&bytes, &key.path, passwords));
        let (chain, secret) = match (chain, secret) {
            (Ok(chain), Ok(secret)) => (chain, secret),
            (chain, secret) => {
                chain.err().into_iter().for_each(|wrong| self.wrong("ssl_certificate", named, wrong));
                secret.err().into_iter().for_each(|wrong| self.wrong("ssl_certificate_key", key, wrong));
                return None;
            }
        };
        let pair = match files::pair(chain, secret, (&named.path, &key.path), provider) {
            Ok(pair) => pair,
            Err(wrong) => {
                self.wrong("ssl_certificate_key", key, wrong);
                return None;
            }
        };
        if let Some(end) = files::expired(&pair.cert) {
            let message = format!("`ssl_certificate` names `{}`, which expired on {end}", named.path.display());
            self.push(
                Diagnostic::warning(named.span, message)
                    .code(Code::Certificate)
                    .help("browsers refuse it: renew it, then reload"),
            );
        }
        Some(pair)
    }

    /// The authority's word that the certificate is good, from a file.
    fn stapled(&mut self) -> Option<Vec<u8>> {
        let conf = self.conf;
        match (&conf.stapling_file, conf.stapling) {
            (Some(named), Some(_)) => match files::read(self.outside, &named.path) {
                Ok(bytes) => Some(bytes.to_vec()),
                Err(wrong) => {
                    self.wrong("ssl_stapling_file", named, wrong);
                    None
                }
            },
            (None, Some(span)) => {
                let message = "`ssl_stapling` has no effect: answers of OCSP are not fetched";
                let help = "browsers do without it; `ssl_stapling_file FILE;` sends one that was fetched before";
                self.push(Diagnostic::warning(span, message).code(Code::LeftOut).help(help));
                None
            }
            _ => None,
        }
    }

    fn ticket_keys(&mut self) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for named in &self.conf.ticket_keys {
            match files::read(self.outside, &named.path) {
                Ok(bytes) if matches!(bytes.len(), 48 | 80) => found.push(bytes.to_vec()),
                Ok(bytes) => {
                    let what = format!("names `{}`, which has {} bytes", named.path.display(), bytes.len());
                    let help = "it is 48 or 80 random bytes: `openssl rand 80 > FILE`".to_string();
                    self.wrong("ssl_session_ticket_key", named, Wrong { what, help: Some(help) });
                }
                Err(wrong) => self.wrong("ssl_session_ticket_key", named, wrong),
            }
        }
        found
    }

    fn wrong(&mut self, directive: &str, named: &Named, wrong: Wrong) {
        let diagnostic = Diagnostic::error(named.span, format!("`{directive}` {}", wrong.what)).code(Code::Certificate);
        self.failed = true;
        self.push(Diagnostic { help: wrong.help, ..diagnostic });
    }

    /// Servers that inherit a line read its file each; what is wrong with it is said once.
    fn push(&mut self, diagnostic: Diagnostic) {
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }
}

/// The names of authorities as clients are told them: each once, however many certificates of that name a file holds.
fn names_of(authorities: &[CertificateDer<'static>]) -> Vec<DistinguishedName> {
    let mut store = RootCertStore::empty();
    // What cannot be read is named where clients are judged, with its file.
    store.add_parsable_certificates(authorities.iter().cloned());
    let mut seen = HashSet::new();
    store.subjects().into_iter().filter(|name| seen.insert(name.as_ref().to_vec())).collect()
}

/// The certificates of one server: each client gets the first that it can check.
#[derive(Debug)]
struct Certificates(Vec<Arc<CertifiedKey>>);

impl Certificates {
    /// Clients that can check several get the quicker one.
    fn in_order(mut pairs: Vec<Arc<CertifiedKey>>) -> Certificates {
        pairs.sort_by_key(|pair| pair.key.algorithm() == SignatureAlgorithm::RSA);
        Certificates(pairs)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        self.0.iter().find(|pair| pair.key.choose_scheme(schemes).is_some()).or(self.0.first()).cloned()
    }
}
