//! `lingering_*`: reading on for a while before a connection is closed, so that the client gets to see
//! an answer that came before its request was whole.

use std::time::Duration;

use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::variables::Variable;

/// When a connection lingers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lingering {
    /// Never: it is closed at once.
    Off,
    /// When the client may still be sending.
    #[default]
    On,
    /// Always.
    Always,
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// When to linger.
    pub when: Lingering,
    /// How long in all.
    pub time: Duration,
    /// How long without a byte.
    pub timeout: Duration,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { when: Lingering::On, time: Duration::from_secs(30), timeout: Duration::from_secs(5) }
    }
}

impl Conf {
    /// Whether to linger, by whether the client may still be sending.
    pub fn is_wanted(&self, may_be_sending: bool) -> bool {
        match self.when {
            Lingering::Off => false,
            Lingering::On => may_be_sending,
            Lingering::Always => true,
        }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "lingering_close",
            syntax: &["off | on | always"],
            default: Some("on"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Whether the server, before it closes a connection, reads and drops what the client is still sending. \
                  `on` does so when something may still come, for example after an early answer to an upload. `off` \
                  closes at once, and the client may then never see that answer.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            let choices = [("off", Lingering::Off), ("on", Lingering::On), ("always", Lingering::Always)];
            conf.when = args.one_of(0, &choices)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "lingering_time",
            syntax: &["time"],
            default: Some("30s"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How long such reading lasts in all.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.time = args.time(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "lingering_timeout",
            syntax: &["time"],
            default: Some("5s"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How long such reading waits for the next byte.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.timeout = args.time(0)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];
