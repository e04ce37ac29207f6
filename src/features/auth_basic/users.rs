//! Password files: users with what is stored for them, read once and again when a file changed. Knows nothing of
//! passwords' schemes.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lru::LruCache;

/// The users of one file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Users(HashMap<Box<[u8]>, Box<[u8]>>);

/// By what a file is known to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Files kept in all; a variable may name many.
const FILES: usize = 64;
/// A larger file is read through each time, up to the user's line.
const LARGEST: u64 = 16 << 20;
/// A file younger than this may change again without a trace in its times.
const FRESH: Duration = Duration::from_millis(50);

type Files = LruCache<Box<[u8]>, (Stamp, Arc<Users>)>;

static KEPT: Mutex<Option<Files>> = Mutex::new(None);

/// What a file as it is now stores for a user; none if it does not know the user.
pub fn stored(path: &[u8], user: &[u8]) -> io::Result<Option<Box<[u8]>>> {
    let (mut file, meta) = open(path)?;
    if meta.len() > LARGEST {
        return look_through(&mut file, user);
    }
    let users = Users::of(path, &mut file, &meta)?;
    Ok(users.stored(user).map(Into::into))
}

fn open(path: &[u8]) -> io::Result<(File, Metadata)> {
    // A FIFO must not hold the worker.
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
    let name = Path::new(std::ffi::OsStr::from_bytes(path));
    let file = OpenOptions::new().read(true).custom_flags(flags).open(name)?;
    let meta = file.metadata()?;
    match meta.is_file() {
        true => Ok((file, meta)),
        false => Err(io::Error::other("it is no file")),
    }
}

/// Reads a file up to the user's line.
fn look_through(file: &mut File, user: &[u8]) -> io::Result<Option<Box<[u8]>>> {
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    while reader.by_ref().take(LARGEST).read_until(b'\n', &mut line)? > 0 {
        let found = lines(&line).find(|(name, _)| *name == user);
        if let Some((_, stored)) = found {
            return Ok(Some(stored.into()));
        }
        line.clear();
    }
    Ok(None)
}

/// Lines `user:stored` or `user:stored:comment`; other lines and those that begin with `#` are passed over.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|&b| b == b'\n' || b == b'\r').filter(|line| !line.starts_with(b"#")).filter_map(|line| {
        let mut parts = line.split(|&b| b == b':');
        Some((parts.next()?, parts.next()?))
    })
}

impl Users {
    /// The users of an open file as it is now.
    fn of(path: &[u8], file: &mut File, meta: &Metadata) -> io::Result<Arc<Users>> {
        let stamp = Stamp::of(meta);
        // Nothing that can panic runs under this lock.
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, users)) = kept.as_mut().and_then(|kept| kept.get(path))
            && *known == stamp
        {
            return Ok(users.clone());
        }
        drop(kept);
        let mut text = Vec::with_capacity(meta.len() as usize + 1);
        file.read_to_end(&mut text)?;
        let users = Arc::new(Users::parse(&text));
        if !is_fresh(meta) && Stamp::of(&file.metadata()?) == stamp {
            let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = kept.get_or_insert_with(LruCache::unbounded);
            kept.put(path.into(), (stamp, users.clone()));
            while kept.len() > FILES {
                kept.pop_lru();
            }
        }
        Ok(users)
    }

    /// What is stored for a user: the first line with the name counts.
    fn stored(&self, user: &[u8]) -> Option<&[u8]> {
        self.0.get(user).map(|stored| &**stored)
    }

    fn parse(text: &[u8]) -> Users {
        let mut users = HashMap::new();
        for (user, stored) in lines(text) {
            users.entry(user.into()).or_insert_with(|| stored.into());
        }
        Users(users)
    }
}

fn is_fresh(meta: &Metadata) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let changed = Duration::new(meta.ctime().max(0).cast_unsigned(), meta.ctime_nsec() as u32);
    now.saturating_sub(changed) < FRESH
}

impl Stamp {
    fn of(meta: &Metadata) -> Stamp {
        Stamp {
            inode: (meta.dev(), meta.ino()),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_password_file() {
        let users = Users::parse(b"# comment\na:1\r\nb:2:comment:more\n\nno colon\na:3\n:empty\n#c:4\nlast:5");
        for (user, stored) in [
            ("a", Some("1")),
            ("b", Some("2")),
            ("", Some("empty")),
            ("#c", None),
            ("c", None),
            ("no colon", None),
            ("last", Some("5")),
        ] {
            assert_eq!(users.stored(user.as_bytes()), stored.map(str::as_bytes), "{user}");
        }
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let name = path.as_os_str().as_bytes();
        for stored in ["1", "2", "3"] {
            std::fs::write(&path, format!("a:{stored}\n")).unwrap();
            assert_eq!(super::stored(name, b"a").unwrap().as_deref(), Some(stored.as_bytes()));
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(super::stored(name, b"a").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(super::stored(folder.path().as_os_str().as_bytes(), b"a").is_err());
    }

    #[test]
    fn a_very_large_file_is_read_up_to_the_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let mut text = b"first:1\n#user:no\n".to_vec();
        text.resize(LARGEST as usize, b'x');
        text.extend_from_slice(b"\r\nuser:2:comment\nuser:3\nlast:4");
        std::fs::write(&path, text).unwrap();
        let name = path.as_os_str().as_bytes();
        for (user, expected) in [("first", Some("1")), ("user", Some("2")), ("last", Some("4")), ("none", None)] {
            let found = stored(name, user.as_bytes()).unwrap();
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{user}");
        }
    }
}
