//! Copies of files and of whole folders, with their rights and times, a little at a time: neither a large file nor a large
//! tree holds a worker. Must not know requests.

use std::ffi::CStr;
use std::fs::{File, FileTimes, Metadata, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Instant;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::asking::Asked;
use crate::exchange::account::{self, Accounts, Hold};
use crate::exchange::store::{Draft, Folder};

/// Bytes between two looks at the clock.
const PIECE: u64 = 4 << 20;
/// Folders within folders that a request may reach; each is held open, twice.
pub const DEEPEST: usize = 128;

/// How much of a folder is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The folder without what is in it.
    Itself,
    /// All of it; links are followed, or else left out.
    All {
        /// Whether they are followed.
        follows: bool,
    },
}

/// A file on its way into a draft: nobody sees a part of the copy.
pub struct FileCopy {
    pour: Pour,
    draft: Draft,
}

/// A folder on its way to where nothing is.
pub struct TreeCopy {
    reach: Reach,
    /// The copy itself, which may stand below what is copied: by its device and number.
    own: (u64, u64),
    levels: Vec<Level>,
    /// The name of the folder that is copied now below the tree, with a slash at its end.
    name: Vec<u8>,
    file: Option<(Pour, File, Hold)>,
    /// What its files count in.
    accounts: Accounts,
}

struct Level {
    from: Folder,
    to: Folder,
    entries: Option<Dir>,
    stat: Stat,
    /// How long the name is of the folder above.
    outer: usize,
}

/// What is left to read of a file.
struct Pour {
    source: File,
    meta: Metadata,
    left: u64,
}

impl FileCopy {
    /// Of an open file, into a folder, where it counts in these accounts.
    pub fn begin(source: File, to: &Folder, accounts: &Accounts) -> io::Result<FileCopy> {
        let meta = source.metadata()?;
        if !meta.is_file() {
            // It was one when it was looked at.
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let draft = to.draft_in(meta.mode() & 0o777, accounts.clone())?;
        Ok(FileCopy { pour: Pour::new(source, meta), draft })
    }

    /// Takes the room that it needs, with that of a file whose place it is to take.
    pub fn reserve(&mut self, replaced: Option<(account::Id, u64)>) -> io::Result<()> {
        let hold = self.draft.hold();
        replaced.into_iter().for_each(|(file, size)| hold.replace(file, size));
        hold.grow(self.pour.left)
    }

    /// Goes on until a moment; true when all of it is there.
    pub fn go_on(&mut self, until: Instant) -> io::Result<bool> {
        let whole = self.pour.go_on(&self.draft.file, until)?;
        if whole {
            self.draft.hold().shrink(self.pour.left);
        }
        Ok(whole)
    }

    /// Its tag is not that of the file whose place it takes.
    pub fn differ(&self, to: &Folder, new: &[u8]) -> io::Result<()> {
        self.draft.differ(to, new)
    }

    /// The copy appears.
    pub fn publish(&mut self, to: &Folder, new: &[u8]) -> io::Result<()> {
        self.draft.publish(to, new)
    }
}

impl Pour {
    /// All that there is now: what is added meanwhile has no place in the copy.
    fn new(source: File, meta: Metadata) -> Pour {
        Pour { left: meta.len(), source, meta }
    }

    fn go_on(&mut self, mut into: &File, until: Instant) -> io::Result<bool> {
        while self.left > 0 {
            match io::copy(&mut (&self.source).take(PIECE.min(self.left)), &mut into)? {
                0 => break,
                n => self.left -= n,
            }
            if Instant::now() >= until {
                return Ok(false);
            }
        }
        into.set_permissions(Permissions::from_mode(self.meta.mode() & 0o777))?;
        into.set_times(FileTimes::new().set_modified(self.meta.modified()?))?;
        Ok(true)
    }
}

impl TreeCopy {
    /// Of an open folder, under a name in another, where its files count in these accounts.
    pub fn begin(source: Folder, to: &Folder, new: &[u8], reach: Reach, accounts: &Accounts) -> io::Result<TreeCopy> {
        let level = Level::open(source, to, new, reach, 0)?;
        let own = rustix::fs::fstat(&level.to)?;
        let accounts = accounts.clone();
        Ok(TreeCopy {
            reach,
            own: (own.st_dev, own.st_ino),
            levels: vec![level],
            name: Vec::new(),
            file: None,
            accounts,
        })
    }

