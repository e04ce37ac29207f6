//! When files that are stored were changed, as far as their tags depend on it: no two versions of a file have one time and one size.
//! Knows no tag and no request.

use std::fs::FileTimes;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, Stat, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use super::store::{Draft, Folder};

impl Folder {
    /// Dates a file now where its second and its size are those of another whose place it is to take: the two would have one tag.
    pub fn differ(&self, name: &[u8], to: &Folder, new: &[u8]) -> io::Result<()> {
        let (Ok(own), Ok(there)) = (self.stat(name), to.stat(new)) else { return Ok(()) };
        let is_file = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let alike = (own.st_mtime, own.st_size) == (there.st_mtime, there.st_size);
        if !alike || !is_file(&own) || !is_file(&there) {
            return Ok(());
        }
        // Both times: so much may be done by whoever may write to the file. It is another's to keep its time otherwise.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        match rustix::fs::utimensat(self, name, &times, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::ACCESS | Errno::PERM) => Ok(()),
            done => Ok(done?),
        }
    }
}

impl Draft {
    /// Dates it: to the second by hand, or all of it now. No two files that are dated by the clock have the same time.
    pub fn date(&self, second: Option<u64>) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = second.map_or(now, |second| Duration::new(second, now.subsec_nanos()));
        self.file.set_times(FileTimes::new().set_modified(UNIX_EPOCH + time))
    }

    /// Dates it anew where its second and its size are those of the file whose place it takes: the two would have one tag.
    pub fn differ(&self, folder: &Folder, name: &[u8]) -> io::Result<()> {
        let (own, Ok(there)) = (rustix::fs::fstat(&self.file)?, folder.stat(name)) else { return Ok(()) };
        match (own.st_mtime, own.st_size) == (there.st_mtime, there.st_size) {
            true => self.date(None),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::symlinks::Symlinks;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;

    const SECOND: u64 = 1_700_000_000;

    fn place(at: &tempfile::TempDir) -> Folder {
        Folder::open(at.path().as_os_str().as_bytes(), &Symlinks::Followed).unwrap()
    }

    #[test]
    fn what_takes_the_place_of_a_file_of_its_second_and_size_is_dated_anew() {
        let at = tempfile::tempdir().unwrap();
        let folder = place(&at);
        for (old, is_new) in [("text", true), ("longer text", false)] {
            fs::write(at.path().join("old"), old).unwrap();
            let file = fs::File::open(at.path().join("old")).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(SECOND)).unwrap();

            let mut draft = folder.draft(0o600).unwrap();
            draft.write(b"news").unwrap();
            draft.date(Some(SECOND)).unwrap();
            assert_eq!(draft.file.metadata().unwrap().mtime() as u64, SECOND);
            draft.differ(&folder, b"old").unwrap();
            assert_eq!(draft.file.metadata().unwrap().mtime() as u64 != SECOND, is_new, "{old}");

            fs::write(at.path().join("new"), "news").unwrap();
            let file = fs::File::open(at.path().join("new")).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(SECOND)).unwrap();
            folder.differ(b"new", &folder, b"old").unwrap();
            assert_eq!(file.metadata().unwrap().mtime() as u64 != SECOND, is_new, "{old}");
            folder.differ(b"new", &folder, b"none").unwrap();
        }
    }
}
