//! The one place that chooses how an answer is framed and whether its connection is reused, and
//! the one that writes an answer's head (RFC 9112 sections 6 and 9). Knows no setting and no clock.

use super::date;
use super::head::Version;
use super::method::Method;
use super::response::{Chunks, ContentType, Response};
use super::status;

/// How the body goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// No byte of it.
    Empty,
    /// As it is, this many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// As it is, until the connection closes.
    UntilClose,
}

/// What was decided for one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// Whether the answer has a head at all.
    pub head: bool,
    /// The value of Content-Length; a HEAD or an empty body may name one too.
    pub length: Option<u64>,
    /// How the body goes out.
    pub body: BodyFraming,
    /// Whether the connection is reused after it.
    pub keep_alive: bool,
}

/// Decides the framing of a response to a request of this version and method. `keep` is what client, settings and request body allow.
pub fn of(response: &Response, version: Version, method: Method, keep: bool) -> Framing {
    // The body of a response to HEAD is gone by now, and nobody may know the length it would have had.
    let length = if method == Method::Head { response.length } else { response.length.or(response.body.known_len()) };
    decide(version, method, response.status, length, response.delivery.chunks, keep)
}

/// Decides the framing of a response of this status. `body_length` is `None` for a stream whose length nobody
/// knows yet; `keep_alive_wanted` is what client, settings and request body allow.
pub fn decide(
    version: Version,
    method: Method,
    status: u16,
    body_length: Option<u64>,
    chunks: Chunks,
    keep_alive_wanted: bool,
) -> Framing {
    let keep_alive = keep_alive_wanted && version != Version::Http09;
    // HTTP/0.9: the body alone, ended by the close.
    if version == Version::Http09 {
        return Framing { head: false, length: None, body: BodyFraming::UntilClose, keep_alive };
    }
    // RFC 9112 section 6.3, rule 1: 1xx, 204 and 304 end at the blank line; RFC 9110 section 8.6: no length then.
    if status::is_bodiless(status) {
        return Framing { head: true, length: None, body: BodyFraming::Empty, keep_alive };
    }
    // Section 6.3, rule 1: an answer to HEAD ends there too, but names the length that GET would have.
    if method == Method::Head {
        return Framing { head: true, length: body_length, body: BodyFraming::Empty, keep_alive };
    }
    // Chunks are a matter of HTTP/1.1 (section 6.1).
    let chunks = if version == Version::Http11 { chunks } else { Chunks::Never };
    match (body_length, chunks) {
        // Section 6.3, rule 6: Content-Length.
        (Some(length), Chunks::Never | Chunks::IfNeeded) => {
            Framing { head: true, length: Some(length), body: BodyFraming::Length(length), keep_alive }
        }
        // Section 6.3, rule 4: chunked; section 7.1.2: fields follow chunks only.
        (_, Chunks::IfNeeded | Chunks::Always) => {
            Framing { head: true, length: None, body: BodyFraming::Chunked, keep_alive }
        }
        // Section 6.3, rule 8: all bytes until the close.
        (None, Chunks::Never) => Framing { head: true, length: None, body: BodyFraming::UntilClose, keep_alive: false },
    }
}

/// Appends status line, header fields and blank line; nothing when the response has no head. `date` is today's, as an IMF date. Fields whose
/// name or value would break the head are left out: their count comes back, for the log.
pub fn write_head(out: &mut Vec<u8>, response: &Response, framing: &Framing, date: &[u8]) -> usize {
    if !framing.head {
        return 0;
    }
    let code = status::on_wire(response.status);
    // The space stays when there is no phrase (RFC 9112 section 4).
    let words = response
        .foreign
        .as_ref()
        .filter(|foreign| foreign.status == response.status)
        .and_then(|foreign| foreign.reason.as_deref())
        .filter(|words| is_safe_value(words));
    push_status(out, code);
    push_all(out, &[words.unwrap_or(status::reason(code).as_bytes()), b"\r\n"]);
    let dropped = each_field(response, framing, date, |name, value| push_all(out, &[name, b": ", value, b"\r\n"]));
    out.extend_from_slice(b"\r\n");
    dropped
}

