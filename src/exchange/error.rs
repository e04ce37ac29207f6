//! Errors that become answers, and lines for the error log. "The connection is gone" is no
//! error of this kind: it never becomes an answer.

use bytes::Bytes;

use crate::conf::pattern::Failure;
use crate::conf::source::Span;

/// nginx's log levels, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The system is unusable.
    Emerg,
    /// Somebody must act at once.
    Alert,
    /// Critical.
    Crit,
    /// A request could not be served.
    Error,
    /// Suspicious.
    Warn,
    /// Normal but worth a line.
    Notice,
    /// Informational.
    Info,
    /// For developers.
    Debug,
}

impl Level {
    /// All levels with the names that `error_log` takes.
    pub const NAMES: [(&'static str, Level); 8] = [
        ("emerg", Level::Emerg),
        ("alert", Level::Alert),
        ("crit", Level::Crit),
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("notice", Level::Notice),
        ("info", Level::Info),
        ("debug", Level::Debug),
    ];

    /// The level's name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// One line for the error log, without the time and the request around it.
#[derive(Debug, Clone)]
pub struct Report {
    /// How urgent it is.
    pub level: Level,
    /// What happened; text from clients is already escaped.
    pub text: String,
    /// The URL that the request was passed to when it happened.
    pub upstream: Option<String>,
    /// Why the request was refused, on the line that says so.
    pub why: Option<String>,
}

impl Report {
    /// A line that concerns no upstream as far as its writer knows.
    pub fn new(level: Level, text: impl Into<String>) -> Self {
        Report { level, text: text.into(), upstream: None, why: None }
    }
}

/// Why a request is answered with an error. One place turns it into a page.
#[derive(Debug, Clone)]
pub struct HttpError {
    /// The status, 400 to 599, or a redirect's, which `error_page` may catch too; 444 closes without an answer; 494 is 400 with its own page.
    pub status: u16,
    /// A stable code for why: `no-file`, `denied`, `limit`.
    pub reason: &'static str,
    /// The line of the conf that decided it, where the step knows which; else it is looked up by the reason.
    pub place: Option<Span>,
    /// The line for the error log.
    pub report: Option<Box<Report>>,
    /// Fields that belong to it (Allow, WWW-Authenticate, Content-Range).
    pub fields: Vec<(Bytes, Bytes)>,
    /// Whether the connection must close after it.
    pub close: bool,
}

impl HttpError {
    /// An error with a stable reason and no log line.
    pub fn new(status: u16, reason: &'static str) -> Self {
        HttpError { status, reason, place: None, report: None, fields: Vec::new(), close: false }
    }

    /// A redirect: its built-in page is the answer unless `error_page` catches it.
    pub fn redirect(status: u16, location: impl Into<Bytes>) -> Self {
        HttpError::new(status, "redirect").field("Location", location)
    }

    /// A body that is larger than `client_max_body_size` allows, by its announced length or by the chunks that came: one reason,
    /// wherever it is found out. Where it would end is of no interest any more.
    pub fn too_large_body(bytes: u64, chunked: bool) -> Self {
        let kind = if chunked { "chunked body" } else { "body" };
        let text = format!("client intended to send too large {kind}: {bytes} bytes");
        let error = HttpError::new(413, "body-too-large").log(Level::Error, text);
        HttpError { close: true, ..error }
    }

    /// The same with a line for the error log.
    pub fn log(mut self, level: Level, text: impl Into<String>) -> Self {
        self.report = Some(Box::new(Report::new(level, text)));
        self
    }

    /// The same with the line of the conf that decided it.
    pub fn at(mut self, place: Span) -> Self {
        self.place = Some(place);
        self
    }

    /// The same with a field.
    pub fn field(mut self, name: &'static str, value: impl Into<Bytes>) -> Self {
        self.fields.push((Bytes::from_static(name.as_bytes()), value.into()));
        self
    }

    /// A regex has no answer to a text: `whose` and `what` name them in the log.
    pub fn regex(why: Failure, whose: &str, what: &str) -> Self {
        match why {
            Failure::TooHard => HttpError::new(500, "regex-too-hard")
                .log(Level::Error, format!("{whose} needs too many steps for {what} (\"regex_match_limit\")")),
            Failure::NotUtf8 => HttpError::new(500, "regex-not-utf8")
                .log(Level::Error, format!("{whose} begins with (*UTF) and {what} is not UTF-8")),
        }
    }

    /// The one switch from a failed system call on a file to a status.
    pub fn file(call: &str, path: &[u8], error: &std::io::Error) -> Self {
        use nix::libc::{ELOOP, EMFILE, EMLINK, ENAMETOOLONG, ENFILE, ENXIO};
        use std::io::ErrorKind as K;
        let path = crate::http::escape::error_log(path);
        let code = error.raw_os_error().unwrap_or(0);
        let text = format!("{call} \"{path}\" failed ({code}: {})", system_words(error));
        let (status, reason, level) = match (error.kind(), code) {
            (_, EMFILE | ENFILE) | (K::OutOfMemory, _) => (503, "no-descriptors", Level::Crit),
            // A socket cannot be opened (ENXIO): it is no file, like a device, which is found out later.
            (K::NotFound | K::NotADirectory, _) | (_, ENAMETOOLONG | ENXIO) => (404, "no-file", Level::Error),
            (K::PermissionDenied, _) | (_, ELOOP | EMLINK) => (403, "no-permission", Level::Error),
            _ => (500, "file-error", Level::Crit),
        };
        HttpError::new(status, reason).log(level, text)
    }
}

/// What the system says about an error, without Rust's "(os error N)".
pub fn system_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error") {
        Some(at) => text[..at].to_string(),
        None => text,
    }
}
