//! The first line of a request: method, target, version. Follows nginx's rules, which differ
//! from httparse's (methods, versions, runs of spaces, raw bytes); knows nothing of fields.

use std::ops::Range;

use super::authority;
use super::head_error::HeadError;
use super::method::Method;

/// The version of the protocol that a request speaks, as far as it changes what we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// A line without a version: the answer has no head.
    Http09,
    /// `HTTP/1.0`: closes after the answer unless asked otherwise.
    Http10,
    /// `HTTP/1.1`, and every later 1.x, whose highest version that we speak is 1.1 (RFC 9110 section 2.5).
    #[default]
    Http11,
}

/// The parts of a request line, as ranges of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine {
    /// The method.
    pub method: Method,
    /// Where the method's text stands: always from the start of the line.
    pub method_len: usize,
    /// The raw request-target.
    pub target: Range<usize>,
    /// The text of the version, empty in HTTP/0.9.
    pub protocol: Range<usize>,
    /// What that text means.
    pub version: Version,
}

impl RequestLine {
    /// Parses one line, with or without its line end.
    pub fn parse(line: &[u8]) -> Result<RequestLine, HeadError> {
        let line = without_end(line);
        let method_len = method_len(line).ok_or(HeadError::BadMethod)?;
        let method = Method::parse(&line[..method_len]);
        let start = after_spaces(line, method_len);
        let end = line[start..].iter().position(|&b| b == b' ').map_or(line.len(), |i| start + i);
        let target = &line[start..end];
        // Bytes of 0x80 and above stay as they are: clients send raw UTF-8, and nginx lets them.
        if target.is_empty() || target.iter().any(|&b| b < 0x20 || b == 0x7f) {
            return Err(HeadError::BadRequestLine);
        }
        let version_at = after_spaces(line, end);
        let protocol = &line[version_at..];
        let protocol = &protocol[..protocol.iter().rposition(|&b| b != b' ').map_or(0, |i| i + 1)];
        // Before the target's form: HTTP/2 begins with a target that only its own version knows.
        let version = if protocol.is_empty() { Version::Http09 } else { parse_version(protocol)? };
        check_form(method, target)?;
        if version == Version::Http09 && method != Method::Get {
            return Err(HeadError::BadMethod09);
        }
        let protocol = version_at..version_at + protocol.len();
        Ok(RequestLine { method, method_len, target: start..end, protocol, version })
    }
}

/// The method that a line begins with, whatever follows it: a HEAD whose target is refused gets no body either.
pub fn method_of(line: &[u8]) -> Method {
    method_len(line).map_or(Method::Other, |len| Method::parse(&line[..len]))
}

/// How long the method is, where a space ends it.
fn method_len(line: &[u8]) -> Option<usize> {
    let len = line.iter().position(|&b| !begins_method(b))?;
    (len > 0 && line[len] == b' ').then_some(len)
}

/// Whether a method may hold this byte: nginx takes capital letters, `_` and `-`.
pub fn begins_method(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte == b'_' || byte == b'-'
}

/// The line without LF or CR LF.
pub fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn after_spaces(line: &[u8], from: usize) -> usize {
    line[from..].iter().position(|&b| b != b' ').map_or(line.len(), |i| from + i)
}

/// `HTTP/1.x` with one to three digits after the dot; a higher major version is 505 whatever follows.
fn parse_version(text: &[u8]) -> Result<Version, HeadError> {
    match text {
        b"HTTP/1.1" => return Ok(Version::Http11),
        b"HTTP/1.0" => return Ok(Version::Http10),
        _ => {}
    }
    let number = text.strip_prefix(b"HTTP/").ok_or(HeadError::BadRequestLine)?;
    match number {
        [b'2'..=b'9', ..] | [b'1', b'0'..=b'9', ..] => Err(HeadError::BadVersion),
        [b'1', b'.', minor @ ..] if (1..=3).contains(&minor.len()) && minor.iter().all(u8::is_ascii_digit) => {
            let zero = minor.iter().all(|&digit| digit == b'0');
            Ok(if zero { Version::Http10 } else { Version::Http11 })
        }
        _ => Err(HeadError::BadRequestLine),
    }
}

