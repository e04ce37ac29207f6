//! The meta-variables of RFC 3875 section 4.1: from a request to names and values. Pure; which script they are for
//! is decided elsewhere.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;

use crate::exchange::{Exchange, Received};
use crate::http::head::{BodyLength, Known};
use crate::http::upgrade::without_http;

/// Names and values.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The script that a request came to, as URIs and paths say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The part of the path that names the script (SCRIPT_NAME).
    pub script: Vec<u8>,
    /// The file (SCRIPT_FILENAME).
    pub file: Vec<u8>,
    /// What follows the script's name (PATH_INFO), decoded.
    pub info: Vec<u8>,
}

/// What the variables are made of.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// The method as the script sees it.
    pub method: &'a [u8],
    /// The version as the client wrote it; empty in HTTP/0.9.
    pub protocol: &'a [u8],
    /// The request-target as the client sent it.
    pub target: &'a [u8],
    /// The current path, decoded.
    pub uri: &'a [u8],
    /// The query.
    pub query: &'a [u8],
    /// The fields of the head, in order.
    pub fields: Vec<(&'a [u8], &'a [u8])>,
    /// The length of the body; none if there is none, or if nobody knows it yet.
    pub body: Option<u64>,
    /// Whether there is a body whose length nobody knows yet.
    pub is_unmeasured: bool,
    /// The client.
    pub peer: Option<SocketAddr>,
    /// The address it connected to.
    pub local: Option<SocketAddr>,
    /// The host that it asked for, or the server's name.
    pub host: Vec<u8>,
    /// The document root.
    pub root: Vec<u8>,
    /// The status of the error that is being answered, or 200.
    pub status: u16,
    /// The request's random number.
    pub id: &'a str,
    /// Whether it came by TLS.
    pub secure: bool,
    /// Who the client is, if a password proved it.
    pub user: Option<&'a [u8]>,
    /// What a program is told of the session.
    pub session: Pairs,
}

/// Two fields that become one variable: which of them counts nobody could say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision(pub String);

/// Names and values, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(Vec<(Vec<u8>, Vec<u8>)>);

impl Variables {
    /// Gives a variable its value, in the place of any that it had.
    pub fn set(&mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some(slot) => slot.1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// The value of one.
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }
}

/// Fields that never become variables of their own: CONTENT_TYPE and CONTENT_LENGTH have names without `HTTP_`; a
/// program would take HTTP_PROXY for a setting of its own; credentials are the server's (RFC 3875 section 4.1.18); the
/// body comes without its transfer coding; HTTP2-Settings belongs to an Upgrade that is never passed on.
const LEFT_OUT: [&[u8]; 7] = [
    b"content-type",
    b"content-length",
    b"proxy",
    b"authorization",
    b"proxy-authorization",
    b"transfer-encoding",
    b"http2-settings",
];

