//! FastCGI 1.0 on the wire: the records of a request, and the pieces of an answer from whatever bytes arrive. Pure:
//! which request it is, and what becomes of the answer, is decided elsewhere. One request at a time on a connection.

use super::params::Pairs;

/// The version of the protocol (section 3.3).
const VERSION: u8 = 1;
/// The number of our one request on a connection (section 3.3: any but 0).
const ID: u16 = 1;
/// Bytes of content in one record of ours: a multiple of 8 below 65,535, so that none but the last is padded.
const MOST: usize = 32 << 10;

/// Bytes of a record before its content.
const HEADER: usize = 8;

const BEGIN_REQUEST: u8 = 1;
const ABORT_REQUEST: u8 = 2;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// Writes the start of a request: its first record and its parameters. `keep` asks the program to leave the connection open.
pub fn begin(out: &mut Vec<u8>, keep: bool, pairs: &Pairs<'_>) {
    // Section 5.1: role (1, responder), flags, five reserved bytes.
    record(out, BEGIN_REQUEST, &[0, 1, u8::from(keep), 0, 0, 0, 0, 0]);
    // Section 5.2: a stream may be cut into records anywhere, and an empty one ends it.
    let start = out.len();
    out.extend_from_slice(&header(PARAMS, 0));
    for (name, value) in pairs {
        length(out, name.len());
        length(out, value.len());
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
    match out.len() - start - HEADER {
        0 => out.truncate(start),
        len if len <= MOST => {
            out[start..start + HEADER].copy_from_slice(&header(PARAMS, len));
            pad(out, len);
        }
        _ => {
            let params = out.split_off(start + HEADER);
            out.truncate(start);
            params.chunks(MOST).for_each(|piece| record(out, PARAMS, piece));
        }
    }
    record(out, PARAMS, &[]);
}

/// Writes a piece of the body.
pub fn body(out: &mut Vec<u8>, bytes: &[u8]) {
    bytes.chunks(MOST).for_each(|piece| record(out, STDIN, piece));
}

/// The record which says that the body is whole.
pub const BODY_END: &[u8] = &[VERSION, STDIN, 0, ID as u8, 0, 0, 0, 0];

/// Writes that nobody waits for the answer any more (section 5.4).
pub fn abort(out: &mut Vec<u8>) {
    record(out, ABORT_REQUEST, &[]);
}

/// One record, padded to a multiple of 8 bytes (section 3.3 advises so).
fn record(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    out.extend_from_slice(&header(kind, content.len()));
    out.extend_from_slice(content);
    pad(out, content.len());
}

/// What stands before a record's content. Callers cut content at MOST, so its length fits into two bytes.
fn header(kind: u8, len: usize) -> [u8; HEADER] {
    let [id_high, id_low] = ID.to_be_bytes();
    let [high, low] = (len as u16).to_be_bytes();
    [VERSION, kind, id_high, id_low, high, low, padding(len) as u8, 0]
}

fn pad(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&[0; 8][..padding(len)]);
}

fn padding(len: usize) -> usize {
    len.wrapping_neg() % 8
}

/// Section 3.4: one byte below 128, else four with the highest bit set. Names and values are parts of a bounded head, so
/// they never reach 2 GiB.
fn length(out: &mut Vec<u8>, n: usize) {
    if n < 128 {
        out.push(n as u8);
    } else {
        out.extend_from_slice(&((n as u32) | 1 << 31).to_be_bytes());
    }
}

/// A piece of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes of its standard output: head, then body.
    Output(&'a [u8]),
    /// Its standard output ended.
    OutputEnd,
    /// Bytes of its standard error.
    Errors(&'a [u8]),
    /// A record of standard error is whole.
    ErrorsEnd,
    /// The request is done with.
    End(Ended),
}

/// How a request ended (section 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ended {
    /// The program's exit code.
    pub exit: u32,
    /// Why the program did not take the request; 0 if it did.
    pub refusal: u8,
}

impl Ended {
    /// Why the program did not take the request, if it did not.
    pub fn words(self) -> Option<&'static str> {
        match self.refusal {
            0 => None,
            1 => Some("the program takes no second request on one connection"),
            2 => Some("the program is overloaded"),
            3 => Some("the program does not know the role of a responder"),
            _ => Some("the program refused the request"),
        }
    }
}

/// What is wrong with an answer: from here on nobody knows where the next record begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Another version of the protocol, or none of it.
    Version(u8),
    /// An answer to a request that is not ours.
    Id(u16),
    /// A record that no answer has.
    Kind(u8),
}

impl Fault {
    /// What happened.
    pub fn words(self) -> String {
        match self {
            Fault::Version(version) => {
                format!("unsupported FastCGI protocol version: {version} (does a FastCGI program listen there?)")
            }
            Fault::Id(id) => format!("unexpected FastCGI request id: {id}"),
            Fault::Kind(kind) => format!("unexpected FastCGI record: {kind}"),
        }
    }
}

