//! `proxy_cookie_domain`, `proxy_cookie_path`, `proxy_cookie_flags`: what a cookie of another server says of domain, path and
//! flags, rewritten for clients of this one.

use bytes::Bytes;

use super::redirect::Matcher;
use super::rows::Conf;
use crate::conf::args::{Args, Fault};
use crate::conf::value::{Piece, Text};
use crate::exchange::Exchange;

/// One `proxy_cookie_domain`.
#[derive(Debug, Clone)]
pub struct Domain(What, Text);

/// One `proxy_cookie_path`.
#[derive(Debug, Clone)]
pub struct Path(What, Text);

/// What is replaced.
#[derive(Debug, Clone)]
enum What {
    Text(Text),
    Regex(Matcher),
}

/// One `proxy_cookie_flags`.
#[derive(Debug, Clone)]
pub struct Flags {
    cookie: Cookie,
    /// Each a flag's name, or a text that gives one for each answer.
    flags: Vec<Text>,
}

/// Which cookie.
#[derive(Debug, Clone)]
enum Cookie {
    Named(Text),
    Regex(Matcher),
}

/// A flag that is set or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Secure(bool),
    HttpOnly(bool),
    SameSite(Option<&'static str>),
}

const CHANGES: [(&str, Change); 8] = [
    ("secure", Change::Secure(true)),
    ("nosecure", Change::Secure(false)),
    ("httponly", Change::HttpOnly(true)),
    ("nohttponly", Change::HttpOnly(false)),
    ("samesite=strict", Change::SameSite(Some("Strict"))),
    ("samesite=lax", Change::SameSite(Some("Lax"))),
    ("samesite=none", Change::SameSite(Some("None"))),
    ("nosamesite", Change::SameSite(None)),
];

fn is_off(args: &Args<'_>) -> Result<bool, Fault> {
    match (args.word(0).text.as_slice(), args.len()) {
        (b"off", 1) => Ok(true),
        (_, 1) => {
            let text = format!("takes `off`, or something and its replacement, not `{}` alone", args.word(0).show());
            Err(Fault::at(args.word(0), text))
        }
        _ => Ok(false),
    }
}

impl Domain {
    /// Reads a line; none for `off`.
    pub fn read(args: &mut Args<'_>) -> Result<Option<Domain>, Fault> {
        if is_off(args)? {
            return Ok(None);
        }
        let what = match args.word(0).text.as_slice() {
            // Domains have no case.
            [b'~', ..] => What::Regex(Matcher::read(args, 0, 1, true)?),
            [b'.', rest @ ..] => What::Text(args.text_of(0, rest)?),
            _ => What::Text(args.text(0)?),
        };
        let mut to = args.field_text(1)?;
        // The cookie's own dot stays, so that of the conf is one too many.
        if matches!(what, What::Text(_))
            && let Some(Piece::Literal(first)) = to.pieces.first_mut()
            && first.starts_with(b".")
        {
            *first = first.slice(1..);
        }
        Ok(Some(Domain(what, to)))
    }

    fn apply(&self, x: &Exchange, value: &Bytes) -> Option<Vec<u8>> {
        match &self.0 {
            What::Regex(matcher) => matcher.matches(x, value).then(|| x.eval(&self.1).into_owned()),
            What::Text(text) => {
                let bare = value.strip_prefix(b".").unwrap_or(value);
                let dot = &value[..value.len() - bare.len()];
                bare.eq_ignore_ascii_case(&x.eval(text)).then(|| [dot, &x.eval(&self.1)].concat())
            }
        }
    }
}

impl Path {
    /// Reads a line; none for `off`.
    pub fn read(args: &mut Args<'_>) -> Result<Option<Path>, Fault> {
        if is_off(args)? {
            return Ok(None);
        }
        let what = match args.word(0).text.as_slice() {
            [b'~', b'*', ..] => What::Regex(Matcher::read(args, 0, 2, true)?),
            [b'~', ..] => What::Regex(Matcher::read(args, 0, 1, false)?),
            _ => What::Text(args.text(0)?),
        };
        Ok(Some(Path(what, args.field_text(1)?)))
    }

    fn apply(&self, x: &Exchange, value: &Bytes) -> Option<Vec<u8>> {
        match &self.0 {
            What::Regex(matcher) => matcher.matches(x, value).then(|| x.eval(&self.1).into_owned()),
            What::Text(text) => {
                let rest = value.strip_prefix(x.eval(text).as_ref())?;
                Some([x.eval(&self.1).as_ref(), rest].concat())
            }
        }
    }
}

impl Change {
    /// What the word asks for.
    fn of(name: &[u8]) -> Option<Change> {
        let known = CHANGES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        known.map(|(_, change)| *change)
    }

    /// Flags are added in nginx's order, whatever the order of the words.
    fn place(self) -> u8 {
        match self {
            Change::Secure(_) => 0,
            Change::HttpOnly(_) => 1,
            Change::SameSite(_) => 2,
        }
    }
}

