//! From a raw request-target to the one decoded, normalised path that everything later matches
//! (RFC 9112 section 3.2). Decodes once, never again; knows no location and no file.

use std::ops::Range;

use super::authority;

/// The parts of a request-target, as ranges of the raw bytes; the path is written beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which of the four forms it has.
    pub form: Form,
    /// The authority of absolute-form and authority-form.
    pub authority: Option<Range<usize>>,
    /// Where path and query begin: 0 but in absolute-form.
    pub origin: usize,
    /// The query, without its `?` and without a fragment.
    pub args: Option<Range<usize>>,
    /// Whether the path is the raw one byte for byte, seen without any work: nothing was decoded, merged or
    /// resolved. `false` promises nothing.
    pub plain: bool,
}

/// The forms of RFC 9112 section 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, of CONNECT
    Authority,
    /// `*`, of OPTIONS
    Asterisk,
}

/// Why a target names no path. All of them are 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetError {
    /// None of the four forms.
    BadForm,
    /// `%` without two hexadecimal digits.
    BadEscape,
    /// `%00`, or a zero byte as it is.
    Zero,
    /// `..` leads above the root.
    AboveRoot,
}

impl TargetError {
    /// The status of the answer.
    pub fn status(self) -> u16 {
        400
    }

    /// The line for the error log, at level info.
    pub fn log(self) -> &'static str {
        "client sent invalid request while reading client request line"
    }

    /// A stable code for the reason.
    pub fn reason(self) -> &'static str {
        match self {
            TargetError::BadForm => "bad-target",
            TargetError::BadEscape => "bad-escape",
            TargetError::Zero => "zero-byte-in-path",
            TargetError::AboveRoot => "path-above-root",
        }
    }
}

/// Splits a raw target and writes its path, decoded and normalised, into `path` (cleared first): `/` for a
/// target without one, `*` for asterisk-form, nothing for authority-form.
pub fn parse(raw: &[u8], merge_slashes: bool, path: &mut Vec<u8>) -> Result<Target, TargetError> {
    path.clear();
    if raw.first() == Some(&b'/') {
        return parse_origin(raw, 0, merge_slashes, path);
    }
    if raw == b"*" {
        path.push(b'*');
        return Ok(Target { form: Form::Asterisk, authority: None, origin: 0, args: None, plain: true });
    }
    if let Some(authority) = authority::of_absolute(raw) {
        let target = parse_origin(raw, authority.end, merge_slashes, path)?;
        return Ok(Target { form: Form::Absolute, authority: Some(authority), ..target });
    }
    if authority::is_valid(raw) {
        let authority = Some(0..raw.len());
        return Ok(Target { form: Form::Authority, authority, origin: raw.len(), args: None, plain: false });
    }
    Err(TargetError::BadForm)
}

/// The path and query that begin at `origin`.
fn parse_origin(raw: &[u8], origin: usize, merge: bool, path: &mut Vec<u8>) -> Result<Target, TargetError> {
    let whole = &raw[origin..];
    let path_len = whole.iter().position(|&b| b == b'?' || b == b'#').unwrap_or(whole.len());
    let raw_path = &whole[..path_len];
    // A fragment is never sent by a client that follows RFC 9112; nginx cuts it, so do we.
    let args = (whole.get(path_len) == Some(&b'?')).then(|| {
        let start = origin + path_len + 1;
        let len = raw[start..].iter().position(|&b| b == b'#').unwrap_or(raw.len() - start);
        start..start + len
    });
    let plain = !raw_path.is_empty() && is_plain(raw_path, merge);
    if raw_path.is_empty() {
        path.push(b'/');
    } else if plain {
        path.extend_from_slice(raw_path);
    } else {
        resolve(raw_path, merge, path)?;
    }
    Ok(Target { form: Form::Origin, authority: None, origin, args, plain })
}

/// Whether a path needs no work: no escape, no zero byte, no segment that begins with a dot, no empty segment
/// (when those are merged). Says no too often rather than too seldom.
fn is_plain(path: &[u8], merge: bool) -> bool {
    let mut last = 0;
    for &byte in path {
        if byte == b'%' || byte == 0 || (last == b'/' && (byte == b'.' || (merge && byte == b'/'))) {
            return false;
        }
        last = byte;
    }
    true
}

/// Decodes `%XX` and resolves empty, `.` and `..` segments in one walk. An escaped slash or dot counts as the
/// plain one, so that no later step sees another path than was matched.
fn resolve(raw: &[u8], merge: bool, path: &mut Vec<u8>) -> Result<(), TargetError> {
    let mut rest = raw;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = if first == b'%' { decode(after)? } else { (first, after) };
        if byte == 0 {
            return Err(TargetError::Zero);
        }
        if byte != b'/' {
            path.push(byte);
        } else {
            close_segment(path, merge, false)?;
        }
        rest = after;
    }
    close_segment(path, merge, true)
}

/// Two hexadecimal digits after a `%`.
pub(super) fn decode(text: &[u8]) -> Result<(u8, &[u8]), TargetError> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    if let [high, low, rest @ ..] = text
        && let (Some(high), Some(low)) = (digit(*high), digit(*low))
    {
        return Ok(((high * 16 + low) as u8, rest));
    }
    Err(TargetError::BadEscape)
}

