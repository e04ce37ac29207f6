//! A plain client: one connection, bytes out, answers in, read by Content-Length or in chunks. Knows nothing of servers.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::site::PATIENCE;

/// One connection.
pub struct Client {
    pub stream: TcpStream,
    ahead: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether the server said that it closes.
    pub fn closes(&self) -> bool {
        self.head.to_ascii_lowercase().contains("\r\nconnection: close")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
}

impl Client {
    /// Connects.
    pub fn new(port: u16) -> Client {
        Client::over(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// Takes a connection that stands.
    pub fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, ahead: Vec::new() }
    }

    /// Connects where somebody may listen.
    pub fn try_new(port: u16) -> Option<Client> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(Client { stream, ahead: Vec::new() })
    }

    /// Sends bytes; whether they all went out.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Asks for a path and reads the answer.
    pub fn get(&mut self, path: &str) -> Answer {
        self.try_get(path).unwrap_or_else(|| panic!("no answer to {path}"))
    }

    /// The same where there may be none.
    pub fn try_get(&mut self, path: &str) -> Option<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        self.answer()
    }

    /// Reads one answer; none if the connection ends before it is whole.
    pub fn answer(&mut self) -> Option<Answer> {
        let head_len = loop {
            if let Some(at) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.ahead[..head_len]).into_owned();
        self.ahead.drain(..head_len);
        let status = head.get(9..12)?.parse().ok()?;
        let length = head.to_ascii_lowercase().lines().find_map(|line| {
            let value = line.strip_prefix("content-length:")?;
            value.trim().parse::<usize>().ok()
        });
        if length.is_none() && head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked") {
            let body = self.chunks()?;
            return Some(Answer { status, head, body });
        }
        let length = length.unwrap_or(0);
        while self.ahead.len() < length {
            self.more()?;
        }
        let body = self.ahead.drain(..length).collect();
        Some(Answer { status, head, body })
    }

    /// Reads a body in chunks, without trailer fields; none if it breaks off.
    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                    break end;
                }
                self.more()?;
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.ahead[..end]).ok()?, 16).ok()?;
            while self.ahead.len() < end + 2 + size + 2 {
                self.more()?;
            }
            body.extend_from_slice(&self.ahead[end + 2..][..size]);
            self.ahead.drain(..end + 2 + size + 2);
            if size == 0 {
                return Some(body);
            }
        }
    }

    /// Says that nothing more will be sent.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads to the end: what came, and how it ended.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return (std::mem::take(&mut self.ahead), End::Closed),
                Ok(n) => self.ahead.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return (std::mem::take(&mut self.ahead), End::Reset);
                }
                Err(error) => panic!("{error} after {} bytes", self.ahead.len()),
            }
        }
    }

    /// Whether the server has closed the connection; looks without waiting.
    pub fn is_closed(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let mut byte = [0];
        let peeked = self.stream.peek(&mut byte);
        self.stream.set_nonblocking(false).unwrap();
        match peeked {
            Ok(n) => n == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// Whether the server has sent something or has closed the connection; looks without waiting.
    pub fn is_answered(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Closes with a reset.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    fn more(&mut self) -> Option<()> {
        let mut buffer = vec![0; 1 << 16];
        match self.stream.read(&mut buffer) {
            Ok(0) | Err(_) => None,
            Ok(n) => {
                self.ahead.extend_from_slice(&buffer[..n]);
                Some(())
            }
        }
    }
}

/// One request on a connection of its own.
pub fn get(port: u16, path: &str) -> Answer {
    Client::new(port).get(path)
}