/// Gives `field` the name and value of each header field, in nginx's order: those of the response, and those that say how it is framed
/// on its connection. What would break a head is left out and counted.
#[inline(always)]
pub fn each_field(response: &Response, framing: &Framing, date: &[u8], mut field: impl FnMut(&[u8], &[u8])) -> usize {
    let mut dropped = 0;
    let mut checked = |name: &[u8], value: &[u8]| {
        if is_safe_value(value) { field(name, value) } else { dropped += 1 }
    };
    let foreign = response.foreign.as_ref();
    let server = foreign.and_then(|foreign| foreign.server.as_deref()).unwrap_or(&response.delivery.server);
    if !server.is_empty() {
        checked(b"Server", server);
    }
    checked(b"Date", foreign.and_then(|foreign| foreign.date.as_deref()).unwrap_or(date));
    if let ContentType::Is(kind) = &response.content_type {
        checked(b"Content-Type", kind);
    }
    let (mut digits, mut moment) = ([0; 20], [0; date::IMF_LEN]);
    if let Some(length) = framing.length {
        checked(b"Content-Length", decimal(&mut digits, length));
    }
    if let Some(seconds) = response.last_modified {
        checked(b"Last-Modified", date::write_imf(&mut moment, seconds));
    }
    if let Some(location) = &response.location {
        checked(b"Location", location);
    }
    if foreign.is_some_and(|foreign| foreign.switch.is_some()) {
        // RFC 9110 section 7.8: Upgrade stands beside it.
        checked(b"Connection", b"upgrade");
    } else {
        connection_fields(framing, response.delivery.keep_alive_timeout, &mut checked);
    }
    if let Some(etag) = &response.etag {
        checked(b"ETag", etag);
    }
    let mut unnamed = 0;
    for (name, value) in &response.fields {
        if is_safe_name(name) { checked(name, value) } else { unnamed += 1 }
    }
    if response.ranges && status::on_wire(response.status) == 200 {
        checked(b"Accept-Ranges", b"bytes");
    }
    dropped + unnamed
}

/// The status line up to its words.
pub(super) fn push_status(out: &mut Vec<u8>, code: u16) {
    let mut line = *b"HTTP/1.1 000 ";
    for (place, unit) in line[9..12].iter_mut().zip([100, 10, 1]) {
        *place += (code / unit % 10) as u8;
    }
    out.extend_from_slice(&line);
}

/// Transfer-Encoding, Connection and Keep-Alive: what belongs to this connection only.
#[inline(always)]
fn connection_fields(framing: &Framing, timeout: Option<u64>, field: &mut impl FnMut(&[u8], &[u8])) {
    if framing.body == BodyFraming::Chunked {
        field(b"Transfer-Encoding", b"chunked");
    }
    if !framing.keep_alive {
        return field(b"Connection", b"close");
    }
    // HTTP/1.1 keeps alive unasked, yet nginx says so and HTTP/1.0 clients need it.
    field(b"Connection", b"keep-alive");
    if let Some(seconds) = timeout {
        let mut digits = [0; 20];
        field(b"Keep-Alive", &[b"timeout=", decimal(&mut digits, seconds)].concat());
    }
}

