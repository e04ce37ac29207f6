//! `proxy_cookie_domain`, `proxy_cookie_path`, `proxy_cookie_flags`: what a cookie of another server says of domain, path and
//! flags, rewritten for clients of this one.

use bytes::Bytes;

use super::redirect::Matcher;
use super::rows::Conf;
use crate::conf::args::{Args, Fault};
use crate::conf::value::Text;
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
    changes: Vec<Change>,
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
        Ok(Some(Domain(what, args.field_text(1)?)))
    }

    fn apply(&self, x: &Exchange, value: &Bytes) -> Option<Vec<u8>> {
        match &self.0 {
            What::Regex(matcher) => matcher.matches(x, value).then(|| x.eval(&self.1).into_owned()),
            What::Text(text) => {
                let bare = value.strip_prefix(b".").unwrap_or(value);
                bare.eq_ignore_ascii_case(&x.eval(text)).then(|| x.eval(&self.1).into_owned())
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
        let changes: Result<_, _> = (1..args.len()).map(|i| args.one_of(i, &CHANGES)).collect();
        Ok(Some(Flags { cookie, changes: changes? }))
    }

    fn is_for(&self, x: &Exchange, name: &[u8]) -> bool {
        match &self.cookie {
            Cookie::Named(text) => name.eq_ignore_ascii_case(&x.eval(text)),
            Cookie::Regex(matcher) => matcher.is_match(x, name),
        }
    }
}

/// The new value of a Set-Cookie field, if something of it changes.
pub fn rewrite(x: &Exchange, conf: &Conf, value: &Bytes) -> Option<Bytes> {
    if conf.domains.is_empty() && conf.paths.is_empty() && conf.flags.is_empty() {
        return None;
    }
    let mut parts = value.split(|&b| b == b';').map(|part| Bytes::copy_from_slice(part.trim_ascii()));
    let first = parts.next().unwrap_or_default();
    let mut attributes: Vec<Bytes> = parts.filter(|part| !part.is_empty()).collect();
    let mut changed = false;
    for attribute in &mut attributes {
        let (name, argument) = split(attribute);
        let new = match name.to_ascii_lowercase().as_slice() {
            b"domain" => conf.domains.iter().find_map(|line| line.apply(x, &argument)),
            b"path" => conf.paths.iter().find_map(|line| line.apply(x, &argument)),
            _ => None,
        };
        if let Some(new) = new {
            *attribute = [name.as_ref(), b"=", &new].concat().into();
            changed = true;
        }
    }
    let (name, _) = split(&first);
    if let Some(line) = conf.flags.iter().find(|line| line.is_for(x, &name)) {
        line.changes.iter().for_each(|change| apply(*change, &mut attributes));
        changed = true;
    }
    if !changed {
        return None;
    }
    let mut out = first.to_vec();
    for attribute in attributes {
        out.extend_from_slice(b"; ");
        out.extend_from_slice(&attribute);
    }
    Some(out.into())
}

fn split(attribute: &Bytes) -> (Bytes, Bytes) {
    match attribute.iter().position(|&b| b == b'=') {
        Some(at) => (attribute.slice(..at), attribute.slice(at + 1..)),
        None => (attribute.clone(), Bytes::new()),
    }
}

fn apply(change: Change, attributes: &mut Vec<Bytes>) {
    let (name, new) = match change {
        Change::Secure(on) => ("secure", on.then(|| Bytes::from_static(b"Secure"))),
        Change::HttpOnly(on) => ("httponly", on.then(|| Bytes::from_static(b"HttpOnly"))),
        Change::SameSite(value) => ("samesite", value.map(|value| format!("SameSite={value}").into())),
    };
    let has = |attribute: &Bytes| split(attribute).0.eq_ignore_ascii_case(name.as_bytes());
    let before = attributes.iter().position(has);
    match (before, new) {
        (Some(_), Some(_)) if !matches!(change, Change::SameSite(_)) => {}
        (Some(at), Some(new)) => attributes[at] = new,
        (None, Some(new)) => attributes.push(new),
        (_, None) => attributes.retain(|attribute| !has(attribute)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_set_once_and_removed_wholly() {
        let list =
            |texts: &[&str]| texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect::<Vec<_>>();
        for (change, before, after) in [
            (Change::Secure(true), &["Path=/"][..], &["Path=/", "Secure"][..]),
            (Change::Secure(true), &["secure"], &["secure"]),
            (Change::Secure(false), &["Secure", "A", "secure"], &["A"]),
            (Change::SameSite(Some("Lax")), &["samesite=none"], &["SameSite=Lax"]),
            (Change::SameSite(None), &["SameSite"], &[]),
            (Change::HttpOnly(true), &[], &["HttpOnly"]),
        ] {
            let mut attributes = list(before);
            apply(change, &mut attributes);
            assert_eq!(attributes, list(after), "{change:?} {before:?}");
        }
    }
}
