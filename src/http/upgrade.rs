//! The Upgrade field of a request (RFC 9110 section 7.8) on its way to another server. Behind a switch of protocols nobody
//! looks at what is said, so a switch to another version of HTTP would pass by every rule of the conf; it also costs the body
//! of a request whose server does not know what to do with it. Such protocols are never asked for.

use std::borrow::Cow;

/// What of the field's value may be passed on; empty where nothing is left.
pub fn without_http(value: &[u8]) -> Cow<'_, [u8]> {
    let is_kept = |protocol: &&[u8]| !is_http(protocol.trim_ascii());
    if value.split(|b| *b == b',').all(|protocol| is_kept(&protocol)) {
        return Cow::Borrowed(value);
    }
    let kept: Vec<_> = value.split(|b| *b == b',').filter(is_kept).map(<[u8]>::trim_ascii).collect();
    Cow::Owned(kept.into_iter().filter(|protocol| !protocol.is_empty()).collect::<Vec<_>>().join(&b", "[..]))
}

/// Whether a protocol is HTTP again: `h2c` with all its drafts, `h2`, `HTTP/2.0`.
fn is_http(protocol: &[u8]) -> bool {
    let name = protocol.split(|b| *b == b'/').next().unwrap_or_default();
    let name = name.trim_ascii().to_ascii_lowercase();
    let rest = name.strip_prefix(b"h2c").or_else(|| name.strip_prefix(b"h2")).or_else(|| name.strip_prefix(b"http"));
    rest.is_some_and(|rest| rest.first().is_none_or(|b| !b.is_ascii_alphanumeric()))
}

/// The value of Connection without the words that belong to an Upgrade which is not sent; `close` where nothing is left.
pub fn connection_without(value: &[u8]) -> Cow<'_, [u8]> {
    let is_kept = |word: &&[u8]| {
        let word = word.trim_ascii();
        !word.eq_ignore_ascii_case(b"upgrade") && !word.eq_ignore_ascii_case(b"http2-settings")
    };
    let mut words = value.split(|b| *b == b',');
    if words.all(|word| is_kept(&word)) {
        return Cow::Borrowed(value);
    }
    let kept: Vec<_> = value.split(|b| *b == b',').filter(is_kept).map(<[u8]>::trim_ascii).collect();
    match kept.iter().all(|word| word.is_empty()) {
        true => Cow::Borrowed(b"close"),
        false => Cow::Owned(kept.join(&b", "[..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_http_are_not_asked_for() {
        for (value, want) in [
            ("websocket", "websocket"),
            ("WebSocket", "WebSocket"),
            ("h2c", ""),
            ("H2C", ""),
            (" h2c ", ""),
            ("h2c-14", ""),
            ("h2", ""),
            ("HTTP/2.0", ""),
            ("http / 3", ""),
            ("websocket, h2c", "websocket"),
            ("h2c,websocket , h2c", "websocket"),
            ("h2c,,", ""),
            ("h2cool, h2o, httpx", "h2cool, h2o, httpx"),
            ("IRC/6.9, TLS/1.0", "IRC/6.9, TLS/1.0"),
            ("", ""),
        ] {
            assert_eq!(without_http(value.as_bytes()), want.as_bytes(), "{value:?}");
        }
    }

    #[test]
    fn connection_says_nothing_of_what_is_not_sent() {
        for (value, want) in [
            ("Upgrade, HTTP2-Settings", "close"),
            ("upgrade", "close"),
            ("keep-alive, Upgrade", "keep-alive"),
            ("close", "close"),
            ("", ""),
        ] {
            assert_eq!(connection_without(value.as_bytes()), want.as_bytes(), "{value:?}");
        }
    }
}
