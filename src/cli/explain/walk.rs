//! The way down to a file: each folder with its owner and mode, and whether this process may pass. Opens nothing.

use std::ffi::OsString;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Gid, Group, Uid, User, access};

use crate::exchange::error::system_words;

/// One step down.
pub struct Stage {
    /// The path so far.
    pub path: PathBuf,
    /// `folder`, `file`, `link to TARGET`; what the system says where there is nothing to see.
    pub kind: String,
    /// The owner's name, or number.
    pub owner: String,
    /// The group's.
    pub group: String,
    /// `drwxr-xr-x`.
    pub mode: String,
    /// Whether the way goes on here: a folder may be entered, a file be read; the folder that is written in, be written in.
    pub is_open: bool,
    /// Whether it is the folder that is written in.
    pub is_target: bool,
}

/// Goes down to a path, as far as the way is open.
pub fn down(path: &Path) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut all: Vec<&Path> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
    all.reverse();
    for (n, step) in all.iter().enumerate() {
        let stage = look(step, n + 1 == all.len());
        let is_open = stage.is_open;
        stages.push(stage);
        if !is_open {
            break;
        }
    }
    stages
}

/// Goes down to the folder that a path is made in: the last one on the way that is there.
pub fn down_to_write(path: &Path) -> Vec<Stage> {
    let folders = path.ancestors().skip(usize::from(!path.as_os_str().as_encoded_bytes().ends_with(b"/")));
    let there =
        |folder: &&Path| std::fs::symlink_metadata(folder).is_ok() || access(*folder, AccessFlags::F_OK).is_ok();
    let Some(folder) = folders.into_iter().find(there) else { return Vec::new() };
    let mut stages = down(folder);
    if let Some(last) = stages.last_mut().filter(|last| last.path == folder) {
        last.is_target = true;
        last.is_open = last.is_open && access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    }
    stages
}

fn look(path: &Path, is_last: bool) -> Stage {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) => {
            let none = String::new;
            let kind = system_words(&error);
            let (owner, group, mode) = (none(), none(), none());
            return Stage { path: path.into(), kind, owner, group, mode, is_open: false, is_target: false };
        }
    };
    let meant = std::fs::metadata(path).ok();
    let kind = match () {
        () if found.is_symlink() => {
            let target = std::fs::read_link(path).map_or(OsString::new(), PathBuf::into_os_string);
            format!("link to {}", target.to_string_lossy())
        }
        () if found.is_dir() => "folder".into(),
        () if found.is_file() => "file".into(),
        () if found.file_type().is_fifo() => "pipe".into(),
        () if found.file_type().is_socket() => "socket".into(),
        () => "device".into(),
    };
    let is_folder = meant.as_ref().is_some_and(std::fs::Metadata::is_dir);
    let wanted = if is_folder { AccessFlags::X_OK } else { AccessFlags::R_OK };
    let goes_on = is_last || is_folder;
    Stage {
        path: path.into(),
        kind,
        owner: owner(found.uid()),
        group: group(found.gid()),
        mode: mode(found.mode(), found.is_dir(), found.is_symlink()),
        is_open: meant.is_some() && goes_on && access(path, wanted).is_ok(),
        is_target: false,
    }
}

fn owner(uid: u32) -> String {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

fn group(gid: u32) -> String {
    Group::from_gid(Gid::from_raw(gid)).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name)
}

/// The mode as `ls -l` shows it.
fn mode(bits: u32, is_folder: bool, is_link: bool) -> String {
    let mut text = String::from(match (is_folder, is_link) {
        (true, _) => "d",
        (_, true) => "l",
        _ => "-",
    });
    for shift in [6, 3, 0] {
        for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
            text.push(if bits >> shift & bit != 0 { letter } else { '-' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_ends_where_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "x").unwrap();
        let stages = down(&path);
        assert!(stages.iter().all(|stage| stage.is_open), "a file of one's own");
        assert_eq!((stages[0].path.as_path(), stages.last().unwrap().kind.as_str()), (Path::new("/"), "file"));
        for (name, kind) in [("b/c", "No such file or directory"), ("a/c", "file")] {
            let stages = down(&folder.path().join(name));
            let last = stages.last().unwrap();
            assert_eq!((last.kind.as_str(), last.is_open), (kind, false), "{name}");
        }
    }

    #[test]
    fn the_folder_that_is_written_in_is_the_last_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["new", "new/b/c", "new/", ""] {
            let stages = down_to_write(&folder.path().join(name).join(if name.is_empty() { "x" } else { "" }));
            let last = stages.last().unwrap();
            assert_eq!((last.path.as_path(), last.is_target, last.is_open), (folder.path(), true, true), "{name}");
            assert_eq!(stages.iter().filter(|stage| stage.is_target).count(), 1, "{name}");
        }
    }

    #[test]
    fn modes() {
        assert_eq!(mode(0o750, true, false), "drwxr-x---");
        assert_eq!(mode(0o644, false, false), "-rw-r--r--");
        assert_eq!(mode(0o777, false, true), "lrwxrwxrwx");
    }
}
