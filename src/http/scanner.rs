//! Finds where a request's head ends while it trickles in, and refuses one that outgrows its
//! buffers. Looks at each byte once; what the lines mean is `head`'s business.

use super::head_error::HeadError;
use super::request_line::{RequestLine, Version, begins_method, without_end};

/// What bounds a head, and which names of fields are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the first buffer (`client_header_buffer_size`).
    pub header_buffer: usize,
    /// How many further buffers there are, and their size (`large_client_header_buffers`).
    pub large_buffers: (usize, usize),
    /// The most field lines.
    pub max_headers: usize,
    /// Whether a field with an odd name is dropped rather than kept.
    pub ignore_invalid: bool,
    /// Whether `_` is not odd.
    pub underscores: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header_buffer: 1024,
            large_buffers: (4, 8192),
            max_headers: 1000,
            ignore_invalid: true,
            underscores: false,
        }
    }
}

/// Where the look for the end of the head stands. A new one for each request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scanner {
    /// Start of the line that is not finished.
    line: usize,
    /// First byte that nobody has looked at.
    next: usize,
    /// Where the request line begins and ends, once it is whole.
    request: (usize, usize),
    /// Finished lines, the request line among them.
    lines: usize,
    /// Bytes left in the current buffer, and how many large ones were begun.
    room: usize,
    larges: usize,
    /// The request line was seen to be a good one.
    checked: bool,
}

/// Where a scanner gave a head up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Where the line begins that it did not take.
    pub line: usize,
    /// How many bytes of that line had a place.
    pub room: usize,
}

impl Scanner {
    /// Where it stands, after a refusal.
    pub fn stop(&self, limits: &Limits) -> Stop {
        Stop { line: self.line, room: self.longest(limits) }
    }

