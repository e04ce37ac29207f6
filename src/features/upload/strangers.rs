//! Whether a request was sent by a page of another site: a browser sends forms anywhere, with the visitor's cookies and from inside
//! the visitor's network, and asks nobody before (no preflight). It says where they come from. Must not know uploads.

use bytes::Bytes;

use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::http::head::Known;
use crate::http::{authority, escape};

/// Refuses what a page of another site sent, unless the conf lets that site in. Programs that say nothing of the kind go on.
pub fn refuse(x: &Exchange, welcome: &[Bytes]) -> Result<(), HttpError> {
    let Some(sender) = stranger(x) else { return Ok(()) };
    if x.head.fields_named(b"origin").next().is_some() {
        if x.head.fields_named(b"origin").all(|origin| is_welcome(origin, welcome)) {
            return Ok(());
        }
    } else if x.head.known(Known::Referer).is_some_and(|referer| is_welcome(origin_of(referer), welcome)) {
        return Ok(());
    }
    let text = format!("a page of another site (\"{}\") sent a form", escape::error_log(sender));
    Err(HttpError::new(403, "other-site").log(Level::Error, text))
}

/// What says that another site sent it. Only the first of three kinds of fields counts that is there: Sec-Fetch-Site, which no page
/// can set, then Origin (`null` is nobody's), then Referer, as older browsers have it.
fn stranger(x: &Exchange) -> Option<&[u8]> {
    let shown = || x.head.field(b"origin").or_else(|| x.head.known(Known::Referer));
    let mut sites = x.head.fields_named(b"sec-fetch-site").peekable();
    if sites.peek().is_some() {
        let site = sites.find(|site| !matches!(*site, b"same-origin" | b"none"))?;
        return Some(shown().unwrap_or(site));
    }
    let mut origins = x.head.fields_named(b"origin").peekable();
    if origins.peek().is_some() {
        return origins.find(|origin| !is_own(x, origin));
    }
    x.head.known(Known::Referer).filter(|referer| !is_own(x, origin_of(referer)))
}

/// Whether this is the origin that the request was sent to. Who ends TLS before this server is not known, so a page that came by
/// https may send here by http; the other way round it may not.
fn is_own(x: &Exchange, origin: &[u8]) -> bool {
    let target = x.head.target();
    let own = match authority::of_absolute(target) {
        Some(range) => target.get(range),
        None => x.head.known(Known::Host),
    };
    let Some((scheme, theirs)) = split(origin) else { return false };
    let is_safe = scheme == b"https" || x.client.security.session().is_none();
    let Some(own) = own.filter(|_| is_safe) else { return false };
    let (own, theirs) = (own.to_ascii_lowercase(), theirs.to_ascii_lowercase());
    without_port(scheme, &own) == without_port(scheme, &theirs)
}

fn is_welcome(origin: &[u8], welcome: &[Bytes]) -> bool {
    normal(origin).is_some_and(|origin| welcome.iter().any(|other| *other == origin))
}

/// An origin (RFC 6454 section 6.1) as it is compared: in lower case, without the port that its scheme has anyway.
pub fn normal(origin: &[u8]) -> Option<Vec<u8>> {
    let origin = origin.to_ascii_lowercase();
    let (scheme, host) = split(&origin)?;
    authority::is_valid(host).then(|| [scheme, b"://", without_port(scheme, host)].concat())
}

/// The origin of a URL.
fn origin_of(url: &[u8]) -> &[u8] {
    let start = url.windows(3).position(|three| three == b"://").map_or(0, |at| at + 3);
    let end = url[start..].iter().position(|b| matches!(b, b'/' | b'?' | b'#')).map_or(url.len(), |at| start + at);
    &url[..end]
}

/// Scheme and host of a site that a browser can have come from.
fn split(origin: &[u8]) -> Option<(&'static [u8], &[u8])> {
    [&b"http"[..], b"https"].into_iter().find_map(|scheme| {
        let (start, rest) = origin.split_at_checked(scheme.len())?;
        Some((scheme, rest.strip_prefix(b"://")?)).filter(|_| start.eq_ignore_ascii_case(scheme))
    })
}

fn without_port<'a>(scheme: &[u8], host: &'a [u8]) -> &'a [u8] {
    let port: &[u8] = if scheme == b"https" { b":443" } else { b":80" };
    host.strip_suffix(port).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_as_they_are_written_best() {
        for (origin, wanted) in [
            ("https://App.Example.com", Some("https://app.example.com")),
            ("https://a:443", Some("https://a")),
            ("http://a:80", Some("http://a")),
            ("http://a:443", Some("http://a:443")),
            ("http://[::1]:8000", Some("http://[::1]:8000")),
            ("HTTP://a", Some("http://a")),
            ("null", None),
            ("", None),
            ("a", None),
            ("http://", None),
            ("http://a/", None),
            ("http://u@a", None),
            ("ftp://a", None),
            ("https://*.a", Some("https://*.a")),
        ] {
            assert_eq!(normal(origin.as_bytes()).as_deref(), wanted.map(str::as_bytes), "{origin}");
        }
    }

    #[test]
    fn a_url_has_an_origin() {
        for (url, wanted) in [
            ("http://a/b?c", "http://a"),
            ("http://a", "http://a"),
            ("https://a:1?b", "https://a:1"),
            ("http://a#/b://c", "http://a"),
            ("about:blank", "about:blank"),
        ] {
            assert_eq!(origin_of(url.as_bytes()), wanted.as_bytes(), "{url}");
        }
    }
}