impl<'a> Request<'a> {
    /// What a request says now. The body, if it was asked for, has been read.
    pub fn of(x: &'a Exchange) -> Request<'a> {
        let as_get = x.course.as_get && !x.is_head();
        let body = match (&x.received, x.head.body_length) {
            (Received::Memory(bytes), _) => Some(bytes.len() as u64),
            (Received::File(_, len), _) => Some(*len),
            (Received::Nothing, BodyLength::Length(0)) if !as_get => Some(0),
            // What is passed on while it comes has the length that was announced, if one was.
            (Received::Coming(_), BodyLength::Length(len)) => Some(len),
            (Received::Nothing | Received::Coming(_) | Received::Passed, _) => None,
        };
        let host = match x.head.host() {
            Some(host) => host.to_vec(),
            None if !x.server_name.is_empty() => x.server_name.to_vec(),
            None => x.client.local.map_or(b"localhost".to_vec(), |local| local.ip().to_string().into_bytes()),
        };
        Request {
            method: if as_get { b"GET" } else { x.head.method_text() },
            protocol: x.head.protocol(),
            target: x.head.target(),
            uri: &x.uri,
            query: x.args.as_deref().unwrap_or_default(),
            fields: x.head.fields().collect(),
            body,
            is_unmeasured: body.is_none() && matches!(x.received, Received::Coming(_)),
            peer: x.client.peer,
            local: x.client.local,
            host,
            root: x.document_root().into_owned(),
            status: x.failure.as_ref().map_or(200, |failure| failure.cause),
            id: x.request_id(),
            secure: x.client.security.session().is_some(),
            user: x.user.as_deref(),
            session: x.session_variables(),
        }
    }

    /// The variables for a script.
    pub fn variables(&self, names: &Names) -> Result<Variables, Collision> {
        let mut variables = Variables::default();
        let mut set = |name: &str, value: &[u8]| variables.0.push((name.into(), value.into()));
        set("GATEWAY_INTERFACE", b"CGI/1.1");
        set("SERVER_SOFTWARE", concat!("longshore/", env!("CARGO_PKG_VERSION")).as_bytes());
        set("SERVER_PROTOCOL", if self.protocol.is_empty() { b"HTTP/0.9" } else { self.protocol });
        set("SERVER_NAME", &self.host);
        set("REQUEST_METHOD", self.method);
        set("REQUEST_URI", origin_form(self.target));
        set("REQUEST_SCHEME", if self.secure { b"https" } else { b"http" });
        set("DOCUMENT_URI", self.uri);
        set("DOCUMENT_ROOT", &self.root);
        set("QUERY_STRING", self.query);
        set("SCRIPT_NAME", &names.script);
        set("SCRIPT_FILENAME", &names.file);
        // Section 4.1.6: a path translated as if it were a URI of its own; none without PATH_INFO.
        if !names.info.is_empty() {
            set("PATH_INFO", &names.info);
            let root = self.root.strip_suffix(b"/").unwrap_or(&self.root);
            set("PATH_TRANSLATED", &[root, &names.info].concat());
        }
        let (address, port) = parts(self.peer, "unix:");
        set("REMOTE_ADDR", address.as_bytes());
        // Section 4.1.9: without a look-up the address stands in.
        set("REMOTE_HOST", address.as_bytes());
        set("REMOTE_PORT", port.as_bytes());
        if let Some(user) = self.user {
            // Sections 4.1.1 and 4.1.11: only what was checked.
            set("AUTH_TYPE", b"Basic");
            set("REMOTE_USER", user);
        }
        let (address, port) = parts(self.local, "localhost");
        set("SERVER_ADDR", address.as_bytes());
        // Section 4.1.15: never empty. A Unix socket has no port; 80 is what a URL without one means.
        set("SERVER_PORT", if port.is_empty() { b"80" } else { port.as_bytes() });
        if self.secure {
            // In no RFC, but what every script asks.
            set("HTTPS", b"on");
        }
        if let Some(length) = self.body {
            set("CONTENT_LENGTH", length.to_string().as_bytes());
        }
        if let Some((_, kind)) =
            self.fields.iter().find(|(name, _)| crate::http::fields::recognise(name) == Some(Known::ContentType))
            && (self.body.is_some() || self.is_unmeasured)
        {
            set("CONTENT_TYPE", kind);
        }
        // Otherwise a program could not tell such a body from none. The coding itself has been taken off.
        if self.is_unmeasured {
            set("HTTP_TRANSFER_ENCODING", b"chunked");
        }
        // PHP refuses to run without it.
        set("REDIRECT_STATUS", self.status.to_string().as_bytes());
        set("UNIQUE_ID", self.id.as_bytes());
        variables.0.extend(self.fields_as_variables()?);
        // A client's own fields of these names were dropped where sessions are on.
        variables.0.extend(self.session.iter().cloned());
        Ok(variables)
    }

    /// Section 4.1.18: HTTP_ and the name with `_` for `-`. Repeated fields are joined; names that only look alike
    /// afterwards are refused.
    fn fields_as_variables(&self) -> Result<Pairs, Collision> {
        let mut variables: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(self.fields.len());
        let mut seen: HashMap<Vec<u8>, (usize, &[u8])> = HashMap::new();
        for (name, value) in &self.fields {
            let odd = !name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            let plain = |other: &[u8]| alike(name, other);
            if odd || LEFT_OUT.iter().any(|other| plain(other)) {
                continue;
            }
            let variable = variable_name(name);
            let value = if variable == b"HTTP_UPGRADE" { without_http(value) } else { Cow::Borrowed(*value) };
            if variable == b"HTTP_UPGRADE" && value.is_empty() {
                continue;
            }
            match seen.get(&variable) {
                Some((_, first)) if !first.eq_ignore_ascii_case(name) => {
                    let (first, name) = (String::from_utf8_lossy(first), String::from_utf8_lossy(name));
                    return Err(Collision(format!("\"{first}\" and \"{name}\" would be one variable")));
                }
                Some((at, _)) => {
                    let joined = &mut variables[*at].1;
                    joined.extend_from_slice(if variable == b"HTTP_COOKIE" { b"; " } else { b", " });
                    joined.extend_from_slice(&value);
                }
                None => {
                    seen.insert(variable.clone(), (variables.len(), name));
                    variables.push((variable, value.into_owned()));
                }
            }
        }
        Ok(variables)
    }
}

/// Whether two names of fields become the same variable.
fn alike(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| folded(*a) == folded(*b))
}

fn folded(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }
}

fn variable_name(field: &[u8]) -> Vec<u8> {
    b"HTTP_".iter().copied().chain(field.iter().map(|b| folded(*b))).collect()
}

fn parts(address: Option<SocketAddr>, without: &str) -> (String, String) {
    address.map_or((without.into(), String::new()), |address| (address.ip().to_string(), address.port().to_string()))
}

