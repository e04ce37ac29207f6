//! A request's head as a value: request line, fields, and what they say about the body and the
//! connection (RFC 9112). Reused from request to request; knows no socket and no setting but limits.

mod refused;

use std::borrow::Cow;

pub use super::fields::Known;
pub use super::head_error::HeadError;
pub use super::request_line::Version;
pub use super::scanner::{Limits, Scanner};
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
    /// `start` and `len` are below `u32::MAX`, since `parse` refuses longer heads.
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
        if u32::try_from(head.len()).is_err() {
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
        self.method_text.of(&self.raw)
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
mod tests {
    use super::*;

    fn parse(text: impl AsRef<[u8]>) -> Result<Head, HeadError> {
        let mut head = Head::default();
        head.parse(text.as_ref(), &Limits::default()).map(|()| head)
    }

    /// A GET of HTTP/1.1 with Host and these further lines.
    fn with(lines: &str) -> Result<Head, HeadError> {
        parse(format!("GET /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
    }

    #[test]
    fn lines_of_a_list_are_one() {
        let list =
            |lines: &str| with(lines).unwrap().list(Known::IfMatch).map(|list| String::from_utf8(list.into()).unwrap());
        assert_eq!(list(""), None);
        assert_eq!(list("If-Match: \"a\"\r\n").unwrap(), "\"a\"");
        assert_eq!(
            list("If-Match: \"a\"\r\nX: y\r\nif-match:\r\nIF-MATCH: W/\"b\", \"c\"\r\n").unwrap(),
            "\"a\", , W/\"b\", \"c\""
        );
    }

    #[test]
    fn all_parts_of_a_head() {
        let head = parse("\r\nPOST /a?b HTTP/1.1 \r\nhOST: A.b.:80\r\nX-One: 1\r\nx-one:\t2 \nEmpty:\r\n\r\n").unwrap();
        assert_eq!(head.method, Method::Post);
        assert_eq!(head.method_text(), b"POST");
        assert_eq!(head.target(), b"/a?b");
        assert_eq!(head.protocol(), b"HTTP/1.1");
        assert_eq!(head.request_line(), b"POST /a?b HTTP/1.1 ");
        assert_eq!(head.field(b"host"), Some(&b"A.b.:80"[..]));
        assert_eq!(head.host(), Some(&b"a.b"[..]));
        assert_eq!(head.field(b"x-one"), Some(&b"1"[..]));
        assert_eq!(head.fields_named(b"x-one").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(head.field(b"empty"), Some(&b""[..]));
        assert_eq!(head.field(b"cookie"), None);
        assert_eq!(head.fields().count(), 4);
        assert_eq!(head.fields().next(), Some((&b"hOST"[..], &b"A.b.:80"[..])));
    }

    #[test]
    fn a_head_is_reused_without_a_trace() {
        let mut head = with("Cookie: a\r\nConnection: close\r\nContent-Length: 3\r\n").unwrap();
        head.parse(b"GET / HTTP/1.0\r\n\r\n", &Limits::default()).unwrap();
        assert_eq!((head.field(b"cookie"), head.host(), head.fields().count()), (None, None, 0));
        assert_eq!(head.body_length, BodyLength::None);
        assert_eq!(head.parse(b"GET x\r\n", &Limits::default()), Err(HeadError::BadRequestLine));
        assert_eq!(head.request_line(), b"GET x");
        assert_eq!(head.target(), b"");
    }

    #[test]
    fn a_value_is_replaced() {
        let mut head = with("Content-Type: a\r\nX: 1\r\ncontent-type: b\r\n").unwrap();
        let raw = head.raw().to_vec();
        head.forget(|name| name.eq_ignore_ascii_case(b"content-type"));
        head.replace(Known::ContentType, b"longer");
        head.replace(Known::Cookie, b"there is none");
        assert_eq!((head.known(Known::ContentType), head.known(Known::Cookie)), (Some(&b"longer"[..]), None));
        let fields: Vec<_> = head.fields().skip(1).collect();
        assert_eq!(fields, [(&b"Content-Type"[..], &b"longer"[..]), (b"X", b"1")]);
        assert_eq!(head.raw(), raw);
    }

    #[test]
    fn hosts() {
        let table: &[(&str, Result<Option<&str>, HeadError>)] = &[
            ("GET / HTTP/1.1\r\n\r\n", Err(HeadError::NoHost)),
            ("GET / HTTP/1.7\r\n\r\n", Err(HeadError::NoHost)),
            ("GET / HTTP/1.0\r\n\r\n", Ok(None)),
            ("GET /\r\n", Ok(None)),
            ("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", Err(HeadError::BadHost)),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Err(HeadError::BadHost)),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Err(HeadError::TwoHosts)),
            ("GET http://B:1/ HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Some("b"))),
            ("GET http://b HTTP/1.1\r\n\r\n", Err(HeadError::NoHost)),
            ("GET http://b HTTP/1.1\r\nHost: a b\r\n\r\n", Err(HeadError::BadHost)),
            ("GET http://b HTTP/1.0\r\n\r\n", Ok(Some("b"))),
            ("GET http://b/\r\n", Ok(Some("b"))),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Some("a"))),
        ];
        for (text, expected) in table {
            let found = parse(text).map(|head| head.host().map(|h| String::from_utf8_lossy(h).into_owned()));
            assert_eq!(found, expected.map(|host| host.map(str::to_owned)), "{text:?}");
        }
    }

    #[test]
    fn body_lengths() {
        use BodyLength::*;
        let table: &[(&str, Result<BodyLength, HeadError>)] = &[
            ("", Ok(None)),
            ("Content-Length: 0\r\n", Ok(Length(0))),
            ("content-length: 003 \r\n", Ok(Length(3))),
            ("Content-Length: 9223372036854775807\r\n", Ok(Length(i64::MAX as u64))),
            ("Content-Length: 9223372036854775808\r\n", Err(HeadError::BadLength)),
            ("Content-Length: 99999999999999999999999\r\n", Err(HeadError::BadLength)),
            ("Content-Length:\r\n", Err(HeadError::BadLength)),
            ("Content-Length: +3\r\n", Err(HeadError::BadLength)),
            ("Content-Length: -3\r\n", Err(HeadError::BadLength)),
            ("Content-Length: 3, 3\r\n", Err(HeadError::BadLength)),
            ("Content-Length: 3 3\r\n", Err(HeadError::BadLength)),
            ("Content-Length: 0x3\r\n", Err(HeadError::BadLength)),
            ("Content-Length: 3\r\nContent-Length: 3\r\n", Err(HeadError::DuplicateField)),
            ("Content-Length: 3\r\nContent-Length: 4\r\n", Err(HeadError::DuplicateField)),
            ("Transfer-Encoding: CHUNKED\r\n", Ok(Chunked)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", Err(HeadError::LengthAndEncoding)),
            ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", Err(HeadError::LengthAndEncoding)),
            ("Content-Length: 3\r\nTransfer-Encoding: gzip\r\n", Err(HeadError::BadEncoding)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(HeadError::DuplicateField)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(HeadError::UnknownEncoding)),
            ("Transfer-Encoding: a,b;c=\"d\" ,\tCHUNKED\r\n", Err(HeadError::UnknownEncoding)),
            ("Transfer-Encoding: chunked, gzip\r\n", Err(HeadError::BadEncoding)),
            ("Transfer-Encoding: chunked, chunked\r\n", Err(HeadError::BadEncoding)),
            ("Transfer-Encoding: chunked,\r\n", Err(HeadError::BadEncoding)),
            ("Transfer-Encoding: chunked;a=b\r\n", Err(HeadError::BadEncoding)),
            ("Transfer-Encoding: xchunked\r\n", Err(HeadError::BadEncoding)),
            ("Transfer-Encoding: identity\r\n", Err(HeadError::BadEncoding)),
            ("Transfer-Encoding:\r\n", Err(HeadError::BadEncoding)),
            ("Transfer-Encoding: \u{b}chunked\r\n", Err(HeadError::BadField)),
            ("Transfer-Encoding : chunked\r\n", Err(HeadError::BadField)),
        ];
        for (lines, expected) in table {
            assert_eq!(with(lines).map(|head| head.body_length), *expected, "{lines:?}");
        }
        let old = parse("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(old.map(|head| head.body_length), Err(HeadError::EncodingIn10));
    }

    #[test]
    fn connections() {
        let table = [
            ("", true, false),
            ("Connection: close\r\n", false, false),
            ("Connection: Close\r\n", false, false),
            ("Connection: keep-alive\r\n", true, true),
            ("Connection: closed\r\n", true, false),
            ("Connection: xclose\r\n", true, false),
            ("Connection: keep-alivex\r\n", true, false),
            ("Connection: upgrade ,close\r\n", false, false),
            ("Connection: close, keep-alive\r\n", false, false),
            ("Connection: keep-alive, te\r\n", true, true),
            ("Connection: close\r\nConnection: keep-alive\r\n", false, false),
            ("Connection: te\r\nConnection: keep-alive\r\n", true, true),
            ("Connection:\r\n", true, false),
        ];
        for (lines, modern, old) in table {
            assert_eq!(with(lines).unwrap().keep_alive, modern, "{lines:?}");
            let head = parse(format!("GET / HTTP/1.0\r\n{lines}\r\n")).unwrap();
            assert_eq!(head.keep_alive, old, "HTTP/1.0 {lines:?}");
        }
        assert!(!parse("GET /\n").unwrap().keep_alive);
    }

    #[test]
    fn expectations() {
        let table = [
            ("Expect: 100-Continue\r\nContent-Length: 1\r\n", true),
            ("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", true),
            ("Expect: 100-continue\r\nContent-Length: 0\r\n", false),
            ("Expect: 100-continue\r\n", false),
            ("Expect: something\r\nContent-Length: 1\r\n", false),
        ];
        for (lines, expected) in table {
            assert_eq!(with(lines).unwrap().expects_continue, expected, "{lines:?}");
        }
        let old = parse("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").unwrap();
        assert!(!old.expects_continue);
    }
}
