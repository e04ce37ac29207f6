//! Opening files to serve: open first, then decide from the handle, with a cache of small files in
//! front. A file that is in the cache costs one `stat` to see that it is unchanged, and none within
//! `open_file_cache_valid`. Knows paths and policies, no request.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::file_cache::CACHE;
pub use super::file_cache::Cache;
use super::symlinks::{self, Symlinks};
use crate::conf::value::Text;

/// Files up to this size are kept in memory.
pub const SMALL: u64 = 64 << 10;
/// An entry read from a file younger than this is not trusted: a second write within the clock's
/// grain would leave mtime and ctime as they were.
const YOUNG: Duration = Duration::from_millis(50);

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A FIFO, a device, a socket.
    Other,
}

/// A file that was changed within this time may change again in the same second.
const SETTLED: Duration = Duration::from_secs(2);
/// What is dated further ahead than this was dated by hand.
const AHEAD: Duration = Duration::from_secs(3600);

/// What `stat` says, as far as we use it; equal means unchanged.
#[derive(Debug, Clone, Copy)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the contents, in seconds since 1970.
    pub mtime: i64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Whether nothing that is written from that moment on can have the same second as time of change.
    pub is_settled: bool,
    identity: (u64, u64, i64, i64, i64),
}

impl PartialEq for Stat {
    fn eq(&self, other: &Stat) -> bool {
        let all = |stat: &Stat| (stat.kind, stat.size, stat.mtime, stat.mode, stat.uid, stat.identity);
        all(self) == all(other)
    }
}

impl Eq for Stat {}

/// Whether the second of a time of change is over: nothing that is written from now on is dated so, unless by hand.
pub fn is_settled(seconds: i64, nanos: i64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i128;
    let age = now - (seconds as i128 * 1_000_000_000 + nanos as i128);
    age >= SETTLED.as_nanos() as i128 || age < -(AHEAD.as_nanos() as i128)
}

