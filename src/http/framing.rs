//! The one place that chooses how an answer is framed and whether its connection is reused, and
//! the one that writes an answer's head (RFC 9112 sections 6 and 9). Knows no setting and no clock.

use super::date;
use super::head::Version;
use super::method::Method;
use super::response::Response;
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

/// When an answer goes out in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunks {
    /// Never: the settings say so, or the client knows none.
    Never,
    /// If nobody knows how long it will be.
    IfNeeded,
    /// In any case, since fields follow it.
    Always,
}

/// Decides the framing of an answer of this status. `body_length` is `None` for a stream whose length nobody
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

/// Fields that come from settings and clock rather than from the answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadFields<'a> {
    /// Server, when it is sent.
    pub server: Option<&'a [u8]>,
    /// Date: an IMF date.
    pub date: &'a [u8],
    /// Content-Type, when there is one.
    pub content_type: Option<&'a [u8]>,
    /// Seconds that the Keep-Alive field promises, when it is sent.
    pub keep_alive_timeout: Option<u64>,
}

/// Appends status line, fields and blank line, in nginx's order; nothing when the answer has no head. Fields whose
/// name or value would break the head are left out: their count comes back, for the log.
pub fn write_head(out: &mut Vec<u8>, response: &Response, framing: &Framing, given: &HeadFields<'_>) -> usize {
    if !framing.head {
        return 0;
    }
    let mut dropped = 0;
    let code = status::on_wire(response.status);
    // The space stays when there is no phrase (RFC 9112 section 4).
    let foreign = response.foreign.as_ref();
    let words = foreign
        .filter(|foreign| foreign.status == response.status)
        .and_then(|foreign| foreign.reason.as_deref())
        .filter(|words| is_safe_value(words));
    push_status(out, code);
    push_all(out, &[words.unwrap_or(status::reason(code).as_bytes()), b"\r\n"]);
    // A name that is ours brings its colon along.
    let mut field = |out: &mut Vec<u8>, name: &[u8], value: &[u8]| match is_safe_value(value) {
        true => push_all(out, &[name, value, b"\r\n"]),
        false => dropped += 1,
    };
    if let Some(server) = given.server {
        field(out, b"Server: ", server);
    }
    field(out, b"Date: ", given.date);
    if let Some(content_type) = given.content_type {
        field(out, b"Content-Type: ", content_type);
    }
    if let Some(length) = framing.length {
        out.extend_from_slice(b"Content-Length: ");
        push_decimal(out, length);
        out.extend_from_slice(b"\r\n");
    }
    if let Some(seconds) = response.last_modified {
        out.extend_from_slice(b"Last-Modified: ");
        date::push_imf(out, seconds);
        out.extend_from_slice(b"\r\n");
    }
    if let Some(location) = &response.location {
        field(out, b"Location: ", location);
    }
    match foreign.and_then(|foreign| foreign.switch.as_ref()) {
        // RFC 9110 section 7.8: Upgrade stands beside it.
        Some(_) => out.extend_from_slice(b"Connection: upgrade\r\n"),
        None => push_connection(out, framing, given.keep_alive_timeout),
    }
    if let Some(etag) = &response.etag {
        field(out, b"ETag: ", etag);
    }
    for (name, value) in &response.fields {
        match is_safe_name(name) && is_safe_value(value) {
            true => push_all(out, &[name, b": ", value, b"\r\n"]),
            false => dropped += 1,
        }
    }
    if response.ranges && code == 200 {
        out.extend_from_slice(b"Accept-Ranges: bytes\r\n");
    }
    out.extend_from_slice(b"\r\n");
    dropped
}

/// The status line up to its words.
fn push_status(out: &mut Vec<u8>, code: u16) {
    let mut line = *b"HTTP/1.1 000 ";
    for (place, unit) in line[9..12].iter_mut().zip([100, 10, 1]) {
        *place += (code / unit % 10) as u8;
    }
    out.extend_from_slice(&line);
}

