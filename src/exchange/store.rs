//! Writing files below a folder that is held open: a draft has no name until it is whole, so nobody ever sees half a file
//! and a draft that is dropped leaves nothing. Knows handles and names, no request and no rule about who may write.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

#[cfg(test)]
use rustix::fs::Dir;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::account::{self, Accounts, Hold};
use super::symlinks::{self, Symlinks};

/// Attempts to find a name of our own that nobody has.
const TRIES: usize = 8;
/// How the names begin that drafts have where the file system knows no files without one, and for a moment while one file
/// takes the place of another.
pub const MARK: &[u8] = b".longshore-";

/// An open folder.
#[derive(Debug)]
pub struct Folder(File);

/// What there is under a name; a symbolic link is itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A folder.
    Folder,
    /// A regular file of so many bytes.
    File(u64),
    /// A link, a FIFO, a device, a socket.
    Other,
}

impl Folder {
    /// Opens one under a rule about symbolic links on its way.
    pub fn open(path: &[u8], rule: &Symlinks) -> io::Result<Folder> {
        symlinks::open(path, rule)?.try_into()
    }

    /// What there is under a name.
    pub fn find(&self, name: &[u8]) -> io::Result<Found> {
        let stat = self.stat(name)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Found::Folder,
            FileType::RegularFile => Found::File(stat.st_size as u64),
            _ => Found::Other,
        })
    }

    /// What the system says of a name; a link is itself.
    pub fn stat(&self, name: &[u8]) -> io::Result<Stat> {
        Ok(rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Makes a folder in it and opens that; one that is there already is opened.
    pub fn enter(&self, name: &[u8], mode: u32) -> io::Result<Folder> {
        match self.make(name, mode) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => self.inner(name),
        }
    }

    /// Opens a folder in it; a link to one is none.
    pub fn inner(&self, name: &[u8]) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let inner: OwnedFd = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        Ok(Folder(inner.into()))
    }

    /// The same folder, for somebody else to hold.
    pub fn again(&self) -> io::Result<Folder> {
        Ok(Folder(self.0.try_clone()?))
    }

    /// Makes a folder in it.
    pub fn make(&self, name: &[u8], mode: u32) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(mode))?)
    }

    /// Removes a file's name.
    pub fn remove(&self, name: &[u8]) -> io::Result<()> {
        Ok(self.unlink(name, &Accounts::of(self)?)?)
    }

    /// The same of a folder whose accounts are known.
    pub fn unlink(&self, name: &[u8], accounts: &Accounts) -> Result<(), Errno> {
        let file = if accounts.is_empty() { None } else { self.file(name) };
        rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?;
        file.into_iter().for_each(|(id, bytes)| accounts.remove(id, bytes));
        Ok(())
    }

    /// Gives a file another name there, in the place of what has it; it counts in these accounts then.
    pub fn carry(&self, name: &[u8], to: &Folder, new: &[u8], into: &Accounts) -> io::Result<()> {
        let from = Accounts::of(self)?;
        let file = self.file(name).filter(|_| !from.is_empty() || !into.is_empty());
        let Some((file, bytes)) = file else { return self.rename(name, to, new) };
        let replaced = to.file(new).filter(|(id, _)| *id != file);
        account::may_carry(&from, into, bytes, replaced)?;
        self.rename(name, to, new)?;
        account::carry(&from, into, (file, bytes), replaced);
        Ok(())
    }

    /// The file under a name, as accounts know it.
    pub fn file(&self, name: &[u8]) -> Option<(account::Id, u64)> {
        self.stat(name).ok().as_ref().and_then(account::file_of)
    }

    /// Gives what has a name here another one there, which may be taken. Where one of the two is no file, or both count alike.
    pub fn rename(&self, name: &[u8], to: &Folder, new: &[u8]) -> io::Result<()> {
        self.disturb(to)?;
        Ok(rustix::fs::renameat(&self.0, name, &to.0, new)?)
    }

    /// Gives what has a name here one in another folder, or in this, that nobody has: which.
    pub fn put_aside(&self, name: &[u8], to: &Folder) -> io::Result<Vec<u8>> {
        self.disturb(to)?;
        let (own, ()) = to.under_some_name(|own| rustix::fs::renameat(&self.0, name, &to.0, own))?;
        Ok(own)
    }

    /// A count of what is below must know that names change.
    fn disturb(&self, to: &Folder) -> io::Result<()> {
        if account::is_counting() {
            Accounts::of(self)?.disturb();
            Accounts::of(to)?.disturb();
        }
        Ok(())
    }

    /// A path to a name in it that stays true when folders above it are moved, for as long as this folder is open.
    pub fn path_of(&self, name: &[u8]) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd())).join(OsStr::from_bytes(name))
    }

    /// The regular files in it by name and size. Drafts are left out.
    #[cfg(test)]
    fn files(&self) -> io::Result<Vec<(Vec<u8>, Stat)>> {
        let mut files = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let is_ours = name.starts_with(MARK) || name == b"." || name == b"..";
            if is_ours || !matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown) {
                continue;
            }
            // Gone meanwhile, or no file after all.
            let Ok(stat) = self.stat(name) else { continue };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                files.push((name.to_vec(), stat));
            }
        }
        Ok(files)
    }

    /// Returns when the names in it are on disk.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    /// Begins a file that is to stand in this folder, or in one below it.
    pub fn draft(&self, mode: u32) -> io::Result<Draft> {
        self.draft_in(mode, Accounts::of(self)?)
    }

    /// The same where it is known what its bytes count in.
    pub fn draft_in(&self, mode: u32, accounts: Accounts) -> io::Result<Draft> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&self.0, ".", flags | OFlags::TMPFILE, Mode::from_raw_mode(mode));
        let (file, named) = match made {
            Ok(file) => (File::from(file), None),
            // Some file systems and old kernels know no files without a name.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                let (name, file) = self.under_some_name(|name| {
                    let flags = flags | OFlags::CREATE | OFlags::EXCL;
                    rustix::fs::openat(&self.0, name, flags, Mode::from_raw_mode(mode))
                })?;
                (File::from(file), Some((Folder(self.0.try_clone()?), name)))
            }
            Err(error) => return Err(error.into()),
        };
        // The umask is for files that people make by hand; this mode stands in the conf.
        let visible = match &named {
            Some(_) => Some(account::id(&rustix::fs::fstat(&file)?)),
            None => None,
        };
        let draft = Draft { file, named, len: 0, hold: Hold::new(accounts, visible) };
        rustix::fs::fchmod(&draft.file, Mode::from_raw_mode(mode))?;
        Ok(draft)
    }

    /// Does something with a name that nobody has.
    pub fn under_some_name<T>(&self, make: impl Fn(&[u8]) -> Result<T, Errno>) -> io::Result<(Vec<u8>, T)> {
        for _ in 0..TRIES {
            let number = getrandom::u64().unwrap_or_else(|_| fastrand::u64(..));
            let name = [MARK, format!("{number:016x}").as_bytes()].concat();
            match make(&name) {
                Ok(made) => return Ok((name, made)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl TryFrom<File> for Folder {
    type Error = io::Error;

    fn try_from(file: File) -> io::Result<Folder> {
        match file.metadata()?.is_dir() {
            true => Ok(Folder(file)),
            false => Err(Errno::NOTDIR.into()),
        }
    }
}

/// A file that is being written and that nobody sees.
#[derive(Debug)]
pub struct Draft {
    /// The file.
    pub file: File,
    /// Its name for the time being, where it needs one.
    named: Option<(Folder, Vec<u8>)>,
    len: u64,
    /// What it counts as meanwhile.
    hold: Hold,
}

impl Draft {
    /// Adds bytes at the end.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hold.grow(bytes.len() as u64)?;
        self.len += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// What its bytes count in until it appears.
    pub fn hold(&mut self) -> &mut Hold {
        &mut self.hold
    }

    /// How many bytes were written.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The file appears under a name that nobody has; `AlreadyExists` if somebody does.
    pub fn publish_new(&mut self, folder: &Folder, name: &[u8]) -> io::Result<()> {
        self.settle(folder, None, |draft| draft.appear_new(folder, name))
    }

    /// The file appears under a name, in one step in the place of what had it.
    pub fn publish(&mut self, folder: &Folder, name: &[u8]) -> io::Result<()> {
        let replaced = if account::is_any() { folder.file(name) } else { None };
        self.settle(folder, replaced, |draft| draft.appear(folder, name))
    }

    /// Has it appear, and its bytes count as those of a file from then on.
    fn settle(
        &mut self,
        folder: &Folder,
        replaced: Option<(account::Id, u64)>,
        appear: impl FnOnce(&mut Draft) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut into = Accounts::of(folder)?;
        if into.is_empty() && self.hold.accounts().is_empty() {
            return appear(self);
        }
        into.limit_as(self.hold.accounts());
        let file = account::id(&rustix::fs::fstat(&self.file)?);
        self.hold.show(&into, file, replaced)?;
        let done = appear(self);
        match done.is_ok() {
            true => self.hold.store(&into, file, replaced),
            false => self.hold.hide(&into, file),
        }
        done
    }

    fn appear_new(&mut self, folder: &Folder, name: &[u8]) -> io::Result<()> {
        match &self.named {
            None => self.link(folder, name)?,
            Some((from, old)) => {
                rustix::fs::renameat_with(&from.0, old.as_slice(), &folder.0, name, RenameFlags::NOREPLACE)?;
                self.named = None;
            }
        }
        Ok(())
    }

    fn appear(&mut self, folder: &Folder, name: &[u8]) -> io::Result<()> {
        if self.named.is_none() {
            match self.link(folder, name) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let (own, ()) = folder.under_some_name(|own| self.link(folder, own))?;
            self.named = Some((Folder(folder.0.try_clone()?), own));
        }
        if let Some((from, old)) = &self.named {
            from.rename(old, folder, name)?;
            self.named = None;
        }
        Ok(())
    }

    fn link(&self, folder: &Folder, name: &[u8]) -> Result<(), Errno> {
        let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        rustix::fs::linkat(CWD, own, &folder.0, name, AtFlags::SYMLINK_FOLLOW)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some((folder, name)) = &self.named {
            // Nobody is left who could be told.
            let _ = rustix::fs::unlinkat(&folder.0, name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let at = tempfile::tempdir().unwrap();
        let folder = Folder::open(at.path().as_os_str().as_bytes(), &Symlinks::Followed).unwrap();
        (at, folder)
    }

    fn names(at: &tempfile::TempDir) -> Vec<String> {
        let names = std::fs::read_dir(at.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    /// A draft as file systems make it that know no files without a name.
    fn named_draft(folder: &Folder) -> Draft {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let open = |name: &[u8]| rustix::fs::openat(&folder.0, name, flags, Mode::RUSR | Mode::WUSR);
        let (name, file) = folder.under_some_name(open).unwrap();
        let named = Some((Folder(folder.0.try_clone().unwrap()), name));
        Draft { file: file.into(), named, len: 0, hold: Hold::default() }
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_nothing() {
        let (at, folder) = folder();
        for make in [|folder: &Folder| folder.draft(0o600).unwrap(), named_draft] {
            let mut draft = make(&folder);
            draft.write(b"half").unwrap();
            assert_eq!((draft.len(), draft.is_empty()), (4, false));
            assert!(folder.files().unwrap().is_empty());
            drop(draft);
            assert_eq!(names(&at), [""; 0]);
        }
    }

    #[test]
    fn a_draft_appears_whole_and_over_what_was_there() {
        let (at, folder) = folder();
        for make in [|folder: &Folder| folder.draft(0o640).unwrap(), named_draft] {
            for text in ["one", "two"] {
                let mut draft = make(&folder);
                draft.write(text.as_bytes()).unwrap();
                draft.publish(&folder, b"a").unwrap();
                drop(draft);
                assert_eq!(std::fs::read_to_string(at.path().join("a")).unwrap(), text);
            }
            let mut late = make(&folder);
            assert_eq!(late.publish_new(&folder, b"a").unwrap_err().kind(), ErrorKind::AlreadyExists);
            late.publish_new(&folder, b"b").unwrap();
            drop(late);
            let mut all = names(&at);
            all.sort();
            assert_eq!(all, ["a", "b"]);
            folder.remove(b"b").unwrap();
        }
    }

    #[test]
    fn only_files_are_listed() {
        let (at, folder) = folder();
        std::fs::write(at.path().join("a"), "12345").unwrap();
        std::fs::write(at.path().join(".longshore-1"), "").unwrap();
        std::os::unix::fs::symlink("a", at.path().join("link")).unwrap();
        folder.enter(b"sub", 0o700).unwrap().make(b"deep", 0o700).unwrap();
        let files: Vec<_> = folder.files().unwrap().into_iter().map(|(name, stat)| (name, stat.st_size)).collect();
        assert_eq!(files, [(b"a".to_vec(), 5)]);
        assert_eq!(folder.find(b"sub").unwrap(), Found::Folder);
        assert_eq!(folder.find(b"link").unwrap(), Found::Other);
        assert_eq!(folder.find(b"a").unwrap(), Found::File(5));
        let own = folder.put_aside(b"sub", &folder).unwrap();
        assert!(own.starts_with(MARK) && folder.inner(&own).is_ok() && folder.inner(b"link").is_err());
        assert_eq!(folder.find(b"sub").unwrap_err().kind(), ErrorKind::NotFound);
    }
}
