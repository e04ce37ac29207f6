//! The table of one zone: how far each key has run ahead of its rate. It is a leaky bucket with nginx's figures: a
//! request weighs 1000, a rate is in thousandths of a request for each second. Knows no clock and no request.

use lru::LruCache;

/// What a request weighs.
pub const ONE: u64 = 1000;
/// nginx's bytes for one entry, beside its key.
const ENTRY: u64 = 80;
/// What of a zone's size is not for entries.
const OVERHEAD: u64 = 2 * 4096;
/// Entries that were not asked for so long, in milliseconds, go when others come.
const OLD: u64 = 60_000;

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// What the key has run ahead by.
    excess: u64,
    /// When it was last asked for, in milliseconds.
    last: u64,
}

/// The table.
#[derive(Debug)]
pub struct Table {
    entries: LruCache<Box<[u8]>, Entry>,
    used: u64,
    room: u64,
}

impl Table {
    /// A table for a zone of so many bytes.
    pub fn new(size: u64) -> Self {
        Table { entries: LruCache::unbounded(), used: 0, room: size.saturating_sub(OVERHEAD) }
    }

    /// What the key would have run ahead by with one request more. Counts nothing.
    pub fn excess(&mut self, key: &[u8], rate: u64, now: u64) -> u64 {
        self.entries.get(key).map_or(0, |entry| entry.after(rate, now))
    }

    /// Counts a request. The smallest zone has room for the longest key many times over.
    pub fn count(&mut self, key: &[u8], rate: u64, now: u64) {
        if let Some(entry) = self.entries.get_mut(key) {
            *entry = Entry { excess: entry.after(rate, now), last: now.max(entry.last) };
            return;
        }
        let weight = weight(key);
        // Two old ones leave for each that comes, so that a table shrinks again after a crowd.
        for _ in 0..2 {
            match self.entries.peek_lru() {
                Some((_, oldest)) if oldest.is_done(rate, now) => self.drop_oldest(),
                _ => break,
            }
        }
        while self.used + weight > self.room && !self.entries.is_empty() {
            self.drop_oldest();
        }
        self.used += weight;
        self.entries.put(key.into(), Entry { excess: 0, last: now });
    }

    fn drop_oldest(&mut self) {
        if let Some((key, _)) = self.entries.pop_lru() {
            self.used -= weight(&key);
        }
    }

    /// How many keys it holds.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Entry {
    /// The excess with one request more at this time.
    fn after(&self, rate: u64, now: u64) -> u64 {
        let drained = rate.saturating_mul(now.saturating_sub(self.last)) / 1000;
        (self.excess + ONE).saturating_sub(drained)
    }

    fn is_done(&self, rate: u64, now: u64) -> bool {
        now.saturating_sub(self.last) >= OLD && self.after(rate, now) <= ONE
    }
}

/// What an entry takes of a zone: as in nginx the next power of two, so that a conf's sizes mean the same.
fn weight(key: &[u8]) -> u64 {
    (ENTRY + key.len() as u64).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_leaks_at_its_rate() {
        let mut table = Table::new(1 << 20);
        // Five requests a second.
        let rate = 5 * ONE;
        for (now, excess) in [(0, 0), (0, 1000), (0, 2000), (200, 2000), (600, 1000), (10_000, 0), (10_100, 500)] {
            assert_eq!(table.excess(b"k", rate, now), excess, "at {now}");
            table.count(b"k", rate, now);
        }
        assert_eq!(table.excess(b"other", rate, 0), 0);
        // A clock that goes back changes nothing.
        assert_eq!(table.excess(b"k", rate, 0), 1500);
    }

    #[test]
    fn the_oldest_leave_when_it_is_full() {
        let mut table = Table::new(32 << 10);
        let most = (24 << 10) / 128;
        for n in 0..most + 10u32 {
            table.count(&n.to_be_bytes(), ONE, 0);
        }
        assert_eq!(table.len(), most as usize);
        assert_eq!(table.excess(&9u32.to_be_bytes(), ONE, 0), 0, "one of the oldest is gone");
        assert_eq!(table.excess(&10u32.to_be_bytes(), ONE, 0), 1000, "the one after it is there");
        let long = vec![0; 255];
        table.count(&long, ONE, 0);
        assert!(table.len() < most as usize && table.used <= table.room);
    }

    #[test]
    fn who_was_long_away_leaves_room() {
        let mut table = Table::new(1 << 20);
        for n in 0..10u8 {
            table.count(&[n], ONE, 0);
        }
        for n in 10..15u8 {
            table.count(&[n], ONE, OLD);
        }
        assert_eq!(table.len(), 5);
    }
}
