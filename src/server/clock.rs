//! The server's clock: milliseconds since it started, and the moment at which a turn of a worker began. Knows no connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// What acceptor and workers tell the time by.
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn new() -> Arc<Self> {
        Arc::new(Clock { start: Instant::now() })
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// A moment as milliseconds since the start; not before it.
    pub fn at(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.start);
        since.as_secs() * 1000 + u64::from(since.subsec_nanos().div_ceil(1_000_000))
    }
}

/// The time of one worker. Reading the clock costs as much as many a step, so most of a turn goes by the moment at which it began.
pub struct Time {
    clock: Arc<Clock>,
    now: u64,
}

impl Time {
    /// The time by this clock.
    pub fn by(clock: Arc<Clock>) -> Self {
        let now = clock.now();
        Time { clock, now }
    }

    /// A turn begins.
    pub fn begin_turn(&mut self) {
        self.now = self.clock.now();
    }

    /// When this turn began, in milliseconds on the server's clock.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// So long from now: by the clock itself, since what was done in this turn is nobody's delay but ours.
    pub fn after(&self, time: Duration) -> u64 {
        self.clock.now().saturating_add(time.as_millis() as u64)
    }

    /// The clock itself.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}
