//! The variables of the request itself: what the client sent, who it is, what went out, what time it is.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use jiff::tz::TimeZone;

use crate::conf::args::Load;
use crate::conf::directive::Directive;
use crate::exchange::variables::{Value, Variable};
use crate::exchange::{Announced, Exchange, Received};
use crate::http::head::Known;
use crate::http::{cookie, date, proxy_protocol};

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    /// The machine's name when the conf was read.
    hostname: String,
}

impl Conf {
    /// What holds before any line was read.
    pub fn initial(load: &Load) -> Conf {
        Conf { hostname: load.hostname.clone() }
    }
}

/// The directives: none.
pub const DIRECTIVES: &[Directive<Conf>] = &[];

type Get = for<'a> fn(&'a Exchange, &'a Conf, &str) -> Value<'a>;

const fn one(name: &'static str, doc: &'static str, get: Get) -> Variable<Conf> {
    Variable { name, family: false, doc, get }
}

const fn family(name: &'static str, doc: &'static str, get: Get) -> Variable<Conf> {
    Variable { name, family: true, doc, get }
}

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[
    family("arg_", "The argument NAME of the query, as it was sent.", |x, _, name| {
        x.argument(name.as_bytes()).map(Cow::Borrowed)
    }),
    one("args", "The query, without its `?`.", args),
    one("query_string", "The same as `$args`.", args),
    one("is_args", "`?` if there is a query, else nothing.", is_args),
    one("binary_remote_addr", "The client's address as 4 or 16 bytes.", binary_remote_addr),
    one("body_bytes_sent", "How many bytes of the answer's body were sent.", |x, _, _| number(x.sent.body_bytes)),
    one("bytes_sent", "How many bytes were sent, the answer's head included.", |x, _, _| number(x.sent.bytes)),
    one("connection", "The connection's number since the start.", |x, _, _| number(x.client.number)),
    one("connection_requests", "Which request on its connection this is.", |x, _, _| number(x.origin.nth)),
    one("connection_time", "How long the connection exists, in seconds with milliseconds.", |x, _, _| {
        seconds(x.origin.connected.elapsed())
    }),
    one("content_length", "The length of the request's body, as far as it is known.", content_length),
    one("content_type", "The `Content-Type` field of the request.", |x, _, _| {
        x.head.known(Known::ContentType).map(Cow::Borrowed)
    }),
    family("cookie_", "The cookie NAME.", |x, _, name| {
        cookie::find(x.head.fields_named(b"cookie"), name.as_bytes()).map(Cow::Borrowed)
    }),
    one("document_uri", "The same as `$uri`.", uri),
    one("uri", "The current path, decoded and normalised; it changes with internal redirects.", uri),
    one("host", "The host that was asked for, in lower case and without its port, else the server's name.", host),
    one("hostname", "This machine's name.", |_, conf, _| text(&conf.hostname)),
    family("http_", "The request's field NAME, in lower case with `_` for `-`; several are joined by commas.", http),
    one("https", "`on` for a connection with TLS, else nothing.", |x, _, _| {
        text(if x.client.security.session().is_some() { "on" } else { "" })
    }),
    one("is_request_port", "`:` if `$request_port` is not empty, else nothing.", is_request_port),
    one(
        "request_source",
        "Who makes the request: `client`, `subrequest` (`auth_request`) or `errand` (`mirror`, `post_action`, `health_check`).",
        |x, _, _| text(x.origin.source.name()),
    ),
    one("request_port", "The port that the client named in its request or its `Host` field.", request_port),
    one(
        "location_line",
        "Where the location that took the request begins, as `FILE:LINE`; nothing outside any.",
        |x, _, _| Some(x.sources().place(x.blocks.1?).into_bytes().into()),
    ),
    one("server_line", "Where the server that took the request begins, as `FILE:LINE`.", |x, _, _| {
        Some(x.sources().place(x.blocks.0).into_bytes().into())
    }),
    one("msec", "The time now, in seconds with milliseconds.", |_, _, _| seconds(since_1970())),
    one("nginx_version", "The version of nginx whose conf language is spoken.", |_, _, _| text(SPEAKS)),
    one("pid", "The number of this process.", |_, _, _| number(u64::from(std::process::id()))),
    one("pipe", "`p` if the request came pipelined, else `.`.", |x, _, _| {
        text(if x.origin.pipelined { "p" } else { "." })
    }),
    one("proxy_protocol_addr", "The client's address as the PROXY protocol names it.", |x, _, _| {
        announced(x, |said| said.source.ip().to_string())
    }),
    one("proxy_protocol_port", "The client's port as the PROXY protocol names it.", |x, _, _| {
        announced(x, |said| said.source.port().to_string())
    }),
    one(
        "proxy_protocol_server_addr",
        "The address that the client connected to, as the PROXY protocol names it.",
        |x, _, _| announced(x, |said| said.destination.ip().to_string()),
    ),
    one(
        "proxy_protocol_server_port",
        "The port that the client connected to, as the PROXY protocol names it.",
        |x, _, _| announced(x, |said| said.destination.port().to_string()),
    ),
    family(
        "proxy_protocol_tlv_",
        "An extra field (TLV) of version 2 of the PROXY protocol, by its name (`alpn`, `authority`, `unique_id`, `netns`) or its number \
         (`0x05`); behind `ssl_` one of those inside the field of TLS: `ssl_version`, `ssl_cn`, `ssl_cipher`, `ssl_sig_alg`, \
         `ssl_key_alg`, `ssl_0x21`, and `ssl_verify`, which is `0` where the proxy found the client's certificate good.",
        |x, _, name| proxy_protocol::field(&x.client.announced.as_ref()?.fields, name),
    ),
    one("remote_addr", "The client's address, or `unix:`.", remote_addr),
    one("remote_port", "The client's port.", |x, _, _| match x.client.peer {
        // A proxy may have named an address without a port.
        Some(peer) if peer.port() > 0 => number(u64::from(peer.port())),
        _ => text(""),
    }),
    one("request", "The whole request line.", |x, _, _| bytes(x.head.request_line())),
    one("request_body", "The request's body, if it was read and is in memory.", request_body),
    one("request_completion", "`OK` if the answer was sent whole, else nothing.", |x, _, _| {
        text(if x.sent.complete { "OK" } else { "" })
    }),
    one("request_id", "A random number of the request in 32 hexadecimal digits.", |x, _, _| text(x.request_id())),
    one(
        "request_length",
        "How many bytes the request has: line, fields and body. 0 for one that the server makes itself.",
        request_length,
    ),
    one("request_method", "The method.", request_method),
    one("request_time", "How long the request has taken so far, in seconds with milliseconds.", |x, _, _| {
        seconds(x.origin.started.elapsed())
    }),
    one("request_uri", "The path with its query as the client sent it.", |x, _, _| bytes(sent_uri(x.head.target()))),
    one("scheme", "`https` for a connection with TLS, else `http`.", |x, _, _| {
        text(if x.client.security.session().is_some() { "https" } else { "http" })
    }),
    family(
        "sent_http_",
        "The answer's field NAME, in lower case with `_` for `-`; several lines are one list. `Server` and `Date` of our own are not among them.",
        sent_http,
    ),
    family(
        "sent_trailer_",
        "The field NAME behind the body of the answer (`add_trailer`), once that was sent.",
        |x, _, name| named(&x.sent.trailers, name),
    ),
    one("server_addr", "The address that the client connected to.", server_addr),
    one("server_port", "The port that the client connected to.", |x, _, _| match x.client.local {
        Some(local) => number(u64::from(local.port())),
        None => text(""),
    }),
    one("server_protocol", "The version of the request: `HTTP/1.0` or `HTTP/1.1`.", |x, _, _| bytes(x.head.protocol())),
    one("status", "The status of the answer, in three digits.", |x, _, _| {
        Some(format!("{:03}", x.status()).into_bytes().into())
    }),
    one("time_iso8601", "The time now in the form of ISO 8601.", |_, _, _| {
        Some(date::iso8601(since_1970().as_secs(), &LOCAL).into_bytes().into())
    }),
    one("time_iso8601_ms", "The time now in the form of ISO 8601 with milliseconds.", |_, _, _| {
        let now = since_1970();
        let text = date::iso8601(now.as_secs(), &LOCAL);
        // The zone is the last six characters: `+00:00`.
        let (time, zone) = text.split_at(text.len().saturating_sub(6));
        Some(format!("{time}.{:03}{zone}", now.subsec_millis()).into_bytes().into())
    }),
    one("time_local", "The time now in the form of the common log format.", |_, _, _| {
        Some(date::common_log(since_1970().as_secs(), &LOCAL).into_bytes().into())
    }),
];

