//! What hard matches cost: a regex that many texts were too hard for is asked with few steps only until what they cost is paid
//! off, and a thread knows what its matches took. Must not know what is matched.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// One match that takes longer than this is nobody's everyday business.
const LONG: Duration = Duration::from_micros(250);
/// A text that is too hard counts for at least so much, however soon that was found out.
const LEAST: Duration = Duration::from_millis(1);
/// Of one processor, a regex gets one part in so many for texts that are too hard.
const PARTS: u32 = 20;
/// So far ahead it may be paid for.
const AHEAD: Duration = Duration::from_secs(1);

thread_local! {
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// What long matches of this thread took since it was asked last.
pub fn spent() -> Duration {
    SPENT.take()
}

/// Until when the texts that were too hard for a regex are paid for.
#[derive(Default)]
pub struct Debt(AtomicU64);

impl Debt {
    /// Whether a hard text may be tried.
    pub fn allows(&self) -> bool {
        let may = self.0.load(Relaxed) <= now() + AHEAD.as_micros() as u64;
        if !may {
            SPENT.set(SPENT.get() + LEAST);
        }
        may
    }

    /// Adds what a hard text has taken since `begun`.
    pub fn add(&self, begun: Duration, too_hard: bool) {
        let took = processor().saturating_sub(begun);
        if too_hard {
            let (price, now) = ((took.max(LEAST) * PARTS).as_micros() as u64, now());
            self.0.fetch_update(Relaxed, Relaxed, |until| Some(until.max(now) + price)).ok();
        }
        if too_hard || took >= LONG {
            SPENT.set(SPENT.get() + if too_hard { took.max(LEAST) } else { took });
        }
    }
}

/// What the thread has had of its processor.
pub fn processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Microseconds since the first question.
fn now() -> u64 {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    BEGUN.get_or_init(Instant::now).elapsed().as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regex_runs_into_debt_and_gets_out_of_it() {
        let debt = Debt::default();
        let most = (AHEAD.as_micros() / (LEAST * PARTS).as_micros()) as usize;
        let tries = (0..10 * most).take_while(|_| debt.allows()).inspect(|_| debt.add(processor(), true)).count();
        assert!((most..=2 * most + 2).contains(&tries), "{tries}");
        assert!(spent() >= LEAST * tries as u32);
        assert_eq!(spent(), Duration::ZERO);
        std::thread::sleep(LEAST * PARTS * 2);
        assert!(debt.allows());
    }

    #[test]
    fn short_matches_cost_nothing() {
        let debt = Debt::default();
        for _ in 0..1000 {
            debt.add(processor(), false);
        }
        assert!(debt.allows());
        // A thread that was put to sleep has spent nothing either.
        let begun = processor();
        std::thread::sleep(LONG * 4);
        debt.add(begun, false);
        assert_eq!(spent(), Duration::ZERO);
    }
}
