//! `client_max_body_size` and the other `client_body_*` directives: how large a request body may be and where it
//! goes. Reading it is the server's work, by these numbers.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::body_file::Naming;
use crate::exchange::body_reader::keeps;
use crate::exchange::error::HttpError;
use crate::exchange::step::{Spool, Step};
use crate::exchange::variables::Variable;
use crate::exchange::{Exchange, Received};
use crate::http::head::BodyLength;

/// When a body is written to a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileOnly {
    /// Only when it does not fit into memory.
    #[default]
    Off,
    /// Always; the file is removed afterwards.
    Clean,
    /// Always; the file stays.
    Keep,
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// The most bytes; 0 for no limit.
    pub max: u64,
    /// Bytes that are kept in memory.
    pub buffer: usize,
    /// The folder for larger bodies; relative to the prefix until a conf names one.
    pub folder: PathBuf,
    /// How many digits each level of subfolders has.
    pub levels: [u8; 3],
    /// The longest pause between two reads.
    pub timeout: Duration,
    /// Whether every body goes to a file.
    pub file_only: FileOnly,
    /// Whether a body in memory is in one piece.
    pub single_buffer: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Conf {
            max: 1 << 20,
            buffer: 16 << 10,
            folder: PathBuf::from("client_body_temp"),
            levels: [0; 3],
            timeout: Duration::from_secs(60),
            file_only: FileOnly::Off,
            single_buffer: false,
        }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "client_max_body_size",
            syntax: &["size"],
            default: Some("1m"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The largest request body. A request that announces more is answered 413 before its body is read, one that sends more \
                  unannounced as soon as it does. Where nobody reads the body, what came with the head is counted before the answer; \
                  what comes later is thrown away up to the limit, then the connection ends. The limit is that of the location that the \
                  path leads to; a named location goes on with it. 0 turns the limit off.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.max = args.size(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "client_body_buffer_size",
            syntax: &["size"],
            default: Some("16k"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How much of a request body is kept in memory; a larger one goes to a temporary file.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_buffer,
    },
    Directive {
        manual: Manual {
            name: "client_body_temp_path",
            syntax: &["path [level1 [level2 [level3]]]"],
            default: Some("client_body_temp"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 4),
            block: false,
            doc: "The folder for request bodies that do not fit into memory, made when it is first needed. Only files of \
                  `client_body_in_file_only` have names: with levels they lie in subfolders named by so many of the number's last digits.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_folder,
    },
    Directive {
        manual: Manual {
            name: "client_body_timeout",
            syntax: &["time"],
            default: Some("60s"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How long a client may pause while it sends a body. After that the answer is 408.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.timeout = args.time(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "client_body_in_file_only",
            syntax: &["on | clean | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Whether every request body that is read goes to a file of its own, whose name `$request_body_file` tells: a program gets the \
                  name instead of the body with `proxy_pass_request_body off`. `clean` removes the file when the request is over, `on` \
                  leaves it. Only the server's user may read it. What is passed on while it comes goes to no file.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_file_only,
    },
    Directive {
        manual: Manual {
            name: "client_body_in_single_buffer",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether a body in memory lies in one piece. It always does here.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.single_buffer = args.flag(0)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[Variable {
    name: "request_body_file",
    family: false,
    doc: "The name of the file with the request's body, if it was read under `client_body_in_file_only`.",
    get: |x, _, _| Some(x.body_file.as_ref()?.path().as_os_str().as_bytes().into()),
}];

impl Conf {
    /// Where a body is kept that is read before it is passed on.
    pub fn spool(&self) -> Spool<'_> {
        let naming = |stays| Some(Naming { levels: self.levels, stays });
        let naming = match self.file_only {
            FileOnly::Off => None,
            FileOnly::Clean => naming(false),
            FileOnly::Keep => naming(true),
        };
        Spool { memory: self.buffer, folder: &self.folder, naming }
    }
}

fn set_buffer(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let size = args.size(0)?;
    conf.buffer = usize::try_from(size).map_err(|_| Fault::at(args.word(0), "is more than memory can hold"))?;
    Ok(())
}

fn set_folder(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.levels = [0; 3];
    for i in 1..args.len() {
        conf.levels[i - 1] = args.number(i, 1..=3)? as u8;
    }
    // The default stays as it is written: the same folder as if it were not.
    if args.word(0).text != b"client_body_temp" {
        conf.folder = args.path(0);
    }
    Ok(())
}

fn set_file_only(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.file_only = args.one_of(0, &[("off", FileOnly::Off), ("clean", FileOnly::Clean), ("on", FileOnly::Keep)])?;
    Ok(())
}

/// Refuses a body that is announced larger than it may be, before a byte of it is read.
pub fn step(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    let BodyLength::Length(length) = x.head.body_length else { return Ok(Step::Next) };
    let Err(error) = keeps(conf.max, length, false) else { return Ok(Step::Next) };
    if matches!(x.received, Received::Nothing) {
        // Whatever answers now, nobody reads it.
        x.received = Received::Passed;
    }
    match x.failure {
        None => Err(error),
        // Whoever fetches the page for an error is not refused a second time.
        Some(_) => Ok(Step::Next),
    }
}
