//! `gzip_static`, `brotli_static`, `zstd_static`: files that were compressed beforehand, served in place of the plain one. Stands
//! before the plain file; what it finds is a file like any other, with a coding.

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::{Level, system_words};
use crate::exchange::files::{Kind, Opened};
use crate::exchange::variables::Variable;
use crate::http::head::Known;
use crate::http::method::Method;
use crate::http::{escape, negotiate};

/// When files of one coding are served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum When {
    /// Never.
    #[default]
    Off,
    /// To clients that take it.
    On,
    /// To all clients.
    Always,
}

/// A coding: its name in HTTP and what its files' names end in.
#[derive(Debug, PartialEq, Eq)]
pub struct Coding {
    /// The name.
    pub name: &'static str,
    /// How the names of its files end.
    pub ending: &'static [u8],
}

/// The codings; the ones that make the smaller files first, which is how equal wishes are decided.
const CODINGS: [Coding; 3] = [
    Coding { name: "zstd", ending: b".zst" },
    Coding { name: "br", ending: b".br" },
    Coding { name: "gzip", ending: b".gz" },
];
const ZSTD: usize = 0;
const BROTLI: usize = 1;
const GZIP: usize = 2;

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    when: [When; CODINGS.len()],
}

const fn row(
    name: &'static str,
    doc: &'static str,
    set: fn(&mut Conf, &mut Args<'_>) -> Result<(), Fault>,
) -> Directive<Conf> {
    Directive {
        manual: Manual {
            name,
            syntax: &["on | off | always"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc,
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set,
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    row(
        "gzip_static",
        "Whether `FILE.gz` beside a file is served in its place, to clients that take gzip and that `gzip_disable`, `gzip_http_version` and \
         `gzip_proxied` allow it; `always` serves it to all. The file must have been made beforehand, and Longshore does not check that \
         it holds the same. Among several such files the client's weights decide, between equal ones `.zst`, then `.br`, then `.gz`. \
         `gzip_vary` adds the field that caches need.",
        |conf, args| set(conf, args, GZIP),
    ),
    row(
        "brotli_static",
        "Whether `FILE.br` beside a file is served in its place, to clients that take `br`; `always` serves it to all. It is what \
         `gzip_static` is for gzip.",
        |conf, args| set(conf, args, BROTLI),
    ),
    row(
        "zstd_static",
        "Whether `FILE.zst` beside a file is served in its place, to clients that take `zstd`; `always` serves it to all. It is what \
         `gzip_static` is for gzip.",
        |conf, args| set(conf, args, ZSTD),
    ),
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set(conf: &mut Conf, args: &mut Args<'_>, coding: usize) -> Result<(), Fault> {
    conf.when[coding] = args.one_of(0, &[("on", When::On), ("off", When::Off), ("always", When::Always)])?;
    Ok(())
}

/// What was found beside a plain file.
#[derive(Debug, Default)]
pub struct Found {
    /// The file to serve, and its coding.
    pub file: Option<(Opened, &'static Coding)>,
    /// Whether another client might get another file.
    pub varies: bool,
}

/// Looks for a coded file for this request. `is_allowed` says whether the settings of compression let this client have gzip;
/// it is asked only where the answer counts.
pub fn find(x: &Exchange, conf: &Conf, is_allowed: impl Fn(&Exchange) -> bool) -> Found {
    let mut found = Found::default();
    let off = conf.when == [When::Off; CODINGS.len()];
    if off || !matches!(x.method(), Method::Get | Method::Head) || x.uri.last() == Some(&b'/') {
        return found;
    }
    let mut choices: Vec<_> =
        (0..CODINGS.len()).filter(|at| conf.when[*at] != When::Off).map(|at| (weight(x, at), at)).collect();
    let wish = |(weight, at): &(u16, usize)| if conf.when[*at] == When::Always { (*weight).max(1) } else { *weight };
    // Equal weights stay in the order of the table: the sort is stable.
    choices.sort_by_key(|choice| std::cmp::Reverse(wish(choice)));
    let plain = x.path_of(&x.uri);
    for choice in &choices {
        let (_, at) = *choice;
        let always = conf.when[at] == When::Always;
        let Some(opened) = open(x, &plain, &CODINGS[at]) else { continue };
        found.varies |= !always;
        let fits = always || (choice.0 > 0 && (at != GZIP || is_allowed(x)));
        if fits && found.file.is_none() {
            found.file = Some((opened, &CODINGS[at]));
        }
    }
    found
}

/// How much the client wants a coding, in thousandths. `*` does not count, as for `gzip`.
fn weight(x: &Exchange, at: usize) -> u16 {
    let list = x.head.known(Known::AcceptEncoding).unwrap_or_default();
    let named = |item: &[u8]| item.eq_ignore_ascii_case(CODINGS[at].name.as_bytes());
    negotiate::list(list).filter(|coding| named(coding.item)).map(|coding| coding.weight).max().unwrap_or(0)
}

/// The coded file; none where there is no such file.
fn open(x: &Exchange, plain: &[u8], coding: &Coding) -> Option<Opened> {
    let path = [plain, coding.ending].concat();
    match x.open(&path) {
        Ok(opened) if opened.stat.kind == Kind::File => Some(opened),
        Ok(_) => None,
        Err(error) => {
            use std::io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
            if !matches!(error.kind(), NotFound | NotADirectory | InvalidFilename) {
                // The plain file will do.
                let path = escape::error_log(&path);
                x.report(Level::Error, format!("open() \"{path}\" failed ({})", system_words(&error)));
            }
            None
        }
    }
}
