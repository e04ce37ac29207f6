//! An answer on its way out: what is left of it, and one call that sends as much as the socket takes.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;

use super::transport::{Io, Transport};
use crate::http::chunked;
use crate::http::response::{Chunk, Stream};

/// Pieces handed to one `writev`.
const PIECES: usize = 16;

/// How sending ended for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything is out.
    Done,
    /// The socket takes no more now.
    Blocked,
    /// The body is out; the fields behind it may be worked out now.
    Ended,
    /// The share of one turn is used up; others may want to send.
    Yield,
    /// The client has gone.
    Gone,
    /// A stream has nothing now; it is waited for, not the client.
    Starved,
    /// A stream broke off: what was promised cannot be kept.
    Broken,
    /// A file became shorter than its Content-Length promised.
    Shrunk,
}

/// What is left of an answer.
#[derive(Debug, Default)]
pub struct Output {
    chunks: VecDeque<Chunk>,
    /// Whether it goes out in chunks (RFC 9112 section 7.1).
    chunked: bool,
    /// Whether the last chunk is still to come.
    open: bool,
    /// Bytes sent so far, head included.
    pub sent: u64,
}

impl Output {
    /// An answer of these chunks, a stream only at their end; `sent` bytes of its head went out already.
    pub fn new(chunks: VecDeque<Chunk>, chunked: bool, sent: u64) -> Self {
        let chunks = if chunked { chunks.into_iter().flat_map(framed).collect() } else { chunks };
        Output { chunks, chunked, open: chunked, sent }
    }

    /// Ends a body that goes out in chunks with these fields; names and values can be written as they are.
    pub fn end(&mut self, trailers: &[(Bytes, Bytes)]) {
        self.open = false;
        self.chunks.push_back(Chunk::Bytes(chunked::last_chunk(trailers)));
    }

    /// When the stream in front wants to be asked again.
    pub fn stream_deadline(&self) -> Option<Instant> {
        match self.chunks.front() {
            Some(Chunk::Stream(stream)) => lock(stream).deadline(),
            _ => None,
        }
    }

    /// When the source must be looked after though the client takes nothing.
    pub fn limit(&self) -> Option<Instant> {
        match self.chunks.back() {
            Some(Chunk::Stream(stream)) => lock(stream).limit(),
            _ => None,
        }
    }

    /// Puts the unsent rest of a head before everything else.
    pub fn put_first(&mut self, bytes: Bytes) {
        self.chunks.push_front(Chunk::Bytes(bytes));
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        !self.open && self.chunks.iter().all(Chunk::is_empty)
    }

    /// Sends until it is done, the socket is full, or the turn's share is used up.
    pub fn send(&mut self, socket: &mut Transport, share: u64, most_at_once: u64) -> Progress {
        let end = self.sent.saturating_add(share);
        loop {
            while self.chunks.front().is_some_and(Chunk::is_empty) {
                self.chunks.pop_front();
            }
            let io = match self.chunks.front() {
                None if self.open => return Progress::Ended,
                None => match socket.flush() {
                    Io::Bytes(_) => return Progress::Done,
                    Io::Blocked => return Progress::Blocked,
                    Io::End | Io::Gone => return Progress::Gone,
                },
                Some(_) if self.sent >= end => return Progress::Yield,
                Some(Chunk::Bytes(_)) => self.write(socket, end - self.sent),
                Some(Chunk::Stream(stream)) => {
                    let stream = stream.clone();
                    match self.pump(&stream) {
                        Ok(()) => continue,
                        Err(progress) => return progress,
                    }
                }
                Some(Chunk::File { file, offset, len }) => {
                    socket.send_file(file, *offset, (*len).min(most_at_once).min(end - self.sent) as usize)
                }
            };
            match io {
                Io::Bytes(n) => self.advance(n as u64),
                Io::Blocked => {
                    if let Some(Chunk::Stream(stream)) = self.chunks.back() {
                        lock(stream).gather();
                    }
                    return Progress::Blocked;
                }
                Io::End => return Progress::Shrunk,
                Io::Gone => return Progress::Gone,
            }
        }
    }

    /// Moves what a stream has to the front of the queue.
    fn pump(&mut self, stream: &Mutex<dyn Stream>) -> Result<(), Progress> {
        let bytes = match lock(stream).next() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Progress::Starved),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(Progress::Yield),
            Err(_) => return Err(Progress::Broken),
        };
        if bytes.is_empty() {
            self.chunks.pop_front();
            return Ok(());
        }
        if !self.chunked {
            self.chunks.push_front(Chunk::Bytes(bytes));
            return Ok(());
        }
        let mut size = Vec::with_capacity(16);
        chunked::encode_chunk_head(bytes.len() as u64, &mut size);
        for piece in [Bytes::from_static(b"\r\n"), bytes, size.into()] {
            self.chunks.push_front(Chunk::Bytes(piece));
        }
        Ok(())
    }

    /// Writes the bytes in front, at most so many.
    fn write(&self, socket: &mut Transport, mut most: u64) -> Io {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let mut n = 0;
        for chunk in self.chunks.iter().take(PIECES) {
            let Chunk::Bytes(bytes) = chunk else { break };
            let len = most.min(bytes.len() as u64);
            if len == 0 && n > 0 {
                break;
            }
            most -= len;
            pieces[n] = IoSlice::new(&bytes[..len as usize]);
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
                // A stream is never in front while its bytes are sent: they were put before it.
                Chunk::Stream(_) => return,
            }
            n -= step;
            if front.is_empty() {
                self.chunks.pop_front();
            }
        }
    }
}

fn lock<'s>(stream: &'s Mutex<dyn Stream + 'static>) -> MutexGuard<'s, dyn Stream + 'static> {
    // A stream that panicked is asked again and breaks off by itself at worst.
    stream.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A piece of a body in the chunked coding; nothing for no bytes, which would end the body. A stream stays what it is: its pieces
/// are framed as they come.
fn framed(piece: Chunk) -> Vec<Chunk> {
    if piece.is_empty() || matches!(piece, Chunk::Stream(_)) {
        return vec![piece];
    }
    let mut size = Vec::with_capacity(16);
    chunked::encode_chunk_head(piece.len(), &mut size);
    vec![Chunk::Bytes(size.into()), piece, Chunk::Bytes(Bytes::from_static(b"\r\n"))]
}
