//! The pace of requests whose regexes took long: their responses go out one after another. Whoever sends such requests on
//! purpose waits, and the processors are left to others. Knows nothing of regexes but what they took.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Outcome, Run};
use crate::conf::pattern;
use crate::exchange::step::Wait;
use crate::http::response::Response;

/// All of them together get one part in so many of one processor.
const PARTS: u32 = 50;
/// So long one waits at most.
const LONGEST: Duration = Duration::from_secs(10);

/// When the next one may go.
static NEXT: Mutex<Option<Instant>> = Mutex::new(None);

impl Run {
    /// Holds a response back until it is its turn, if its request's regexes took long.
    pub(super) fn pace(&mut self, outcome: Outcome) -> Outcome {
        // What a request that is only asked about has taken, its asker pays for.
        if !self.x.may_act() {
            return outcome;
        }
        self.took += pattern::spent();
        let response = match outcome {
            Outcome::Respond(response) if !self.took.is_zero() => response,
            _ => return outcome,
        };
        match turn(std::mem::take(&mut self.took)) {
            Some(turn) => self.hold_until(response, turn),
            None => Outcome::Respond(response),
        }
    }

    /// A response whose turn it is at a moment.
    pub(super) fn hold_until(&mut self, response: Box<Response>, turn: Instant) -> Outcome {
        if turn <= Instant::now() {
            return Outcome::Respond(response);
        }
        self.paced = Some(Box::new((response, turn)));
        Outcome::Wait(Wait::Until(turn))
    }
}

/// Books what a line of the log has taken: nobody waits for it, but those do who come after.
pub(super) fn book() {
    let took = pattern::spent();
    if !took.is_zero() {
        turn(took);
    }
}

/// The moment at which a response may go whose regexes took so long; `None` if it may go now.
fn turn(took: Duration) -> Option<Instant> {
    place(&mut NEXT.lock().unwrap_or_else(PoisonError::into_inner), Instant::now(), took * PARTS)
}

fn place(next: &mut Option<Instant>, now: Instant, gap: Duration) -> Option<Instant> {
    let turn = next.map_or(now, |next| next.clamp(now, now + LONGEST));
    *next = Some(turn + gap);
    (turn > now).then_some(turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_millis(50);

    #[test]
    fn one_goes_at_once_and_more_one_after_another() {
        let (mut next, now) = (None, Instant::now());
        let mut turns = (0..3).map(|_| place(&mut next, now, GAP));
        assert!(turns.by_ref().eq([None, Some(now + GAP), Some(now + 2 * GAP)]));
        // A crowd does not wait for ever, and who comes after it is alone again.
        let last = (0..1000).map(|_| place(&mut next, now, GAP)).last().flatten();
        assert_eq!(last, Some(now + LONGEST));
        assert_eq!(place(&mut next, now + LONGEST + 2 * GAP, GAP), None);
    }
}
