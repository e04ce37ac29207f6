//! The settings of CGI, and what they are where the conf says nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::conf::value::Text;
use crate::exchange::error::Level;
use crate::exchange::place::Root;
use crate::exchange::queue::Queue;

/// Which requests run a script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mode {
    /// None but those for files of a `cgi_extension`.
    #[default]
    Off,
    /// Every file here is a script.
    On,
    /// One program takes every request: its path, then its arguments.
    Pass(Vec<Text>),
}

/// When a response is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Buffering {
    /// Once it is whole, or its script pauses.
    #[default]
    Auto,
    /// Once it is whole.
    On,
    /// As it is written.
    Off,
}

impl Buffering {
    /// What it means, for whoever looks on.
    pub fn words(self) -> &'static str {
        match self {
            Buffering::Auto => {
                "the response goes out when the script ends or pauses for 50 ms after its head, then without a length"
            }
            Buffering::On => "the response goes out when the script ends",
            Buffering::Off => "the response goes out as the script writes it",
        }
    }
}

/// Where the lines go that a script writes to its standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errors {
    /// Nowhere.
    Off,
    /// To the error log, at this level.
    Log(Level),
    /// Into a file, as they are.
    File(PathBuf),
}

/// What one process may use; none for what the server itself may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Seconds of processor time.
    pub cpu: Option<u64>,
    /// Bytes of address space.
    pub memory: Option<u64>,
    /// Processes of the same user.
    pub processes: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
    /// Bytes of one file that is written.
    pub file_size: Option<u64>,
}

/// How many scripts run at once, and how many requests wait for one to end.
#[derive(Debug, Clone)]
pub struct Cap {
    /// Scripts at once.
    pub running: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Who runs and who waits.
    pub queue: Arc<Queue>,
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// Which requests run a script.
    pub mode: Mode,
    /// No file is a script that a shorter part of the URI names: so many bytes are the location's own.
    pub floor: usize,
    /// The path of the exact location that `cgi_pass` stands in: the script's own name.
    pub exact: Option<Vec<u8>>,
    /// What runs the scripts; empty for themselves.
    pub interpreter: Vec<Text>,
    /// Extensions with their dot, and what runs such files; empty for themselves.
    pub extensions: Vec<(Bytes, Vec<Text>)>,
    /// The folder a script starts in; none for its own.
    pub working_dir: Option<Text>,
    /// PATH.
    pub path: Text,
    /// Further variables.
    pub variables: Vec<(Bytes, Text)>,
    /// How long a script may run until TERM; none for ever.
    pub term: Option<Duration>,
    /// How long after TERM until KILL; none for never.
    pub kill: Option<Duration>,
    /// Whether a script that runs for `kill` gets KILL without having got TERM: `cgi_timeout 0 1`.
    pub kills_at_once: bool,
    /// Where standard error goes.
    pub errors: Errors,
    /// Whether a wrong head is an error.
    pub strict: bool,
    /// Whether there is no head at all.
    pub body_only: bool,
    /// When a response is sent.
    pub buffering: Buffering,
    /// Whether a request body is complete before its script starts.
    pub request_buffering: bool,
    /// What one process may use.
    pub limits: Limits,
    /// How many at once; none for half of the pool.
    pub cap: Option<Cap>,
}

impl Default for Conf {
    fn default() -> Self {
        Conf {
            mode: Mode::Off,
            floor: 0,
            exact: None,
            interpreter: Vec::new(),
            extensions: Vec::new(),
            working_dir: None,
            path: Text::literal(PATH),
            variables: Vec::new(),
            term: Some(Duration::from_secs(60)),
            kill: Some(KILL),
            kills_at_once: false,
            errors: Errors::Log(Level::Error),
            strict: true,
            body_only: false,
            buffering: Buffering::Auto,
            request_buffering: true,
            limits: Limits::default(),
            cap: None,
        }
    }
}

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
impl Conf {
    /// How long a script may run; none for ever.
    pub fn time(&self) -> Option<Duration> {
        self.term.or(self.kill.filter(|_| self.kills_at_once))
    }
}

/// From TERM to KILL where the conf says nothing.
pub const KILL: Duration = Duration::from_secs(5);
/// How many requests wait where the conf says nothing.
pub const WAITING: usize = 256;

impl Conf {
    /// Whether some request here may run a script.
    pub fn is_on(&self) -> bool {
        self.mode != Mode::Off || !self.extensions.is_empty()
    }

    /// Whether a request for this path is for a script, whatever there is; one for a folder, with a slash at its end, may be.
    pub fn takes(&self, path: &[u8]) -> bool {
        let ends = |extension: &[u8]| path.ends_with(extension);
        self.mode != Mode::Off || self.extensions.iter().any(|(extension, _)| ends(extension))
    }

    /// Whether a file in this folder could be run as a script, where URIs become paths like this. What variables lead to
    /// nobody knows beforehand.
    pub fn runs_files_in(&self, root: &Root, folder: &[u8]) -> bool {
        let text = root.alias.as_ref().map_or(&root.root, |alias| &alias.text);
        let tree = text.constant().map(|tree| tree.strip_suffix(b"/").unwrap_or(tree).to_vec());
        let is_inside = tree.is_some_and(|tree| {
            folder.strip_prefix(tree.as_slice()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        });
        is_inside && (self.mode == Mode::On || !self.extensions.is_empty())
    }
}