/// The version of nginx whose directives and variables are meant.
const SPEAKS: &str = "1.28.0";

static LOCAL: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

fn text(text: &str) -> Value<'_> {
    Some(Cow::Borrowed(text.as_bytes()))
}

fn number(number: u64) -> Value<'static> {
    Some(number.to_string().into_bytes().into())
}

fn seconds(time: Duration) -> Value<'static> {
    Some(format!("{}.{:03}", time.as_secs(), time.subsec_millis()).into_bytes().into())
}

/// What is empty because it was not there.
fn bytes(text: &[u8]) -> Value<'_> {
    (!text.is_empty()).then_some(Cow::Borrowed(text))
}

fn announced(x: &Exchange, part: impl Fn(&Announced) -> String) -> Value<'_> {
    x.client.announced.as_ref().map(|said| part(said).into_bytes().into())
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn args<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    x.args.as_deref().map(Cow::Borrowed)
}

fn is_args<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    text(if x.args.as_ref().is_some_and(|args| !args.is_empty()) { "?" } else { "" })
}

fn uri<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    // A head that was refused has none.
    (!x.uri.is_empty()).then_some(Cow::Borrowed(&x.uri))
}

fn host<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    Some(Cow::Borrowed(x.head.host().unwrap_or(&x.server_name)))
}

