//! An answer on its way out: what is left of it, and one call that sends as much as the socket takes.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::transport::{Io, Transport};
use crate::http::response::Chunk;

/// Pieces handed to one `writev`.
const PIECES: usize = 16;

/// How sending ended for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything is out.
    Done,
    /// The socket takes no more now.
    Blocked,
    /// The share of one turn is used up; others may want to send.
    Yield,
    /// The client has gone.
    Gone,
    /// A file became shorter than its Content-Length promised.
    Shrunk,
}

/// What is left of an answer.
#[derive(Debug, Default)]
pub struct Output {
    chunks: VecDeque<Chunk>,
    /// Bytes sent so far, head included.
    pub sent: u64,
}

impl Output {
    /// An answer that begins with these chunks; `sent` bytes went out already.
    pub fn new(chunks: VecDeque<Chunk>, sent: u64) -> Self {
        Output { chunks, sent }
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.chunks.iter().all(Chunk::is_empty)
    }

    /// Sends until it is done, the socket is full, or the turn's share is used up.
    pub fn send(&mut self, socket: &mut Transport, share: u64, most_at_once: u64) -> Progress {
        let end = self.sent.saturating_add(share);
        loop {
            while self.chunks.front().is_some_and(Chunk::is_empty) {
                self.chunks.pop_front();
            }
            let io = match self.chunks.front() {
                None => return Progress::Done,
                Some(_) if self.sent >= end => return Progress::Yield,
                Some(Chunk::Bytes(_)) => self.write(socket),
                Some(Chunk::File { file, offset, len }) => {
                    socket.send_file(file, *offset, (*len).min(most_at_once).min(end - self.sent) as usize)
                }
            };
            match io {
                Io::Bytes(n) => self.advance(n as u64),
                Io::Blocked => return Progress::Blocked,
                Io::End => return Progress::Shrunk,
                Io::Gone => return Progress::Gone,
            }
        }
    }

    fn write(&self, socket: &mut Transport) -> Io {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let mut n = 0;
        for chunk in self.chunks.iter().take(PIECES) {
            let Chunk::Bytes(bytes) = chunk else { break };
            pieces[n] = IoSlice::new(bytes);
            n += 1;
        }
        socket.write_all_of(&pieces[..n])
    }

    fn advance(&mut self, mut n: u64) {
        self.sent += n;
        while n > 0 {
            let Some(front) = self.chunks.front_mut() else { return };
            let step = front.len().min(n);
            match front {
                Chunk::Bytes(bytes) => *bytes = bytes.slice(step as usize..),
                Chunk::File { offset, len, .. } => {
                    *offset += step;
                    *len -= step;
                }
            }
            n -= step;
            if front.is_empty() {
                self.chunks.pop_front();
            }
        }
    }
}
