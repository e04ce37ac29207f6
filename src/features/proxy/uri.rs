//! Which path and query a request gets on its way to another server: nginx's rules for what is replaced, what is escaped again
//! and what is passed as it came.

use std::borrow::Cow;

use crate::exchange::Exchange;
use crate::http::{escape, target};

/// The URI for the other server. `uri` is the path of the conf's URL, `prefix` what it takes the place of.
pub fn make<'a>(x: &'a Exchange, uri: &'a [u8], prefix: &[u8], is_computed: bool) -> Cow<'a, [u8]> {
    if is_computed {
        return Cow::Borrowed(uri);
    }
    let raw = x.head.target();
    if uri.is_empty()
        && let Some(origin) = comes_from(x, raw, x.course.asked.as_ref().unwrap_or(&x.uri))
        && raw.get(origin) == Some(&b'/')
    {
        return Cow::Borrowed(&raw[origin..]);
    }
    let (before, from) = match (uri.is_empty(), x.course.rewritten) {
        (false, false) => (uri, prefix.len()),
        // After `rewrite ... break` the new path is the whole path.
        _ => (&b""[..], 0),
    };
    let rest = x.uri.get(from..).unwrap_or_default();
    let mut out = before.to_vec();
    let quoted = raw.split(|b| *b == b'?').next().is_some_and(|path| path.contains(&b'%'));
    match quoted || comes_from(x, raw, &x.uri).is_none() {
        true => out.extend_from_slice(escape::path(rest).as_bytes()),
        false => out.extend_from_slice(rest),
    }
    if let Some(args) = x.args.as_ref().filter(|args| !args.is_empty()) {
        out.push(b'?');
        out.extend_from_slice(args);
    }
    Cow::Owned(out)
}

/// Where the path begins in the target as it came, if this path and the query still are what it says.
fn comes_from(x: &Exchange, raw: &[u8], wanted: &[u8]) -> Option<usize> {
    // A question is for another path than the client's, and is never asked as the client wrote it.
    if x.course.rewritten || x.head.is_question() {
        return None;
    }
    let (path, args) = match memchr::memchr(b'?', raw) {
        Some(at) => (&raw[..at], Some(&raw[at + 1..])),
        None => (raw, None),
    };
    if path == x.uri && args == x.args.as_deref() && memchr::memchr(b'%', path).is_none() {
        // Seen without any work, in most requests.
        return Some(0);
    }
    let mut path = Vec::new();
    [true, false].into_iter().find_map(|merge| {
        let parsed = target::parse(raw, merge, &mut path).ok()?;
        let args = parsed.args.map(|range| &raw[range]);
        (path == wanted && args == x.args.as_deref()).then_some(parsed.origin)
    })
}
