//! Paths as a process of root's may walk them. A folder on the way may belong to the server's user, who can swap what
//! stands in it at any moment; so each folder is held open before the next name is looked up in it, and what is made, opened
//! or removed is so in the folder that was found. Knows nothing of what the files are for.

mod files;
mod loose;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

pub use files::{append, may_append, open_to_read};
pub use loose::loose;

/// Links on one way, as the kernel counts them.
const MOST_LINKS: usize = 40;
/// What the kernel takes as the path of a socket.
const LONGEST_OF_SOCKETS: usize = 107;
/// No user has this number.
const NOBODY: u32 = u32::MAX;
/// Opens a name without following it and without doing anything to what it names.
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Whose symbolic links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Everybody's: the process has the rights of the one who made the path, and no more.
    All,
    /// Root's own. The process is root.
    Roots,
    /// Everybody's, and whose they were is noted: root is about to read what the conf names.
    Noted,
}

impl Links {
    /// What this process may follow when it writes.
    pub fn of_this_process() -> Links {
        if rustix::process::geteuid().is_root() { Links::Roots } else { Links::All }
    }
}

/// A link that belongs to somebody else than root, on the way to something that not everybody may read.
#[derive(Debug)]
pub struct Stranger;

impl std::fmt::Display for Stranger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a link of another user leads to it, and that user may not read it")
    }
}

impl std::error::Error for Stranger {}

/// A name in a folder that is held open.
#[derive(Debug)]
pub struct Spot {
    path: PathBuf,
    folder: OwnedFd,
    name: OsString,
    /// Whether root alone may write in every folder on the way.
    sure: bool,
    /// Whether everybody may walk it.
    open: bool,
    /// The user other than root whose link was followed; [`NOBODY`] where there are two.
    stranger: Option<u32>,
    /// Whether the name is a link of the kernel's own (`/proc/1/fd/1`), which only the kernel can follow.
    magic: bool,
}

impl Spot {
    /// The place of a path. Its last name is not followed.
    pub fn of(path: &Path, links: Links) -> io::Result<Spot> {
        find(path, links, false)
    }

    /// The same, and where the last name is a symbolic link, the place it leads to.
    pub fn behind(path: &Path, links: Links) -> io::Result<Spot> {
        find(path, links, true)
    }

    /// What stands there now, held open without being touched; none if there is nothing.
    pub fn look(&self) -> io::Result<Option<(OwnedFd, Stat)>> {
        let flags = if self.magic { LOOK.difference(OFlags::NOFOLLOW) } else { LOOK };
        match rustix::fs::openat(&self.folder, &self.name, flags, Mode::empty()) {
            Ok(held) => {
                let stat = rustix::fs::fstat(&held)?;
                Ok(Some((held, stat)))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what stands there if it is what is meant; whether it was. Who swaps it in between loses a file of their
    /// own folder.
    pub fn remove(&self, is_meant: impl FnOnce(&Stat) -> bool) -> io::Result<bool> {
        match rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_meant(&stat) => {}
            Ok(_) | Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        match rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A path that leads here for as long as this value lives, whatever is swapped on the way, and that is short enough for a
    /// socket: the plain one where root alone could swap anything, else one by way of the folder that is held open.
    pub fn steady_path(&self) -> PathBuf {
        match self.sure && self.path.as_os_str().len() <= LONGEST_OF_SOCKETS {
            true => self.path.clone(),
            false => Path::new(&by_handle(self.folder.as_fd())).join(&self.name),
        }
    }

    /// Whether root alone may write in every folder on the way.
    pub fn is_sure(&self) -> bool {
        self.sure
    }

    /// The folder.
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// The name in it.
    pub fn name(&self) -> &OsStr {
        &self.name
    }
}

/// A path to what is held open, for calls that take no descriptor.
pub fn by_handle(held: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", held.as_raw_fd())
}

fn find(path: &Path, links: Links, follow: bool) -> io::Result<Spot> {
    if links == Links::All {
        return plain(path, follow);
    }
    let mut walk = Walk::begin(path, links)?;
    while let Some(name) = walk.rest.pop_front() {
        if let Some(magic) = walk.step(&name, follow)? {
            let Walk { folder, sure, open, stranger, .. } = walk;
            return Ok(Spot { path: path.to_path_buf(), folder, name, sure, open, stranger, magic });
        }
    }
    Err(Errno::ISDIR.into())
}

/// The kernel walks: what this process may not do, the path's owner may not either.
fn plain(path: &Path, follow: bool) -> io::Result<Spot> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        let name = path.file_name().ok_or(Errno::ISDIR)?.to_os_string();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, parent, flags, Mode::empty())?;
        let target = if follow { rustix::fs::readlinkat(&folder, &name, Vec::new()).ok() } else { None };
        let Some(target) = target else {
            return Ok(Spot { path, folder, name, sure: true, open: true, stranger: None, magic: false });
        };
        path = parent.join(OsStr::from_bytes(target.as_bytes()));
    }
    Err(Errno::LOOP.into())
}

/// How far one has come.
struct Walk {
    links: Links,
    folder: OwnedFd,
    rest: VecDeque<OsString>,
    seen: usize,
    sure: bool,
    open: bool,
    stranger: Option<u32>,
}

impl Walk {
    fn begin(path: &Path, links: Links) -> io::Result<Walk> {
        let here = if path.is_absolute() { "/" } else { "." };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, here, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&folder)?;
        // Where a path begins here, what led to this folder is not known.
        let sure = path.is_absolute() && is_roots_alone(&stat);
        Ok(Walk { links, folder, rest: parts(path), seen: 0, sure, open: is_open(&stat, 0o001), stranger: None })
    }

