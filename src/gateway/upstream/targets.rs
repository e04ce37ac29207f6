//! The servers of an upstream as health checks see them: each can be asked alone, and what was found of it counts for all requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::address::Address;
use super::probes::{Change, Needed};
use super::{Choose, Keepalive, Line, Upstream};

/// A server that is checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Where it listens.
    pub address: Address,
    /// How the conf names it.
    pub server: Arc<str>,
}

impl Upstream {
    /// The servers to check: all that may get requests, backups too.
    pub fn targets(&self) -> Vec<Target> {
        let servers = self.servers();
        let target = |peer: &super::peers::Peer| Target { address: peer.address.clone(), server: peer.server.clone() };
        servers.peers().filter(|peer| !peer.down).map(target).collect()
    }

    /// An upstream of one server alone, on another port if one is named. What requests to it come to says nothing about the server.
    pub fn alone(&self, target: &Target, port: Option<u16>, keepalive: Option<Duration>) -> Arc<Upstream> {
        let address = match (&target.address, port) {
            (Address::Tcp(address), Some(port)) => super::address::tcp(address.ip(), port),
            (address, _) => address.clone(),
        };
        let line = Line::new(target.server.clone(), vec![address]);
        let kept = |time| Keepalive { connections: 1, requests: u64::MAX, time, timeout: time };
        let keepalive = keepalive.map_or_else(Keepalive::default, kept);
        Arc::new(Upstream::new(self.name.clone(), &[line], Choose::RoundRobin, keepalive))
    }

    /// Notes what a check has found of a server, and whether that takes it out or brings it back. One that has gone is nobody's.
    pub fn note(&self, target: &Target, key: &Arc<str>, passed: bool, needed: Needed, now: Instant) -> Option<Change> {
        let (servers, now) = (self.servers(), super::second(now));
        let mut change = None;
        for group in &servers.groups {
            let is_it = |peer: &super::peers::Peer| peer.address == target.address && peer.server == target.server;
            for (i, _) in group.peers.iter().enumerate().filter(|(_, peer)| is_it(peer)) {
                change = group.note(i, key, passed, needed, now).or(change);
            }
        }
        change
    }
}
