//! Connections to upstreams that are kept between requests. Any kind of connection can be kept: plain or TLS. A connection that
//! its peer closed, or that has bytes nobody asked for, is never given out. A thread of its own closes those that grew old,
//! so that no worker and no request has to; it is there only while something is kept.

use std::any::Any;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, recv};

use super::Keepalive;
use super::address::Address;

/// What can be kept: something over a socket.
pub trait Wire: AsFd + Any + Send {
    /// Whether there may be something to read, or an end. Who does not know says yes: then the socket is asked.
    fn may_have_news(&self) -> bool {
        true
    }
}

/// How long a connection has lived, for as long as it does.
#[derive(Debug, Clone, Copy)]
pub struct Age {
    /// When it was opened.
    pub born: Instant,
    /// How many requests it has carried.
    pub requests: u64,
}

impl Age {
    /// That of a connection just opened.
    pub fn new() -> Age {
        Age { born: Instant::now(), requests: 0 }
    }
}

impl Default for Age {
    fn default() -> Self {
        Age::new()
    }
}

struct Entry {
    address: Address,
    purpose: Cow<'static, str>,
    wire: Box<dyn Wire>,
    age: Age,
    until: Instant,
}

/// The idle connections of one upstream, the one put back last first.
#[derive(Default)]
pub struct Idle {
    entries: Mutex<VecDeque<Entry>>,
    /// Whether the thread looks after them.
    is_swept: AtomicBool,
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Idle({})", self.entries().len())
    }
}

impl Idle {
    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        // Nothing that can panic runs under this lock.
        self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A connection of this kind to an address, if one is kept that can be used. `purpose` tells connections to one address apart
    /// which cannot stand in for each other: the protocol, the name that TLS was asked for. `surely` asks the socket also where no
    /// news has come, for a request that cannot be sent twice.
    pub fn take<T: Wire>(&self, address: &Address, purpose: &str, surely: bool, now: Instant) -> Option<(Box<T>, Age)> {
        loop {
            let fits = |entry: &Entry| {
                let wire: &dyn Any = entry.wire.as_ref();
                entry.address == *address && entry.purpose == purpose && wire.is::<T>()
            };
            let entry = {
                let mut entries = self.entries();
                let at = entries.iter().position(fits)?;
                entries.remove(at)?
            };
            if now < entry.until && entry.is_good(surely) {
                let wire: Box<dyn Any> = entry.wire;
                return wire.downcast().ok().map(|wire| (wire, entry.age));
            }
        }
    }

    /// Keeps a connection after a request, or closes it if it may not be kept: it is too old or has carried enough requests. Whether
    /// its peer has closed it is looked at when it is taken. When too many are kept, the one that was idle longest goes.
    pub fn put<T: Wire>(
        self: &Arc<Self>,
        keepalive: &Keepalive,
        address: Address,
        purpose: Cow<'static, str>,
        wire: Box<T>,
        age: Age,
        now: Instant,
    ) {
        let worn = age.requests >= keepalive.requests || now.saturating_duration_since(age.born) > keepalive.time;
        let Some(until) = now.checked_add(keepalive.timeout) else { return };
        if keepalive.connections == 0 || worn || keepalive.timeout.is_zero() {
            return;
        }
        let entry = Entry { address, purpose, wire, age, until };
        let surplus = {
            let mut entries = self.entries();
            entries.push_front(entry);
            if entries.len() > keepalive.connections { entries.pop_back() } else { None }
        };
        // Closed outside the lock.
        drop(surplus);
        sweep_later(self);
    }

