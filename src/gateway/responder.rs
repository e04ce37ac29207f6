//! FastCGI as the relay speaks it: one request whose body becomes records, and whose answer is read from records. The
//! records themselves are made and read in `fastcgi`.

use std::mem;

use bytes::Bytes;

use super::answer::{self, Search};
use super::fastcgi::{self, Decoder, Ended, Piece};
use super::relay::{Fault, Head, Part, Protocol};
use crate::exchange::error::{Level, Report};
use crate::http::escape;

/// Bytes of standard error that one line of the log shows.
const LONGEST_LINE: usize = 2048;
/// Lines of standard error that are shown of one answer.
const MOST_LINES: usize = 1000;

/// What the log says of an output that ended too early.
const CUT_SHORT: &str = "upstream prematurely closed FastCGI stdout";

/// One request.
#[derive(Debug)]
pub struct Responder {
    /// Whether the program was asked to leave the connection open.
    keep: bool,
    /// Whether no body is wanted, whatever length is named.
    is_head: bool,
    /// The most bytes of a head.
    most: usize,
    /// Texts in standard error that make the answer a failure.
    catch: Vec<Bytes>,
    answer: Answer,
}

/// What has come of an answer.
#[derive(Debug, Default)]
struct Answer {
    decoder: Decoder,
    search: Search,
    /// Standard output that was not taken yet: the head, and what came with it.
    output: Vec<u8>,
    output_ended: bool,
    ended: Option<Ended>,
    /// Standard error that is no whole record yet.
    errors: Vec<u8>,
    lines: Vec<Report>,
    shown: usize,
    caught: Option<Bytes>,
    /// Bytes behind the end of the request.
    has_more: bool,
    has_head: bool,
    /// What the head named of the body and has not come yet.
    left: Option<u64>,
    /// Whether more came than the head named.
    is_long: bool,
}

impl Responder {
    /// A request; `most` bytes may its answer's head have.
    pub fn new(keep: bool, is_head: bool, most: usize, catch: Vec<Bytes>) -> Responder {
        Responder { keep, is_head, most, catch, answer: Answer::default() }
    }

    /// Reads records.
    fn take(&mut self, input: &[u8]) -> Result<(), fastcgi::Fault> {
        let Answer { decoder, output, output_ended, ended, errors, .. } = &mut self.answer;
        // A record of standard error is a line. It may have begun earlier, and the last may go on later.
        let (mut open, mut whole) = (mem::take(errors), Vec::new());
        let read = decoder.decode(input, &mut |piece| match piece {
            Piece::Output(bytes) => output.extend_from_slice(bytes),
            Piece::OutputEnd => *output_ended = true,
            Piece::Errors(bytes) => open.extend_from_slice(bytes),
            Piece::ErrorsEnd => whole.push(mem::take(&mut open)),
            Piece::End(end) => *ended = Some(end),
        });
        whole.iter().for_each(|said| self.show_errors(said));
        // One that is longer than is shown of it waits for nothing.
        match open.len() >= LONGEST_LINE {
            true => self.show_errors(&open),
            false => self.answer.errors = open,
        }
        self.answer.has_more |= read? < input.len();
        Ok(())
    }

    /// Makes a line of what has come of standard error.
    fn show_errors(&mut self, said: &[u8]) {
        let Answer { lines, shown, caught, has_head, .. } = &mut self.answer;
        if caught.is_none() {
            let within = |text: &&Bytes| !text.is_empty() && said.windows(text.len()).any(|part| part == &text[..]);
            *caught = self.catch.iter().find(within).cloned();
        }
        let text = said.trim_ascii_end();
        *shown += 1;
        if text.is_empty() || *shown > MOST_LINES {
            return;
        }
        let cut = escape::error_log(&text[..text.len().min(LONGEST_LINE)]);
        let doing = if *has_head { "reading upstream" } else { "reading response header from upstream" };
        let text = format!("FastCGI sent in stderr: \"{cut}\" while {doing}");
        lines.push(Report::new(Level::Error, text));
    }

    /// Whether nothing more of the answer is awaited.
    fn is_over(&self) -> bool {
        self.answer.ended.is_some()
    }

    /// Hands on output as body, as much as the head named.
    fn give(&mut self, out: &mut Vec<u8>) {
        let answer = &mut self.answer;
        let n = match &mut answer.left {
            None => answer.output.len(),
            Some(left) => {
                let n = answer.output.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                answer.is_long |= n < answer.output.len();
                *left -= n as u64;
                n
            }
        };
        answer.output.truncate(n);
        match out.is_empty() {
            true => *out = mem::take(&mut answer.output),
            false => out.append(&mut answer.output),
        }
    }
}