    /// Goes on until a moment; true when all of it is there. Of the entries those are copied that were asked for, if any were.
    pub fn go_on(&mut self, until: Instant, asked: Option<&Asked>) -> io::Result<bool> {
        loop {
            match &mut self.file {
                Some((pour, into, _)) => {
                    if pour.go_on(into, until)? {
                        self.close()?;
                    }
                }
                None if self.levels.is_empty() => return Ok(true),
                None => self.take_one(asked)?,
            }
            if Instant::now() >= until {
                return Ok(false);
            }
        }
    }

    /// The file that was copied last counts as it is: whole, or as far as it came.
    pub fn close(&mut self) -> io::Result<()> {
        if let Some((pour, into, mut hold)) = self.file.take() {
            hold.shrink(pour.left);
            hold.store(&self.accounts, account::id(&rustix::fs::fstat(into)?), None);
        }
        Ok(())
    }

    fn take_one(&mut self, asked: Option<&Asked>) -> io::Result<()> {
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let Some(entry) = level.entries.as_mut().and_then(Dir::read) else {
            level.finish()?;
            self.name.truncate(level.outer);
            self.levels.pop();
            return Ok(());
        };
        let entry = entry?;
        match entry.file_name() {
            name if matches!(name.to_bytes(), b"." | b"..") => Ok(()),
            name => self.take(name, asked),
        }
    }

