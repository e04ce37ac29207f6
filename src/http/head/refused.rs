//! A head that was refused, or never became whole: what is kept of it is what a server knows that reads line by line, as nginx
//! does, and stops at the first fault. Logs and error pages show it. Judges nothing that `parse` would take.

use super::{Head, HeadError, Span};
use crate::http::fields::{Known, is_token_byte};
use crate::http::request_line::{RequestLine, Version, method_of, without_end};
use crate::http::scanner::{Limits, Stop};
use crate::http::{authority, escape};

/// nginx's bound on what a line of its log repeats of a header line.
const SHOWN: usize = 1748;

/// Why a head was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The first fault, in the order of the lines.
    pub error: HeadError,
    /// The line for the error log, at level info, in nginx's words; what came from the client is escaped.
    pub text: String,
}

impl Refusal {
    /// One of which no more is known.
    pub fn plain(error: HeadError) -> Refusal {
        Refusal { error, text: error.log().into() }
    }

    /// The same with what was wrong, in quotes.
    fn shown(error: HeadError, what: &str) -> Refusal {
        Refusal { error, text: error.log().replacen(" while", &format!(": {what} while"), 1) }
    }
}

impl Head {
    /// Reads a whole head, as `Scanner` measured it, or says why not.
    pub fn read(&mut self, head: &[u8], limits: &Limits) -> Option<Refusal> {
        let error = self.parse(head, limits).err()?;
        Some(self.retrace(head, limits, error, None))
    }

    /// Keeps what stands before the fault. `buf` is what came of the head, `stop` where the scanner gave up, if it was the scanner.
    pub fn retrace(&mut self, buf: &[u8], limits: &Limits, error: HeadError, stop: Option<Stop>) -> Refusal {
        let blank = blank(buf);
        let most = stop.map_or(usize::MAX, |stop| stop.line - blank);
        let rest = match self.keep(&buf[blank..], limits, most) {
            Ok(rest) => rest,
            Err(refusal) => return refusal,
        };
        let line = buf[blank + rest..].split(|&b| b == b'\n').next().unwrap_or_default();
        match error {
            HeadError::FieldTooLong | HeadError::HeadTooLarge => {
                let room = stop.map_or(SHOWN, |stop| stop.room).min(SHOWN).min(line.len());
                Refusal::shown(error, &format!("\"{}...\"", escape::error_log(&line[..room])))
            }
            HeadError::BadField => match split(line) {
                Err(bad) => bad_field(line, bad),
                Ok(_) => Refusal::plain(error),
            },
            HeadError::UnknownEncoding | HeadError::BadEncoding => {
                let coding = escape::error_log(self.known(Known::TransferEncoding).unwrap_or_default());
                Refusal::shown(error, &format!("\"{coding}\""))
            }
            _ => Refusal::plain(error),
        }
    }

    /// Keeps what the lines say of a head that did not come to its end.
    pub fn keep_lines(&mut self, buf: &[u8], limits: &Limits) {
        let _ = self.keep(&buf[blank(buf)..], limits, usize::MAX);
    }

    /// Forgets what the request line's target and the lines behind it say: the target is refused.
    pub fn forget_target(&mut self) {
        let line = self.line.len as usize;
        self.sent = self.raw[line..].iter().position(|&b| b == b'\n').map_or(self.raw.len(), |at| line + at + 1) as u32;
        self.fields.clear();
        self.host.clear();
        self.target = Span::default();
    }

    /// Takes whole lines up to the first fault, the byte `most`, the blank line or the end, and says where that is.
    fn keep(&mut self, buf: &[u8], limits: &Limits, most: usize) -> Result<usize, Refusal> {
        self.clear();
        let Some(raw) = buf.get(..buf.len().min(u32::MAX as usize)) else { return Ok(0) };
        let ended = raw.iter().position(|&b| b == b'\n').map(|at| at + 1);
        let line = without_end(&raw[..ended.unwrap_or(raw.len())]);
        self.line = Span::new(0, line.len());
        // A HEAD that is refused gets no body either.
        self.method = method_of(line);
        let kept = match ended.filter(|_| most > 0) {
            Some(end) => self.keep_request_line(raw, line, end).and_then(|()| self.keep_fields(raw, end, limits, most)),
            None => Ok(0),
        };
        self.raw.extend_from_slice(raw);
        kept
    }

