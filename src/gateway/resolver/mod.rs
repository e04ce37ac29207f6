//! Names looked up while requests come: `resolver`. A request asks, is woken when the answer is there, and holds no worker
//! meanwhile; a thread of the resolver's own talks to the name servers. Answers are kept as long as they hold. Everything is
//! bounded: names in flight, names kept, aliases followed.

mod ask;
mod asking;
pub mod packet;
mod plan;
pub mod system;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::exchange::engine::Waker;
use ask::Records;
pub use packet::Service;

/// How many names may be asked for at once; each has a few sockets.
const MOST_ASKED: usize = 256;
/// How many names are kept.
const MOST_KEPT: usize = 4096;
/// However long an answer says that it holds, it is asked for again after a week (RFC 8767 section 4).
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// What a conf says of a resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The name servers, asked in turn.
    pub servers: Vec<SocketAddr>,
    /// How long an answer holds, whatever it says itself.
    pub valid: Option<Duration>,
    /// Whether IPv4 addresses are wanted.
    pub v4: bool,
    /// Whether IPv6 addresses are wanted.
    pub v6: bool,
}

/// Why a name has no addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// There is no such name, or it has no address.
    NotFound,
    /// What the name server said instead: its code.
    Refused(u16),
    /// No name server answered in time.
    TimedOut,
    /// It cannot be a host's name.
    Misspelt,
    /// Too many names are asked for at once.
    Busy,
}

impl fmt::Display for Lost {
    /// As nginx's log says it, with the code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lost::NotFound | Lost::Misspelt => "3: Host not found",
            Lost::Refused(1) => "1: Format error",
            Lost::Refused(2) => "2: Server failure",
            Lost::Refused(4) => "4: Unimplemented",
            Lost::Refused(5) => "5: Operation refused",
            Lost::Refused(code) => return write!(f, "{code}: Unknown error"),
            Lost::TimedOut => "110: Operation timed out",
            Lost::Busy => "too many names are asked for at once",
        })
    }
}

/// Who looks names up for the requests of a block, and how long one may take.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The resolver; none without `resolver`.
    pub resolver: Option<Arc<Resolver>>,
    /// How long a request waits for a name, if the conf says so.
    pub timeout: Option<Duration>,
}

impl Names {
    /// How long a request waits for a name.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(30))
    }
}

/// What is known of a name.
pub type Answer = Result<Arc<Found>, Lost>;

/// What a name stands for: at least one of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its addresses, if those were asked for.
    pub addresses: Vec<IpAddr>,
    /// Its services, if those were.
    pub services: Vec<Service>,
    /// How long that holds.
    pub until: Instant,
}

/// What is asked of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Want {
    /// Its addresses.
    Addresses,
    /// Its services (SRV).
    Services,
}

/// A name and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    name: String,
    want: Want,
}

/// A resolver. Confs with the same plan share one, over a reload too.
#[derive(Debug)]
pub struct Resolver {
    plan: Plan,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<Key, Arc<Found>>,
    asked: HashMap<Key, Arc<Pending>>,
    /// Names that the thread has not taken up yet.
    fresh: Vec<(Key, Arc<Pending>)>,
    /// Wakes the thread; none when it does not run.
    thread: Option<Arc<mio::Waker>>,
}

/// A name that is being asked for, and who waits.
#[derive(Default)]
struct Pending {
    answer: OnceLock<Answer>,
    waiters: Mutex<Vec<(u64, Waker)>>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pending({:?}, {} waiting)", self.answer.get(), self.waiters().len())
    }
}

impl Pending {
    fn waiters(&self) -> MutexGuard<'_, Vec<(u64, Waker)>> {
        // Nothing that can panic runs under this lock.
        self.waiters.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn finish(&self, answer: Answer) {
        // Whoever looks before the lock is taken is woken, and whoever comes after it sees the answer.
        let _ = self.answer.set(answer);
        let waiters = std::mem::take(&mut *self.waiters());
        Waker::wake_all(waiters.into_iter().map(|(_, waker)| waker));
    }
}

/// A look-up under way; whoever drops it no longer waits.
#[derive(Debug)]
pub struct Lookup {
    pending: Result<Arc<Pending>, Answer>,
    number: u64,
    /// When the time for it is up.
    pub deadline: Instant,
}

impl Lookup {
    /// The addresses, in an order that begins anywhere, so that all are used; or why there are none.
    pub fn poll(&self) -> Poll<Result<Vec<IpAddr>, Lost>> {
        self.answer().map_ok(|found| {
            let mut addresses = found.addresses.clone();
            // Answers that were found have at least one address.
            let begin = fastrand::usize(..addresses.len().max(1));
            addresses.rotate_left(begin);
            addresses
        })
    }

