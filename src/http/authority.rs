//! Who a request is for: the `uri-host [":" port]` of Host and of absolute-form (RFC 9110
//! section 7.2, RFC 3986 section 3.2). Stricter than nginx, which takes nearly any byte.

use std::net::Ipv6Addr;
use std::ops::Range;

/// Where the authority stands in `scheme://authority/path`; `None` when it is not that form.
pub fn of_absolute(target: &[u8]) -> Option<Range<usize>> {
    let scheme =
        target.iter().position(|&b| !matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'+' | b'-' | b'.'))?;
    if !target[0].is_ascii_alphabetic() || !target[scheme..].starts_with(b"://") {
        return None;
    }
    let start = scheme + 3;
    let end = target[start..].iter().position(|&b| b == b'/' || b == b'?').map_or(target.len(), |i| start + i);
    Some(start..end)
}

/// Whether this is a host with or without a port.
pub fn is_valid(value: &[u8]) -> bool {
    host_of(value).is_some()
}

/// Appends the host as servers are looked up by it: without port, in lower case, without one dot
/// at its end. `false` when the value is no valid authority; then nothing is appended.
pub fn write_name(value: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(host) = host_of(value) else { return false };
    let start = out.len();
    out.extend_from_slice(host);
    out[start..].make_ascii_lowercase();
    true
}

/// The host part without port and last dot, when all of the value is valid.
fn host_of(value: &[u8]) -> Option<&[u8]> {
    let (host, rest) = match value.first()? {
        b'[' => value.split_at(value.iter().position(|&b| b == b']')? + 1),
        _ => value.split_at(value.iter().position(|&b| b == b':').unwrap_or(value.len())),
    };
    // port = *DIGIT (RFC 3986 section 3.2.3): it may be empty, and its size is nobody's business here.
    if let Some((first, port)) = rest.split_first()
        && (*first != b':' || !port.iter().all(u8::is_ascii_digit))
    {
        return None;
    }
    if let Some(inner) = host.strip_prefix(b"[") {
        return is_literal(inner.strip_suffix(b"]")?).then_some(host);
    }
    let name = host.strip_suffix(b".").unwrap_or(host);
    is_name(name).then_some(name)
}

/// reg-name of RFC 3986 section 3.2.2, not empty and (as nginx) without two dots in a row.
fn is_name(name: &[u8]) -> bool {
    let mut last = 0;
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'.' if last == b'.' => return false,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {}
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {}
            b'%' => {
                let pair = [bytes.next(), bytes.next()];
                if !pair.iter().all(|digit| digit.is_some_and(u8::is_ascii_hexdigit)) {
                    return false;
                }
            }
            _ => return false,
        }
        last = byte;
    }
    // One dot was cut already: a second at the end would be an empty label.
    !name.is_empty() && last != b'.'
}

/// What may stand between brackets: an IPv6 address or `v1.something`.
fn is_literal(inner: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = inner {
        let Some(dot) = future.iter().position(|&b| b == b'.') else { return false };
        let (version, rest) = (&future[..dot], &future[dot + 1..]);
        let is_rest = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(b);
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !rest.is_empty()
            && rest.iter().all(is_rest);
    }
    str::from_utf8(inner).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let table: &[(&[u8], Option<&str>)] = &[
            (b"a", Some("a")),
            (b"A.B.", Some("a.b")),
            (b"a.:80", Some("a")),
            (b"a:80", Some("a")),
            (b"a:", Some("a")),
            (b"a:99999", Some("a")),
            (b"a_b~!$&'()*+,;=", Some("a_b~!$&'()*+,;=")),
            (b".a", Some(".a")),
            (b"a%20b", Some("a%20b")),
            (b"127.0.0.1:8080", Some("127.0.0.1")),
            (b"[::1]", Some("[::1]")),
            (b"[::FFFF:1.2.3.4]:80", Some("[::ffff:1.2.3.4]")),
            (b"[v1f.a:b]", Some("[v1f.a:b]")),
            (b"", None),
            (b".", None),
            (b"..", None),
            (b"a..b", None),
            (b"a..", None),
            (b":80", None),
            (b"a:x", None),
            (b"a:80:80", None),
            (b"a:+1", None),
            (b"a b", None),
            (b"a\tb", None),
            (b"a/b", None),
            (b"a@b", None),
            (b"a?b", None),
            (b"a#b", None),
            (b"a\\b", None),
            (b"a\0", None),
            (b"a\xff", None),
            (b"a<", None),
            (b"a\"", None),
            (b"a%2", None),
            (b"a%zz", None),
            (b"::1", None),
            (b"[", None),
            (b"[::1", None),
            (b"[::1]x", None),
            (b"[]", None),
            (b"[a]", None),
            (b"[::1%25eth0]", None),
            (b"[v.a]", None),
            (b"[v1.]", None),
            (b"[v1]", None),
        ];
        for (value, expected) in table {
            let mut out = Vec::new();
            let valid = write_name(value, &mut out);
            let found = valid.then(|| String::from_utf8_lossy(&out).into_owned());
            assert_eq!(found.as_deref(), *expected, "{}", value.escape_ascii());
            assert!(valid || out.is_empty());
        }
    }

    #[test]
    fn absolute_form() {
        let table: &[(&str, Option<&str>)] = &[
            ("http://a/b", Some("a")),
            ("HTTP://a:80?x", Some("a:80")),
            ("a1+-.://h", Some("h")),
            ("http:///x", Some("")),
            ("http:/x", None),
            ("1a://h", None),
            ("://h", None),
            ("a:80", None),
            ("http", None),
        ];
        for (target, expected) in table {
            assert_eq!(of_absolute(target.as_bytes()).map(|range| &target[range]), *expected, "{target}");
        }
    }
}