pub(super) fn push_all(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Whether every value of an answer's fields can be written as it is.
pub fn is_safe(response: &Response) -> bool {
    response.fields.iter().all(|(_, value)| is_safe_value(value))
        && response.location.as_deref().is_none_or(is_safe_value)
        && response.etag.as_deref().is_none_or(is_safe_value)
}

/// RFC 9110 section 5.5: CR, LF and NUL are dangerous in a value, whoever made it.
pub fn is_safe_value(value: &[u8]) -> bool {
    !has_low(value) || memchr::memchr3(b'\r', b'\n', 0, value).is_none()
}

/// Whether some byte is below 0x10, eight of them at a look: values are short, so that anything that takes a run-up costs more.
fn has_low(value: &[u8]) -> bool {
    let (words, rest) = value.as_chunks::<8>();
    // Bytes with a high nibble of zero borrow from their top bit when 0x10 is taken from them.
    let is_low =
        |word: u64| word.wrapping_sub(u64::from_ne_bytes([0x10; 8])) & !word & u64::from_ne_bytes([0x80; 8]) != 0;
    words.iter().any(|word| is_low(u64::from_ne_bytes(*word))) || rest.iter().any(|&b| b < 0x10)
}

/// A name that ends where it seems to end; odd letters in it are the conf's own wish.
pub fn is_safe_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.iter().fold(false, |found, &b| found | (b <= b' ') | (b == b':') | (b == 0x7f))
}

