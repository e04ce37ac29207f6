//! What root may be led to, and what not, in a folder of somebody else's.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use super::*;

/// A user that no file belongs to.
const OTHER: u32 = 3_999_999;

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can give files away");
    }
    root
}

/// A folder that root alone may write in, with one of another user's in it. The folder for temporary files is everybody's,
/// so that of the machine's own state is taken.
fn folders() -> (tempfile::TempDir, PathBuf) {
    let outer = tempfile::Builder::new().prefix("longshore-way-").tempdir_in("/run").unwrap();
    fs::set_permissions(outer.path(), Permissions::from_mode(0o755)).unwrap();
    let theirs = outer.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(OTHER), Some(OTHER)).unwrap();
    (outer, theirs)
}

fn link_of_other(target: impl AsRef<Path>, link: impl AsRef<Path>) {
    symlink(target, &link).unwrap();
    lchown(link, Some(OTHER), Some(OTHER)).unwrap();
}

fn pipe(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
}

fn refusal(path: &Path) -> String {
    append(path).map(drop).unwrap_err().to_string()
}

#[test]
fn files_are_made_and_pipes_do_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    append(&path("new")).unwrap().write_all(b"one").unwrap();
    append(&path("new")).unwrap().write_all(b"two").unwrap();
    assert_eq!(fs::read_to_string(path("new")).unwrap(), "onetwo");
    assert_eq!(append(folder.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(append(&path("none/new")).unwrap_err().kind(), ErrorKind::NotFound);
    for name in ["/dev/null", "/dev/full", "/dev/stdout", "/proc/self/fd/2"] {
        append(Path::new(name)).unwrap();
        may_append(Path::new(name)).unwrap();
    }
    may_append(&path("absent")).unwrap();
    assert!(!path("absent").exists());
    if rustix::process::geteuid().is_root() {
        return;
    }
    pipe(&path("pipe"));
    may_append(&path("pipe")).unwrap();
    fills_without_waiting(append(&path("pipe")).unwrap(), &path("pipe"));
}

/// A pipe takes some lines before anybody reads them, then no more.
fn fills_without_waiting(mut file: File, path: &Path) {
    file.write_all(b"first").unwrap();
    let full = std::iter::repeat_with(|| file.write(&[b'x'; 4096])).take(1000).find_map(Result::err);
    assert_eq!(full.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    let mut first = [0; 5];
    File::open(path).unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first");
}

#[test]
fn root_follows_its_own_links_only() {
    if !is_root() {
        return;
    }
    let (outer, theirs) = folders();
    let path = |name: &str| outer.path().join(name);
    fs::create_dir(path("secret")).unwrap();
    symlink("file", path("own")).unwrap();
    symlink(path("secret"), theirs.join("folder")).unwrap();
    symlink("/dev/stdout", theirs.join("out")).unwrap();
    symlink("/dev/null", theirs.join("null")).unwrap();
    symlink("/proc/self/fd/1", theirs.join("magic")).unwrap();
    for name in ["own", "theirs/folder/log", "theirs/out", "theirs/null", "theirs/magic", "theirs/log"] {
        append(&path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(path("file").is_file() && path("secret/log").is_file());
    link_of_other(path("secret/stolen"), theirs.join("trap"));
    link_of_other(path("secret"), theirs.join("way"));
    symlink("../secret/stolen", theirs.join("up")).unwrap();
    symlink("circle", path("circle")).unwrap();
    assert_eq!(refusal(&theirs.join("trap")), "it is a symbolic link that does not belong to root");
    let way = format!("`{}` on the way is a symbolic link that does not belong to root", theirs.join("way").display());
    assert_eq!(refusal(&theirs.join("way/stolen")), way);
    assert!(refusal(&theirs.join("up")).contains("leads upwards"));
    assert_eq!(append(&path("circle")).unwrap_err().raw_os_error(), Some(nix::libc::ELOOP));
    assert!(!path("secret/stolen").exists());
    for name in ["trap", "way/stolen", "up"] {
        assert!(may_append(&theirs.join(name)).is_err(), "{name}");
    }
}

#[test]
fn root_writes_to_files_and_to_pipes_of_its_own() {
    if !is_root() {
        return;
    }
    let (outer, theirs) = folders();
    let secret = outer.path().join("secret");
    fs::write(&secret, "").unwrap();
    fs::hard_link(&secret, theirs.join("second")).unwrap();
    assert!(refusal(&theirs.join("second")).contains("another name"));
    append(&secret).unwrap();
    for folder in [outer.path(), &theirs] {
        pipe(&folder.join("pipe"));
        nix::sys::stat::mknod(
            &folder.join("full"),
            nix::sys::stat::SFlag::S_IFCHR,
            nix::sys::stat::Mode::from_bits_truncate(0o600),
            nix::sys::stat::makedev(1, 7),
        )
        .unwrap();
    }
    let _socket = std::os::unix::net::UnixListener::bind(theirs.join("socket")).unwrap();
    assert!(refusal(&theirs.join("pipe")).contains("it is a pipe"));
    assert!(refusal(&theirs.join("full")).contains("it is a device"));
    assert!(refusal(&theirs.join("socket")).contains("it is no file"));
    let pipe = outer.path().join("pipe");
    fills_without_waiting(append(&pipe).unwrap(), &pipe);
}

#[test]
fn what_is_swapped_after_the_walk_leads_nowhere() {
    if !is_root() {
        return;
    }
    let (outer, theirs) = folders();
    let (inner, secret) = (theirs.join("inner"), outer.path().join("secret"));
    fs::create_dir(&inner).unwrap();
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("file"), "").unwrap();
    fs::write(inner.join("file"), "").unwrap();
    let spot = Spot::of(&inner.join("file"), Links::Roots).unwrap();
    assert!(!spot.is_sure());
    let (_, meant) = spot.look().unwrap().unwrap();
    fs::rename(&inner, theirs.join("moved")).unwrap();
    link_of_other(&secret, &inner);
    assert_eq!(fs::canonicalize(spot.steady_path()).unwrap(), theirs.join("moved/file"));
    assert!(!spot.remove(|stat| stat.st_ino != meant.st_ino).unwrap());
    assert!(spot.remove(|stat| stat.st_ino == meant.st_ino).unwrap());
    assert!(!spot.remove(|_| true).unwrap(), "it is gone already");
    assert!(secret.join("file").exists() && !theirs.join("moved/file").exists());
}

#[test]
fn root_reads_what_those_may_read_who_lead_it() {
    if !is_root() {
        return;
    }
    let (outer, theirs) = folders();
    let file = |name: &str, owner: u32, mode: u32| {
        let path = outer.path().join(name);
        fs::write(&path, name).unwrap();
        chown(&path, Some(owner), None).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    };
    file("secret", 0, 0o600);
    file("public", 0, 0o644);
    file("own", OTHER, 0o600);
    fs::create_dir(outer.path().join("closed")).unwrap();
    file("closed/public", 0, 0o644);
    fs::set_permissions(outer.path().join("closed"), Permissions::from_mode(0o700)).unwrap();
    for (name, may) in [("secret", false), ("public", true), ("own", true), ("closed/public", false)] {
        let target = outer.path().join(name);
        assert!(open_to_read(&target).is_ok(), "{name}");
        let link = theirs.join(name.replace('/', "-"));
        link_of_other(&target, &link);
        assert_eq!(open_to_read(&link).is_ok(), may, "{name}");
        fs::remove_file(&link).unwrap();
        symlink(&target, &link).unwrap();
        assert!(open_to_read(&link).is_ok(), "{name}: the link is root's");
    }
    fs::hard_link(outer.path().join("secret"), theirs.join("second")).unwrap();
    let error = open_to_read(&theirs.join("second")).unwrap_err();
    assert!(error.get_ref().is_some_and(|error| error.is::<Stranger>()));
    pipe(&theirs.join("pipe"));
    assert!(open_to_read(&theirs.join("pipe")).is_ok(), "it is opened at once, and looked at later");
}
