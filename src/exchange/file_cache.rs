//! What is kept of files between requests: small ones' contents within a budget of bytes, large ones' open
//! handles while somebody reads them. One table serves everybody; each `open_file_cache` has one of its own, as in nginx.
//! Whether an entry is still true is asked by `files`.

use std::fs::{File, Metadata};
use std::hash::BuildHasher;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lru::LruCache;

use super::files::{Content, Opened, Stat};

/// Bytes of file contents kept in one table.
const BUDGET: usize = 64 << 20;
/// Entries kept where `open_file_cache` names no number.
const ENTRIES: usize = 16 << 10;
const SHARDS: usize = 16;
/// With fewer entries than this a table has one lock: shares of a small number would be too uneven to keep it.
const FEW: usize = 4096;

/// What is kept of a file between requests.
#[derive(Clone)]
enum Kept {
    Memory(Bytes),
    /// A large file: shared while somebody reads it.
    Weak(Weak<File>),
    /// A large file under `open_file_cache`.
    Strong(Arc<File>),
    /// A folder, which has nothing to keep.
    Nothing,
    Error(i32),
}

/// One path.
#[derive(Clone)]
pub(super) struct Entry {
    stat: Option<Stat>,
    kept: Kept,
    /// Whether the file may have changed since without a trace in its times.
    young: bool,
    /// When it was last seen to be true.
    checked: Instant,
    /// When it was last asked for.
    used: Instant,
    /// How often it was asked for before.
    uses: u32,
}

impl Entry {
    pub(super) fn is_current(&self, meta: &Metadata) -> bool {
        !self.young && !matches!(self.kept, Kept::Error(_)) && self.stat == Some(Stat::of(meta))
    }

    /// Whether it may be answered from without a look at the disk. The number of uses is asked of files only, as in nginx.
    pub(super) fn is_believed(&self, valid: Duration, min_uses: u32) -> bool {
        let is_enough = match &self.kept {
            Kept::Error(_) | Kept::Nothing => true,
            Kept::Memory(_) | Kept::Weak(_) | Kept::Strong(_) => self.uses >= min_uses,
        };
        is_enough && self.checked.elapsed() < valid
    }

    pub(super) fn answer(&self) -> io::Result<Opened> {
        let gone = || io::Error::from_raw_os_error(nix::libc::ENOENT);
        let content = match &self.kept {
            Kept::Memory(bytes) => Content::Memory(bytes.clone()),
            Kept::Strong(file) => Content::File(file.clone()),
            Kept::Weak(weak) => Content::File(weak.upgrade().ok_or_else(gone)?),
            Kept::Nothing => Content::None,
            Kept::Error(code) => return Err(io::Error::from_raw_os_error(*code)),
        };
        Ok(Opened { stat: self.stat.ok_or_else(gone)?, content })
    }

    fn weight(&self) -> usize {
        match &self.kept {
            Kept::Memory(bytes) => bytes.len() + 256,
            _ => 256,
        }
    }
}

struct Shard {
    entries: LruCache<Box<[u8]>, Entry>,
    bytes: usize,
}

/// A table, in shards that have a lock each if it is large.
pub struct Cache {
    shards: Vec<Mutex<Shard>>,
    hasher: foldhash::fast::RandomState,
    /// How many entries a shard has at most.
    most: usize,
    /// What was not used for so long goes; none for a table that looks at the disk each time anyway.
    inactive: Option<Duration>,
}

/// The table of everybody without `open_file_cache`.
pub(super) static CACHE: LazyLock<Cache> = LazyLock::new(|| Cache::new(ENTRIES, None));

impl Cache {
    /// One for so many entries.
    pub fn new(max: usize, inactive: Option<Duration>) -> Cache {
        let shards = if max < FEW { 1 } else { SHARDS };
        Cache {
            shards: (0..shards).map(|_| Mutex::new(Shard { entries: LruCache::unbounded(), bytes: 0 })).collect(),
            hasher: foldhash::fast::RandomState::default(),
            most: max.div_ceil(shards),
            inactive,
        }
    }

    fn shard(&self, path: &[u8]) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(path) as usize % self.shards.len();
        // A panic while the lock was held leaves a consistent map at worst short of an entry.
        self.shards[at].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What is kept under a path. What nobody asked for during `inactive` is not believed any more.
    pub(super) fn find(&self, path: &[u8]) -> Option<Entry> {
        let mut shard = self.shard(path);
        let entry = shard.entries.get_mut(path)?;
        if self.inactive.is_some_and(|inactive| entry.used.elapsed() > inactive) {
            shard.remove(path);
            return None;
        }
        entry.used = Instant::now();
        entry.uses = entry.uses.saturating_add(1);
        let mut entry = entry.clone();
        if let Kept::Weak(weak) = &entry.kept {
            // Held from here on: its last reader may leave at any moment.
            entry.kept = Kept::Strong(weak.upgrade()?);
        }
        Some(entry)
    }

