//! A folder that goes with all that is in it, a little at a time: a large tree holds no worker, and a deep one no more
//! descriptors than a few. Links go, what they lead to stays. Must not know requests.

use std::ffi::CStr;
use std::io::{self, ErrorKind};
use std::time::Instant;

use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use super::asking::Asked;
use super::tree::DEEPEST;
use crate::exchange::account::Accounts;
use crate::exchange::store::Folder;

/// What is left to remove.
pub struct Removal {
    parent: Folder,
    /// What the files in it count in.
    accounts: Accounts,
    levels: Vec<Level>,
    /// The entries that may go: all of them, or those that were asked for.
    asked: Option<Asked>,
    /// Whether something went, or came up, since a folder was last looked through from its beginning.
    has_moved: bool,
}

/// A folder that is being emptied.
struct Level {
    folder: Folder,
    entries: Dir,
    name: Vec<u8>,
}

impl Removal {
    /// Of what has a name in a folder; a file is gone at once. What is in a folder and was not asked for stays, and so does the
    /// folder.
    pub fn begin(parent: &Folder, name: &[u8], asked: Option<Asked>) -> io::Result<Removal> {
        let accounts = Accounts::of(parent)?;
        let mut removal = Removal { parent: parent.again()?, accounts, levels: Vec::new(), asked, has_moved: false };
        match parent.unlink(name, &removal.accounts) {
            Ok(()) => {}
            Err(Errno::ISDIR) => removal.levels.push(Level::open(parent, name)?),
            Err(error) => return Err(error.into()),
        }
        Ok(removal)
    }

    /// Goes on until a moment; true when nothing is left.
    pub fn go_on(&mut self, until: Instant) -> io::Result<bool> {
        while !self.levels.is_empty() {
            self.take_one()?;
            if Instant::now() >= until {
                break;
            }
        }
        Ok(self.levels.is_empty())
    }

    fn take_one(&mut self) -> io::Result<()> {
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let Some(entry) = level.entries.read() else { return self.leave() };
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") || !self.may_go(name.to_bytes(), entry.file_type()) {
            return Ok(());
        }
        let Some(level) = self.levels.last() else { return Ok(()) };
        if entry.file_type() != FileType::Directory {
            match level.folder.unlink(name.to_bytes(), &self.accounts) {
                // The system did not say what it is.
                Err(Errno::ISDIR) => {}
                Ok(()) | Err(Errno::NOENT) => {
                    self.has_moved = true;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.enter(name)
    }

    /// Whether an entry of the last folder was asked for.
    fn may_go(&self, name: &[u8], kind: FileType) -> bool {
        let Some(asked) = &self.asked else { return true };
        let mut whole = Vec::new();
        for level in self.levels.iter().skip(1) {
            whole.extend_from_slice(&level.name);
            whole.push(b'/');
        }
        whole.extend_from_slice(name);
        let (folder, file) = (asked.has(&whole, true), asked.has(&whole, false));
        match kind {
            FileType::Directory => folder,
            // The system did not say what it is.
            FileType::Unknown => folder || file,
            _ => file,
        }
    }

    fn enter(&mut self, name: &CStr) -> io::Result<()> {
        let (Some(top), Some(root)) = (self.levels.last(), self.levels.first()) else { return Ok(()) };
        if self.levels.len() >= DEEPEST {
            self.has_moved = true;
            return top.folder.put_aside(name.to_bytes(), &root.folder).map(|_| ());
        }
        match Level::open(&top.folder, name.to_bytes()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            level => level.map(|level| self.levels.push(level)),
        }
    }

    /// The last folder was looked through.
    fn leave(&mut self) -> io::Result<()> {
        let Some(mut level) = self.levels.pop() else { return Ok(()) };
        let above = self.levels.last().map_or(&self.parent, |level| &level.folder);
        match rustix::fs::unlinkat(above, level.name.as_slice(), AtFlags::REMOVEDIR) {
            // Something came in meanwhile, or up from deeper.
            Err(Errno::NOTEMPTY) if self.has_moved => {
                self.has_moved = false;
                level.entries.rewind();
                self.levels.push(level);
            }
            Ok(()) | Err(Errno::NOENT) => self.has_moved = true,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Level {
    fn open(above: &Folder, name: &[u8]) -> io::Result<Level> {
        let folder = above.inner(name)?;
        Ok(Level { entries: Dir::read_from(&folder)?, folder, name: name.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::symlinks::Symlinks;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    fn open(at: &std::path::Path) -> Folder {
        Folder::open(at.as_os_str().as_bytes(), &Symlinks::Followed).unwrap()
    }

    #[test]
    fn a_little_at_a_time_and_no_link_is_followed() {
        let at = tempfile::tempdir().unwrap();
        fs::create_dir_all(at.path().join("kept")).unwrap();
        fs::write(at.path().join("kept/file"), "").unwrap();
        for n in 0..50 {
            fs::create_dir_all(at.path().join(format!("tree/{n}/sub"))).unwrap();
            fs::write(at.path().join(format!("tree/{n}/sub/file")), "").unwrap();
            std::os::unix::fs::symlink(at.path().join("kept"), at.path().join(format!("tree/{n}/link"))).unwrap();
        }
        let folder = open(at.path());
        let (mut removal, mut turns) = (Removal::begin(&folder, b"tree", None).unwrap(), 1);
        let over = Instant::now();
        while !removal.go_on(over).unwrap() {
            turns += 1;
        }
        assert!(turns > 200, "{turns}");
        let left: Vec<_> = fs::read_dir(at.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["kept"]);
        assert!(at.path().join("kept/file").exists());
    }

    #[test]
    fn however_deep_it_is() {
        let at = tempfile::tempdir().unwrap();
        let root = open(at.path());
        let mut folder = root.enter(b"deep", 0o700).unwrap();
        // Deeper than a path can say.
        for _ in 0..3000 {
            folder = folder.enter(b"folder", 0o700).unwrap();
            fs::write(folder.path_of(b"file"), "").unwrap();
        }
        drop(folder);
        let mut removal = Removal::begin(&root, b"deep", None).unwrap();
        let later = Instant::now() + std::time::Duration::from_secs(600);
        assert!(removal.go_on(later).unwrap());
        assert_eq!(fs::read_dir(at.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_go_is_an_error_and_no_circle() {
        let at = tempfile::tempdir().unwrap();
        let root = open(at.path());
        assert_eq!(Removal::begin(&root, b"none", None).err().unwrap().kind(), ErrorKind::NotFound);
        fs::write(at.path().join("file"), "").unwrap();
        let now = Instant::now();
        assert!(Removal::begin(&root, b"file", None).unwrap().go_on(now).unwrap());
        assert!(!at.path().join("file").exists());
    }
}