fn binary_remote_addr<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    Some(match x.client.peer.map(|peer| peer.ip()) {
        None => Cow::Borrowed(b"unix:"),
        Some(IpAddr::V4(ip)) => ip.octets().to_vec().into(),
        Some(IpAddr::V6(ip)) => ip.octets().to_vec().into(),
    })
}

fn remote_addr<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    match x.client.peer {
        Some(peer) => Some(peer.ip().to_string().into_bytes().into()),
        None => text("unix:"),
    }
}

fn server_addr<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    match (x.client.local, &x.client.unix) {
        (Some(local), _) => Some(local.ip().to_string().into_bytes().into()),
        (None, Some(path)) => Some(format!("unix:{path}").into_bytes().into()),
        (None, None) => None,
    }
}

fn content_length<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    match (x.head.client_length(), &x.received) {
        (Some(length), _) => Some(Cow::Borrowed(length)),
        (None, Received::Nothing | Received::Coming(_) | Received::Passed) => None,
        (None, received) => number(length_of(received)),
    }
}

fn length_of(received: &Received) -> u64 {
    match received {
        Received::Nothing | Received::Coming(_) | Received::Passed => 0,
        Received::Memory(body) => body.len() as u64,
        Received::File(_, length) => *length,
    }
}

fn request_length<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    // What is asked inside came in no bytes.
    number(if x.head.depth() > 0 { 0 } else { x.head.raw().len() as u64 + x.body_read })
}

fn request_body<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    match &x.received {
        Received::Memory(body) => Some(Cow::Borrowed(body)),
        _ => None,
    }
}

fn request_method<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    // What a question is led to is asked by GET anyway, and tells of the client.
    let is_changed = x.course.as_get && !x.head.is_question();
    if is_changed { text("GET") } else { bytes(x.head.client_method_text()) }
}

/// What stands behind scheme and authority of a target.
fn sent_uri(target: &[u8]) -> &[u8] {
    match target.windows(3).position(|part| part == b"://") {
        Some(at) if target.first() != Some(&b'/') => {
            let rest = &target[at + 3..];
            let end = rest.iter().position(|b| matches!(b, b'/' | b'?'));
            end.map_or(b"/", |end| &rest[end..])
        }
        _ => target,
    }
}

