//! The process among others: background, rights, number of descriptors. Everything here happens
//! before the first thread starts.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{self, Gid, Uid};

use crate::conf::machine;
use crate::conf::machine::Identity;

/// Goes to the background: a process without terminal whose standard streams lead nowhere.
pub fn go_to_background() -> io::Result<()> {
    Ok(unistd::daemon(true, false)?)
}

/// Becomes this user for good, and makes sure that there is no way back. Only root can.
pub fn become_user(identity: &Identity) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    let groups = machine::groups_of(&identity.name, identity.gid);
    unistd::setgid(gid)?;
    unistd::setgroups(&groups.into_iter().map(Gid::from_raw).collect::<Vec<_>>())?;
    unistd::setuid(uid)?;
    if !uid.is_root() && (unistd::setuid(Uid::from_raw(0)).is_ok() || unistd::getresuid()?.saved != uid) {
        return Err(io::Error::other("root's rights could be taken again"));
    }
    Ok(())
}

/// Who root becomes when the conf names nobody, as nginx.
pub fn nobody() -> io::Result<Identity> {
    let user = machine::user("nobody").ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "there is no user `nobody`: name one in the conf, `user NAME;`")
    })?;
    Ok(Identity { name: user.name, uid: user.uid, gid: user.gid })
}

/// The first folder on the way to a path that this user could not enter; none if the way is open or ends
/// before the path does.
pub fn closed_folder(path: &Path, identity: &Identity) -> Option<PathBuf> {
    let folders: Vec<&Path> = path.ancestors().collect();
    let groups = machine::groups_of(&identity.name, identity.gid);
    folders.into_iter().rev().find_map(|folder| {
        let found = std::fs::metadata(folder).ok().filter(|found| found.is_dir())?;
        let bit = match () {
            () if identity.uid == 0 => return None,
            () if found.uid() == identity.uid => 0o100,
            () if groups.contains(&found.gid()) => 0o010,
            () => 0o001,
        };
        (found.mode() & bit == 0).then(|| folder.to_path_buf())
    })
}

/// Allows as many descriptors as the conf says, else as many as this process may have.
pub fn raise_descriptors(wanted: Option<u64>) -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let (soft, hard) = match wanted {
        Some(wanted) => (wanted, hard.max(wanted)),
        None if soft >= hard => return Ok(()),
        None => (hard, hard),
    };
    Ok(setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_closed_folder_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        std::fs::create_dir_all(closed.join("in")).unwrap();
        let mode = |mode| std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode)).unwrap();
        let stranger = Identity { name: "nobody-here".into(), uid: 3_999_999, gid: 3_999_999 };
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        mode(0o700);
        assert_eq!(closed_folder(&closed.join("in/file"), &stranger), Some(closed.clone()));
        let root = Identity { name: "root".into(), uid: 0, gid: 0 };
        assert_eq!(closed_folder(&closed.join("in/file"), &root), None);
        mode(0o701);
        assert_eq!(closed_folder(&closed.join("in/file"), &stranger), None);
    }
}