    /// One name further; for the last one, whether it is a link of the kernel's own.
    fn step(&mut self, name: &OsStr, follow: bool) -> io::Result<Option<bool>> {
        let is_last = self.rest.is_empty();
        if is_last && name == ".." {
            return Err(Errno::ISDIR.into());
        }
        if is_last && !follow {
            return Ok(Some(false));
        }
        // As a folder first: so the kernel mounts what it mounts on demand.
        match rustix::fs::openat(&self.folder, name, LOOK | OFlags::DIRECTORY, Mode::empty()) {
            Ok(_) if is_last => return Ok(Some(false)),
            Ok(next) => {
                self.enter(next)?;
                return Ok(None);
            }
            Err(Errno::NOENT) if is_last => return Ok(Some(false)),
            Err(Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => return Err(error.into()),
        }
        let held = rustix::fs::openat(&self.folder, name, LOOK, Mode::empty())?;
        let stat = rustix::fs::fstat(&held)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => self.follow(&held, &stat, name, is_last),
            _ if is_last => Ok(Some(false)),
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    fn enter(&mut self, next: OwnedFd) -> io::Result<()> {
        let stat = rustix::fs::fstat(&next)?;
        self.sure &= is_roots_alone(&stat);
        self.open &= is_open(&stat, 0o001);
        self.folder = next;
        Ok(())
    }

    /// Goes where a link leads. It is held open, so what was asked for its owner is what is read.
    fn follow(&mut self, link: &OwnedFd, stat: &Stat, name: &OsStr, is_last: bool) -> io::Result<Option<bool>> {
        self.seen += 1;
        if self.seen > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        if stat.st_uid != 0 && self.links == Links::Roots {
            return Err(self.refuse(name, is_last, "that does not belong to root"));
        }
        if stat.st_uid != 0 {
            let before = *self.stranger.get_or_insert(stat.st_uid);
            self.stranger = Some(if before == stat.st_uid { before } else { NOBODY });
        }
        // Those of the kernel's own name what no path leads to, a pipe for one.
        if rustix::fs::fstatfs(&self.folder)?.f_type == rustix::fs::PROC_SUPER_MAGIC {
            if is_last {
                return Ok(Some(true));
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            self.enter(rustix::fs::openat(&self.folder, name, flags, Mode::empty())?)?;
            return Ok(None);
        }
        let target = rustix::fs::readlinkat(link, "", Vec::new())?;
        let target = Path::new(OsStr::from_bytes(target.as_bytes()));
        if target.is_absolute() {
            // A link of root's own is root's word for where to go, wherever it stands.
            let start = Walk::begin(target, self.links)?;
            (self.folder, self.sure) = (start.folder, start.sure);
        } else if !self.sure
            && self.links == Links::Roots
            && target.components().any(|part| part == Component::ParentDir)
        {
            // Moved to another folder, it would lead elsewhere.
            return Err(self.refuse(name, is_last, "whose target leads upwards: give it an absolute one"));
        }
        for part in parts(target).into_iter().rev() {
            self.rest.push_front(part);
        }
        Ok(None)
    }

    fn refuse(&self, name: &OsStr, is_last: bool, why: &str) -> io::Error {
        let folder = rustix::fs::readlinkat(CWD, by_handle(self.folder.as_fd()), Vec::new());
        let folder = folder.map_or_else(|_| OsString::new(), |path| OsString::from_vec(path.into_bytes()));
        let text = match is_last {
            true => format!("it is a symbolic link {why}"),
            false => format!("`{}` on the way is a symbolic link {why}", Path::new(&folder).join(name).display()),
        };
        io::Error::new(io::ErrorKind::PermissionDenied, text)
    }
}

/// The names of a path; `.` is none.
fn parts(path: &Path) -> VecDeque<OsString> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

/// Whether root alone may put something into a folder, or take it away.
fn is_roots_alone(folder: &Stat) -> bool {
    folder.st_uid == 0 && folder.st_mode & 0o022 == 0
}

fn is_open(stat: &Stat, bit: u32) -> bool {
    stat.st_mode & bit != 0
}

#[cfg(test)]
mod tests;
