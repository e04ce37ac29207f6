//! Where a server listens: an address, and the options of its socket. Shared by the directive that names them, the settings that
//! group them and the server that opens them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// TCP.
    Ip(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Whether it takes every address of this machine.
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Address::Ip(address) if address.ip().is_unspecified())
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How far ports that only root may open move up with `--rootless`.
pub const MOVED_UP: u16 = 8000;

/// `so_keepalive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Whether probes are sent.
    pub on: bool,
    /// Idle time before the first.
    pub idle: Option<Duration>,
    /// Time between two.
    pub interval: Option<Duration>,
    /// How many.
    pub count: Option<u32>,
}

/// The options of a socket; none is the system's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `backlog=`.
    pub backlog: Option<i32>,
    /// `rcvbuf=` in bytes.
    pub rcvbuf: Option<usize>,
    /// `sndbuf=` in bytes.
    pub sndbuf: Option<usize>,
    /// `ipv6only=`; on by default, as in nginx.
    pub ipv6only: Option<bool>,
    /// `reuseport`.
    pub reuseport: bool,
    /// `deferred`.
    pub deferred: bool,
    /// `fastopen=`.
    pub fastopen: Option<u32>,
    /// `so_keepalive=`.
    pub keepalive: Option<TcpKeepalive>,
    /// `bind`: a socket of its own beside a wildcard on the same port.
    pub bind: bool,
}
