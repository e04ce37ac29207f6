//! Upstreams: the servers that requests are passed to, who of them is asked next, and the connections to them that are kept.
//! Knows no protocol and no feature; whoever relays a request asks for a choice and says how it went.

pub mod address;
pub mod balance;
mod choice;
pub mod finding;
pub mod idle;
mod line;
mod live;
pub mod peers;
pub mod probes;
mod servers;
mod shown;
pub mod table;
mod targets;
mod watch;

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use super::resolver::Resolver;
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::engine::Waker;
use address::Address;
use balance::Seed;
use idle::Idle;
use live::Live;
use peers::Group;
use servers::Servers;

pub use choice::{Choice, Tried};
pub use line::{Choose, Keepalive, Line, Resolve};
pub use live::Waiting;
pub use table::Upstreams;
pub use targets::Target;

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
    /// The servers, unless names among them are looked up while requests come.
    servers: Arc<Servers>,
    /// The servers that they are then.
    live: Option<Arc<Live>>,
    key: Option<Text>,
}

impl Upstream {
    /// An upstream of these servers, of which at least one is no backup and has an address.
    pub fn new(name: impl Into<Arc<str>>, lines: &[Line], choose: Choose, keepalive: Keepalive) -> Upstream {
        let servers = Arc::new(Servers::new(lines.iter().map(|line| (line, line.spots())), &choose, None));
        let key = match choose {
            Choose::Hash(key, _) => Some(key),
            _ => None,
        };
        let idle = Arc::default();
        Upstream { name: name.into(), is_named: false, keepalive, idle, servers, live: None, key }
    }

    /// The same where names among them are looked up by this resolver; a request waits no longer than this for the first answers.
    pub fn resolving(
        name: impl Into<Arc<str>>,
        lines: Vec<Line>,
        choose: Choose,
        keepalive: Keepalive,
        (resolver, timeout): (Arc<Resolver>, std::time::Duration),
    ) -> Upstream {
        let mut upstream = Upstream::new(name, &lines, choose.clone(), keepalive);
        let servers = upstream.servers.clone();
        upstream.live = Some(Live::new(lines, choose, resolver, timeout, servers, upstream.idle.clone()));
        upstream
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

    /// Goes on with what an upstream of the same name knew before a reload: the state of the peers that stay, their idle
    /// connections if they would be kept in the same way, and what its names stood for.
    pub fn inherit(&mut self, before: &Upstream) {
        if self.keepalive == before.keepalive {
            self.idle = before.idle.clone();
        }
        self.servers = Arc::new(self.servers.after(&before.servers()));
        if let Some(live) = &self.live {
            self.live = Some(live.after(&before.servers(), before.live.as_ref(), self.idle.clone()));
        }
        let servers = self.servers();
        self.idle.forget(|address| !servers.has(address));
    }

    /// The servers as they are now.
    fn servers(&self) -> Arc<Servers> {
        self.live.as_ref().map_or_else(|| self.servers.clone(), |live| live.servers())
    }

    /// Whether connections to an address are worth keeping: one that has gone is asked no more.
    pub fn keeps(&self, address: &Address) -> bool {
        self.live.as_ref().is_none_or(|live| live.servers().has(address))
    }

    /// Whether servers come and go while requests come.
    fn may_change(&self) -> bool {
        self.live.is_some()
    }

    /// It is in force: begins to look its names up, if that is to be done while requests come.
    pub fn begin(&self) {
        self.servers().groups.iter().for_each(Group::renew);
        if let Some(live) = &self.live {
            live.begin();
        }
    }

    /// Waits for the servers' names if none is known yet: the waker is called when some are.
    pub fn wait(&self, waker: Waker) -> Option<Waiting> {
        self.live.as_ref()?.wait(waker)
    }

    /// Chooses who is asked next for this request; none when nobody can be ("no live upstreams").
    pub fn choose(self: &Arc<Self>, x: &Exchange, tried: &mut Tried, now: Instant) -> Option<Choice> {
        let key = self.key.as_ref().map(|key| x.eval(key)).unwrap_or_default();
        let client = x.client.peer.map(|peer| peer.ip());
        self.choose_by(Seed { client, key: &key }, tried, second(now))
    }

    /// The same from the parts. `now` is a second of any clock that only goes forward.
    pub fn choose_by(self: &Arc<Self>, seed: Seed<'_>, tried: &mut Tried, now: u64) -> Option<Choice> {
        let servers = self.servers();
        tried.begin(&servers);
        loop {
            let group = &servers.groups[tried.group];
            let chosen = if servers.is_single() {
                group.only()
            } else {
                let (done, search) = (&tried.tried, &mut tried.search);
                servers.method.choose(group, seed, search, now, &|i: usize| !done[i])
            };
            if let Some(peer) = chosen {
                tried.note(tried.group, peer, self.may_change());
                let (upstream, group) = (self.clone(), tried.group);
                return Some(Choice { upstream, servers, group, peer, released: false });
            }
            if tried.group + 1 == servers.groups.len() {
                return None;
            }
            tried.enter(tried.group + 1);
        }
    }

    /// How many peers may still be tried for a request. Servers that came meanwhile count.
    pub fn left(&self, tried: &mut Tried) -> usize {
        if self.may_change() {
            tried.begin(&self.servers());
        }
        tried.left()
    }
}

/// The second of the clock that failures are counted by. It begins late enough that nothing is recent at first.
fn second(now: Instant) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    now.saturating_duration_since(*START).as_secs() + (1 << 40)
}
