//! Opening files where nobody can have this process wait, write or read elsewhere than the path says.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Links, Spot, Stranger, by_handle, is_open};

/// How open files are asked for: a pipe without a reader or a line without a peer would wait for one, and a terminal
/// become ours.
const AT_ONCE: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// A file that is made and removed again and again meanwhile.
const MOST_TRIES: usize = 16;

/// Opens a file to append to, and makes it where it is not there. It never waits, now or when it is written to: what a
/// pipe does not take is an error.
pub fn append(path: &Path) -> io::Result<File> {
    // Opening these by name fails where the descriptor belongs to somebody else or is a socket.
    if let Some(stream) = stream(path)? {
        return Ok(File::from(stream));
    }
    match Links::of_this_process() {
        Links::Roots => append_at(path),
        _ => append_plainly(path),
    }
}

/// Whether [`append`] could open a file. Nothing is made.
pub fn may_append(path: &Path) -> io::Result<()> {
    if stream(path)?.is_some() {
        return Ok(());
    }
    let spot = Spot::behind(path, Links::of_this_process())?;
    match spot.look()? {
        None => Ok(()),
        Some(_) if rustix::process::geteuid().is_root() => append_at(path).map(drop),
        Some((held, _)) => {
            let flags = OFlags::WRONLY | OFlags::APPEND | AT_ONCE;
            match rustix::fs::openat(CWD, by_handle(held.as_fd()), flags, Mode::empty()) {
                Ok(_) | Err(Errno::NXIO) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
    }
}

/// Opens a file that the conf names. Root reads what a link of somebody else leads to only if everybody may, or the link's
/// owner.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | AT_ONCE;
    if !rustix::process::geteuid().is_root() {
        return Ok(File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?));
    }
    let spot = match Spot::behind(path, Links::Noted) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            return Ok(File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?));
        }
        spot => spot?,
    };
    let (held, stat) = spot.look()?.ok_or(Errno::NOENT)?;
    let all_may = spot.open && is_open(&stat, 0o004);
    // A second name of root's file, in a folder where others may have made it.
    let is_linked_there = !spot.sure && stat.st_uid == 0 && stat.st_nlink > 1 && is(&stat, FileType::RegularFile);
    let is_led = spot.stranger.is_some_and(|stranger| stranger != stat.st_uid);
    if (is_led || is_linked_there) && !all_may {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, Stranger));
    }
    Ok(File::from(rustix::fs::openat(CWD, by_handle(held.as_fd()), flags, Mode::empty())?))
}

/// Another descriptor of a standard stream, if the path means one.
fn stream(path: &Path) -> io::Result<Option<OwnedFd>> {
    match path.to_str() {
        Some("/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => io::stdout().as_fd().try_clone_to_owned().map(Some),
        Some("/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2") => io::stderr().as_fd().try_clone_to_owned().map(Some),
        _ => Ok(None),
    }
}

fn append_plainly(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | AT_ONCE;
    let file = match rustix::fs::openat(CWD, path, flags, Mode::from_raw_mode(0o666)) {
        // A pipe that nobody reads yet.
        Err(Errno::NXIO) => rustix::fs::openat(CWD, path, OFlags::RDWR | OFlags::APPEND | AT_ONCE, Mode::empty())?,
        file => file?,
    };
    settled(file)
}

/// A pipe is held open at both ends, so that what it has taken waits for its next reader; what is no pipe waits as files do.
fn settled(file: OwnedFd) -> io::Result<File> {
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::Fifo {
        let flags = rustix::fs::fcntl_getfl(&file)?;
        rustix::fs::fcntl_setfl(&file, flags.difference(OFlags::NONBLOCK))?;
        return Ok(File::from(file));
    }
    let both = OFlags::RDWR | OFlags::APPEND | AT_ONCE;
    // Who may write but not read has one end only.
    let held = rustix::fs::openat(CWD, by_handle(file.as_fd()), both, Mode::empty());
    Ok(File::from(held.unwrap_or(file)))
}

fn append_at(path: &Path) -> io::Result<File> {
    let spot = Spot::behind(path, Links::Roots)?;
    for _ in 0..MOST_TRIES {
        let file = match spot.look()? {
            None => {
                let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | AT_ONCE;
                rustix::fs::openat(&spot.folder, &spot.name, flags, Mode::from_raw_mode(0o666))
            }
            Some((held, stat)) => {
                if let Some(stream) = stream_behind(&spot)? {
                    return Ok(File::from(stream));
                }
                check(&spot, &stat)?;
                let access = if is(&stat, FileType::Fifo) { OFlags::RDWR } else { OFlags::WRONLY };
                let flags = access | OFlags::APPEND | AT_ONCE;
                rustix::fs::openat(CWD, by_handle(held.as_fd()), flags, Mode::empty())
            }
        };
        match file {
            // Somebody has made it since.
            Err(Errno::EXIST) => {}
            file => return settled(file?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// The standard stream that a link of the kernel's own stands for in this process.
fn stream_behind(spot: &Spot) -> io::Result<Option<OwnedFd>> {
    if !spot.magic {
        return Ok(None);
    }
    let folder = rustix::fs::readlinkat(CWD, by_handle(spot.folder.as_fd()), Vec::new())?;
    let own = format!("/proc/{}/fd", std::process::id());
    match folder.as_bytes() == own.as_bytes() {
        true => stream(&Path::new("/proc/self/fd").join(&spot.name)),
        false => Ok(None),
    }
}

fn is(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

/// Whether root may write to what stands there.
fn check(spot: &Spot, stat: &Stat) -> io::Result<()> {
    let null = rustix::fs::makedev(1, 3);
    let why = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if spot.sure || stat.st_nlink <= 1 => return Ok(()),
        FileType::RegularFile => "it is known by another name elsewhere, and others than root may write in its folder",
        FileType::CharacterDevice if stat.st_rdev == null => return Ok(()),
        FileType::Fifo | FileType::CharacterDevice if spot.sure || spot.magic => return Ok(()),
        FileType::Fifo => "it is a pipe, and others than root may write in its folder",
        FileType::CharacterDevice => "it is a device, and others than root may write in its folder",
        FileType::Directory => return Err(Errno::ISDIR.into()),
        _ => "it is no file",
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}
