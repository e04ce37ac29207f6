//! What is kept of files between requests: small ones' contents within a budget of bytes, large ones' open
//! handles while somebody reads them. Whether an entry is still true is asked by `files`.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::files::{Caching, Content, Opened, Stat};

/// Bytes of file contents kept in all.
const BUDGET: usize = 64 << 20;
/// Entries kept in all when `open_file_cache` names no number.
const ENTRIES: usize = 16 << 10;
const SHARDS: usize = 16;

/// What is kept of a file between requests.
#[derive(Clone)]
enum Kept {
    Memory(Bytes),
    /// A large file: shared while somebody reads it.
    Weak(Weak<File>),
    /// A large file under `open_file_cache`.
    Strong(Arc<File>),
    Error(i32),
}

/// One path.
#[derive(Clone)]
pub(super) struct Entry {
    stat: Option<Stat>,
    kept: Kept,
    /// When it was last seen to be true.
    pub(super) checked: Instant,
    /// When it was last asked for.
    used: Instant,
    /// How often it was asked for.
    pub(super) uses: u32,
}

impl Entry {
    pub(super) fn is_current(&self, meta: &Metadata) -> bool {
        !matches!(self.kept, Kept::Error(_)) && self.stat == Some(Stat::of(meta))
    }

    pub(super) fn answer(&self) -> io::Result<Opened> {
        let gone = || io::Error::from_raw_os_error(nix::libc::ENOENT);
        let content = match &self.kept {
            Kept::Error(code) => return Err(io::Error::from_raw_os_error(*code)),
            Kept::Memory(bytes) => Content::Memory(bytes.clone()),
            Kept::Strong(file) => Content::File(file.clone()),
            Kept::Weak(weak) => Content::File(weak.upgrade().ok_or_else(gone)?),
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

#[derive(Default)]
struct Shard {
    entries: HashMap<Box<[u8]>, Entry>,
    /// Paths in the order they came, for eviction.
    order: VecDeque<Box<[u8]>>,
    bytes: usize,
}

/// All of it, in shards that have a lock each.
pub(super) struct Cache {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

/// The process's cache.
pub(super) static CACHE: LazyLock<Cache> =
    LazyLock::new(|| Cache { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() });

impl Cache {
    fn shard(&self, path: &[u8]) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(path) as usize % SHARDS;
        // A panic while the lock was held leaves a consistent map at worst short of an entry.
        self.shards[at].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What is kept under a path. What nobody asked for during `inactive` is not believed any more.
    pub(super) fn find(&self, path: &[u8], inactive: Option<Duration>) -> Option<Entry> {
        let mut shard = self.shard(path);
        let entry = shard.entries.get_mut(path)?;
        if inactive.is_some_and(|inactive| entry.used.elapsed() > inactive) {
            shard.remove(path);
            return None;
        }
        entry.used = Instant::now();
        entry.uses = entry.uses.saturating_add(1);
        let mut entry = entry.clone();
        if let Kept::Weak(weak) = &entry.kept {
            // Held from here on: its last reader may leave at any moment.
            match weak.upgrade() {
                Some(file) => entry.kept = Kept::Strong(file),
                None => return None,
            }
        }
        Some(entry)
    }

    /// The entry was seen to be true now.
    pub(super) fn checked(&self, path: &[u8]) {
        if let Some(entry) = self.shard(path).entries.get_mut(path) {
            entry.checked = Instant::now();
        }
    }

    /// The path leads nowhere any more.
    pub(super) fn forget(&self, path: &[u8]) {
        self.shard(path).remove(path);
    }

    /// Keeps what was opened.
    pub(super) fn insert(&self, path: &[u8], opened: &Opened, caching: Option<&Caching>) {
        let kept = match (&opened.content, caching) {
            (Content::Memory(bytes), _) => Kept::Memory(bytes.clone()),
            (Content::File(file), None) => Kept::Weak(Arc::downgrade(file)),
            (Content::File(file), Some(_)) => Kept::Strong(file.clone()),
            (Content::None, _) => return,
        };
        self.keep(
            path,
            Entry { stat: Some(opened.stat), kept, checked: Instant::now(), used: Instant::now(), uses: 1 },
            caching,
        );
    }

    /// Keeps a failure.
    pub(super) fn insert_error(&self, path: &[u8], code: i32, caching: &Caching) {
        let entry =
            Entry { stat: None, kept: Kept::Error(code), checked: Instant::now(), used: Instant::now(), uses: 1 };
        self.keep(path, entry, Some(caching));
    }

    fn keep(&self, path: &[u8], mut entry: Entry, caching: Option<&Caching>) {
        let most = caching.map_or(ENTRIES, |caching| caching.max).div_ceil(SHARDS);
        let mut shard = self.shard(path);
        if let Some(caching) = caching {
            shard.drop_inactive(caching.inactive);
        }
        shard.bytes += entry.weight();
        match shard.entries.get_mut(path) {
            Some(old) => {
                entry.uses = old.uses;
                let before = std::mem::replace(old, entry).weight();
                shard.bytes -= before;
            }
            None => {
                shard.order.push_back(path.into());
                shard.entries.insert(path.into(), entry);
            }
        }
        while shard.bytes > BUDGET / SHARDS || shard.entries.len() > most {
            if !shard.drop_oldest() {
                break;
            }
        }
    }
}

impl Shard {
    fn remove(&mut self, path: &[u8]) {
        if let Some(entry) = self.entries.remove(path) {
            self.bytes -= entry.weight();
            self.order.retain(|known| &**known != path);
        }
    }

    /// Lets the entry go that came first; false if there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some(path) = self.order.pop_front() else { return false };
        if let Some(entry) = self.entries.remove(&path) {
            self.bytes -= entry.weight();
        }
        true
    }

    fn drop_inactive(&mut self, inactive: Duration) {
        while let Some(path) = self.order.front() {
            match self.entries.get(path) {
                Some(entry) if entry.used.elapsed() <= inactive => break,
                _ => self.drop_oldest(),
            };
        }
    }
}
