//! Temporary files without a name: for bodies that do not fit into memory, on their way in and on their way out. And a body that
//! is put together here: in memory up to a size, then in such a file.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Received;
use super::error::{HttpError, Level, system_words};
use crate::http::escape;
use crate::http::response::{Body, Chunk};

/// Makes one in the folder, which is made at first need. Where this user may make none, the system's own folder for such
/// files will do: a request is worth more than the place of its body.
pub fn file(folder: &Path) -> io::Result<File> {
    let made = tempfile::tempfile_in(folder).or_else(|error| match error.kind() {
        ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)?;
            tempfile::tempfile_in(folder)
        }
        _ => Err(error),
    });
    made.or_else(|error| match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => tempfile::tempfile(),
        _ => Err(error),
    })
}

/// The error for a listing that could not be put together: what could not be written, and in which folder.
pub fn unlisted(what: &str, folder: &Path, error: &io::Error) -> HttpError {
    let folder = escape::error_log(folder.as_os_str().as_bytes()).to_string();
    let text = format!("{what} could not be written to a file in \"{folder}\" ({})", system_words(error));
    HttpError::new(500, "listing-spool").log(Level::Crit, text)
}

/// A body that is being put together.
#[derive(Debug)]
pub struct Spool {
    /// The most bytes in memory.
    most: usize,
    folder: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
}

impl Spool {
    /// An empty one: up to so many bytes in memory, more in a file in this folder.
    pub fn new(most: usize, folder: PathBuf) -> Spool {
        Spool { most, folder, memory: Vec::new(), file: None, len: 0 }
    }

    /// Adds bytes at the end.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.len += bytes.len() as u64;
        if self.file.is_none() {
            if self.memory.len() + bytes.len() <= self.most {
                self.memory.extend_from_slice(bytes);
                return Ok(());
            }
            let mut file = file(&self.folder)?;
            file.write_all(&std::mem::take(&mut self.memory))?;
            self.file = Some(file);
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    /// How many bytes are in it.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The folder of its file.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The same for an answer: those who share it read one file.
    pub fn body(self) -> Body {
        match self.finish() {
            Received::File(file, len) => Body { chunks: [Chunk::File { file: Arc::new(file), offset: 0, len }].into() },
            Received::Memory(bytes) => Body::bytes(bytes),
            _ => Body::empty(),
        }
    }

    /// The whole body.
    pub fn finish(self) -> Received {
        match self.file {
            Some(file) => Received::File(file, self.len),
            None => Received::Memory(self.memory),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn a_body_goes_to_memory_and_past_a_size_to_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for (text, in_memory) in [("", true), ("1234", true), ("12345", false), ("123456789", false)] {
            let mut spool = Spool::new(4, folder.path().join("made/at/need"));
            text.as_bytes().chunks(3).for_each(|piece| spool.put(piece).unwrap());
            assert_eq!((spool.len(), spool.is_empty()), (text.len() as u64, text.is_empty()));
            match spool.finish() {
                Received::Memory(bytes) => assert!(in_memory && bytes == text.as_bytes()),
                Received::File(mut file, len) => {
                    let mut all = String::new();
                    file.rewind().unwrap();
                    file.read_to_string(&mut all).unwrap();
                    assert!(!in_memory && all == text && len == text.len() as u64);
                }
                other => panic!("kept as {other:?}"),
            }
        }
        assert!(
            !folder.path().join("made").exists()
                || std::fs::read_dir(folder.path().join("made/at/need")).unwrap().next().is_none()
        );
    }
}
