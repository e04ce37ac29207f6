//! Where an upstream listens: the address as the conf writes it, and as variables and log lines show it. A host is looked up
//! only for whoever asks.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::conf::args::bytes_to_path;
use crate::conf::outside::Outside;
use crate::gateway::resolver::system;

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// Over TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(Arc<Path>),
}

impl Address {
    /// Its port; none for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        match self {
            Address::Tcp(address) => Some(address.port()),
            Address::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    /// As `$upstream_addr` shows it: `127.0.0.1:80`, `[::1]:80`, `unix:/run/app`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What a text names: an address, or a host that has to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Address(Address),
    /// A host's name.
    Host {
        /// The name.
        name: String,
        /// The port there.
        port: u16,
        /// Whether the text named the port.
        has_port: bool,
    },
}

impl Target {
    /// The addresses, all of a host's; its name is looked up, which may take seconds. None for a host that is not found.
    pub fn addresses(&self, outside: &Outside) -> Vec<Address> {
        match self {
            Target::Address(address) => vec![address.clone()],
            Target::Host { name, port, .. } => {
                outside.peers_of(name, system::addresses_of).into_iter().map(|ip| tcp(ip, *port)).collect()
            }
        }
    }
}

/// An address over TCP.
pub fn tcp(ip: IpAddr, port: u16) -> Address {
    Address::Tcp(SocketAddr::new(ip, port))
}

/// Reads `host`, `host:port`, `address:port`, `[v6]:port` or `unix:/path`. The fault is a phrase that follows the directive's name.
pub fn parse(text: &[u8], default_port: u16) -> Result<Target, String> {
    let shown = String::from_utf8_lossy(text);
    if text.len() >= 5 && text[..5].eq_ignore_ascii_case(b"unix:") {
        return unix(&text[5..]).ok_or_else(|| format!("names no path in `{shown}`: write `unix:/path/of/socket`"));
    }
    let no_port = || format!("has an invalid port in `{shown}`: it is a number from 1 to 65535");
    let port = |digits: &[u8]| port(digits).ok_or_else(no_port);
    if let Some(rest) = text.strip_prefix(b"[") {
        let bad = || format!("has an invalid IPv6 address in `{shown}`");
        let end = rest.iter().position(|b| *b == b']').ok_or_else(bad)?;
        let ip: Ipv6Addr = std::str::from_utf8(&rest[..end]).ok().and_then(|ip| ip.parse().ok()).ok_or_else(bad)?;
        let port = match &rest[end + 1..] {
            [] => default_port,
            [b':', digits @ ..] => port(digits)?,
            _ => return Err(no_port()),
        };
        return Ok(Target::Address(tcp(ip.into(), port)));
    }
    let (host, port, has_port) = match text.iter().position(|b| *b == b':') {
        Some(at) => (&text[..at], port(&text[at + 1..])?, true),
        None => (text, default_port, false),
    };
    if host.is_empty() {
        return Err(format!("names no host in `{shown}`"));
    }
    let name = std::str::from_utf8(host).ok().filter(|name| !name.contains(['\0', '/', ' ']));
    let name = name.ok_or_else(|| format!("has an invalid host in `{shown}`"))?;
    Ok(match name.parse::<IpAddr>() {
        Ok(ip) => Target::Address(tcp(ip, port)),
        Err(_) => Target::Host { name: name.to_string(), port, has_port },
    })
}

fn unix(path: &[u8]) -> Option<Target> {
    let path: PathBuf = bytes_to_path(path).to_path_buf();
    (!path.as_os_str().is_empty()).then(|| Target::Address(Address::Unix(path.into())))
}

fn port(digits: &[u8]) -> Option<u16> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, want) in [
            ("127.0.0.1", Ok("127.0.0.1:80")),
            ("127.0.0.1:8080", Ok("127.0.0.1:8080")),
            ("[::1]", Ok("[::1]:80")),
            ("[::1]:81", Ok("[::1]:81")),
            ("unix:/run/app", Ok("unix:/run/app")),
            ("UNIX:/run/app", Ok("unix:/run/app")),
            ("unix:", Err("names no path in `unix:`: write `unix:/path/of/socket`")),
            ("", Err("names no host in ``")),
            (":80", Err("names no host in `:80`")),
            ("a:", Err("has an invalid port in `a:`: it is a number from 1 to 65535")),
            ("a:0", Err("has an invalid port in `a:0`: it is a number from 1 to 65535")),
            ("a:65536", Err("has an invalid port in `a:65536`: it is a number from 1 to 65535")),
            ("a:80x", Err("has an invalid port in `a:80x`: it is a number from 1 to 65535")),
            ("[::1", Err("has an invalid IPv6 address in `[::1`")),
            ("[::1]80", Err("has an invalid port in `[::1]80`: it is a number from 1 to 65535")),
            ("a/b", Err("has an invalid host in `a/b`")),
        ] {
            let found = parse(text.as_bytes(), 80).map(|target| match target {
                Target::Address(address) => address.to_string(),
                Target::Host { name, port, .. } => format!("{name} {port}"),
            });
            assert_eq!(found, want.map(String::from).map_err(String::from), "{text}");
        }
        let host = |name: &str, port, has_port| Ok(Target::Host { name: name.into(), port, has_port });
        assert_eq!(parse(b"app", 9000), host("app", 9000, false));
        assert_eq!(parse(b"app:80", 9000), host("app", 80, true));
    }
}
