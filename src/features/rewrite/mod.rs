//! `rewrite`, `set`, `if`, `break` and `return`: the lines of a block that say, in order, where its requests go. They
//! compile to one small program for each block; an `if` is part of the program of the block it stands in.

pub mod answer;
pub mod condition;
pub mod program;
pub mod replacement;
pub mod search;

use std::borrow::Cow;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::VarId;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::settable::Settable;
use crate::exchange::step::Step;
use crate::exchange::variables::{Value, Variable};
use program::{Into, Line, Op, Rewrite};
use search::Search;

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// The lines of this block; blocks inside have their own.
    pub program: Vec<Line>,
    /// Whether what regexes meet is logged.
    pub log: bool,
    /// Whether reading a variable that has no value yet is logged.
    pub warns: bool,
    /// Whether the block is an `if`.
    pub is_if: bool,
}

impl Conf {
    /// The same without its lines.
    pub fn for_block_inside(&self) -> Conf {
        Conf { program: Vec::new(), is_if: false, ..*self }
    }
}

impl Default for Conf {
    fn default() -> Self {
        Conf { program: Vec::new(), log: false, warns: true, is_if: false }
    }
}

const PLACES: Contexts = Contexts::SERVER.or(Contexts::LOCATION).or(Contexts::IF_SERVER).or(Contexts::IF_LOCATION);
const EVERYWHERE: Contexts = PLACES.or(Contexts::HTTP);

/// The directives that are lines of the program. An `if` holds some too: they belong to the program around it.
pub const LINES: [&str; 4] = ["rewrite", "set", "break", "return"];

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "rewrite",
            syntax: &["regex replacement [last | break | redirect | permanent]"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(2, 3),
            block: false,
            doc: "Replaces a path that the regex matches. `last` ends the block's lines and searches the location of the new path; `break` \
                  ends them and stays; without a flag the next line goes on with the new path. `redirect` (302) and `permanent` (301) \
                  send the client there, as does a replacement that begins with `http://`, `https://` or `$scheme`. The client's query is \
                  appended unless the replacement ends with `?`. After ten searches a request is answered 500.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::No(|conf| conf.program.clear()),
        set: add_rewrite,
    },
    Directive {
        manual: Manual {
            name: "set",
            syntax: &["$variable value"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(2, 2),
            block: false,
            doc: "Gives a variable a value for the rest of the request. The value may hold variables and captures. `$args`, the query, and \
                  `$limit_rate`, the answer's speed, may be set too.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::No(|conf| conf.program.clear()),
        set: add_set,
    },
    Directive {
        manual: Manual {
            name: "break",
            syntax: &[""],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(0, 0),
            block: false,
            doc: "Ends the lines of `rewrite`, `set`, `if` and `return` of this block. In a location the request stays there even if its path \
                  was rewritten.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::No(|conf| conf.program.clear()),
        set: |conf, args| {
            add(conf, args, Op::Break);
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "return",
            syntax: &["code [text]", "code URL", "URL"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(1, 2),
            block: false,
            doc: "Answers at once. With 301, 302, 303, 307 or 308 the second word is where to go; a URL alone is a 302. With any other \
                  code it is the body, whose type follows `types` and `default_type`; a code of 400 or more without a body goes through \
                  `error_page`. 444 closes the connection without an answer. Text and URL may contain variables. The first \
                  `return` that is reached counts; the lines of a `server` come before its locations.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::No(|conf| conf.program.clear()),
        set: |conf, args| {
            let answer = answer::read(args)?;
            add(conf, args, Op::Return(answer));
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "rewrite_log",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: EVERYWHERE,
            arity: Arity::Flag,
            block: false,
            doc: "Whether the error log says, at level `notice`, what the regexes of `rewrite` and `if` match and what becomes of the path.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.log = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "uninitialized_variable_warn",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: EVERYWHERE,
            arity: Arity::Flag,
            block: false,
            doc: "Whether the error log warns when a variable is read that no `set` has given a value in this request.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.warns = args.flag(0)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn add(conf: &mut Conf, args: &Args<'_>, op: Op) {
    conf.program.push(Line { op, span: args.node.span });
}

fn add_rewrite(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let (pattern, word) = (args.word(0), args.word(1));
    let search = Search::new(args, pattern, &pattern.text, false)?;
    if word.text.is_empty() {
        return Err(Fault::at(word, "has an empty replacement"));
    }
    // A question mark at the end drops the client's query.
    let (text, keeps_args) = word.text.strip_suffix(b"?").map_or((word.text.as_slice(), true), |text| (text, false));
    let is_url = [&b"http://"[..], b"https://", b"$scheme"].iter().any(|head| text.starts_with(head));
    let flag = args.words().get(2).map(|flag| flag.text.as_slice());
    let status = match flag {
        Some(b"redirect") => Some(302),
        Some(b"permanent") => Some(301),
        None | Some(b"last" | b"break") => is_url.then_some(302),
        Some(_) => {
            let flag = args.word(2);
            let message = format!("takes `last`, `break`, `redirect` or `permanent`, not `{}`", flag.show());
            return Err(Fault::at(flag, message));
        }
    };
    let has_query = text.contains(&b'?');
    let text = args.text_of(1, text)?;
    let into = match status {
        Some(status) => Into::Url { status, text, has_query },
        None => Into::Uri { uri: replacement::Uri::new(text), stays: flag == Some(b"break") },
    };
    let is_last = flag.is_some();
    add(conf, args, Op::Rewrite(Rewrite { search, into, keeps_args, is_last }));
    Ok(())
}

fn add_set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let place = Settable::read(args, 0)?;
    let value = args.text(1)?;
    add(conf, args, Op::Set(place, value));
    Ok(())
}

/// Begins an `if` that stands in this block; the lines inside it follow. The number is for [`end_if`].
pub fn begin_if(conf: &mut Conf, args: &mut Args<'_>) -> Result<usize, Fault> {
    let condition = condition::read(args)?;
    let last = conf.program.iter().rev().find_map(|line| match line.op {
        Op::If { number, .. } => Some(number),
        _ => None,
    });
    let number = last.map_or(0, |last| last + 1);
    add(conf, args, Op::If { condition, number, end: 0 });
    Ok(conf.program.len() - 1)
}

/// Ends an `if`.
pub fn end_if(conf: &mut Conf, begun: usize) {
    let behind = conf.program.len();
    if let Some(Line { op: Op::If { end, .. }, .. }) = conf.program.get_mut(begun) {
        *end = behind;
    }
}

/// Runs a block's lines. `enter` takes over the settings of the block's `if` of that number.
pub fn step(x: &mut Exchange, conf: &Conf, enter: &mut dyn FnMut(&mut Exchange, usize)) -> Result<Step, HttpError> {
    program::run(x, &conf.program, conf.log, enter)
}

/// The value of a variable that no `set` has given one in this request: nothing, and a line in the log.
pub fn uninitialized<'a>(x: &'a Exchange, conf: &Conf, name: &str, id: VarId) -> Value<'a> {
    if conf.warns {
        x.report(Level::Warn, format!("using uninitialized \"{name}\" variable"));
    }
    // Said once for each request.
    x.assign(id, "");
    Some(Cow::Borrowed(b""))
}
