//! Range requests (RFC 9110 14): which bytes a Range field asks for, whether If-Range lets it count, and the
//! partial answer. Knows no method and no setting: only a 200 to a GET may come here (14.2).

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use super::date;
use super::response::{Body, Chunk, ContentType, Response, Stream};

/// Bytes in front of a part that are passed over before others get their turn.
const SHARE: u64 = 1 << 20;

/// What a Range field asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// Nothing that counts: send the whole, 200.
    Ignore,
    /// Nothing of what there is: 416.
    Unsatisfiable,
    /// These parts, each at least a byte and within the size, in the client's order.
    Parts(Vec<Part>),
}

/// A run of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The first byte.
    pub start: u64,
    /// How many bytes, at least one.
    pub len: u64,
}

/// Reads a Range field for a representation of `size` bytes. Another unit, more than `max_ranges` parts, or parts
/// that together exceed the size (overlap meant to be costly, 14.2 and 17.15) make the field ignored.
pub fn parse(value: &[u8], size: u64, max_ranges: usize) -> Ranges {
    const UNIT: &[u8] = b"bytes=";
    let Some((unit, list)) = value.split_at_checked(UNIT.len()) else { return Ranges::Ignore };
    if max_ranges == 0 || list.is_empty() || !unit.eq_ignore_ascii_case(UNIT) {
        return Ranges::Ignore;
    }
    let mut parts = Vec::new();
    let mut sum: u128 = 0;
    for element in list.split(|&b| b == b',').map(trim) {
        // Empty elements of a list are ignored (5.6.1.2).
        if element.is_empty() {
            continue;
        }
        let Some(range) = parse_one(element, size) else { return Ranges::Unsatisfiable };
        let (start, end) = range;
        if start < end {
            if parts.len() == max_ranges {
                return Ranges::Ignore;
            }
            parts.push(Part { start, len: end - start });
            sum += u128::from(end - start);
        } else if start == 0 {
            // Only an empty representation comes here: there is nothing to take a part of.
            return Ranges::Ignore;
        }
    }
    if parts.is_empty() {
        Ranges::Unsatisfiable
    } else if sum > u128::from(size) {
        Ranges::Ignore
    } else {
        Ranges::Parts(parts)
    }
}

/// `1-2`, `1-` or `-2` as start and end (exclusive, not beyond the size); `None` if it is none of these.
fn parse_one(element: &[u8], size: u64) -> Option<(u64, u64)> {
    let dash = element.iter().position(|&b| b == b'-')?;
    let (first, last) = (trim(&element[..dash]), trim(&element[dash + 1..]));
    match (first, last) {
        (b"", b"") => None,
        (b"", suffix) => Some((size.saturating_sub(number(suffix)?), size)),
        (first, b"") => Some((number(first)?, size)),
        (first, last) => Some((number(first)?, size.min(number(last)?.saturating_add(1)))),
    }
}

/// A count of bytes. One that no number here can hold counts as the largest: RFC 9110 section 14.1.2 takes a last
/// position beyond the end for the end, however many digits it has.
fn number(digits: &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    for byte in digits {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value = value.saturating_mul(10).saturating_add(digit);
    }
    (!digits.is_empty()).then_some(value)
}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// Whether If-Range lets a Range field count (RFC 9110 13.1.5): a strong tag must be ours, a date must be the very
/// date of the last change.
pub fn if_range(value: &[u8], etag: Option<&[u8]>, last_modified: Option<u64>) -> bool {
    let value = value.trim_ascii();
    if value.ends_with(b"\"") {
        // A weak tag never equals a strong one, and a weak tag of ours is no licence either.
        return etag == Some(value) && value.starts_with(b"\"");
    }
    last_modified.is_some() && date::parse(value) == last_modified
}

/// The Content-Range of a 416: `bytes */SIZE`.
pub fn unsatisfied(size: u64) -> Bytes {
    Bytes::from(format!("bytes */{size}"))
}

