//! Who is asked next: the methods of an upstream over its peers. The same conf gives the same sequence and the same key
//! the same server as in nginx, so that a cache behind either stays warm.

use std::collections::HashMap;
use std::net::IpAddr;

use super::peers::{Group, Known};

/// How a peer is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Method {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// Who has the fewest requests for its weight.
    LeastConn,
    /// By the client's address: the first three bytes of an IPv4 address, all of an IPv6 one.
    IpHash,
    /// By a key.
    Hash,
    /// By a key on a ring, so that a server more or less moves few keys.
    Consistent(Ring),
    /// At random.
    Random,
    /// The one with fewer requests of two at random.
    RandomTwo,
}

/// Servers on a ring, each at 160 points for each unit of weight.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ring {
    /// Points in order, each with the first peer of its server.
    points: Vec<(u32, u32)>,
}

/// What a choice may depend on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seed<'a> {
    /// The client's address; none on a Unix socket.
    pub client: Option<IpAddr>,
    /// The value of the key of `hash`.
    pub key: &'a [u8],
}

/// How far the search for one request went, for the methods that search by hashes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Search {
    /// Whether it began.
    begun: bool,
    /// The hash, or the place on the ring.
    hash: u32,
    /// How often the key was hashed.
    round: u32,
    /// Peers that did not do.
    misses: u32,
}

/// So many peers may not do; then they are taken in turn.
const MOST_MISSES: u32 = 20;

impl Method {
    /// Chooses a peer among those that `may` admits and notes that it gets a request.
    pub fn choose(
        &self,
        group: &Group,
        seed: Seed<'_>,
        search: &mut Search,
        now: u64,
        may: &dyn Fn(usize) -> bool,
    ) -> Option<usize> {
        let hopeless = search.misses > MOST_MISSES || group.peers.len() < 2 || group.total <= 0;
        match self {
            Method::RoundRobin => group.next(now, may),
            Method::LeastConn => least_conn(group, now, may),
            _ if hopeless => group.next(now, may),
            Method::IpHash => by_address(group, seed, search, now, may),
            Method::Hash | Method::Consistent(_) if seed.key.is_empty() => group.next(now, may),
            Method::Hash => by_key(group, seed, search, now, may),
            Method::Consistent(ring) => ring.choose(group, seed, search, now, may),
            Method::Random => by_chance(group, search, now, may),
            Method::RandomTwo => best_of_two(group, search, now, may),
        }
    }
}

fn least_conn(group: &Group, now: u64, may: &dyn Fn(usize) -> bool) -> Option<usize> {
    let mut health = group.health();
    let load = |one: usize, other: usize, health: &Known<'_>| {
        let share = group.peers[other].weight * group.share(other, &health[other], now);
        i128::from(health[one].conns) * i128::from(share)
    };
    let (mut best, mut ties) = (None, false);
    for i in 0..group.peers.len() {
        if !may(i) || !group.is_usable(i, &health[i], now) {
            continue;
        }
        match best {
            None => best = Some(i),
            Some(other) if load(i, other, &health) < load(other, i, &health) => (best, ties) = (Some(i), false),
            Some(other) => ties |= load(i, other, &health) == load(other, i, &health),
        }
    }
    let mut best = best?;
    if ties {
        let as_good: Vec<bool> =
            (0..group.peers.len()).map(|i| i >= best && load(i, best, &health) == load(best, i, &health)).collect();
        best = group.foremost(&mut health, now, |i| may(i) && as_good[i])?;
    }
    group.take(&mut health, best, now);
    Some(best)
}

/// The peer whose share of the weights a number falls into.
fn by_weight(group: &Group, number: i64) -> usize {
    let mut rest = number;
    let found = group.peers.iter().position(|peer| {
        rest -= peer.weight;
        rest < 0
    });
    found.unwrap_or(0)
}

/// Takes the peer if it does.
fn try_one(group: &Group, i: usize, now: u64, may: &dyn Fn(usize) -> bool) -> bool {
    let mut health = group.health();
    let does = may(i) && group.is_usable(i, &health[i], now);
    if does {
        group.take(&mut health, i, now);
    }
    does
}

fn by_address(
    group: &Group,
    seed: Seed<'_>,
    search: &mut Search,
    now: u64,
    may: &dyn Fn(usize) -> bool,
) -> Option<usize> {
    let (three, sixteen);
    let bytes: &[u8] = match seed.client {
        Some(IpAddr::V4(ip)) => {
            three = ip.octets();
            &three[..3]
        }
        Some(IpAddr::V6(ip)) => {
            sixteen = ip.octets();
            &sixteen
        }
        None => &[0; 3],
    };
    if !search.begun {
        (search.begun, search.hash) = (true, 89);
    }
    while search.misses <= MOST_MISSES {
        search.hash = bytes.iter().fold(search.hash, |hash, byte| (hash * 113 + u32::from(*byte)) % 6271);
        let i = by_weight(group, i64::from(search.hash) % group.total);
        if try_one(group, i, now, may) {
            return Some(i);
        }
        search.misses += 1;
    }
    group.next(now, may)
}

