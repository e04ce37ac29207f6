//! Sessions in the memory of this process: bounded in bytes, and the one that was silent longest leaves first.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::Vault;
use crate::features::session::record::Entry;
use crate::features::session::ticket::{Key, Keys};

/// What an entry takes beside its names and values: key, times, and the tables around them.
const ENTRY: u64 = 256;
/// What one name and its value take beside their bytes.
const VALUE: u64 = 64;

/// The store.
#[derive(Debug)]
pub struct Memory {
    table: Mutex<Table>,
    /// Sessions that end with the process are signed by a key that does, too.
    pub keys: Keys,
}

/// What is in it.
#[derive(Debug)]
pub struct Table {
    entries: LruCache<Key, Slot>,
    used: u64,
    room: u64,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    seen: u64,
}

impl Slot {
    fn is_over(&self, now: u64) -> bool {
        match &self.entry {
            Entry::Live(record) => record.is_over(self.seen, now),
            Entry::Moved(_, until) => now >= *until,
        }
    }

    fn weight(&self) -> u64 {
        ENTRY
            + match &self.entry {
                Entry::Live(record) => record.size() as u64 + VALUE * record.values.len() as u64,
                Entry::Moved(..) => 0,
            }
    }
}

impl Memory {
    /// A store of so many bytes.
    pub fn new(room: u64, keys: Keys) -> Memory {
        Memory { table: Mutex::new(Table { entries: LruCache::unbounded(), used: 0, room }), keys }
    }

    /// The store for one order: nobody else changes it meanwhile.
    pub fn open(&self) -> MutexGuard<'_, Table> {
        // Every change leaves a table that holds together.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn drop_oldest(&mut self) {
        if let Some((_, slot)) = self.entries.pop_lru() {
            self.used -= slot.weight();
        }
    }

    fn make_room(&mut self, weight: u64, now: u64) {
        // Two that are over leave for each that comes, so that the table shrinks again after a crowd.
        for _ in 0..2 {
            match self.entries.peek_lru() {
                Some((_, oldest)) if oldest.is_over(now) => self.drop_oldest(),
                _ => break,
            }
        }
        while self.used + weight > self.room && !self.entries.is_empty() {
            self.drop_oldest();
        }
    }

    /// How many entries there are, and bytes.
    #[cfg(test)]
    pub fn census(&self) -> (usize, u64) {
        (self.entries.len(), self.used)
    }
}

impl Vault for MutexGuard<'_, Table> {
    fn look(&mut self, key: &Key, now: u64) -> Result<Option<Entry>, String> {
        let Some(slot) = self.entries.get_mut(key) else { return Ok(None) };
        if slot.is_over(now) {
            self.remove(key)?;
            return Ok(None);
        }
        slot.seen = slot.seen.max(now);
        Ok(Some(slot.entry.clone()))
    }

    fn swap(&mut self, key: &Key, _: Option<&Entry>, new: &Entry, now: u64) -> Result<bool, String> {
        // Under the lock nobody else was faster.
        self.remove(key)?;
        let slot = Slot { entry: new.clone(), seen: now };
        let weight = slot.weight();
        if weight > self.room {
            return Err("a session does not fit into its zone".into());
        }
        self.make_room(weight, now);
        self.used += weight;
        self.entries.put(*key, slot);
        Ok(true)
    }

    fn remove(&mut self, key: &Key) -> Result<(), String> {
        if let Some(slot) = self.entries.pop(key) {
            self.used -= slot.weight();
        }
        Ok(())
    }
}