/// Turns a whole answer into the partial one (206). With more than one part the body becomes
/// multipart/byteranges (RFC 9110 14.6), whose boundary is `boundary` in twenty digits; the answer's
/// `content_type` then stands in each part, so it must be settled before.
///
/// `size` is the length of the whole body. One that comes while it is sent has one part at most.
pub fn apply(response: &mut Response, parts: &[Part], size: u64, boundary: u64) {
    let whole = std::mem::take(&mut response.body);
    response.status = 206;
    response.length = None;
    if let [part] = parts {
        response.push("Content-Range", content_range(*part, size));
        response.length = Some(part.len);
        response.body.chunks.extend(slice(&whole, *part));
        return;
    }
    let boundary = format!("{boundary:020}");
    let multipart = Bytes::from(format!("multipart/byteranges; boundary={boundary}"));
    let inner = std::mem::replace(&mut response.content_type, ContentType::Is(multipart));
    for part in parts {
        let mut head = format!("\r\n--{boundary}\r\n").into_bytes();
        if let ContentType::Is(inner) = &inner {
            head.extend_from_slice(b"Content-Type: ");
            head.extend_from_slice(inner);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(format!("Content-Range: {}\r\n\r\n", content_range(*part, size)).as_bytes());
        response.body.chunks.push_back(Chunk::Bytes(head.into()));
        response.body.chunks.extend(slice(&whole, *part));
    }
    response.body.chunks.push_back(Chunk::Bytes(format!("\r\n--{boundary}--\r\n").into()));
}

fn content_range(part: Part, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.start + part.len - 1)
}

/// The chunks of one part of a body; memory and files are shared, not copied. A stream, the last chunk, reaches as far as
/// it is asked to.
fn slice(body: &Body, part: Part) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut before = 0;
    let end = part.start + part.len;
    for chunk in &body.chunks {
        let after = match chunk {
            Chunk::Stream(_) => u64::MAX,
            _ => before + chunk.len(),
        };
        let (from, to) = (part.start.max(before), end.min(after));
        if from < to {
            chunks.push(cut(chunk, from - before, to - from));
        }
        before = after;
    }
    chunks
}

fn cut(chunk: &Chunk, skip: u64, keep: u64) -> Chunk {
    match chunk {
        // Both ends lie within the chunk, whose length is a usize.
        Chunk::Bytes(bytes) => Chunk::Bytes(bytes.slice(skip as usize..(skip + keep) as usize)),
        Chunk::File { file, offset, .. } => Chunk::File { file: file.clone(), offset: offset + skip, len: keep },
        Chunk::Stream(stream) => {
            Chunk::Stream(Arc::new(Mutex::new(Window { source: Some(stream.clone()), skip, keep })))
        }
    }
}

/// A part of what comes while it is sent. What stands behind the part is not waited for.
struct Window {
    /// None once the part is whole.
    source: Option<Arc<Mutex<dyn Stream>>>,
    skip: u64,
    keep: u64,
}

