//! The URL of `proxy_pass`: read at load where it is fixed, else worked out for each request. Knows whom it names, not what is
//! asked of them.

use std::sync::Arc;

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::Contexts;
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::gateway::passing::Passing;
use crate::gateway::resolver::Names;
use crate::gateway::upstream::finding::{self, Finding};
use crate::gateway::upstream::{Upstream, Upstreams};
use crate::http::escape;

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The URL as the conf has it, or worked out from variables.
    pub url: Url,
    /// The prefix of the location around, which the URL's path takes the place of; empty where there is none.
    pub prefix: Bytes,
}

/// A URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Url {
    /// The same for all requests; the index names its upstream.
    Fixed(Parts, usize),
    /// With variables.
    Computed(Text),
}

/// A URL's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Whether it is https.
    pub secure: bool,
    /// Host and port, as written.
    pub authority: Bytes,
    /// Path and query; empty if there is none.
    pub uri: Bytes,
}

/// What a search came to.
pub enum Found {
    /// There.
    Here(There),
    /// The name is being looked up.
    Later(Step),
}

/// Where one request goes.
pub struct There {
    /// Who may get it.
    pub upstream: Arc<Upstream>,
    /// The URL.
    pub parts: Parts,
}

impl Parts {
    /// Splits a URL; none if it has neither scheme.
    pub fn parse(url: &[u8]) -> Option<Parts> {
        let has = |scheme: &[u8]| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        let (secure, at) = match () {
            () if has(b"http://") => (false, 7),
            () if has(b"https://") => (true, 8),
            () => return None,
        };
        let rest = &url[at..];
        // `unix:/path:/uri`: the path of the socket ends at a colon.
        let end = match rest.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"unix:")) {
            true => rest[5..].iter().position(|&b| b == b':').map(|n| n + 5),
            false => rest.iter().position(|&b| b == b'/' || b == b'?'),
        };
        let authority = &rest[..end.unwrap_or(rest.len())];
        let uri = match end {
            Some(end) if rest[end] == b':' => &rest[end + 1..],
            Some(end) => &rest[end..],
            None => b"",
        };
        let uri = match uri.first() {
            Some(b'?') => [b"/", uri].concat().into(),
            _ => Bytes::copy_from_slice(uri),
        };
        Some(Parts { secure, authority: Bytes::copy_from_slice(authority), uri })
    }

    /// The port where the URL names none.
    pub fn default_port(&self) -> u16 {
        if self.secure { 443 } else { 80 }
    }

    /// `$proxy_host`: host and port, without a port that is understood.
    pub fn host(&self) -> &[u8] {
        if self.is_unix() {
            return b"localhost";
        }
        let usual: &[u8] = if self.secure { b":443" } else { b":80" };
        self.authority.strip_suffix(usual).unwrap_or(&self.authority)
    }

    /// `$proxy_port`.
    pub fn port(&self) -> String {
        if self.is_unix() {
            return String::new();
        }
        let behind = self.authority.iter().rposition(|&b| b == b']').map_or(0, |at| at + 1);
        let named = self.authority[behind..].iter().position(|&b| b == b':');
        let digits = named.and_then(|at| std::str::from_utf8(&self.authority[behind + at + 1..]).ok());
        digits.map_or_else(|| self.default_port().to_string(), str::to_string)
    }

    /// Scheme and authority.
    pub fn base(&self) -> Vec<u8> {
        let scheme: &[u8] = if self.secure { b"https://" } else { b"http://" };
        [scheme, &self.authority].concat()
    }

    fn is_unix(&self) -> bool {
        self.authority.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"unix:"))
    }
}