    /// The whole answer.
    pub fn answer(&self) -> Poll<Answer> {
        let known = match &self.pending {
            Ok(pending) => pending.answer.get(),
            Err(answer) => Some(answer),
        };
        match known {
            Some(answer) => Poll::Ready(answer.clone()),
            None if Instant::now() >= self.deadline => Poll::Ready(Err(Lost::TimedOut)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        if let Ok(pending) = &self.pending {
            pending.waiters().retain(|(number, _)| *number != self.number);
        }
    }
}

impl Resolver {
    /// The resolver of a plan: the one there is, else a new one.
    pub fn of(plan: Plan) -> Arc<Resolver> {
        static ALL: Mutex<Vec<Weak<Resolver>>> = Mutex::new(Vec::new());
        let mut all = ALL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        all.retain(|known| known.strong_count() > 0);
        if let Some(known) = all.iter().filter_map(Weak::upgrade).find(|known| known.plan == plan) {
            return known;
        }
        let resolver = Arc::new(Resolver { plan, state: Mutex::default() });
        all.push(Arc::downgrade(&resolver));
        resolver
    }

    /// Looks a name's addresses up. The waker is called when the answer is there, if it is not there at once.
    pub fn resolve(self: &Arc<Self>, name: &str, waker: Waker, timeout: Duration) -> Lookup {
        self.look_up(name, Want::Addresses, waker, timeout)
    }

    /// The same for what is wanted of it.
    pub fn look_up(self: &Arc<Self>, name: &str, want: Want, waker: Waker, timeout: Duration) -> Lookup {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let now = Instant::now();
        // A time too long for the clock is as good as a day.
        let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(86_400));
        let number = NUMBERS.fetch_add(1, Relaxed);
        let done = |answer: Answer| Lookup { pending: Err(answer), number, deadline };
        if let (Ok(ip), Want::Addresses) = (name.parse::<IpAddr>(), want) {
            return done(Ok(Arc::new(Found { addresses: vec![ip], services: Vec::new(), until: now + LONGEST })));
        }
        let Some(name) = tidy(name) else { return done(Err(Lost::Misspelt)) };
        let key = Key { name, want };
        let mut state = self.state();
        if let Some(found) = state.kept.get(&key).filter(|found| now < found.until) {
            return done(Ok(found.clone()));
        }
        let pending = match state.asked.get(&key) {
            Some(pending) => pending.clone(),
            None if state.asked.len() >= MOST_ASKED => return done(Err(Lost::Busy)),
            None => {
                let pending = Arc::<Pending>::default();
                state.asked.insert(key.clone(), pending.clone());
                state.fresh.push((key, pending.clone()));
                pending
            }
        };
        pending.waiters().push((number, waker));
        if let Err(error) = self.wake(&mut state) {
            log::error!("cannot start the resolver: {error}");
            state.fresh.clear();
            state.asked.drain().for_each(|(_, pending)| pending.finish(Err(Lost::Busy)));
        }
        Lookup { pending: Ok(pending), number, deadline }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wake(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        if let Some(thread) = &state.thread {
            return thread.wake();
        }
        state.thread = Some(asking::start(self.clone())?);
        Ok(())
    }

    /// Notes an answer and wakes who waits for it.
    fn finish(&self, key: &Key, result: Result<(Records, Duration), Lost>) {
        let answer = result.map(|(Records { addresses, services }, holds)| {
            let holds = self.plan.valid.unwrap_or(holds).min(LONGEST);
            Arc::new(Found { addresses, services, until: Instant::now() + holds })
        });
        let mut state = self.state();
        if let Ok(found) = &answer {
            state.keep(key, found.clone());
        }
        let pending = state.asked.remove(key);
        drop(state);
        if let Some(pending) = pending {
            pending.finish(answer);
        }
    }
}

impl State {
    fn keep(&mut self, key: &Key, found: Arc<Found>) {
        let now = Instant::now();
        if found.until <= now {
            return;
        }
        if self.kept.len() >= MOST_KEPT && !self.kept.contains_key(key) {
            self.kept.retain(|_, found| found.until > now);
        }
        if self.kept.len() >= MOST_KEPT && !self.kept.contains_key(key) {
            let first = self.kept.iter().min_by_key(|(_, found)| found.until).map(|(key, _)| key.clone());
            first.and_then(|first| self.kept.remove(&first));
        }
        self.kept.insert(key.clone(), found);
    }
}

/// A host's name in lower case without the dot at its end, if it can be one (RFC 1035 section 2.3.4).
fn tidy(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let fits = name.len() <= 253
        && name.split('.').all(|label| (1..=63).contains(&label.len()))
        && name.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
