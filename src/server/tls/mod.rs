//! TLS over one socket, never waiting. Bytes that cannot go out now are kept here and go first at the next call; bytes that
//! were opened and not asked for are kept too. Who parks a connection asks for both. Knows no server and no request.

mod handshake;

use std::cell::RefCell;
use std::fs::File;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::os::unix::fs::FileExt;

use rustls::server::ServerConnection;

use super::socket::{Io, Socket, outcome};
use handshake::Hello;

pub use handshake::{Choice, Shake};

/// What is read from a socket, and taken from a file, at a time: whole records, several for one system call.
const PIECE: usize = 64 << 10;
/// What a record holds, at most: one that came in part may become whole with the next byte.
const RECORD: usize = 16 << 10;
/// What is read where nobody takes what is opened. rustls takes nothing more in once it keeps more than 16 KiB that were not
/// asked for, and this much at once cannot bring it there before all is taken in.
const LEAST: usize = 4 << 10;

thread_local! {
    /// Where sockets and files are read into before they are opened or sealed.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// TLS over one socket.
#[derive(Debug)]
pub struct Tls {
    socket: Socket,
    state: State,
    /// Bytes of TLS that went out.
    flushed: u64,
    /// Whether the last read emptied the socket.
    is_dry: bool,
    /// Whether the other end closed its side of the socket.
    has_ended: bool,
    /// Whether the socket took less than there was, the last time it was asked.
    is_stuck: bool,
    /// Bytes that were opened and not asked for; a goodbye counts as one.
    held: usize,
}

enum State {
    /// Nothing has come.
    Fresh,
    /// A part of the client's first message has come.
    Greeting(Box<Hello>),
    /// The session, its handshake done or not.
    Session(Box<ServerConnection>),
    /// What came is no TLS: the bare socket.
    Bare,
    /// The handshake failed; nothing more goes in or out.
    Failed,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Fresh => "Fresh",
            State::Greeting(_) => "Greeting",
            State::Session(_) => "Session",
            State::Bare => "Bare",
            State::Failed => "Failed",
        })
    }
}

