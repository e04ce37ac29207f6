//! How fast a response may go out: bytes for each second, counted from when its request began. Knows no clock and no sender.

use std::time::{Duration, Instant};

/// How fast one response goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes for each second.
    pub rate: u64,
    /// Bytes before that.
    pub after: u64,
    /// When the request began.
    pub since: Instant,
}

impl Pace {
    /// How many bytes may go out now, as so many did: the first second's at once.
    pub fn allowance(&self, sent: u64, now: Instant) -> u64 {
        let time = now.saturating_duration_since(self.since).as_millis() + 1000;
        let all = u128::from(self.rate).saturating_mul(time) / 1000 + u128::from(self.after);
        u64::try_from(all).unwrap_or(u64::MAX).saturating_sub(sent)
    }

    /// How long it takes until a byte more may go out than so many that did.
    pub fn debt(&self, sent: u64, now: Instant) -> Duration {
        let time = now.saturating_duration_since(self.since).as_millis() + 1000;
        let paid =
            (u128::from(sent.saturating_sub(self.after)) + 1).saturating_mul(1000).div_ceil(u128::from(self.rate));
        Duration::from_millis(u64::try_from(paid.saturating_sub(time)).unwrap_or(u64::MAX).max(1))
    }

    /// How long to wait when `sent` bytes are out, the last so many of them in one go.
    pub fn rest(&self, sent: u64, last: u64) -> Duration {
        let beyond = last.min(sent.saturating_sub(self.after));
        Duration::from_millis((u128::from(beyond) * 1000 / u128::from(self.rate)).try_into().unwrap_or(u64::MAX).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_second_goes_out_at_once() {
        let since = Instant::now();
        let pace = Pace { rate: 1000, after: 500, since };
        for (sent, millis, allowed) in
            [(0, 0, 1500), (1500, 0, 0), (1500, 1, 1), (1500, 1000, 1000), (100, 250, 1650), (9000, 1000, 0)]
        {
            assert_eq!(pace.allowance(sent, since + Duration::from_millis(millis)), allowed, "{sent} at {millis}");
        }
        for (sent, millis, debt) in [(1500, 0, 1), (1500, 5, 1), (2000, 0, 501), (2000, 100, 401), (100, 0, 1)] {
            let found = pace.debt(sent, since + Duration::from_millis(millis));
            assert_eq!(found, Duration::from_millis(debt), "{sent} at {millis}");
        }
        for (sent, last, millis) in [(1500, 1500, 1000), (2500, 1000, 1000), (400, 400, 1), (1500, 100, 100)] {
            assert_eq!(pace.rest(sent, last), Duration::from_millis(millis), "{last} of {sent}");
        }
        let fast = Pace { rate: u64::MAX, after: u64::MAX, since };
        assert_eq!(fast.allowance(7, since), u64::MAX - 7);
    }
}
