//! How an answer is sent: its time, sendfile, socket options, framing.

use std::time::Duration;

use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::variables::Variable;
use crate::http::response::Chunks;

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// How long a client may take none of an answer.
    pub timeout: Duration,
    /// Whether files go out by sendfile.
    pub sendfile: bool,
    /// The most bytes that one call sends; zero is no limit.
    pub max_chunk: u64,
    /// Whether small pieces go out at once.
    pub nodelay: bool,
    /// Whether a connection whose time ran out is reset instead of closed.
    pub reset_timedout: bool,
    /// Whether an answer of unknown length goes out in chunks to HTTP/1.1 clients.
    chunked: bool,
}

impl Conf {
    /// When an answer goes out in chunks; the flag says that fields follow it.
    pub fn chunks(&self, trailers: bool) -> Chunks {
        if !self.chunked {
            Chunks::Never
        } else if trailers {
            Chunks::Always
        } else {
            Chunks::IfNeeded
        }
    }
}

impl Default for Conf {
    fn default() -> Self {
        Conf {
            timeout: Duration::from_secs(60),
            sendfile: true,
            max_chunk: 2 << 20,
            nodelay: true,
            reset_timedout: false,
            chunked: true,
        }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "send_timeout",
            syntax: &["time"],
            default: Some("60s"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How long the server waits between two writes of an answer for the client to take something; then it \
                  closes the connection.",
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
            name: "sendfile",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: Contexts::SCOPES.or(Contexts::IF_LOCATION),
            arity: Arity::Flag,
            block: false,
            doc: "Whether large files go from the file to the socket inside the kernel. Unlike in nginx it is on by \
                  default. Turn it off on file systems that do it badly.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.sendfile = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "sendfile_max_chunk",
            syntax: &["size"],
            default: Some("2m"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The most bytes that one call of sendfile may send, so that one fast download does not hold a thread; \
                  `0` sets no limit.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.max_chunk = args.size(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "tcp_nodelay",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether the kernel sends small pieces at once (`TCP_NODELAY`).",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.nodelay = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "reset_timedout_connection",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether a connection whose time ran out, or that is closed by `return 444`, is reset rather than closed. \
                  That frees at once what the kernel still holds for it.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.reset_timedout = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "chunked_transfer_encoding",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether an answer whose length is not known goes out in chunks to clients of HTTP/1.1. Off, such an \
                  answer ends with the connection.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.chunked = args.flag(0)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];
