//! The peers of one upstream: what the conf says of each, what is known of it now, and the choice by smooth weighted
//! round robin that every other method falls back to. Knows no connection.

use std::collections::HashMap;
use std::ops::{Index, IndexMut};
use std::sync::{Arc, Mutex, MutexGuard};

use super::address::Address;
use super::probes::{Change, Expected, Needed, Probes};

/// A whole share.
const WHOLE: i64 = 1000;

/// What the conf says of one address of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it listens.
    pub address: Address,
    /// The same as variables and log lines show it.
    pub shown: Arc<str>,
    /// Its server as the conf names it.
    pub server: Arc<str>,
    /// Its share.
    pub weight: i64,
    /// How many requests it takes at once; 0 is any number.
    pub max_conns: u32,
    /// So many failures within `fail_timeout` put it aside; 0 never does.
    pub max_fails: u32,
    /// The time in which failures count, and for which it is put aside, in seconds.
    pub fail_timeout: u64,
    /// How long its share takes to grow back after it was put aside, in seconds.
    pub slow_start: u64,
    /// Whether it takes no requests.
    pub down: bool,
    /// The health checks that it is to pass.
    pub checks: Arc<[Expected]>,
}

/// What is known of a peer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// How far it is in line.
    pub current: i64,
    /// Its share as failures left it.
    pub effective: i64,
    /// Requests it has now.
    pub conns: u32,
    /// Failures that count.
    pub fails: u32,
    /// The second of the last failure.
    pub accessed: u64,
    /// The second from which failures count.
    pub checked: u64,
    /// The second in which it did well again after it was put aside; 0 if it never did.
    pub back: u64,
    /// Whether a health check keeps it out.
    pub is_out: bool,
}

/// Peers that are chosen from together: the servers, or the backup servers.
#[derive(Debug, Clone)]
pub struct Group {
    /// The peers in the conf's order.
    pub peers: Vec<Peer>,
    /// The sum of their weights.
    pub total: i64,
    /// Where the book has each peer.
    seats: Vec<Arc<usize>>,
    book: Arc<Mutex<Book>>,
}

/// What is known of the peers of a group and of those that came after it: a peer that stays keeps its seat.
#[derive(Debug, Default)]
struct Book {
    health: Vec<Health>,
    /// What health checks have found of each.
    probes: Vec<Probes>,
    /// One for each; a group that has it holds it too.
    seats: Vec<Arc<usize>>,
}

/// What is known of a group's peers now. As many as peers.
pub struct Known<'g> {
    book: MutexGuard<'g, Book>,
    seats: &'g [Arc<usize>],
}

impl Index<usize> for Known<'_> {
    type Output = Health;

    fn index(&self, peer: usize) -> &Health {
        &self.book.health[*self.seats[peer]]
    }
}

impl IndexMut<usize> for Known<'_> {
    fn index_mut(&mut self, peer: usize) -> &mut Health {
        &mut self.book.health[*self.seats[peer]]
    }
}

impl Book {
    /// A seat for a peer that nothing is known of.
    fn seat(&mut self, peer: &Peer) -> Arc<usize> {
        let probes = Probes::fresh(&peer.checks);
        let is_out = probes.is_out();
        let (current, effective, conns, fails) = (0, peer.weight, 0, 0);
        let fresh = Health { current, effective, conns, fails, accessed: 0, checked: 0, back: 0, is_out };
        let free = self.seats.iter().find(|seat| Arc::strong_count(seat) == 1).cloned();
        let seat = free.unwrap_or_else(|| {
            let seat = Arc::new(self.seats.len());
            self.seats.push(seat.clone());
            self.health.push(fresh);
            self.probes.push(Probes::default());
            seat
        });
        self.health[*seat] = fresh;
        self.probes[*seat] = probes;
        seat
    }
}

/// How a request to a peer ended, for what is thought of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Answered,
    /// It answered, but another is asked (`http_404` of `proxy_next_upstream`).
    PassedOver,
    /// It failed.
    Failed,
}

impl Group {
    /// A group after another, if there was one: peers that were there keep what is known of them.
    pub fn after(peers: Vec<Peer>, before: Option<&Group>) -> Group {
        let total = peers.iter().map(|peer| peer.weight).sum();
        let book = before.map(|before| before.book.clone()).unwrap_or_default();
        let mut seats = Vec::with_capacity(peers.len());
        {
            let mut open = lock(&book);
            let mut stay: HashMap<(&Address, &str), Vec<&Arc<usize>>> = HashMap::new();
            for (peer, seat) in before.iter().flat_map(|before| before.peers.iter().zip(&before.seats)).rev() {
                stay.entry((&peer.address, &*peer.server)).or_default().push(seat);
            }
            for peer in &peers {
                let known = stay.get_mut(&(&peer.address, &*peer.server)).and_then(Vec::pop).cloned();
                if let Some(seat) = &known {
                    let health = &mut open.health[**seat];
                    health.effective = health.effective.min(peer.weight);
                }
                seats.push(known.unwrap_or_else(|| open.seat(peer)));
            }
        }
        Group { peers, total, seats, book }
    }

