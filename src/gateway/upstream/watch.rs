//! The watch over names that upstreams stand for: one thread looks each up again when its answer no longer holds, and tells the
//! upstream what it stands for now. It is there only while there are such names. Knows no request.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::address;
use super::line::{Line, Resolve};
use super::live::Live;
use super::servers::Spot;
use crate::exchange::engine::{Engine, Waker};
use crate::gateway::resolver::{Answer, Found, Lookup, Lost, Service, Want};

/// So many addresses a name may stand for; of more the first in order count.
const MOST: usize = 1024;
/// So many hosts a service may name.
const MOST_HOSTS: usize = 64;
/// The greatest share of a server that a name server gives.
const HEAVIEST: u32 = 100;
/// However short an answer holds, no name is looked up more often.
const LEAST: Duration = Duration::from_secs(1);
/// How long it takes at most until a name that could not be looked up is tried again.
const LATEST: Duration = Duration::from_secs(10);

/// A name under watch.
struct Watch {
    live: Weak<Live>,
    line: usize,
    due: Instant,
    asking: Option<Asking>,
    /// How often it failed in a row.
    failed: u32,
}

/// What is being asked for a name.
enum Asking {
    /// Its addresses or services.
    Name(Lookup),
    /// The addresses of the hosts that its services name.
    Hosts(Arc<Found>, Vec<(Service, Lookup)>),
}

/// What a name came to, and until when that holds.
type Outcome = Result<(Vec<Spot>, Instant), Lost>;

/// How asking goes on.
enum Next {
    /// With news.
    Later(Asking),
    /// At once.
    Then(Asking),
    /// It is over.
    Done(Outcome),
}

#[derive(Default)]
struct Desk {
    fresh: Vec<Watch>,
    rung: bool,
    runs: bool,
}

static DESK: Mutex<Desk> = Mutex::new(Desk { fresh: Vec::new(), rung: false, runs: false });
static BELL: Condvar = Condvar::new();

fn desk() -> MutexGuard<'static, Desk> {
    // Nothing that can panic runs under this lock.
    DESK.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Wakes the thread.
struct Ring;

impl Engine for Ring {
    fn watch(&self, _: usize, _: std::os::fd::BorrowedFd<'_>) -> std::io::Result<()> {
        Ok(())
    }

    fn wake(&self, _: usize) {
        desk().rung = true;
        BELL.notify_one();
    }
}

/// Watches the names of these lines from now on.
pub fn begin(names: impl Iterator<Item = (Weak<Live>, usize)>) {
    let now = Instant::now();
    let watch = |(live, line)| Watch { live, line, due: now, asking: None, failed: 0 };
    let mut desk = desk();
    desk.fresh.extend(names.map(watch));
    desk.rung = true;
    if !desk.fresh.is_empty() && !desk.runs {
        match std::thread::Builder::new().name("names".into()).spawn(run) {
            Ok(_) => desk.runs = true,
            Err(error) => log::error!("cannot look up the names of upstreams: {error}"),
        }
    }
    drop(desk);
    BELL.notify_one();
}

fn run() {
    let mut watches = Vec::new();
    loop {
        {
            let mut desk = desk();
            watches.append(&mut desk.fresh);
            if watches.is_empty() {
                desk.runs = false;
                return;
            }
            let now = Instant::now();
            let next = watches.iter().map(Watch::next).min().unwrap_or(now);
            if !desk.rung {
                let wait = next.saturating_duration_since(now);
                desk = BELL.wait_timeout(desk, wait).map_or_else(|poisoned| poisoned.into_inner().0, |(desk, _)| desk);
            }
            desk.rung = false;
            watches.append(&mut desk.fresh);
        }
        watches.retain_mut(|watch| watch.go_on(Instant::now()));
    }
}

impl Watch {
    /// When there is something to do without news.
    fn next(&self) -> Instant {
        match &self.asking {
            None => self.due,
            Some(Asking::Name(lookup)) => lookup.deadline,
            Some(Asking::Hosts(_, hosts)) => hosts.iter().map(|(_, host)| host.deadline).min().unwrap_or(self.due),
        }
    }

