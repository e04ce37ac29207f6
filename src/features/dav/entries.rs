//! The entries of a tree, one after the other, by their names below it. Changes nothing, and must not know requests.

use std::fs::File;
use std::io;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::tree::DEEPEST;
use crate::exchange::store::Folder;

/// What has a name in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name below the tree, with those of the folders on the way.
    pub name: Vec<u8>,
    /// What it is; of a link that is followed, what it leads to.
    pub kind: Kind,
    /// Whether it is a link.
    pub is_link: bool,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file of so many bytes.
    File(u64),
    /// A link that is not followed or leads nowhere, a FIFO, a device, a socket.
    Other,
}

/// A tree that is looked through.
pub struct Walk {
    levels: Vec<Level>,
    /// The name of the folder that is read now, with a slash at its end.
    name: Vec<u8>,
    follows: bool,
}

struct Level {
    folder: Folder,
    entries: Dir,
    id: (u64, u64),
    /// How long the name is of the folder above.
    outer: usize,
}

impl Walk {
    /// In front of the first entry.
    pub fn begin(folder: Folder, follows: bool) -> io::Result<Walk> {
        Ok(Walk { levels: vec![Level::open(folder, 0)?], name: Vec::new(), follows })
    }

    /// The next entry. One that went meanwhile is passed over, and so is a folder that a link in it leads back to.
    pub fn next(&mut self) -> io::Result<Option<Entry>> {
        while let Some(level) = self.levels.last_mut() {
            let Some(found) = level.entries.read() else {
                self.name.truncate(level.outer);
                self.levels.pop();
                continue;
            };
            let found = found?;
            let name = found.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(own) = rustix::fs::statat(&level.folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_link = FileType::from_raw_mode(own.st_mode) == FileType::Symlink;
            let stat = match is_link && self.follows {
                true => rustix::fs::statat(&level.folder, name, AtFlags::empty()).unwrap_or(own),
                false => own,
            };
            let whole = [self.name.as_slice(), name.to_bytes()].concat();
            let mut kind = kind(&stat);
            if kind == Kind::Folder {
                match self.enter(name.to_bytes(), &stat, is_link) {
                    Ok(true) => {}
                    // In a circle: no other name leads there.
                    Ok(false) => kind = Kind::Other,
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            return Ok(Some(Entry { name: whole, kind, is_link }));
        }
        Ok(None)
    }

    /// What is in a folder comes next.
    fn enter(&mut self, name: &[u8], stat: &Stat, is_link: bool) -> Result<bool, Errno> {
        let Some(level) = self.levels.last() else { return Ok(false) };
        if self.levels.iter().any(|level| level.id == (stat.st_dev, stat.st_ino)) {
            return Ok(false);
        }
        if self.levels.len() >= DEEPEST {
            return Err(Errno::NAMETOOLONG);
        }
        let nofollow = if is_link { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | nofollow;
        let inner = File::from(rustix::fs::openat(&level.folder, name, flags, Mode::empty())?);
        let outer = self.name.len();
        let level = Folder::try_from(inner).and_then(|folder| Level::open(folder, outer));
        self.levels.push(level.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?);
        self.name.extend_from_slice(name);
        self.name.push(b'/');
        Ok(true)
    }
}

impl Level {
    fn open(folder: Folder, outer: usize) -> io::Result<Level> {
        let stat = rustix::fs::fstat(&folder)?;
        Ok(Level { entries: Dir::read_from(&folder)?, folder, id: (stat.st_dev, stat.st_ino), outer })
    }
}

fn kind(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Folder,
        FileType::RegularFile => Kind::File(stat.st_size as u64),
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::symlinks::Symlinks;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn by_their_whole_names() {
        let at = tempfile::tempdir().unwrap();
        fs::create_dir_all(at.path().join("tree/sub/deep")).unwrap();
        fs::create_dir_all(at.path().join("beside")).unwrap();
        fs::write(at.path().join("tree/sub/deep/a"), "text").unwrap();
        fs::write(at.path().join("beside/b"), "").unwrap();
        symlink("..", at.path().join("tree/sub/up")).unwrap();
        symlink("../beside", at.path().join("tree/link")).unwrap();
        symlink("nowhere", at.path().join("tree/broken")).unwrap();
        for (follows, expected) in [
            (false, "broken Other, link Other, sub Folder, sub/deep Folder, sub/deep/a File(4), sub/up Other"),
            (
                true,
                "broken Other, link Folder, link/b File(0), sub Folder, sub/deep Folder, sub/deep/a File(4), sub/up Other",
            ),
        ] {
            let path = at.path().join("tree");
            let folder = Folder::open(path.as_os_str().as_bytes(), &Symlinks::Followed).unwrap();
            let mut walk = Walk::begin(folder, follows).unwrap();
            let mut all = Vec::new();
            while let Some(entry) = walk.next().unwrap() {
                all.push(format!("{} {:?}", String::from_utf8(entry.name).unwrap(), entry.kind));
            }
            all.sort();
            assert_eq!(all.join(", "), expected);
        }
    }

    #[test]
    fn so_deep_and_no_deeper() {
        let at = tempfile::tempdir().unwrap();
        let root = Folder::open(at.path().as_os_str().as_bytes(), &Symlinks::Followed).unwrap();
        for (name, depth, fits) in [("fits", DEEPEST - 1, true), ("deep", DEEPEST, false)] {
            let tree = root.enter(name.as_bytes(), 0o700).unwrap();
            let mut folder = tree.again().unwrap();
            for _ in 0..depth {
                folder = folder.enter(b"f", 0o700).unwrap();
            }
            let mut walk = Walk::begin(tree, false).unwrap();
            let read = (0..depth).try_for_each(|_| walk.next().map(|entry| assert!(entry.is_some())));
            assert_eq!(read.is_ok(), fits, "{name}");
        }
    }
}
