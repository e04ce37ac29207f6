//! A request of our own with nobody at the other end, as a value in a slot of its own, and how many of them there may be.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::nowhere::Nowhere;
use super::task::{Stage, Task};
use crate::exchange::error::Level;
use crate::pipeline::Ending;

/// How long a graceful stop waits for errands when no client is left, in milliseconds.
pub const GRACE: u64 = 5000;

/// One errand, in a place of this type.
pub struct Errand<P> {
    /// Its slot; freed when the errand is dropped.
    pub place: P,
    /// The request and its response.
    pub task: Task,
    /// What the response goes to.
    pub there: Nowhere,
    /// Whether it was driven before.
    pub has_begun: bool,
    /// When it ends, come what may, in milliseconds on the server's clock.
    pub end: u64,
}

/// How many errands there may be, and how many were not sent.
pub struct Bound {
    /// The most at once.
    pub most: u32,
    unsent: AtomicU64,
}

impl Bound {
    /// So many.
    pub fn new(most: u32) -> Bound {
        Bound { most, unsent: AtomicU64::new(0) }
    }

    /// One was not sent.
    pub fn note_unsent(&self) {
        self.unsent.fetch_add(1, Relaxed);
    }

    /// Whether some were not sent of which the log was not told.
    pub fn is_unsaid(&self) -> bool {
        self.unsent.load(Relaxed) > 0
    }

    /// How many were not sent since this was asked last.
    pub fn take_unsent(&self) -> u64 {
        self.unsent.swap(0, Relaxed)
    }
}

impl<P> Errand<P> {
    /// It is not waited for any longer.
    pub fn give_up(mut self, why: &str) {
        if self.task.stage != Stage::Sending && !self.task.run.is_check() {
            self.task.run.x.report(Level::Warn, format!("a request of our own was given up: {why}"));
        }
        self.task.run.drop_states();
        self.task.record();
        self.end(Ending::Late);
    }

    /// Its lines are written. What a health check has found counts from now on.
    pub fn end(mut self, ending: Ending) {
        if self.task.run.is_check() {
            self.task.run.judge(self.there.kept(), ending);
            self.task.write_reports();
        }
    }
}
