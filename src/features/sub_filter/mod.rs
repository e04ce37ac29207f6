//! `sub_filter` and its family: replaces texts in answers. As a filter it stands first of those that change a body, as in nginx:
//! it looks for text as the source wrote it, before another charset or coding.

mod replacer;

use std::sync::Arc;

use aho_corasick::AhoCorasick;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::variables::Variable;
use crate::http::media::MediaTypes;
use crate::http::response::{Body, Response};
use crate::http::transform::through;
use replacer::{Pair, Replacer, automaton};

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// What to look for, and what to write.
    pairs: Vec<(Text, Text)>,
    /// The search, where no text holds a variable.
    automaton: Option<Arc<AhoCorasick>>,
    once: bool,
    last_modified: bool,
    types: MediaTypes,
}

impl Default for Conf {
    fn default() -> Self {
        let types = MediaTypes::of(&["text/html"]);
        Conf { pairs: Vec::new(), automaton: None, once: true, last_modified: false, types }
    }
}

const fn row(
    name: &'static str,
    syntax: &'static [&'static str],
    default: Option<&'static str>,
    arity: Arity,
    doc: &'static str,
    set: fn(&mut Conf, &mut Args<'_>) -> Result<(), Fault>,
) -> Directive<Conf> {
    let contexts = Contexts::SCOPES;
    let manual = Manual { name, syntax, default, contexts, arity, block: false, doc };
    Directive { manual, repeat: Repeat::Refused, inherit: Inherit::Yes, set }
}

const fn listed(row: Directive<Conf>, key: &'static str, clear: fn(&mut Conf)) -> Directive<Conf> {
    Directive { repeat: Repeat::List { key, clear }, manual: row.manual, inherit: Inherit::Yes, set: row.set }
}

impl Conf {
    /// Whether anything is replaced.
    pub fn is_used(&self) -> bool {
        !self.pairs.is_empty()
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    listed(
        row(
            "sub_filter",
            &["string replacement"],
            None,
            Arity::Words(2, 2),
            "Replaces a text in answers by another; both may hold variables, and ASCII letters are the same in either case. Several lines \
             make several replacements; where two fit at one place, the one that stands first is made. What was put in is not looked at \
             again. The answer loses its length, its ranges, its `Last-Modified` and its `ETag`. An answer with a \
             `Content-Encoding` is left alone.",
            set_pair,
        ),
        "sub_filter",
        |conf| {
            conf.pairs.clear();
            conf.automaton = None;
        },
    ),
    row(
        "sub_filter_once",
        &["on | off"],
        Some("on"),
        Arity::Flag,
        "Whether each text is replaced once or wherever it stands.",
        |conf, args| {
            conf.once = args.flag(0)?;
            Ok(())
        },
    ),
    row(
        "sub_filter_last_modified",
        &["on | off"],
        Some("off"),
        Arity::Flag,
        "Whether an answer in which texts are replaced keeps its `Last-Modified`, and its `ETag` as a weak one.",
        |conf, args| {
            conf.last_modified = args.flag(0)?;
            Ok(())
        },
    ),
    listed(
        row(
            "sub_filter_types",
            &["mime-type ..."],
            Some("text/html"),
            Arity::AtLeast(1),
            "In answers of which media types texts are replaced; `*` stands for all, and for those without a type. `text/html` is always one of them.",
            |conf, args| {
                args.media_types(&mut conf.types);
                Ok(())
            },
        ),
        "sub_filter_types",
        |conf| conf.types = MediaTypes::of(&["text/html"]),
    ),
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set_pair(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let (search, replacement) = (args.text(0)?, args.text(1)?);
    if search.constant() == Some(b"") {
        return Err(Fault::at(args.word(0), "has an empty text to look for"));
    }
    conf.pairs.push((search, replacement));
    let constants: Option<Vec<_>> = conf.pairs.iter().map(|(search, _)| search.constant()).collect();
    conf.automaton = constants.and_then(|searches| automaton(searches.into_iter()));
    Ok(())
}

/// Has texts replaced in an answer.
pub fn filter(x: &Exchange, conf: &Conf, response: &mut Response) {
    // A 304 has the validators that its 200 would have. As in nginx it has no type, so only `sub_filter_types *` means it.
    if response.status == 304 && conf.types.is_all() {
        return validators(conf, response);
    }
    let is_empty = !x.is_head() && response.body.known_len() == Some(0);
    if is_empty || !conf.types.has(response.content_type.value()) || response.field("Content-Encoding").is_some() {
        return;
    }
    let pair = |(search, replacement): &(Text, Text)| Pair {
        search: x.eval_bytes(search),
        replacement: x.eval_bytes(replacement),
    };
    let pairs: Vec<_> = conf.pairs.iter().map(pair).filter(|pair| !pair.search.is_empty()).collect();
    let search = match &conf.automaton {
        Some(search) => Some(search.clone()),
        None => automaton(pairs.iter().map(|pair| pair.search.as_ref())),
    };
    if search.is_none() {
        return;
    }
    validators(conf, response);
    let body = std::mem::take(&mut response.body);
    response.change(match x.is_head() {
        true => Body::unknown(),
        false => through(body, Replacer::new(pairs, search, conf.once), None),
    });
}

/// The validators of an answer whose texts are replaced.
fn validators(conf: &Conf, response: &mut Response) {
    match conf.last_modified {
        true => response.weaken(),
        false => (response.last_modified, response.etag) = (None, None),
    }
}
