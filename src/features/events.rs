//! The `events` block: how many connections.

use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::variables::Variable;

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// Connections per worker process of nginx; `worker_processes` multiplies it.
    pub worker_connections: u64,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { worker_connections: 512 }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "worker_connections",
        syntax: &["number"],
        default: Some("512"),
        contexts: Contexts::EVENTS,
        arity: Arity::Words(1, 1),
        block: false,
        doc: "How many connections may be open at once, times `worker_processes`. When they are all taken, the one \
              that has been idle longest is closed for a new one; when none is idle, the answer is 503.",
    },
    repeat: Repeat::Refused,
    inherit: Inherit::Yes,
    set: |conf, args| {
        conf.worker_connections = args.number(0, 1..=100_000_000)?;
        Ok(())
    },
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];
