//! The settings of `gzip` and their rows.

use std::sync::atomic::Ordering::Relaxed;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::pattern::Pattern;
use crate::exchange::Exchange;
use crate::exchange::variables::{Value, Variable};
use crate::http::media::MediaTypes;

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// Whether answers are compressed.
    pub on: bool,
    /// How hard, 1 to 9.
    pub level: u32,
    /// The least length of an answer whose length is known.
    pub min_length: u64,
    /// Of which types.
    pub types: MediaTypes,
    /// For which requests that came through a proxy.
    pub proxied: Vec<Proxied>,
    /// Whether HTTP/1.0 is enough.
    pub version_10: bool,
    /// Clients that get none: their User-Agent matches.
    pub disabled: Vec<Pattern>,
    /// Whether old Internet Explorers get none.
    pub msie6: bool,
    /// Whether answers that could be compressed say `Vary: Accept-Encoding`.
    pub vary: bool,
}

/// What `gzip_proxied` may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Proxied {
    Off,
    Expired,
    NoCache,
    NoStore,
    Private,
    NoLastModified,
    NoEtag,
    Auth,
    Any,
}

impl Default for Conf {
    fn default() -> Self {
        Conf {
            on: false,
            level: 1,
            min_length: 20,
            types: MediaTypes::of(&["text/html"]),
            proxied: Vec::new(),
            version_10: false,
            disabled: Vec::new(),
            msie6: false,
            vary: false,
        }
    }
}

type Setter = fn(&mut Conf, &mut Args<'_>) -> Result<(), Fault>;

/// A row of the kind that all of them but two are.
const fn row(
    name: &'static str,
    syntax: &'static [&'static str],
    default: Option<&'static str>,
    arity: Arity,
    doc: &'static str,
    set: Setter,
) -> Directive<Conf> {
    let contexts = Contexts::SCOPES;
    let manual = Manual { name, syntax, default, contexts, arity, block: false, doc };
    Directive { manual, repeat: Repeat::Refused, inherit: Inherit::Yes, set }
}

/// A row whose uses in one block make one list.
const fn listed(row: Directive<Conf>, key: &'static str, clear: fn(&mut Conf)) -> Directive<Conf> {
    Directive { repeat: Repeat::List { key, clear }, manual: row.manual, inherit: Inherit::Yes, set: row.set }
}

