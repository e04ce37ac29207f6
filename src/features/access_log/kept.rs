//! `open_log_file_cache`: files of paths with variables that stay open from one line to the next. Whoever moves such a file away
//! sees it made anew within `valid`.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::conf::args::{Args, Fault, parse_seconds};
use crate::conf::way;

/// The files of one `open_log_file_cache`.
#[derive(Debug)]
pub struct Kept {
    files: Mutex<LruCache<PathBuf, Entry>>,
    /// A file that was not written to for so long is closed.
    inactive: Duration,
    /// How many lines within that time keep it open.
    min_uses: u32,
    /// How long its path is believed without a look.
    valid: Duration,
}

#[derive(Debug)]
struct Entry {
    file: Option<Arc<File>>,
    /// Since when uses are counted.
    since: Instant,
    uses: u32,
    used: Instant,
    checked: Instant,
}

impl Kept {
    /// Reads the directive's words; none for `off`.
    pub fn read(args: &Args<'_>) -> Result<Option<Kept>, Fault> {
        if args.len() == 1 && args.word(0).text == b"off" {
            return Ok(None);
        }
        let (mut max, mut inactive, mut min_uses, mut valid) = (None, 10, 1, 60);
        for word in args.words() {
            let number = |text: &[u8]| {
                let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<u32>().ok());
                number
                    .filter(|number| *number > 0)
                    .ok_or_else(|| Fault::at(word, format!("takes a number of at least 1 in `{}`", word.show())))
            };
            let time = |text: &[u8]| {
                let time = parse_seconds(text).map(|time| time.as_secs());
                time.ok_or_else(|| Fault::at(word, format!("takes a time such as `20s` in `{}`", word.show())))
            };
            let equals = word.text.iter().position(|&b| b == b'=').unwrap_or(word.text.len());
            let (name, value) = (&word.text[..equals], word.text.get(equals + 1..).unwrap_or_default());
            match name {
                b"max" => max = NonZeroUsize::new(number(value)? as usize),
                b"min_uses" => min_uses = number(value)?,
                b"inactive" => inactive = time(value)?,
                b"valid" => valid = time(value)?,
                _ => {
                    let text =
                        format!("takes `max=`, `inactive=`, `min_uses=` and `valid=`, or `off`, not `{}`", word.show());
                    return Err(Fault::at(word, text));
                }
            }
        }
        let max = max.ok_or_else(|| Fault::new("needs `max=number`, the most files that stay open"))?;
        let (inactive, valid) = (Duration::from_secs(inactive), Duration::from_secs(valid));
        // The cache takes its memory at once where it is told how much; a large `max` is a bound, not a wish.
        let mut files = LruCache::unbounded();
        files.resize(max);
        Ok(Some(Kept { files: Mutex::new(files), inactive, min_uses, valid }))
    }

    /// Closes all of them: who moved them away has said so.
    pub fn close(&self) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The file of a path, open.
    pub fn open(&self, path: &Path) -> io::Result<Arc<File>> {
        let now = Instant::now();
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody wrote to stand at the end.
        while files.peek_lru().is_some_and(|(_, entry)| now.duration_since(entry.used) >= self.inactive) {
            files.pop_lru();
        }
        if let Some(entry) = files.get_mut(path) {
            if now.duration_since(entry.since) >= self.inactive {
                (entry.since, entry.uses) = (now, 0);
            }
            entry.uses = entry.uses.saturating_add(1);
            entry.used = now;
            if let Some(file) = entry.file.clone() {
                if now.duration_since(entry.checked) < self.valid {
                    return Ok(file);
                }
                if is_still(path, &file) {
                    entry.checked = now;
                    return Ok(file);
                }
            }
            let file = Arc::new(open(path)?);
            entry.file = (entry.uses >= self.min_uses).then(|| file.clone());
            entry.checked = now;
            return Ok(file);
        }
        let file = Arc::new(open(path)?);
        let kept = (self.min_uses <= 1).then(|| file.clone());
        files.put(path.to_path_buf(), Entry { file: kept, since: now, uses: 1, used: now, checked: now });
        Ok(file)
    }
}

/// Opens a log to append to, and makes it where it is not there.
pub fn open(path: &Path) -> io::Result<File> {
    way::append(path)
}

/// Whether a path still leads to a file.
fn is_still(path: &Path, file: &File) -> bool {
    let (Ok(there), Ok(here)) = (std::fs::metadata(path), file.metadata()) else { return false };
    (there.dev(), there.ino()) == (here.dev(), here.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(max: usize, inactive: u64, min_uses: u32, valid: u64) -> Kept {
        let files = Mutex::new(LruCache::new(NonZeroUsize::new(max).unwrap()));
        let (inactive, valid) = (Duration::from_millis(inactive), Duration::from_millis(valid));
        Kept { files, inactive, min_uses, valid }
    }

    #[test]
    fn files_stay_open() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        const LONG: u64 = 3_600_000;
        // Each row: the cache, what is done between two uses of `a`, whether it is the same file in our hands.
        let leave: fn(&Kept, &Path, &Path) = |_, _, _| {};
        let other: fn(&Kept, &Path, &Path) = |kept, _, b| drop(kept.open(b).unwrap());
        let remove: fn(&Kept, &Path, &Path) = |_, a, _| std::fs::remove_file(a).unwrap();
        let close: fn(&Kept, &Path, &Path) = |kept, _, _| kept.close();
        for (kept, between, same) in [
            (kept(1, LONG, 1, LONG), leave, true),
            (kept(1, LONG, 1, LONG), other, false),
            (kept(2, LONG, 1, LONG), other, true),
            (kept(1, 0, 1, LONG), leave, false),
            (kept(1, LONG, 2, LONG), leave, false),
            (kept(1, LONG, 1, LONG), remove, true),
            (kept(1, LONG, 1, LONG), close, false),
            (kept(1, LONG, 1, 0), remove, false),
            (kept(1, LONG, 1, 0), leave, true),
        ] {
            let first = kept.open(&a).unwrap();
            between(&kept, &a, &b);
            assert_eq!(Arc::ptr_eq(&first, &kept.open(&a).unwrap()), same, "{kept:?}");
        }
        let kept = kept(1, LONG, 2, LONG);
        let files: Vec<_> = (0..3).map(|_| kept.open(&a).unwrap()).collect();
        assert!(!Arc::ptr_eq(&files[0], &files[1]) && Arc::ptr_eq(&files[1], &files[2]));
    }
}
