//! A case as values: conf, files, requests, answers, logs. Knows neither the text it was read from nor any server.

use std::path::{Path, PathBuf};

/// One `.case` file.
#[derive(Debug, Default)]
pub struct Case {
    /// `feature/name`, as it is printed and filtered.
    pub name: String,
    /// The conf, before placeholders are filled in.
    pub conf: String,
    /// The conf is a whole file, not the body of `http`.
    pub whole: bool,
    /// Files and folders to make before the server starts.
    pub files: Vec<Entry>,
    /// Programs behind a gateway that run with the case.
    pub backends: Vec<Backend>,
    /// Certificates to make before the server starts.
    pub certificates: Vec<super::certs::Certificate>,
    /// What is sent and what must come back, in order.
    pub exchanges: Vec<Exchange>,
    /// What must stand in log files after the server has stopped.
    pub logs: Vec<LogCheck>,
    /// Texts that may differ between the two servers.
    pub masks: Vec<String>,
    /// How the reference takes part.
    pub nginx: Reference,
    /// The server must refuse to start; each line is a pattern its messages must match.
    pub refused: Option<Vec<String>>,
    /// The same for nginx alone: Longshore must start.
    pub refused_there: Option<Vec<String>>,
}

/// How nginx takes part in a case.
#[derive(Debug, Default, PartialEq)]
pub enum Reference {
    /// Runs, must meet the expectation, and both answers must be the same.
    #[default]
    Same,
    /// Runs only when its version is at least this one.
    Since(String),
    /// Runs with its own `response nginx` sections; the answers are not compared.
    Differs(String),
    /// Does not run: nginx has no such thing.
    Skip(String),
}

/// A file, folder or link below the case's folder.
#[derive(Debug)]
pub struct Entry {
    pub path: String,
    pub kind: Kind,
    pub mtime: u64,
    pub mode: Option<u32>,
}

#[derive(Debug)]
pub enum Kind {
    File(Vec<u8>),
    Dir,
    Symlink(String),
    Fifo,
}

/// A program behind a gateway: where it listens, what it speaks, how it answers.
#[derive(Debug)]
pub struct Backend {
    /// The number of its port, or `unix:PATH`.
    pub at: String,
    pub protocol: Protocol,
    /// It answers before it has read a request.
    pub early: bool,
    /// It leaves the connection open after an answer (in FastCGI the request says so).
    pub keep: bool,
    /// The certificate it shows in TLS; none where it speaks plainly.
    pub certificate: Option<String>,
    pub script: Vec<Act>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http,
    FastCgi,
    Scgi,
    Uwsgi,
}

/// One thing that a backend does.
#[derive(Debug, Clone)]
pub enum Act {
    /// Bytes of the answer; in FastCGI records of standard output.
    Send(Vec<u8>),
    /// Bytes on the wire as they are.
    Raw(Vec<u8>),
    /// Records of FastCGI's standard error.
    Errors(Vec<u8>),
    /// The params it was told, a line each.
    Params,
    /// The body it was sent.
    Body,
    /// The head it was sent.
    Head,
    /// Which connection and which request on it this is.
    Number,
    /// How it is spoken to in TLS.
    Tls,
    /// Writes head and body as they came into the backends' log.
    Note,
    Pause(u64),
    /// Closes here, whatever is missing.
    Close,
    HalfClose,
    Reset,
    /// Says nothing more and keeps the connection open.
    Hold,
}

/// Bytes sent on one connection at once, and the answers they bring.
#[derive(Debug)]
pub struct Exchange {
    pub target: Target,
    /// How it speaks TLS, if it does.
    pub tls: Option<super::tls::Tls>,
    /// Opens a new connection; otherwise goes on with the one before.
    pub fresh: bool,
    /// What the server is told before this request.
    pub orders: Vec<Order>,
    /// Asked again, on a new connection each time, until the answer is the expected one.
    pub until: bool,
    pub actions: Vec<Action>,
    /// The n-th answer has no body because it answers HEAD.
    pub heads: Vec<bool>,
    pub responses: Vec<Expected>,
    pub line: usize,
}

#[derive(Debug, Clone)]
pub enum Target {
    /// `%PORT%`, `%PORT2%`, ... on 127.0.0.1
    Port(usize),
    /// An address such as `[::1]` with `%PORT%`.
    Address(String, usize),
    Unix(String),
}

/// A signal to the server, and what goes with it.
#[derive(Debug)]
pub enum Order {
    /// HUP with a new conf; a bad one is waited for until the error log refuses it.
    Reload { conf: String, bad: bool },
    /// USR1 after the log file was renamed to `FILE.old`; the new file is waited for.
    Reopen(String),
}

#[derive(Debug)]
pub enum Action {
    Send(Vec<u8>),
    /// Waits until something of the response has come, or the server has closed.
    Heard,
    Pause(u64),
    Shutdown,
}

/// What one answer must look like.
#[derive(Debug, Default, Clone)]
pub struct Expected {
    /// The answer is a body without a head (HTTP/0.9).
    pub bare: bool,
    /// No byte comes back.
    pub nothing: bool,
    /// The alert of TLS that ends the connection.
    pub alert: Option<String>,
    pub status: u16,
    pub reason: Option<String>,
    /// The fields of the 103 responses that come before it, in order.
    pub hints: Vec<String>,
    pub headers: Vec<(String, Matcher)>,
    pub absent: Vec<String>,
    pub bodies: Vec<BodyCheck>,
    /// The server closes the connection after this answer.
    pub closed: bool,
    /// The connection ends in a reset.
    pub reset: bool,
    /// The connection ends before the body is whole.
    pub short: bool,
    /// What nginx answers instead.
    pub nginx: Option<Box<Expected>>,
}

#[derive(Debug, Clone)]
pub enum Matcher {
    Exact(String),
    Pattern(String),
}

#[derive(Debug, Clone)]
pub enum BodyCheck {
    Exact(Vec<u8>),
    Pattern(String),
    NoPattern(String),
    Size(usize),
    File(String),
}

#[derive(Debug)]
pub struct LogCheck {
    pub file: String,
    pub lines: Vec<LogLine>,
    /// Only checked on the named server.
    pub only: Option<String>,
}

#[derive(Debug)]
pub enum LogLine {
    /// Some line is exactly this.
    Exact(String),
    Pattern(String),
    NoPattern(String),
}

/// The modification time of every file that does not name its own: Tue, 14 Nov 2023 22:13:20 GMT.
pub const MTIME: u64 = 1_700_000_000;

impl Case {
    /// Reads the file at `path`; `root` is the folder that names are relative to.
    pub fn load(root: &Path, path: &Path) -> Result<Case, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path.strip_prefix(root).unwrap_or(path).with_extension("").display().to_string();
        let mut case = super::read::parse(&text).map_err(|(line, why)| format!("{}:{line}: {why}", path.display()))?;
        case.name = name;
        Ok(case)
    }

    /// The highest `%PORTn%` that the conf uses.
    pub fn ports(&self) -> usize {
        (2..=9).filter(|n| self.conf.contains(&format!("%PORT{n}%"))).max().unwrap_or(1)
    }
}

/// All case files below `root`, sorted by name.
pub fn find(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "case") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
