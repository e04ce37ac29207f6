//! What the acceptor, the workers and the loader share: the job channel, the slots, the settings in force.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::sync::{Arc, Mutex};

use super::clock::Clock;
use super::connection::{Carrier, Job};
use super::current::Current;
use super::errand::Bound;
use super::pool::Pool;
use super::slot::Slots;
use crate::exchange::account;

/// Shared by all threads for the life of the process.
pub struct Shared {
    /// Work for the pool.
    pub jobs: Pool<Job>,
    /// The connections' slots.
    pub slots: Arc<Slots<Carrier>>,
    /// How many requests of our own there may be.
    pub errands: Bound,
    /// The server's clock.
    pub clock: Arc<Clock>,
    /// Whether the server finishes what it has and ends.
    pub stopping: AtomicBool,
    current: Mutex<Arc<Current>>,
    version: AtomicU64,
}

impl Shared {
    /// What is shared, with the first settings.
    pub fn new(jobs: Pool<Job>, current: Current) -> Arc<Self> {
        account::declare(current.settings.stores());
        current.settings.upstreams.begin();
        Arc::new(Shared {
            jobs,
            errands: Bound::new(current.settings.main.process.pool.errands),
            slots: Arc::default(),
            clock: Clock::new(),
            stopping: AtomicBool::new(false),
            current: Mutex::new(Arc::new(current)),
            version: AtomicU64::new(1),
        })
    }

    /// Counts how often the settings changed; a worker asks this first.
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// The settings in force.
    pub fn current(&self) -> Arc<Current> {
        self.current.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// New settings from now on.
    pub fn replace(&self, current: Current) {
        account::declare(current.settings.stores());
        current.settings.upstreams.begin();
        *self.current.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Arc::new(current);
        self.version.fetch_add(1, AcqRel);
    }

    /// How long a new connection of this listener may take for its head, in milliseconds, and whether TLS is spoken there.
    pub fn arrival(&self, listener: usize) -> (u64, bool) {
        let current = self.current.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let groups = &current.entries[listener].socket.groups;
        // The addresses behind one socket may differ: a worker finds out which was meant.
        let group = &groups[groups.len() - 1];
        let tls = groups.iter().any(|group| group.tls);
        (group.default.scope.request_head.timeout.as_millis() as u64, tls)
    }

    /// Whether a client of this listener is one that is told why it is refused.
    pub fn is_debugger(&self, listener: usize, peer: Option<SocketAddr>) -> bool {
        let current = self.current();
        let groups = &current.entries[listener].socket.groups;
        groups[groups.len() - 1].default.scope.error_page.tells(peer)
    }

    /// Whether the server finishes what it has and ends.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }
}