impl Stream for Window {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut passed = 0;
        loop {
            let Some(source) = self.source.as_ref().filter(|_| self.keep > 0) else {
                self.source = None;
                return Ok(0);
            };
            if passed >= SHARE {
                return Err(ErrorKind::Interrupted.into());
            }
            let skips = self.skip > 0;
            let left = if skips { &mut self.skip } else { &mut self.keep };
            let most = into.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
            let n = source.lock().unwrap_or_else(PoisonError::into_inner).read(&mut into[..most])?;
            *left -= n as u64;
            passed += n as u64;
            // At an end that comes too early the announced length is missed, which whoever sends sees.
            if n == 0 || !skips {
                return Ok(n);
            }
        }
    }

    fn gather(&mut self) {
        if let Some(source) = &self.source {
            source.lock().unwrap_or_else(PoisonError::into_inner).gather();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.source.as_ref().and_then(|source| source.lock().unwrap_or_else(PoisonError::into_inner).deadline())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(list: &[(u64, u64)]) -> Ranges {
        Ranges::Parts(list.iter().map(|&(start, len)| Part { start, len }).collect())
    }

    #[test]
    fn fields() {
        use Ranges::{Ignore, Unsatisfiable};
        let table = [
            ("bytes=0-3", parts(&[(0, 4)])),
            ("BYTES=1-", parts(&[(1, 9)])),
            ("bytes=-3", parts(&[(7, 3)])),
            ("bytes=-10", parts(&[(0, 10)])),
            ("bytes=-20", parts(&[(0, 10)])),
            ("bytes=9-100", parts(&[(9, 1)])),
            ("bytes=0-9223372036854775807", parts(&[(0, 10)])),
            ("bytes= 1 - 2 ,\t4-5 ", parts(&[(1, 2), (4, 2)])),
            ("bytes=,1-2,", parts(&[(1, 2)])),
            ("bytes=0-4,5-9", parts(&[(0, 5), (5, 5)])),
            ("bytes=0-4,0-4", parts(&[(0, 5), (0, 5)])),
            ("bytes=5-2,1-2", parts(&[(1, 2)])),
            ("bytes=20-30,1-1", parts(&[(1, 1)])),
            ("bytes=-0,1-1", parts(&[(1, 1)])),
            ("bytes=0-5,0-4", Ignore),
            ("bytes=0-0,1-1,2-2,3-3,4-4", Ignore),
            ("bytes=", Ignore),
            ("bytes", Ignore),
            ("chars=1-2", Ignore),
            ("bytes =1-2", Ignore),
            ("", Ignore),
            ("bytes=-0", Unsatisfiable),
            ("bytes=10-", Unsatisfiable),
            ("bytes=5-2", Unsatisfiable),
            ("bytes=x", Unsatisfiable),
            ("bytes=1", Unsatisfiable),
            ("bytes=-", Unsatisfiable),
            ("bytes=--1", Unsatisfiable),
            ("bytes=1-2;", Unsatisfiable),
            ("bytes=1-2 x", Unsatisfiable),
            ("bytes=+1-2", Unsatisfiable),
            ("bytes=,", Unsatisfiable),
            ("bytes=0-9223372036854775808", parts(&[(0, 10)])),
            ("bytes=1-99999999999999999999", parts(&[(1, 9)])),
            ("bytes=-99999999999999999999", parts(&[(0, 10)])),
            ("bytes=99999999999999999999-", Unsatisfiable),
            ("bytes=99999999999999999999-99999999999999999999", Unsatisfiable),
        ];
        for (value, expected) in table {
            assert_eq!(parse(value.as_bytes(), 10, 4), expected, "{value}");
        }
        assert_eq!(parse(b"bytes=0-3", 10, 0), Ignore);
        assert_eq!(parse(b"bytes=20-", 10, 0), Ignore);
        for value in [&b"bytes=0-"[..], b"bytes=-5", b"bytes=0-0"] {
            assert_eq!(parse(value, 0, 9), Ignore, "an empty file");
        }
        assert_eq!(parse(b"bytes=1-", 0, 9), Unsatisfiable);
        assert_eq!(parse(b"bytes=0-", u64::MAX, 9), parts(&[(0, u64::MAX)]));
    }

    #[test]
    fn if_range_is_strict() {
        let (etag, date) = (Some(&b"\"e\""[..]), Some(1_772_600_767));
        let table = [
            ("\"e\"", true),
            (" \"e\" ", true),
            ("W/\"e\"", false),
            ("\"x\"", false),
            ("e", false),
            ("\"", false),
            ("", false),
            ("Wed, 04 Mar 2026 05:06:07 GMT", true),
            ("Wed, 04 Mar 2026 05:06:08 GMT", false),
            ("Wed, 04 Mar 2026 05:06:06 GMT", false),
        ];
        for (value, expected) in table {
            assert_eq!(if_range(value.as_bytes(), etag, date), expected, "{value}");
        }
        assert!(!if_range(b"W/\"e\"", Some(b"W/\"e\""), None), "a weak tag of ours");
        assert!(!if_range(b"junk", None, None));
    }

    fn text(body: &Body) -> String {
        let bytes = body.chunks.iter().map(|chunk| match chunk {
            Chunk::Bytes(bytes) => bytes.to_vec(),
            Chunk::File { offset, len, .. } => format!("[{offset}+{len}]").into_bytes(),
            Chunk::Stream(_) => b"[stream]".to_vec(),
        });
        String::from_utf8(bytes.flatten().collect()).unwrap()
    }

    fn whole() -> Response {
        let mut response = Response::new(200);
        response.content_type = ContentType::Is(Bytes::from_static(b"text/plain"));
        for piece in ["012", "", "3456", "789"] {
            response.body.chunks.push_back(Chunk::Bytes(piece.into()));
        }
        response
    }

    #[test]
    fn one_part() {
        for (start, len, expected) in [(0, 10, "0123456789"), (2, 3, "234"), (3, 4, "3456"), (9, 1, "9")] {
            let mut response = whole();
            apply(&mut response, &[Part { start, len }], 10, 7);
            assert_eq!((response.status, &text(&response.body)[..]), (206, expected));
            let content_range = format!("bytes {start}-{}/10", start + len - 1);
            assert_eq!(response.fields, [("Content-Range".into(), content_range.into())]);
        }
    }

    #[test]
    fn several_parts() {
        let mut response = whole();
        apply(&mut response, &[Part { start: 1, len: 2 }, Part { start: 4, len: 1 }], 10, 5);
        let boundary = "00000000000000000005";
        let expected = format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 1-2/10\r\n\r\n12\
             \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 4-4/10\r\n\r\n4\
             \r\n--{boundary}--\r\n"
        );
        assert_eq!(text(&response.body), expected);
        let content_type = format!("multipart/byteranges; boundary={boundary}");
        assert_eq!(response.content_type, ContentType::Is(content_type.into()));
        assert!(response.fields.is_empty());
    }

    #[test]
    fn a_file_is_cut_by_its_offset() {
        let file = std::sync::Arc::new(std::fs::File::open("/dev/null").unwrap());
        let mut response = Response::new(200);
        response.body.chunks.push_back(Chunk::File { file, offset: 100, len: 50 });
        apply(&mut response, &[Part { start: 10, len: 5 }], 50, 0);
        assert_eq!(text(&response.body), "[110+5]");
    }

    /// Gives its pieces one at a time, with nothing there between them, and counts how many were asked for.
    struct Pieces(Vec<&'static [u8]>, Arc<Mutex<usize>>);

    impl Stream for Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Some(piece) = self.0.first_mut() else { return Ok(0) };
            if piece.is_empty() {
                self.0.remove(0);
                return Err(ErrorKind::WouldBlock.into());
            }
            let n = piece.len().min(into.len());
            into[..n].copy_from_slice(&piece[..n]);
            *piece = &piece[n..];
            *self.1.lock().unwrap() += n;
            Ok(n)
        }

        fn deadline(&self) -> Option<Instant> {
            None
        }
    }

    #[test]
    fn a_part_of_what_comes_while_it_is_sent() {
        // The first two bytes are there already; eight come.
        for (start, len, expected, read) in
            [(0, 10, "0123456789", 8), (0, 1, "0", 0), (1, 2, "12", 1), (3, 4, "3456", 5), (9, 1, "9", 8)]
        {
            let asked = Arc::new(Mutex::new(0));
            let pieces: Vec<&[u8]> = vec![b"2", b"345", b"6789"];
            let mut response = Response::new(200);
            response.body.chunks.push_back(Chunk::Bytes("01".into()));
            response.body.chunks.push_back(Chunk::Stream(Arc::new(Mutex::new(Pieces(pieces, asked.clone())))));
            apply(&mut response, &[Part { start, len }], 10, 0);
            assert_eq!(response.length, Some(len));
            let mut all = Vec::new();
            for chunk in &response.body.chunks {
                match chunk {
                    Chunk::Stream(stream) => loop {
                        match stream.lock().unwrap().next() {
                            Ok(bytes) if bytes.is_empty() => break,
                            Ok(bytes) => all.extend_from_slice(&bytes),
                            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                        }
                    },
                    Chunk::Bytes(bytes) => all.extend_from_slice(bytes),
                    Chunk::File { .. } => panic!("there is no file"),
                }
            }
            assert_eq!((&String::from_utf8(all).unwrap()[..], *asked.lock().unwrap()), (expected, read));
        }
    }
}
