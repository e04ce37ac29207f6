//! The pace of requests whose regex took all the steps that it may: their responses go out one after another. Whoever sends
//! such requests on purpose waits, and the processors are left to others. Knows nothing of regexes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two of them, in the whole process.
const GAP: Duration = Duration::from_millis(50);
/// So long one waits at most.
const LONGEST: Duration = Duration::from_secs(10);

/// When the next one may go.
static NEXT: Mutex<Option<Instant>> = Mutex::new(None);

/// The moment at which one more of them may go; `None` if it may go now.
pub(super) fn turn() -> Option<Instant> {
    place(&mut NEXT.lock().unwrap_or_else(PoisonError::into_inner), Instant::now())
}

fn place(next: &mut Option<Instant>, now: Instant) -> Option<Instant> {
    let turn = next.map_or(now, |next| next.clamp(now, now + LONGEST));
    *next = Some(turn + GAP);
    (turn > now).then_some(turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_at_once_and_more_one_after_another() {
        let (mut next, now) = (None, Instant::now());
        let mut turns = (0..3).map(|_| place(&mut next, now));
        assert!(turns.by_ref().eq([None, Some(now + GAP), Some(now + 2 * GAP)]));
        // A crowd does not wait for ever, and who comes after it is alone again.
        let last = (0..1000).map(|_| place(&mut next, now)).last().flatten();
        assert_eq!(last, Some(now + LONGEST));
        assert_eq!(place(&mut next, now + LONGEST + 2 * GAP), None);
    }
}
