//! The files of `client_body_in_file_only`: a request's body lies in one under a name, which a program is told. What is removed, and
//! when, stands here.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How files with a name are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Naming {
    /// How many digits each subfolder's name has, as in `client_body_temp_path`; 0 for no further one.
    pub levels: [u8; 3],
    /// Whether the file stays when its request is over.
    pub stays: bool,
}

/// A file's name. Dropped, it is removed, unless it is to stay and all of it was written.
#[derive(Debug)]
pub struct Name {
    path: PathBuf,
    stays: bool,
    whole: bool,
}

impl Name {
    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of it was written.
    pub fn complete(&mut self) {
        self.whole = true;
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if !(self.stays && self.whole) {
            // A program may have moved it elsewhere by now.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The number of the last name.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// How far the next number lies behind one that is taken: files that stay are left behind by earlier processes.
const STRIDE: u32 = 123_457;
/// How many taken names are passed over before the folder counts as full.
const TRIES: usize = 10_000;

/// Makes a file with a name in the folder, which is made at first need with its subfolders. Only this user may read it.
pub fn named(folder: &Path, naming: Naming) -> io::Result<(File, Name)> {
    let mut number = NUMBER.fetch_add(1, Relaxed).wrapping_add(1);
    for _ in 0..TRIES {
        let path = path(folder, naming.levels, number);
        match create(&path) {
            Ok(file) => return Ok((file, Name { path, stays: naming.stays, whole: false })),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                number = NUMBER.fetch_add(STRIDE, Relaxed).wrapping_add(STRIDE);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let parent = path.parent().unwrap_or(folder);
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Subfolders are named by the last digits of the number, as in nginx: `9/78/0000000789` for the levels 1 and 2.
fn path(folder: &Path, levels: [u8; 3], number: u32) -> PathBuf {
    let digits = format!("{number:010}");
    let (mut path, mut end) = (folder.to_path_buf(), digits.len());
    for level in levels.into_iter().map(usize::from).filter(|&level| level > 0) {
        path.push(&digits[end - level..end]);
        end -= level;
    }
    path.push(digits);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subfolders_are_the_last_digits() {
        for (levels, want) in [
            ([0, 0, 0], "f/0000012345"),
            ([1, 0, 0], "f/5/0000012345"),
            ([1, 2, 0], "f/5/34/0000012345"),
            ([3, 3, 3], "f/345/012/000/0000012345"),
        ] {
            assert_eq!(path(Path::new("f"), levels, 12345), Path::new(want));
        }
    }

    #[test]
    fn a_name_goes_unless_its_file_is_whole_and_to_stay() {
        let folder = tempfile::tempdir().unwrap();
        for (stays, whole) in [(false, false), (false, true), (true, false), (true, true)] {
            let naming = Naming { levels: [1, 0, 0], stays };
            let (_, mut name) = named(&folder.path().join("made/at/need"), naming).unwrap();
            if whole {
                name.complete();
            }
            let path = name.path().to_path_buf();
            assert!(path.exists());
            drop(name);
            assert_eq!(path.exists(), stays && whole);
        }
    }

    #[test]
    fn a_name_that_is_taken_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        // Other tests take numbers too.
        let next = NUMBER.load(Relaxed);
        for number in next..next + 2000 {
            std::os::unix::fs::symlink("/nowhere", path(folder.path(), [0; 3], number)).unwrap();
        }
        let (_, name) = named(folder.path(), Naming::default()).unwrap();
        assert!(std::fs::symlink_metadata(name.path()).unwrap().is_file());
    }
}