    /// The entry was seen to be true now.
    pub(super) fn checked(&self, path: &[u8], stat: Stat) {
        if let Some(entry) = self.shard(path).entries.peek_mut(path)
            && entry.stat == Some(stat)
        {
            entry.stat = Some(stat);
            entry.checked = Instant::now();
        }
    }

    /// The path leads nowhere any more.
    pub(super) fn forget(&self, path: &[u8]) {
        self.shard(path).remove(path);
    }

    /// Keeps what was opened. A large file stays open only in a table of `open_file_cache`.
    pub(super) fn insert(&self, path: &[u8], opened: &Opened, young: bool) {
        let kept = match &opened.content {
            Content::Memory(bytes) => Kept::Memory(bytes.clone()),
            Content::File(file) if self.inactive.is_none() => Kept::Weak(Arc::downgrade(file)),
            Content::File(file) => Kept::Strong(file.clone()),
            Content::None => Kept::Nothing,
        };
        self.keep(path, Some(opened.stat), kept, young);
    }

    /// Keeps a failure.
    pub(super) fn insert_error(&self, path: &[u8], code: i32) {
        self.keep(path, None, Kept::Error(code), true);
    }

    fn keep(&self, path: &[u8], stat: Option<Stat>, kept: Kept, young: bool) {
        let now = Instant::now();
        let mut entry = Entry { stat, kept, young, checked: now, used: now, uses: 0 };
        let mut shard = self.shard(path);
        if let Some(old) = shard.entries.peek(path) {
            entry.uses = old.uses;
        }
        shard.bytes += entry.weight();
        if let Some(old) = shard.entries.put(path.into(), entry) {
            shard.bytes -= old.weight();
        }
        if let Some(inactive) = self.inactive {
            shard.drop_inactive(inactive);
        }
        while (shard.bytes > BUDGET / self.shards.len() || shard.entries.len() > self.most) && shard.drop_oldest() {}
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("most", &self.most).field("inactive", &self.inactive).finish_non_exhaustive()
    }
}

impl Shard {
    fn remove(&mut self, path: &[u8]) {
        if let Some(entry) = self.entries.pop(path) {
            self.bytes -= entry.weight();
        }
    }

    /// Lets the entry go that was not used for longest; false if there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some((_, entry)) = self.entries.pop_lru() else { return false };
        self.bytes -= entry.weight();
        true
    }

    fn drop_inactive(&mut self, inactive: Duration) {
        while self.entries.peek_lru().is_some_and(|(_, entry)| entry.used.elapsed() > inactive) {
            self.drop_oldest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(cache: &Cache) -> usize {
        cache.shards.iter().map(|shard| shard.lock().unwrap().entries.len()).sum()
    }

    #[test]
    fn a_small_number_of_entries_is_kept_exactly() {
        for max in [1, 2, 3, 17, FEW - 1] {
            let cache = Cache::new(max, Some(Duration::from_secs(60)));
            for n in 0..=max {
                cache.insert_error(format!("/{n}").as_bytes(), 2);
                assert_eq!(count(&cache), (n + 1).min(max));
                // The first one is used all the time, so that it stays.
                assert!(cache.find(b"/0").is_some() || max == 1);
            }
            assert_eq!(cache.find(b"/1").is_some(), max == 1, "{max}");
        }
    }

    #[test]
    fn a_large_number_of_entries_is_kept_nearly() {
        let cache = Cache::new(FEW, Some(Duration::from_secs(60)));
        for n in 0..2 * FEW {
            cache.insert_error(format!("/{n}").as_bytes(), 2);
        }
        assert!((FEW * 9 / 10..=FEW).contains(&count(&cache)), "{}", count(&cache));
    }

    #[test]
    fn contents_are_kept_within_the_budget() {
        let cache = Cache::new(1000, None);
        let stat = Stat::of(&std::fs::metadata("/").unwrap());
        let content = Content::Memory(vec![0; 1 << 20].into());
        for n in 0..100 {
            cache.insert(format!("/{n}").as_bytes(), &Opened { stat, content: content.clone() }, false);
        }
        assert_eq!(count(&cache), 63, "each costs a little more than its megabyte");
        assert!(cache.shards[0].lock().unwrap().bytes <= BUDGET);
    }

    #[test]
    fn what_nobody_asks_for_goes() {
        let cache = Cache::new(10, Some(Duration::from_millis(20)));
        cache.insert_error(b"/a", 2);
        let begun = Instant::now();
        while begun.elapsed() <= Duration::from_millis(20) {
            std::thread::yield_now();
        }
        cache.insert_error(b"/b", 2);
        assert_eq!(count(&cache), 1);
        assert!(cache.find(b"/a").is_none());
    }
}
