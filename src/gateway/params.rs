//! What a program is told about a request by the conf's own words (`fastcgi_param` and its siblings) and by the
//! request's fields. How the pairs are written on the wire is the protocols' affair.

use std::borrow::Cow;

use bytes::Bytes;

use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::http::authority;
use crate::http::upgrade::without_http;

/// Names and values, in order.
pub type Pairs<'a> = Vec<(Cow<'a, [u8]>, Cow<'a, [u8]>)>;

/// One line of the conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// The name.
    pub name: Bytes,
    /// The value.
    pub value: Text,
    /// Whether it is left out when the value is empty.
    pub if_not_empty: bool,
}

impl Param {
    /// Whether it only keeps a field of the request away: `HTTP_X ""`.
    fn only_hides(&self) -> bool {
        self.name.starts_with(b"HTTP_") && self.value.constant() == Some(b"")
    }
}

/// The pairs for a request: the conf's first, then the fields that none of them stands for.
pub fn pairs<'a>(x: &'a Exchange, params: &'a [Param], with_fields: bool) -> Pairs<'a> {
    let fields = if with_fields { x.head.fields().count() } else { 0 };
    let mut pairs = Pairs::with_capacity(params.len() + fields);
    for param in params.iter().filter(|param| !param.only_hides()) {
        let mut value = x.eval(&param.value);
        if param.name == b"HTTP_UPGRADE".as_ref() && param.value.constant().is_none() {
            value = Cow::Owned(without_http(&value).into_owned());
        }
        if param.name == b"CONTENT_LENGTH".as_ref() && x.head.is_question() && !value.is_empty() {
            // A question has no body, whatever the client's request has.
            value = Cow::Borrowed(b"0");
        }
        if !(param.if_not_empty && value.is_empty()) {
            pairs.push((Cow::Borrowed(param.name.as_ref()), value));
        }
    }
    for (name, value) in x.session_variables() {
        if !params.iter().any(|param| param.name == name) {
            pairs.push((name.into(), value.into()));
        }
    }
    if with_fields {
        let (named, asked) = (pairs.len(), asked_host(x.head.target()));
        for (name, value) in x.head.fields() {
            let value = asked.filter(|_| name.eq_ignore_ascii_case(b"host")).unwrap_or(value);
            add_field(&mut pairs, named, params, name, value);
        }
    }
    pairs
}

/// The method that a program is told.
pub fn method(x: &Exchange, pairs: &Pairs<'_>) -> Bytes {
    let told = pairs.iter().find(|(name, _)| name.as_ref() == b"REQUEST_METHOD").map(|(_, value)| value.as_ref());
    let told = told.filter(|_| !x.head.is_question());
    Bytes::copy_from_slice(told.unwrap_or(x.method_text()))
}

/// Whether a program is told that another protocol is asked for.
pub fn upgrades(pairs: &Pairs<'_>) -> bool {
    pairs.iter().any(|(name, value)| name.as_ref() == b"HTTP_UPGRADE" && !value.is_empty())
}

/// RFC 9112 section 3.2.2: the authority of an absolute target counts, and Host is ignored. By it the server was chosen, so a program
/// must not be told of another.
fn asked_host(target: &[u8]) -> Option<&[u8]> {
    (target.first() != Some(&b'/')).then(|| authority::of_absolute(target)).flatten().map(|range| &target[range])
}

/// RFC 3875 section 4.1.18: HTTP_ and the name with `_` for `-`; fields that are repeated become one.
fn add_field<'a>(pairs: &mut Pairs<'a>, named: usize, params: &[Param], name: &[u8], value: &'a [u8]) {
    let mut variable = Vec::with_capacity(5 + name.len());
    variable.extend_from_slice(b"HTTP_");
    variable.extend(name.iter().map(|&b| if b == b'-' { b'_' } else { b.to_ascii_uppercase() }));
    // A program would take HTTP_PROXY for a setting of its own; the other belongs to an Upgrade to HTTP/2.
    let is_left_out = variable == b"HTTP_PROXY" || variable == b"HTTP_HTTP2_SETTINGS";
    if is_left_out || params.iter().any(|param| param.name == variable) {
        return;
    }
    let value = if variable == b"HTTP_UPGRADE" { without_http(value) } else { Cow::Borrowed(value) };
    if variable == b"HTTP_UPGRADE" && value.is_empty() {
        return;
    }
    match pairs[named..].iter_mut().find(|(known, _)| *known == variable) {
        Some((_, joined)) => {
            let joined = joined.to_mut();
            joined.extend_from_slice(if variable == b"HTTP_COOKIE" { b"; " } else { b", " });
            joined.extend_from_slice(&value);
        }
        None => pairs.push((variable.into(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(name: &'static str, value: &'static str) -> Param {
        let value = if value.is_empty() { Text::default() } else { Text::literal(value) };
        Param { name: Bytes::from_static(name.as_bytes()), value, if_not_empty: false }
    }

    #[test]
    fn hosts_of_targets() {
        for (target, host) in [
            ("/a", None),
            ("/http://h/", None),
            ("http://h:81/a", Some("h:81")),
            ("http://h?a", Some("h")),
            ("*", None),
        ] {
            assert_eq!(asked_host(target.as_bytes()), host.map(str::as_bytes), "{target}");
        }
    }

    #[test]
    fn fields_become_variables() {
        let params = [param("HTTP_OVER", "ours"), param("HTTP_GONE", ""), param("PLAIN", "")];
        let mut pairs = Pairs::new();
        for (name, value) in [
            ("Host", "h"),
            ("X-Two", "a"),
            ("x-two", "b"),
            ("Cookie", "a=b"),
            ("Cookie", "c=d"),
            ("Over", "theirs"),
            ("Gone", "x"),
            ("Proxy", "evil"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "x"),
            ("Upgrade", "websocket, h2c"),
        ] {
            add_field(&mut pairs, 0, &params, name.as_bytes(), value.as_bytes());
        }
        let shown: Vec<_> = pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        let wanted: [(&[u8], &[u8]); 4] = [
            (b"HTTP_HOST", b"h"),
            (b"HTTP_X_TWO", b"a, b"),
            (b"HTTP_COOKIE", b"a=b; c=d"),
            (b"HTTP_UPGRADE", b"websocket"),
        ];
        assert_eq!(shown, wanted);
        assert!(params[1].only_hides() && !params[0].only_hides() && !params[2].only_hides());
    }
}
