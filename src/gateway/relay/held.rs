//! Bytes of an answer that its client has not taken yet, first in, first out: in memory, and past a size in a file without a
//! name. Bounded in both.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::exchange::temporary;

/// The bytes.
#[derive(Debug)]
pub struct Held {
    memory: Vec<u8>,
    /// How many of those in memory were taken.
    taken: usize,
    file: Option<File>,
    /// Where the file's bytes begin that nobody took, and where they end. They come behind those in memory.
    from: u64,
    to: u64,
    most: usize,
    most_in_file: u64,
    folder: PathBuf,
}

impl Held {
    /// Nothing yet; so much may lie in memory, so much in a file in this folder.
    pub fn new(most: usize, most_in_file: u64, folder: PathBuf) -> Held {
        Held { memory: Vec::new(), taken: 0, file: None, from: 0, to: 0, most, most_in_file, folder }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.taken == self.memory.len() && self.from == self.to
    }

    /// Whether it should take no more now.
    pub fn is_full(&self) -> bool {
        let in_memory = self.memory.len() - self.taken;
        match self.from < self.to || in_memory >= self.most {
            true => self.to >= self.most_in_file,
            false => false,
        }
    }

    /// Adds bytes at the end. It takes them even when it is full, since they have been read.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fits = self.memory.len() - self.taken + bytes.len() <= self.most;
        if self.from == self.to && (fits || self.most_in_file == 0) {
            self.memory.drain(..self.taken);
            self.taken = 0;
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(temporary::file(&self.folder)?);
        }
        // It was made just above.
        let Some(file) = &self.file else { return Ok(()) };
        file.write_all_at(bytes, self.to)?;
        self.to += bytes.len() as u64;
        Ok(())
    }

    /// Takes bytes out at the front; 0 when there are none.
    pub fn take(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.taken < self.memory.len() {
            let n = into.len().min(self.memory.len() - self.taken);
            into[..n].copy_from_slice(&self.memory[self.taken..self.taken + n]);
            self.taken += n;
            if self.taken == self.memory.len() {
                // A client that keeps up needs no buffer.
                (self.memory, self.taken) = (Vec::new(), 0);
            }
            return Ok(n);
        }
        let Some(file) = self.file.as_ref().filter(|_| self.from < self.to) else { return Ok(0) };
        let most = (self.to - self.from).min(into.len() as u64) as usize;
        let n = file.read_at(&mut into[..most], self.from)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.from += n as u64;
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
            file.set_len(0)?;
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out_through_memory_and_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut held = Held::new(10, 100, folder.path().join("made/at/need"));
        let (mut want, mut found) = (Vec::<u8>::new(), Vec::<u8>::new());
        for round in 0u8..60 {
            let piece: Vec<u8> = (0..7).map(|i| round.wrapping_mul(7).wrapping_add(i)).collect();
            if !held.is_full() {
                held.put(&piece).unwrap();
                want.extend(&piece);
            }
            if round % 3 > 0 {
                let mut part = [0; 5];
                let n = held.take(&mut part).unwrap();
                found.extend(&part[..n]);
            }
        }
        let mut part = [0; 64];
        while let n @ 1.. = held.take(&mut part).unwrap() {
            found.extend(&part[..n]);
        }
        assert!(found == want && held.is_empty() && found.len() > 150);
    }

    #[test]
    fn it_is_full_where_the_conf_says() {
        let folder = tempfile::tempdir().unwrap();
        for (in_file, bytes, full) in [(0, 9, false), (0, 10, true), (5, 10, false), (5, 14, false), (5, 15, true)] {
            let mut held = Held::new(10, in_file, folder.path().into());
            (0..bytes).for_each(|_| held.put(b"x").unwrap());
            assert_eq!(held.is_full(), full, "{in_file} {bytes}");
        }
    }
}
