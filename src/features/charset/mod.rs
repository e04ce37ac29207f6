//! `charset` and its family: names the charset of answers and recodes them. As a filter it stands behind `sub_filter`, which looks
//! for text as the source wrote it, and before `gzip`, as in nginx.

mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::Level;
use crate::exchange::variables::Variable;
use crate::http::escape;
use crate::http::head::Known;
use crate::http::media::MediaTypes;
use crate::http::response::{Body, ContentType, Response};
use crate::http::transform::through;
use table::{Recoder, Table};

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// What answers are sent in; none for off.
    charset: Option<Text>,
    /// What they are written in; none if nobody says.
    source: Option<Text>,
    /// Whether a charset that a program names gives way.
    overrides: bool,
    types: MediaTypes,
    tables: Vec<Arc<Table>>,
    named: Named,
}

/// The charsets that any line of the conf names: one list for all blocks, which grows while they are read.
#[derive(Debug, Clone, Default)]
struct Named(Arc<Mutex<Vec<Vec<u8>>>>);

impl Named {
    fn add(&self, name: &[u8]) {
        if !self.has(name) {
            self.names().push(name.to_vec());
        }
    }

    fn has(&self, name: &[u8]) -> bool {
        self.names().iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    fn names(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // Whoever panicked with the lock left a list of whole names.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const TYPES: [&str; 6] =
    ["text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript", "application/rss+xml"];

impl Default for Conf {
    fn default() -> Self {
        let types = MediaTypes::of(&TYPES);
        Conf { charset: None, source: None, overrides: false, types, tables: Vec::new(), named: Named::default() }
    }
}

const PLACES: Contexts = Contexts::SCOPES.or(Contexts::IF_LOCATION);

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "charset",
            syntax: &["charset | off"],
            default: Some("off"),
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The charset that answers are said to be in, unless their `Content-Type` names one. Where `source_charset` is another, \
                  they are recoded by the `charset_map` of the two while they are sent. Redirects of 301 and 302 name none. It may hold variables.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.charset = name(conf, args)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "source_charset",
            syntax: &["charset"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The charset that answers are written in. It may hold variables.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.source = name(conf, args)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "override_charset",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: PLACES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether an answer whose `Content-Type` names a charset is recoded to that of `charset` too.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.overrides = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "charset_types",
            syntax: &["mime-type ..."],
            default: Some("text/html text/xml text/plain text/vnd.wap.wml application/javascript application/rss+xml"),
            contexts: Contexts::SCOPES,
            arity: Arity::AtLeast(1),
            block: false,
            doc: "Answers of which media types `charset` is for; `*` stands for all. `text/html` is always one of them.",
        },
        repeat: Repeat::List { key: "charset_types", clear: |conf| conf.types = MediaTypes::of(&["text/html"]) },
        inherit: Inherit::Yes,
        set: |conf, args| {
            args.media_types(&mut conf.types);
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "charset_map",
            syntax: &["charset1 charset2 { code1 code2; ... }"],
            default: None,
            contexts: Contexts::HTTP,
            arity: Arity::Words(2, 2),
            block: true,
            doc: "How two charsets map, in both directions: each line is a byte of the first in hexadecimal, and the byte of the second, or \
                  the bytes of a character where that is `utf-8`. Codes below 80 are the same in both unless a line says otherwise. A byte \
                  without a line becomes `?`; a character that the first does not have becomes a reference such as `&#8364;`.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::Yes,
        set: set_map,
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn name(conf: &Conf, args: &mut Args<'_>) -> Result<Option<Text>, Fault> {
    if args.word(0).text == b"off" {
        return Ok(None);
    }
    let name = args.field_text(0)?;
    name.constant().into_iter().for_each(|constant| conf.named.add(constant));
    Ok(Some(name))
}

fn set_map(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let table = Table::read(args)?;
    if conf.recoder(&table.names[0], &table.names[1]).is_some() {
        return Err(Fault::at(args.word(1), "has a duplicate: these two charsets are mapped already"));
    }
    table.names.iter().for_each(|name| conf.named.add(name));
    conf.tables.push(Arc::new(table));
    Ok(())
}

impl Conf {
    fn recoder(&self, from: &[u8], to: &[u8]) -> Option<Recoder> {
        self.tables.iter().find_map(|table| table.recoder(from, to))
    }

    /// A name as the maps spell it, as in nginx: all of the conf means one charset by it.
    fn spelling<'n>(&'n self, name: &'n [u8]) -> &'n [u8] {
        let mut names = self.tables.iter().flat_map(|table| &table.names);
        names.find(|known| known.eq_ignore_ascii_case(name)).map_or(name, |known| known)
    }

    /// The two charsets, source first, that these settings would have to recode and no `charset_map` holds.
    pub fn missing_map(&self) -> Option<(String, String)> {
        let constant = |text: &Option<Text>| Some(text.as_ref()?.constant()?.to_vec());
        let (from, to) = (constant(&self.source)?, constant(&self.charset)?);
        let fits = from.eq_ignore_ascii_case(&to) || self.recoder(&from, &to).is_some();
        let show = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        (!fits).then(|| (show(&from), show(&to)))
    }
}

/// Names the charset of an answer, and recodes it where it is written in another.
pub fn filter(x: &Exchange, conf: &Conf, response: &mut Response) {
    let wish = x.wishes.as_ref().and_then(|wishes| wishes.charset.as_ref());
    if (conf.charset.is_none() && wish.is_none()) || matches!(response.status, 301 | 302) {
        return;
    }
    // What has no type has no charset, whatever `charset_types` says.
    let ContentType::Is(kind) = &response.content_type else { return };
    let (kind, own) = split(kind);
    let to = match charset_of(x, conf, &kind, own.is_some()) {
        Ok(Some(to)) => to,
        Ok(None) => return,
        Err(wish) => {
            let wish = escape::error_log(wish);
            x.report(
                Level::Error,
                format!("X-Accel-Charset asks for the charset \"{wish}\", which the conf never names"),
            );
            return;
        }
    };
    // A charset that an answer asks for keeps its spelling, as in nginx.
    let name = if wish.is_some() { &to } else { conf.spelling(&to) };
    let from = own.or_else(|| conf.source.as_ref().map(|source| x.eval_bytes(source)));
    if let Some(from) = from.filter(|from| !from.is_empty() && !from.eq_ignore_ascii_case(&to)) {
        let Some(recoder) = conf.recoder(&from, &to) else {
            let (from, to) = (escape::error_log(&from), escape::error_log(&to));
            x.report(Level::Error, format!("no \"charset_map\" between the charsets \"{from}\" and \"{to}\""));
            return;
        };
        // What stands in a coding is no text to us.
        if response.field("Content-Encoding").is_some() {
            return;
        }
        recode(x, recoder, response);
    }
    response.content_type = ContentType::Is([&kind, &b"; charset="[..], name].concat().into());
}

/// The charset that a response of this type is to be in; `Err` for one that a program asks for and nobody knows. `is_named`: whether its
/// Content-Type names one.
fn charset_of<'x>(x: &'x Exchange, conf: &Conf, kind: &[u8], is_named: bool) -> Result<Option<Bytes>, &'x Bytes> {
    let wish = x.wishes.as_ref().and_then(|wishes| wishes.charset.as_ref());
    let to = match (wish, &conf.charset) {
        (Some(wish), _) if wish.is_empty() || conf.named.has(wish) => wish.clone(),
        (Some(wish), _) => return Err(wish),
        (None, Some(charset)) if (conf.overrides || !is_named) && !kind.is_empty() && conf.types.has(kind) => {
            x.eval_bytes(charset)
        }
        (None, _) => return Ok(None),
    };
    Ok((!matches!(to.as_ref(), b"" | b"off")).then_some(to))
}

/// Whether a page of HTML that is made here will be said to be in UTF-8.
pub fn is_utf8(x: &Exchange, conf: &Conf) -> bool {
    let Ok(Some(to)) = charset_of(x, conf, b"text/html", false) else { return false };
    let from = conf.source.as_ref().map(|source| x.eval_bytes(source));
    let fits = |from: Bytes| from.is_empty() || from.eq_ignore_ascii_case(&to) || conf.recoder(&from, &to).is_some();
    to.eq_ignore_ascii_case(b"utf-8") && from.is_none_or(fits)
}

fn recode(x: &Exchange, recoder: Recoder, response: &mut Response) {
    let length = response.length.or(response.body.known_len());
    let keeps_length = recoder.keeps_length() && length.is_some();
    // Parts are cut from bodies that are there; this one is made on its way.
    response.ranges &= keeps_length && x.head.known(Known::Range).is_none();
    response.length = length.filter(|_| keeps_length);
    let body = std::mem::take(&mut response.body);
    response.body = match x.is_head() {
        true => Body::unknown(),
        false => through(body, recoder, None),
    };
}

/// A Content-Type without its charset, and the charset.
fn split(kind: &Bytes) -> (Bytes, Option<Bytes>) {
    let mut start = 0;
    while let Some(semicolon) = kind[start..].iter().position(|&b| b == b';').map(|at| start + at) {
        let rest = &kind[semicolon + 1..];
        let skipped = rest.len() - rest.trim_ascii_start().len();
        let value = semicolon + 1 + skipped + b"charset=".len();
        if kind.get(value - b"charset=".len()..value).is_some_and(|word| word.eq_ignore_ascii_case(b"charset=")) {
            let end = kind[value..].iter().position(|&b| b == b';').map_or(kind.len(), |at| value + at);
            let bare = [&kind[..semicolon], &kind[end..]].concat().into();
            let charset = kind.slice(value..end);
            let quoted = charset.len() >= 2 && charset.starts_with(b"\"") && charset.ends_with(b"\"");
            let charset = if quoted { charset.slice(1..charset.len() - 1) } else { charset };
            return (bare, Some(charset));
        }
        start = semicolon + 1;
    }
    (kind.clone(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_their_charsets() {
        for (kind, bare, charset) in [
            ("text/html", "text/html", None),
            ("text/html; charset=utf-8", "text/html", Some("utf-8")),
            ("text/html;Charset=\"koi8-r\"; a=b", "text/html; a=b", Some("koi8-r")),
            ("text/html; a=b; charset=x", "text/html; a=b", Some("x")),
            ("text/html;", "text/html;", None),
            ("text/html; charset", "text/html; charset", None),
            ("", "", None),
        ] {
            let found = split(&Bytes::from_static(kind.as_bytes()));
            assert_eq!((found.0.as_ref(), found.1.as_deref()), (bare.as_bytes(), charset.map(str::as_bytes)), "{kind}");
        }
    }
}
