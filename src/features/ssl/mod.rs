//! TLS: certificates and what is agreed on in a handshake, sessions, clients' certificates. The rows are in `rows`, the
//! files are read in `context`; bytes and sockets are the engine's business.

mod client;
mod context;
mod names;
mod rows;
mod sessions;
mod variables;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;

use crate::conf::source::Span;
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::exchange::tls::Security;
use crate::tls::ciphers;
use crate::tls::late::Cache;

pub use context::{Context, build};
pub use rows::DIRECTIVES;
pub use variables::VARIABLES;

/// A file with the place where the conf names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The file, absolute.
    pub path: PathBuf,
    /// The place.
    pub span: Span,
}

/// A certificate or a key, whose name may hang on variables.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Own {
    /// Its file, or the words that become its name.
    named: Named,
    /// The name, where variables are in it: the file is found in each handshake.
    late: Option<Text>,
    /// The name as it stands in the conf.
    text: Box<[u8]>,
}

/// `ssl_verify_client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// No certificate is asked for.
    Off,
    /// A good one is needed.
    On,
    /// If there is one it must be good.
    Optional,
    /// If there is one, it may come from nobody we know.
    OptionalNoCa,
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// `ssl on`, the old way to say `listen ... ssl`.
    pub on: bool,
    /// The server's certificates.
    certificates: Vec<Own>,
    /// Their keys, in the same order.
    keys: Vec<Own>,
    /// Where paths begin that are found in handshakes.
    folder: PathBuf,
    /// What keeps certificates that are found in handshakes.
    kept: Option<Arc<Cache>>,
    /// Whether they are sent in fewer bytes.
    compression: bool,
    passwords: Option<Named>,
    tls12: bool,
    tls13: bool,
    suites12: Vec<&'static SupportedCipherSuite>,
    suites13: Vec<&'static SupportedCipherSuite>,
    curves: Vec<&'static dyn SupportedKxGroup>,
    prefer_server: bool,
    /// Name and size in bytes.
    cache: Option<(String, u64)>,
    timeout: Duration,
    tickets: bool,
    ticket_keys: Vec<Named>,
    /// Whether clients are asked for a certificate.
    pub verify: Verify,
    verify_span: Option<Span>,
    client_certificate: Option<Named>,
    trusted_certificate: Option<Named>,
    depth: usize,
    crl: Option<Named>,
    reject: bool,
    /// Where it is switched on.
    stapling: Option<Span>,
    stapling_file: Option<Named>,
    /// Bytes of a record; none for the largest there is.
    buffer_size: Option<usize>,
}

impl Conf {
    /// Whether clients are asked for a certificate.
    pub fn asks_clients(&self) -> bool {
        self.verify != Verify::Off
    }
}

impl Default for Conf {
    fn default() -> Self {
        Conf {
            on: false,
            certificates: Vec::new(),
            keys: Vec::new(),
            folder: PathBuf::new(),
            kept: None,
            compression: true,
            passwords: None,
            tls12: true,
            tls13: true,
            suites12: ciphers::all12(),
            suites13: ciphers::all13(),
            curves: ciphers::all_curves(),
            prefer_server: false,
            cache: None,
            timeout: Duration::from_secs(300),
            tickets: true,
            ticket_keys: Vec::new(),
            verify: Verify::Off,
            verify_span: None,
            client_certificate: None,
            trusted_certificate: None,
            depth: 1,
            crl: None,
            reject: false,
            stapling: None,
            stapling_file: None,
            buffer_size: None,
        }
    }
}

/// Turns away what came without TLS on a port that speaks it, and clients without the certificate that is asked for.
/// The context is that of the server the request came to.
pub fn step(x: &Exchange, conf: &Conf, context: Option<&Arc<Context>>) -> Result<Step, HttpError> {
    let refuse = |status, reason, text: String| {
        let mut error = HttpError::new(status, reason);
        error = error.log(Level::Info, format!("{text} while reading client request headers"));
        Err(HttpError { close: true, ..error })
    };
    let session = match &x.client.security {
        Security::Plain => return Ok(Step::Next),
        Security::Missing => {
            return refuse(497, "tls-missing", "client sent plain HTTP request to HTTPS port".into());
        }
        Security::Tls(session) => session,
    };
    if conf.verify == Verify::Off {
        return Ok(Step::Next);
    }
    if session.chain.is_empty() {
        return match conf.verify {
            Verify::On => refuse(496, "client-certificate-missing", "client sent no required SSL certificate".into()),
            _ => Ok(Step::Next),
        };
    }
    let Some(context) = context else { return Ok(Step::Next) };
    let verdict = context.judge(session);
    let passes = verdict.code == 0 || (conf.verify == Verify::OptionalNoCa && client::is_only_unknown(verdict));
    match passes {
        true => Ok(Step::Next),
        false => refuse(
            495,
            "client-certificate-bad",
            format!("client SSL certificate verify error: ({}:{})", verdict.code, verdict.words),
        ),
    }
}

impl Context {
    /// The verdict on the certificates of a session, by this server's authorities.
    pub fn judge(self: &Arc<Self>, session: &crate::exchange::tls::Session) -> crate::exchange::tls::Verdict {
        session.judged_by(self.number, |chain| self.clients.judge(chain))
    }
}
