//! `internal`: locations that only this server itself leads to.

use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    /// Whether requests from outside are 404.
    pub only: bool,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "internal",
        syntax: &[""],
        default: None,
        contexts: Contexts::LOCATION,
        arity: Arity::Words(0, 0),
        block: false,
        doc: "The location is reached only from inside: by `error_page`, `index`, `try_files`, `rewrite`, `auth_request`, or a program's `X-Accel-Redirect`. A client that asks for it, or for a location inside it, gets 404; so does a script's `Location`, which asks as a client does.",
    },
    repeat: Repeat::Refused,
    inherit: Inherit::Yes,
    set: |conf, _| {
        conf.only = true;
        Ok(())
    },
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

/// Refuses requests from outside.
pub fn step(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    match conf.only && !x.course.internal {
        true => Err(HttpError::new(404, "internal")),
        false => Ok(Step::Next),
    }
}
