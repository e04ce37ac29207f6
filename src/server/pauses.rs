//! Whether the workers wait for something slow, such as a disk: then more of them can work at once than there are processors. Knows no
//! work.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use nix::sys::resource::{UsageWho, getrusage};

/// How often the process's threads gave up a processor of themselves, and what they did meanwhile, up to the last look.
#[derive(Default)]
pub struct Pauses {
    /// Those that were no rests: fewer than none, since a rest need be no pause.
    seen: AtomicI64,
    turns: AtomicUsize,
}

impl Pauses {
    /// Whether since the last look every other turn has waited for something slow. Both counts go on from the start.
    pub fn are_frequent(&self, turns: usize, rests: usize) -> bool {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return false };
        let all = usage.voluntary_context_switches() - rests as i64;
        // Whoever calls this paused as well, until the alarm.
        let pauses = all - self.seen.swap(all, Relaxed) - 1;
        let turns = turns.wrapping_sub(self.turns.swap(turns, Relaxed));
        turns > 0 && pauses * 2 >= turns as i64
    }
}
