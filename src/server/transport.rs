//! The bytes in and out of one socket, never waiting: TCP or a Unix socket. Knows no HTTP. A later transport
//! (TLS) reports what it wants apart from the phase its connection is in.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use mio::event::Source;
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

/// One socket.
#[derive(Debug)]
pub enum Transport {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl Transport {
    /// Reads what is there.
    pub fn read(&mut self, into: &mut [u8]) -> Io {
        loop {
            let done = match self {
                Transport::Tcp(socket) => socket.read(into),
                Transport::Unix(socket) => socket.read(into),
            };
            match done {
                Ok(0) => return Io::End,
                Ok(n) => return Io::Bytes(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return failed(&error),
            }
        }
    }

    /// Writes one piece.
    pub fn write(&mut self, bytes: &[u8]) -> Io {
        loop {
            let done = match self {
                Transport::Tcp(socket) => socket.write(bytes),
                Transport::Unix(socket) => socket.write(bytes),
            };
            match done {
                Ok(n) => return Io::Bytes(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return failed(&error),
            }
        }
    }

    /// Writes several pieces at once.
    pub fn write_all_of(&mut self, pieces: &[IoSlice<'_>]) -> Io {
        loop {
            let done = match self {
                Transport::Tcp(socket) => socket.write_vectored(pieces),
                Transport::Unix(socket) => socket.write_vectored(pieces),
            };
            match done {
                Ok(n) => return Io::Bytes(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return failed(&error),
            }
        }
    }

    /// Sends a part of a file without copying it through us. `End` means that the file has shrunk.
    pub fn send_file(&mut self, file: &File, offset: u64, len: usize) -> Io {
        loop {
            let mut at = offset as i64;
            match nix::sys::sendfile::sendfile(self.fd(), file, Some(&mut at), len) {
                Ok(0) => return Io::End,
                Ok(n) => return Io::Bytes(n),
                Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => return Io::Blocked,
                Err(_) => return Io::Gone,
            }
        }
    }

    /// Whether the other end will send nothing more: it closed, or it is gone. Takes nothing from the socket.
    pub fn has_ended(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let peeked = match self {
            Transport::Tcp(socket) => socket2::SockRef::from(socket).peek(&mut byte),
            Transport::Unix(socket) => socket2::SockRef::from(socket).peek(&mut byte),
        };
        match peeked {
            Ok(n) => n == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        // It fails only when the other end has gone already.
        let _ = match self {
            Transport::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Transport::Unix(socket) => socket.shutdown(Shutdown::Write),
        };
    }

    /// Makes the close a reset, so that the kernel keeps nothing of the connection.
    pub fn reset_on_close(&mut self) {
        if let Transport::Tcp(socket) = self {
            // Where it fails the close is an ordinary one.
            let _ = socket2::SockRef::from(&*socket).set_linger(Some(std::time::Duration::ZERO));
        }
    }

    /// Bounds the bytes that lie unsent in the kernel; none lifts the bound.
    pub fn bound_unsent(&mut self, most: Option<u32>) {
        if let Transport::Tcp(socket) = self {
            // It fails only when the other end has gone already.
            let _ = socket2::SockRef::from(&*socket).set_tcp_notsent_lowat(most.unwrap_or(0));
        }
    }

    /// `tcp_nodelay`.
    pub fn set_nodelay(&mut self, on: bool) {
        if let Transport::Tcp(socket) = self {
            // It fails only when the other end has gone already.
            let _ = socket.set_nodelay(on);
        }
    }

    /// The address the client connected to; none on a Unix socket.
    pub fn local(&self) -> Option<SocketAddr> {
        match self {
            Transport::Tcp(socket) => socket.local_addr().ok(),
            Transport::Unix(_) => None,
        }
    }

    /// The part that events are registered for.
    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Transport::Tcp(socket) => socket,
            Transport::Unix(socket) => socket,
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Transport::Tcp(socket) => socket.as_fd(),
            Transport::Unix(socket) => socket.as_fd(),
        }
    }
}

fn failed(error: &io::Error) -> Io {
    match error.kind() {
        ErrorKind::WouldBlock => Io::Blocked,
        _ => Io::Gone,
    }
}
