//! Reads an answer as it is framed. Tolerates nothing: what no client could read is an error with its reason.

use super::wire::{More, Wire};

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

/// What the answer is to, as far as its framing depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// A HEAD, whose answer has no body.
    pub is_head: bool,
    /// A request of HTTP/1.0, whose client knows no chunks.
    pub is_old: bool,
}

/// Bytes of a head, and of a body, that are read at most.
const MOST_HEAD: usize = 1 << 20;
const MOST_BODY: usize = 1 << 30;

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

/// Reads an answer; `Ok(None)` is a connection closed without a byte.
pub fn read(wire: &mut Wire, asked: Asked) -> Result<Option<Answer>, String> {
    match whole(wire, asked) {
        Ok(answer) => Ok(Some(answer)),
        Err(Broken::Silent) => Ok(None),
        Err(Broken::Bad(why)) => Err(why),
    }
}

fn whole(wire: &mut Wire, asked: Asked) -> Result<Answer, Broken> {
    loop {
        let mut answer = head(wire)?;
        // An interim answer goes before the real one (RFC 9110, section 15.2).
        if (100..200).contains(&answer.status) && answer.status != 101 {
            continue;
        }
        // A client of HTTP/1.0 reads chunks as part of the text (RFC 9112, section 6.1).
        if asked.is_old && answer.values("transfer-encoding").next().is_some() {
            return Err("the answer to a request of HTTP/1.0 has Transfer-Encoding".into());
        }
        if !asked.is_head && !matches!(answer.status, 101 | 204 | 304) {
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
    let mut size = text.len();
    loop {
        let line = wire.line(false)?;
        if line.is_empty() {
            return Ok(answer);
        }
        size += line.len();
        if size > MOST_HEAD {
            return Err("the head has more than 1 MiB".into());
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
    let Some(length) = answer.values("content-length").next() else { return wire.rest(MOST_BODY) };
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

impl Wire {
    /// Reads more; false at the end.
    fn fill(&mut self) -> Result<bool, Broken> {
        match self.more().map_err(Broken::Bad)? {
            More::Came => Ok(true),
            More::Late => Err("the answer did not end in time".into()),
            More::End => match self.broken.take() {
                Some(why) => Err(Broken::Bad(why)),
                None => Ok(false),
            },
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
            if !self.fill()? {
                return Err(match first && self.ahead.is_empty() {
                    true => Broken::Silent,
                    false => "the answer breaks off in its head or between its chunks".into(),
                });
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Broken> {
        while self.ahead.len() < length {
            if !self.fill()? {
                let came = self.ahead.len();
                return Err(Broken::Bad(format!("the answer breaks off: {came} of {length} bytes came")));
            }
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    /// All that comes until the end, if it is no more than this.
    fn rest(&mut self, most: usize) -> Result<Vec<u8>, Broken> {
        while self.fill()? {
            if self.ahead.len() > most {
                return Err(Broken::Bad(format!("the answer has no end: it has more than {most} bytes")));
            }
        }
        Ok(std::mem::take(&mut self.ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Place;
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    const PLAIN: Asked = Asked { is_head: false, is_old: false };

    /// A connection to a server that says this, and then that for ever.
    fn endless(first: &'static str, then: &'static [u8], time: Duration) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::Tcp("127.0.0.1".into(), listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let much = then.repeat(4096 / then.len() + 1);
            let _ = socket.write_all(first.as_bytes());
            // It ends when the other side has closed.
            while socket.write_all(&much).is_ok() {}
        });
        match Wire::open(&place, None, Instant::now() + time) {
            Ok(wire) => wire,
            Err(_) => panic!("the listener stands"),
        }
    }

    #[test]
    fn a_server_that_never_stops_is_late() {
        let begun = Instant::now();
        for (first, then) in [
            ("", &b"HTTP/1.1 100 Continue\r\n\r\n"[..]),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        ] {
            let mut wire = endless(first, then, Duration::from_millis(300));
            assert_eq!(read(&mut wire, PLAIN).err().as_deref(), Some("the answer did not end in time"), "{first:?}");
        }
        let mut wire = endless("", b"bytes", Duration::from_millis(300));
        assert!(!wire.ends_within(Duration::from_millis(100)).unwrap());
        assert!(begun.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_body_without_end_is_no_answer() {
        let mut wire = endless("", b"bytes", Duration::from_secs(60));
        let Err(Broken::Bad(why)) = wire.rest(1 << 20) else { panic!("it never ends") };
        assert_eq!(why, "the answer has no end: it has more than 1048576 bytes");
    }

    #[test]
    fn a_head_is_bounded_in_lines_and_bytes() {
        let long = Duration::from_secs(60);
        for (then, why) in [
            (&b"a: b\r\n"[..], "the head has more than 10,000 fields"),
            (b"a", "a line of the answer has no end"),
            (b"a:b\n:", "the head has more than 10,000 fields"),
            (Box::leak([&vec![b':'; 20_000][..], b"\n"].concat().into_boxed_slice()), "the head has more than 1 MiB"),
        ] {
            let mut wire = endless("HTTP/1.1 200 OK\r\n", then, long);
            assert_eq!(read(&mut wire, PLAIN).err().as_deref(), Some(why));
        }
    }
}
