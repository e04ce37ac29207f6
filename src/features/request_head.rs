//! How a request's head is read: its buffers, its time, and which field names are taken.

use std::time::Duration;

use crate::conf::args::{Args, Fault};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::source::Span;
use crate::exchange::variables::Variable;
use crate::http::head::Limits;

/// Where all of these may stand: the head is read before there is a location.
const PLACES: Contexts = Contexts::HTTP.or(Contexts::SERVER);

/// The least size of a pool of nginx's, and what its sizes are multiples of.
const LEAST_POOL: u64 = 112;
const POOL_STEP: u64 = 16;

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// What bounds a head, and which names of fields are taken.
    pub limits: Limits,
    /// How long the whole head may take.
    pub timeout: Duration,
    /// Whether neighbouring slashes of a path count as one.
    pub merge_slashes: bool,
    /// `connection_pool_size`: the least that a large buffer may have.
    pool: u64,
    /// Where the size of the large buffers stands.
    large_at: Option<Span>,
}

impl Default for Conf {
    fn default() -> Self {
        let (limits, timeout) = (Limits::default(), Duration::from_secs(60));
        Conf { limits, timeout, merge_slashes: true, pool: 512, large_at: None }
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
            name: "connection_pool_size",
            syntax: &["size"],
            default: Some("512"),
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The least size that `large_client_header_buffers` may have, as in nginx, where it is the memory of a \
                  connection. Here it has no other effect.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_pool,
    },
    Directive {
        manual: Manual {
            name: "large_client_header_buffers",
            syntax: &["number size"],
            default: Some("4 8k"),
            contexts: PLACES,
            arity: Arity::Words(2, 2),
            block: false,
            doc: "How many large buffers a head may fill, and their size, which is at least that of `connection_pool_size`. A request line longer than one of them is \
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
    conf.large_at = Some(args.word(1).span);
    conf.limits.large_buffers = (number, bounded(size).ok_or_else(|| Fault::at(args.word(1), SIZE_RULE))?);
    Ok(())
}

fn set_pool(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let size = args.size(0)?;
    if size < LEAST_POOL || size % POOL_STEP != 0 {
        let text = format!("takes a size of at least {LEAST_POOL} that is a multiple of {POOL_STEP}");
        return Err(Fault::at(args.word(0), text));
    }
    conf.pool = size;
    Ok(())
}

/// What is wrong with the settings of a server once all of them are read.
pub fn check(conf: &Conf) -> Option<Diagnostic> {
    let span = conf.large_at.filter(|_| (conf.limits.large_buffers.1 as u64) < conf.pool)?;
    let message = format!("`large_client_header_buffers` takes a size of at least {} bytes", conf.pool);
    Some(Diagnostic::error(span, message).help("`connection_pool_size` makes it less"))
}

const SIZE_RULE: &str = "takes a size from 1 byte to 1g";

/// A head stays far below the 4 GiB that its parser can count.
fn bounded(size: u64) -> Option<usize> {
    (1..=1 << 30).contains(&size).then_some(size as usize)
}
