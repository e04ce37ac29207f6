//! A request's head as a value: request line, fields, and what they say about the body and the
//! connection (RFC 9112). Reused from request to request; knows no socket and no setting but limits.

mod question;
mod refused;

use std::borrow::Cow;

pub use super::fields::Known;
pub use super::head_error::HeadError;
pub use super::request_line::Version;
pub use super::scanner::{Limits, Scanner};
pub use question::is_withheld;
pub use refused::Refusal;

use super::authority;
use super::fields::{List, recognise};
use super::method::Method;
use super::request_line::{RequestLine, without_end};

/// How long the body is, as the head says (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyLength {
    /// No body.
    #[default]
    None,
    /// This many bytes.
    Length(u64),
    /// As many as the chunks hold.
    Chunked,
}

/// A parsed head. `parse` copies its bytes, so the read buffer is free at once; after a refusal `retrace` brings back what stands
/// before the fault.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The version.
    pub version: Version,
    /// How long the body is.
    pub body_length: BodyLength,
    /// Whether the client lets the connection be reused (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
    raw: Vec<u8>,
    /// How much of it came from the client: behind that are values that others took the place of.
    sent: u32,
    line: Span,
    method_text: Span,
    target: Span,
    protocol: Span,
    fields: List,
    host: Vec<u8>,
}

/// A range of `raw`: half the size of a `Range<usize>`.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// `start` and `len` are below `i32::MAX`, since `parse` refuses longer heads.
    fn new(start: usize, len: usize) -> Span {
        Span { start: start as u32, len: len as u32 }
    }

    fn of(self, raw: &[u8]) -> &[u8] {
        let start = self.start as usize;
        raw.get(start..start + self.len as usize).unwrap_or_default()
    }
}

impl Head {
    /// The field lines that were dropped for their names.
    pub fn dropped(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.dropped(&self.raw)
    }

    /// Reads one whole head, as `Scanner` measured it. What stood here before is forgotten.
    pub fn parse(&mut self, head: &[u8], limits: &Limits) -> Result<(), HeadError> {
        self.clear();
        let blank = head.iter().take_while(|&&b| b == b'\r' || b == b'\n').count();
        if i32::try_from(head.len()).is_err() {
            return Err(HeadError::HeadTooLarge);
        }
        self.raw.extend_from_slice(&head[blank..]);
        self.sent = self.raw.len() as u32;
        let end = memchr::memchr(b'\n', &self.raw).map_or(self.raw.len(), |i| i + 1);
        let line = without_end(&self.raw[..end]);
        self.line = Span::new(0, line.len());
        let parts = RequestLine::parse(line)?;
        self.note(&parts);
        if self.version != Version::Http09 {
            self.fields.parse(&self.raw, end, limits)?;
        }
        self.read_host()?;
        self.read_body_length()?;
        self.read_connection();
        self.expects_continue = self.version == Version::Http11
            && !matches!(self.body_length, BodyLength::None | BodyLength::Length(0))
            && self.known(Known::Expect).is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
        Ok(())
    }

    fn note(&mut self, parts: &RequestLine) {
        self.method = parts.method;
        self.version = parts.version;
        self.method_text = Span::new(0, parts.method_len);
        self.target = Span::new(parts.target.start, parts.target.len());
        self.protocol = Span::new(parts.protocol.start, parts.protocol.len());
    }

    /// Forgets the request but keeps the memory.
    pub fn clear(&mut self) {
        self.raw.clear();
        self.sent = 0;
        self.host.clear();
        self.fields.clear();
        self.method = Method::Other;
        self.version = Version::Http11;
        self.body_length = BodyLength::None;
        self.keep_alive = false;
        self.expects_continue = false;
        for span in [&mut self.line, &mut self.method_text, &mut self.target, &mut self.protocol] {
            *span = Span::default();
        }
    }

    /// The method as it was written.
    pub fn method_text(&self) -> &[u8] {
        if self.is_question() { b"GET" } else { self.method_text.of(&self.raw) }
    }

    /// The raw request-target.
    pub fn target(&self) -> &[u8] {
        self.target.of(&self.raw)
    }

    /// The version as it was written, empty in HTTP/0.9.
    pub fn protocol(&self) -> &[u8] {
        self.protocol.of(&self.raw)
    }

    /// The request line as it was written, without its end; after a refusal too.
    pub fn request_line(&self) -> &[u8] {
        self.line.of(&self.raw)
    }

    /// The bytes of the head, from the request line to the blank line; of one that was refused those that were taken.
    pub fn raw(&self) -> &[u8] {
        self.raw.get(..self.sent as usize).unwrap_or_default()
    }