/// Where in a record the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header(usize),
    Content,
    Padding,
    Done,
}

/// Reads an answer as it arrives.
#[derive(Debug, Clone)]
pub struct Decoder {
    state: State,
    header: [u8; 8],
    left: usize,
    /// The first bytes of an END_REQUEST's content.
    end: [u8; 8],
    end_len: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder { state: State::Header(0), header: [0; 8], left: 0, end: [0; 8], end_len: 0 }
    }
}

impl Decoder {
    /// Reads bytes and hands on what they hold. Answers how many of them were read: all, unless the request ended.
    pub fn decode(&mut self, bytes: &[u8], hand: &mut impl FnMut(Piece<'_>)) -> Result<usize, Fault> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            let rest = &bytes[at..];
            at += match self.state {
                State::Header(have) => {
                    let n = rest.len().min(8 - have);
                    self.header[have..have + n].copy_from_slice(&rest[..n]);
                    self.state = State::Header(have + n);
                    self.check(have + n)?;
                    n
                }
                State::Content => {
                    let n = rest.len().min(self.left);
                    self.content(&rest[..n], hand);
                    self.left -= n;
                    n
                }
                State::Padding => {
                    let n = rest.len().min(self.left);
                    self.left -= n;
                    n
                }
                State::Done => 0,
            };
            self.turn(hand);
        }
        Ok(at)
    }

    /// Whether the request ended, its last padding included.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Refuses a header as soon as the byte came that is wrong: who answers in HTTP need not send eight.
    fn check(&self, have: usize) -> Result<(), Fault> {
        let [version, kind, high, low, ..] = self.header;
        let id = u16::from_be_bytes([high, low]);
        match have {
            1.. if version != VERSION => Err(Fault::Version(version)),
            2.. if !matches!(kind, END_REQUEST | STDOUT | STDERR) => Err(Fault::Kind(kind)),
            4.. if id != ID => Err(Fault::Id(id)),
            _ => Ok(()),
        }
    }

    fn content(&mut self, bytes: &[u8], hand: &mut impl FnMut(Piece<'_>)) {
        match self.header[1] {
            STDOUT => hand(Piece::Output(bytes)),
            STDERR => hand(Piece::Errors(bytes)),
            _ => {
                let n = bytes.len().min(8 - self.end_len);
                self.end[self.end_len..self.end_len + n].copy_from_slice(&bytes[..n]);
                self.end_len += n;
            }
        }
    }

    /// Goes on to the next part of the record, or to the next record, where this one is complete.
    fn turn(&mut self, hand: &mut impl FnMut(Piece<'_>)) {
        if self.state == State::Header(8) {
            self.left = usize::from(u16::from_be_bytes([self.header[4], self.header[5]]));
            self.state = State::Content;
            if self.left == 0 && self.header[1] == STDOUT {
                hand(Piece::OutputEnd);
            }
        }
        if self.state == State::Content && self.left == 0 {
            if self.header[1] == STDERR {
                hand(Piece::ErrorsEnd);
            }
            self.left = usize::from(self.header[6]);
            self.state = State::Padding;
        }
        if self.state == State::Padding && self.left == 0 {
            if self.header[1] == END_REQUEST {
                self.state = State::Done;
                let [a, b, c, d, refusal, ..] = self.end;
                hand(Piece::End(Ended { exit: u32::from_be_bytes([a, b, c, d]), refusal }));
            } else {
                self.state = State::Header(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&'static str, &'static str)]) -> Pairs<'static> {
        list.iter().map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into())).collect()
    }

    /// Output, errors, end, and how many bytes were read.
    type Read = (Vec<u8>, Vec<u8>, Option<Ended>, usize);

    /// All pieces of an answer that comes in parts of `step` bytes.
    fn read(bytes: &[u8], step: usize) -> Result<Read, Fault> {
        let (mut decoder, mut out, mut errors, mut ended, mut read) =
            (Decoder::default(), Vec::new(), Vec::new(), None, 0);
        for part in bytes.chunks(step) {
            read += decoder.decode(part, &mut |piece| match piece {
                Piece::Output(bytes) => out.extend_from_slice(bytes),
                Piece::Errors(bytes) => errors.extend_from_slice(bytes),
                Piece::ErrorsEnd => errors.push(b'|'),
                Piece::OutputEnd => out.push(b'|'),
                Piece::End(end) => ended = Some(end),
            })?;
        }
        Ok((out, errors, ended, read))
    }

