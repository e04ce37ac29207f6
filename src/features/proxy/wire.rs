//! HTTP/1 as a client speaks it (RFC 9112): the body of a request, the head of an answer, and where its body ends. Strict where
//! two readers might see two answers.

use bytes::Bytes;

use crate::exchange::error::{Level, Report};
use crate::gateway::names::Name;
use crate::gateway::relay::{Fault, Head, Part, Protocol};
use crate::http::chunked::{self, Decoder};
use crate::http::field_list::FieldList;
use crate::http::{escape, status};

/// How the end of an answer's body is found.
#[derive(Debug)]
enum Frame {
    /// There is no body.
    Empty,
    /// So many bytes are to come.
    Length(u64),
    /// In chunks.
    Chunked(Box<Decoder>),
    /// At the close.
    Close,
}

/// One request and its answer.
pub struct Http {
    is_head: bool,
    is_secure: bool,
    /// Whether the request's body goes out in chunks.
    chunks: bool,
    frame: Frame,
    keep: bool,
    /// Where the look for the head's end stands.
    looked: usize,
    /// How many interim answers came.
    interim: usize,
    /// And how many bytes they had.
    interim_len: usize,
    /// Those of them that are hints for the client.
    hints: Vec<FieldList>,
    remarks: Vec<Report>,
}

/// The most interim answers before the final one.
const INTERIM: usize = 32;
/// So many need no memory of their own while a head is read.
const FEW: usize = 32;

impl Http {
    /// A request of this method.
    pub fn new(method: &[u8], is_secure: bool, chunks: bool) -> Http {
        Http {
            is_head: method == b"HEAD",
            is_secure,
            chunks,
            frame: Frame::Close,
            keep: false,
            looked: 0,
            interim: 0,
            interim_len: 0,
            hints: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Reads a whole head.
    fn parse(&mut self, bytes: &[u8]) -> Result<Head, Fault> {
        let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
        let (line, rest) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (minor, status, reason) =
            status_line(line).ok_or_else(|| Fault::Head("no valid HTTP/1.0 header".to_string()))?;
        let (mut few, mut many) = ([httparse::EMPTY_HEADER; FEW], Vec::new());
        let parsed = match httparse::parse_headers(rest, &mut few) {
            Err(httparse::Error::TooManyHeaders) => {
                // As many as there are: what is read of a head has its bound (`proxy_buffer_size`).
                many.resize(memchr::memchr_iter(b'\n', rest).count(), httparse::EMPTY_HEADER);
                httparse::parse_headers(rest, &mut many)
            }
            parsed => parsed,
        };
        let fields = match parsed {
            Ok(httparse::Status::Complete((_, fields))) => fields,
            Ok(httparse::Status::Partial) => return Err(Fault::Closed),
            Err(_) => return Err(Fault::Head(format!("invalid header: \"{}\"", first_wrong(rest)))),
        };
        let length = self.find_frame(status, minor, fields)?;
        let mut list = FieldList::of(bytes, fields.len());
        fields.iter().for_each(|field| list.push(bytes, field.name.as_bytes(), field.value));
        let is_usual = reason.is_empty() || reason == status::reason(status).as_bytes();
        let reason = (!is_usual).then(|| Bytes::copy_from_slice(reason));
        Ok(Head { status, reason, fields: list, length, size: bytes.len() })
    }

    /// RFC 9112 section 6.3. Answers with the length that the head names.
    fn find_frame(&mut self, status: u16, minor: u8, fields: &[httparse::Header<'_>]) -> Result<Option<u64>, Fault> {
        let (mut length, mut is_chunked, mut keep) = (None, false, minor > 0);
        // Names of other lengths are none of these.
        for httparse::Header { name, value } in fields.iter().filter(|field| matches!(field.name.len(), 10 | 14 | 17)) {
            match Name::of(name.as_bytes()) {
                Name::ContentLength if length.is_some() => {
                    return Err(Fault::Head("duplicate header line: \"Content-Length\"".into()));
                }
                Name::ContentLength => {
                    let number = decimal(value).filter(|number| *number <= i64::MAX as u64);
                    length = Some(number.ok_or_else(|| {
                        Fault::Head(format!("invalid \"Content-Length\" header: \"{}\"", escape::error_log(value)))
                    })?);
                }
                Name::TransferEncoding if is_chunked => {
                    return Err(Fault::Head("duplicate header line: \"Transfer-Encoding\"".into()));
                }
                Name::TransferEncoding if value.eq_ignore_ascii_case(b"chunked") => is_chunked = true,
                Name::TransferEncoding => {
                    let text = escape::error_log(value);
                    return Err(Fault::Head(format!("unknown \"Transfer-Encoding\": \"{text}\"")));
                }
                Name::Connection => {
                    let has = |word: &[u8]| {
                        value.split(|&b| b == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(word))
                    };
                    if has(b"close") {
                        keep = false;
                    } else if has(b"keep-alive") {
                        keep = true;
                    }
                }
                _ => {}
            }
        }
        // Section 6.3, rule 3: both is an attempt at smuggling.
        if is_chunked && length.is_some() {
            return Err(Fault::Head("\"Content-Length\" and \"Transfer-Encoding\" headers at the same time".into()));
        }
        self.frame = match length {
            _ if self.is_head || status::is_bodiless(status) => Frame::Empty,
            _ if is_chunked => Frame::Chunked(Box::default()),
            Some(length) => Frame::Length(length),
            None => Frame::Close,
        };
        self.keep = keep && !matches!(self.frame, Frame::Close);
        Ok(length)
    }

    fn too_much(&mut self) {
        self.keep = false;
        let text = "upstream sent more data than specified in \"Content-Length\" header while reading upstream";
        self.remarks.push(Report::new(Level::Warn, text));
    }
}

impl Protocol for Http {
    fn scheme(&self) -> &'static str {
        if self.is_secure { "https://" } else { "http://" }
    }

    fn hidden(&self) -> &'static [&'static [u8]] {
        &[b"date", b"server", b"x-pad"]
    }

    fn restart(&mut self) {
        (self.frame, self.keep, self.looked) = (Frame::Close, false, 0);
        (self.interim, self.interim_len) = (0, 0);
    }

    fn encode(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if !self.chunks {
            return out.extend_from_slice(piece);
        }
        chunked::encode_chunk_head(piece.len() as u64, out);
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }

    fn end(&self) -> &'static [u8] {
        if self.chunks { chunked::LAST_CHUNK } else { b"" }
    }

