//! The file of a Unix socket: made in a folder that is held open, and removed from that folder if it is still the one
//! that was made. Others may write in the folder, so its path is believed once only.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, Stat};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::conf::way::{Links, Spot, by_handle};

/// A file that clients connect to.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    spot: Spot,
    /// The file that was made, held so that no other gets its number.
    held: OwnedFd,
}

impl SocketFile {
    /// Binds a socket to a path and gives the file these rights. A file that nobody listens on any more was left by a server
    /// that was killed and is replaced.
    pub fn bind(socket: &Socket, path: &Path, mode: u32) -> io::Result<SocketFile> {
        let spot = Spot::of(path, Links::of_this_process())?;
        let address = SockAddr::unix(spot.steady_path())?;
        if let Err(error) = socket.bind(&address) {
            if error.kind() != io::ErrorKind::AddrInUse || !remove_left_over(&spot, &address)? {
                return Err(error);
            }
            socket.bind(&address)?;
        }
        // Where another file stands in its place already, that one is not ours to change.
        let (held, _) = spot.look()?.filter(|(_, stat)| is_own(stat)).ok_or(io::ErrorKind::NotFound)?;
        rustix::fs::chmod(by_handle(held.as_fd()), Mode::from_raw_mode(mode))?;
        Ok(SocketFile { path: path.to_path_buf(), spot, held })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, if it is still there.
    pub fn remove(&self) -> io::Result<()> {
        let made = rustix::fs::fstat(&self.held)?;
        self.spot.remove(|stat| identity(stat) == identity(&made)).map(drop)
    }
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn is_socket(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Socket
}

fn is_own(stat: &Stat) -> bool {
    is_socket(stat) && stat.st_uid == rustix::process::geteuid().as_raw()
}

/// Removes a socket's file that refuses connections; whether there was one.
fn remove_left_over(spot: &Spot, address: &SockAddr) -> io::Result<bool> {
    let Some((_, found)) = spot.look()?.filter(|(_, stat)| is_socket(stat)) else { return Ok(false) };
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    if !probe.connect(address).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        return Ok(false);
    }
    spot.remove(|stat| is_socket(stat) && identity(stat) == identity(&found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn bound(path: &Path) -> io::Result<(Socket, SocketFile)> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        let file = SocketFile::bind(&socket, path, 0o640)?;
        socket.listen(1)?;
        Ok((socket, file))
    }

    #[test]
    fn it_is_removed_once_and_only_if_it_is_the_one_that_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (first, file) = bound(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(bound(&path).err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
        drop(first);
        let (_second, newer) = bound(&path).unwrap();
        file.remove().unwrap();
        assert!(path.exists(), "the file of the next server is not ours");
        newer.remove().unwrap();
        assert!(!path.exists());
        newer.remove().unwrap();
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        std::fs::write(&path, "text").unwrap();
        assert!(bound(&path).is_err());
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(bound(&path).is_err());
        assert!(!folder.path().join("elsewhere").exists());
    }
}