/// The four forms of a target (RFC 9112 section 3.2), each only where it is allowed.
fn check_form(method: Method, target: &[u8]) -> Result<(), HeadError> {
    if target[0] == b'/' {
        return Ok(());
    }
    if method == Method::Options && target == b"*" {
        return Ok(());
    }
    if let Some(range) = authority::of_absolute(target) {
        return if authority::is_valid(&target[range]) { Ok(()) } else { Err(HeadError::BadTargetHost) };
    }
    // authority-form carries a port always (RFC 9112 section 3.2.3).
    let has_port = target.iter().rposition(|&b| b == b':').is_some_and(|i| i + 1 < target.len());
    if method == Method::Connect && has_port && authority::is_valid(target) {
        return Ok(());
    }
    Err(HeadError::BadRequestLine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Version::*;

    #[test]
    fn lines_that_are_taken() {
        let table: &[(&str, Method, &str, &str, Version)] = &[
            ("GET /x HTTP/1.1\r\n", Method::Get, "/x", "HTTP/1.1", Http11),
            ("GET /x HTTP/1.1\n", Method::Get, "/x", "HTTP/1.1", Http11),
            ("GET /x HTTP/1.0", Method::Get, "/x", "HTTP/1.0", Http10),
            ("GET   /x   HTTP/1.1   \r\n", Method::Get, "/x", "HTTP/1.1", Http11),
            ("GET /x HTTP/1.2", Method::Get, "/x", "HTTP/1.2", Http11),
            ("GET /x HTTP/1.999", Method::Get, "/x", "HTTP/1.999", Http11),
            ("GET /x HTTP/1.00", Method::Get, "/x", "HTTP/1.00", Http10),
            ("GET /x HTTP/1.01", Method::Get, "/x", "HTTP/1.01", Http11),
            ("GET /x\r\n", Method::Get, "/x", "", Http09),
            ("GET /x  \n", Method::Get, "/x", "", Http09),
            ("M_X-Y / HTTP/1.1", Method::Other, "/", "HTTP/1.1", Http11),
            ("- / HTTP/1.1", Method::Other, "/", "HTTP/1.1", Http11),
            ("GET /\u{e9}? HTTP/1.1", Method::Get, "/\u{e9}?", "HTTP/1.1", Http11),
            ("GET http://a/x HTTP/1.1", Method::Get, "http://a/x", "HTTP/1.1", Http11),
            ("GET http://a?b HTTP/1.1", Method::Get, "http://a?b", "HTTP/1.1", Http11),
            ("OPTIONS * HTTP/1.1", Method::Options, "*", "HTTP/1.1", Http11),
            ("CONNECT a:80 HTTP/1.1", Method::Connect, "a:80", "HTTP/1.1", Http11),
            ("CONNECT [::1]:80 HTTP/1.1", Method::Connect, "[::1]:80", "HTTP/1.1", Http11),
        ];
        for (line, method, target, protocol, version) in table {
            let parsed = RequestLine::parse(line.as_bytes()).unwrap_or_else(|e| panic!("{line:?}: {e:?}"));
            assert_eq!(parsed.method, *method, "{line:?}");
            assert_eq!(&line[parsed.target], *target, "{line:?}");
            assert_eq!(&line[parsed.protocol], *protocol, "{line:?}");
            assert_eq!(parsed.version, *version, "{line:?}");
        }
    }

    #[test]
    fn lines_that_are_refused() {
        let table: &[(HeadError, &[&[u8]])] = &[
            (
                HeadError::BadMethod,
                &[b"", b"\r\n", b"GET", b"get / HTTP/1.1", b"GEt / HTTP/1.1", b" GET / HTTP/1.1", b"GET\t/", b"G1 /"],
            ),
            (
                HeadError::BadRequestLine,
                &[
                    b"GET ",
                    b"GET /x y HTTP/1.1",
                    b"GET /x\tHTTP/1.1",
                    b"GET /\0 HTTP/1.1",
                    b"GET /\x1f HTTP/1.1",
                    b"GET /\x7f HTTP/1.1",
                    b"GET /\r HTTP/1.1",
                    b"GET / HTTP/1.1\r\r\n",
                    b"GET / HTTP/1.1x",
                    b"GET / HTTP/1",
                    b"GET / HTTP/1.",
                    b"GET / HTTP/1.1000",
                    b"GET / HTTP/0.9",
                    b"GET / HTTP/01.1",
                    b"GET / http/1.1",
                    b"GET / HTTP/ 1.1",
                    b"GET / H",
                    b"GET x HTTP/1.1",
                    b"GET * HTTP/1.1",
                    b"OPTIONS *x HTTP/1.1",
                    b"GET a:80 HTTP/1.1",
                    b"CONNECT a HTTP/1.1",
                    b"CONNECT a: HTTP/1.1",
                    b"GET http:/x HTTP/1.1",
                    b"GET 1a://h/ HTTP/1.1",
                    b"GET ://h/ HTTP/1.1",
                    b"GET HTTP/1.1",
                ],
            ),
            (
                HeadError::BadTargetHost,
                &[b"GET http:///x HTTP/1.1", b"GET http://u@h/ HTTP/1.1", b"GET http://h#f HTTP/1.1"],
            ),
            (HeadError::BadMethod09, &[b"POST /x\r\n", b"HEAD /x"]),
            (HeadError::BadVersion, &[b"GET / HTTP/2.0", b"GET / HTTP/10.0", b"GET / HTTP/2", b"PRI * HTTP/2.0"]),
        ];
        for (error, lines) in table {
            for line in *lines {
                assert_eq!(RequestLine::parse(line), Err(*error), "{}", line.escape_ascii());
            }
        }
    }
}
