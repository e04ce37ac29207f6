//! Whether others could change a file that is believed, such as a key.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

const EVERYBODY: u32 = 0o002;
const GROUP: u32 = 0o020;
/// In such a folder everybody may make files and change their own only.
const STICKY: u32 = 0o1000;

/// How others than its owner could change what a path names; none if they could not.
pub fn loose(path: &Path) -> Option<String> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    for folder in path.ancestors().skip(1) {
        let Ok(found) = folder.metadata() else { continue };
        if found.mode() & (EVERYBODY | STICKY) == EVERYBODY {
            return Some(format!("everybody may put another in its place, in `{}`", folder.display()));
        }
    }
    let Ok(found) = path.metadata() else {
        let folder = path.parent()?;
        let open = folder.metadata().is_ok_and(|found| found.mode() & EVERYBODY != 0);
        return open.then(|| "it is not there, and everybody may make it".into());
    };
    let place = match () {
        () if found.is_dir() => "may make and remove files there",
        () if found.is_file() => "may write it",
        () => return None,
    };
    // Many a system gives each user a group of its own, with the same number.
    let shared = found.gid() != 0 && found.gid() != found.uid();
    match found.mode() {
        mode if mode & EVERYBODY != 0 => Some(format!("everybody {place}")),
        mode if mode & GROUP != 0 && shared => Some(format!("its group {place}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn modes_of_files_and_of_the_folders_around() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("in/key");
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(&key, "").unwrap();
        let mode = |path: &Path, mode: u32| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        for (inner, file, want) in [
            (0o755, 0o600, None),
            (0o755, 0o644, None),
            (0o755, 0o602, Some("everybody may write it")),
            (0o1777, 0o600, None),
            (0o777, 0o600, Some("everybody may put another in its place")),
        ] {
            mode(&folder.path().join("in"), inner);
            mode(&key, file);
            let found = loose(&key);
            assert_eq!(found.is_some(), want.is_some(), "{inner:o} {file:o} {found:?}");
            assert!(found.unwrap_or_default().starts_with(want.unwrap_or_default()));
        }
        mode(&folder.path().join("in"), 0o1777);
        assert_eq!(loose(&folder.path().join("in")).as_deref(), Some("everybody may make and remove files there"));
        assert!(loose(&folder.path().join("in/none")).unwrap().starts_with("it is not there"));
        mode(&folder.path().join("in"), 0o755);
        assert_eq!(loose(&folder.path().join("in/none")), None);
        assert_eq!(loose(Path::new("/dev/null")), None);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&key, Some(1), Some(2)).unwrap();
            mode(&key, 0o660);
            assert_eq!(loose(&key).as_deref(), Some("its group may write it"));
            std::os::unix::fs::chown(&key, Some(2), Some(2)).unwrap();
            assert_eq!(loose(&key), None);
        }
    }
}
