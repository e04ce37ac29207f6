//! `resolver`: the name servers that are asked where a name is known only once a request is there. The asking belongs to the
//! gateway.

use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::variables::Variable;

/// The settings.
pub use crate::gateway::resolver::Names as Conf;

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "resolver",
            syntax: &["address ... [valid=time] [ipv4=on|off] [ipv6=on|off] [status_zone=zone]"],
            default: None,
            contexts: Contexts::SCOPES,
            arity: Arity::AtLeast(1),
            block: false,
            doc: "The name servers, with port 53 unless they name another, that look names up while requests come: those that a text with \
                  variables gives, as in `proxy_pass http://$backend;`. They are asked in turn. An answer is kept as long as it says itself, \
                  or for the time of `valid=`. Addresses of both kinds are asked for unless one is switched off. No thread waits for \
                  an answer but the resolver's own.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| conf.set(args),
    },
    Directive {
        manual: Manual {
            name: "resolver_timeout",
            syntax: &["time"],
            default: Some("30s"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How long a request waits for a name to be looked up.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| conf.set_timeout(args),
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];
