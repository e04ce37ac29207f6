//! `regex_match_limit`: what one match of a regex may cost, whatever directive it belongs to. The regexes themselves are
//! conf/pattern's.

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::variables::Variable;

/// The settings: none of its own, the regexes of the conf have the limit.
#[derive(Debug, Clone, Default)]
pub struct Conf;

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "regex_match_limit",
        syntax: &["number"],
        default: Some("100000"),
        contexts: Contexts::HTTP,
        arity: Arity::Words(1, 1),
        block: false,
        doc: "How many steps one match of a regex may take, from all places of the text together: PCRE2's match limit, from 1000 to \
              10000000. Past it nothing is taken for granted: the request is answered 500 with the reason `regex-too-hard` and a line \
              in the error log. Such responses, and those to requests whose matches take long, go out one after \
              another; a regex that many texts were too hard for answers so without looking until they are paid off, so that only those wait who provoke it. \
              A hundred thousand steps take less than a millisecond with JIT, some milliseconds without. nginx has \
              PCRE2's own limit, ten million steps from each place. A regex may begin with `(*LIMIT_MATCH=number)` to have its own.",
    },
    repeat: Repeat::Refused,
    inherit: Inherit::Yes,
    set,
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set(_: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let steps = args.number(0, 1000..=10_000_000)?;
    args.load.regex_limit.set(steps as u32);
    Ok(())
}
