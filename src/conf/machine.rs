//! What this machine calls its users, groups and hosts, for directives that name them. A dynamically linked program asks the
//! system's name service. A static one reads the files under /etc itself: the service's modules are made for the
//! system's own C library and crash a program that brought another copy of it.

use std::fs::Metadata;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, User, getgrouplist};

const STATIC: bool = cfg!(target_feature = "crt-static");

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The number of the user's own group.
    pub gid: u32,
}

/// Who the worker process becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's name, for the list of groups and for messages.
    pub name: String,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// The user of this name.
pub fn user(name: &str) -> Option<Account> {
    if STATIC {
        return user_in(&file("/etc/passwd"), name);
    }
    let user = User::from_name(name).ok().flatten()?;
    Some(Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

/// The user of this number.
pub fn user_of(uid: u32) -> Option<Account> {
    if STATIC {
        let passwd = file("/etc/passwd");
        return passwd.lines().filter_map(|line| user_in(line, line.split(':').next()?)).find(|user| user.uid == uid);
    }
    let user = User::from_uid(uid.into()).ok().flatten()?;
    Some(Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

/// The number of the group of this name.
pub fn group(name: &str) -> Option<u32> {
    if STATIC {
        return group_in(&file("/etc/group"), name);
    }
    Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}

/// All groups of a user, `gid` among them.
pub fn groups_of(name: &str, gid: u32) -> Vec<u32> {
    if STATIC {
        return groups_in(&file("/etc/group"), name, gid);
    }
    let name = std::ffi::CString::new(name).ok();
    let groups = name.and_then(|name| getgrouplist(&name, Gid::from_raw(gid)).ok());
    groups.map_or_else(|| vec![gid], |groups| groups.into_iter().map(Gid::as_raw).collect())
}

/// The machine's name.
pub fn hostname() -> Option<String> {
    nix::unistd::gethostname().ok().map(|name| name.to_string_lossy().into_owned())
}

/// The addresses of a host.
pub fn addresses_of(host: &str) -> Vec<IpAddr> {
    if STATIC {
        return addresses_in(&file("/etc/hosts"), host);
    }
    let found = (host, 0).to_socket_addrs();
    found.map(|all| all.map(|address| address.ip()).collect()).unwrap_or_default()
}

fn file(path: &str) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn user_in(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let parts: Vec<&str> = line.split(':').collect();
        let [found, _, uid, gid, ..] = parts.as_slice() else { return None };
        (*found == name).then(|| Some(Account { name: name.into(), uid: uid.parse().ok()?, gid: gid.parse().ok()? }))?
    })
}

fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let parts: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members] = parts.as_slice() else { return None };
        Some((*name, gid.parse().ok()?, *members))
    })
}

fn group_in(group: &str, name: &str) -> Option<u32> {
    groups(group).find(|(found, ..)| *found == name).map(|(_, gid, _)| gid)
}

fn groups_in(group: &str, name: &str, gid: u32) -> Vec<u32> {
    let has = |members: &str| members.split(',').any(|member| member == name);
    let others = groups(group).filter(|(_, other, members)| *other != gid && has(members)).map(|(_, other, _)| other);
    std::iter::once(gid).chain(others).collect()
}

fn addresses_in(hosts: &str, host: &str) -> Vec<IpAddr> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let fits = |line: &&str| line.split_whitespace().skip(1).any(|name| name.eq_ignore_ascii_case(host));
    lines.filter(fits).filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

/// The first folder on the way to a path that this user could not enter; none if the way is open or ends before the path does.
pub fn closed_folder(path: &Path, identity: &Identity) -> Option<PathBuf> {
    let folders: Vec<&Path> = path.ancestors().collect();
    folders.into_iter().rev().find_map(|folder| {
        let found = std::fs::metadata(folder).ok().filter(Metadata::is_dir)?;
        (!may(identity, &found, 0o1)).then(|| folder.to_path_buf())
    })
}

/// Whether a user may read (4), write (2) and execute or enter (1) something, as far as its mode tells.
pub fn may(identity: &Identity, found: &Metadata, wanted: u32) -> bool {
    let shift = match () {
        // Root may do everything but run what nobody may.
        () if identity.uid == 0 => return found.is_dir() || wanted & 0o1 == 0 || found.mode() & 0o111 != 0,
        () if found.uid() == identity.uid => 6,
        () if groups_of(&identity.name, identity.gid).contains(&found.gid()) => 3,
        () => 0,
    };
    found.mode() >> shift & wanted == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_say_what_the_name_service_says() {
        let (passwd, group_file) = (file("/etc/passwd"), file("/etc/group"));
        for name in ["root", "nobody", "daemon", "no-such-user-here"] {
            assert_eq!(user_in(&passwd, name), user(name), "{name}");
        }
        for name in ["root", "daemon", "no-such-group-here"] {
            assert_eq!(group_in(&group_file, name), group(name), "{name}");
        }
    }

    #[test]
    fn odd_lines_are_passed_over() {
        let passwd = "\nbroken\na:x:not:1::\nb:x:7:8:c:/:/bin/sh\n";
        assert_eq!(user_in(passwd, "a"), None);
        assert_eq!(user_in(passwd, "b"), Some(Account { name: "b".into(), uid: 7, gid: 8 }));
        assert_eq!(groups_in("x:!:5:a,b\ny:!:6:b\nz:!:8:\nodd\n", "b", 8), [8, 5, 6]);
        let hosts = "127.0.0.1 localhost # home\n::1 localhost ip6-loopback\nbad localhost\n# 1.2.3.4 none\n";
        assert_eq!(addresses_in(hosts, "LocalHost").len(), 2);
        assert!(addresses_in(hosts, "none").is_empty());
    }

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