/// A number as digits, at the end of the room for them.
fn decimal(digits: &mut [u8; 20], number: u64) -> &[u8] {
    let (mut start, mut rest) = (20, number);
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BodyFraming::*;
    use Version::*;

    #[test]
    fn framing_by_version_method_and_status() {
        let get = Method::Get;
        let table = [
            (Http11, get, 200, Some(5), true, (Some(5), Length(5), true)),
            (Http11, get, 200, Some(5), false, (Some(5), Length(5), false)),
            (Http11, get, 200, Some(0), true, (Some(0), Length(0), true)),
            (Http11, get, 200, None, true, (None, Chunked, true)),
            (Http11, get, 404, None, false, (None, Chunked, false)),
            (Http10, get, 200, Some(5), true, (Some(5), Length(5), true)),
            (Http10, get, 200, None, true, (None, UntilClose, false)),
            (Http11, Method::Head, 200, Some(5), true, (Some(5), Empty, true)),
            (Http11, Method::Head, 200, None, true, (None, Empty, true)),
            (Http10, Method::Head, 200, None, true, (None, Empty, true)),
            (Http11, get, 304, Some(5), true, (None, Empty, true)),
            (Http11, get, 204, Some(0), true, (None, Empty, true)),
            (Http11, get, 204, None, false, (None, Empty, false)),
            (Http11, Method::Head, 304, Some(5), true, (None, Empty, true)),
            (Http11, get, 100, None, true, (None, Empty, true)),
            (Http09, get, 200, Some(5), true, (None, UntilClose, false)),
            (Http09, get, 404, None, true, (None, UntilClose, false)),
        ];
        for (version, method, status, length, wanted, expected) in table {
            let framing = decide(version, method, status, length, Chunks::IfNeeded, wanted);
            let name = format!("{version:?} {method:?} {status} {length:?} {wanted}");
            assert_eq!((framing.length, framing.body, framing.keep_alive), expected, "{name}");
            assert_eq!(framing.head, version != Http09, "{name}");
        }
    }

    #[test]
    fn chunks_by_settings_and_trailers() {
        for (version, length, chunks, expected) in [
            (Http11, Some(5), Chunks::Always, (None, Chunked, true)),
            (Http11, Some(0), Chunks::Always, (None, Chunked, true)),
            (Http11, None, Chunks::Always, (None, Chunked, true)),
            (Http10, Some(5), Chunks::Always, (Some(5), Length(5), true)),
            (Http10, None, Chunks::Always, (None, UntilClose, false)),
            (Http11, Some(5), Chunks::Never, (Some(5), Length(5), true)),
            (Http11, None, Chunks::Never, (None, UntilClose, false)),
        ] {
            let framing = decide(version, Method::Get, 200, length, chunks, true);
            assert_eq!(
                (framing.length, framing.body, framing.keep_alive),
                expected,
                "{version:?} {length:?} {chunks:?}"
            );
        }
        let head = decide(Http11, Method::Head, 200, Some(5), Chunks::Always, true);
        assert_eq!((head.length, head.body), (Some(5), Empty));
        assert_eq!(decide(Http11, Method::Get, 204, Some(0), Chunks::Always, true).body, Empty);
    }

    fn head(response: &Response, framing: &Framing) -> (String, usize) {
        let mut out = b"before".to_vec();
        let dropped = write_head(&mut out, response, framing, b"D");
        (String::from_utf8(out[6..].to_vec()).unwrap(), dropped)
    }

    /// A response whose type and server are settled.
    fn settled(status: u16) -> Response {
        let mut response = Response::new(status);
        response.content_type = ContentType::Is("text/html".into());
        response.delivery.server = "longshore".into();
        response
    }

    #[test]
    fn fields_stand_in_nginx_order() {
        let mut response = settled(200);
        response.last_modified = Some(784_111_777);
        response.location = Some("/z".into());
        response.etag = Some("\"1-2\"".into());
        response.ranges = true;
        response.push("X-A", "b");
        let framing = decide(Http11, Method::Get, 200, Some(18_446), Chunks::IfNeeded, true);
        response.delivery.keep_alive_timeout = Some(30);
        let expected = "HTTP/1.1 200 OK\r\nServer: longshore\r\nDate: D\r\nContent-Type: text/html\r\n\
            Content-Length: 18446\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nLocation: /z\r\n\
            Connection: keep-alive\r\nKeep-Alive: timeout=30\r\nETag: \"1-2\"\r\nX-A: b\r\nAccept-Ranges: bytes\r\n\r\n";
        assert_eq!(head(&response, &framing), (expected.to_owned(), 0));
    }

    #[test]
    fn small_heads() {
        let mut ranged = Response::new(206);
        ranged.ranges = true;
        let table = [
            (
                ranged,
                Some(0),
                true,
                "206 Partial Content",
                "Content-Length: 0\r\nConnection: keep-alive\r\nKeep-Alive: timeout=9\r\n",
            ),
            (
                Response::new(200),
                None,
                true,
                "200 OK",
                "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\nKeep-Alive: timeout=9\r\n",
            ),
            (Response::new(304), None, false, "304 Not Modified", "Connection: close\r\n"),
            (Response::new(494), Some(7), false, "400 Bad Request", "Content-Length: 7\r\nConnection: close\r\n"),
            (Response::new(799), Some(7), false, "799 ", "Content-Length: 7\r\nConnection: close\r\n"),
        ];
        for (mut response, length, keep, line, fields) in table {
            response.delivery.keep_alive_timeout = Some(9);
            let framing = decide(Http11, Method::Get, response.status, length, Chunks::IfNeeded, keep);
            let expected = format!("HTTP/1.1 {line}\r\nDate: D\r\n{fields}\r\n");
            assert_eq!(head(&response, &framing), (expected, 0));
        }
        let old = decide(Http09, Method::Get, 200, Some(1), Chunks::Always, true);
        assert_eq!(head(&settled(200), &old), (String::new(), 0));
    }

    #[test]
    fn a_field_never_begins_another_line() {
        let framing = decide(Http11, Method::Get, 200, Some(0), Chunks::IfNeeded, false);
        let mut response = settled(200);
        response.content_type = ContentType::Is("a\nb".into());
        response.location = Some("/a\r\nSet-Cookie: b".into());
        response.etag = Some("\"\n\"".into());
        for value in ["a\r", "a\nb", "\0", "ok"] {
            response.push("X-V", value.as_bytes());
        }
        for name in ["", "X\r\nY", "X:Y", "X Y", "X\0"] {
            response.push(name, "v");
        }
        let (text, dropped) = head(&response, &framing);
        assert_eq!(dropped, 11);
        assert_eq!(
            text,
            "HTTP/1.1 200 OK\r\nServer: longshore\r\nDate: D\r\nContent-Length: 0\r\nConnection: close\r\nX-V: ok\r\n\r\n"
        );
    }

    #[test]
    fn decimals() {
        for number in [0, 9, 10, 99, 100, 4_294_967_296, u64::MAX] {
            assert_eq!(decimal(&mut [0; 20], number), number.to_string().as_bytes());
        }
    }
}
