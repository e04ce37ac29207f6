//! Opening log files with root's rights. A folder of logs may belong to the server's user, who could put a
//! symbolic link in a log's place and have root write where it leads; so only links of root's own are followed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

use crate::server::logfile::{FileSystem, Source};

/// Links behind links.
const MOST_LINKS: usize = 16;

/// The file system as root may use it.
#[derive(Debug, Clone, Copy, Default)]
pub struct RootFiles;

impl Source for RootFiles {
    fn open(&self, path: &Path) -> io::Result<File> {
        let mut path = path.to_path_buf();
        for _ in 0..MOST_LINKS {
            if path.starts_with("/dev") {
                return FileSystem.open(&path);
            }
            match target(&path)? {
                Some(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
                // A link that takes the file's place now is not followed but refused.
                None => {
                    let mut options = OpenOptions::new();
                    return options.append(true).create(true).custom_flags(nix::libc::O_NOFOLLOW).open(&path);
                }
            }
        }
        Err(io::Error::from_raw_os_error(nix::libc::ELOOP))
    }
}

/// Where a symbolic link leads; none where there is no link. The link is held open, so what is asked and what is read
/// is the same one.
fn target(path: &Path) -> io::Result<Option<PathBuf>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(held) => File::from(held),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = held.metadata()?;
    if !found.is_symlink() {
        return Ok(None);
    }
    if found.uid() != 0 {
        let text = "it is a symbolic link that does not belong to root";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    let target = rustix::fs::readlinkat(&held, "", Vec::new())?;
    Ok(Some(crate::conf::args::bytes_to_path(target.as_bytes()).to_path_buf()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{lchown, symlink};

    #[test]
    fn files_are_made_and_links_of_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let own = nix::unistd::geteuid().is_root();
        RootFiles.open(&path("new.log")).unwrap();
        assert!(path("new.log").exists());
        symlink("new.log", path("link")).unwrap();
        symlink("/dev/null", path("null")).unwrap();
        symlink("circle", path("circle")).unwrap();
        assert_eq!(RootFiles.open(&path("link")).is_ok(), own);
        assert_eq!(RootFiles.open(&path("null")).is_ok(), own);
        assert!(RootFiles.open(&path("circle")).is_err());
        assert!(RootFiles.open(&path("none/a.log")).is_err());
        if !own {
            return eprintln!("only root can give a link away: not tried");
        }
        symlink("stolen", path("trap")).unwrap();
        lchown(path("trap"), Some(65534), Some(65534)).unwrap();
        let error = RootFiles.open(&path("trap")).unwrap_err();
        assert_eq!(error.to_string(), "it is a symbolic link that does not belong to root");
        assert!(!path("stolen").exists());
    }
}
