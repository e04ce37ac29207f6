//! Upstreams: the servers that requests are passed to, who of them is asked next, and the connections to them that are kept.
//! Knows no protocol and no feature; whoever relays a request asks for a choice and says how it went.

pub mod address;
pub mod balance;
pub mod finding;
pub mod idle;
pub mod peers;
mod shown;
pub mod table;

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::conf::value::Text;
use crate::exchange::Exchange;
use address::Address;
use balance::{Method, Ring, Search, Seed};
use idle::Idle;
use peers::{Group, Outcome, Peer};

pub use table::Upstreams;

/// A `server` line of an upstream, its name looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The server as the conf names it.
    pub name: Arc<str>,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// Its share.
    pub weight: u32,
    /// How many requests it takes at once; 0 is any number.
    pub max_conns: u32,
    /// So many failures within `fail_timeout` put it aside; 0 never does.
    pub max_fails: u32,
    /// The time in which failures count, and for which it is put aside.
    pub fail_timeout: Duration,
    /// Whether it is asked only when no other can be.
    pub backup: bool,
    /// Whether it takes no requests.
    pub down: bool,
}

impl Line {
    /// A server with nginx's defaults.
    pub fn new(name: impl Into<Arc<str>>, addresses: Vec<Address>) -> Line {
        Line {
            name: name.into(),
            addresses,
            weight: 1,
            max_conns: 0,
            max_fails: 1,
            fail_timeout: Duration::from_secs(10),
            backup: false,
            down: false,
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

/// The servers that a name stands for.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name, as logs and `$proxy_host` show it.
    pub name: Arc<str>,
    /// Whether an `upstream` block made it.
    pub is_named: bool,
    /// Which connections are kept.
    pub keepalive: Keepalive,
    /// The kept ones.
    pub idle: Arc<Idle>,
    /// The servers, then the backup servers if there are any.
    groups: Vec<Group>,
    method: Method,
    key: Option<Text>,
}

/// A peer that a request may go to. It holds one of the peer's places until it is dropped.
#[derive(Debug)]
pub struct Choice {
    upstream: Arc<Upstream>,
    group: usize,
    peer: usize,
    released: bool,
}

/// Which peers one request has tried.
#[derive(Debug, Clone)]
pub struct Tried {
    begun: bool,
    group: usize,
    tried: Vec<bool>,
    search: Search,
    left: usize,
}

impl Upstream {
    /// An upstream of these servers, of which at least one is no backup and has an address.
    pub fn new(name: impl Into<Arc<str>>, lines: &[Line], choose: Choose, keepalive: Keepalive) -> Upstream {
        let group = |backup: bool| {
            let of = |line: &Line| line.addresses.iter().map(|at| peer(line, at)).collect::<Vec<_>>();
            Group::new(lines.iter().filter(|line| line.backup == backup).flat_map(of).collect())
        };
        let mut groups = vec![group(false)];
        groups.extend(Some(group(true)).filter(|group| !group.peers.is_empty()));
        let (method, key) = match choose {
            Choose::RoundRobin => (Method::RoundRobin, None),
            Choose::LeastConn => (Method::LeastConn, None),
            Choose::IpHash => (Method::IpHash, None),
            Choose::Hash(key, false) => (Method::Hash, Some(key)),
            Choose::Hash(key, true) => (Method::Consistent(Ring::new(&groups[0])), Some(key)),
            Choose::Random(false) => (Method::Random, None),
            Choose::Random(true) => (Method::RandomTwo, None),
        };
        Upstream { name: name.into(), is_named: false, keepalive, idle: Arc::default(), groups, method, key }
    }

    /// The upstream that a host is which no block names: all its addresses in turn, no connection kept.
    pub fn of_host(name: impl Into<Arc<str>>, addresses: Vec<Address>) -> Upstream {
        let name = name.into();
        let line = Line::new(name.clone(), addresses);
        Upstream::new(name, &[line], Choose::RoundRobin, Keepalive::default())
    }

    /// The upstream that a name is which was looked up for one request.
    pub fn of_addresses(name: impl Into<Arc<str>>, found: &[IpAddr], port: u16) -> Upstream {
        Upstream::of_host(name, found.iter().map(|ip| address::tcp(*ip, port)).collect())
    }

    /// Goes on with what an upstream of the same name knew before a reload: the state of its peers if they are the same, and
    /// its idle connections if they would be kept in the same way.
    pub fn inherit(&mut self, before: &Upstream) {
        let counts = self.groups.len() == before.groups.len();
        let joined = counts && self.groups.iter_mut().zip(&before.groups).all(|(group, other)| group.join(other));
        if joined && self.keepalive == before.keepalive {
            self.idle = before.idle.clone();
        }
    }

    /// Chooses who is asked next for this request; none when nobody can be ("no live upstreams").
    pub fn choose(self: &Arc<Self>, x: &Exchange, tried: &mut Tried, now: Instant) -> Option<Choice> {
        let key = self.key.as_ref().map(|key| x.eval(key)).unwrap_or_default();
        let client = x.client.peer.map(|peer| peer.ip());
        self.choose_by(Seed { client, key: &key }, tried, second(now))
    }

    /// The same from the parts. `now` is a second of any clock that only goes forward.
    pub fn choose_by(self: &Arc<Self>, seed: Seed<'_>, tried: &mut Tried, now: u64) -> Option<Choice> {
        tried.begin(self);
        loop {
            let group = &self.groups[tried.group];
            let chosen = if self.is_single() {
                group.only()
            } else {
                let may = |i: usize| !tried.tried[i];
                self.method.choose(group, seed, &mut tried.search, now, &may)
            };
            if let Some(peer) = chosen {
                if !self.is_single() {
                    tried.tried[peer] = true;
                }
                return Some(Choice { upstream: self.clone(), group: tried.group, peer, released: false });
            }
            if tried.group + 1 == self.groups.len() {
                return None;
            }
            tried.group += 1;
            tried.tried = vec![false; self.groups[tried.group].peers.len()];
        }
    }

    /// A single peer never counts as failed: there is no other to ask.
    fn is_single(&self) -> bool {
        self.groups.len() == 1 && self.groups[0].peers.len() == 1
    }
}

fn peer(line: &Line, address: &Address) -> Peer {
    Peer {
        address: address.clone(),
        shown: address.to_string().into(),
        server: line.name.clone(),
        weight: i64::from(line.weight),
        max_conns: line.max_conns,
        max_fails: line.max_fails,
        fail_timeout: line.fail_timeout.as_secs(),
        down: line.down,
    }
}

/// The second of the clock that failures are counted by. It begins late enough that nothing is recent at first.
fn second(now: Instant) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    now.saturating_duration_since(*START).as_secs() + (1 << 40)
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
        self.finish_at(outcome, tried, second(now))
    }