fn by_key(group: &Group, seed: Seed<'_>, search: &mut Search, now: u64, may: &dyn Fn(usize) -> bool) -> Option<usize> {
    while search.misses <= MOST_MISSES {
        let mut crc = crc32fast::Hasher::new();
        if search.round > 0 {
            crc.update(search.round.to_string().as_bytes());
        }
        crc.update(seed.key);
        search.hash = search.hash.wrapping_add((crc.finalize() >> 16) & 0x7fff);
        search.round += 1;
        let i = by_weight(group, i64::from(search.hash) % group.total);
        if try_one(group, i, now, may) {
            return Some(i);
        }
        search.misses += 1;
    }
    group.next(now, may)
}

fn by_chance(group: &Group, search: &mut Search, now: u64, may: &dyn Fn(usize) -> bool) -> Option<usize> {
    while search.misses <= MOST_MISSES {
        let i = by_weight(group, fastrand::i64(0..group.total));
        if try_one(group, i, now, may) {
            return Some(i);
        }
        search.misses += 1;
    }
    group.next(now, may)
}

fn best_of_two(group: &Group, search: &mut Search, now: u64, may: &dyn Fn(usize) -> bool) -> Option<usize> {
    let mut first = None;
    while search.misses <= MOST_MISSES {
        let i = by_weight(group, fastrand::i64(0..group.total));
        let mut health = group.health();
        if !may(i) || !group.is_usable(i, &health[i], now) || first == Some(i) {
            search.misses += 1;
            continue;
        }
        let Some(other) = first.replace(i) else { continue };
        let load = |one: usize, than: usize| i64::from(health[one].conns) * group.peers[than].weight;
        let best =
            if group.is_usable(other, &health[other], now) && load(other, i) <= load(i, other) { other } else { i };
        group.take(&mut health, best, now);
        return Some(best);
    }
    group.next(now, may)
}

impl Ring {
    /// The ring of these peers. Addresses of one server share its points.
    pub fn new(group: &Group) -> Ring {
        // A name may stand for a thousand addresses: its points are worked out once.
        let mut servers: HashMap<&str, (u32, i64)> = HashMap::new();
        for (i, peer) in group.peers.iter().enumerate() {
            let (_, weight) = servers.entry(&*peer.server).or_insert((i as u32, peer.weight));
            *weight = peer.weight.max(*weight);
        }
        let mut points = Vec::new();
        for (server, (i, weight)) in servers {
            let (host, port) = name_parts(server.as_bytes());
            let mut base = crc32fast::Hasher::new();
            base.update(host);
            base.update(b"\0");
            base.update(port);
            let mut before = 0u32;
            for _ in 0..weight * 160 {
                let mut crc = base.clone();
                crc.update(&before.to_le_bytes());
                before = crc.finalize();
                points.push((before, i));
            }
        }
        points.sort();
        points.dedup_by_key(|(hash, _)| *hash);
        Ring { points }
    }

    fn choose(
        &self,
        group: &Group,
        seed: Seed<'_>,
        search: &mut Search,
        now: u64,
        may: &dyn Fn(usize) -> bool,
    ) -> Option<usize> {
        if self.points.is_empty() {
            return group.next(now, may);
        }
        if !search.begun {
            let hash = crc32fast::hash(seed.key);
            (search.begun, search.hash) = (true, self.points.partition_point(|(point, _)| *point < hash) as u32);
        }
        while search.misses <= MOST_MISSES {
            let (_, owner) = self.points[search.hash as usize % self.points.len()];
            // The ring is the servers'; backup servers have places on it only under the same name.
            let server = group.peers.get(owner as usize).map(|peer| &peer.server);
            if let Some(i) = group.next(now, |i| may(i) && Some(&group.peers[i].server) == server) {
                return Some(i);
            }
            search.hash = search.hash.wrapping_add(1);
            search.misses += 1;
        }
        group.next(now, may)
    }
}

/// A server's name as the ring hashes it: the host, and the port if it names one.
fn name_parts(server: &[u8]) -> (&[u8], &[u8]) {
    if server.len() >= 5 && server[..5].eq_ignore_ascii_case(b"unix:") {
        return (&server[5..], b"");
    }
    let digits = server.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let at = server.len() - digits;
    match at.checked_sub(1).filter(|colon| server[*colon] == b':') {
        Some(colon) => (&server[..colon], &server[at..]),
        None => (server, b""),
    }
}

#[cfg(test)]
mod tests;
