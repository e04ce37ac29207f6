//! The bytes in and out of one client, never waiting: a socket as it is, or TLS over one. Knows no HTTP.

use std::fs::File;
use std::io::IoSlice;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::BorrowedFd;

use super::socket::{Io, Mute, Socket};
use super::tls::Tls;

/// One client.
#[derive(Debug)]
pub enum Transport {
    /// Over the bare socket.
    Plain(Socket),
    /// Over TLS, or on the way to it.
    Tls(Box<Tls>),
}

impl Transport {
    /// Reads what is there.
    pub fn read(&mut self, into: &mut [u8]) -> Io {
        match self {
            Transport::Plain(socket) => socket.receive(into),
            Transport::Tls(tls) => tls.read(into),
        }
    }

    /// Writes one piece.
    pub fn write(&mut self, bytes: &[u8]) -> Io {
        match self {
            Transport::Plain(socket) => socket.send(bytes),
            Transport::Tls(tls) => tls.write(bytes),
        }
    }

    /// Writes one piece that more follows: TLS keeps it back, so that it goes out together with the next.
    pub fn write_first(&mut self, bytes: &[u8]) -> Io {
        match self {
            Transport::Plain(socket) => socket.send(bytes),
            Transport::Tls(tls) => tls.put(bytes),
        }
    }

    /// Writes several pieces at once.
    pub fn write_all_of(&mut self, pieces: &[IoSlice<'_>]) -> Io {
        match self {
            Transport::Plain(socket) => socket.send_all_of(pieces),
            Transport::Tls(tls) => tls.write_all_of(pieces),
        }
    }

    /// Sends a part of a file; without TLS it is not copied through us. `End` means that the file has shrunk.
    pub fn send_file(&mut self, file: &File, offset: u64, len: usize) -> Io {
        match self {
            Transport::Plain(socket) => socket.send_file(file, offset, len),
            Transport::Tls(tls) => tls.send_file(file, offset, len),
        }
    }

    /// Sends on what was taken and has not gone out: `Bytes` once nothing is left. A bare socket keeps nothing back.
    pub fn flush(&mut self) -> Io {
        match self {
            Transport::Plain(_) => Io::Bytes(0),
            Transport::Tls(tls) => tls.flush(),
        }
    }

    /// Counts on while what was taken earlier goes out; stands still on a bare socket.
    pub fn flushed(&self) -> u64 {
        match self {
            Transport::Plain(_) => 0,
            Transport::Tls(tls) => tls.flushed(),
        }
    }

    /// Whether a read of `n` bytes into a buffer of `room` took everything that was there: the next byte comes with an edge.
    pub fn is_dry(&self, n: usize, room: usize) -> bool {
        match self {
            Transport::Plain(_) => n < room,
            Transport::Tls(tls) => n < room && tls.is_dry(),
        }
    }

    /// Whether a handshake has still to be done.
    pub fn is_shaking(&self) -> bool {
        matches!(self, Transport::Tls(tls) if tls.is_shaking())
    }

    /// Whether bytes were read ahead of whoever wants them, so that no edge will tell of them.
    pub fn holds_input(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            Transport::Tls(tls) => tls.holds_input(),
        }
    }

    /// Whether the other end will send nothing more: it closed, or it is gone. Takes nothing from who reads next.
    pub fn has_ended(&mut self) -> bool {
        match self {
            Transport::Plain(socket) => socket.has_ended(),
            Transport::Tls(tls) => tls.has_ended(),
        }
    }

    /// Whether something is said when it closes.
    pub fn has_goodbye(&self) -> bool {
        matches!(self, Transport::Tls(tls) if tls.session().is_some())
    }

    /// Nothing is said when it closes.
    pub fn fall_silent(&mut self) {
        if let Transport::Tls(tls) = self {
            tls.fall_silent();
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        Mute::check();
        if let Transport::Tls(tls) = self {
            tls.say_goodbye();
        }
        let socket = self.socket();
        // It fails only when the other end has gone already.
        let _ = match socket {
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Socket::Unix(socket) => socket.shutdown(Shutdown::Write),
        };
    }

    /// Makes the close a reset, so that the kernel keeps nothing of the connection.
    pub fn reset_on_close(&mut self) {
        if let Socket::Tcp(socket) = self.socket() {
            // Where it fails the close is an ordinary one.
            let _ = socket2::SockRef::from(&*socket).set_linger(Some(std::time::Duration::ZERO));
        }
    }

    /// Bounds the bytes that lie unsent in the kernel; none lifts the bound.
    pub fn bound_unsent(&mut self, most: Option<u32>) {
        if let Socket::Tcp(socket) = self.socket() {
            // It fails only when the other end has gone already.
            let _ = socket2::SockRef::from(&*socket).set_tcp_notsent_lowat(most.unwrap_or(0));
        }
    }

    /// `tcp_nodelay`.
    pub fn set_nodelay(&mut self, on: bool) {
        if let Socket::Tcp(socket) = self.socket() {
            // It fails only when the other end has gone already.
            let _ = socket.set_nodelay(on);
        }
    }

    /// The address the client connected to; none on a Unix socket.
    pub fn local(&self) -> Option<SocketAddr> {
        let socket = match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(tls) => tls.socket(),
        };
        match socket {
            Socket::Tcp(socket) => socket.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// The part that events are registered for.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Transport::Plain(socket) => socket.fd(),
            Transport::Tls(tls) => tls.socket().fd(),
        }
    }

    pub(super) fn socket(&mut self) -> &mut Socket {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(tls) => tls.socket_mut(),
        }
    }
}