    /// All fields that were kept, in order, names as written and values without the white space around them.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter(&self.raw)
    }

    /// The first field of this name, which is given in lower case.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        match recognise(name) {
            Some(known) => self.known(known),
            None => self.fields().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value),
        }
    }

    /// The first field of a well-known name: one look into a table.
    pub fn known(&self, name: Known) -> Option<&[u8]> {
        self.fields.known(&self.raw, name)
    }

    /// The values of every field of this name, in order.
    pub fn fields_named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The lines of a field that is a list, as one (RFC 9110 section 5.3).
    pub fn list(&self, known: Known) -> Option<Cow<'_, [u8]>> {
        let first = self.known(known)?;
        let lines = self.fields().filter(|(name, _)| recognise(name) == Some(known)).map(|(_, value)| value);
        let mut others = lines.skip(1).peekable();
        if others.peek().is_none() {
            return Some(Cow::Borrowed(first));
        }
        let mut list = first.to_vec();
        others.for_each(|line| list.extend([b", ", line].concat()));
        Some(Cow::Owned(list))
    }

    /// Drops the fields whose names fit: nobody behind this server sees them. Well-known ones stay.
    pub fn forget(&mut self, fits: impl Fn(&[u8]) -> bool) {
        self.fields.forget(&self.raw, fits);
    }

    /// Gives a well-known field another value, where there is one: whoever looks from now on sees this.
    pub fn replace(&mut self, name: Known, value: &[u8]) {
        let start = self.raw.len();
        if u32::try_from(start + value.len()).is_ok() {
            self.raw.extend_from_slice(value);
            self.fields.replace(&self.raw, name, start);
        }
    }

    /// The host that was asked for, as servers are looked up by it: from an absolute target, else from Host,
    /// without port, in lower case, without one dot at its end.
    pub fn host(&self) -> Option<&[u8]> {
        (!self.host.is_empty()).then_some(&self.host)
    }

    /// RFC 9112 section 3.2: exactly one valid Host in HTTP/1.1; section 3.2.2: the target's authority wins.
    fn read_host(&mut self) -> Result<(), HeadError> {
        let field = self.fields.known(&self.raw, Known::Host);
        if field.is_none() && self.version == Version::Http11 {
            return Err(HeadError::NoHost);
        }
        if field.is_some_and(|value| !authority::write_name(value, &mut self.host)) {
            return Err(HeadError::BadHost);
        }
        let target = self.target.of(&self.raw);
        if let Some(range) = (target.first() != Some(&b'/')).then(|| authority::of_absolute(target)).flatten() {
            self.host.clear();
            if !authority::write_name(&target[range], &mut self.host) {
                return Err(HeadError::BadTargetHost);
            }
        }
        Ok(())
    }

    /// RFC 9112 section 6.3. Anything doubtful is refused: two readings of one head let a request be smuggled.
    fn read_body_length(&mut self) -> Result<(), HeadError> {
        let length = self.known(Known::ContentLength);
        let length = length.map(|text| parse_length(text).ok_or(HeadError::BadLength)).transpose()?;
        self.body_length = match (self.known(Known::TransferEncoding), length) {
            // Section 6.1: a server may close on faulty framing of an HTTP/1.0 client.
            (Some(_), _) if self.version != Version::Http11 => return Err(HeadError::EncodingIn10),
            (Some(coding), _) if !coding.eq_ignore_ascii_case(b"chunked") => return Err(unknown_coding(coding)),
            (Some(_), Some(_)) => return Err(HeadError::LengthAndEncoding),
            (Some(_), None) => BodyLength::Chunked,
            (None, Some(length)) => BodyLength::Length(length),
            (None, None) => BodyLength::None,
        };
        Ok(())
    }

    /// RFC 9112 section 9.3: `close` wins, then the version decides, then HTTP/1.0 may ask for `keep-alive`.
    fn read_connection(&mut self) {
        let (mut close, mut keep) = (false, false);
        if self.known(Known::Connection).is_some() {
            for value in self.fields_named(b"connection") {
                for option in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
                    close |= option.eq_ignore_ascii_case(b"close");
                    keep |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
        }
        self.keep_alive = match self.version {
            Version::Http09 => false,
            Version::Http10 => keep && !close,
            Version::Http11 => !close,
        };
    }
}

/// RFC 9112 section 6.3: where `chunked` is not the last coding nobody can tell where the body ends, 400. Section 6.1: 501 for codings
/// before it, none of which is understood here. `chunked` may stand once and has no parameters.
fn unknown_coding(codings: &[u8]) -> HeadError {
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let mut codings = codings.rsplit(|&b| b == b',');
    if codings.next().is_some_and(is_chunked) && !codings.any(is_chunked) {
        return HeadError::UnknownEncoding;
    }
    HeadError::BadEncoding
}

/// `1*DIGIT` (RFC 9110 section 8.6) that a file offset can hold.
fn parse_length(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut length: i64 = 0;
    for &byte in text {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        length = length.checked_mul(10)?.checked_add(digit)?;
    }
    u64::try_from(length).ok()
}

#[cfg(test)]
mod tests;
