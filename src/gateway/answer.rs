//! The head of an answer as FastCGI, SCGI and uwsgi programs write it (RFC 3875 section 6, or a status line in front of it),
//! read as leniently as nginx reads it. What becomes of its fields is decided by the relay.

use bytes::Bytes;

use super::names::Name;
use super::relay::Head;
use crate::http::escape;
use crate::http::field_list::FieldList;
use crate::http::fields::is_token_byte;
use crate::http::framing::is_safe_value;
use crate::http::status;

/// Where a head ends that arrives in pieces.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Where the line begins that was looked at last.
    line: usize,
    /// How far was looked.
    looked: usize,
}

impl Search {
    /// The length of the head with its empty line, once it is there. Lines end in LF or CRLF.
    pub fn end(&mut self, bytes: &[u8], most: usize) -> Result<Option<usize>, String> {
        while let Some(n) = bytes.get(self.looked..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let end = self.looked + n;
            let is_blank = matches!(&bytes[self.line..end], b"" | b"\r");
            (self.line, self.looked) = (end + 1, end + 1);
            if is_blank {
                return if end + 1 > most { Err(too_big()) } else { Ok(Some(end + 1)) };
            }
        }
        self.looked = bytes.len();
        if bytes.len() > most { Err(too_big()) } else { Ok(None) }
    }
}

fn too_big() -> String {
    "too big header".into()
}

/// Reads a whole head. `status_line`: whether it may begin as an answer of HTTP does. The fault is what follows "upstream sent".
pub fn read(head: &[u8], status_line: bool) -> Result<Head, String> {
    let count = memchr::memchr_iter(b'\n', head).count();
    let mut read = Head { size: head.len(), fields: FieldList::of(head, count), ..Head::default() };
    let mut seen = 0;
    let (mut status, mut is_elsewhere, mut is_coded) = (None, false, false);
    let lines = head.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    for (n, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
        if line.starts_with(b"HTTP/") {
            // Programs that also speak to clients themselves write it; further ones are passed over.
            if n == 0 && status_line {
                status = line.iter().position(|&b| b == b' ').and_then(|at| code(&line[at + 1..]));
            }
            continue;
        }
        let (name, value) = field(line).ok_or_else(|| bad_line(line))?;
        let known = Name::of(name);
        if seen & known.single() != 0 {
            continue;
        }
        seen |= known.single();
        match known {
            Name::Status if status.is_none() => {
                status = Some(code(value).ok_or_else(|| format!("invalid status \"{}\"", escape::error_log(value)))?);
            }
            Name::Location => is_elsewhere = true,
            Name::TransferEncoding => is_coded = true,
            Name::ContentLength if read.length.is_some() => {
                return Err("duplicate header line: \"Content-Length\"".into());
            }
            Name::ContentLength => read.length = Some(number(value).ok_or("invalid \"Content-Length\" header")?),
            _ => {}
        }
        read.fields.push(head, name, value);
    }
    // RFC 9112 section 6.3: of two lengths nobody knows which is meant.
    if is_coded && read.length.is_some() {
        return Err("\"Content-Length\" and \"Transfer-Encoding\" headers at the same time".into());
    }
    (read.status, read.reason) = match status {
        Some((code, reason)) => {
            let is_usual = reason.is_empty() || reason == status::reason(code).as_bytes();
            (code, (!is_usual).then(|| Bytes::copy_from_slice(reason)))
        }
        None if is_elsewhere => (302, None),
        None => (200, None),
    };
    Ok(read)
}

/// A field, or a bare name with nothing behind it.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line).unwrap_or(line.len());
    let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default().trim_ascii());
    let legal = !name.is_empty() && name.iter().all(|&b| is_token_byte(b));
    // A line holds no line end.
    (legal && is_safe_value(value)).then_some((name, value))
}

fn bad_line(line: &[u8]) -> String {
    let shown = escape::error_log(&line[..line.len().min(200)]);
    format!("invalid header: \"{shown}\" (an empty line must stand before the body)")
}

