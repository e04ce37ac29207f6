//! One request over one connection, and the answer as it was framed. Tolerates nothing: what no client could read is an
//! error with its reason.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::script::{Content, Request, Url};

/// Where a server is.
#[derive(Debug, Clone)]
pub enum Place {
    /// At a host and a port.
    Tcp(String, u16),
    /// At a socket's file.
    Unix(PathBuf),
}

/// An answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields, names in lower case.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Its body, chunks undone.
    pub body: Vec<u8>,
}

impl Answer {
    /// The values of a field.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_slice())
    }
}

/// Bytes of a head, and of a body, that are read at most.
const MOST_HEAD: usize = 1 << 20;
const MOST_BODY: usize = 1 << 30;

/// The request as it goes out.
pub fn bytes(
    request: &Request,
    url: &Url,
    host: &str,
    cookies: Option<&[u8]>,
    folder: &Path,
) -> Result<Vec<u8>, String> {
    let body = request.body.as_ref().map(|body| load(body, folder)).transpose()?;
    let Some(method) = &request.method else { return Ok(body.unwrap_or_default()) };
    let given = |name: &str| request.fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut out = format!("{method} {} HTTP/1.1\r\n", url.path).into_bytes();
    let mut add = |name: &str, value: &[u8]| out.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    if !given("host") {
        add("Host", host.as_bytes());
    }
    if !given("connection") {
        add("Connection", b"close");
    }
    if let Some(cookies) = cookies.filter(|_| !given("cookie")) {
        add("Cookie", cookies);
    }
    request.fields.iter().for_each(|(name, value)| add(name, value));
    match &body {
        Some(_) if request.chunked => add("Transfer-Encoding", b"chunked"),
        Some(body) if !given("content-length") => add("Content-Length", body.len().to_string().as_bytes()),
        _ => {}
    }
    out.extend(b"\r\n");
    match body {
        Some(body) if request.chunked => {
            for piece in body.chunks(8192) {
                out.extend(format!("{:x}\r\n", piece.len()).bytes());
                out.extend(piece);
                out.extend(b"\r\n");
            }
            out.extend(b"0\r\n\r\n");
        }
        body => out.extend(body.unwrap_or_default()),
    }
    Ok(out)
}

/// The bytes that a line names.
pub fn load(content: &Content, folder: &Path) -> Result<Vec<u8>, String> {
    match content {
        Content::Text(text) => Ok(text.clone()),
        Content::Size(size) => Ok(vec![b'x'; *size]),
        Content::File(name) => {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        }
    }
}

/// Sends bytes and reads an answer; `Ok(None)` is a connection closed without a byte.
pub fn ask(place: &Place, bytes: &[u8], is_head: bool, patience: Duration) -> Result<Option<Answer>, String> {
    let until = Instant::now() + patience;
    let mut wire = Wire::open(place, until)?;
    // A server may answer and close before it has read all: what it said counts.
    let sent = wire.send(bytes);
    match read(&mut wire, is_head) {
        Err(Broken::Silent) => match sent {
            Err(error)
                if error.kind() != io::ErrorKind::BrokenPipe && error.kind() != io::ErrorKind::ConnectionReset =>
            {
                Err(format!("the request could not be sent: {error}"))
            }
            _ => Ok(None),
        },
        Err(Broken::Bad(why)) => Err(why),
        Ok(answer) => Ok(Some(answer)),
    }
}

enum Broken {
    /// The end came before the first byte.
    Silent,
    Bad(String),
}

impl From<&str> for Broken {
    fn from(why: &str) -> Self {
        Broken::Bad(why.into())
    }
}

fn read(wire: &mut Wire, is_head: bool) -> Result<Answer, Broken> {
    loop {
        let mut answer = head(wire)?;
        // An interim answer goes before the real one (RFC 9110, section 15.2).
        if (100..200).contains(&answer.status) && answer.status != 101 {
            continue;
        }
        if !is_head && !matches!(answer.status, 101 | 204 | 304) {
            answer.body = body(wire, &answer)?;
        }
        return Ok(answer);
    }
}

fn head(wire: &mut Wire) -> Result<Answer, Broken> {
    let line = wire.line(true)?;
    let text = String::from_utf8_lossy(&line).into_owned();
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| Broken::Bad(format!("the answer begins with no status line: {text:?}")))?;
    let mut answer = Answer { status, ..Answer::default() };
    loop {
        let line = wire.line(false)?;
        if line.is_empty() {
            return Ok(answer);
        }
        let at = line.iter().position(|&byte| byte == b':');
        let at = at.ok_or_else(|| {
            Broken::Bad(format!("a line of the head has no colon: {:?}", String::from_utf8_lossy(&line)))
        })?;
        let name = String::from_utf8_lossy(&line[..at]).to_ascii_lowercase();
        answer.fields.push((name, line[at + 1..].trim_ascii().to_vec()));
        if answer.fields.len() > 10_000 {
            return Err("the head has more than 10,000 fields".into());
        }
    }
}

