//! SCGI and uwsgi as the relay speaks them: the body goes out as it is, and the answer ends with the connection, or where
//! its head says.

use super::answer::{self, Search};
use super::relay::{Fault, Head, Part, Protocol};
use crate::exchange::error::{Level, Report};

/// One request.
#[derive(Debug)]
pub struct Unframed {
    scheme: &'static str,
    is_head: bool,
    most: usize,
    search: Search,
    /// What the head named of the body and has not come yet.
    left: Option<u64>,
    is_long: bool,
}

impl Unframed {
    /// A request; `scheme` stands in log lines, `most` bytes may its answer's head have.
    pub fn new(scheme: &'static str, is_head: bool, most: usize) -> Unframed {
        Unframed { scheme, is_head, most, search: Search::default(), left: None, is_long: false }
    }
}

impl Protocol for Unframed {
    fn scheme(&self) -> &'static str {
        self.scheme
    }

    fn hidden(&self) -> &'static [&'static [u8]] {
        // As in nginx, that of uwsgi is passed on: it stands beside a status line there.
        if self.scheme == "scgi://" { &[b"status"] } else { &[] }
    }

    fn restart(&mut self) {
        *self = Unframed::new(self.scheme, self.is_head, self.most);
    }

    fn encode(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(piece);
    }

    fn end(&self) -> &'static [u8] {
        b""
    }

    fn read_head(&mut self, input: &[u8]) -> Result<(usize, Option<Head>), Fault> {
        let Some(len) = self.search.end(input, self.most).map_err(Fault::Head)? else { return Ok((0, None)) };
        let head = answer::read(&input[..len], true).map_err(Fault::Head)?;
        let has_none = self.is_head || crate::http::status::is_bodiless(head.status);
        self.left = if has_none { Some(0) } else { head.length };
        Ok((len, Some(head)))
    }

    fn read_body(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Part, Fault> {
        let Some(left) = &mut self.left else {
            out.extend_from_slice(input);
            return Ok(Part::More);
        };
        let n = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        self.is_long |= n < input.len();
        *left -= n as u64;
        out.extend_from_slice(&input[..n]);
        Ok(if *left == 0 { Part::Whole } else { Part::More })
    }

    fn closed(&mut self) -> Result<(), Fault> {
        if matches!(self.left, Some(1..)) { Err(Fault::Closed) } else { Ok(()) }
    }

    fn may_keep(&self) -> bool {
        false
    }

    fn remarks(&mut self) -> Vec<Report> {
        if !std::mem::take(&mut self.is_long) || self.is_head {
            return Vec::new();
        }
        let text = "upstream sent more data than specified in \"Content-Length\" header while reading upstream";
        vec![Report::new(Level::Warn, text)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(unframed: &mut Unframed, bytes: &[u8], step: usize) -> Result<(u16, Vec<u8>), Fault> {
        let (mut input, mut status, mut body, mut part) = (Vec::new(), None, Vec::new(), Part::More);
        for piece in bytes.chunks(step) {
            if part == Part::Whole {
                break;
            }
            if status.is_none() {
                input.extend_from_slice(piece);
                let (used, head) = unframed.read_head(&input)?;
                status = head.map(|head| head.status);
                if status.is_some() {
                    part = unframed.read_body(&input[used..], &mut body)?;
                }
            } else {
                part = unframed.read_body(piece, &mut body)?;
            }
        }
        if part == Part::More {
            unframed.closed()?;
        }
        Ok((status.ok_or(Fault::Closed)?, body))
    }

    #[test]
    fn answers() {
        for (text, is_head, wanted) in [
            ("A: b\n\nhello", false, Ok((200, "hello"))),
            ("HTTP/1.1 201 Made\r\n\r\nhello", false, Ok((201, "hello"))),
            ("Content-Length: 5\n\nhello", false, Ok((200, "hello"))),
            ("Content-Length: 3\n\nhello", false, Ok((200, "hel"))),
            ("Content-Length: 6\n\nhello", false, Err(Fault::Closed)),
            ("Content-Length: 6\n\n", true, Ok((200, ""))),
            ("Status: 304\nContent-Length: 6\n\n", false, Ok((304, ""))),
            ("A: b\n", false, Err(Fault::Closed)),
            ("", false, Err(Fault::Closed)),
        ] {
            for step in [1, 1000] {
                let mut unframed = Unframed::new("scgi://", is_head, 100);
                let answer = read(&mut unframed, text.as_bytes(), step);
                let wanted = wanted.clone().map(|(status, body)| (status, body.as_bytes().to_vec()));
                assert_eq!(answer, wanted, "{text:?}");
                assert!(!unframed.may_keep());
                unframed.restart();
                assert_eq!(read(&mut unframed, text.as_bytes(), step), wanted, "{text:?} again");
            }
        }
        let mut unframed = Unframed::new("scgi://", false, 100);
        assert!(matches!(read(&mut unframed, b"no field\n\n", 1), Err(Fault::Head(_))));
    }
}
