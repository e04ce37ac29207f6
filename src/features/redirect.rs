//! `absolute_redirect` and its family: how a Location that names only a path becomes a whole URL. As a filter it stands
//! behind `add_header`, whose `$sent_http_location` sees the path as its source wrote it.

use std::net::SocketAddr;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::variables::Variable;
use crate::http::response::Response;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// Whether a path becomes a whole URL.
    pub absolute: bool,
    /// Whether its host is the server's first name instead of the one asked for.
    pub server_name: bool,
    /// Whether it names the port.
    pub port: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { absolute: true, server_name: false, port: true }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "absolute_redirect",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether redirects that this server makes itself name scheme, host and port (`on`) or the path alone (`off`). \
                  Behind a proxy that changes host or port, `off` is the safe choice.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| flag(&mut conf.absolute, args),
    },
    Directive {
        manual: Manual {
            name: "server_name_in_redirect",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether an absolute redirect names the first `server_name` rather than the host that the client asked for. \
                  Without a host in the request it names the server's address.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| flag(&mut conf.server_name, args),
    },
    Directive {
        manual: Manual {
            name: "port_in_redirect",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether an absolute redirect names the port that the client connected to, unless it is 80, or 443 with TLS.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| flag(&mut conf.port, args),
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

/// Schemes with the port that their URLs leave out.
const HTTP: (&str, u16) = ("http", 80);
const HTTPS: (&str, u16) = ("https", 443);

fn flag(value: &mut bool, args: &mut Args<'_>) -> Result<(), Fault> {
    *value = args.flag(0)?;
    Ok(())
}

/// Makes a Location that is only a path absolute.
pub fn filter(x: &Exchange, conf: &Conf, response: &mut Response) {
    let Some(path) = response.location.as_ref().filter(|path| conf.absolute && path.first() == Some(&b'/')) else {
        return;
    };
    let host = if conf.server_name { Some(x.server_name.as_ref()) } else { x.head.host() };
    let local = x.client.local.map(|address| host_of(&address));
    let host = host.or(local.as_deref().map(str::as_bytes)).unwrap_or(b"localhost");
    let (scheme, default) = if x.client.security.session().is_some() { HTTPS } else { HTTP };
    let port = x.client.local.map(|address| address.port()).filter(|port| conf.port && *port != default);
    response.location = Some(absolute(scheme, host, port, path).into());
}

fn host_of(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

fn absolute(scheme: &str, host: &[u8], port: Option<u16>, path: &[u8]) -> Vec<u8> {
    let mut url = Vec::with_capacity(host.len() + path.len() + 16);
    url.extend_from_slice(scheme.as_bytes());
    url.extend_from_slice(b"://");
    url.extend_from_slice(host);
    if let Some(port) = port {
        url.extend_from_slice(format!(":{port}").as_bytes());
    }
    url.extend_from_slice(path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (host, port, expected) in [
            ("a.b", None, "http://a.b/x"),
            ("a.b", Some(81), "http://a.b:81/x"),
            ("[::1]", Some(80), "http://[::1]:80/x"),
        ] {
            assert_eq!(absolute("http", host.as_bytes(), port, b"/x"), expected.as_bytes());
        }
        for (address, expected) in [("127.0.0.1:1", "127.0.0.1"), ("[::1]:1", "[::1]")] {
            assert_eq!(host_of(&address.parse().unwrap()), expected);
        }
    }
}
