//! The head of a request to another server: method, path, and the fields that come from the conf, from nginx's defaults and from
//! the client, in this order.

use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;

use super::pass::{Parts, Pass};
use super::rows::Conf;
use super::uri;
use crate::exchange::Exchange;
use crate::http::framing::is_safe_value;

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
const OWN: [&str; 8] =
    ["host", "connection", "content-length", "transfer-encoding", "te", "keep-alive", "expect", "upgrade"];

/// The method that the other server is asked with.
pub fn method<'a>(x: &'a Exchange, conf: &'a Conf) -> Cow<'a, [u8]> {
    match &conf.method {
        Some(text) => x.eval(text),
        None if x.as_get && !x.is_head() => Cow::Borrowed(b"GET"),
        None => Cow::Borrowed(x.head.method_text()),
    }
}

/// The head, and where the URI stands in it.
pub fn head(x: &Exchange, conf: &Conf, pass: &Pass, parts: &Parts, length: &Length) -> (Vec<u8>, Range<usize>) {
    let uri = uri::make(x, &parts.uri, &pass.prefix, pass.is_computed(parts));
    let mut out = Vec::with_capacity(512 + x.head.raw().len());
    let version: &[u8] = if conf.http11 { b" HTTP/1.1\r\n" } else { b" HTTP/1.0\r\n" };
    let mut line = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    let (method, uri) = (method(x, conf), safe(&uri));
    line(&[&method, b" ", &uri, version]);
    let uri = method.len() + 1..method.len() + 1 + uri.len();
    for (name, text) in conf.fields.iter() {
        let value = x.eval(text);
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
    (out, uri)
}

/// A value as it may stand in a head: a line break from a decoded path would begin another field.
fn safe(value: &[u8]) -> Cow<'_, [u8]> {
    match is_safe_value(value) {
        true => Cow::Borrowed(value),
        false => value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n' | 0)).collect(),
    }
}
