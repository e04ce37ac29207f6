//! Opening a path with a rule about symbolic links on its way (`disable_symlinks`). The walk holds a
//! handle on each folder, so nobody can swap a component between the check and the use.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open as open_path, openat};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat};

/// The rule about symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symlinks {
    /// They are followed.
    #[default]
    Followed,
    /// A link in the path, after so many leading bytes, is refused (`from=`).
    Refused {
        /// Bytes at the front of the path that may hold links.
        from: usize,
    },
    /// The same, unless link and target have one owner.
    OwnersOnly {
        /// Bytes at the front of the path that may hold links.
        from: usize,
    },
}

impl Symlinks {
    /// The same rule with so many leading bytes trusted.
    pub fn trusting(self, from: usize) -> Self {
        match self {
            Symlinks::Followed => Symlinks::Followed,
            Symlinks::Refused { .. } => Symlinks::Refused { from },
            Symlinks::OwnersOnly { .. } => Symlinks::OwnersOnly { from },
        }
    }
}

/// Opens a path for reading under the rule; a refused link is `ELOOP`, and a link of another owner
/// is `ELOOP` too, as nginx.
pub fn open(path: &[u8], rule: &Symlinks) -> io::Result<File> {
    let (from, owners) = match *rule {
        Symlinks::Followed => (path.len(), false),
        Symlinks::Refused { from } => (from, false),
        Symlinks::OwnersOnly { from } => (from, true),
    };
    let last = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let folder = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let (head, rest) = path.split_at(from.min(path.len()));
    if rest.iter().all(|&b| b == b'/') {
        return Ok(File::from(open_path(path, last, Mode::empty())?));
    }
    let start: &[u8] = if head.is_empty() && rest.starts_with(b"/") { b"/" } else { head };
    let start = if start.is_empty() { b".".as_slice() } else { start };
    let mut at: OwnedFd = open_path(start, folder, Mode::empty())?;
    let parts: Vec<&[u8]> = rest.split(|&b| b == b'/').filter(|part| !part.is_empty()).collect();
    let wants_folder = path.ends_with(b"/");
    for (i, part) in parts.iter().enumerate() {
        let flags = if i + 1 < parts.len() || wants_folder { folder } else { last };
        let flags = if i + 1 == parts.len() && wants_folder { last | OFlag::O_DIRECTORY } else { flags };
        at = if owners { open_owned(&at, part, flags)? } else { open_unlinked(&at, part, flags)? };
    }
    Ok(File::from(at))
}

fn open_unlinked(folder: &OwnedFd, part: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
    match openat(folder, part, flags | OFlag::O_NOFOLLOW, Mode::empty()) {
        // A link where a folder is wanted is no folder to the system; to us it is a link.
        Err(Errno::ENOTDIR) if is_link(folder, part) => Err(Errno::ELOOP),
        done => done,
    }
}

fn is_link(folder: &OwnedFd, part: &[u8]) -> bool {
    fstatat(folder, part, AtFlags::AT_SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFLNK)
}

fn open_owned(folder: &OwnedFd, part: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
    match openat(folder, part, flags | OFlag::O_NOFOLLOW, Mode::empty()) {
        Err(Errno::ELOOP | Errno::ENOTDIR) => {}
        done => return done,
    }
    // A link a moment ago. Whatever stands there now must have the owner of what was opened: whoever swaps the link
    // for a file of their own in between gains nothing.
    let target = openat(folder, part, flags, Mode::empty())?;
    let there = fstatat(folder, part, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    match there.st_uid == fstat(target.as_fd())?.st_uid {
        true => Ok(target),
        false => Err(Errno::ELOOP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn links_by_rule() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("real")).unwrap();
        std::fs::write(folder.path().join("real/a"), "x").unwrap();
        std::os::unix::fs::symlink("real", folder.path().join("way")).unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("real/b")).unwrap();
        let prefix = folder.path().as_os_str().as_bytes();
        let (refused, owners) = (Symlinks::Refused { from: 0 }, Symlinks::OwnersOnly { from: 0 });
        let from_real = Symlinks::Refused { from: prefix.len() + 4 };
        for (name, rule, works) in [
            ("/real/a", refused, true),
            ("/real/b", refused, false),
            ("/way/a", refused, false),
            ("/way/a", owners, true),
            ("/real/b", owners, true),
            ("/way/a", from_real, true),
            ("/way/b", from_real, false),
        ] {
            let path = [prefix, name.as_bytes()].concat();
            assert_eq!(open(&path, &rule).is_ok(), works, "{name} {rule:?}");
        }
    }
}
