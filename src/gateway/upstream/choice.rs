//! A peer that was chosen for a request, and which peers the request has tried. Peers may come and go between two tries.

use std::sync::Arc;
use std::time::Instant;

use super::Upstream;
use super::address::Address;
use super::balance::Search;
use super::peers::{Outcome, Peer};
use super::servers::Servers;

/// A peer that a request may go to. It holds one of the peer's places until it is dropped.
#[derive(Debug)]
pub struct Choice {
    pub(super) upstream: Arc<Upstream>,
    pub(super) servers: Arc<Servers>,
    pub(super) group: usize,
    pub(super) peer: usize,
    pub(super) released: bool,
}

/// Which peers one request has tried.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The servers that the numbers below are of; none before the first choice.
    servers: Option<Arc<Servers>>,
    pub(super) group: usize,
    pub(super) tried: Vec<bool>,
    pub(super) search: Search,
    left: usize,
    /// How many tries the conf allows.
    most: usize,
    /// The addresses that were tried, in case the servers change.
    addresses: Vec<Address>,
}

impl Choice {
    /// Where to connect to.
    pub fn address(&self) -> &Address {
        &self.peer().address
    }

    /// The same as variables and log lines show it.
    pub fn shown(&self) -> &Arc<str> {
        &self.peer().shown
    }

    /// The server as the conf names it.
    pub fn server(&self) -> &Arc<str> {
        &self.peer().server
    }

    /// The upstream it was chosen from.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Says how it went. Answers whether the peer is put aside now, which is worth a line in the log.
    pub fn finish(self, outcome: Outcome, tried: &mut Tried, now: Instant) -> bool {
        self.finish_at(outcome, tried, super::second(now))
    }

    pub(super) fn finish_at(mut self, outcome: Outcome, tried: &mut Tried, now: u64) -> bool {
        tried.end(&self.servers, self.upstream.may_change());
        self.release(Some(outcome), now)
    }

    fn peer(&self) -> &Peer {
        &self.servers.groups[self.group].peers[self.peer]
    }

    fn release(&mut self, outcome: Option<Outcome>, now: u64) -> bool {
        self.released = true;
        self.servers.groups[self.group].release(self.peer, outcome, self.servers.is_single(), now)
    }
}

impl Drop for Choice {
    fn drop(&mut self) {
        if !self.released {
            self.release(None, 0);
        }
    }
}

impl Tried {
    /// A request that may be tried so many times at most (`proxy_next_upstream_tries`); 0 is any number.
    pub fn at_most(tries: usize) -> Tried {
        let most = if tries == 0 { usize::MAX } else { tries };
        let (servers, tried, addresses) = (None, Vec::new(), Vec::new());
        Tried { servers, group: 0, tried, search: Search::default(), left: most, most, addresses }
    }

    /// Goes on with these servers. Where they are others than before, those that were tried are not tried again.
    pub(super) fn begin(&mut self, servers: &Arc<Servers>) {
        let first = self.servers.is_none();
        if self.servers.as_ref().is_some_and(|known| Arc::ptr_eq(known, servers)) {
            return;
        }
        let is_fresh = |address: &Address| !self.addresses.contains(address);
        let ready = servers.peers().filter(|peer| !peer.down && (first || is_fresh(&peer.address))).count();
        let allowed = self.most.saturating_sub(self.addresses.len());
        self.left = if first { self.left.min(ready) } else { allowed.min(ready) };
        self.servers = Some(servers.clone());
        (self.search, self.group) = (Search::default(), 0);
        self.enter(0);
    }

    /// Goes on with a group.
    pub(super) fn enter(&mut self, group: usize) {
        self.group = group;
        let Some(servers) = self.servers.as_ref().filter(|servers| !servers.is_single()) else {
            self.tried = Vec::new();
            return;
        };
        let was = |peer: &Peer| self.addresses.contains(&peer.address);
        self.tried = servers.groups[group].peers.iter().map(was).collect();
    }

    /// A peer is tried.
    pub(super) fn note(&mut self, group: usize, peer: usize, may_change: bool) {
        let Some(servers) = &self.servers else { return };
        if may_change {
            self.addresses.push(servers.groups[group].peers[peer].address.clone());
        }
        if let Some(tried) = self.tried.get_mut(peer) {
            *tried = true;
        }
    }

    fn end(&mut self, servers: &Servers, may_change: bool) {
        self.left = match servers.is_single() {
            true if !may_change => 0,
            _ => self.left.saturating_sub(1),
        };
    }

    /// How many peers may still be tried, the one being asked among them. It is known once a peer was chosen.
    pub fn left(&self) -> usize {
        self.left
    }

    /// One try more: a kept connection that died says nothing about its peer.
    pub fn grant(&mut self) {
        self.left += 1;
        self.addresses.pop();
    }
}