    fn keep_request_line(&mut self, raw: &[u8], line: &[u8], end: usize) -> Result<(), Refusal> {
        let parts = RequestLine::parse(line).map_err(Refusal::plain)?;
        self.note(&parts);
        self.sent = end as u32;
        if let Some(range) = authority::of_absolute(self.target.of(raw)) {
            authority::write_name(&self.target.of(raw)[range], &mut self.host);
        }
        Ok(())
    }

    fn keep_fields(&mut self, raw: &[u8], mut start: usize, limits: &Limits, most: usize) -> Result<usize, Refusal> {
        while start < most && self.version != Version::Http09 {
            let Some(len) = raw[start..].iter().position(|&b| b == b'\n').map(|at| at + 1) else { break };
            let line = without_end(&raw[start..start + len]);
            if line.is_empty() {
                self.sent = (start + len) as u32;
                break;
            }
            let (name, value) = split(line).map_err(|bad| bad_field(line, bad))?;
            self.sent = (start + len) as u32;
            self.fields.add(raw, name, value, limits).map_err(|error| self.twice(raw, (name, value), error))?;
            let is_host = name.eq_ignore_ascii_case(b"host");
            if is_host && self.host.is_empty() && !authority::write_name(value, &mut self.host) {
                return Err(Refusal::plain(HeadError::BadHost));
            }
            start += len;
        }
        Ok(start)
    }

    /// A field that may stand once and stands there a second time.
    fn twice(&self, raw: &[u8], field: (&[u8], &[u8]), error: HeadError) -> Refusal {
        let shown = |(name, value)| format!("\"{}: {}\"", escape::error_log(name), escape::error_log(value));
        match self.fields.iter(raw).find(|(name, _)| name.eq_ignore_ascii_case(field.0)) {
            Some(first) => Refusal::shown(error, &format!("{}, previous value: {}", shown(field), shown(first))),
            None => Refusal::plain(error),
        }
    }
}

fn blank(buf: &[u8]) -> usize {
    buf.iter().take_while(|&&b| b == b'\r' || b == b'\n').count()
}

/// Name and value of a field line; else where its first bad byte stands.
fn split(line: &[u8]) -> Result<(&[u8], &[u8]), usize> {
    let len = line.iter().position(|&b| !is_token_byte(b)).unwrap_or(line.len());
    if len == 0 || line.get(len) != Some(&b':') {
        return Err(len);
    }
    let value = &line[len + 1..];
    match value.iter().position(|&b| (b < b' ' && b != b'\t') || b == 0x7f) {
        Some(bad) => Err(len + 1 + bad),
        None => Ok((&line[..len], value.trim_ascii())),
    }
}

