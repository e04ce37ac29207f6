//! Sessions as files of a folder: they outlive the process. A file is written beside its place and renamed, so that
//! it is whole or not there; its time of change says when the session was used last. Old ones are swept as others come.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;

use super::Vault;
use crate::exchange::error::system_words;
use crate::features::session::record::Entry;
use crate::features::session::ticket::{self, Key, Keys, hex};

/// Folders in the folder, by the first two digits of a key.
const PARTS: u64 = 256;
/// One of them is swept when so many milliseconds have passed since the last.
const SWEEP: u64 = 1000;
/// A larger file is none of ours: names and values percent-encoded, and a little around them.
const LARGEST: u64 = 64 << 10;
/// A file that was being written when its process ended is thrown away after so many milliseconds.
const LEFT_OVER: u64 = 60_000;

/// The store.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    keys: Mutex<Option<Keys>>,
    swept: AtomicU64,
    next: AtomicU64,
}

/// The store for one order: nobody else, in this process or another, changes it meanwhile.
pub struct Open<'a> {
    path: &'a Path,
    _lock: File,
}

impl Folder {
    /// A store in a folder, which is made when it is needed first.
    pub fn new(path: PathBuf) -> Folder {
        Folder { path, keys: Mutex::new(None), swept: AtomicU64::new(0), next: AtomicU64::new(fastrand::u64(0..PARTS)) }
    }

    /// Waits for its turn.
    pub fn open(&self) -> Result<Open<'_>, String> {
        let said = |error: &io::Error| format!("the folder {}: {}", self.path.display(), system_words(error));
        make_folder(&self.path).map_err(|error| said(&error))?;
        let lock = private().read(true).write(true).create(true).truncate(false).open(self.path.join("lock"));
        let lock = lock.map_err(|error| said(&error))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|error| said(&error.into()))?;
        Ok(Open { path: &self.path, _lock: lock })
    }

    /// The keys of cookies where the conf names none: made once, and kept beside the sessions.
    pub fn keys(&self) -> Result<Keys, String> {
        // Nothing that can panic runs under this lock.
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = &*known {
            return Ok(keys.clone());
        }
        let open = self.open()?;
        let path = self.path.join("key");
        let said = |error: io::Error| format!("the file {}: {}", path.display(), system_words(&error));
        let text = match read(&path) {
            Ok(Some(text)) => text,
            Ok(None) => {
                let token = || ticket::token().ok_or("the system has no randomness");
                let text = format!("{}{}\n", token()?, token()?).into_bytes();
                // A power cut may cost the last changes of sessions, but no key: it would cost all of them.
                open.write(&path, &text, true).map_err(said)?;
                text
            }
            Err(error) => return Err(said(error)),
        };
        let secrets = ticket::secrets(&text).map_err(|why| format!("the file {} {why}", path.display()))?;
        let keys = Keys::new(secrets).ok_or("there is no key")?;
        *known = Some(keys.clone());
        Ok(keys)
    }

    /// Removes what is over from one part of the folder, now and then.
    pub fn sweep(&self, now: u64) {
        let last = self.swept.load(Relaxed);
        if now < last.saturating_add(SWEEP) || self.swept.compare_exchange(last, now, Relaxed, Relaxed).is_err() {
            return;
        }
        let part = self.next.fetch_add(1, Relaxed) % PARTS;
        let Ok(entries) = fs::read_dir(self.path.join(format!("{part:02x}"))) else { return };
        let Ok(_open) = self.open() else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            let is_over = match path.extension() {
                Some(_) => seen(&path).is_some_and(|seen| now >= seen.saturating_add(LEFT_OVER)),
                None => matches!(load(&path, now), Ok(None)),
            };
            if is_over {
                // What cannot be removed now is tried again the next time around.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

impl Open<'_> {
    fn place(&self, key: &Key) -> PathBuf {
        let name = hex(key);
        self.path.join(&name[..2]).join(name)
    }

    /// Writes a file whole or not at all; a durable one is on disk when this returns.
    fn write(&self, path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
        let beside = path.with_extension("new");
        let mut file = private().write(true).create(true).truncate(true).open(&beside)?;
        let written = file.write_all(bytes).and_then(|()| match durable {
            true => file.sync_all(),
            false => Ok(()),
        });
        let written = written.and_then(|()| fs::rename(&beside, path)).and_then(|()| match durable {
            true => File::open(self.path)?.sync_all(),
            false => Ok(()),
        });
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

impl Vault for Open<'_> {
    fn look(&mut self, key: &Key, now: u64) -> Result<Option<Entry>, String> {
        let path = self.place(key);
        let said = |error: io::Error| format!("the file {}: {}", path.display(), system_words(&error));
        let Some((entry, seen)) = load(&path, now).map_err(said)? else { return Ok(None) };
        if let Entry::Live(record) = &entry {
            // To the sixteenth of its time is near enough, and spares the disk.
            if now > seen.saturating_add(record.idle / 16) {
                let time = UNIX_EPOCH + Duration::from_millis(now);
                let touched = OpenOptions::new().write(true).open(&path).and_then(|file| file.set_modified(time));
                touched.map_err(said)?;
            }
        }
        Ok(Some(entry))
    }

    fn swap(&mut self, key: &Key, _: Option<&Entry>, new: &Entry, _: u64) -> Result<bool, String> {
        // Under the lock nobody else was faster.
        let path = self.place(key);
        let folder = path.parent().unwrap_or(self.path);
        let written = make_folder(folder).and_then(|()| self.write(&path, &new.encode(), false));
        written.map_err(|error| format!("the file {}: {}", path.display(), system_words(&error)))?;
        Ok(true)
    }

    fn remove(&mut self, key: &Key) -> Result<(), String> {
        let path = self.place(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(format!("the file {}: {}", path.display(), system_words(&error)))
            }
            _ => Ok(()),
        }
    }
}

/// What a file holds and when it was used last; none if there is none, it is over, or not whole.
fn load(path: &Path, now: u64) -> io::Result<Option<(Entry, u64)>> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let seen = seen(path).unwrap_or(0);
    Ok(Entry::decode(&bytes).map(|entry| (entry, seen)).filter(|(entry, seen)| match entry {
        Entry::Live(record) => !record.is_over(*seen, now),
        Entry::Moved(_, until) => now < *until,
    }))
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn seen(path: &Path) -> Option<u64> {
    let modified: SystemTime = fs::metadata(path).ok()?.modified().ok()?;
    modified.duration_since(UNIX_EPOCH).ok().map(|time| time.as_millis() as u64)
}

/// Sessions are nobody else's business.
fn make_folder(path: &Path) -> io::Result<()> {
    match path.is_dir() {
        true => Ok(()),
        false => fs::DirBuilder::new().recursive(true).mode(0o700).create(path),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}
