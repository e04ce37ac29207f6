//! `http2` and `http3`: newer versions of HTTP, which are not spoken here. A conf that asks for them starts and is told so: a
//! client that cannot have them speaks HTTP/1.1.

use std::borrow::Cow;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::variables::Variable;

/// The settings: none, since nothing depends on them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "http2",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::HTTP.or(Contexts::SERVER),
            arity: Arity::Flag,
            block: false,
            doc: "Whether HTTP/2 is spoken. It is not built: `on` brings a warning, and clients are offered HTTP/1.1.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |_, args| {
            warn(args, "`http2`: HTTP/2 is not built; clients are offered HTTP/1.1, which every browser knows")
        },
    },
    Directive {
        manual: Manual {
            name: "http3",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::HTTP.or(Contexts::SERVER),
            arity: Arity::Flag,
            block: false,
            doc: "Whether HTTP/3 is spoken. It is not built: `on` brings a warning, and `listen ... quic` is left out.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |_, args| warn(args, "`http3`: HTTP/3 is not built; browsers use the port that speaks TLS"),
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[
    Variable {
        name: "http2",
        family: false,
        doc: "Empty: HTTP/2 is not spoken.",
        get: |_, _, _| Some(Cow::Borrowed(b"")),
    },
    Variable {
        name: "http3",
        family: false,
        doc: "Empty: HTTP/3 is not spoken.",
        get: |_, _, _| Some(Cow::Borrowed(b"")),
    },
];

fn warn(args: &mut Args<'_>, words: &str) -> Result<(), Fault> {
    if args.flag(0)? {
        args.warn_left_out(&args.node.name, words);
    }
    Ok(())
}