fn bad_field(line: &[u8], bad: usize) -> Refusal {
    let byte = line.get(bad).copied().unwrap_or(b'\r');
    let before = &line[..bad.min(SHOWN)];
    Refusal::shown(HeadError::BadField, &format!("\"{}\\x{byte:02x}...\"", escape::error_log(before)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::scanner::Scanner;

    /// Reads a head as the server does, in one piece.
    fn refused(text: &str, limits: &Limits) -> (Head, Refusal) {
        let (mut head, mut scanner) = (Head::default(), Scanner::default());
        let text = text.as_bytes();
        let refusal = match scanner.scan(text, limits) {
            Ok(len) => {
                let error = head.parse(&text[..len.expect("the head is whole")], limits).unwrap_err();
                head.retrace(text, limits, error, None)
            }
            Err(error) => head.retrace(text, limits, error, Some(scanner.stop(limits))),
        };
        (head, refusal)
    }

    #[test]
    fn what_stands_before_the_fault_is_kept() {
        let table = [
            // The text, the target, the host, how many bytes count, what the log says.
            (
                "GET /a HTTP/1.1\r\nHost: a\r\nBad Name: x\r\nX: 1\r\n\r\n",
                "/a",
                "a",
                26,
                "invalid header line: \"Bad\\x20...\" while",
            ),
            (
                "GET /a HTTP/1.1\r\nBad Name: x\r\nHost: a\r\n\r\n",
                "/a",
                "",
                17,
                "invalid header line: \"Bad\\x20...\" while",
            ),
            (
                "GET http://b/a HTTP/1.1\r\n: x\r\nHost: a\r\n\r\n",
                "http://b/a",
                "b",
                25,
                "invalid header line: \"\\x3a...\" while",
            ),
            (
                "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                "/a",
                "a",
                35,
                "duplicate host header: \"Host: b\", previous value: \"Host: a\" while",
            ),
            (
                "GET /a HTTP/1.1\r\nHost: a\r\nExpect: b\r\nexpect: c\r\n\r\n",
                "/a",
                "a",
                48,
                "header line: \"expect: c\", previous value: \"Expect: b\" while",
            ),
            ("GET /a HTTP/1.1\r\nHost: a b\r\nBad Name: x\r\n\r\n", "/a", "", 28, "invalid host header while"),
            (
                "GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"x\"\r\n\r\n",
                "/a",
                "a",
                52,
                "unknown \"Transfer-Encoding\": \"\\x22x\\x22\" while",
            ),
            ("GET /a HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", "/a", "a", 26, "invalid header line: \"\\x0d...\" while"),
            (
                "GET /a HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
                "/a",
                "a",
                26,
                "invalid header line: \"X: b\\x00...\" while",
            ),
            ("GET /a HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", "/a", "a", 26, "invalid header line: \"X\\x0d...\" while"),
            ("GET /a HTTP/1.1\r\n\r\n", "/a", "", 19, "without \"Host\" header while"),
            ("\r\nGET x HTTP/1.1\r\nHost: a\r\n\r\n", "", "", 0, "invalid request while"),
            ("get /a HTTP/1.1\r\nHost: a\r\n\r\n", "", "", 0, "invalid method while"),
        ];
        for (text, target, host, counted, says) in table {
            let (head, refusal) = refused(text, &Limits::default());
            assert!(refusal.text.contains(says), "{text:?}: {}", refusal.text);
            assert_eq!(head.target(), target.as_bytes(), "{text:?}");
            assert_eq!(head.host().unwrap_or_default(), host.as_bytes(), "{text:?}");
            assert_eq!(head.raw().len(), counted, "{text:?}");
            assert_eq!(head.request_line(), text.trim_start().lines().next().unwrap().as_bytes());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_shown_as_far_as_it_had_room() {
        let text = |len: usize| format!("GET /a HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(len));
        let small = Limits { header_buffer: 64, large_buffers: (2, 100), ..Limits::default() };
        let (head, refusal) = refused(&text(98), &small);
        assert_eq!(
            refusal.text,
            format!(
                "client sent too long header line: \"X: {}...\" while reading client request headers",
                "y".repeat(97)
            )
        );
        assert_eq!((head.host(), head.raw().len()), (Some(&b"a"[..]), 26));
        let (_, refusal) = refused(&text(9000), &Limits::default());
        assert_eq!(refusal.text.matches('y').count(), SHOWN - 3);
        let (head, refusal) =
            refused(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(9000)), &Limits::default());
        assert_eq!((refusal.error, head.target(), head.raw().len()), (HeadError::UriTooLong, &b""[..], 0));
    }

    #[test]
    fn lines_of_a_head_that_broke_off() {
        for (text, target, host, counted) in [
            ("GET /a", "", "", 0),
            ("GET /a HTTP/1.1\r\nHost: a", "/a", "", 17),
            ("\nGET /a HTTP/1.1\nHost: a\nX", "/a", "a", 24),
        ] {
            let mut head = Head::default();
            head.keep_lines(text.as_bytes(), &Limits::default());
            assert_eq!(
                (head.target(), head.host().unwrap_or_default()),
                (target.as_bytes(), host.as_bytes()),
                "{text:?}"
            );
            assert_eq!(
                (head.raw().len(), head.request_line()),
                (counted, text.trim().lines().next().unwrap().as_bytes())
            );
        }
    }
}
