//! Entity tags (RFC 9110 8.8.3): how ours are made, and whether a list from a client names one. A file has two forms of its
//! tag: one of its time in seconds and its size, and a finer one with the nanoseconds. Lists come from clients and may hold
//! anything: what is no tag is stepped over.

use bytes::Bytes;

/// How two tags are compared (RFC 9110 8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Both must be strong: If-Match, If-Range.
    Strong,
    /// `W/` does not count: If-None-Match.
    Weak,
}

/// The strong tag of a file: its time and size in hexadecimal, `"69a7bdbf-a"`.
pub fn make(mtime: u64, size: u64) -> Bytes {
    let mut tag = Vec::with_capacity(36);
    tag.push(b'"');
    push_hexadecimal(&mut tag, mtime);
    tag.push(b'-');
    push_hexadecimal(&mut tag, size);
    tag.push(b'"');
    tag.into()
}

/// The finer form of a file's tag: `"69a7bdbf-a-1c9c380"`. It stands before the name of a coding.
pub fn finer(etag: &[u8], nanos: u32) -> Bytes {
    let end = etag.iter().rposition(|&b| b == b'"').unwrap_or(etag.len());
    let at = etag[..end].iter().position(|&b| b == b'.').unwrap_or(end);
    let mut tag = Vec::with_capacity(etag.len() + 9);
    tag.extend_from_slice(&etag[..at]);
    tag.push(b'-');
    push_hexadecimal(&mut tag, nanos.into());
    tag.extend_from_slice(&etag[at..]);
    tag.into()
}

/// The tag of a file that stands for another, coded so: `"69a7bdbf-a.gz"`. It is never the other's, however alike the two are.
pub fn coded(etag: &[u8], ending: &[u8]) -> Bytes {
    let end = etag.iter().rposition(|&b| b == b'"').unwrap_or(etag.len());
    [&etag[..end], ending, &etag[end..]].concat().into()
}

/// Without leading zeros; each file that is answered with has two such numbers.
fn push_hexadecimal(out: &mut Vec<u8>, number: u64) {
    let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|at| b"0123456789abcdef"[(number >> (at * 4) & 15) as usize]));
}

/// The weak form of a tag: for a representation that was changed on its way, as by compression.
pub fn weaken(etag: &Bytes) -> Bytes {
    if etag.starts_with(b"W/") { etag.clone() } else { Bytes::from([b"W/", &etag[..]].concat()) }
}

/// Whether a list names this tag. `*` alone names any representation that exists (RFC 9110 13.1.1), so it is for
/// the caller, who knows whether one does: see [`is_any`].
pub fn list_names(list: &[u8], etag: &[u8], comparison: Comparison) -> bool {
    let (ours_weak, ours) = split_weak(etag);
    let mut rest = list;
    while let Some((weak, opaque)) = next_tag(&mut rest) {
        let strong_enough = comparison == Comparison::Weak || !(weak || ours_weak);
        if strong_enough && opaque == ours {
            return true;
        }
    }
    false
}

/// Whether the value is `*`.
pub fn is_any(list: &[u8]) -> bool {
    list.trim_ascii() == b"*"
}

/// Takes the next well-formed tag (without `W/`, with its quotes) off the list, over whatever is none.
fn next_tag<'a>(rest: &mut &'a [u8]) -> Option<(bool, &'a [u8])> {
    loop {
        let start = rest.iter().position(|&b| !matches!(b, b' ' | b'\t' | b','))?;
        let (weak, text) = split_weak(&rest[start..]);
        let tag = text.strip_prefix(b"\"").and_then(|inner| {
            let end = inner.iter().position(|&b| b == b'"')? + 2;
            let after = text[end..].trim_ascii_start();
            (after.is_empty() || after[0] == b',').then_some((&text[..end], after))
        });
        if let Some((opaque, after)) = tag {
            *rest = after;
            return Some((weak, opaque));
        }
        // Not a tag: go on behind the next comma.
        let comma = text.iter().position(|&b| b == b',')?;
        *rest = &text[comma..];
    }
}

fn split_weak(tag: &[u8]) -> (bool, &[u8]) {
    match tag.strip_prefix(b"W/") {
        Some(opaque) => (true, opaque),
        None => (false, tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_of_time_and_size() {
        assert_eq!(&make(0x69a7bdbf, 10)[..], b"\"69a7bdbf-a\"");
        assert_eq!(&make(u64::MAX, 0)[..], b"\"ffffffffffffffff-0\"");
        assert_eq!(&weaken(&make(1, 2))[..], b"W/\"1-2\"");
        assert_eq!(&finer(&make(1, 2), 0)[..], b"\"1-2-0\"");
        assert_eq!(&finer(&make(1, 2), 999_999_999)[..], b"\"1-2-3b9ac9ff\"");
        assert_eq!(&coded(&make(1, 2), b".gz")[..], b"\"1-2.gz\"");
        assert_eq!(&finer(&coded(&make(1, 2), b".gz"), 10)[..], b"\"1-2-a.gz\"");
        assert_eq!(finer(&coded(&make(1, 2), b".gz"), 10), coded(&finer(&make(1, 2), 10), b".gz"));
        assert_eq!(&finer(&weaken(&make(1, 2)), 10)[..], b"W/\"1-2-a\"");
        assert_eq!(&weaken(&weaken(&make(1, 2)))[..], b"W/\"1-2\"");
    }

    #[test]
    fn lists() {
        let table = [
            ("\"e\"", true, true),
            ("W/\"e\"", true, false),
            ("w/\"e\"", false, false),
            ("\"x\", \"e\"", true, true),
            ("\"x\",W/\"y\",\t\"e\" ", true, true),
            ("\"a,b\", \"e\"", true, true),
            ("x,\"e\"", true, true),
            (",, ,\"e\",,", true, true),
            ("\"e", false, false),
            ("\"e\"x", false, false),
            ("\"x\" \"e\"", false, false),
            ("e", false, false),
            ("W/", false, false),
            ("\"", false, false),
            ("*", false, false),
            ("", false, false),
        ];
        for (list, weak, strong) in table {
            assert_eq!(list_names(list.as_bytes(), b"\"e\"", Comparison::Weak), weak, "weak {list}");
            assert_eq!(list_names(list.as_bytes(), b"\"e\"", Comparison::Strong), strong, "strong {list}");
            assert!(!list_names(list.as_bytes(), b"W/\"e\"", Comparison::Strong), "ours is weak {list}");
        }
        assert!(list_names(b"\"e\"", b"W/\"e\"", Comparison::Weak));
        assert!(is_any(b" * ") && !is_any(b"\"*\"") && !is_any(b"*, *"));
    }

    #[test]
    fn a_long_list_of_junk_takes_linear_time() {
        let junk = b"W/\"".repeat(100_000);
        assert!(!list_names(&junk, b"\"e\"", Comparison::Weak));
        assert!(!list_names(&b"\",".repeat(100_000), b"\"e\"", Comparison::Weak));
    }
}
