//! multipart/form-data (RFC 7578, RFC 2046 section 5.1) as it comes, piece by piece, in constant memory: heads of parts, their
//! bytes, their ends. Owns the bounds on what is kept; must not know what the parts are for.

use memchr::memmem::Finder;

use super::escape::percent_decode;

/// The longest boundary (RFC 2046 section 5.1.1).
const BOUNDARY: usize = 70;
/// The most bytes in front of the first part.
const PREAMBLE: usize = 8 << 10;
/// The most bytes of one part's head.
pub const HEAD: usize = 16 << 10;

/// What comes of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A part begins.
    Part(Part),
    /// Bytes of it.
    Data(&'a [u8]),
    /// It has ended.
    End,
}

/// The head of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The field of the form.
    pub name: Vec<u8>,
    /// The file's name as the client wrote it; none for a part that is no file.
    pub file: Option<Vec<u8>>,
    /// What the client says it is.
    pub content_type: Option<Vec<u8>>,
}

/// Why a body is no form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No delimiter where the first one belongs.
    NoStart,
    /// A delimiter is followed by neither a line end nor `--`.
    BadDelimiter,
    /// The head of a part is too long.
    LongHead,
    /// The head of a part is none, or says nothing of a form's field.
    BadHead,
    /// A part is made of parts.
    Nested,
}

impl Fault {
    /// A stable code.
    pub fn reason(self) -> &'static str {
        match self {
            Fault::NoStart => "multipart-no-start",
            Fault::BadDelimiter => "multipart-delimiter",
            Fault::LongHead => "multipart-long-head",
            Fault::BadHead => "multipart-head",
            Fault::Nested => "multipart-nested",
        }
    }

    /// What is wrong, for the log.
    pub fn words(self) -> &'static str {
        match self {
            Fault::NoStart => "no part begins with the boundary that Content-Type names",
            Fault::BadDelimiter => "a boundary is followed by neither a line end nor \"--\"",
            Fault::LongHead => "the head of a part is too long",
            Fault::BadHead => "the head of a part names no field of a form",
            Fault::Nested => "a part is made of parts itself",
        }
    }
}

/// Why feeding ended: the form, or whoever takes the events.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop<E> {
    /// The body is no form.
    Fault(Fault),
    /// The taker refused.
    Taker(E),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    /// Behind a delimiter.
    Delimiter,
    Head,
    /// Behind a head, at the line end of its empty line.
    Start,
    Data,
    Epilogue,
}

/// A form that is being read.
pub struct Parser {
    /// CRLF, two hyphens, the boundary.
    delimiter: Finder<'static>,
    len: usize,
    /// What came and is not decided yet.
    held: Vec<u8>,
    state: State,
}

/// The boundary that a Content-Type names; none if it is no form, or no boundary.
pub fn boundary(content_type: &[u8]) -> Option<Vec<u8>> {
    let (kind, rest) = content_type.split_at(content_type.iter().position(|&b| b == b';')?);
    if !kind.trim_ascii().eq_ignore_ascii_case(b"multipart/form-data") {
        return None;
    }
    let (_, value) = parameters(rest).into_iter().find(|(name, _)| name.eq_ignore_ascii_case(b"boundary"))?;
    let fits = (1..=BOUNDARY).contains(&value.len()) && value.iter().all(|b| (b' '..=b'~').contains(b));
    (fits && value.last() != Some(&b' ')).then_some(value)
}

impl Parser {
    /// Reads parts between this boundary.
    pub fn new(boundary: &[u8]) -> Parser {
        let delimiter = [b"\r\n--", boundary].concat();
        // The first delimiter needs no line end before it: one is thought in front of the body.
        let held = b"\r\n".to_vec();
        Parser { len: delimiter.len(), delimiter: Finder::new(&delimiter).into_owned(), held, state: State::Preamble }
    }

    /// Whether the last delimiter has come: what follows means nothing.
    pub fn is_over(&self) -> bool {
        self.state == State::Epilogue
    }

    /// Gives back memory that is only needed while pieces come.
    pub fn rest(&mut self) {
        self.held.shrink_to_fit();
    }