/// A target without scheme and authority.
fn origin_form(target: &[u8]) -> &[u8] {
    let Some(at) = target.windows(3).position(|part| part == b"://").filter(|_| target.first() != Some(&b'/')) else {
        return target;
    };
    let rest = &target[at + 3..];
    rest.iter().position(|b| matches!(b, b'/' | b'?')).map_or(b"/", |end| &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(script: &str, info: &str) -> Names {
        Names { script: script.into(), file: format!("/srv{script}").into(), info: info.into() }
    }

    fn request() -> Request<'static> {
        Request {
            secure: true,
            user: None,
            method: b"POST",
            protocol: b"HTTP/1.1",
            target: b"/cgi/a.sh/x%20y?q=1",
            uri: b"/cgi/a.sh/x y",
            query: b"q=1",
            fields: vec![
                (b"Host", b"h:81"),
                (b"Content-Type", b"text/plain"),
                (b"X-A", b"1"),
                (b"x-a", b"2"),
                (b"Cookie", b"a=b"),
                (b"Cookie", b"c=d"),
                (b"Proxy", b"http://evil/"),
                (b"Authorization", b"Basic eA=="),
                (b"Transfer-Encoding", b"chunked"),
            ],
            body: Some(3),
            is_unmeasured: false,
            peer: "10.0.0.1:5000".parse().ok(),
            local: "[::1]:81".parse().ok(),
            host: b"h".to_vec(),
            root: b"/srv/".to_vec(),
            status: 200,
            id: "id",
            session: vec![(b"SESSION_A".to_vec(), b"1".to_vec())],
        }
    }

    #[test]
    fn what_a_script_is_told() {
        let variables = request().variables(&names("/cgi/a.sh", "/x y")).unwrap();
        for (name, value) in [
            ("GATEWAY_INTERFACE", Some("CGI/1.1")),
            ("SERVER_PROTOCOL", Some("HTTP/1.1")),
            ("SERVER_NAME", Some("h")),
            ("SERVER_PORT", Some("81")),
            ("SERVER_ADDR", Some("::1")),
            ("HTTPS", Some("on")),
            ("REQUEST_METHOD", Some("POST")),
            ("REQUEST_URI", Some("/cgi/a.sh/x%20y?q=1")),
            ("QUERY_STRING", Some("q=1")),
            ("SCRIPT_NAME", Some("/cgi/a.sh")),
            ("SCRIPT_FILENAME", Some("/srv/cgi/a.sh")),
            ("PATH_INFO", Some("/x y")),
            ("PATH_TRANSLATED", Some("/srv/x y")),
            ("REMOTE_ADDR", Some("10.0.0.1")),
            ("REMOTE_HOST", Some("10.0.0.1")),
            ("REMOTE_PORT", Some("5000")),
            ("CONTENT_LENGTH", Some("3")),
            ("CONTENT_TYPE", Some("text/plain")),
            ("REDIRECT_STATUS", Some("200")),
            ("HTTP_HOST", Some("h:81")),
            ("HTTP_X_A", Some("1, 2")),
            ("HTTP_COOKIE", Some("a=b; c=d")),
            ("HTTP_PROXY", None),
            ("HTTP_AUTHORIZATION", None),
            ("HTTP_TRANSFER_ENCODING", None),
            ("HTTP_CONTENT_TYPE", None),
        ] {
            assert_eq!(variables.find(name.as_bytes()), value.map(str::as_bytes), "{name}");
        }
        let mut seen = std::collections::HashSet::new();
        assert!(variables.iter().all(|(name, _)| seen.insert(name.to_vec())), "each name once");
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let request = Request { body: None, peer: None, local: None, protocol: b"", ..request() };
        let variables = request.variables(&names("/cgi/a.sh", "")).unwrap();
        for (name, value) in [
            ("PATH_INFO", None),
            ("PATH_TRANSLATED", None),
            ("CONTENT_LENGTH", None),
            ("CONTENT_TYPE", None),
            ("REMOTE_ADDR", Some("unix:")),
            ("REMOTE_PORT", Some("")),
            ("SERVER_PORT", Some("80")),
            ("SERVER_PROTOCOL", Some("HTTP/0.9")),
        ] {
            assert_eq!(variables.find(name.as_bytes()), value.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn names_that_would_become_one_are_refused() {
        for (first, second, fine) in [("X-A", "X_A", false), ("X-A", "x-a", true), ("X-A", "X-B", true)] {
            let fields = vec![(first.as_bytes(), &b"1"[..]), (second.as_bytes(), b"2")];
            let request = Request { fields, ..request() };
            assert_eq!(request.variables(&Names::default()).is_ok(), fine, "{first} {second}");
        }
        let fields: Vec<(&[u8], &[u8])> = vec![(b"pro.xy", b"1"), (b"Content_Length", b"2")];
        let variables = Request { fields, ..request() }.variables(&Names::default()).unwrap();
        assert!(variables.iter().all(|(name, _)| !name.starts_with(b"HTTP_")), "{variables:?}");
    }

    #[test]
    fn targets() {
        for (target, origin) in
            [("/a?b", "/a?b"), ("http://h/a?b", "/a?b"), ("http://h", "/"), ("/a?b=c://d/e", "/a?b=c://d/e")]
        {
            assert_eq!(origin_form(target.as_bytes()), origin.as_bytes());
        }
    }

    #[test]
    fn a_value_that_is_set_again_replaces() {
        let mut variables = Variables::default();
        variables.set("A", "1");
        variables.set("A", "2");
        assert_eq!(variables.iter().collect::<Vec<_>>(), [(&b"A"[..], &b"2"[..])]);
    }
}