    #[test]
    fn a_request() {
        let mut out = Vec::new();
        begin(&mut out, true, &pairs(&[("A", "/f2"), ("B", "")]));
        body(&mut out, b"hello");
        out.extend_from_slice(BODY_END);
        let wanted: &[&[u8]] = &[
            b"\x01\x01\0\x01\0\x08\0\0\0\x01\x01\0\0\0\0\0",
            b"\x01\x04\0\x01\0\x09\x07\0\x01\x03A/f2\x01\0B\0\0\0\0\0\0\0",
            b"\x01\x04\0\x01\0\0\0\0",
            b"\x01\x05\0\x01\0\x05\x03\0hello\0\0\0",
            b"\x01\x05\0\x01\0\0\0\0",
        ];
        assert_eq!(out, wanted.concat());
        let mut out = Vec::new();
        abort(&mut out);
        assert_eq!(out, b"\x01\x02\0\x01\0\0\0\0");
    }

    #[test]
    fn lengths_of_params() {
        for (n, wanted) in [(0, &b"\0"[..]), (127, b"\x7f"), (128, b"\x80\0\0\x80"), (70_000, b"\x80\x01\x11\x70")] {
            let mut out = Vec::new();
            length(&mut out, n);
            assert_eq!(out, wanted, "{n}");
        }
    }

    #[test]
    fn what_is_long_takes_several_records() {
        for (len, records) in [(MOST, 1), (MOST + 1, 2), (70_000, 3)] {
            let mut out = Vec::new();
            body(&mut out, &vec![b'x'; len]);
            let (mut at, mut seen, mut content) = (0, 0, 0);
            while at < out.len() {
                assert_eq!(&out[at..at + 4], b"\x01\x05\0\x01");
                let n = usize::from(u16::from_be_bytes([out[at + 4], out[at + 5]]));
                at += 8 + n + usize::from(out[at + 6]);
                (seen, content) = (seen + 1, content + n);
            }
            assert_eq!((seen, content, out.len() % 8), (records, len, 0));
        }
    }

    #[test]
    fn an_answer_however_it_arrives() {
        let bytes: &[&[u8]] = &[
            b"\x01\x06\0\x01\0\x04\x02\0abcdPP",
            b"\x01\x07\0\x01\0\x03\0\0err",
            b"\x01\x06\0\x01\0\x02\0\0ef",
            b"\x01\x06\0\x01\0\0\0\0\x01\x07\0\x01\0\0\x01\0P",
            b"\x01\x03\0\x01\0\x08\x03\0\0\0\0\x07\x02\0\0\0PPP",
        ];
        let bytes = bytes.concat();
        let mut behind = bytes.clone();
        behind.extend_from_slice(b"what follows is not ours");
        let ended = Ended { exit: 7, refusal: 2 };
        for step in [1, 2, 3, 7, 8, 9, 1000] {
            let wanted = (b"abcdef|".to_vec(), b"err||".to_vec(), Some(ended), bytes.len());
            assert_eq!(read(&behind, step), Ok(wanted), "in parts of {step}");
        }
        assert!(ended.words().is_some() && Ended::default().words().is_none());
        // The end is the end only with its padding.
        let (.., end, _) = read(&bytes[..bytes.len() - 1], 5).unwrap();
        assert_eq!(end, None);
    }

    #[test]
    fn an_end_of_another_length() {
        for (bytes, wanted) in [
            (&b"\x01\x03\0\x01\0\0\0\0"[..], Ended::default()),
            (b"\x01\x03\0\x01\0\x04\0\0\0\0\0\x01", Ended { exit: 1, refusal: 0 }),
            (b"\x01\x03\0\x01\0\x0a\0\0\0\0\0\x01\x01\0\0\0\0\0", Ended { exit: 1, refusal: 1 }),
        ] {
            assert_eq!(read(bytes, 1).unwrap().2, Some(wanted));
        }
    }

    #[test]
    fn what_is_refused() {
        for (bytes, fault) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], Fault::Version(b'H')),
            (b"\0", Fault::Version(0)),
            (b"\x02\x06\0\x01", Fault::Version(2)),
            (b"\x01\x05\0\x01\0\0\0\0", Fault::Kind(5)),
            (b"\x01\x0a\0\0\0\0\0\0", Fault::Kind(10)),
            (b"\x01\x0b\0\0\0\x08\0\0", Fault::Kind(11)),
            (b"\x01\x06\0\x02", Fault::Id(2)),
            (b"\x01\x06\x01\x01", Fault::Id(257)),
            (b"\x01\x06\0\x01\0\x02\0\0ab\x01\x06\0\0", Fault::Id(0)),
        ] {
            for step in [1, 1000] {
                assert_eq!(read(bytes, step).unwrap_err(), fault, "{}", bytes.escape_ascii());
            }
            assert!(!fault.words().is_empty());
        }
    }
}