impl Protocol for Responder {
    fn scheme(&self) -> &'static str {
        "fastcgi://"
    }

    fn hidden(&self) -> &'static [&'static [u8]] {
        &[b"status"]
    }

    fn restart(&mut self) {
        let lines = mem::take(&mut self.answer.lines);
        self.answer = Answer { lines, ..Answer::default() };
    }

    fn encode(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        fastcgi::body(out, piece);
    }

    fn end(&self) -> &'static [u8] {
        fastcgi::BODY_END
    }

    fn read_head(&mut self, input: &[u8]) -> Result<(usize, Option<Head>), Fault> {
        self.take(input).map_err(|fault| Fault::Head(fault.words()))?;
        if let Some(text) = &self.answer.caught {
            let text = escape::error_log(text);
            return Err(Fault::Head(format!("an error that fastcgi_catch_stderr names: \"{text}\"")));
        }
        let answer = &mut self.answer;
        let Some(len) = answer.search.end(&answer.output, self.most).map_err(Fault::Head)? else {
            return match answer.ended.and_then(Ended::words) {
                Some(words) => Err(Fault::Refused(words.into())),
                None if answer.ended.is_some() || answer.output_ended => Err(Fault::Refused(CUT_SHORT.into())),
                None => Ok((input.len(), None)),
            };
        };
        let head = answer::read(&answer.output[..len], false).map_err(Fault::Head)?;
        if head.status == 101 {
            return Err(Fault::Head("invalid status \"101\": FastCGI knows no other protocol to switch to".into()));
        }
        answer.output.drain(..len);
        answer.has_head = true;
        let has_none = self.is_head || crate::http::status::is_bodiless(head.status);
        answer.left = if has_none { Some(0) } else { head.length };
        Ok((input.len(), Some(head)))
    }

    fn read_body(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Part, Fault> {
        self.take(input).map_err(|fault| Fault::Body(fault.words()))?;
        self.give(out);
        if !self.is_over() {
            return Ok(Part::More);
        }
        match self.answer.left {
            Some(1..) => Err(Fault::Short(CUT_SHORT.into())),
            _ => Ok(Part::Whole),
        }
    }

    fn closed(&mut self) -> Result<(), Fault> {
        // It may just close the connection behind its output.
        match self.answer.left {
            Some(1..) if self.answer.output_ended => Err(Fault::Short(CUT_SHORT.into())),
            _ if self.has_all() => Ok(()),
            _ => Err(Fault::Closed),
        }
    }

    fn has_all(&self) -> bool {
        self.answer.output_ended && self.answer.has_head && !matches!(self.answer.left, Some(1..))
    }

    fn may_keep(&self) -> bool {
        self.keep && self.answer.decoder.is_done() && !self.answer.has_more
    }

    fn remarks(&mut self) -> Vec<Report> {
        let mut lines = mem::take(&mut self.answer.lines);
        if mem::take(&mut self.answer.is_long) && !self.is_head {
            let text = "upstream sent more data than specified in \"Content-Length\" header while reading upstream";
            lines.push(Report::new(Level::Warn, text));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        let [high, low] = (content.len() as u16).to_be_bytes();
        [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
    }

    fn end() -> Vec<u8> {
        record(3, &[0; 8])
    }

    /// Head and body of an answer that comes in parts of `step` bytes and then ends.
    fn read(responder: &mut Responder, bytes: &[u8], step: usize) -> Result<(Head, Vec<u8>), Fault> {
        let (mut head, mut body, mut part) = (None, Vec::new(), Part::More);
        for piece in bytes.chunks(step) {
            if part == Part::Whole {
                break;
            }
            if head.is_none() {
                let used;
                (used, head) = responder.read_head(piece)?;
                if head.is_some() {
                    part = responder.read_body(&piece[used..], &mut body)?;
                }
            } else {
                part = responder.read_body(piece, &mut body)?;
            }
        }
        if part == Part::More {
            responder.closed()?;
        }
        Ok((head.ok_or(Fault::Closed)?, body))
    }

    fn responder(keep: bool) -> Responder {
        Responder::new(keep, false, 4096, Vec::new())
    }

    #[test]
    fn answers_however_they_arrive() {
        let head = record(6, b"Status: 201\r\nX: y\r\n\r\nhel");
        for (rest, keep, whole, kept) in [
            ([record(6, b"lo"), end()].concat(), true, true, true),
            ([record(6, b"lo"), end()].concat(), false, true, false),
            ([record(6, b"lo"), record(6, b"")].concat(), false, true, false),
            ([record(6, b"lo"), record(6, b"")].concat(), true, true, false),
            (record(6, b"lo"), false, false, false),
            ([record(7, b"warning"), record(6, b"lo"), end()].concat(), true, true, true),
        ] {
            for step in [1, 5, 1000] {
                let mut responder = responder(keep);
                let answer = read(&mut responder, &[head.clone(), rest.clone()].concat(), step);
                assert_eq!(answer.is_ok(), whole, "{} {keep}", rest.escape_ascii());
                if let Ok((head, body)) = answer {
                    assert_eq!((head.status, body), (201, b"hello".to_vec()));
                }
                assert_eq!(responder.may_keep(), kept, "{} {keep}", rest.escape_ascii());
            }
        }
    }

    #[test]
    fn named_lengths() {
        for (length, body, outcome) in [
            (5, "hello", Ok("hello")),
            (3, "hello", Ok("hel")),
            (6, "hello", Err(Fault::Short(CUT_SHORT.into()))),
            (0, "", Ok("")),
        ] {
            let bytes = [record(6, format!("Content-Length: {length}\n\n{body}").as_bytes()), end()].concat();
            let mut responder = responder(true);
            let answer = read(&mut responder, &bytes, 3).map(|(_, body)| body);
            assert_eq!(answer, outcome.map(|text| text.as_bytes().to_vec()), "{length}");
            assert_eq!(responder.remarks().len(), usize::from(length == 3));
        }
        let bytes = [record(6, b"Content-Length: 5\n\n"), end()].concat();
        let mut head = Responder::new(true, true, 4096, Vec::new());
        let (said, body) = read(&mut head, &bytes, 1).unwrap();
        assert_eq!((said.length, body.len(), head.may_keep()), (Some(5), 0, true));
    }

    #[test]
    fn what_is_no_answer() {
        let refused = |code: u8| record(3, &[0, 0, 0, 0, code, 0, 0, 0]);
        for (bytes, wanted) in [
            (Vec::new(), "closed"),
            (end(), "refused"),
            (record(6, b"X: y\n"), "closed"),
            ([record(6, b"X: y"), end()].concat(), "refused"),
            ([record(6, b"X: y"), record(6, b"")].concat(), "refused"),
            (refused(2), "refused"),
            (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), "head"),
            (record(6, b"no field\n\n"), "head"),
            (record(6, b"Status: 101\n\n"), "head"),
            (record(6, &[b'x'; 5000]), "head"),
            ([record(6, b"\n"), b"garbage".to_vec()].concat(), "body"),
        ] {
            let found = match read(&mut responder(false), &bytes, 1) {
                Ok(_) => "answer",
                Err(Fault::Closed) => "closed",
                Err(Fault::Refused(_)) => "refused",
                Err(Fault::Short(_)) => "short",
                Err(Fault::Head(_)) => "head",
                Err(Fault::Body(_)) => "body",
            };
            assert_eq!(found, wanted, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn standard_error() {
        let bytes =
            [record(7, b"one\ntwo\n"), record(7, b"\n"), record(6, b"\nx"), record(7, b"three\r\n"), end()].concat();
        // Whether a part ends in a record, in its header or between two changes no line.
        for step in (1..60).chain([1000]) {
            let mut responder = responder(true);
            assert!(read(&mut responder, &bytes, step).is_ok());
            let said: Vec<_> = responder.remarks().into_iter().map(|report| report.text).collect();
            assert_eq!(said.len(), 2, "in parts of {step}: {said:?}");
            assert!(said[0].contains("\"one\\x0Atwo\"") && said[1].contains("\"three\""), "{said:?}");
            assert!(responder.remarks().is_empty(), "each is said once");
        }
        let mut responder = Responder::new(true, false, 4096, vec!["fatal".into()]);
        let bytes = [record(7, b"a fatal fault"), record(6, b"\nx"), end()].concat();
        assert!(matches!(read(&mut responder, &bytes, 1), Err(Fault::Head(_))));
        assert_eq!(responder.remarks().len(), 1);
        responder.restart();
        assert!(read(&mut responder, &[record(6, b"\nx"), end()].concat(), 1).is_ok(), "begins afresh");
    }

    #[test]
    fn a_body_goes_out_in_records() {
        let (mut responder, mut out) = (responder(true), Vec::new());
        responder.encode(b"hello", &mut out);
        out.extend_from_slice(responder.end());
        assert_eq!(out, b"\x01\x05\0\x01\0\x05\x03\0hello\0\0\0\x01\x05\0\x01\0\0\0\0");
    }
}
