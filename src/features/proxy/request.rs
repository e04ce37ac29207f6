//! The head of a request to another server: method, path, and the fields that come from the conf, from nginx's defaults and from
//! the client, in this order.

use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;

use super::pass::{Parts, Pass};
use super::rows::Conf;
use super::uri;
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::http::framing::is_safe_value;
use crate::http::head::is_withheld;
use crate::http::upgrade::{connection_without, without_http};

/// How long the body will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// There is none, and no word about it.
    None,
    /// So many bytes.
    Bytes(u64),
    /// It goes out in chunks.
    Unknown,
}

/// Fields of the client that are not passed on: they belong to its connection, or are set anew.
const OWN: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "keep-alive",
    "expect",
    "upgrade",
    // It belongs to an Upgrade to HTTP/2, which is never passed on.
    "http2-settings",
];

/// The method that the other server is asked with.
pub fn method<'a>(x: &'a Exchange, conf: &'a Conf) -> Cow<'a, [u8]> {
    match &conf.method {
        // A line break would end the request line, and what follows it would be another request.
        Some(text) => match x.eval(text) {
            Cow::Borrowed(method) => safe(method),
            Cow::Owned(method) => Cow::Owned(safe(&method).into_owned()),
        },
        None if x.course.as_get && !x.is_head() => Cow::Borrowed(b"GET"),
        None => Cow::Borrowed(x.head.method_text()),
    }
}

/// A head.
pub struct Head {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where the URI stands in it.
    pub uri: Range<usize>,
    /// Whether it asks for another protocol.
    pub upgrades: bool,
}

/// Makes the head.
pub fn head(x: &Exchange, conf: &Conf, pass: &Pass, parts: &Parts, length: &Length) -> Head {
    let uri = uri::make(x, &parts.uri, &pass.prefix, pass.is_computed(parts));
    let mut out = Vec::with_capacity(512 + x.head.raw().len());
    let version: &[u8] = if conf.http11 { b" HTTP/1.1\r\n" } else { b" HTTP/1.0\r\n" };
    let mut line = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    let (method, uri) = (method(x, conf), safe(&uri));
    line(&[&method, b" ", &uri, version]);
    let uri = method.len() + 1..method.len() + 1 + uri.len();
    let asked = asked_protocols(x, conf);
    // What the conf would say of the client's body is not true of a question, which has none.
    let is_untrue = |name: &[u8]| x.head.is_question() && is_withheld(name);
    for (name, text) in conf.fields.iter().filter(|(name, _)| !is_untrue(name)) {
        let value = x.eval(text);
        let value = match &asked {
            Asked { is_changed: true, .. } if name.eq_ignore_ascii_case(b"upgrade") => protocols(text, &value),
            Asked { is_changed: true, upgrades: false } if name.eq_ignore_ascii_case(b"connection") => {
                connection_without(&value)
            }
            _ => Cow::Borrowed(&value[..]),
        };
        if !value.is_empty() {
            line(&[name, b": ", &safe(&value), b"\r\n"]);
        }
    }
    let is_set = |name: &str| conf.fields.iter().any(|(set, _)| set.eq_ignore_ascii_case(name.as_bytes()));
    if !is_set("host") {
        line(&[b"Host: ", parts.host(), b"\r\n"]);
    }
    if !is_set("connection") {
        line(&[b"Connection: close\r\n"]);
    }
    match length {
        Length::Bytes(length) if !is_set("content-length") => {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "Content-Length: {length}\r\n");
        }
        Length::Unknown if !is_set("transfer-encoding") => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        _ => {}
    }
    let mut line = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    if conf.relay.pass_request_headers {
        for (name, value) in x.head.fields() {
            let is_own = OWN.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()));
            let is_replaced = conf.fields.iter().any(|(set, _)| set.eq_ignore_ascii_case(name));
            if !is_own && !is_replaced {
                line(&[name, b": ", value, b"\r\n"]);
            }
        }
    }
    line(&[b"\r\n"]);
    Head { bytes: out, uri, upgrades: asked.upgrades }
}

/// What the conf's lines make of a wish for another protocol.
struct Asked {
    /// Whether another protocol is asked for.
    upgrades: bool,
    /// Whether a version of HTTP was, which is left out.
    is_changed: bool,
}

/// What of an Upgrade goes on. Only what came with the request is doubtful: a text without variables is the conf's own wish.
fn protocols<'v>(text: &Text, value: &'v [u8]) -> Cow<'v, [u8]> {
    if text.constant().is_some() { Cow::Borrowed(value) } else { without_http(value) }
}

fn asked_protocols(x: &Exchange, conf: &Conf) -> Asked {
    let mut asked = Asked { upgrades: false, is_changed: false };
    for (_, text) in conf.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"upgrade")) {
        let value = x.eval(text);
        let kept = protocols(text, &value);
        asked.is_changed |= kept != value;
        asked.upgrades |= !kept.is_empty();
    }
    asked
}

/// A value as it may stand in a head: a line break from a decoded path would begin another field.
fn safe(value: &[u8]) -> Cow<'_, [u8]> {
    match is_safe_value(value) {
        true => Cow::Borrowed(value),
        false => value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n' | 0)).collect(),
    }
}