fn request_port<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    let target = x.head.target();
    let named = match target.windows(3).position(|part| part == b"://") {
        Some(at) if target.first() != Some(&b'/') => {
            let rest = &target[at + 3..];
            Some(&rest[..rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len())])
        }
        _ => x.head.known(Known::Host),
    };
    Some(Cow::Borrowed(named.and_then(port_of).unwrap_or_default()))
}

fn is_request_port<'a>(x: &'a Exchange, conf: &'a Conf, _: &str) -> Value<'a> {
    let none = request_port(x, conf, "").is_none_or(|port| port.is_empty());
    text(if none { "" } else { ":" })
}

/// The port of `host:port`.
fn port_of(authority: &[u8]) -> Option<&[u8]> {
    let colon = authority.iter().rposition(|&b| b == b':')?;
    let port = &authority[colon + 1..];
    port.iter().all(u8::is_ascii_digit).then_some(port)
}

fn http<'a>(x: &'a Exchange, _: &'a Conf, name: &str) -> Value<'a> {
    // What every log line asks for is found without a search.
    match name {
        "user_agent" => return x.head.known(Known::UserAgent).map(Cow::Borrowed),
        "referer" => return x.head.known(Known::Referer).map(Cow::Borrowed),
        _ => {}
    }
    let separator = if name == "cookie" { "; " } else { ", " };
    join(x.head.client_fields().filter(|(field, _)| is_named(field, name)).map(|(_, value)| value), separator)
}

/// Fields that the server decides: what it says itself is the value, whatever lines of the conf add beside it. Theirs stands after it.
const DECIDED: [&str; 7] =
    ["connection", "content_length", "content_type", "keep_alive", "last_modified", "location", "transfer_encoding"];

fn sent_http<'a>(x: &'a Exchange, _: &'a Conf, name: &str) -> Value<'a> {
    if DECIDED.contains(&name) {
        let first = x.sent.fields.iter().find(|(field, _)| is_named(field, name));
        return first.map(|(_, value)| Cow::Borrowed(value.as_ref()));
    }
    named(&x.sent.fields, name)
}

fn named<'a>(fields: &'a [(Bytes, Bytes)], name: &str) -> Value<'a> {
    let fields = fields.iter().filter(|(field, _)| is_named(field, name));
    join(fields.map(|(_, value)| value.as_ref()), ", ")
}

/// Whether a field is the one a variable names: case does not matter, `-` is `_`.
fn is_named(field: &[u8], name: &str) -> bool {
    let fold = |byte: &u8| if *byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    field.len() == name.len() && field.iter().map(fold).eq(name.bytes())
}

fn join<'a>(mut values: impl Iterator<Item = &'a [u8]>, separator: &str) -> Value<'a> {
    let first = values.next()?;
    let mut all = Cow::Borrowed(first);
    for value in values {
        let all = all.to_mut();
        all.extend_from_slice(separator.as_bytes());
        all.extend_from_slice(value);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_targets() {
        for (target, uri) in [
            ("/a?b", "/a?b"),
            ("http://h/a", "/a"),
            ("http://h", "/"),
            ("http://h?x", "?x"),
            ("/http://h/a", "/http://h/a"),
            ("*", "*"),
        ] {
            assert_eq!(sent_uri(target.as_bytes()), uri.as_bytes(), "{target}");
        }
        for (authority, port) in
            [("a:80", Some("80")), ("a", None), ("[::1]", None), ("[::1]:8", Some("8")), ("a:", Some(""))]
        {
            assert_eq!(port_of(authority.as_bytes()), port.map(str::as_bytes), "{authority}");
        }
    }

    #[test]
    fn names_of_fields() {
        for (field, name, same) in [("X-Foo", "x_foo", true), ("x_foo", "x_foo", true), ("X-Fo", "x_foo", false)] {
            assert_eq!(is_named(field.as_bytes(), name), same, "{field}");
        }
        assert_eq!(join([&b"a"[..], b"b"].into_iter(), ", ").as_deref(), Some(&b"a, b"[..]));
        assert_eq!(join(std::iter::empty(), ", "), None);
    }
}
