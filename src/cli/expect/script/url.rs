//! URLs of expect files: whole ones, and paths that take the rest from a base.

use super::shown;

/// The parts of a URL that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Url {
    /// Whether it is https; none if it names no scheme.
    pub tls: Option<bool>,
    /// The host, with the brackets of an address of IPv6.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// Path and query, or `*`.
    pub path: String,
}

impl Url {
    /// Host and port as in a Host field.
    pub fn authority(&self) -> Option<String> {
        let host = self.host.as_ref()?;
        let usual = if self.tls == Some(true) { 443 } else { 80 };
        Some(self.port.filter(|port| *port != usual).map_or(host.clone(), |port| format!("{host}:{port}")))
    }

    /// The same with what it lacks taken from another.
    pub fn within(&self, base: &Url) -> Url {
        match self.host {
            Some(_) => self.clone(),
            None => Url { path: self.path.clone(), ..base.clone() },
        }
    }
}

/// `http://host:port/path`, `https://...`, or a path alone.
pub fn url(text: &[u8]) -> Result<Url, String> {
    let wrong = || format!("`{}` is no URL: write /path, http://host:port/path or https://host:port/path", shown(text));
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    if text.bytes().any(|byte| byte <= b' ' || byte == 127) {
        return Err(wrong());
    }
    if text.starts_with('/') || text == "*" {
        return Ok(Url { path: text.to_string(), ..Url::default() });
    }
    let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Err(wrong()),
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // A colon within brackets is one of an address of IPv6.
    let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let (host, port) = match colon {
        Some(at) => (&authority[..at], Some(authority[at + 1..].parse().map_err(|_| wrong())?)),
        None => (authority, None),
    };
    if host.is_empty() {
        return Err(wrong());
    }
    let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
    Ok(Url { tls: Some(tls), host: Some(host.to_string()), port, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_what_they_lack() {
        let base = url(b"http://a.test:8080").expect("a URL");
        assert_eq!(url(b"/x?y").expect("a path").within(&base).authority().as_deref(), Some("a.test:8080"));
        let other = url(b"http://[::1]:81/x").expect("a URL");
        assert_eq!((other.authority().as_deref(), other.path.as_str()), (Some("[::1]:81"), "/x"));
        assert_eq!(url(b"http://a?b").expect("a URL").path, "/?b");
        for (text, want) in
            [("https://a:443", "a"), ("https://a:80", "a:80"), ("http://a:80", "a"), ("http://a:443", "a:443")]
        {
            assert_eq!(url(text.as_bytes()).expect("a URL").authority().as_deref(), Some(want));
        }
    }
}
