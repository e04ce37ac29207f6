//! Servers that come and go while requests come: what the names of an upstream stand for now. Who looks them up is the watch; what
//! it finds becomes servers that take the place of those before. A request keeps those it has, and asks the new ones next.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use super::idle::Idle;
use super::line::{Choose, Line};
use super::servers::{Servers, Spot};
use super::watch;
use crate::exchange::engine::Waker;
use crate::gateway::resolver::Resolver;

/// The servers of one upstream.
#[derive(Debug)]
pub struct Live {
    lines: Vec<Line>,
    choose: Choose,
    /// Who knows the names.
    pub(super) resolver: Arc<Resolver>,
    /// How long an answer may take.
    pub(super) timeout: Duration,
    idle: Arc<Idle>,
    state: Mutex<State>,
    begun: AtomicBool,
    /// Whether another took its place at a reload.
    retired: AtomicBool,
    /// Whose place it takes. Held loosely: one would keep all that were before it, reload after reload.
    before: Option<Weak<Live>>,
}

struct State {
    servers: Arc<Servers>,
    /// What the name of each line stands for; none as long as nobody knows.
    found: Vec<Option<Vec<Spot>>>,
    waiters: Vec<(u64, Waker)>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({:?}, {} waiting)", self.found, self.waiters.len())
    }
}

/// A request that waits until names are known; dropped, it waits no longer.
pub struct Waiting {
    live: Arc<Live>,
    number: u64,
    /// How long it waits at most.
    pub deadline: Instant,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.live.state().waiters.retain(|(number, _)| *number != self.number);
    }
}

