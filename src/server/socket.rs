//! One socket of a client, never waiting: what a call on it comes to, and nothing kept back. Knows neither TLS nor HTTP.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use mio::net::{TcpStream, UnixStream};

/// What a call on a socket came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now: the socket must be waited for.
    Blocked,
    /// The other end will send nothing more.
    End,
    /// The connection is gone; this never becomes an answer.
    Gone,
}

thread_local! {
    static IS_MUTE: Cell<bool> = const { Cell::new(false) };
}

/// While this lives its thread writes to no client; one with debug assertions would panic.
pub struct Mute(());

impl Mute {
    /// From now on.
    pub fn this_thread() -> Mute {
        IS_MUTE.set(true);
        Mute(())
    }

    pub(super) fn check() {
        debug_assert!(!IS_MUTE.get(), "the acceptor writes nothing");
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        IS_MUTE.set(false);
    }
}

/// One socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// Reads what is there.
    pub fn receive(&mut self, into: &mut [u8]) -> Io {
        match outcome(|| self.read(into)) {
            Io::Bytes(0) => Io::End,
            io => io,
        }
    }

    /// Writes one piece.
    pub fn send(&mut self, bytes: &[u8]) -> Io {
        outcome(|| self.write(bytes))
    }

    /// Writes several pieces at once.
    pub fn send_all_of(&mut self, pieces: &[IoSlice<'_>]) -> Io {
        outcome(|| self.write_vectored(pieces))
    }

    /// Sends a part of a file without a copy through us. `End` means that the file has shrunk.
    pub fn send_file(&mut self, file: &File, offset: u64, len: usize) -> Io {
        let mut at = offset as i64;
        match outcome(|| Ok(nix::sys::sendfile::sendfile(self.fd(), file, Some(&mut at), len)?)) {
            Io::Bytes(0) => Io::End,
            io => io,
        }
    }

    /// Looks at what is there and leaves it there.
    pub(super) fn peek(&self, into: &mut [u8]) -> Io {
        use std::os::fd::AsRawFd;
        outcome(|| {
            let flags = nix::sys::socket::MsgFlags::MSG_PEEK;
            nix::sys::socket::recv(self.fd().as_raw_fd(), into, flags).map_err(io::Error::from)
        })
    }

    /// Whether the other end will send nothing more. Takes nothing from the socket.
    pub(super) fn has_ended(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let peeked = match self {
            Socket::Tcp(socket) => socket2::SockRef::from(socket).peek(&mut byte),
            Socket::Unix(socket) => socket2::SockRef::from(socket).peek(&mut byte),
        };
        match peeked {
            Ok(n) => n == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.read(into),
            Socket::Unix(socket) => socket.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Mute::check();
        match self {
            Socket::Tcp(socket) => socket.write(bytes),
            Socket::Unix(socket) => socket.write(bytes),
        }
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        Mute::check();
        match self {
            Socket::Tcp(socket) => socket.write_vectored(pieces),
            Socket::Unix(socket) => socket.write_vectored(pieces),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a call came to, interrupted ones made again.
pub(super) fn outcome(mut call: impl FnMut() -> io::Result<usize>) -> Io {
    loop {
        match call() {
            Ok(n) => return Io::Bytes(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Io::Blocked,
            Err(_) => return Io::Gone,
        }
    }
}
