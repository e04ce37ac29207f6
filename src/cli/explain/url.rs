//! The URL that is asked about, taken apart. Knows nothing of a conf.

/// A URL's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Whether it is https.
    pub secure: bool,
    /// Host and port as they were written; empty for a path alone.
    pub authority: String,
    /// The host without brackets.
    pub host: String,
    /// The port, if one was written.
    pub port: Option<u16>,
    /// Path and query, at least `/`.
    pub target: String,
}

impl Parts {
    /// Takes a URL apart: `http://host:port/path?query`, the same without scheme, or a path alone.
    pub fn parse(url: &str) -> Result<Parts, String> {
        let bad = |what: &str| Err(format!("\"{url}\" is no URL: {what}"));
        if url.is_empty() {
            return bad("write http://HOST:PORT/PATH, or a path such as /index.html");
        }
        if url.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return bad("it holds a blank or a control character; write a blank as %20");
        }
        let (secure, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, _)) if !scheme.contains(['/', '?', '#']) => {
                return bad(&format!("only http:// and https:// are served, not {scheme}://"));
            }
            _ => (false, url),
        };
        let has_scheme = rest.len() < url.len();
        // What stands behind `#` never leaves the browser.
        let rest = rest.split('#').next().unwrap_or_default();
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        if authority.is_empty() && has_scheme {
            return bad("it names no host");
        }
        if authority.contains('@') {
            return bad("user and password are sent in a field: -H 'Authorization: Basic ...'");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => match port.parse::<u16>() {
                Ok(port) if port > 0 => (host, Some(port)),
                _ => return bad(&format!("\"{port}\" is no port; a port is a number from 1 to 65535")),
            },
            _ => (authority, None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let target = if target.starts_with('/') { target.to_string() } else { format!("/{target}") };
        Ok(Parts { secure, authority: authority.to_string(), host: host.to_string(), port, target })
    }

    /// The port that is meant.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.secure { 443 } else { 80 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, secure, host, port, target) in [
            ("http://a", false, "a", 80, "/"),
            ("http://a.test:8080/x?y#z", false, "a.test", 8080, "/x?y"),
            ("HTTPS://a", true, "a", 443, "/"),
            ("http://a?x", false, "a", 80, "/?x"),
            ("http://[::1]:8080/", false, "::1", 8080, "/"),
            ("http://[::1]/", false, "::1", 80, "/"),
            ("a.test:81/x", false, "a.test", 81, "/x"),
            ("/x?u=http://b/", false, "", 80, "/x?u=http://b/"),
        ] {
            let parts = Parts::parse(url).unwrap();
            let found = (parts.secure, parts.host.as_str(), parts.port(), parts.target.as_str());
            assert_eq!(found, (secure, host, port, target), "{url}");
        }
        for (url, word) in [
            ("", "write"),
            ("ftp://a/", "ftp://"),
            ("http:///x", "no host"),
            ("http://a:b/", "\"b\" is no port"),
            ("http://a:0/", "no port"),
            ("http://a:65536/", "no port"),
            ("http://a/b c", "%20"),
            ("http://u:p@a/", "Authorization"),
        ] {
            assert!(Parts::parse(url).unwrap_err().contains(word), "{url}");
        }
    }
}
