//! The bench's own HTTP client: one request, one answer with a Content-Length, over a blocking socket with time limits.
//! It asks only what this bench needs; it must not know which server answers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

/// No answer of a healthy server takes this long.
const LIMIT: Duration = Duration::from_secs(10);

/// An answer whose body was read to its announced end.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// Whether the server said that it closes now.
    pub closes: bool,
}

/// The head of an answer.
pub struct Head {
    pub status: u16,
    /// All of it, in small letters.
    pub text: String,
    /// What came behind it.
    pub rest: Vec<u8>,
}

/// Connects from 127.0.0.2 to .9 by turns (`number`), so that ports last for tens of thousands of connections.
pub fn connect(target: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2 + (number % 8) as u8), 0))))?;
    socket.connect_timeout(&target.into(), LIMIT)?;
    socket.set_tcp_nodelay(true)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Sends a request without a body. `fields` are whole lines, each with its line end.
pub fn send(stream: &mut TcpStream, method: &str, path: &str, fields: &str) -> io::Result<()> {
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").as_bytes())
}

/// Reads one final answer. Every answer the bench asks for has a Content-Length; one without ends with the connection.
pub fn receive(stream: &mut TcpStream) -> io::Result<Answer> {
    let Head { status, text, rest } = receive_head(stream)?;
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map(|value| value.trim().parse::<usize>())
        .transpose()
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let mut body = rest;
    while length.is_none_or(|length| body.len() < length) {
        if read_some(stream, &mut body)? == 0 {
            if length.is_some() {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "the body ended early"));
            }
            break;
        }
    }
    Ok(Answer { status, body, closes: length.is_none() || text.contains("\nconnection: close") })
}

/// Reads the head of one answer.
pub fn receive_head(stream: &mut TcpStream) -> io::Result<Head> {
    let mut bytes = Vec::with_capacity(2048);
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > 64 * 1024 || read_some(stream, &mut bytes)? == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "no whole head came"));
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "no status line came"))?;
    Ok(Head { status, text, rest: bytes.split_off(head) })
}

/// One GET on a connection of its own.
pub fn fetch(target: SocketAddr, path: &str) -> io::Result<Answer> {
    let mut stream = connect(target, 0)?;
    send(&mut stream, "GET", path, "Connection: close\r\n")?;
    receive(&mut stream)
}

fn read_some(stream: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<usize> {
    let mut bytes = [0; 16 * 1024];
    let count = stream.read(&mut bytes)?;
    into.extend_from_slice(&bytes[..count]);
    Ok(count)
}