    /// Closes those to addresses that nobody will ask again.
    pub fn forget(&self, is_gone: impl Fn(&Address) -> bool) {
        let gone: VecDeque<_> = {
            let mut entries = self.entries();
            let all = std::mem::take(&mut *entries);
            let (gone, kept) = all.into_iter().partition(|entry| is_gone(&entry.address));
            *entries = kept;
            gone
        };
        // Closed outside the lock.
        drop(gone);
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// Whether the thread need not come again, since none is kept. The mark goes first: whoever keeps one after the look finds
    /// it gone, waits for the lock and tells the thread anew.
    fn let_go(&self) -> bool {
        self.is_swept.store(false, SeqCst);
        let is_empty = self.is_empty();
        if !is_empty {
            self.is_swept.store(true, SeqCst);
        }
        is_empty
    }

    /// Closes those whose time is up or whose peer is gone; whether some are left.
    fn sweep(&self) -> bool {
        let now = Instant::now();
        let (gone, left) = {
            let mut entries = self.entries();
            let all = std::mem::take(&mut *entries);
            let (kept, gone): (VecDeque<_>, VecDeque<_>) =
                all.into_iter().partition(|entry| now < entry.until && entry.is_good(false));
            *entries = kept;
            (gone, !entries.is_empty())
        };
        drop(gone);
        left
    }
}

impl Entry {
    /// Whether it can be used. The socket is asked where news has come, or where it must be sure.
    fn is_good(&self, surely: bool) -> bool {
        !(surely || self.wire.may_have_news()) || is_quiet(self.wire.as_ref())
    }
}

/// Whether the peer has neither closed nor sent anything.
fn is_quiet(wire: &dyn Wire) -> bool {
    let mut byte = [0];
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(wire.as_fd().as_raw_fd(), &mut byte, flags) == Err(nix::errno::Errno::EAGAIN)
}

/// How often idle connections are looked after.
const ROUND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Sweeper {
    pools: Vec<Weak<Idle>>,
    runs: bool,
}

static SWEEPER: LazyLock<Mutex<Sweeper>> = LazyLock::new(Mutex::default);

fn sweeper() -> MutexGuard<'static, Sweeper> {
    SWEEPER.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Sees to it that the thread looks after this pool.
fn sweep_later(idle: &Arc<Idle>) {
    if idle.is_swept.load(SeqCst) {
        return;
    }
    let mut sweeper = sweeper();
    if idle.is_swept.swap(true, SeqCst) {
        return;
    }
    sweeper.pools.push(Arc::downgrade(idle));
    if !sweeper.runs {
        sweeper.runs = std::thread::Builder::new().name("idle".into()).spawn(run).is_ok();
    }
    if !sweeper.runs {
        // Without the thread an old connection is closed when it would be taken next; the next one kept tries again.
        sweeper.pools.clear();
        idle.is_swept.store(false, SeqCst);
    }
}

fn run() {
    loop {
        std::thread::sleep(ROUND);
        let pools: Vec<_> = sweeper().pools.iter().filter_map(Weak::upgrade).collect();
        for pool in &pools {
            pool.sweep();
        }
        drop(pools);
        let mut sweeper = sweeper();
        sweeper.pools.retain(|pool| pool.upgrade().is_some_and(|pool| !pool.let_go()));
        if sweeper.pools.is_empty() {
            sweeper.runs = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    impl Wire for UnixStream {}

    impl Wire for std::net::TcpStream {}

    fn address() -> Address {
        Address::Unix(std::path::Path::new("/s").into())
    }

    fn keep(idle: &Arc<Idle>, keepalive: &Keepalive, purpose: &str, age: Age) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        idle.put(keepalive, address(), purpose.to_string().into(), Box::new(ours), age, Instant::now());
        theirs
    }

    #[test]
    fn only_a_quiet_connection_of_the_same_kind_is_given_out() {
        let idle = Arc::<Idle>::default();
        let keepalive = Keepalive { connections: 8, ..Keepalive::default() };
        let _open = keep(&idle, &keepalive, "http", Age::new());
        let mut talks = keep(&idle, &keepalive, "http", Age::new());
        drop(keep(&idle, &keepalive, "http", Age::new()));
        talks.write_all(b"x").unwrap();
        assert!(idle.take::<UnixStream>(&address(), "https", true, Instant::now()).is_none());
        assert!(idle.take::<std::net::TcpStream>(&address(), "http", true, Instant::now()).is_none());
        let (_, age) = idle.take::<UnixStream>(&address(), "http", true, Instant::now()).expect("one is quiet");
        assert_eq!(age.requests, 0);
        assert!(idle.take::<UnixStream>(&address(), "http", true, Instant::now()).is_none());
        assert!(idle.is_empty());
    }

    #[test]
    fn what_is_kept_has_bounds() {
        let idle = Arc::<Idle>::default();
        let keepalive = Keepalive { connections: 2, requests: 5, ..Keepalive::default() };
        let age = |requests| Age { requests, ..Age::new() };
        let others: Vec<_> = (0..4).map(|n| keep(&idle, &keepalive, "http", age(n))).collect();
        assert_eq!(idle.len(), 2);
        let taken = |idle: &Idle| {
            idle.take::<UnixStream>(&address(), "http", true, Instant::now()).map(|(_, age)| age.requests)
        };
        assert_eq!([taken(&idle), taken(&idle), taken(&idle)], [Some(3), Some(2), None]);
        drop(others);
        let _worn = keep(&idle, &keepalive, "http", age(5));
        let _none = keep(&idle, &Keepalive::default(), "http", age(0));
        let at_once = Keepalive { timeout: Duration::ZERO, ..keepalive };
        let _at_once = keep(&idle, &at_once, "http", age(0));
        let old = Keepalive { time: Duration::ZERO, ..keepalive };
        let _old = keep(&idle, &old, "http", Age { born: Instant::now() - Duration::from_millis(1), requests: 0 });
        assert!(idle.is_empty());
        let _last = keep(&idle, &keepalive, "http", age(4));
        assert_eq!(idle.len(), 1);
    }

    #[test]
    fn a_connection_that_its_peer_closed_does_not_stay() {
        let idle = Arc::<Idle>::default();
        let keepalive = Keepalive { connections: 8, ..Keepalive::default() };
        let theirs = keep(&idle, &keepalive, "http", Age::new());
        assert_eq!(idle.len(), 1);
        drop(theirs);
        let by = Instant::now() + Duration::from_secs(20);
        while !idle.is_empty() && Instant::now() < by {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(idle.is_empty());
    }
}