    fn read_head(&mut self, input: &[u8]) -> Result<(usize, Option<Head>), Fault> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            // What is no status line is known before its head would end.
            if !b"HTTP/".starts_with(&rest[..rest.len().min(5)]) {
                return Err(Fault::Head("no valid HTTP/1.0 header".into()));
            }
            let Some(end) = end_of_head(rest, self.looked) else {
                self.looked = rest.len();
                return Ok((used, None));
            };
            let head = self.parse(&rest[..end])?;
            used += end;
            self.looked = 0;
            // RFC 9110 section 15.2: interim answers, of which only hints are for the client. 101 is final.
            if head.status >= 200 || head.status == 101 {
                return Ok((used, Some(head)));
            }
            self.interim += 1;
            self.interim_len += end;
            if head.status == 103 {
                self.hints.push(head.fields);
            }
            if self.interim > INTERIM {
                return Err(Fault::Head(format!("more than {INTERIM} interim responses")));
            }
        }
    }

    fn interim_len(&self) -> usize {
        self.interim_len
    }

    fn hints(&mut self) -> Vec<FieldList> {
        std::mem::take(&mut self.hints)
    }

    fn read_body(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Part, Fault> {
        match &mut self.frame {
            Frame::Empty => {
                if !input.is_empty() {
                    // RFC 9112 section 6.3, rule 1: whatever follows is no body of this answer.
                    self.too_much();
                }
                Ok(Part::Whole)
            }
            Frame::Length(left) => {
                let n = (*left).min(input.len() as u64) as usize;
                out.extend_from_slice(&input[..n]);
                *left -= n as u64;
                if *left > 0 {
                    return Ok(Part::More);
                }
                if n < input.len() {
                    self.too_much();
                }
                Ok(Part::Whole)
            }
            Frame::Chunked(decoder) => {
                let progress = decoder.decode(input, &mut |data| out.extend_from_slice(data));
                let progress = progress.map_err(|_| Fault::Body("invalid chunked response".into()))?;
                if progress.consumed < input.len() {
                    self.too_much();
                }
                Ok(if progress.done { Part::Whole } else { Part::More })
            }
            Frame::Close => {
                out.extend_from_slice(input);
                Ok(Part::More)
            }
        }
    }

    fn closed(&mut self) -> Result<(), Fault> {
        self.keep = false;
        match self.frame {
            Frame::Close => Ok(()),
            _ => Err(Fault::Closed),
        }
    }

    fn may_keep(&self) -> bool {
        self.keep
    }

    fn remarks(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.remarks)
    }
}

