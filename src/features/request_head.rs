//! How a request's head is read: its buffers, its time, and which field names are taken.

use std::time::Duration;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::variables::Variable;
use crate::http::head::Limits;

/// Where all of these may stand: the head is read before there is a location.
const PLACES: Contexts = Contexts::HTTP.or(Contexts::SERVER);

/// nginx refuses large buffers below its connection pool's size, and so do we.
const LEAST_LARGE: u64 = 512;

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// What bounds a head, and which names of fields are taken.
    pub limits: Limits,
    /// How long the whole head may take.
    pub timeout: Duration,
    /// Whether neighbouring slashes of a path count as one.
    pub merge_slashes: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { limits: Limits::default(), timeout: Duration::from_secs(60), merge_slashes: true }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "client_header_buffer_size",
            syntax: &["size"],
            default: Some("1k"),
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How many bytes of a request's head are taken before the large buffers \
                  (`large_client_header_buffers`) are counted. The server's own buffer grows as needed; this is the \
                  limit, not the allocation.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_header_buffer,
    },
    Directive {
        manual: Manual {
            name: "large_client_header_buffers",
            syntax: &["number size"],
            default: Some("4 8k"),
            contexts: PLACES,
            arity: Arity::Words(2, 2),
            block: false,
            doc: "How many large buffers a head may fill, and their size. A request line longer than one of them is \
                  answered 414, a field line longer than one or a head that fills them all 400.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_large_buffers,
    },
    Directive {
        manual: Manual {
            name: "client_header_timeout",
            syntax: &["time"],
            default: Some("60s"),
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How long a client may take for the whole head of a request; then the answer is 408.",
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
            name: "ignore_invalid_headers",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: PLACES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether a field whose name holds anything but letters, digits and hyphens (and underscores, with \
                  `underscores_in_headers on`) is dropped. A name that is no token at all is an error in either case.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.limits.ignore_invalid = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "underscores_in_headers",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: PLACES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether underscores may stand in field names. Off, such a name counts as invalid for \
                  `ignore_invalid_headers`.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.limits.underscores = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "max_headers",
            syntax: &["number"],
            default: Some("1000"),
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The most field lines that a request may have; with more the answer is 400.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.limits.max_headers = args.number(0, 1..=1_000_000)? as usize;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "merge_slashes",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: PLACES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether two or more slashes side by side in a path count as one. Off, `//a` and `/a` are different \
                  paths to locations, and to access rules.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.merge_slashes = args.flag(0)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set_header_buffer(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let size = args.size(0)?;
    conf.limits.header_buffer = bounded(size).ok_or_else(|| Fault::at(args.word(0), SIZE_RULE))?;
    Ok(())
}

fn set_large_buffers(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let number = args.number(0, 1..=10_000)? as usize;
    let size = args.size(1)?;
    if size < LEAST_LARGE {
        return Err(Fault::at(args.word(1), format!("takes a size of at least {LEAST_LARGE} bytes")));
    }
    conf.limits.large_buffers = (number, bounded(size).ok_or_else(|| Fault::at(args.word(1), SIZE_RULE))?);
    Ok(())
}

const SIZE_RULE: &str = "takes a size from 1 byte to 1g";

/// A head stays far below the 4 GiB that its parser can count.
fn bounded(size: u64) -> Option<usize> {
    (1..=1 << 30).contains(&size).then_some(size as usize)
}
