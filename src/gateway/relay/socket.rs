//! A connection to an upstream that never waits: opened, written and read as far as it goes. Knows no request.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use socket2::{Domain, SockAddr, Type};

use super::tls::Tls;
use crate::exchange::engine::Bell;
use crate::gateway::upstream::address::Address;
use crate::gateway::upstream::idle::Wire;

/// The connection.
#[derive(Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
    /// TLS over one of them.
    Tls(Box<Tls>),
}

/// A connection and what tells of its news, kept together from one request to the next.
#[derive(Debug)]
pub struct Line {
    /// The connection.
    pub socket: Socket,
    /// Its bell, once it was hung.
    pub bell: Option<Box<dyn Bell>>,
    /// Whether room to write is news, too.
    pub watches_room: bool,
}

impl From<Socket> for Line {
    fn from(socket: Socket) -> Line {
        Line { socket, bell: None, watches_room: false }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Wire for Line {
    fn may_have_news(&self) -> bool {
        self.bell.as_ref().is_none_or(|bell| bell.has_news())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
            Socket::Tls(tls) => tls.socket.as_fd(),
        }
    }
}

impl Socket {
    /// Begins to connect. The first write tells how it went: it is `WouldBlock` until the connection stands.
    pub fn open(address: &Address, from: Option<SocketAddr>, keepalive: bool) -> io::Result<Socket> {
        match address {
            Address::Unix(path) => {
                let socket = fresh(Domain::UNIX, None)?;
                // A full queue of the server is an error here (EAGAIN): no edge would tell when there is room.
                socket.connect(&SockAddr::unix(path)?).map_err(|error| match error.kind() {
                    ErrorKind::WouldBlock => io::Error::from_raw_os_error(nix::libc::EAGAIN),
                    _ => error,
                })?;
                Ok(Socket::Unix(socket.into()))
            }
            Address::Tcp(address) => {
                let socket = fresh(Domain::for_address(*address), Some(socket2::Protocol::TCP))?;
                if let Some(from) = from {
                    socket.bind(&from.into())?;
                }
                if keepalive {
                    socket.set_keepalive(true)?;
                }
                // A request is written in as few pieces as can be; none of them should wait for an answer to the one before.
                socket.set_tcp_nodelay(true)?;
                match socket.connect(&(*address).into()) {
                    Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
                    done => done?,
                }
                Ok(Socket::Tcp(socket.into()))
            }
        }
    }

    /// Whether it may have to write before it can be read, and the other way round.
    pub fn is_tls(&self) -> bool {
        matches!(self, Socket::Tls(_))
    }

    /// Whether a handshake of TLS has begun.
    pub fn has_greeted(&self) -> bool {
        matches!(self, Socket::Tls(tls) if tls.has_begun)
    }

    /// Whether the connection stands, and its handshake is done where there is one: `WouldBlock` until then.
    pub fn stand(&mut self) -> io::Result<()> {
        match self {
            // Nothing is sent; the call tells how the connection came to be.
            Socket::Tcp(socket) => socket.write(&[]).map(drop),
            Socket::Unix(_) => Ok(()),
            Socket::Tls(tls) => tls.shake(),
        }
    }

    /// Reads what is there; 0 is the end.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let done = match self {
                Socket::Tcp(socket) => socket.read(into),
                Socket::Unix(socket) => socket.read(into),
                Socket::Tls(tls) => tls.read(into),
            };
            match done {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Writes what it takes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let done = match self {
                Socket::Tcp(socket) => socket.write(bytes),
                Socket::Unix(socket) => socket.write(bytes),
                Socket::Tls(tls) => tls.write(bytes),
            };
            match done {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Says that nothing more will be written.
    pub fn shut(&mut self) {
        // It fails only when the other end has gone already.
        let _ = match self {
            Socket::Tcp(socket) => socket.shutdown(std::net::Shutdown::Write),
            Socket::Unix(socket) => socket.shutdown(std::net::Shutdown::Write),
            Socket::Tls(tls) => return tls.shut(),
        };
    }
}

fn fresh(domain: Domain, protocol: Option<socket2::Protocol>) -> io::Result<socket2::Socket> {
    socket2::Socket::new(domain, Type::STREAM.nonblocking(), protocol)
}