/// Transfer-Encoding, Connection and Keep-Alive: what belongs to this connection only.
fn push_connection(out: &mut Vec<u8>, framing: &Framing, timeout: Option<u64>) {
    if framing.body == BodyFraming::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if !framing.keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
        return;
    }
    // HTTP/1.1 keeps alive unasked, yet nginx says so and HTTP/1.0 clients need it.
    out.extend_from_slice(b"Connection: keep-alive\r\n");
    if let Some(seconds) = timeout {
        out.extend_from_slice(b"Keep-Alive: timeout=");
        push_decimal(out, seconds);
        out.extend_from_slice(b"\r\n");
    }
}

fn push_all(out: &mut Vec<u8>, parts: &[&[u8]]) {
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

fn push_decimal(out: &mut Vec<u8>, number: u64) {
    let (mut digits, mut start, mut rest) = ([0; 20], 20, number);
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
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

    const GIVEN: HeadFields<'_> = HeadFields {
        server: Some(b"longshore"),
        date: b"D",
        content_type: Some(b"text/html"),
        keep_alive_timeout: None,
    };

    fn head(response: &Response, framing: &Framing, given: &HeadFields<'_>) -> (String, usize) {
        let mut out = b"before".to_vec();
        let dropped = write_head(&mut out, response, framing, given);
        (String::from_utf8(out[6..].to_vec()).unwrap(), dropped)
    }

    #[test]
    fn fields_stand_in_nginx_order() {
        let mut response = Response::new(200);
        response.last_modified = Some(784_111_777);
        response.location = Some("/z".into());
        response.etag = Some("\"1-2\"".into());
        response.ranges = true;
        response.push("X-A", "b");
        let framing = decide(Http11, Method::Get, 200, Some(18_446), Chunks::IfNeeded, true);
        let given = HeadFields { keep_alive_timeout: Some(30), ..GIVEN };
        let expected = "HTTP/1.1 200 OK\r\nServer: longshore\r\nDate: D\r\nContent-Type: text/html\r\n\
            Content-Length: 18446\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nLocation: /z\r\n\
            Connection: keep-alive\r\nKeep-Alive: timeout=30\r\nETag: \"1-2\"\r\nX-A: b\r\nAccept-Ranges: bytes\r\n\r\n";
        assert_eq!(head(&response, &framing, &given), (expected.to_owned(), 0));
    }

    #[test]
    fn small_heads() {
        let none = HeadFields { server: None, content_type: None, date: b"D", keep_alive_timeout: Some(9) };
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
        for (response, length, keep, line, fields) in table {
            let framing = decide(Http11, Method::Get, response.status, length, Chunks::IfNeeded, keep);
            let expected = format!("HTTP/1.1 {line}\r\nDate: D\r\n{fields}\r\n");
            assert_eq!(head(&response, &framing, &none), (expected, 0));
        }
        let old = decide(Http09, Method::Get, 200, Some(1), Chunks::Always, true);
        assert_eq!(head(&Response::new(200), &old, &GIVEN), (String::new(), 0));
    }

    #[test]
    fn a_field_never_begins_another_line() {
        let framing = decide(Http11, Method::Get, 200, Some(0), Chunks::IfNeeded, false);
        let mut response = Response::new(200);
        response.location = Some("/a\r\nSet-Cookie: b".into());
        response.etag = Some("\"\n\"".into());
        for value in ["a\r", "a\nb", "\0", "ok"] {
            response.push("X-V", value.as_bytes());
        }
        for name in ["", "X\r\nY", "X:Y", "X Y", "X\0"] {
            response.push(name, "v");
        }
        let (text, dropped) = head(&response, &framing, &HeadFields { content_type: Some(b"a\nb"), ..GIVEN });
        assert_eq!(dropped, 11);
        assert_eq!(
            text,
            "HTTP/1.1 200 OK\r\nServer: longshore\r\nDate: D\r\nContent-Length: 0\r\nConnection: close\r\nX-V: ok\r\n\r\n"
        );
    }

    #[test]
    fn decimals() {
        for number in [0, 9, 10, 99, 100, 4_294_967_296, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