/// Where a head ends, its empty line included. Lines end in LF or CRLF.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from.saturating_sub(2);
    while let Some(n) = memchr::memchr(b'\n', bytes.get(at..)?) {
        at += n + 1;
        match bytes.get(at..) {
            Some([b'\n', ..]) => return Some(at + 1),
            Some([b'\r', b'\n', ..]) => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// The minor version, the status and the words of a line such as `HTTP/1.1 200 OK`.
fn status_line(line: &[u8]) -> Option<(u8, u16, &[u8])> {
    let rest = line.strip_prefix(b"HTTP/")?;
    let (version, rest) = rest.split_at(rest.iter().position(|&b| b == b' ')?);
    let dot = version.iter().position(|&b| b == b'.')?;
    let number = |digits: &[u8]| decimal(digits).filter(|_| digits.len() <= 3);
    let (major, minor) = (number(&version[..dot])?, number(&version[dot + 1..])?);
    let rest = rest.trim_ascii_start();
    let (code, words) = rest.split_at_checked(3)?;
    let status = number(code).filter(|code| *code >= 100)?;
    if !matches!(words.first(), None | Some(b' ')) || words.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
        return None;
    }
    let minor = if major > 1 || minor > 0 { 1 } else { 0 };
    (major >= 1).then_some((minor, status as u16, words.trim_ascii_start()))
}

/// A number that is all digits, if it is not too large.
fn decimal(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, &digit: &u8| match digit.is_ascii_digit() {
        true => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        false => None,
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// The first line that is no field, for the log.
fn first_wrong(lines: &[u8]) -> String {
    let wrong = lines.split(|&b| b == b'\n').find(|line| {
        let line = [line, &b"\n\n"[..]].concat();
        httparse::parse_headers(&line, &mut [httparse::EMPTY_HEADER]).is_err()
    });
    let line = wrong.unwrap_or_default();
    escape::error_log(line[..line.len().min(100)].strip_suffix(b"\r").unwrap_or(&line[..line.len().min(100)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(u16, Option<u64>, bool, String), Fault> {
        let mut http = Http::new(b"GET", false, false);
        let (used, head) = http.read_head(text.as_bytes())?;
        let (head, mut out) = (head.ok_or(Fault::Closed)?, Vec::new());
        if http.read_body(&text.as_bytes()[used..], &mut out)? == Part::More {
            http.closed()?;
        }
        Ok((head.status, head.length, http.may_keep(), String::from_utf8(out).unwrap()))
    }

    #[test]
    fn answers() {
        for (text, want) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, Some(2), true, "ok")),
            ("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", (200, Some(2), true, "ok")),
            ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", (200, Some(0), true, "")),
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, Some(2), false, "ok")),
            ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", (200, Some(2), true, "ok")),
            ("HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 2\r\n\r\nok", (200, Some(2), false, "ok")),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", (200, None, false, "until the end")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
                (200, None, true, "ok"),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok", (200, Some(1), false, "o")),
            ("HTTP/1.1 204 X\r\nContent-Length: 1\r\n\r\n", (204, Some(1), true, "")),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 A\r\nLink: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\no",
                (200, Some(1), true, "o"),
            ),
        ] {
            let (status, length, keep, body) = want;
            assert_eq!(read(text), Ok((status, length, keep, body.to_string())), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_answer() {
        for text in [
            "garbage\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/0.9 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\no",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert!(matches!(read(text), Err(Fault::Head(_) | Fault::Body(_))), "{text:?}: {:?}", read(text));
        }
        for text in ["HTTP/1.1 200 OK\r\nConte", "HTT", "", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"] {
            assert_eq!(read(text), Err(Fault::Closed), "{text:?}");
        }
    }

    #[test]
    fn however_it_comes_the_answer_is_the_same() {
        let text = b"HTTP/1.1 103 A\r\nB: c\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        for cut in 0..text.len() {
            let mut http = Http::new(b"GET", false, false);
            let (mut input, mut out, mut head) = (Vec::new(), Vec::new(), None);
            for piece in [&text[..cut], &text[cut..]] {
                if head.is_some() {
                    let _ = http.read_body(piece, &mut out).unwrap();
                    continue;
                }
                input.extend_from_slice(piece);
                let used;
                (used, head) = http.read_head(&input).unwrap();
                input.drain(..used);
                if head.is_some() {
                    let _ = http.read_body(&input, &mut out).unwrap();
                }
            }
            assert_eq!((head.unwrap().fields.iter().count(), out.as_slice()), (2, &b"ok"[..]), "{cut}");
        }
    }
}
