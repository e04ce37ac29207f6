//! Sends a case's bytes and reads answers by their framing (RFC 9112, section 6). Judges nothing.

use super::case::{Action, Exchange, Target};
use super::server::Place;
use super::tls;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// One answer as it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// 0 for an answer without a head, or for none at all.
    pub status: u16,
    pub reason: String,
    /// The fields of the 103 responses before it, in order: `Name: value | Name: value`.
    pub hints: Vec<String>,
    /// Names as they were sent, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Without its transfer coding, and without gzip where the head names that.
    pub body: Vec<u8>,
    pub end: End,
    /// Whether the connection ended before the body was whole.
    pub short: bool,
    /// The alert of TLS that ended the connection.
    pub alert: Option<String>,
}

/// What was seen on the connection after the answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum End {
    #[default]
    Unknown,
    Closed,
    /// Closed without the goodbye of TLS.
    Cut,
    Reset,
}

/// A client's connection, with what was read ahead.
pub struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    deadline: Instant,
    ended: Option<End>,
    alert: Option<String>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<tls::Stream>),
}

/// How an answer is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub bare: bool,
    pub nothing: bool,
    pub head: bool,
    pub closed: bool,
    /// The connection is to end before the body is whole.
    pub short: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }
}

/// The body that was compressed; none where there is no such thing, or only a part of it.
fn gunzip(answer: &Answer) -> Option<Vec<u8>> {
    answer.header("Content-Encoding").filter(|coding| *coding == b"gzip")?;
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut plain).ok()?;
    Some(plain)
}

impl Wire {
    pub fn connect(
        exchange: &Exchange,
        clients: &tls::Clients,
        place: &Place,
        deadline: Instant,
    ) -> Result<Wire, String> {
        let port = |n: usize| place.ports.get(n - 1).copied().ok_or(format!("no %PORT{n}% in the conf"));
        let mut stream = match &exchange.target {
            Target::Port(n) => Stream::Tcp(TcpStream::connect(("127.0.0.1", port(*n)?)).map_err(text)?),
            Target::Address(address, n) => {
                Stream::Tcp(TcpStream::connect(format!("{address}:{}", port(*n)?)).map_err(text)?)
            }
            Target::Unix(path) => Stream::Unix(UnixStream::connect(place.fill_str(path)).map_err(text)?),
        };
        if let Stream::Tcp(tcp) = &stream {
            tcp.set_nodelay(true).map_err(text)?;
        }
        if let Some(wanted) = &exchange.tls {
            stream = match stream {
                Stream::Tcp(tcp) => Stream::Tls(Box::new(tls::over(tcp, wanted, clients, place)?)),
                _ => return Err("TLS is spoken over TCP alone".into()),
            };
        }
        Ok(Wire { stream, buffer: Vec::new(), deadline, ended: None, alert: None })
    }

    pub fn send(&mut self, exchange: &Exchange, place: &Place) -> Result<(), String> {
        let mut bytes = Vec::new();
        let count = exchange.actions.len();
        for (index, action) in exchange.actions.iter().enumerate() {
            match action {
                // Neighbours leave in one write only when a pipelined request put them side by side.
                Action::Send(more) => bytes.extend(place.fill(more)),
                Action::Pause(ms) => std::thread::sleep(Duration::from_millis(*ms)),
                Action::Shutdown => self.stream.shutdown(),
                Action::Heard => while self.buffer.is_empty() && self.fill()? {},
            }
            let glued = exchange.heads.len() > 1 && matches!(exchange.actions.get(index + 1), Some(Action::Send(_)));
            if !bytes.is_empty() && (!glued || index + 1 == count) && !self.write(&std::mem::take(&mut bytes))? {
                break;
            }
        }
        Ok(())
    }