    /// Takes the next piece of the body.
    pub fn feed<E>(&mut self, input: &[u8], taker: &mut dyn FnMut(Event<'_>) -> Result<(), E>) -> Result<(), Stop<E>> {
        if self.is_over() {
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(input);
        let mut at = 0;
        while let Some(used) = self.advance(&held[at..], taker)? {
            at += used;
        }
        held.drain(..at);
        if self.is_over() {
            held = Vec::new();
        }
        self.held = held;
        Ok(())
    }

    /// One move: how many bytes are done with; none if more must come first.
    fn advance<E>(
        &mut self,
        bytes: &[u8],
        taker: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<Option<usize>, Stop<E>> {
        match self.state {
            State::Preamble => match self.delimiter.find(bytes) {
                Some(at) => {
                    self.state = State::Delimiter;
                    Ok(Some(at + self.len))
                }
                None if bytes.len() > PREAMBLE => Err(Stop::Fault(Fault::NoStart)),
                None => Ok(None),
            },
            State::Delimiter => self.delimiter_end(bytes).map_err(Stop::Fault),
            State::Head => {
                let Some(end) = head_end(bytes) else {
                    return if bytes.len() > HEAD { Err(Stop::Fault(Fault::LongHead)) } else { Ok(None) };
                };
                if end > HEAD {
                    return Err(Stop::Fault(Fault::LongHead));
                }
                let part = parse_head(&bytes[..end]).map_err(Stop::Fault)?;
                taker(Event::Part(part)).map_err(Stop::Taker)?;
                self.state = State::Start;
                // The line end before a delimiter belongs to it: an empty part may have this one only.
                Ok(Some(end - 2))
            }
            State::Start if bytes.len() < self.len && self.delimiter.needle().starts_with(bytes) => Ok(None),
            State::Start => {
                self.state = State::Data;
                Ok(Some(if bytes.starts_with(self.delimiter.needle()) { 0 } else { 2 }))
            }
            State::Data => self.data(bytes, taker).map_err(Stop::Taker),
            State::Epilogue => Ok(None),
        }
    }

    /// What follows a delimiter: `--` behind the last, else white space and a line end.
    fn delimiter_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        if bytes.starts_with(b"--") {
            self.state = State::Epilogue;
            return Ok(Some(2));
        }
        let padding = bytes.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        match &bytes[padding..] {
            _ if padding > HEAD => Err(Fault::BadDelimiter),
            [b'\r', b'\n', ..] => {
                self.state = State::Head;
                // A part without any field has its empty line at once.
                Ok(Some(padding))
            }
            [] | [b'\r'] => Ok(None),
            [b'-'] if padding == 0 => Ok(None),
            _ => Err(Fault::BadDelimiter),
        }
    }

    /// Bytes of a part, as far as no delimiter begins in them.
    fn data<E>(&mut self, bytes: &[u8], taker: &mut dyn FnMut(Event<'_>) -> Result<(), E>) -> Result<Option<usize>, E> {
        let found = self.delimiter.find(bytes);
        let sure = found.unwrap_or(bytes.len().saturating_sub(self.len - 1));
        if sure > 0 {
            taker(Event::Data(&bytes[..sure]))?;
        }
        match found {
            Some(at) => {
                taker(Event::End)?;
                self.state = State::Delimiter;
                Ok(Some(at + self.len))
            }
            None if sure == 0 => Ok(None),
            None => Ok(Some(sure)),
        }
    }
}

/// Where a head ends, its empty line counted in.
fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// The fields that count: Content-Disposition and Content-Type (RFC 7578 sections 4.2 and 4.4).
fn parse_head(head: &[u8]) -> Result<Part, Fault> {
    let mut part = None;
    let mut content_type = None;
    for line in head.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let colon = line.iter().position(|&b| b == b':').ok_or(Fault::BadHead)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-disposition") {
            part = Some(disposition(value).ok_or(Fault::BadHead)?);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            if value.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/")) {
                return Err(Fault::Nested);
            }
            content_type = Some(value.to_vec());
        }
    }
    part.map(|part| Part { content_type, ..part }).ok_or(Fault::BadHead)
}

fn disposition(value: &[u8]) -> Option<Part> {
    let (kind, rest) = value.split_at(value.iter().position(|&b| b == b';')?);
    if !kind.trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    let parameters = parameters(rest);
    let find = |wanted: &str| {
        let found = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        found.map(|(_, value)| value.clone())
    };
    // Browsers never send it, some libraries do (RFC 5987); it says the same and is not ambiguous.
    let extended = find("filename*").and_then(|value| {
        let text = value.splitn(3, |&b| b == b'\'').nth(2)?;
        value
            .get(..5)
            .is_some_and(|charset| charset.eq_ignore_ascii_case(b"utf-8"))
            .then(|| percent_decode(text).into_owned())
    });
    Some(Part { name: find("name")?, file: extended.or_else(|| find("filename")), content_type: None })
}

/// Parameters behind a value: `; name=word; name="text"`. In a text `\"` is a quote; any other backslash is itself, as some
/// browsers send whole paths of Windows.
fn parameters(mut rest: &[u8]) -> Vec<(&[u8], Vec<u8>)> {
    let mut found = Vec::new();
    while let Some(at) = rest.iter().position(|&b| b == b';') {
        rest = rest[at + 1..].trim_ascii_start();
        let Some(equals) = rest.iter().position(|&b| b == b'=' || b == b';') else { break };
        if rest[equals] == b';' {
            rest = &rest[equals..];
            continue;
        }
        let name = rest[..equals].trim_ascii();
        rest = rest[equals + 1..].trim_ascii_start();
        let value = match rest.strip_prefix(b"\"") {
            Some(text) => {
                let (value, used) = quoted(text);
                rest = &text[used..];
                value
            }
            None => {
                let end = rest.iter().position(|&b| b == b';').unwrap_or(rest.len());
                let value = rest[..end].trim_ascii().to_vec();
                rest = &rest[end..];
                value
            }
        };
        found.push((name, value));
    }
    found
}

