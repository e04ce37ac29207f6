//! A connection to a server: by TCP or a socket's file, with TLS or without. It reads while it sends, as a server may answer
//! before it has read all. Knows bytes and times, not what they say.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::trust;

/// Where a server is.
#[derive(Debug, Clone)]
pub enum Place {
    /// At a host and a port.
    Tcp(String, u16),
    /// At a socket's file.
    Unix(PathBuf),
}

/// How a connection is made safe: whom to trust, and the name to ask for.
#[derive(Debug, Clone)]
pub struct Secure {
    /// Whom to trust.
    pub config: Arc<ClientConfig>,
    /// The host of the URL.
    pub host: String,
}

/// A connection with what was read ahead.
pub struct Wire {
    stream: Stream,
    until: Instant,
    /// What came and was not taken yet.
    pub ahead: Vec<u8>,
    /// Why nothing more comes, where TLS says it.
    pub broken: Option<String>,
}

enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What came of reading.
pub enum More {
    /// Bytes.
    Came,
    /// The end, or a connection that broke.
    End,
    /// Nothing in time.
    Late,
}

/// Why there is no connection.
pub enum Unopened {
    /// The server ended the TLS handshake.
    Refused(String),
    /// Something else.
    Failed(String),
}

impl From<String> for Unopened {
    fn from(why: String) -> Self {
        Unopened::Failed(why)
    }
}

/// Bytes that are written at once.
const PIECE: usize = 64 << 10;

impl Wire {
    /// Opens a connection that is good until a moment.
    pub fn open(place: &Place, secure: Option<&Secure>, until: Instant) -> Result<Wire, Unopened> {
        let socket = match place {
            Place::Unix(path) => Socket::Unix(
                UnixStream::connect(path).map_err(|error| format!("the engine takes no connection: {error}"))?,
            ),
            Place::Tcp(host, port) => Socket::Tcp(connect(host, *port, until)?),
        };
        let Some(secure) = secure else { return Ok(Wire::new(Stream::Plain(socket), until)) };
        let session = ClientConnection::new(secure.config.clone(), trust::name(&secure.host)?);
        let session = session.map_err(|error| format!("TLS cannot begin: {error}"))?;
        let mut wire = Wire::new(Stream::Tls(Box::new(StreamOwned::new(session, socket))), until);
        wire.shake_hands()?;
        Ok(wire)
    }

    fn new(stream: Stream, until: Instant) -> Wire {
        Wire { stream, until, ahead: Vec::new(), broken: None }
    }

    /// The moment until which it is good from now on.
    pub fn good_until(&mut self, until: Instant) {
        self.until = until;
    }

