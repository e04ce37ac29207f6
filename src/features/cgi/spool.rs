//! What a script has written and nobody has sent yet: in memory, and past a size in a file without a name. Bounded.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::exchange::temporary;
use crate::http::response::{Body, Chunk};

/// Bytes kept in memory.
const MEMORY: usize = 64 << 10;
/// Bytes kept in all. Past them the answer is sent as it comes.
const MOST: u64 = 256 << 20;

/// Bytes in the order they came.
#[derive(Debug)]
pub struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    folder: PathBuf,
    /// How many were kept in all.
    len: u64,
    /// How many of them were taken out again.
    taken: u64,
}

impl Spool {
    /// An empty one, with the folder for its file.
    pub fn new(folder: &Path) -> Self {
        Spool { memory: Vec::new(), file: None, folder: folder.to_path_buf(), len: 0, taken: 0 }
    }

    /// What is in memory: everything, as long as it is not much.
    pub fn memory(&self) -> &[u8] {
        &self.memory
    }

    /// How many bytes are in it.
    pub fn len(&self) -> u64 {
        self.len - self.taken
    }

    /// Whether it should take no more.
    pub fn is_full(&self) -> bool {
        self.len >= MOST
    }

    /// Adds bytes at the end.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + bytes.len() > MEMORY {
            let mut file = temporary::file(&self.folder)?;
            file.write_all(&self.memory)?;
            (self.file, self.memory) = (Some(file), Vec::new());
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Removes the first bytes: the head, which was read while all was in memory.
    pub fn cut(&mut self, n: usize) {
        let n = n.min(self.memory.len());
        self.memory.drain(..n);
        self.len -= n as u64;
    }

    /// Takes bytes out at the front; none are left when the answer is 0.
    pub fn take(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = match &self.file {
            Some(file) => {
                let most = self.len().min(into.len() as u64) as usize;
                file.read_at(&mut into[..most], self.taken)?
            }
            None => {
                let rest = self.memory.get(self.taken as usize..).unwrap_or_default();
                let n = rest.len().min(into.len());
                into[..n].copy_from_slice(&rest[..n]);
                n
            }
        };
        self.taken += n as u64;
        if self.len() == 0 {
            // What was taken is of no more use.
            (self.memory, self.file, self.len, self.taken) = (Vec::new(), None, 0, 0);
        }
        Ok(n)
    }

    /// The first `len` bytes as a body.
    pub fn into_body(mut self, len: u64) -> Body {
        let mut body = Body::empty();
        match self.file {
            Some(file) => body.chunks.push_back(Chunk::File { file: Arc::new(file), offset: 0, len }),
            None if len == 0 => {}
            None => {
                self.memory.truncate(len as usize);
                body.chunks.push_back(Chunk::Bytes(self.memory.into()));
            }
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let folder = tempfile::tempdir().unwrap();
        for len in [0, 1, MEMORY, MEMORY + 1, 3 * MEMORY] {
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let mut spool = Spool::new(&folder.path().join("made/at/need"));
            bytes.chunks(1000).for_each(|part| spool.put(part).unwrap());
            assert_eq!((spool.len(), spool.file.is_some()), (len as u64, len > MEMORY));
            let (mut out, mut part) = (Vec::new(), [0; 777]);
            while let n @ 1.. = spool.take(&mut part).unwrap() {
                out.extend_from_slice(&part[..n]);
            }
            assert!(out == bytes && spool.len() == 0);
        }
    }

    #[test]
    fn a_body_may_be_shorter() {
        let folder = tempfile::tempdir().unwrap();
        for (len, cut, want) in [(10, 4, 6), (MEMORY + 8, 0, 9), (4, 4, 0)] {
            let mut spool = Spool::new(folder.path());
            spool.put(&vec![b'x'; len]).unwrap();
            spool.cut(cut);
            assert_eq!(spool.into_body(want).len(), want);
        }
    }
}