    /// Goes as far as it goes without waiting; whether there is still something to watch.
    fn go_on(&mut self, now: Instant) -> bool {
        let Some(live) = self.live.upgrade().filter(|live| !live.is_retired()) else { return false };
        let line = live.line(self.line);
        if self.asking.is_none() && self.due <= now {
            self.asking = ask(&live, line);
        }
        while let Some(asking) = self.asking.take() {
            match asking.go_on(&live, line) {
                Next::Then(asking) => self.asking = Some(asking),
                Next::Later(asking) => {
                    self.asking = Some(asking);
                    break;
                }
                Next::Done(outcome) => self.tell(&live, outcome, now),
            }
        }
        true
    }

    fn tell(&mut self, live: &Live, outcome: Outcome, now: Instant) {
        match outcome {
            Ok((spots, until)) => {
                self.failed = 0;
                self.due = until.max(now + LEAST);
                live.take(self.line, spots);
            }
            // There are more names than may be asked for at once: its turn comes.
            Err(Lost::Busy) => self.due = now + LEAST,
            Err(lost) => {
                let name = crate::http::escape::error_log(live.line(self.line).name.as_bytes());
                log::error!("{name} could not be resolved ({lost})");
                let wait = LEAST.saturating_mul(1 << self.failed.min(8));
                self.failed = self.failed.saturating_add(1);
                self.due = now + wait.min(LATEST);
                match lost {
                    // It is known that there is none; any other failure says nothing of the servers.
                    Lost::NotFound => live.take(self.line, Vec::new()),
                    _ => live.fail(self.line),
                }
            }
        }
    }
}

/// Begins to ask for the name of a line.
fn ask(live: &Live, line: &Line) -> Option<Asking> {
    Some(Asking::Name(match line.resolve.as_ref()? {
        Resolve::Host(host, _) => look_up(live, host, Want::Addresses),
        Resolve::Service(name) => look_up(live, name, Want::Services),
    }))
}

fn look_up(live: &Live, name: &str, want: Want) -> Lookup {
    live.resolver.look_up(name, want, Waker::new(Some(Arc::new(Ring)), 0), live.timeout)
}

impl Asking {
    fn go_on(self, live: &Live, line: &Line) -> Next {
        match self {
            Asking::Name(lookup) => match (lookup.answer(), &line.resolve) {
                (Poll::Pending, _) => Next::Later(Asking::Name(lookup)),
                (Poll::Ready(Err(lost)), _) => Next::Done(Err(lost)),
                (Poll::Ready(Ok(found)), Some(Resolve::Host(_, port))) => {
                    let (weight, backup) = (line.weight, line.backup);
                    let of = |ip: &_| Spot { address: address::tcp(*ip, *port), weight, backup, server: None };
                    Next::Done(Ok((bounded(found.addresses.iter().map(of).collect(), line), found.until)))
                }
                (Poll::Ready(Ok(found)), _) => {
                    let host = |one: &Service| (one.clone(), look_up(live, &one.target, Want::Addresses));
                    let hosts = wanted(&found.services, line.backup).iter().map(host).collect();
                    Next::Then(Asking::Hosts(found, hosts))
                }
            },
            Asking::Hosts(found, hosts) => {
                let answers: Option<Vec<Answer>> = hosts
                    .iter()
                    .map(|(_, host)| match host.answer() {
                        Poll::Ready(answer) => Some(answer),
                        Poll::Pending => None,
                    })
                    .collect();
                match answers {
                    None => Next::Later(Asking::Hosts(found, hosts)),
                    Some(answers) => Next::Done(joined(line, &found, hosts.iter().map(|(one, _)| one).zip(answers))),
                }
            }
        }
    }
}

/// The services that count, those that come first before the others: a backup server's are all of one rank.
fn wanted(services: &[Service], is_backup: bool) -> Vec<Service> {
    let mut all = services.to_vec();
    all.sort();
    all.dedup();
    let first = all.first().map_or(0, |one| one.priority);
    all.retain(|one| !is_backup || one.priority == first);
    all.truncate(MOST_HOSTS);
    all
}