    fn shake_hands(&mut self) -> Result<(), Unopened> {
        let Stream::Tls(tls) = &mut self.stream else { return Ok(()) };
        while tls.conn.is_handshaking() {
            let time = Some(left(self.until));
            tls.sock.set_timeouts(time).map_err(|error| error.to_string())?;
            match tls.conn.complete_io(&mut tls.sock) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err("the TLS handshake did not end in time".to_string().into());
                }
                Err(error) if trust::is_refused(&error) => return Err(Unopened::Refused(trust::refusal(&error))),
                Err(error) => return Err(trust::refusal(&error).into()),
            }
        }
        Ok(())
    }

    /// Sends bytes and reads what comes meanwhile. An end of the other side is no error here: what it said counts.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if Instant::now() >= self.until {
                return Err("the server did not take the request in time".into());
            }
            match self.ready(PollFlags::POLLIN | PollFlags::POLLOUT, left(self.until))? {
                ready if ready.is_empty() => return Err("the server did not take the request in time".into()),
                ready if ready.contains(PollFlags::POLLIN) && self.look()? => return Ok(()),
                ready if !ready.contains(PollFlags::POLLOUT) => {}
                _ => match self.write(&rest[..rest.len().min(PIECE)]) {
                    Ok(n) => rest = &rest[n..],
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                    // Closed: what came before is to be read.
                    Err(_) => return Ok(()),
                },
            }
        }
        Ok(())
    }

    /// Waits, unless an answer begins or the connection ends; whether it is worth to go on sending.
    pub fn pause(&mut self, time: Duration) -> Result<bool, String> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let readable = self.ready(PollFlags::POLLIN, left(end))?.contains(PollFlags::POLLIN);
            if readable && (self.look()? || !self.ahead.is_empty()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads what is there; whether the other side has ended.
    fn look(&mut self) -> Result<bool, String> {
        match self.read(Duration::from_millis(1))? {
            More::End => Ok(true),
            More::Came | More::Late => Ok(false),
        }
    }

    /// Reads more, until the moment that was set. A server that never stops does not put it off.
    pub fn more(&mut self) -> Result<More, String> {
        self.read_until(self.until)
    }

    fn read_until(&mut self, until: Instant) -> Result<More, String> {
        if Instant::now() >= until { Ok(More::Late) } else { self.read(left(until)) }
    }

    /// Whether the other side closes within a time; bytes that come are kept.
    pub fn ends_within(&mut self, time: Duration) -> Result<bool, String> {
        let end = Instant::now() + time;
        loop {
            match self.read_until(end)? {
                More::End => return Ok(true),
                More::Late => return Ok(false),
                More::Came => {}
            }
        }
    }

    fn read(&mut self, time: Duration) -> Result<More, String> {
        let mut piece = [0; 16 << 10];
        self.socket().set_timeouts(Some(time)).map_err(|error| error.to_string())?;
        let read = match &mut self.stream {
            Stream::Plain(socket) => socket.read(&mut piece),
            Stream::Tls(tls) => tls.read(&mut piece),
        };
        Ok(match read {
            Ok(0) => More::End,
            Ok(n) => {
                self.ahead.extend(&piece[..n]);
                More::Came
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => More::Late,
            // A child of the engine in this process ended; nothing came, and nothing is late.
            Err(error) if error.kind() == ErrorKind::Interrupted => More::Came,
            // A reset behind the answer is told by what is missing of the answer; an end without a word of TLS is an end too.
            Err(error) => {
                if error.kind() == ErrorKind::InvalidData {
                    self.broken = Some(trust::refusal(&error));
                }
                More::End
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let time = left(self.until);
        self.socket().set_timeouts(Some(time))?;
        match &mut self.stream {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(tls) => {
                let n = tls.write(bytes)?;
                tls.flush()?;
                Ok(n)
            }
        }
    }

    /// What the socket is ready for; nothing when the time is up. An error or an end can be read.
    fn ready(&self, wanted: PollFlags, time: Duration) -> Result<PollFlags, String> {
        let time = PollTimeout::try_from(time.max(Duration::from_millis(1))).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(self.socket().as_fd(), wanted)];
        match poll(&mut polled, time) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(format!("the connection cannot be watched: {error}")),
        }
        let found = polled[0].revents().unwrap_or(PollFlags::empty());
        let ended = found.intersects(PollFlags::POLLHUP | PollFlags::POLLERR);
        Ok(if ended { found | PollFlags::POLLIN } else { found })
    }

    fn socket(&self) -> &Socket {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &tls.sock,
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Stream::Tls(tls) = &mut self.stream {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
        // It fails only when the other end has gone already.
        let _ = match self.socket() {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Socket {
    fn set_timeouts(&self, time: Option<Duration>) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.set_read_timeout(time).and_then(|()| stream.set_write_timeout(time)),
            Socket::Unix(stream) => stream.set_read_timeout(time).and_then(|()| stream.set_write_timeout(time)),
        }
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(into),
            Socket::Unix(stream) => stream.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn connect(host: &str, port: u16, until: Instant) -> Result<TcpStream, String> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let wrong = |error: io::Error| format!("{host}:{port} takes no connection: {error}");
    let addresses = (name, port).to_socket_addrs().map_err(wrong)?;
    let mut last = io::Error::from(ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(until)) {
            Ok(stream) => {
                // Small pieces go out as they are written.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(wrong(last))
}

/// What is left until a moment; never nothing, which would mean for ever.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
