//! A path of this server that a program names in a field of its response, where no client has asked for it. Unlike a
//! request-target it is not normalised, so that `/fetch/https://host/file` keeps its slashes; a path that leads up is
//! refused instead. Decodes once, never again.

use super::target::decode;

/// Why such a text names no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A segment is `..`, before or after decoding.
    LeadsUp,
    /// It does not begin with a slash.
    NoSlash,
    /// `%` without two hexadecimal digits.
    BadEscape,
    /// It holds a zero byte, or is empty.
    NoPath,
}

/// The decoded path, and the query without its `?`. What follows a `#` belongs to the path, as in nginx.
pub fn parse(raw: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), Fault> {
    let mark = raw.iter().position(|&b| b == b'?');
    let (raw, args) = mark.map_or((raw, None), |at| (&raw[..at], Some(raw[at + 1..].to_vec())));
    let mut path = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = if first == b'%' { decode(after).map_err(|_| Fault::BadEscape)? } else { (first, after) };
        path.push(byte);
        rest = after;
    }
    if path.is_empty() || path.contains(&0) {
        return Err(Fault::NoPath);
    }
    if leads_up(raw) || leads_up(&path) {
        return Err(Fault::LeadsUp);
    }
    if path[0] != b'/' {
        return Err(Fault::NoSlash);
    }
    Ok((path, args))
}

/// Whether a segment is `..`.
fn leads_up(path: &[u8]) -> bool {
    path.split(|&b| b == b'/').any(|segment| segment == b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (raw, path, args) in [
            ("/a", "/a", None),
            ("/a?", "/a", Some("")),
            ("/a?b?../..", "/a", Some("b?../..")),
            ("/a%3fb#c", "/a?b#c", None),
            ("/f/https://h//x/./y", "/f/https://h//x/./y", None),
            ("/%252e%252e/a", "/%2e%2e/a", None),
            ("%2fa", "/a", None),
            ("/a../..b/.../c", "/a../..b/.../c", None),
            ("/..;/..#", "/..;/..#", None),
            ("/a b+c", "/a b+c", None),
        ] {
            let want = (path.as_bytes().to_vec(), args.map(|args| args.as_bytes().to_vec()));
            assert_eq!(parse(raw.as_bytes()), Ok(want), "{raw}");
        }
        assert_eq!(parse(b"/%ff\xfe"), Ok((b"/\xff\xfe".to_vec(), None)));
    }

    #[test]
    fn what_is_no_path() {
        for (raw, fault) in [
            ("..", Fault::LeadsUp),
            ("/..", Fault::LeadsUp),
            ("/..?a", Fault::LeadsUp),
            ("/a/../b", Fault::LeadsUp),
            ("/a/%2e%2E/b", Fault::LeadsUp),
            ("/a/.%2e/b", Fault::LeadsUp),
            ("/a/..%2fb", Fault::LeadsUp),
            ("/a%2f..%2fb", Fault::LeadsUp),
            ("/a/%2e.?b", Fault::LeadsUp),
            ("a", Fault::NoSlash),
            (".", Fault::NoSlash),
            ("http://h/a", Fault::NoSlash),
            ("-private/a", Fault::NoSlash),
            ("/%", Fault::BadEscape),
            ("/%4", Fault::BadEscape),
            ("/%zz/../a", Fault::BadEscape),
            ("/%00", Fault::NoPath),
            ("/a\0b", Fault::NoPath),
            ("", Fault::NoPath),
            ("?a", Fault::NoPath),
        ] {
            assert_eq!(parse(raw.as_bytes()), Err(fault), "{raw}");
        }
    }
}