/// What the services come to whose hosts have these addresses. One whose host is not found is left out.
fn joined<'s>(line: &Line, found: &Found, hosts: impl Iterator<Item = (&'s Service, Answer)>) -> Outcome {
    let (mut until, mut lost) = (found.until, Lost::NotFound);
    let mut known = Vec::new();
    for (service, answer) in hosts {
        match answer {
            Ok(host) => {
                until = until.min(host.until);
                known.push((service, host));
            }
            Err(other) if lost == Lost::NotFound => lost = other,
            Err(_) => {}
        }
    }
    let first = known.iter().map(|(one, _)| one.priority).min().ok_or(lost)?;
    let heaviest = known.iter().map(|(one, _)| u32::from(one.weight)).max().unwrap_or(1).max(1);
    // Shares may be as great as 65535; what counts is how they stand to each other.
    let share = |weight: u16| match heaviest > HEAVIEST {
        true => (u32::from(weight) * HEAVIEST / heaviest).max(1),
        false => u32::from(weight).max(1),
    };
    let of = |(one, host): &(&Service, Arc<Found>)| {
        let (weight, backup, port) = (share(one.weight), line.backup || one.priority > first, one.port);
        let server: Arc<str> = format!("{}:{port}", one.target).into();
        let spot = |ip: &_| Spot { address: address::tcp(*ip, port), weight, backup, server: Some(server.clone()) };
        host.addresses.iter().map(spot).collect::<Vec<_>>()
    };
    Ok((bounded(known.iter().flat_map(of).collect(), line), until))
}

fn bounded(mut spots: Vec<Spot>, line: &Line) -> Vec<Spot> {
    if spots.len() > MOST {
        let name = crate::http::escape::error_log(line.name.as_bytes());
        log::warn!("{name} stands for {} addresses, of which {MOST} count", spots.len());
        spots.sort();
        spots.truncate(MOST);
    }
    spots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, port: u16, target: &str) -> Service {
        Service { priority, weight, port, target: target.into() }
    }

    #[test]
    fn ranks_and_shares_of_services() {
        let now = Instant::now();
        let found = Found { addresses: Vec::new(), services: Vec::new(), until: now + Duration::from_secs(60) };
        let host = |last: u8, holds: u64| {
            let addresses = vec![[127, 0, 0, last].into()];
            Ok(Arc::new(Found { addresses, services: Vec::new(), until: now + Duration::from_secs(holds) }))
        };
        let services = [service(10, 60000, 1, "a"), service(10, 0, 2, "b"), service(20, 600, 3, "c")];
        let line = Line::new("app", Vec::new());
        let hosts = [host(1, 50), host(2, 40), host(3, 70)];
        let (spots, until) = joined(&line, &found, services.iter().zip(hosts)).unwrap();
        let shown: Vec<_> = spots.iter().map(|one| (one.address.to_string(), one.weight, one.backup)).collect();
        let want = [("127.0.0.1:1", 100, false), ("127.0.0.2:2", 1, false), ("127.0.0.3:3", 1, true)];
        assert_eq!(shown, want.map(|(address, weight, backup)| (address.to_string(), weight, backup)));
        assert_eq!(until, now + Duration::from_secs(40));
        // Whoever is left comes first; with nobody left the reason is told.
        let gone = || Err(Lost::TimedOut);
        let (spots, _) = joined(&line, &found, services.iter().zip([gone(), gone(), host(3, 9)])).unwrap();
        assert!(!spots[0].backup);
        assert_eq!(joined(&line, &found, services.iter().zip([gone(), gone(), gone()])), Err(Lost::TimedOut));
        let ranks = |backup| wanted(&services, backup).iter().map(|one| one.port).collect::<Vec<_>>();
        assert_eq!((ranks(false), ranks(true)), (vec![2, 1, 3], vec![2, 1]));
    }

    #[test]
    fn a_name_may_stand_for_so_many_addresses() {
        let line = Line::new("app", Vec::new());
        for (number, kept) in [(MOST, MOST), (MOST + 1, MOST)] {
            let spot = |n: usize| Spot {
                address: address::tcp([10, 0, (n >> 8) as u8, n as u8].into(), 80),
                weight: 1,
                backup: false,
                server: None,
            };
            assert_eq!(bounded((0..number).map(spot).collect(), &line).len(), kept);
        }
    }
}