    fn take(&mut self, name: &CStr, asked: Option<&Asked>) -> io::Result<()> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        let follows = self.reach == Reach::All { follows: true };
        let (at, nofollow) = match follows {
            true => (AtFlags::empty(), OFlags::empty()),
            false => (AtFlags::SYMLINK_NOFOLLOW, OFlags::NOFOLLOW),
        };
        // Gone meanwhile, or a link that leads nowhere.
        let Ok(stat) = rustix::fs::statat(&level.from, name, at) else { return Ok(()) };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if asked.is_some_and(|asked| !asked.has(&[&self.name, name.to_bytes()].concat(), is_folder)) {
            // It came after the others were asked for.
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | nofollow;
        let open = |flags| still_there(rustix::fs::openat(&level.from, name, flags, Mode::empty()));
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if self.is_above(&stat) => Ok(()),
            FileType::Directory if self.levels.len() >= DEEPEST => Err(Errno::NAMETOOLONG.into()),
            FileType::Directory => {
                let Some(inner) = open(flags | OFlags::DIRECTORY)? else { return Ok(()) };
                let (inner, outer) = (File::from(inner).try_into()?, self.name.len());
                let level = Level::open(inner, &level.to, name.to_bytes(), self.reach, outer)?;
                self.levels.push(level);
                self.name.extend_from_slice(name.to_bytes());
                self.name.push(b'/');
                Ok(())
            }
            FileType::RegularFile => {
                let Some(source) = open(flags)? else { return Ok(()) };
                let source = File::from(source);
                let meta = source.metadata()?;
                let made = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let into = rustix::fs::openat(&level.to, name, made, Mode::RUSR | Mode::WUSR)?;
                let mut hold = Hold::new(self.accounts.clone(), Some(account::id(&rustix::fs::fstat(&into)?)));
                hold.grow(meta.len())?;
                self.file = Some((Pour::new(source, meta), into.into(), hold));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether a folder is one of those that are being copied, to which a link back leads in a circle, or the copy itself.
    fn is_above(&self, stat: &Stat) -> bool {
        self.own == (stat.st_dev, stat.st_ino)
            || self.levels.iter().any(|level| (level.stat.st_dev, level.stat.st_ino) == (stat.st_dev, stat.st_ino))
    }
}

/// Nothing, if it went since it was listed: a tree may be removed while it is copied.
fn still_there<T>(opened: Result<T, Errno>) -> io::Result<Option<T>> {
    match opened {
        Err(Errno::NOENT) => Ok(None),
        done => Ok(Some(done?)),
    }
}

impl Level {
    fn open(from: Folder, to: &Folder, new: &[u8], reach: Reach, outer: usize) -> io::Result<Level> {
        let stat = rustix::fs::fstat(&from)?;
        // For nobody else, until all of it is there.
        to.make(new, 0o700)?;
        let to = to.inner(new)?;
        let entries = if reach == Reach::Itself { None } else { Some(Dir::read_from(&from)?) };
        Ok(Level { from, to, entries, stat, outer })
    }

    /// Rights and times last: without the right to write nothing could have been put in.
    fn finish(&self) -> io::Result<()> {
        rustix::fs::fchmod(&self.to, Mode::from_raw_mode(self.stat.st_mode & 0o777))?;
        let last_modification = Timespec { tv_sec: self.stat.st_mtime, tv_nsec: self.stat.st_mtime_nsec as i64 };
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        Ok(rustix::fs::futimens(&self.to, &Timestamps { last_access, last_modification })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::symlinks::Symlinks;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    #[test]
    fn a_folder_with_links_in_a_circle() {
        let at = tempfile::tempdir().unwrap();
        let from = at.path().join("from");
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::write(from.join("sub/a"), "text").unwrap();
        fs::set_permissions(from.join("sub/a"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("sub/a", from.join("link")).unwrap();
        symlink("..", from.join("sub/up")).unwrap();
        symlink("nowhere", from.join("broken")).unwrap();
        let folder = Folder::open(at.path().as_os_str().as_bytes(), &Symlinks::Followed).unwrap();
        for (name, reach, has) in [
            ("all", Reach::All { follows: true }, [true, true]),
            ("plain", Reach::All { follows: false }, [true, false]),
            ("itself", Reach::Itself, [false, false]),
        ] {
            let mut copy =
                TreeCopy::begin(folder.inner(b"from").unwrap(), &folder, name.as_bytes(), reach, &Accounts::default())
                    .unwrap();
            // As little as possible at a time.
            let over = Instant::now();
            while !copy.go_on(over, None).unwrap() {}
            let to = at.path().join(name);
            assert_eq!([to.join("sub/a"), to.join("link")].map(|path| path.is_file()), has, "{name}");
            assert!(!to.join("sub/up").exists() && !to.join("broken").exists());
        }
        let copied = fs::metadata(at.path().join("all/sub/a")).unwrap();
        let original = fs::metadata(from.join("sub/a")).unwrap();
        assert_eq!((copied.mode() & 0o777, copied.mtime()), (0o640, original.mtime()));
    }

    #[test]
    fn a_link_to_where_the_copy_stands_does_not_lead_into_the_copy() {
        let at = tempfile::tempdir().unwrap();
        fs::create_dir(at.path().join("from")).unwrap();
        fs::write(at.path().join("beside"), "text").unwrap();
        symlink("..", at.path().join("from/up")).unwrap();
        let folder = Folder::open(at.path().as_os_str().as_bytes(), &Symlinks::Followed).unwrap();
        let mut copy = TreeCopy::begin(
            folder.inner(b"from").unwrap(),
            &folder,
            b"copy",
            Reach::All { follows: true },
            &Accounts::default(),
        )
        .unwrap();
        assert!(copy.go_on(Instant::now() + Duration::from_secs(600), None).unwrap());
        let mut names: Vec<_> =
            fs::read_dir(at.path().join("copy/up")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["beside"]);
    }

    #[test]
    fn a_tree_that_goes_while_it_is_copied_is_no_error() {
        let at = tempfile::tempdir().unwrap();
        for n in 0..50 {
            fs::create_dir_all(at.path().join(format!("from/{n}"))).unwrap();
            fs::write(at.path().join(format!("from/{n}/file")), "text").unwrap();
        }
        let folder = Folder::open(at.path().as_os_str().as_bytes(), &Symlinks::Followed).unwrap();
        let mut copy = TreeCopy::begin(
            folder.inner(b"from").unwrap(),
            &folder,
            b"copy",
            Reach::All { follows: true },
            &Accounts::default(),
        )
        .unwrap();
        for _ in 0..20 {
            assert!(!copy.go_on(Instant::now(), None).unwrap());
        }
        fs::remove_dir_all(at.path().join("from")).unwrap();
        assert!(copy.go_on(Instant::now() + Duration::from_secs(600), None).unwrap());
    }

    #[test]
    fn a_tree_that_is_too_deep_is_refused() {
        let at = tempfile::tempdir().unwrap();
        let root = Folder::open(at.path().as_os_str().as_bytes(), &Symlinks::Followed).unwrap();
        let later = Instant::now() + Duration::from_secs(600);
        for (name, depth, fits) in [("fits", DEEPEST - 1, true), ("deep", DEEPEST, false)] {
            let mut folder = root.enter(name.as_bytes(), 0o700).unwrap();
            for _ in 0..depth {
                folder = folder.enter(b"f", 0o700).unwrap();
            }
            let new = format!("{name}-copy");
            let reach = Reach::All { follows: false };
            let mut copy = TreeCopy::begin(
                root.inner(name.as_bytes()).unwrap(),
                &root,
                new.as_bytes(),
                reach,
                &Accounts::default(),
            )
            .unwrap();
            let done = copy.go_on(later, None);
            assert_eq!(done.is_ok(), fits, "{name}: {done:?}");
        }
    }
}
