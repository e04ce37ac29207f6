//! What must hold for every input of a parser, whatever its bytes. Shared by the fuzz targets and by
//! `tests/fuzz_seeds.rs`, which runs the same checks on stable Rust; must not depend on either.

use longshore::http::chunked::Decoder;
use longshore::http::head::{Head, Limits, Scanner};
use longshore::http::target;

/// A head ends at the same byte however it arrives, and what was parsed lies within it.
pub fn head(data: &[u8]) {
    let limits = Limits { header_buffer: 64, large_buffers: (2, 128), max_headers: 6, ..Limits::default() };
    let whole = Scanner::default().scan(data, &limits);
    let mut scanner = Scanner::default();
    let trickled = (0..=data.len()).find_map(|end| scanner.scan(&data[..end], &limits).transpose()).transpose();
    // A head that trickles in may be refused before its end was seen, never the other way round.
    assert!(trickled == whole || trickled.is_err(), "{whole:?} in one piece, {trickled:?} in many");
    let Ok(Some(end)) = whole else { return };
    assert!(end <= data.len());
    let mut head = Head::default();
    if head.parse(&data[..end], &limits).is_err() {
        return;
    }
    assert!(trickled.is_ok(), "a good head was refused while it came: {trickled:?}");
    for (name, value) in head.fields() {
        assert!(!name.is_empty() && !name.contains(&b':'));
        assert!(!value.iter().any(|&b| b == b'\r' || b == b'\n' || b == 0));
        assert!(head.fields_named(name).any(|other| other == value));
    }
    assert!(head.host().is_none_or(|host| !host.iter().any(u8::is_ascii_uppercase)));
    let mut path = Vec::new();
    if target::parse(head.target(), true, &mut path).is_ok() {
        check_path(&path, true);
    }
}

/// A resolved path holds nothing that a later step would resolve again.
pub fn target(data: &[u8]) {
    let mut path = Vec::new();
    for merge in [true, false] {
        let Ok(parsed) = target::parse(data, merge, &mut path) else { continue };
        check_path(&path, merge);
        assert!(!parsed.plain || data[parsed.origin..].starts_with(&path) || path == b"*");
        if let Some(args) = parsed.args {
            assert!(data[args.start - 1] == b'?' && !data[args].contains(&b'#'));
        }
    }
}

fn check_path(path: &[u8], merge: bool) {
    if path.is_empty() || path == b"*" {
        return;
    }
    assert_eq!(path[0], b'/');
    assert!(!path.contains(&0));
    for segment in path.split(|&b| b == b'/') {
        assert!(segment != b"." && segment != b"..", "{}", path.escape_ascii());
    }
    assert!(!merge || !path.windows(2).any(|pair| pair == b"//"), "{}", path.escape_ascii());
}

/// A chunked body gives the same bytes and the same end however it arrives.
pub fn chunked(data: &[u8]) {
    let whole = decode(data, data.len().max(1));
    for step in [1, 3] {
        assert_eq!(decode(data, step), whole, "in pieces of {step}");
    }
    if let Some((body, consumed, _)) = whole {
        assert!(body.len() <= consumed && consumed <= data.len());
    }
}

fn decode(data: &[u8], step: usize) -> Option<(Vec<u8>, usize, bool)> {
    let (mut decoder, mut body, mut consumed, mut done) = (Decoder::default(), Vec::new(), 0, false);
    for piece in data.chunks(step) {
        let progress = decoder.decode(piece, &mut |bytes| body.extend_from_slice(bytes)).ok()?;
        consumed += progress.consumed;
        done = progress.done;
        if done {
            break;
        }
    }
    Some((body, consumed, done))
}