    /// False when the server has closed: what it answered decides the case.
    fn write(&mut self, bytes: &[u8]) -> Result<bool, String> {
        self.stream.set_timeout(self.left()?)?;
        match self.stream.write_all(bytes) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(false),
            Err(e) if self.take_alert(&e) => Ok(false),
            Err(e) => Err(format!("sending: {e}")),
        }
    }

    /// Reads one answer of the given shape.
    pub fn read(&mut self, shape: Shape) -> Result<Answer, String> {
        let mut answer = Answer::default();
        if shape.bare || shape.nothing {
            while self.fill()? {}
            answer.body = std::mem::take(&mut self.buffer);
            answer.end = self.ended.clone().unwrap_or_default();
            answer.alert = self.alert.clone();
            return Ok(answer);
        }
        self.read_head(&mut answer)?;
        while answer.status == 103 {
            let line = |(name, value): &(String, Vec<u8>)| format!("{name}: {}", String::from_utf8_lossy(value));
            let hint = answer.headers.iter().map(line).collect::<Vec<_>>().join(" | ");
            answer.hints.push(hint);
            answer.headers.clear();
            self.read_head(&mut answer)?;
        }
        let bodiless = shape.head || answer.status < 200 || answer.status == 204 || answer.status == 304;
        if answer.status == 101 && shape.closed {
            // The protocol behind it ends with the connection.
            while self.fill()? {}
            answer.body = std::mem::take(&mut self.buffer);
        } else if bodiless {
        } else if answer.header("Transfer-Encoding").is_some_and(|v| v.eq_ignore_ascii_case(b"chunked")) {
            answer.short = !self.read_chunked(&mut answer.body, shape.short)?;
        } else if let Some(length) = answer.header("Content-Length") {
            let length = std::str::from_utf8(length).ok().and_then(|n| n.parse().ok()).ok_or("odd Content-Length")?;
            answer.body = self.take(length, shape.short)?;
            answer.short = answer.body.len() < length;
        } else {
            while self.fill()? {}
            answer.body = std::mem::take(&mut self.buffer);
        }
        if let Some(plain) = gunzip(&answer) {
            answer.body = plain;
        }
        if shape.closed {
            while self.buffer.is_empty() && self.fill()? {}
        }
        answer.end = self.ended.clone().unwrap_or_default();
        Ok(answer)
    }

    /// What stands in the buffer after the last answer, if anything.
    pub fn extra(&self) -> Option<&[u8]> {
        (!self.buffer.is_empty()).then_some(&self.buffer)
    }

    fn read_head(&mut self, answer: &mut Answer) -> Result<(), String> {
        let status = self.line()?;
        let (version, rest) = status.split_once(' ').ok_or(format!("odd status line `{status}`"))?;
        if version != "HTTP/1.1" {
            return Err(format!("odd status line `{status}`"));
        }
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        answer.status = code.parse().map_err(|_| format!("odd status line `{status}`"))?;
        answer.reason = reason.into();
        loop {
            let line = self.line_bytes()?;
            if line.is_empty() {
                return Ok(());
            }
            let colon = line.iter().position(|b| *b == b':').ok_or("a header line without a colon")?;
            let name = String::from_utf8_lossy(&line[..colon]).into_owned();
            answer.headers.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
    }

    /// Whether the last chunk came; without it the answer is an error unless it may be short.
    fn read_chunked(&mut self, body: &mut Vec<u8>, may_be_short: bool) -> Result<bool, String> {
        loop {
            let line = match self.line() {
                Err(_) if may_be_short && self.ended.is_some() && self.buffer.is_empty() => return Ok(false),
                line => line?,
            };
            let size = usize::from_str_radix(&line, 16).map_err(|_| format!("odd chunk size `{line}`"))?;
            if size == 0 {
                while !self.line_bytes()?.is_empty() {}
                return Ok(true);
            }
            let piece = self.take(size, may_be_short)?;
            let is_whole = piece.len() == size;
            body.extend(piece);
            if !is_whole {
                return Ok(false);
            }
            if !self.line_bytes()?.is_empty() {
                return Err("a chunk is longer than its size".into());
            }
        }
    }

    fn line(&mut self) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.line_bytes()?).into_owned())
    }

    fn line_bytes(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = self.buffer[..at].to_vec();
                self.buffer.drain(..at + 2);
                return Ok(line);
            }
            if !self.fill()? {
                return Err(format!("closed in a line: {:?}", String::from_utf8_lossy(&self.buffer)));
            }
        }
    }

    fn take(&mut self, length: usize, may_be_short: bool) -> Result<Vec<u8>, String> {
        while self.buffer.len() < length {
            if !self.fill()? {
                match may_be_short {
                    true => break,
                    false => return Err(format!("closed after {} of {length} bytes of a body", self.buffer.len())),
                }
            }
        }
        let length = length.min(self.buffer.len());
        Ok(self.buffer.drain(..length).collect())
    }

    /// Reads more; false at the end of the stream.
    fn fill(&mut self) -> Result<bool, String> {
        if self.ended.is_some() {
            return Ok(false);
        }
        self.stream.set_timeout(self.left()?)?;
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.ended = Some(End::Closed),
            Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => self.ended = Some(End::Reset),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(format!("time is up, got so far: {:?}", String::from_utf8_lossy(&self.buffer)));
            }
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => self.ended = Some(End::Cut),
            Err(e) if self.take_alert(&e) => {}
            Err(e) => return Err(format!("reading: {e}")),
        }
        Ok(self.ended.is_none())
    }

    /// Whether an error is an alert of TLS: it ends the connection.
    fn take_alert(&mut self, error: &std::io::Error) -> bool {
        self.alert = self.alert.take().or_else(|| tls::alert(error));
        if self.alert.is_some() {
            self.ended = Some(End::Closed);
        }
        self.alert.is_some()
    }

    fn left(&self) -> Result<Duration, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err("time is up".into()) } else { Ok(left) }
    }
}

impl Stream {
    fn set_timeout(&self, left: Duration) -> Result<(), String> {
        match self {
            Stream::Tcp(s) => s.set_read_timeout(Some(left)).and_then(|()| s.set_write_timeout(Some(left))),
            Stream::Unix(s) => s.set_read_timeout(Some(left)).and_then(|()| s.set_write_timeout(Some(left))),
            Stream::Tls(s) => s.sock.set_read_timeout(Some(left)).and_then(|()| s.sock.set_write_timeout(Some(left))),
        }
        .map_err(text)
    }

    fn shutdown(&mut self) {
        // Fails only when the server was first to close, which the answer will show.
        let _ = match self {
            Stream::Tcp(s) => s.shutdown(Shutdown::Write),
            Stream::Unix(s) => s.shutdown(Shutdown::Write),
            Stream::Tls(s) => {
                s.conn.send_close_notify();
                s.flush().and_then(|()| s.sock.shutdown(Shutdown::Write))
            }
        };
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Stream::Tcp(s) => s.write_all(bytes),
            Stream::Unix(s) => s.write_all(bytes),
            Stream::Tls(s) => s.write_all(bytes).and_then(|()| s.flush()),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.read(into),
            Stream::Unix(s) => s.read(into),
            Stream::Tls(s) => s.read(into),
        }
    }
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