    /// Looks at the bytes that came since the last call. `buf` begins with the same bytes each time.
    /// `Some(n)`: the head is its first `n` bytes, lines before it and the blank line counted in.
    ///
    /// The limits are those of buffers that are filled line by line, a line never spanning two: first
    /// one of `header_buffer` bytes, then the large ones.
    pub fn scan(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, HeadError> {
        if self.lines == 0 && !self.begin(buf, limits)? {
            return Ok(None);
        }
        while let Some(found) = buf.get(self.next..).and_then(find_lf) {
            let end = self.next + found + 1;
            let line = &buf[self.line..end];
            self.take(line.len(), limits)?;
            if self.lines == 0 {
                self.request = (self.line, end);
                if !names_version_1(line) && RequestLine::parse(line)?.version == Version::Http09 {
                    return Ok(Some(end));
                }
            } else if without_end(line).is_empty() {
                return Ok(Some(end));
            } else if line[0] == b'\r' {
                return Err(HeadError::BadField);
            } else if self.lines > limits.max_headers {
                return Err(HeadError::TooManyFields);
            }
            self.lines += 1;
            self.line = end;
            self.next = end;
        }
        self.next = buf.len();
        self.check_unfinished(buf, limits)
    }

    /// Skips blank lines before the request line, as RFC 9112 section 2.2 asks. `false`: no byte is left.
    fn begin(&mut self, buf: &[u8], limits: &Limits) -> Result<bool, HeadError> {
        if self.next > self.line {
            return Ok(true);
        }
        let blank = buf[self.line.min(buf.len())..].iter().take_while(|&&b| b == b'\r' || b == b'\n').count();
        self.line += blank;
        self.next = self.line;
        self.room = limits.header_buffer;
        if self.line > limits.header_buffer.max(limits.large_buffers.1) {
            return Err(HeadError::BadRequestLine);
        }
        match buf.get(self.line) {
            None => Ok(false),
            // A client that speaks TLS to us, or noise: no use to wait for a line end.
            Some(&first) if !begins_method(first) => Err(HeadError::BadMethod),
            Some(_) => Ok(true),
        }
    }

    /// The longest line that still has a place.
    fn longest(&self, limits: &Limits) -> usize {
        let (number, size) = limits.large_buffers;
        if self.larges < number { self.room.max(size) } else { self.room }
    }

    /// Gives a finished line its place.
    fn take(&mut self, len: usize, limits: &Limits) -> Result<(), HeadError> {
        if len > self.longest(limits) {
            return Err(self.too_long(limits));
        }
        if len <= self.room {
            self.room -= len;
        } else {
            self.larges += 1;
            self.room = limits.large_buffers.1 - len;
        }
        Ok(())
    }

    fn too_long(&self, limits: &Limits) -> HeadError {
        match self.lines {
            0 => HeadError::UriTooLong,
            _ if self.larges >= limits.large_buffers.0 && self.room < limits.large_buffers.1 => HeadError::HeadTooLarge,
            _ => HeadError::FieldTooLong,
        }
    }

    /// What can be refused although the line has no end yet, so that the client need not finish it.
    fn check_unfinished(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, HeadError> {
        let rest = &buf[self.line.min(buf.len())..];
        if !rest.is_empty() && rest.len() >= self.longest(limits) {
            return Err(self.too_long(limits));
        }
        if self.lines > 0 && !self.checked {
            RequestLine::parse(&buf[self.request.0..self.request.1])?;
            self.checked = true;
        }
        if self.lines > 0 && rest.len() > 1 && rest[0] == b'\r' {
            return Err(HeadError::BadField);
        }
        Ok(None)
    }
}

/// The usual line ends, told apart without a parse; what is not one of them may be HTTP/0.9.
fn names_version_1(line: &[u8]) -> bool {
    let line = without_end(line);
    line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0")
}

/// The place of the first LF, eight bytes at a step.
fn find_lf(buf: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (words, tail) = buf.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        // The lowest byte whose high bit is set here was equal to LF; only bytes above it may be set by a borrow.
        let other = u64::from_le_bytes(*word) ^ (ONES * b'\n' as u64);
        let zero = other.wrapping_sub(ONES) & !other & (ONES << 7);
        if zero != 0 {
            return Some(place * 8 + zero.trailing_zeros() as usize / 8);
        }
    }
    tail.iter().position(|&b| b == b'\n').map(|i| words.len() * 8 + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Scanned = Result<Option<usize>, HeadError>;

    fn scan(text: &[u8], limits: &Limits) -> Scanned {
        Scanner::default().scan(text, limits)
    }

    #[test]
    fn heads_end_at_the_blank_line() {
        let table: &[(&[u8], Scanned)] = &[
            (b"", Ok(None)),
            (b"\r\n", Ok(None)),
            (b"G", Ok(None)),
            (b"GET / HTTP/1.1\r\n\r\n", Ok(Some(18))),
            (b"GET / HTTP/1.1\r\n\r\nGET /", Ok(Some(18))),
            (b"GET / HTTP/1.1\n\n", Ok(Some(16))),
            (b"GET / HTTP/1.1\nA: b\n\r\n", Ok(Some(22))),
            (b"GET / HTTP/1.1\r\nA: b\r\n\n", Ok(Some(23))),
            (b"GET / HTTP/1.1\r\nA: b\r\n\r", Ok(None)),
            (b"GET / HTTP/1.1\r\nA: b\r\n\rX", Err(HeadError::BadField)),
            (b"\r\n\n\rGET / HTTP/1.1\r\n\r\n", Ok(Some(22))),
            (b"GET /\n", Ok(Some(6))),
            (b"GET / \r\nHost: a\r\n\r\n", Ok(Some(8))),
            (b"POST /\n", Err(HeadError::BadMethod09)),
            (b"\x16\x03\x01", Err(HeadError::BadMethod)),
            (b"\0", Err(HeadError::BadMethod)),
            (b" ", Err(HeadError::BadMethod)),
            (b"get / HTTP/1.1\r\n", Err(HeadError::BadMethod)),
            (b"G\xff / HTTP/1.1\r\n", Err(HeadError::BadMethod)),
            (b"GET / HTTP/2.0\r\n", Err(HeadError::BadVersion)),
            (b"GET x HTTP/1.1\r\n", Err(HeadError::BadRequestLine)),
        ];
        for (text, expected) in table {
            assert_eq!(scan(text, &Limits::default()), *expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn every_split_gives_the_same_end() {
        let texts: [&[u8]; 5] = [
            b"\r\nGET /a/long/enough/path HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nrest",
            b"GET / HTTP/1.0\nHost: a\n\nrest",
            b"GET /nine\r\nrest",
            b"GET / HTTP/1.1\r\nA: b\r\n\rX\r\n\r\n",
            b"GET / HTTP/1.1 \r\n\r\n",
        ];
        for text in texts {
            let whole = scan(text, &Limits::default());
            for first in 0..text.len() {
                for second in first..text.len() {
                    let mut scanner = Scanner::default();
                    let found = [first, second, text.len()]
                        .iter()
                        .find_map(|&end| scanner.scan(&text[..end], &Limits::default()).transpose());
                    let found = found.transpose();
                    // Refused early is refused too, though a later byte would name another reason.
                    assert!(found == whole || (found.is_err() && whole.is_err()), "{first} {second}: {found:?}");
                }
            }
        }
    }

    /// A head of a request line of `line` bytes and `count` field lines of `field` bytes, ends counted in.
    fn head(line: usize, field: usize, count: usize) -> Vec<u8> {
        let mut text = format!("GET /{} HTTP/1.1\r\n", "x".repeat(line - 16)).into_bytes();
        for _ in 0..count {
            text.extend_from_slice(format!("X: {}\r\n", "v".repeat(field - 5)).as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        text
    }

    #[test]
    fn limits_one_below_and_one_above() {
        let limits = Limits { large_buffers: (4, 2048), max_headers: 500, ..Limits::default() };
        // Line, field, the most fields that fit: as nginx 1.22 counts them.
        let table = [
            (2048, 100, 80 - 20),
            (26, 20, 400),
            (26, 50, 179),
            (26, 100, 89),
            (26, 200, 44),
            (26, 500, 17),
            (26, 1000, 8),
            (26, 1023, 8),
            (26, 1024, 7),
            (26, 1025, 4),
            (26, 2048, 3),
        ];
        for (line, field, most) in table {
            let wide = Limits { max_headers: most.min(400), ..limits.clone() };
            assert!(matches!(scan(&head(line, field, most), &wide), Ok(Some(_))), "{line} {field} {most}");
            let error = scan(&head(line, field, most + 1), &wide).unwrap_err();
            assert_eq!(error.status(), 494, "{line} {field} {most}");
        }
        for (line, expected) in [(1024, true), (1025, true), (2047, true), (2048, true), (2049, false)] {
            assert_eq!(scan(&head(line, 10, 1), &limits).is_ok(), expected, "{line}");
        }
        assert_eq!(scan(&head(2049, 10, 1), &limits), Err(HeadError::UriTooLong));
        assert_eq!(scan(&head(26, 2049, 1), &limits), Err(HeadError::FieldTooLong));
        assert_eq!(scan(&[b'A'; 2047], &limits), Ok(None));
        assert_eq!(scan(&[b'A'; 2048], &limits), Err(HeadError::UriTooLong));
        assert_eq!(scan(&[b'\n'; 3000], &limits), Err(HeadError::BadRequestLine));
    }

    #[test]
    fn field_lines_are_counted() {
        let limits = Limits { max_headers: 3, ..Limits::default() };
        assert!(matches!(scan(&head(26, 10, 3), &limits), Ok(Some(_))));
        assert_eq!(scan(&head(26, 10, 4), &limits), Err(HeadError::TooManyFields));
    }

    #[test]
    fn line_feeds_are_found_everywhere() {
        for len in 0..40 {
            for place in 0..len {
                let mut text = vec![0x0b; len];
                text[place] = b'\n';
                assert_eq!(find_lf(&text), Some(place));
                text.push(b'\n');
                assert_eq!(find_lf(&text), Some(place));
            }
            assert_eq!(find_lf(&vec![0x8a; len]), None);
        }
    }
}
