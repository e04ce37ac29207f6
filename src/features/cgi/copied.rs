//! Standard error that goes into a file of its own as it is: of one script its beginning and its end, so that none fills the
//! disk. Nothing here waits, whatever the file is.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc::{ENXIO, O_NOCTTY, O_NONBLOCK};

use crate::exchange::error::system_words;

/// Bytes of one script that go into the file.
const MOST: usize = 64 << 10;
/// So many of them are its last ones, which say why it failed.
const TAIL: usize = 8 << 10;

/// Opens the file. One that is a pipe has to have a reader; what no reader takes is lost, as is what comes without one.
pub fn open(path: &Path) -> io::Result<Option<File>> {
    let opened = OpenOptions::new().append(true).create(true).custom_flags(O_NONBLOCK | O_NOCTTY).open(path);
    match opened {
        Err(error) if error.raw_os_error() == Some(ENXIO) => {
            log::warn!("nobody reads the pipe \"{}\" that cgi_stderr names", path.display());
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

/// What a script writes, on its way into a file.
pub struct Copied<W = File> {
    to: W,
    /// Bytes that may still go there before the last ones.
    left: usize,
    /// Once none may, the last that came.
    tail: Vec<u8>,
    dropped: u64,
    has_failed: bool,
}

impl<W: Write> Copied<W> {
    /// Into this file.
    pub fn new(to: W) -> Copied<W> {
        Copied { to, left: MOST - TAIL, tail: Vec::new(), dropped: 0, has_failed: false }
    }

    /// Takes what has come.
    pub fn take(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(self.left));
        self.left -= first.len();
        self.write(first);
        self.tail.extend_from_slice(rest);
        if self.tail.len() > 2 * TAIL {
            self.cut();
        }
    }

    /// Nothing more comes: the last bytes are written, after what `words` says of those that were left out.
    pub fn end(&mut self, words: impl FnOnce(u64) -> String) {
        if self.tail.len() > TAIL {
            self.cut();
        }
        if self.dropped > 0 {
            let words = format!("\n{}\n", words(std::mem::take(&mut self.dropped)));
            self.write(words.as_bytes());
        }
        let tail = std::mem::take(&mut self.tail);
        self.write(&tail);
    }

    fn cut(&mut self) {
        let surplus = self.tail.len() - TAIL;
        self.dropped += surplus as u64;
        self.tail.drain(..surplus);
    }

    fn write(&mut self, bytes: &[u8]) {
        match self.to.write_all(bytes) {
            // A pipe that is full.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if !self.has_failed => {
                self.has_failed = true;
                log::error!("the file that cgi_stderr names cannot be written ({})", system_words(&error));
            }
            Ok(()) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(bytes: usize, piece: usize) -> (Vec<u8>, u64) {
        let mut copied = Copied::new(Vec::new());
        let all: Vec<u8> = (0..bytes).map(|at| b'a' + (at % 23) as u8).collect();
        for piece in all.chunks(piece) {
            copied.take(piece);
            assert!(copied.tail.len() <= 2 * TAIL + piece.len());
        }
        let mut dropped = 0;
        copied.end(|count| {
            dropped = count;
            "CUT".into()
        });
        assert!(
            copied.to.ends_with(&all[bytes - bytes.min(TAIL)..])
                && copied.to.starts_with(&all[..bytes.min(MOST - TAIL)])
        );
        (copied.to, dropped)
    }

    #[test]
    fn as_much_as_may_be_is_whole_and_of_more_the_beginning_and_the_end() {
        for piece in [1, 4096, 100_000] {
            for (bytes, dropped) in [(0, 0), (1, 0), (MOST, 0), (MOST + 1, 1), (3 * MOST, 2 * MOST)] {
                let (written, left_out) = copied(bytes, piece);
                let words = if dropped > 0 { "\nCUT\n".len() } else { 0 };
                assert_eq!((written.len(), left_out), (bytes - dropped + words, dropped as u64), "{bytes} in {piece}");
            }
        }
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open(&pipe).unwrap().is_none());
        // One that has a reader who takes nothing: what does not fit is lost.
        let _reader = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&pipe).unwrap();
        let mut copied = Copied::new(open(&pipe).unwrap().expect("it has a reader"));
        for _ in 0..10 {
            copied.take(&[b'x'; 60_000]);
        }
        copied.end(|_| "CUT".repeat(50_000));
    }
}