/// Three digits and the words behind them. 101 alone of the 1xx is an answer.
fn code(text: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = text.trim_ascii_start().split_at_checked(3)?;
    let [a, b, c] = digits else { return None };
    let is_number = digits.iter().all(u8::is_ascii_digit);
    let code = is_number.then(|| [a, b, c].into_iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')))?;
    if code != 101 && code < 200 {
        return None;
    }
    // The words are sent on: RFC 9112 section 4 allows no control characters in them.
    let is_text = rest.iter().all(|&b| b == b'\t' || !b.is_ascii_control());
    (is_text && matches!(rest, [] | [b' ' | b'\t', ..])).then_some((code, rest.trim_ascii()))
}

fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        for (text, want) in [
            ("A: b\n\nbody", Some(6)),
            ("A: b\r\n\r\nbody", Some(8)),
            ("A: b\n\r\nbody", Some(7)),
            ("\nbody", Some(1)),
            ("\r\n", Some(2)),
            ("A: b\n", None),
            ("A: b\r\n\r", None),
            ("", None),
        ] {
            assert_eq!(Search::default().end(text.as_bytes(), 100), Ok(want), "{text:?}");
            let mut search = Search::default();
            let found = (0..=text.len()).find_map(|end| search.end(&text.as_bytes()[..end], 100).transpose());
            assert_eq!(found.transpose(), Ok(want), "{text:?} byte by byte");
        }
        for (most, fits) in [(8, true), (7, false)] {
            assert_eq!(Search::default().end(b"A: b\r\n\r\n", most).is_ok(), fits);
            assert_eq!(Search::default().end(b"A: bcdef", most).is_ok(), fits);
        }
    }

    #[test]
    fn what_a_head_says() {
        for (text, line, status, reason, length) in [
            ("Status: 404 Not Here\r\nContent-Type: a/b\r\n\r\n", false, 404, Some("Not Here"), None),
            ("Status: 404\n\n", false, 404, None, None),
            ("Location: /a\n\n", false, 302, None, None),
            ("Location: /a\nStatus: 201\n\n", false, 201, None, None),
            ("X: y\nContent-Length: 7\n\n", false, 200, None, Some(7)),
            ("Status: 404\nStatus: 200\n\n", false, 404, None, None),
            ("\n", false, 200, None, None),
            ("HTTP/1.1 201 Made\nA: b\n\n", true, 201, Some("Made"), None),
            ("HTTP/1.1 201 Made\nStatus: 404\n\n", true, 201, Some("Made"), None),
            ("HTTP/1.1 101 Go\n\n", true, 101, Some("Go"), None),
            ("HTTP/1.1 201 Made\nA: b\n\n", false, 200, None, None),
            ("HTTP/9 xx\n\n", true, 200, None, None),
            ("HTTP/1.1 201 Made\rX: y\n\n", true, 200, None, None),
            ("bare\n\n", false, 200, None, None),
        ] {
            let head = read(text.as_bytes(), line).unwrap();
            let found = (head.status, head.reason.as_deref(), head.length, head.size);
            assert_eq!(found, (status, reason.map(str::as_bytes), length, text.len()), "{text:?}");
        }
        let head = read(b"A: b\r\nbare\nC:  d e \n\n", false).unwrap();
        let fields: Vec<_> = head.fields.iter().collect();
        assert_eq!(fields, [(&b"A"[..], &b"b"[..]), (b"bare", b""), (b"C", b"d e")]);
        let head = read(b"Location: /a\nlocation: /b\nX: 1\nX: 2\n\n", false).unwrap();
        let fields: Vec<_> = head.fields.iter().map(|(_, value)| value).collect();
        assert_eq!(fields, [&b"/a"[..], b"1", b"2"]);
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "no field\n\n",
            "a b: c\n\n",
            "a : c\n\n",
            " a: c\n\n",
            "A: b\n c\n\n",
            ": c\n\n",
            "a: b\rc\n\n",
            "a: b\0c\n\n",
            "Status: abc\n\n",
            "Status: 99\n\n",
            "Status: 100 Continue\n\n",
            "Status: 2000\n\n",
            "Content-Length: 7x\n\n",
            "Content-Length: +7\n\n",
            "Content-Length: 7\nContent-Length: 7\n\n",
            "Content-Length: 7\nTransfer-Encoding: chunked\n\n",
        ] {
            assert!(read(text.as_bytes(), false).is_err(), "{text:?}");
        }
    }
}