impl Stat {
    /// Reads what we use out of the system's record.
    pub fn of(meta: &Metadata) -> Self {
        let kind = match () {
            () if meta.is_file() => Kind::File,
            () if meta.is_dir() => Kind::Folder,
            () => Kind::Other,
        };
        Stat {
            kind,
            size: meta.len(),
            mtime: meta.mtime(),
            mode: meta.mode(),
            uid: meta.uid(),
            is_settled: is_settled(meta.mtime(), meta.mtime_nsec()),
            identity: (meta.dev(), meta.ino(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// The last change as HTTP dates count; before 1970 counts as 1970.
    pub fn modified(&self) -> u64 {
        self.mtime.max(0) as u64
    }

    /// The nanoseconds of the last change.
    pub fn nanos(&self) -> u32 {
        u32::try_from(self.identity.2).unwrap_or(0)
    }

    fn is_young(&self) -> bool {
        let (_, _, mtime_nsec, ctime, ctime_nsec) = self.identity;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i128;
        let at = |s: i64, n: i64| s as i128 * 1_000_000_000 + n as i128;
        now - at(self.mtime, mtime_nsec).max(at(ctime, ctime_nsec)) < YOUNG.as_nanos() as i128
    }
}

/// What stands behind an opened path.
#[derive(Debug, Clone)]
pub enum Content {
    /// A small file's bytes.
    Memory(Bytes),
    /// An open file, shared by all who read it.
    File(Arc<File>),
    /// A folder, or something that is never served.
    None,
}

/// An opened path.
#[derive(Debug, Clone)]
pub struct Opened {
    /// What it is.
    pub stat: Stat,
    /// Its content.
    pub content: Content,
}

/// `open_file_cache` and its family, as far as it is on.
#[derive(Debug, Clone)]
pub struct Caching {
    /// What is kept.
    pub table: Arc<Cache>,
    /// How long an entry is believed without a look.
    pub valid: Duration,
    /// How often a file must have been asked for before.
    pub min_uses: u32,
    /// Whether failures are remembered too.
    pub errors: bool,
}

impl PartialEq for Caching {
    fn eq(&self, other: &Caching) -> bool {
        let rest = |caching: &Caching| (caching.valid, caching.min_uses, caching.errors);
        Arc::ptr_eq(&self.table, &other.table) && rest(self) == rest(other)
    }
}

impl Eq for Caching {}

/// How files are opened in one location.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// `disable_symlinks`.
    pub symlinks: Symlinks,
    /// Its `from=`: a path that begins with this text may hold links up to there.
    pub trusted: Option<Text>,
    /// `open_file_cache`; none for off.
    pub caching: Option<Caching>,
}

/// Opens a path. Folders and special files are named, not opened for reading: a FIFO never blocks.
pub fn open(path: &[u8], policy: &Policy) -> io::Result<Opened> {
    if policy.symlinks != Symlinks::Followed {
        let file = symlinks::open(path, &policy.symlinks)?;
        return read(file).map(|(opened, _)| opened);
    }
    let caching = policy.caching.as_ref();
    let cache = caching.map_or(&*CACHE, |caching| &caching.table);
    let cached = cache.find(path);
    if let (Some(entry), Some(caching)) = (&cached, caching)
        && entry.is_believed(caching.valid, caching.min_uses)
    {
        return entry.answer();
    }
    let name = Path::new(OsStr::from_bytes(path));
    if let Some(entry) = cached {
        match std::fs::metadata(name) {
            Ok(meta) if entry.is_current(&meta) => {
                let stat = Stat::of(&meta);
                if caching.is_some() {
                    cache.checked(path, stat);
                }
                return entry.answer().map(|opened| Opened { stat, ..opened });
            }
            Ok(_) => {}
            Err(error) => {
                cache.forget(path);
                return fail(path, error, caching);
            }
        }
    }
    let file = match OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC).open(name)
    {
        Ok(file) => file,
        Err(error) => return fail(path, error, caching),
    };
    let (opened, whole) = read(file)?;
    let young = opened.stat.is_young() && !matches!(opened.content, Content::File(_));
    let is_kept = match &opened.content {
        Content::None => caching.is_some() && opened.stat.kind == Kind::Folder,
        Content::Memory(_) => whole && (caching.is_some() || !young),
        Content::File(_) => true,
    };
    if is_kept {
        cache.insert(path, &opened, young);
    }
    Ok(opened)
}

/// Looks at a path. Under `open_file_cache` it is opened, as in nginx, so that what is kept serves the next step too.
pub fn stat(path: &[u8], policy: &Policy) -> io::Result<Stat> {
    if policy.symlinks != Symlinks::Followed {
        return symlinks::open(path, &policy.symlinks).and_then(|file| file.metadata()).map(|meta| Stat::of(&meta));
    }
    if policy.caching.is_some() {
        match open(path, policy) {
            Ok(opened) => return Ok(opened.stat),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            // It cannot be opened, but it may be there.
            Err(_) => {}
        }
    }
    std::fs::metadata(Path::new(OsStr::from_bytes(path))).map(|meta| Stat::of(&meta))
}

/// Reads what an open handle leads to; the flag says whether a small file was read to the end that it had.
fn read(mut file: File) -> io::Result<(Opened, bool)> {
    let stat = Stat::of(&file.metadata()?);
    if stat.kind != Kind::File {
        return Ok((Opened { stat, content: Content::None }, true));
    }
    if stat.size > SMALL {
        return Ok((Opened { stat, content: Content::File(Arc::new(file)) }, true));
    }
    let mut bytes = vec![0; stat.size as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let whole = filled == bytes.len();
    bytes.truncate(filled);
    // Cut short between fstat and read: what was read is the file now.
    let stat = if whole { stat } else { Stat { size: filled as u64, ..stat } };
    Ok((Opened { stat, content: Content::Memory(bytes.into()) }, whole))
}

fn fail(path: &[u8], error: io::Error, caching: Option<&Caching>) -> io::Result<Opened> {
    if let (Some(caching), Some(code)) = (caching, error.raw_os_error())
        && caching.errors
    {
        caching.table.insert_error(path, code);
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(opened: &Opened) -> Vec<u8> {
        match &opened.content {
            Content::Memory(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        }
    }

    fn path(path: &Path) -> &[u8] {
        path.as_os_str().as_bytes()
    }

    #[test]
    fn an_edit_in_place_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("a");
        for text in ["one", "two", "six"] {
            std::fs::write(&name, text).unwrap();
            for _ in 0..3 {
                let opened = open(path(&name), &Policy::default()).unwrap();
                assert_eq!(bytes(&opened), text.as_bytes());
            }
        }
    }

    #[test]
    fn an_old_file_is_kept_and_a_removed_one_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("a");
        std::fs::write(&name, "one").unwrap();
        while open(path(&name), &Policy::default()).unwrap().stat.is_young() {
            std::thread::yield_now();
        }
        open(path(&name), &Policy::default()).unwrap();
        assert!(CACHE.find(path(&name)).is_some());
        std::fs::remove_file(&name).unwrap();
        assert_eq!(open(path(&name), &Policy::default()).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(CACHE.find(path(&name)).is_none());
    }

    #[test]
    fn readers_of_one_large_file_share_its_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("big");
        std::fs::write(&name, vec![b'x'; SMALL as usize + 1]).unwrap();
        let one = open(path(&name), &Policy::default()).unwrap();
        let two = open(path(&name), &Policy::default()).unwrap();
        match (&one.content, &two.content) {
            (Content::File(one), Content::File(two)) => assert!(Arc::ptr_eq(one, two)),
            _ => panic!("not opened as files"),
        }
    }

    #[test]
    fn a_fifo_and_a_folder_are_named_and_do_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(open(path(&fifo), &Policy::default()).unwrap().stat.kind, Kind::Other);
        assert_eq!(open(path(folder.path()), &Policy::default()).unwrap().stat.kind, Kind::Folder);
    }
}
