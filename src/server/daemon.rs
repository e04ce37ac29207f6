//! The process among others: background, rights, number of descriptors. Everything here happens
//! before the first thread starts.

use std::io;

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
