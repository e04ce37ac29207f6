//! The servers of an upstream at one time: peers in groups, and how one of them is chosen. A value that never changes; where names
//! are looked up while requests come, another takes its place. What is known of a peer that stays goes over to it.

use std::sync::Arc;

use super::address::Address;
use super::balance::{Method, Ring};
use super::line::{Choose, Line};
use super::peers::{Group, Peer};

/// The servers.
#[derive(Debug)]
pub struct Servers {
    /// The servers, then the backup servers if there are any.
    pub groups: Vec<Group>,
    /// How one is chosen.
    pub method: Method,
}

/// Where one server of a line listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The address.
    pub address: Address,
    /// Its share.
    pub weight: u32,
    /// Whether it is asked only when no other can be.
    pub backup: bool,
    /// The host and port that a service names; none where the line's own name is the server's.
    pub server: Option<Arc<str>>,
}

impl Servers {
    /// The servers of these lines where each has the spots beside it, after those of before.
    pub fn new<'l>(
        lines: impl Iterator<Item = (&'l Line, Vec<Spot>)>,
        choose: &Choose,
        before: Option<&Servers>,
    ) -> Servers {
        let mut peers = [Vec::new(), Vec::new()];
        for (line, spots) in lines {
            spots.into_iter().for_each(|spot| peers[usize::from(spot.backup)].push(peer(line, spot)));
        }
        let [first, second] = peers;
        let group = |number: usize, peers| Group::after(peers, before.and_then(|before| before.groups.get(number)));
        let mut groups = vec![group(0, first)];
        if !second.is_empty() {
            groups.push(group(1, second));
        }
        let method = match choose {
            Choose::RoundRobin => Method::RoundRobin,
            Choose::LeastConn => Method::LeastConn,
            Choose::IpHash => Method::IpHash,
            Choose::Hash(_, false) => Method::Hash,
            Choose::Hash(_, true) => Method::Consistent(Ring::new(&groups[0])),
            Choose::Random(false) => Method::Random,
            Choose::Random(true) => Method::RandomTwo,
        };
        Servers { groups, method }
    }

    /// The same servers, which go on with what others knew of them.
    pub fn after(&self, before: &Servers) -> Servers {
        let groups = self.groups.iter().enumerate();
        let groups = groups.map(|(number, group)| Group::after(group.peers.clone(), before.groups.get(number)));
        Servers { groups: groups.collect(), method: self.method.clone() }
    }

    /// A single peer never counts as failed: there is no other to ask.
    pub fn is_single(&self) -> bool {
        self.groups.len() == 1 && self.groups[0].peers.len() == 1
    }

    /// All peers.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.groups.iter().flat_map(|group| &group.peers)
    }

    /// Whether one of them listens there.
    pub fn has(&self, address: &Address) -> bool {
        self.peers().any(|peer| peer.address == *address)
    }
}

impl Line {
    /// The spots of a line whose addresses are known since the conf was read.
    pub fn spots(&self) -> Vec<Spot> {
        let spot = |address: &Address| Spot {
            address: address.clone(),
            weight: self.weight,
            backup: self.backup,
            server: None,
        };
        self.addresses.iter().map(spot).collect()
    }
}

fn peer(line: &Line, spot: Spot) -> Peer {
    Peer {
        shown: spot.address.to_string().into(),
        address: spot.address,
        server: spot.server.unwrap_or_else(|| line.name.clone()),
        weight: i64::from(spot.weight),
        max_conns: line.max_conns,
        max_fails: line.max_fails,
        fail_timeout: line.fail_timeout.as_secs(),
        slow_start: line.slow_start.as_secs(),
        down: line.down,
        checks: line.checks.clone(),
    }
}
