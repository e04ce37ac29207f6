//! Password files: users with what is stored for them, read once and again when a file changed. A name that a file does
//! not hold gets a stand-in from it, so that it costs what one of its users costs. Checks no password.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lru::LruCache;
use sha2::{Digest, Sha256};

use super::scheme::Scheme;

/// What a password file says of a name.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The stored password, if it is a user of the file.
    pub stored: Option<Box<[u8]>>,
    /// A stored password of the file that can be checked in its place, so that the time does not tell whether there is such a
    /// user; `None` if the file has none.
    pub stand_in: Option<Box<[u8]>>,
}

/// The users of one file.
#[derive(Debug, Default)]
struct Users {
    stored: HashMap<Box<[u8]>, Box<[u8]>>,
    stand_ins: StandIns,
}

/// Stored passwords of a file that stand in for the one that a name without a user does not have.
#[derive(Debug, Default)]
struct StandIns {
    stored: Vec<Box<[u8]>>,
    /// What the choice depends on beside the name: nobody without the file can tell which one a name gets.
    digest: Sha256,
}

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
pub const LARGEST: u64 = 16 << 20;
/// Stand-ins kept of a file: enough that its schemes and costs are met about as often as among its users.
const STAND_INS: usize = 64;
/// A file younger than this may change again without a trace in its times.
const FRESH: Duration = Duration::from_millis(50);

type Files = LruCache<Box<[u8]>, (Stamp, Arc<Users>)>;

static KEPT: Mutex<Option<Files>> = Mutex::new(None);

/// What a file as it is now says of a name.
pub fn find(path: &[u8], user: &[u8]) -> io::Result<Found> {
    let (mut file, meta) = open(path)?;
    if meta.len() > LARGEST {
        return look_through(&mut file, user);
    }
    let users = Users::of(path, &mut file, &meta)?;
    Ok(users.find(user))
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

/// Reads a whole file; it does not stop at the user's line, or the time would tell whether there is one.
fn look_through(file: &mut File, user: &[u8]) -> io::Result<Found> {
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    let (mut found, mut stand_ins) = (None, StandIns::default());
    while reader.by_ref().take(LARGEST).read_until(b'\n', &mut line)? > 0 {
        for (name, stored) in lines(&line) {
            stand_ins.note(stored);
            if name == user && found.is_none() {
                found = Some(stored.into());
            }
        }
        line.clear();
    }
    Ok(Found { stored: found, stand_in: stand_ins.choose(user) })
}

impl StandIns {
    fn note(&mut self, stored: &[u8]) {
        if self.stored.len() < STAND_INS && Scheme::of(stored).is_ok() {
            self.digest.update(stored);
            self.stored.push(stored.into());
        }
    }

    /// The one for a name, always the same while the file stays as it is.
    fn choose(&self, user: &[u8]) -> Option<Box<[u8]>> {
        let hash = self.digest.clone().chain_update(user).finalize();
        let number = hash.iter().take(8).fold(0, |number, byte| number << 8 | usize::from(*byte));
        self.stored.get(number.checked_rem(self.stored.len())?).cloned()
    }
}

/// Lines `user:stored` or `user:stored:comment`; other lines and those that begin with `#` are passed over.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|&b| b == b'\n' || b == b'\r').filter(|line| !line.starts_with(b"#")).filter_map(|line| {
        let mut parts = line.split(|&b| b == b':');
        Some((parts.next()?, parts.next()?))
    })
}

/// What is to be said of users whose passwords are of a kind that is not checked, so that they cannot log in.
pub fn locked_out(text: &[u8]) -> Option<String> {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    let (mut seen, mut all) = (HashSet::new(), 0);
    // As at a login the first line of a name counts.
    for (_, stored) in lines(text).filter(|(user, _)| seen.insert(*user)) {
        let Err(kind) = Scheme::of(stored) else { continue };
        all += 1;
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, number)) => *number += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let each: Vec<String> = kinds.iter().map(|(kind, number)| format!("{number} with {kind}")).collect();
    (all > 0).then(|| format!("{all} {} cannot log in: {}", if all == 1 { "user" } else { "users" }, each.join(", ")))
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

    /// What the file says of a name: its first line with the name counts.
    fn find(&self, user: &[u8]) -> Found {
        Found { stored: self.stored.get(user).cloned(), stand_in: self.stand_ins.choose(user) }
    }

    fn parse(text: &[u8]) -> Users {
        let mut users = Users::default();
        for (user, stored) in lines(text) {
            users.stand_ins.note(stored);
            users.stored.entry(user.into()).or_insert_with(|| stored.into());
        }
        users
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
            assert_eq!(users.find(user.as_bytes()).stored.as_deref(), stored.map(str::as_bytes), "{user}");
        }
    }

    #[test]
    fn who_cannot_log_in_is_counted_by_kind() {
        let text = b"a:abNANd1rDfiNc\nb:{PLAIN}x\nc:abNANd1rDfiNc\nb:abNANd1rDfiNc\nd:secret\n#e:abNANd1rDfiNc\n";
        let said = "3 users cannot log in: 2 with the old DES crypt, 1 with plain text without {PLAIN} before it";
        assert_eq!(locked_out(text).as_deref(), Some(said));
        assert_eq!(locked_out(b"a:abNANd1rDfiNc").as_deref(), Some("1 user cannot log in: 1 with the old DES crypt"));
        assert_eq!(locked_out(b"b:{PLAIN}x\n\n# a"), None);
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let name = path.as_os_str().as_bytes();
        for stored in ["1", "2", "3"] {
            std::fs::write(&path, format!("a:{stored}\n")).unwrap();
            assert_eq!(find(name, b"a").unwrap().stored.as_deref(), Some(stored.as_bytes()));
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(find(name, b"a").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(find(folder.path().as_os_str().as_bytes(), b"a").is_err());
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
            let found = find(name, user.as_bytes()).unwrap();
            assert_eq!(found.stored.as_deref(), expected.map(str::as_bytes), "{user}");
        }
    }

    #[test]
    fn a_name_without_a_user_gets_a_stand_in() {
        let text = b"des:abNANd1rDfiNc\na:{PLAIN}1\nb:{PLAIN}2\nplain:secret\nc:{PLAIN}3";
        let users = Users::parse(text);
        let mut chosen: Vec<_> = (0..100u8).map(|n| users.find(&[n]).stand_in.unwrap()).collect();
        assert_eq!(users.find(&[7]).stand_in.as_deref(), Some(&*chosen[7]), "it stays the same");
        chosen.sort();
        chosen.dedup();
        assert_eq!(chosen, [b"{PLAIN}1", b"{PLAIN}2", b"{PLAIN}3"].map(|text| Box::from(&text[..])));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        std::fs::write(&path, text).unwrap();
        let (mut file, _) = open(path.as_os_str().as_bytes()).unwrap();
        assert_eq!(look_through(&mut file, &[7]).unwrap(), users.find(&[7]), "a large file says the same");
        for text in ["", "des:abNANd1rDfiNc\n"] {
            assert_eq!(Users::parse(text.as_bytes()).find(b"x"), Found { stored: None, stand_in: None });
        }
    }
}
