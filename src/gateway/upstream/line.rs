//! What an `upstream` block says: its servers, the method, what is kept. Knows nothing of what became of it.

use std::sync::Arc;
use std::time::Duration;

use super::address::Address;
use super::probes::Expected;
use crate::conf::value::Text;

/// A `server` line of an upstream, its name looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The server as the conf names it.
    pub name: Arc<str>,
    /// Its addresses; none for a name that is looked up while requests come.
    pub addresses: Vec<Address>,
    /// What is looked up while requests come.
    pub resolve: Option<Resolve>,
    /// Its share.
    pub weight: u32,
    /// How many requests it takes at once; 0 is any number.
    pub max_conns: u32,
    /// So many failures within `fail_timeout` put it aside; 0 never does.
    pub max_fails: u32,
    /// The time in which failures count, and for which it is put aside.
    pub fail_timeout: Duration,
    /// How long its share takes to grow back after it was put aside; zero at once.
    pub slow_start: Duration,
    /// Whether it is asked only when no other can be.
    pub backup: bool,
    /// Whether it takes no requests.
    pub down: bool,
    /// The health checks that it is to pass.
    pub checks: Arc<[Expected]>,
}

/// A name that is looked up while requests come (`resolve`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolve {
    /// A host, all of whose addresses listen on this port.
    Host(String, u16),
    /// The name of a service, whose records say hosts and ports (`service=`).
    Service(String),
}

impl Resolve {
    /// The name of a service of a host: `http` stands for `_http._tcp`, and what has a dot for itself.
    pub fn service(service: &str, host: &str) -> Resolve {
        Resolve::Service(match service.contains('.') {
            true => format!("{service}.{host}"),
            false => format!("_{service}._tcp.{host}"),
        })
    }
}

impl Line {
    /// A server with nginx's defaults.
    pub fn new(name: impl Into<Arc<str>>, addresses: Vec<Address>) -> Line {
        Line {
            name: name.into(),
            addresses,
            resolve: None,
            weight: 1,
            max_conns: 0,
            max_fails: 1,
            fail_timeout: Duration::from_secs(10),
            slow_start: Duration::ZERO,
            backup: false,
            down: false,
            checks: Arc::default(),
        }
    }
}

/// Which method a conf asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Choose {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// `least_conn`.
    LeastConn,
    /// `ip_hash`.
    IpHash,
    /// `hash KEY [consistent]`.
    Hash(Text, bool),
    /// `random [two]`.
    Random(bool),
}

/// Which connections are kept; without `keepalive` none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// How many idle ones.
    pub connections: usize,
    /// How many requests one may carry.
    pub requests: u64,
    /// How old one may grow.
    pub time: Duration,
    /// How long one stays idle.
    pub timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        let (time, timeout) = (Duration::from_secs(3600), Duration::from_secs(60));
        Keepalive { connections: 0, requests: 1000, time, timeout }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services() {
        for (service, name) in [
            ("http", "_http._tcp.app.test"),
            ("_http._tcp", "_http._tcp.app.test"),
            ("server1.backend", "server1.backend.app.test"),
        ] {
            assert_eq!(Resolve::service(service, "app.test"), Resolve::Service(name.into()));
        }
    }
}