impl Pass {
    /// Reads the URL of a `proxy_pass`.
    pub fn read(args: &mut Args<'_>) -> Result<Pass, Fault> {
        let word = args.word(0);
        let around = args.load.location.clone();
        let prefix = match &around {
            Some(around) if !around.regex && !around.named => Bytes::copy_from_slice(&around.name),
            _ => Bytes::new(),
        };
        let text = args.text(0)?;
        let Some(fixed) = text.constant() else {
            return Ok(Pass { url: Url::Computed(text), prefix });
        };
        let parts = Parts::parse(fixed).ok_or_else(|| {
            Fault::at(word, format!("has an invalid URL prefix in `{}`", word.show()))
                .help("write `http://HOST:PORT` or `https://HOST:PORT`")
        })?;
        let inside = match &around {
            _ if args.context.meets(Contexts::IF_LOCATION) => Some("inside an `if`"),
            _ if args.context.meets(Contexts::LIMIT_EXCEPT) => Some("inside a `limit_except`"),
            Some(around) if around.regex => Some("in a location given by a regex"),
            Some(around) if around.named => Some("inside a named location"),
            _ => None,
        };
        if let Some(inside) = inside.filter(|_| !parts.uri.is_empty()) {
            let text =
                format!("cannot have a path in its URL {inside}: there is no prefix that it could take the place of");
            let base = String::from_utf8_lossy(&parts.base()).into_owned();
            return Err(Fault::at(word, text).help(format!("write `proxy_pass {base};`, and `rewrite` before it")));
        }
        let index = args.destination(0, &parts.authority, parts.default_port());
        Ok(Pass { url: Url::Fixed(parts, index), prefix })
    }

    /// The URL's parts for one request.
    pub fn parts(&self, x: &Exchange) -> Option<Parts> {
        match &self.url {
            Url::Fixed(parts, _) => Some(parts.clone()),
            Url::Computed(text) => Parts::parse(&x.eval(text)),
        }
    }

    /// Whether variables made the path of these parts, so that it is sent as it is.
    pub fn is_computed(&self, parts: &Parts) -> bool {
        matches!(self.url, Url::Computed(_)) && !parts.uri.is_empty()
    }

    /// Who may get a request of these parts, if that is known without looking a name up.
    pub fn known(&self, parts: &Parts, upstreams: &Upstreams) -> Option<Arc<Upstream>> {
        match self.url {
            Url::Fixed(_, index) => upstreams.at(index).cloned(),
            Url::Computed(_) => finding::known(upstreams, &parts.authority, parts.default_port()),
        }
    }

    /// Where a request goes, or the step that waits until its name is looked up.
    pub fn find(
        &self,
        x: &Exchange,
        (upstreams, names): (&Upstreams, &Names),
        state: &mut Passing,
    ) -> Result<Found, HttpError> {
        let text = match &self.url {
            Url::Fixed(parts, index) => {
                let upstream = upstreams.at(*index).cloned().ok_or_else(|| HttpError::new(500, "no-upstream"))?;
                return Ok(Found::Here(There { upstream, parts: parts.clone() }));
            }
            Url::Computed(text) => x.eval(text).into_owned(),
        };
        let parts = Parts::parse(&text).ok_or_else(|| {
            let words = format!("invalid URL prefix in \"{}\"", escape::error_log(&text));
            HttpError::new(500, "bad-upstream-url").log(Level::Error, words)
        })?;
        Ok(match finding::find(x, (upstreams, names), &parts.authority, parts.default_port(), &mut state.lookup)? {
            Finding::Here(upstream) => Found::Here(There { upstream, parts }),
            Finding::Later(step) => Found::Later(step),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_parts() {
        for (url, want) in [
            ("http://a", Some((false, "a", "", "a", "80"))),
            ("HTTP://a:80/", Some((false, "a:80", "/", "a", "80"))),
            ("https://a:8443/x?y", Some((true, "a:8443", "/x?y", "a:8443", "8443"))),
            ("https://a:443", Some((true, "a:443", "", "a", "443"))),
            ("http://a?x", Some((false, "a", "/?x", "a", "80"))),
            ("http://[::1]:81/", Some((false, "[::1]:81", "/", "[::1]:81", "81"))),
            ("http://[::1]", Some((false, "[::1]", "", "[::1]", "80"))),
            ("http://unix:/run/a.sock", Some((false, "unix:/run/a.sock", "", "localhost", ""))),
            ("http://unix:/run/a.sock:/x", Some((false, "unix:/run/a.sock", "/x", "localhost", ""))),
            ("ftp://a", None),
            ("a", None),
        ] {
            let parts = Parts::parse(url.as_bytes());
            let found = parts.map(|parts| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (parts.secure, text(&parts.authority), text(&parts.uri), text(parts.host()), parts.port())
            });
            let want = want.map(|(secure, a, b, c, d)| (secure, a.into(), b.into(), c.into(), d.into()));
            assert_eq!(found, want, "{url}");
        }
    }
}