    fn finish_at(mut self, outcome: Outcome, tried: &mut Tried, now: u64) -> bool {
        tried.left = if self.upstream.is_single() { 0 } else { tried.left.saturating_sub(1) };
        self.release(Some(outcome), now)
    }

    fn peer(&self) -> &Peer {
        &self.upstream.groups[self.group].peers[self.peer]
    }

    fn release(&mut self, outcome: Option<Outcome>, now: u64) -> bool {
        self.released = true;
        self.upstream.groups[self.group].release(self.peer, outcome, self.upstream.is_single(), now)
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
    fn begin(&mut self, upstream: &Upstream) {
        if !self.begun {
            let ready = upstream.groups.iter().flat_map(|group| &group.peers).filter(|peer| !peer.down).count();
            let first = if upstream.is_single() { Vec::new() } else { vec![false; upstream.groups[0].peers.len()] };
            (self.begun, self.tried, self.left) = (true, first, self.left.min(ready));
        }
    }

    /// How many peers may still be tried, the one being asked among them. It is known once a peer was chosen.
    pub fn left(&self) -> usize {
        self.left
    }

    /// One try more: a kept connection that died says nothing about its peer.
    pub fn grant(&mut self) {
        self.left += 1;
    }

    /// A request that may be tried so many times at most (`proxy_next_upstream_tries`); 0 is any number.
    pub fn at_most(tries: usize) -> Tried {
        let left = if tries == 0 { usize::MAX } else { tries };
        Tried { begun: false, group: 0, tried: Vec::new(), search: Search::default(), left }
    }
}