/// Ends the segment behind the last slash of `path`: at a slash, or at the end of the target.
fn close_segment(path: &mut Vec<u8>, merge: bool, at_end: bool) -> Result<(), TargetError> {
    let Some(slash) = path.iter().rposition(|&b| b == b'/') else {
        // Only the slash that every path begins with.
        path.push(b'/');
        return Ok(());
    };
    match &path[slash + 1..] {
        b"." => path.truncate(slash + 1),
        b".." => {
            let parent = path[..slash].iter().rposition(|&b| b == b'/').ok_or(TargetError::AboveRoot)?;
            path.truncate(parent + 1);
        }
        b"" if merge || at_end => {}
        _ if at_end => {}
        _ => path.push(b'/'),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(raw: &[u8], merge: bool) -> Result<(String, Option<String>), TargetError> {
        let mut path = b"old".to_vec();
        let target = parse(raw, merge, &mut path)?;
        let args = target.args.map(|range| String::from_utf8_lossy(&raw[range]).into_owned());
        let raw_path = raw[target.origin..].split(|&b| b == b'?' || b == b'#').next().unwrap();
        assert!(!target.plain || path == raw_path);
        Ok((path.escape_ascii().to_string(), args))
    }

    #[test]
    fn paths_are_resolved_once() {
        let table: &[(&str, &str, Option<&str>)] = &[
            ("/", "/", None),
            ("/a?b", "/a", Some("b")),
            ("/a?", "/a", Some("")),
            ("/a?b?c", "/a", Some("b?c")),
            ("/a?b#c", "/a", Some("b")),
            ("/a#b?c", "/a", None),
            ("/#", "/", None),
            ("/?%zz%00", "/", Some("%zz%00")),
            ("/a%23b%3fc?d", "/a#b?c", Some("d")),
            ("/%2541", "/%41", None),
            ("/%25%32%65%25%32%65/", "/%2e%2e/", None),
            ("/a+b", "/a+b", None),
            ("/%e9\u{e9}", "/\\xe9\\xc3\\xa9", None),
            ("/a%2f..%2fb", "/b", None),
            ("/a/%2e%2e/b", "/b", None),
            ("/a/.%2E/b", "/b", None),
            ("/a//../b", "/b", None),
            ("/..a", "/..a", None),
            ("/...", "/...", None),
            ("/.a/a./a..", "/.a/a./a..", None),
            ("/.", "/", None),
            ("/%2e", "/", None),
            ("/a/.", "/a/", None),
            ("/a/..", "/", None),
            ("/a/..?x", "/", Some("x")),
            ("/a/.#x", "/a/", None),
            ("/a/./b/", "/a/b/", None),
            ("/a/b/../../c", "/c", None),
            ("//", "/", None),
            ("///a//b///", "/a/b/", None),
            ("/a%2f%2fb", "/a/b", None),
            ("/a\\..\\b", "/a\\\\..\\\\b", None),
        ];
        for (raw, path, args) in table {
            assert_eq!(resolved(raw.as_bytes(), true), Ok(((*path).to_owned(), args.map(str::to_owned))), "{raw}");
        }
    }

    #[test]
    fn slashes_stay_when_they_are_not_merged() {
        let table = [
            ("//", "//"),
            ("/a//b", "/a//b"),
            ("/a//../b", "/a/b"),
            ("//..", "/"),
            ("/a//./b", "/a//b"),
            ("/%2f", "//"),
        ];
        for (raw, path) in table {
            assert_eq!(resolved(raw.as_bytes(), false), Ok((path.to_owned(), None)), "{raw}");
        }
    }

    #[test]
    fn refused() {
        let table: &[(&[u8], TargetError)] = &[
            (b"/..", TargetError::AboveRoot),
            (b"/../a", TargetError::AboveRoot),
            (b"/%2e%2e", TargetError::AboveRoot),
            (b"/a/../..", TargetError::AboveRoot),
            (b"/%2f../", TargetError::AboveRoot),
            (b"//..", TargetError::AboveRoot),
            (b"/%00", TargetError::Zero),
            (b"/\0", TargetError::Zero),
            (b"/%", TargetError::BadEscape),
            (b"/%4", TargetError::BadEscape),
            (b"/%zz", TargetError::BadEscape),
            (b"/%4?b", TargetError::BadEscape),
            (b"/%%34", TargetError::BadEscape),
            (b"/%+1", TargetError::BadEscape),
            (b"", TargetError::BadForm),
            (b"a/b", TargetError::BadForm),
            (b"?", TargetError::BadForm),
            (b"http:/a", TargetError::BadForm),
        ];
        for (raw, error) in table {
            assert_eq!(resolved(raw, true), Err(*error), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn other_forms() {
        type Row = (&'static str, Form, Option<Range<usize>>, &'static str, Option<&'static str>, usize);
        let table: &[Row] = &[
            ("http://a/b?c", Form::Absolute, Some(7..8), "/b", Some("c"), 8),
            ("http://a:1", Form::Absolute, Some(7..10), "/", None, 10),
            ("http://a?b#c", Form::Absolute, Some(7..8), "/", Some("b"), 8),
            ("a:80", Form::Authority, Some(0..4), "", None, 4),
            ("*", Form::Asterisk, None, "*", None, 0),
        ];
        for (raw, form, authority, path, args, origin) in table {
            let mut found = Vec::new();
            let target = parse(raw.as_bytes(), true, &mut found).unwrap();
            assert_eq!((target.form, &target.authority, target.origin), (*form, authority, *origin), "{raw}");
            assert_eq!(found, path.as_bytes(), "{raw}");
            assert_eq!(target.args.map(|range| &raw[range]), *args, "{raw}");
        }
    }
}
