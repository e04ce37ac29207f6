//! `client_max_body_size` and the other `client_body_*` directives: how large a request body may be and where it
//! goes. Reading it is the server's work, by these numbers.

use std::path::PathBuf;
use std::time::Duration;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;
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
                  unannounced as soon as it does. 0 turns the limit off.",
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
            doc: "The folder for request bodies that do not fit into memory, made when it is first needed. The files have no name, so the \
                  levels of subfolders have no effect.",
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
            doc: "Whether request bodies go to a file even when they fit into memory (`clean`, `on`). The file has no name and goes with \
                  the request, so `on` keeps nothing either.",
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
pub const VARIABLES: &[Variable<Conf>] = &[];

impl Conf {
    /// How many bytes of a body stay in memory.
    pub fn memory(&self) -> usize {
        if self.file_only == FileOnly::Off { self.buffer } else { 0 }
    }
}

fn set_buffer(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let size = args.size(0)?;
    conf.buffer = usize::try_from(size).map_err(|_| Fault::at(args.word(0), "is more than memory can hold"))?;
    Ok(())
}

fn set_folder(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    for i in 1..args.len() {
        args.number(i, 1..=3)?;
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
    match x.head.body_length {
        // Whoever fetches the page for an error is not refused a second time.
        BodyLength::Length(length) if conf.max > 0 && length > conf.max && x.failure.is_none() => {
            let text = format!("client intended to send too large body: {length} bytes");
            let error = HttpError::new(413, "body-too-large").log(Level::Error, text);
            Err(HttpError { close: true, ..error })
        }
        _ => Ok(Step::Next),
    }
}
