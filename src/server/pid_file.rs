//! The pid file: written by a server, read by `-s`. Its folder may belong to somebody else, so the file is walked to as logs
//! are, never emptied through another name, and removed only while it is the one that was written and names this process.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};

use crate::conf::way::{self, Links, Spot, by_handle};

/// The longest number with what may stand around it.
const MOST: u64 = 64;
/// A file that is made and removed again and again meanwhile.
const MOST_TRIES: usize = 16;

/// A pid file that goes away with this value.
#[derive(Debug)]
pub struct PidFile {
    spot: Spot,
    /// Kept open: where the folder is closed later, it can still be emptied.
    file: File,
}

impl PidFile {
    /// Opens the file; it holds nothing yet.
    pub fn open(path: &Path) -> io::Result<PidFile> {
        let spot = Spot::behind(path, Links::of_this_process())?;
        let is_root = rustix::process::geteuid().is_root();
        for _ in 0..MOST_TRIES {
            let Some((held, stat)) = spot.look()? else {
                let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                match rustix::fs::openat(spot.folder(), spot.name(), flags, Mode::from_raw_mode(0o644)) {
                    // Another has made it since.
                    Err(rustix::io::Errno::EXIST) => continue,
                    file => return Ok(PidFile { file: File::from(file?), spot }),
                }
            };
            // Whoever owns the file, or gave it another name, could change what it says or lose what stands in it.
            if is_root && is_file(&stat) && (stat.st_uid != 0 || (!spot.is_sure() && stat.st_nlink > 1)) {
                spot.remove(|found| (found.st_dev, found.st_ino) == (stat.st_dev, stat.st_ino))?;
                continue;
            }
            if !is_file(&stat) && !is_null(&stat) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
            }
            let file = rustix::fs::openat(CWD, by_handle(held.as_fd()), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
            return Ok(PidFile { file: File::from(file?), spot });
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Writes this process's number.
    pub fn write(&mut self) -> io::Result<()> {
        self.empty()?;
        self.file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)
    }

    /// The folder that it lies in and its name there.
    pub fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Whether another server has written its number there since, or had before this one came to that.
    fn names_another(&self) -> bool {
        let mut text = [0; MOST as usize];
        let read = self.file.read_at(&mut text, 0).unwrap_or(0);
        let number = std::str::from_utf8(&text[..read]).ok().and_then(|text| text.trim().parse::<u32>().ok());
        number.is_some_and(|number| number != std::process::id())
    }

    fn empty(&self) -> io::Result<()> {
        if self.file.metadata()?.is_file() { self.file.set_len(0) } else { Ok(()) }
    }

    /// Reads the process that a pid file names. Root believes what others wrote of their own processes only.
    pub fn read(path: &Path) -> io::Result<i32> {
        let file = way::open_to_read(path)?;
        let owner = file.metadata()?.uid();
        let mut text = String::new();
        file.take(MOST).read_to_string(&mut text)?;
        let number = text.trim().parse().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it holds no process id"))?;
        let is_theirs = || std::fs::metadata(format!("/proc/{number}")).map_or(true, |found| found.uid() == owner);
        if rustix::process::geteuid().is_root() && owner != 0 && !is_theirs() {
            let text = format!("it belongs to user {owner}, and process {number} does not");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(number)
    }
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn is_null(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == rustix::fs::makedev(1, 3)
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let Ok(own) = self.file.metadata() else { return };
        if self.names_another() {
            return;
        }
        let removed = self.spot.remove(|stat| is_file(stat) && (stat.st_dev, stat.st_ino) == (own.dev(), own.ino()));
        // Without rights on its folder the file cannot go; then at least it names nobody.
        if removed.is_err() {
            let _ = self.empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    #[test]
    fn a_pid_file_comes_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let mut file = PidFile::open(&path).unwrap();
        assert!(PidFile::read(&path).is_err());
        file.write().unwrap();
        assert_eq!(PidFile::read(&path).unwrap().cast_unsigned(), std::process::id());
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn the_file_of_the_next_server_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let file = PidFile::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let next = PidFile::open(&path).unwrap();
        drop(file);
        assert!(path.exists());
        drop(next);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_names_another_server_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let mut file = PidFile::open(&path).unwrap();
        file.write().unwrap();
        file.write().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        std::fs::write(&path, "1\n").unwrap();
        drop(file);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
        // One that ends before it has written anything.
        drop(PidFile::open(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
    }

    #[test]
    fn the_device_for_nothing_is_written_to_and_stays() {
        let mut file = PidFile::open(Path::new("/dev/null")).unwrap();
        file.write().unwrap();
        drop(file);
        assert!(Path::new("/dev/null").exists());
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert!(PidFile::open(&pipe).is_err() && PidFile::read(&pipe).is_err());
    }

    #[test]
    fn root_empties_nothing_and_believes_nobody() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: only root can give files away");
        }
        const OTHER: u32 = 3_999_999;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        chown(folder.path(), Some(OTHER), None).unwrap();
        std::fs::write(path("precious"), "text").unwrap();
        std::fs::hard_link(path("precious"), path("second")).unwrap();
        symlink("precious", path("link")).unwrap();
        std::os::unix::fs::lchown(path("link"), Some(OTHER), None).unwrap();
        PidFile::open(&path("second")).unwrap().write().unwrap();
        assert!(PidFile::open(&path("link")).is_err());
        assert_eq!(std::fs::read_to_string(path("precious")).unwrap(), "text");
        std::fs::write(path("theirs"), std::process::id().to_string()).unwrap();
        chown(path("theirs"), Some(OTHER), None).unwrap();
        let error = PidFile::read(&path("theirs")).unwrap_err().to_string();
        assert!(error.contains("it belongs to user 3999999"), "{error}");
        let mut taken = PidFile::open(&path("theirs")).unwrap();
        taken.write().unwrap();
        assert_eq!(PidFile::read(&path("theirs")).unwrap().cast_unsigned(), std::process::id());
    }
}