/// A text up to its closing quote, and how many bytes it took.
fn quoted(text: &[u8]) -> (Vec<u8>, usize) {
    let mut value = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' if text.get(at) == Some(&b'"') => {
                value.push(b'"');
                at += 1;
            }
            _ => value.push(byte),
        }
    }
    (value, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a body that arrives in pieces of so many bytes: names, files and contents, and whether it ended.
    fn read(body: &[u8], piece: usize) -> Result<(Vec<String>, bool), Fault> {
        let mut parser = Parser::new(b"b");
        let mut parts: Vec<String> = Vec::new();
        for piece in body.chunks(piece) {
            let fed = parser.feed(piece, &mut |event| {
                let text = String::from_utf8_lossy;
                match event {
                    Event::Part(part) => {
                        let file = part.file.map(|file| format!("({})", text(&file))).unwrap_or_default();
                        parts.push(format!("{}{file}=", text(&part.name)));
                    }
                    Event::Data(data) => parts.last_mut().unwrap().push_str(&text(data)),
                    Event::End => parts.last_mut().unwrap().push('.'),
                }
                Ok::<(), ()>(())
            });
            match fed {
                Ok(()) => {}
                Err(Stop::Fault(fault)) => return Err(fault),
                Err(Stop::Taker(())) => unreachable!("this taker never refuses"),
            }
        }
        Ok((parts, parser.is_over()))
    }

    const D: &str = "Content-Disposition: form-data; name=";

    #[test]
    fn parts_however_they_arrive() {
        let file = format!("{D}f; filename=\"a\\\"b;c.txt\"\r\nContent-Type: text/plain");
        let whole = format!("pre\r\n--b\r\n{D}\"one\"\r\n\r\n1\r\n--x\r\n--b \t\r\n{file}\r\n\r\n\r\n--b--\r\nafter");
        for (body, parts, over) in [
            (whole.as_str(), vec!["one=1\r\n--x.", "f(a\"b;c.txt)=."], true),
            (&format!("--b\r\n{D}a\r\n\r\n--b--"), vec!["a=."], true),
            (&format!("--b\r\n{D}a\r\n\r\n\r\n\r\n--b--"), vec!["a=\r\n."], true),
            (&format!("--b\r\n{D}a\r\n\r\nx\r\n--b"), vec!["a=x."], false),
            ("--b--", vec![], true),
            ("", vec![], false),
        ] {
            for piece in 1..=body.len().max(1) {
                assert_eq!(
                    read(body.as_bytes(), piece),
                    Ok((parts.iter().map(|p| p.to_string()).collect(), over)),
                    "{body:?} by {piece}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_form() {
        let long = format!("--b\r\n{D}a\r\nX: {}\r\n\r\n", "x".repeat(HEAD));
        let late = "x".repeat(PREAMBLE + 10);
        let nested = format!("--b\r\n{D}a\r\nContent-Type: Multipart/mixed; boundary=c\r\n\r\n");
        for (body, fault) in [
            ("--bc\r\n", Fault::BadDelimiter),
            ("--b -\r\n", Fault::BadDelimiter),
            ("--b\r\n\r\n", Fault::BadHead),
            ("--b\r\nContent-Type: text/plain\r\n\r\n", Fault::BadHead),
            ("--b\r\nContent-Disposition: attachment; name=a\r\n\r\n", Fault::BadHead),
            ("--b\r\nContent-Disposition: form-data; filename=a\r\n\r\n", Fault::BadHead),
            ("--b\r\nno colon\r\n\r\n", Fault::BadHead),
            (&nested, Fault::Nested),
            (&long, Fault::LongHead),
            (&late, Fault::NoStart),
        ] {
            for piece in [1, 7, body.len()] {
                assert_eq!(read(body.as_bytes(), piece), Err(fault), "{body:.60?} by {piece}");
            }
        }
    }

    #[test]
    fn boundaries() {
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        for (field, wanted) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data ; charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"a \"", None),
            ("multipart/mixed; boundary=abc", None),
            ("application/x-www-form-urlencoded", None),
            (&long, None),
        ] {
            assert_eq!(boundary(field.as_bytes()).as_deref(), wanted.map(str::as_bytes), "{field}");
        }
    }

    #[test]
    fn names_of_files() {
        for (value, file) in [
            ("form-data; name=a; filename=\"\u{e4}.txt\"", Some("\u{e4}.txt")),
            ("form-data; name=a; filename=\"C:\\dir\\x\"", Some("C:\\dir\\x")),
            ("form-data; name=a; filename=\"x\"; filename*=UTF-8''%c3%a4.txt", Some("\u{e4}.txt")),
            ("form-data; name=a; filename*=latin1''x", None),
            ("form-data; name=a; filename=", Some("")),
            ("form-data; name=a", None),
        ] {
            assert_eq!(disposition(value.as_bytes()).unwrap().file.as_deref(), file.map(str::as_bytes), "{value}");
        }
    }
}