impl Live {
    /// Servers of which only those are known that the lines name by their addresses.
    pub fn new(
        lines: Vec<Line>,
        choose: Choose,
        resolver: Arc<Resolver>,
        timeout: Duration,
        servers: Arc<Servers>,
        idle: Arc<Idle>,
    ) -> Arc<Live> {
        let found = lines.iter().map(|line| line.resolve.is_none().then(|| line.spots())).collect();
        let state = Mutex::new(State { servers, found, waiters: Vec::new() });
        let (begun, retired) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Live { lines, choose, resolver, timeout, idle, state, begun, retired, before: None })
    }

    /// The same after a reload: what is known of the names that stay is not forgotten, nor what is known of the peers.
    pub fn after(&self, servers: &Servers, before: Option<&Arc<Live>>, idle: Arc<Idle>) -> Arc<Live> {
        let known = |line: &Line| {
            let before = before.filter(|_| line.resolve.is_some())?;
            let at = before.lines.iter().position(|other| other == line)?;
            before.state().found[at].clone()
        };
        // No lock is held while another is asked for.
        let own = self.state().found.clone();
        let found: Vec<_> = self.lines.iter().zip(own).map(|(line, own)| known(line).or(own)).collect();
        let servers = Arc::new(self.build(&found, servers));
        let (begun, retired) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Live {
            lines: self.lines.clone(),
            choose: self.choose.clone(),
            resolver: self.resolver.clone(),
            timeout: self.timeout,
            idle,
            state: Mutex::new(State { servers, found, waiters: Vec::new() }),
            begun,
            retired,
            before: before.map(Arc::downgrade),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under this lock.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The servers as they are now.
    pub fn servers(&self) -> Arc<Servers> {
        self.state().servers.clone()
    }

    /// The lines of which nothing is known.
    pub fn unknown(&self) -> Vec<&Line> {
        let state = self.state();
        self.lines.iter().zip(&state.found).filter(|(_, found)| found.is_none()).map(|(line, _)| line).collect()
    }

    /// The line with this number.
    pub(super) fn line(&self, number: usize) -> &Line {
        &self.lines[number]
    }

    /// Whether nobody needs to look its names up any more.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    /// Begins to look the names up; whose place it takes ends to.
    pub fn begin(self: &Arc<Self>) {
        if self.begun.swap(true, Relaxed) {
            return;
        }
        if let Some(before) = self.before.as_ref().and_then(Weak::upgrade) {
            before.retired.store(true, Relaxed);
        }
        let names = self.lines.iter().enumerate().filter(|(_, line)| line.resolve.is_some());
        watch::begin(names.map(|(number, _)| (Arc::downgrade(self), number)));
    }

    /// Waits if there is no server and some name is not known yet.
    pub fn wait(self: &Arc<Self>, waker: Waker) -> Option<Waiting> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        self.begin();
        let number = NUMBERS.fetch_add(1, Relaxed);
        let mut state = self.state();
        if state.servers.peers().next().is_some() || state.found.iter().all(Option::is_some) {
            return None;
        }
        state.waiters.push((number, waker));
        let now = Instant::now();
        // A time too long for the clock is as good as a day.
        let deadline = now.checked_add(self.timeout).unwrap_or(now + Duration::from_secs(86_400));
        Some(Waiting { live: self.clone(), number, deadline })
    }

    /// The name of a line stands for these from now on. Called by one thread only.
    pub(super) fn take(&self, line: usize, mut spots: Vec<Spot>) {
        // In order, so that a server which tells the same in turns changes nothing, and hashes mean the same everywhere.
        spots.sort();
        spots.dedup_by(|one, other| one.address == other.address);
        let (mut found, before) = {
            let state = self.state();
            (state.found.clone(), state.servers.clone())
        };
        if found[line].as_ref() == Some(&spots) {
            return;
        }
        found[line] = Some(spots);
        let servers = Arc::new(self.build(&found, &before));
        let waiters = {
            let mut state = self.state();
            (state.servers, state.found) = (servers.clone(), found);
            std::mem::take(&mut state.waiters)
        };
        Waker::wake_all(waiters.into_iter().map(|(_, waker)| waker));
        self.idle.forget(|address| !servers.has(address));
    }

    /// The name of a line could not be looked up: what is known of it stays.
    pub(super) fn fail(&self, line: usize) {
        if self.state().found[line].is_none() {
            self.take(line, Vec::new());
        }
    }

    fn build(&self, found: &[Option<Vec<Spot>>], before: &Servers) -> Servers {
        let spots = self.lines.iter().zip(found.iter().map(|found| found.clone().unwrap_or_default()));
        Servers::new(spots, &self.choose, Some(before))
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Resolve;
    use super::*;
    use crate::gateway::resolver::Plan;

    fn spot(port: u16) -> Spot {
        Spot {
            address: super::super::address::tcp([127, 0, 0, 1].into(), port),
            weight: 1,
            backup: false,
            server: None,
        }
    }

    #[test]
    fn a_reload_hands_over_what_is_known_and_holds_nobody() {
        let mut line = Line::new("app.test", Vec::new());
        line.resolve = Some(Resolve::Host("app.test".into(), 80));
        let resolver = Resolver::of(Plan { servers: Vec::new(), valid: None, v4: true, v6: true });
        let servers = Arc::new(Servers::new(std::iter::empty(), &Choose::RoundRobin, None));
        let first =
            Live::new(vec![line], Choose::RoundRobin, resolver, Duration::from_secs(1), servers, Arc::default());
        assert_eq!((first.unknown().len(), first.servers().peers().count()), (1, 0));
        // Found in another order, or twice, it is the same.
        first.take(0, vec![spot(2), spot(1), spot(2)]);
        let before = first.servers();
        first.take(0, vec![spot(1), spot(2)]);
        assert!(Arc::ptr_eq(&before, &first.servers()) && before.peers().count() == 2);
        let gone = Arc::downgrade(&first);
        let second = first.after(&first.servers(), Some(&first), Arc::default());
        drop((first, before));
        assert_eq!((second.unknown().len(), second.servers().peers().count()), (0, 2));
        assert!(gone.upgrade().is_none(), "a conf that has left holds no memory");
        // What fails says nothing of what is known.
        second.fail(0);
        assert_eq!(second.servers().peers().count(), 2);
        second.take(0, Vec::new());
        assert_eq!(second.servers().peers().count(), 0);
    }
}
