//! The process's counters, for `stub_status` and its variables. Totals are counted as things happen; how many
//! connections read, write or wait is looked up in the engine when asked for, so that it costs
//! the others nothing.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static ACCEPTED: AtomicU64 = AtomicU64::new(0);
static HANDLED: AtomicU64 = AtomicU64::new(0);
static ERRANDS: AtomicU64 = AtomicU64::new(0);
static UNSENT: AtomicU64 = AtomicU64::new(0);
static REQUESTS: AtomicU64 = AtomicU64::new(0);
static LOOK: OnceLock<Box<dyn Fn() -> Connections + Send + Sync>> = OnceLock::new();

/// The open connections by what they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// All of them.
    pub active: u64,
    /// A part of a request's head has come.
    pub reading: u64,
    /// A request is being answered.
    pub writing: u64,
    /// Nothing of a request has come.
    pub waiting: u64,
    /// Requests of our own, which are no connections.
    pub errands: u64,
}

/// All counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Those that were not refused for want of room.
    pub handled: u64,
    /// Requests.
    pub requests: u64,
    /// Requests of our own.
    pub errands: u64,
    /// Those that were not sent for want of room.
    pub unsent: u64,
    /// The open ones.
    pub connections: Connections,
}

/// The counters now.
pub fn look() -> Counters {
    Counters {
        accepted: ACCEPTED.load(Relaxed),
        handled: HANDLED.load(Relaxed),
        requests: REQUESTS.load(Relaxed),
        errands: ERRANDS.load(Relaxed),
        unsent: UNSENT.load(Relaxed),
        connections: LOOK.get().map(|look| look()).unwrap_or_default(),
    }
}

/// Says how the open connections are counted; the first caller's word stays.
pub fn watch(look: impl Fn() -> Connections + Send + Sync + 'static) {
    // A second server in one process (in tests) shares the first one's numbers.
    let _ = LOOK.set(Box::new(look));
}

/// A connection was accepted.
pub fn accepted() {
    ACCEPTED.fetch_add(1, Relaxed);
}

/// A connection got its place.
pub fn handled() {
    HANDLED.fetch_add(1, Relaxed);
}

/// A request of our own begins.
pub fn errand() {
    ERRANDS.fetch_add(1, Relaxed);
}

/// One was not sent.
pub fn errand_unsent() {
    UNSENT.fetch_add(1, Relaxed);
}

/// A request came.
pub fn request() {
    REQUESTS.fetch_add(1, Relaxed);
}