impl Tls {
    /// TLS over a socket on which nothing has come yet.
    pub fn over(socket: Socket) -> Tls {
        Tls { socket, state: State::Fresh, flushed: 0, is_dry: false, has_ended: false, is_stuck: false, held: 0 }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn socket_mut(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Whether the handshake has still to be done.
    pub fn is_shaking(&self) -> bool {
        match &self.state {
            State::Fresh | State::Greeting(_) => true,
            State::Session(session) => session.is_handshaking(),
            State::Bare | State::Failed => false,
        }
    }

    /// The session, once there is one.
    pub fn session(&self) -> Option<&ServerConnection> {
        match &self.state {
            State::Session(session) => Some(session),
            _ => None,
        }
    }

    /// Whether the client speaks no TLS.
    pub fn is_bare(&self) -> bool {
        matches!(self.state, State::Bare)
    }

    /// Gives TLS up: the client gets the bare socket.
    pub fn go_bare(&mut self) {
        self.state = State::Bare;
    }

    // --- reading ---

    /// Reads what is there.
    pub fn read(&mut self, into: &mut [u8]) -> Io {
        if self.is_bare() {
            return match self.socket.receive(into) {
                Io::Bytes(n) => {
                    self.is_dry = n < into.len();
                    Io::Bytes(n)
                }
                io => io,
            };
        }
        loop {
            if let Some(io) = self.opened(into) {
                return io;
            }
            match self.pull(into) {
                Io::Bytes(0) => {}
                Io::Blocked => {
                    self.is_dry = true;
                    // An answer to what the client said of its keys, or tickets.
                    self.flush();
                    return Io::Blocked;
                }
                io => return io,
            }
        }
    }

    /// What was opened and not asked for.
    fn opened(&mut self, into: &mut [u8]) -> Option<Io> {
        let State::Session(session) = &mut self.state else { return Some(Io::Gone) };
        match session.reader().read(into) {
            Ok(0) => Some(Io::End),
            Ok(n) => {
                self.held = self.held.saturating_sub(n);
                Some(Io::Bytes(n))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            // The socket ended without a word of goodbye.
            Err(_) => Some(Io::End),
        }
    }

    /// Reads the socket once, opens what came and gives it out: so many bytes. Reads no more than finds a place there.
    fn pull(&mut self, into: &mut [u8]) -> Io {
        SCRATCH.with_borrow_mut(|scratch| {
            let most = into.len().saturating_sub(RECORD).clamp(LEAST, scratch.len());
            let n = match self.socket.receive(&mut scratch[..most]) {
                Io::Bytes(n) => n,
                Io::End => {
                    self.has_ended = true;
                    return Io::End;
                }
                io => return io,
            };
            self.is_dry = n < most;
            match self.open(&scratch[..n], into) {
                Ok(given) => Io::Bytes(given),
                Err(()) => {
                    // The client is told what was wrong.
                    self.flush();
                    Io::Gone
                }
            }
        })
    }

    /// Opens what came and gives it out as it comes, since rustls does not keep much; what finds no place is kept until
    /// somebody asks for it.
    fn open(&mut self, mut bytes: &[u8], into: &mut [u8]) -> Result<usize, ()> {
        let State::Session(session) = &mut self.state else { return Err(()) };
        let mut given = 0;
        while !bytes.is_empty() {
            // Nothing is read any more behind a goodbye.
            if session.read_tls(&mut bytes).map_err(drop)? == 0 {
                break;
            }
            self.held = held(&session.process_new_packets().map_err(drop)?);
            while given < into.len() {
                match session.reader().read(&mut into[given..]) {
                    Ok(0) | Err(_) => break,
                    Ok(n) => {
                        given += n;
                        self.held = self.held.saturating_sub(n);
                    }
                }
            }
        }
        Ok(given)
    }

    /// Whether the last read emptied the socket.
    pub fn is_dry(&self) -> bool {
        self.is_dry
    }

    /// Whether something was opened that nobody asked for yet.
    pub fn holds_input(&self) -> bool {
        self.held > 0
    }

    /// Whether the other end closed its side of the socket. What comes before that is opened and kept.
    pub fn has_ended(&mut self) -> bool {
        if self.is_bare() {
            return self.socket.has_ended();
        }
        while !self.has_ended && self.held == 0 {
            match self.pull(&mut []) {
                Io::Bytes(_) => {}
                Io::Blocked => return false,
                Io::End | Io::Gone => return true,
            }
        }
        self.has_ended
    }

    // --- writing ---

    /// Takes bytes and sends what the socket takes.
    pub fn write(&mut self, bytes: &[u8]) -> Io {
        self.write_all_of(&[IoSlice::new(bytes)])
    }

    /// Takes bytes that more follows.
    pub fn put(&mut self, bytes: &[u8]) -> Io {
        match &mut self.state {
            State::Session(session) => outcome(|| session.writer().write(bytes)),
            _ => self.write(bytes),
        }
    }

    /// Takes several pieces and sends what the socket takes.
    pub fn write_all_of(&mut self, pieces: &[IoSlice<'_>]) -> Io {
        if self.is_bare() {
            return outcome(|| self.socket.write_vectored(pieces));
        }
        if self.is_stuck {
            match self.flush() {
                Io::Bytes(_) => {}
                io => return io,
            }
        }
        let State::Session(session) = &mut self.state else { return Io::Gone };
        let taken = outcome(|| session.writer().write_vectored(pieces));
        match (self.flush(), taken) {
            (Io::Gone, _) => Io::Gone,
            (Io::Blocked, Io::Bytes(0)) => Io::Blocked,
            // What was taken goes out later.
            (_, taken) => taken,
        }
    }

    /// Sends a part of a file. `End` means that the file has shrunk.
    pub fn send_file(&mut self, file: &File, offset: u64, len: usize) -> Io {
        if self.is_stuck {
            match self.flush() {
                Io::Bytes(_) => {}
                io => return io,
            }
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let most = len.min(scratch.len());
            match outcome(|| file.read_at(&mut scratch[..most], offset)) {
                Io::Bytes(0) => Io::End,
                Io::Bytes(n) => self.write(&scratch[..n]),
                // A file that cannot be read is as good as one that is not there any more.
                _ => Io::End,
            }
        })
    }

    /// Sends on what was taken; `Bytes` once nothing is left.
    pub fn flush(&mut self) -> Io {
        let State::Session(session) = &mut self.state else { return Io::Bytes(0) };
        self.is_stuck = false;
        while session.wants_write() {
            match outcome(|| session.write_tls(&mut self.socket)) {
                Io::Bytes(n) => self.flushed += n as u64,
                io => {
                    self.is_stuck = true;
                    return io;
                }
            }
        }
        Io::Bytes(0)
    }

    /// Bytes of TLS that went out.
    pub fn flushed(&self) -> u64 {
        self.flushed
    }

    /// Nothing more goes in or out.
    pub fn fall_silent(&mut self) {
        self.state = State::Failed;
    }

    /// Says that nothing more will come (close_notify, RFC 8446 section 6.1).
    pub fn say_goodbye(&mut self) {
        if let State::Session(session) = &mut self.state {
            session.send_close_notify();
            self.flush();
        }
    }
}

fn held(now: &rustls::IoState) -> usize {
    now.plaintext_bytes_to_read() + usize::from(now.peer_has_closed())
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.say_goodbye();
    }
}
