//! What somebody writes into a named pipe, as the text of a file: keys and passwords that are to lie on no disk. The pipe is opened
//! without waiting, and its writer is waited for so long and no longer.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::outside::Unreadable;

/// All that is written until the last writer closes, at most so many bytes. The file never blocks.
pub fn read(mut file: File, most: u64, patience: Duration) -> Result<Arc<[u8]>, Unreadable> {
    let until = Instant::now() + patience;
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        // Before there is a writer a read would find an end, which is none; the look says nothing then.
        if !wait(&file, until)? {
            return Err(Unreadable::Silent);
        }
        match file.read(&mut piece) {
            Ok(0) => return Ok(text.into()),
            Ok(n) => text.extend_from_slice(&piece[..n]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
        if text.len() as u64 > most {
            return Err(Unreadable::Large(most));
        }
    }
}

/// Waits for bytes or the end; whether one of them came in time.
fn wait(file: &File, until: Instant) -> Result<bool, Unreadable> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) if !left.is_zero() => {}
            Err(Errno::EINTR) => return Ok(false),
            Err(error) => return Err(Unreadable::System(error as i32)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    fn reader(path: &std::path::Path) -> File {
        std::fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).unwrap()
    }

    #[test]
    fn what_is_written_is_the_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let soon = Duration::from_secs(20);
        for (pieces, most, want) in [
            (&["pass", "word\n"][..], 9, Ok(&b"password\n"[..])),
            (&["password\n"], 8, Err(Unreadable::Large(8))),
            (&[], 8, Ok(b"")),
        ] {
            let file = reader(&path);
            let to = path.clone();
            let writer = std::thread::spawn(move || {
                let mut to = std::fs::OpenOptions::new().write(true).open(to).unwrap();
                for piece in pieces {
                    std::thread::sleep(Duration::from_millis(20));
                    // Who has read enough is gone.
                    let _ = to.write_all(piece.as_bytes());
                }
            });
            assert_eq!(read(file, most, soon).as_deref().map_err(|error| *error), want);
            writer.join().unwrap();
        }
        assert_eq!(read(reader(&path), 9, Duration::from_millis(50)), Err(Unreadable::Silent));
    }
}