impl Flags {
    /// Reads a line; none for `off`.
    pub fn read(args: &mut Args<'_>) -> Result<Option<Flags>, Fault> {
        if args.len() == 1 {
            return match args.word(0).text.as_slice() {
                b"off" => Ok(None),
                _ => Err(Fault::at(args.word(0), "takes `off`, or a cookie and flags")),
            };
        }
        let cookie = match args.word(0).text.as_slice() {
            [b'~', ..] => Cookie::Regex(Matcher::read(args, 0, 1, true)?),
            _ => Cookie::Named(args.text(0)?),
        };
        let mut flags = Vec::new();
        for i in 1..args.len() {
            let flag = args.text(i)?;
            if flag.constant().is_some_and(|name| Change::of(name).is_none()) {
                let names: Vec<_> = CHANGES.iter().map(|(name, _)| format!("`{name}`")).collect();
                let text = format!("`proxy_cookie_flags` knows no flag `{}`, which has no effect", args.word(i).show());
                args.warn(Some(i), format!("{text}: the flags are {}", names.join(", ")));
            }
            flags.push(flag);
        }
        Ok(Some(Flags { cookie, flags }))
    }

    /// What the flags are for this answer, in the order in which they are set.
    fn changes(&self, x: &Exchange) -> Vec<Change> {
        let mut changes: Vec<_> = self.flags.iter().filter_map(|flag| Change::of(&x.eval(flag))).collect();
        changes.sort_by_key(|change| change.place());
        changes
    }

    fn is_for(&self, x: &Exchange, name: &[u8]) -> bool {
        match &self.cookie {
            Cookie::Named(text) => name.eq_ignore_ascii_case(&x.eval(text)),
            Cookie::Regex(matcher) => matcher.is_match(x, name),
        }
    }
}

/// A part of a cookie between two semicolons: a name, and a value if a `=` stands there, without the blanks around them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    name: Bytes,
    value: Option<Bytes>,
}

impl Part {
    fn of(text: Bytes) -> Part {
        let trimmed = |part: &[u8]| text.slice_ref(part.trim_ascii());
        match memchr::memchr(b'=', &text) {
            Some(at) => Part { name: trimmed(&text[..at]), value: Some(trimmed(&text[at + 1..])) },
            None => Part { name: trimmed(&text), value: None },
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The new value of a Set-Cookie field, if something of it changes.
pub fn rewrite(x: &Exchange, conf: &Conf, value: &Bytes) -> Option<Bytes> {
    if conf.domains.is_empty() && conf.paths.is_empty() && conf.flags.is_empty() {
        return None;
    }
    let mut parts = value.split(|&b| b == b';').map(|part| Part::of(value.slice_ref(part)));
    // What sets nothing is no cookie.
    let first = parts.next().filter(|first| first.value.is_some())?;
    let mut attributes: Vec<Part> = parts.collect();
    let mut changed = false;
    for attribute in &mut attributes {
        let Some(value) = &attribute.value else { continue };
        let new = match attribute.name.to_ascii_lowercase().as_slice() {
            b"domain" => conf.domains.iter().find_map(|line| line.apply(x, value)),
            b"path" => conf.paths.iter().find_map(|line| line.apply(x, value)),
            _ => None,
        };
        if let Some(new) = new {
            attribute.value = Some(new.into());
            changed = true;
        }
    }
    if let Some(line) = conf.flags.iter().find(|line| line.is_for(x, &first.name)) {
        let changes = line.changes(x);
        changes.iter().for_each(|change| apply(*change, &mut attributes));
        changed |= !changes.is_empty();
    }
    if !changed {
        return None;
    }
    let mut out = Vec::with_capacity(value.len() + 32);
    for (n, part) in std::iter::once(&first).chain(&attributes).enumerate() {
        out.extend_from_slice(if n == 0 { b"" } else { b"; " });
        out.extend_from_slice(&part.name);
        if let Some(value) = &part.value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    Some(out.into())
}

fn apply(change: Change, attributes: &mut Vec<Part>) {
    let flag = |name: &'static str, value: Option<&'static str>| Part {
        name: Bytes::from_static(name.as_bytes()),
        value: value.map(|value| Bytes::from_static(value.as_bytes())),
    };
    let (name, new) = match change {
        Change::Secure(on) => ("secure", on.then(|| flag("Secure", None))),
        Change::HttpOnly(on) => ("httponly", on.then(|| flag("HttpOnly", None))),
        Change::SameSite(value) => ("samesite", value.map(|value| flag("SameSite", Some(value)))),
    };
    let before = attributes.iter().position(|attribute| attribute.is(name));
    match (before, new) {
        (Some(_), Some(_)) if !matches!(change, Change::SameSite(_)) => {}
        (Some(at), Some(new)) => attributes[at] = new,
        (None, Some(new)) => attributes.push(new),
        (_, None) => attributes.retain(|attribute| !attribute.is(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_set_once_and_removed_wholly() {
        let list = |texts: &[&str]| {
            texts.iter().map(|text| Part::of(Bytes::copy_from_slice(text.as_bytes()))).collect::<Vec<_>>()
        };
        for (change, before, after) in [
            (Change::Secure(true), &["Path=/"][..], &["Path=/", "Secure"][..]),
            (Change::Secure(true), &["secure"], &["secure"]),
            (Change::Secure(false), &["Secure", "A", "secure = x"], &["A"]),
            (Change::SameSite(Some("Lax")), &["samesite = none"], &["SameSite=Lax"]),
            (Change::SameSite(None), &["SameSite"], &[]),
            (Change::HttpOnly(true), &[], &["HttpOnly"]),
        ] {
            let mut attributes = list(before);
            apply(change, &mut attributes);
            assert_eq!(attributes, list(after), "{change:?} {before:?}");
        }
    }
}