/// A body by its framing (RFC 9112, section 6.3).
fn body(wire: &mut Wire, answer: &Answer) -> Result<Vec<u8>, Broken> {
    if answer.values("transfer-encoding").any(|value| value.to_ascii_lowercase().ends_with(b"chunked")) {
        if answer.values("content-length").next().is_some() {
            return Err("the answer has both Content-Length and Transfer-Encoding".into());
        }
        return chunks(wire);
    }
    let Some(length) = answer.values("content-length").next() else { return wire.rest() };
    let length: Option<usize> = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
    match length.filter(|length| *length <= MOST_BODY) {
        Some(length) => wire.take(length),
        None => Err("its Content-Length is no number that could be read".into()),
    }
}

fn chunks(wire: &mut Wire) -> Result<Vec<u8>, Broken> {
    let mut body = Vec::new();
    loop {
        let line = wire.line(false)?;
        let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(digits).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let size = size.filter(|size| *size <= MOST_BODY - body.len().min(MOST_BODY));
        match size.ok_or("a chunk has no size that could be read")? {
            0 => break,
            size => body.extend(wire.take(size)?),
        }
        if !wire.line(false)?.is_empty() {
            return Err("a chunk is longer than its size".into());
        }
    }
    while !wire.line(false)?.is_empty() {}
    Ok(body)
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection with what was read ahead, until a moment.
struct Wire {
    stream: Stream,
    until: Instant,
    ahead: Vec<u8>,
}

impl Wire {
    fn open(place: &Place, until: Instant) -> Result<Wire, String> {
        let stream = match place {
            Place::Unix(path) => Stream::Unix(
                UnixStream::connect(path).map_err(|error| format!("the engine takes no connection: {error}"))?,
            ),
            Place::Tcp(host, port) => {
                let name = host.trim_start_matches('[').trim_end_matches(']');
                let wrong = |error: io::Error| format!("{host}:{port} takes no connection: {error}");
                let addresses = (name, *port).to_socket_addrs().map_err(wrong)?;
                let mut last = io::Error::from(io::ErrorKind::NotFound);
                let mut found = None;
                for address in addresses {
                    match TcpStream::connect_timeout(&address, left(until)) {
                        Ok(stream) => {
                            found = Some(stream);
                            break;
                        }
                        Err(error) => last = error,
                    }
                }
                Stream::Tcp(found.ok_or_else(|| wrong(last))?)
            }
        };
        Ok(Wire { stream, until, ahead: Vec::new() })
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let time = Some(left(self.until));
        match &mut self.stream {
            Stream::Tcp(stream) => {
                stream.set_write_timeout(time)?;
                stream.write_all(bytes)
            }
            Stream::Unix(stream) => {
                stream.set_write_timeout(time)?;
                stream.write_all(bytes)
            }
        }
    }

    /// Reads more; false at the end.
    fn more(&mut self) -> Result<bool, Broken> {
        let time = Some(left(self.until));
        let mut piece = [0; 16 << 10];
        let read = match &mut self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(time).and_then(|()| stream.read(&mut piece)),
            Stream::Unix(stream) => stream.set_read_timeout(time).and_then(|()| stream.read(&mut piece)),
        };
        match read {
            Ok(n) => {
                self.ahead.extend(&piece[..n]);
                Ok(n > 0)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err("the answer did not end in time".into())
            }
            // A reset after the answer is told by what is missing of the answer.
            Err(_) => Ok(false),
        }
    }

    /// A line without its end.
    fn line(&mut self, first: bool) -> Result<Vec<u8>, Broken> {
        let mut from = 0;
        loop {
            if let Some(at) = self.ahead[from..].iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.ahead.drain(..=from + at).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            from = self.ahead.len();
            if from > MOST_HEAD {
                return Err("a line of the answer has no end".into());
            }
            if !self.more()? {
                return Err(match first && self.ahead.is_empty() {
                    true => Broken::Silent,
                    false => "the answer breaks off in its head or between its chunks".into(),
                });
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Broken> {
        while self.ahead.len() < length {
            if !self.more()? {
                let came = self.ahead.len();
                return Err(Broken::Bad(format!("the answer breaks off: {came} of {length} bytes came")));
            }
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    fn rest(&mut self) -> Result<Vec<u8>, Broken> {
        while self.ahead.len() <= MOST_BODY && self.more()? {}
        Ok(std::mem::take(&mut self.ahead))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // It fails only when the other end has gone already.
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

/// What is left until a moment; never nothing, which would mean for ever.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
