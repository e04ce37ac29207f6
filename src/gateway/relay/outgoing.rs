//! A request on its way to an upstream: its head, its body in the protocol's coding, and how much of it is out. Knows neither
//! who is asked nor what is answered.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use bytes::{Buf, Bytes};

use super::protocol::Protocol;
use super::socket::Socket;
use crate::exchange::Received;
use crate::exchange::inflow::Inflow;

/// Bytes of a body that are coded at a time.
const PIECE: usize = 32 << 10;
/// What one turn writes at most.
const TURN: u64 = 4 << 20;

/// Where a request's body comes from.
#[derive(Debug, Clone)]
pub enum Payload {
    /// There is none.
    Nothing,
    /// These bytes.
    Own(Bytes),
    /// The body that was received.
    Received,
}

/// What of a body is at hand.
pub enum Source<'a> {
    /// All of it, in memory.
    Memory(&'a [u8]),
    /// All of it, in a file.
    File(&'a File, u64),
    /// It comes while it is passed on.
    Coming(&'a Inflow),
}

impl Payload {
    /// Where its bytes are.
    pub fn source<'a>(&'a self, received: &'a Received) -> Source<'a> {
        match (self, received) {
            (Payload::Own(bytes), _) => Source::Memory(bytes),
            (Payload::Received, Received::Memory(bytes)) => Source::Memory(bytes),
            (Payload::Received, Received::File(file, len)) => Source::File(file, *len),
            (Payload::Received, Received::Coming(inflow)) => Source::Coming(inflow),
            (Payload::Nothing, _) | (Payload::Received, _) => Source::Memory(b""),
        }
    }
}

/// How far sending came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// All of it is out.
    All,
    /// The server takes no more now.
    Blocked,
    /// It would take more, but others want a turn.
    More,
    /// The client has not sent more of it yet.
    Hungry,
}

/// What is left of a request.
#[derive(Debug)]
pub struct Outgoing {
    /// What of the head is neither written nor copied before the body.
    head: Bytes,
    /// What of the body is coded and not written.
    coded: Vec<u8>,
    /// How much of that was written.
    at: usize,
    /// How much of the body is coded.
    next: u64,
    /// Whether its end is coded too.
    ended: bool,
    /// Bytes that were written.
    pub written: u64,
    /// Whether a part of it cannot be had again.
    pub is_spent: bool,
}

impl Outgoing {
    /// A request that begins with this head.
    pub fn new(head: Bytes) -> Outgoing {
        Outgoing { head, coded: Vec::new(), at: 0, next: 0, ended: false, written: 0, is_spent: false }
    }

    /// Whether all of it is out.
    pub fn is_done(&self) -> bool {
        self.ended && self.is_empty()
    }

    /// Whether all that is coded is out.
    fn is_empty(&self) -> bool {
        self.head.is_empty() && self.at == self.coded.len()
    }

    /// Writes as much as the server takes.
    pub fn send(&mut self, socket: &mut Socket, protocol: &mut dyn Protocol, body: &Source<'_>) -> io::Result<Sent> {
        let end = self.written + TURN;
        loop {
            self.fill(protocol, body)?;
            if self.is_empty() {
                return Ok(if self.ended { Sent::All } else { Sent::Hungry });
            }
            if self.written >= end {
                return Ok(Sent::More);
            }
            let next = if self.head.is_empty() { &self.coded[self.at..] } else { &self.head[..] };
            match socket.write(next) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    if self.head.is_empty() {
                        self.at += n
                    } else {
                        self.head.advance(n)
                    }
                    self.written += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Sent::Blocked),
                Err(error) => return Err(error),
            }
        }
    }

    /// The head goes out together with the beginning of the body, if there is one.
    fn join(&mut self) {
        // Nothing is coded before it, and most of what stands behind it is short.
        self.coded.reserve(self.head.len() + 16);
        self.coded.extend_from_slice(&std::mem::take(&mut self.head));
    }

    /// Codes more of the body while little waits to be written.
    fn fill(&mut self, protocol: &mut dyn Protocol, body: &Source<'_>) -> io::Result<()> {
        if self.at == self.coded.len() {
            self.coded.clear();
            self.at = 0;
        }
        while !self.ended && self.coded.len() - self.at < PIECE {
            let left = match body {
                Source::Memory(bytes) => {
                    let rest = bytes.get(self.next as usize..).unwrap_or_default();
                    let piece = &rest[..rest.len().min(PIECE)];
                    if !piece.is_empty() {
                        self.join();
                        protocol.encode(piece, &mut self.coded);
                    }
                    self.next += piece.len() as u64;
                    bytes.len() as u64 - self.next
                }
                Source::File(file, len) => {
                    let mut piece = vec![0; (len - self.next).min(PIECE as u64) as usize];
                    if !piece.is_empty() {
                        self.join();
                        file.read_exact_at(&mut piece, self.next)?;
                        protocol.encode(&piece, &mut self.coded);
                    }
                    self.next += piece.len() as u64;
                    len - self.next
                }
                Source::Coming(inflow) => {
                    let piece = inflow.take(PIECE);
                    if piece.is_empty() && !inflow.has_ended() {
                        return Ok(());
                    }
                    if !piece.is_empty() {
                        self.is_spent = true;
                        self.join();
                        protocol.encode(&piece, &mut self.coded);
                    }
                    u64::from(!inflow.has_ended())
                }
            };
            if left == 0 {
                if !protocol.end().is_empty() {
                    self.join();
                    self.coded.extend_from_slice(protocol.end());
                }
                self.ended = true;
            }
        }
        Ok(())
    }
}
