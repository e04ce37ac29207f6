//! Range requests (RFC 9110 14): which bytes a Range field asks for, whether If-Range lets it count, and the
//! partial answer. Knows no method and no setting: only a 200 to a GET may come here (14.2).

use bytes::Bytes;

use super::date;
use super::response::{Body, Chunk, ContentType, Response};

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
pub fn apply(response: &mut Response, parts: &[Part], boundary: u64) {
    let size = response.body.len();
    let whole = std::mem::take(&mut response.body);
    response.status = 206;
    response.length = None;
    if let [part] = parts {
        response.push("Content-Range", content_range(*part, size));
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

/// The chunks of one part of a body; memory and files are shared, not copied.
fn slice(body: &Body, part: Part) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut before = 0;
    let end = part.start + part.len;
    for chunk in &body.chunks {
        let (from, to) = (part.start.max(before), end.min(before + chunk.len()));
        if from < to {
            chunks.push(cut(chunk, from - before, to - from));
        }
        before += chunk.len();
    }
    chunks
}

fn cut(chunk: &Chunk, skip: u64, keep: u64) -> Chunk {
    match chunk {
        // Both ends lie within the chunk, whose length is a usize.
        Chunk::Bytes(bytes) => Chunk::Bytes(bytes.slice(skip as usize..(skip + keep) as usize)),
        Chunk::File { file, offset, .. } => Chunk::File { file: file.clone(), offset: offset + skip, len: keep },
        // No range is cut from a stream: its answer has `ranges` off.
        Chunk::Stream(stream) => Chunk::Stream(stream.clone()),
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
            apply(&mut response, &[Part { start, len }], 7);
            assert_eq!((response.status, &text(&response.body)[..]), (206, expected));
            let content_range = format!("bytes {start}-{}/10", start + len - 1);
            assert_eq!(response.fields, [("Content-Range".into(), content_range.into())]);
        }
    }

    #[test]
    fn several_parts() {
        let mut response = whole();
        apply(&mut response, &[Part { start: 1, len: 2 }, Part { start: 4, len: 1 }], 5);
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
        apply(&mut response, &[Part { start: 10, len: 5 }], 0);
        assert_eq!(text(&response.body), "[110+5]");
    }
}