const ONE: Arity = Arity::Words(1, 1);

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "gzip",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES.or(Contexts::IF_LOCATION),
            arity: Arity::Flag,
            block: false,
            doc: "Whether answers are compressed for clients that take gzip: files, listings, what programs write, and the pages of \
                  403 and 404. It is done while the answer is sent, in little memory, so the length is not known beforehand \
                  and there are no ranges; an `ETag` becomes a weak one. What a program writes bit by bit is passed on bit by bit. \
                  An answer that has a `Content-Encoding` already is left alone.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.on = args.flag(0)?;
            Ok(())
        },
    },
    row(
        "gzip_comp_level",
        &["level"],
        Some("1"),
        ONE,
        "How hard to compress, from 1 (fast) to 9 (small).",
        |conf, args| {
            conf.level = args.number(0, 1..=9)? as u32;
            Ok(())
        },
    ),
    row(
        "gzip_min_length",
        &["length"],
        Some("20"),
        ONE,
        "The least length of an answer to compress. One whose length nobody knows is compressed in any case.",
        |conf, args| {
            conf.min_length = args.size(0)?;
            Ok(())
        },
    ),
    listed(
        row(
            "gzip_types",
            &["mime-type ..."],
            Some("text/html"),
            Arity::AtLeast(1),
            "Which media types are compressed; `*` stands for all, and for responses without a type. `text/html` is always one of them.",
            |conf, args| {
                args.media_types(&mut conf.types);
                Ok(())
            },
        ),
        "gzip_types",
        |conf| conf.types = MediaTypes::of(&["text/html"]),
    ),
    listed(
        row(
            "gzip_proxied",
            &["off | expired | no-cache | no-store | private | no_last_modified | no_etag | auth | any ..."],
            Some("off"),
            Arity::AtLeast(1),
            "Whether a request that came through a proxy (it has a `Via`) gets compressed answers: never, always, or where the proxy would not \
             keep the answer, since it expired, since its `Cache-Control` says so, since it has no `Last-Modified` or `ETag`, or since the \
             request has an `Authorization`.",
            set_proxied,
        ),
        "gzip_proxied",
        |conf| conf.proxied.clear(),
    ),
    row(
        "gzip_http_version",
        &["1.0 | 1.1"],
        Some("1.1"),
        ONE,
        "The least version of HTTP that a request must have to get a compressed answer.",
        |conf, args| {
            conf.version_10 = args.one_of(0, &[("1.0", true), ("1.1", false)])?;
            Ok(())
        },
    ),
    listed(
        row(
            "gzip_disable",
            &["regex ..."],
            None,
            Arity::AtLeast(1),
            "Clients that get no compressed answers: a regex matches their `User-Agent`, in any case. `msie6` stands for Internet Explorer 4 \
             to 6 before Windows XP's second service pack.",
            set_disable,
        ),
        "gzip_disable",
        |conf| {
            conf.disabled.clear();
            conf.msie6 = false;
        },
    ),
    row(
        "gzip_vary",
        &["on | off"],
        Some("off"),
        Arity::Flag,
        "Whether answers that some clients get compressed say `Vary: Accept-Encoding`: those of `gzip`, `gzip_static` and its like. \
         Caches need it.",
        |conf, args| {
            conf.vary = args.flag(0)?;
            Ok(())
        },
    ),
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[Variable {
    name: "gzip_ratio",
    family: false,
    doc: "How many times smaller `gzip` made the answer, with two decimals; known once it was sent.",
    get: ratio,
}];

fn set_proxied(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    use Proxied::*;
    const WORDS: [(&str, Proxied); 9] = [
        ("off", Off),
        ("expired", Expired),
        ("no-cache", NoCache),
        ("no-store", NoStore),
        ("private", Private),
        ("no_last_modified", NoLastModified),
        ("no_etag", NoEtag),
        ("auth", Auth),
        ("any", Any),
    ];
    for i in 0..args.len() {
        let which = args.one_of(i, &WORDS)?;
        if conf.proxied.contains(&which) {
            args.warn(Some(i), format!("duplicate value \"{}\"", args.word(i).show()));
            continue;
        }
        conf.proxied.push(which);
    }
    Ok(())
}

fn set_disable(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    for word in args.words() {
        match word.text.as_slice() {
            b"msie6" => conf.msie6 = true,
            // nginx's word for a list that names nobody.
            b"degradation" => return Err(Fault::at(word, "takes regexes and `msie6`, not `degradation`")),
            text => conf.disabled.push(args.load.pattern(word, text, true)?),
        }
    }
    Ok(())
}

fn ratio<'x>(x: &'x Exchange, _: &'x Conf, _: &str) -> Value<'x> {
    let tally = x.sent.compressed.as_ref()?;
    let (before, after) = (tally.before.load(Relaxed), tally.after.load(Relaxed));
    (after > 0).then(|| two_decimals(before, after).into_bytes().into())
}

/// A quotient, rounded to two decimals.
fn two_decimals(before: u64, after: u64) -> String {
    let hundredths = (u128::from(before) * 1000 / u128::from(after) + 5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios() {
        for (before, after, want) in [
            (3000, 50, "60.00"),
            (31, 47, "0.66"),
            (1, 3, "0.33"),
            (2, 3, "0.67"),
            (1999, 1000, "2.00"),
            (0, 20, "0.00"),
        ] {
            assert_eq!(two_decimals(before, after), want);
        }
    }
}