    /// What is known now.
    pub fn health(&self) -> Known<'_> {
        Known { book: lock(&self.book), seats: &self.seats }
    }

    /// Whether a peer may be chosen at this second.
    pub fn is_usable(&self, i: usize, health: &Health, now: u64) -> bool {
        let peer = &self.peers[i];
        let aside = peer.max_fails > 0
            && health.fails >= peer.max_fails
            && now.saturating_sub(health.checked) <= peer.fail_timeout;
        !peer.down && !aside && !health.is_out && !is_full(peer, health)
    }

    /// How much of its share of the requests a peer gets at this second, in thousandths: less while it starts slowly.
    pub fn share(&self, i: usize, health: &Health, now: u64) -> i64 {
        let (whole, since) = (self.peers[i].slow_start, now.saturating_sub(health.back));
        if health.back == 0 || since >= whole {
            return WHOLE;
        }
        (WHOLE * (since as i64 + 1) / (whole as i64 + 1)).max(1)
    }

    /// New settings are in force: what the health checks of before have found counts as far as they say.
    pub fn renew(&self) {
        let mut book = lock(&self.book);
        for (peer, seat) in self.peers.iter().zip(&self.seats) {
            book.probes[**seat].renew(&peer.checks);
            book.health[**seat].is_out = book.probes[**seat].is_out();
        }
    }

    /// Notes what a health check has found of a peer, and whether that takes it out or brings it back.
    pub fn note(&self, i: usize, key: &Arc<str>, passed: bool, needed: Needed, now: u64) -> Option<Change> {
        let (mut book, seat) = (lock(&self.book), *self.seats[i]);
        let change = book.probes[seat].note(key, passed, needed);
        let is_out = book.probes[seat].is_out();
        let one = &mut book.health[seat];
        one.is_out = is_out;
        if change == Some(Change::Back) {
            // What requests have found before is out of date, and its share grows as `slow_start` says.
            (one.fails, one.back) = (0, now);
        }
        change
    }

    /// One peer alone: it is asked whatever happened before, unless a health check keeps it out.
    pub fn only(&self) -> Option<usize> {
        let mut health = self.health();
        let peer = self.peers.first()?;
        if peer.down || health[0].is_out || is_full(peer, &health[0]) {
            return None;
        }
        health[0].conns += 1;
        Some(0)
    }

    /// The next in line among those that `may` admits and that can be chosen.
    pub fn next(&self, now: u64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let mut health = self.health();
        let best = self.foremost(&mut health, now, may)?;
        self.take(&mut health, best, now);
        Some(best)
    }

    /// Moves those that may be chosen one step on, and answers with the foremost. It goes back by what all were given.
    pub fn foremost(&self, health: &mut Known<'_>, now: u64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut best, mut given) = (None, 0);
        for i in 0..self.peers.len() {
            if !may(i) || !self.is_usable(i, &health[i], now) {
                continue;
            }
            let step = health[i].effective * self.share(i, &health[i], now);
            let one = &mut health[i];
            one.current += step;
            given += step;
            if one.effective < self.peers[i].weight {
                one.effective += 1;
            }
            let current = one.current;
            if best.is_none_or(|best: usize| current > health[best].current) {
                best = Some(i);
            }
        }
        health[best?].current -= given;
        best
    }

    /// Notes that a peer gets a request.
    pub fn take(&self, health: &mut Known<'_>, i: usize, now: u64) {
        let one = &mut health[i];
        if now.saturating_sub(one.checked) > self.peers[i].fail_timeout {
            one.checked = now;
        }
        one.conns += 1;
    }

    /// Gives a peer's place back; `outcome` is none when nobody knows how it went. Answers whether this put the peer aside.
    pub fn release(&self, i: usize, outcome: Option<Outcome>, is_single: bool, now: u64) -> bool {
        let mut health = self.health();
        let (peer, one) = (&self.peers[i], &mut health[i]);
        one.conns = one.conns.saturating_sub(1);
        match outcome {
            Some(Outcome::Failed) if !is_single => {
                one.fails = one.fails.saturating_add(1);
                (one.accessed, one.checked) = (now, now);
                if peer.max_fails > 0 {
                    one.effective = (one.effective - peer.weight / i64::from(peer.max_fails)).max(0);
                    return one.fails >= peer.max_fails;
                }
            }
            Some(Outcome::Answered | Outcome::PassedOver) if is_single || one.accessed < one.checked => {
                if peer.max_fails > 0 && one.fails >= peer.max_fails {
                    one.back = now;
                }
                one.fails = 0;
            }
            _ => {}
        }
        false
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    // Nothing that can panic runs under this lock.
    book.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn is_full(peer: &Peer, health: &Health) -> bool {
    peer.max_conns > 0 && health.conns >= peer.max_conns
}
