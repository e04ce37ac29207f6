//! The head of a program's answer (RFC 3875 section 6): where it ends, and what it says. Pure; what becomes of it
//! is decided by the gateway that asked.

use bytes::Bytes;

use super::accel::Accel;
use crate::http::fields::is_token_byte;
use crate::http::{date, escape};

/// The most bytes a head may have.
pub const LONGEST: usize = 64 << 10;

/// What the head of an answer says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputHead {
    /// The status, if it names one.
    pub status: Option<u16>,
    /// The words behind the status, if there are some.
    pub reason: Option<Bytes>,
    /// Location.
    pub location: Option<Bytes>,
    /// Content-Type.
    pub content_type: Option<Bytes>,
    /// Content-Length.
    pub length: Option<u64>,
    /// Last-Modified, in seconds since 1970.
    pub last_modified: Option<u64>,
    /// ETag.
    pub etag: Option<Bytes>,
    /// Whether `Accept-Ranges: none` stood there.
    pub refuses_ranges: bool,
    /// What the X-Accel fields ask for.
    pub accel: Accel,
    /// Upgrade, which goes on only with the status that tells a client to switch.
    upgrade: Vec<Bytes>,
    /// All other fields, in order, without those of the connection, which are the server's own.
    pub fields: Vec<(Bytes, Bytes)>,
}

/// What is wrong with a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is too long, or never ends.
    TooLong,
    /// A line that is no field.
    BadLine(String),
    /// A status that is none.
    BadStatus(String),
    /// A length that is none.
    BadLength(String),
    /// A field that may stand once stands twice.
    Twice(&'static str),
    /// None of Content-Type, Location and Status stands there (section 6.2).
    Nothing,
}

impl Fault {
    /// What happened, and what to fix.
    pub fn words(&self) -> String {
        match self {
            Fault::TooLong => format!("its head has more than {LONGEST} bytes; an empty line must end it"),
            Fault::BadLine(line) => {
                format!("the line \"{line}\" of its head is no field; an empty line must stand before the body")
            }
            Fault::BadStatus(value) => {
                format!("its Status \"{value}\" is no code from 200 to 999 with a space behind it")
            }
            Fault::BadLength(value) => format!("its Content-Length \"{value}\" is no number"),
            Fault::Twice(name) => format!("its head has {name} twice"),
            Fault::Nothing => "its head has none of Content-Type, Location and Status".into(),
        }
    }
}

/// Where the head ends: the length with its empty line. `from` is where the last look ended. Lines end in LF or CRLF.
pub fn end(bytes: &[u8], from: usize) -> Result<Option<usize>, Fault> {
    let mut at = from.saturating_sub(2);
    if at == 0
        && let Some(n) = blank(bytes)
    {
        return Ok(Some(n));
    }
    while let Some(n) = bytes.get(at..).and_then(|rest| rest.iter().position(|&b| b == b'\n')) {
        at += n + 1;
        if let Some(n) = blank(&bytes[at..]) {
            return if at + n > LONGEST { Err(Fault::TooLong) } else { Ok(Some(at + n)) };
        }
    }
    if bytes.len() > LONGEST { Err(Fault::TooLong) } else { Ok(None) }
}

/// The length of an empty line, if one begins here.
fn blank(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

/// Reads a whole head, in which nothing may be wrong.
pub fn parse(head: &[u8]) -> Result<OutputHead, Fault> {
    read(head, false, &mut Err).map(|(head, _)| head)
}

/// Reads a head in which anything may be wrong: `passed_over` is told of each line that is left out. None if it is no head at
/// all: none of its lines is a field, or some are and nothing says that a response begins here.
pub fn parse_leniently(head: &[u8], passed_over: &mut dyn FnMut(&Fault)) -> Option<OutputHead> {
    let mut faults = Vec::new();
    let mut keep = |fault| {
        faults.push(fault);
        Ok(())
    };
    let (out, fields) = read(head, true, &mut keep).ok()?;
    let says_something = !faults.contains(&Fault::Nothing);
    faults.retain(|fault| *fault != Fault::Nothing);
    if (fields == 0 && memchr::memchr(b'\n', head) != Some(0) && !head.starts_with(b"\r\n"))
        || (!faults.is_empty() && !says_something)
    {
        return None;
    }
    faults.iter().for_each(passed_over);
    Some(out)
}

/// Reads a head and counts its fields; `refuse` says whether what is wrong ends that.
fn read(
    head: &[u8],
    lenient: bool,
    refuse: &mut dyn FnMut(Fault) -> Result<(), Fault>,
) -> Result<(OutputHead, usize), Fault> {
    let mut out = OutputHead::default();
    let mut fields = 0;
    let lines = head.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    for (n, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
        if n == 0 && line.starts_with(b"HTTP/") {
            fields += 1;
            match status_line(line) {
                Some((status, reason)) => (out.status, out.reason) = (Some(status), reason),
                None => refuse(Fault::BadStatus(escape::error_log(line)))?,
            }
            continue;
        }
        match field(line) {
            Some((name, value)) => {
                fields += 1;
                if let Err(fault) = out.take(name, value) {
                    if let (true, Fault::BadStatus(_), None) = (lenient, &fault, out.status) {
                        out.status = leading_status(value);
                    }
                    refuse(fault)?;
                }
            }
            None => refuse(Fault::BadLine(escape::error_log(&line[..line.len().min(200)])))?,
        }
    }
    if out.status == Some(426) {
        // RFC 9110 section 15.5.22: the fields of this answer say to what.
        let upgrade = std::mem::take(&mut out.upgrade).into_iter();
        out.fields.extend(upgrade.map(|value| (Bytes::from_static(b"Upgrade"), value)));
    }
    let elsewhere = out.location.is_some() || out.accel.redirect.is_some();
    if out.content_type.is_none() && !elsewhere && out.status.is_none() {
        refuse(Fault::Nothing)?;
    }
    Ok((out, fields))
}

/// The three digits that a status begins with, whatever stands behind them.
fn leading_status(value: &[u8]) -> Option<u16> {
    let (digits, rest) = value.split_at_checked(3)?;
    if rest.first().is_some_and(u8::is_ascii_digit) { None } else { status(digits) }
}

/// The status of a line such as `HTTP/1.1 200 OK`, which a script writes that speaks to the client itself (section 5).
fn status_line(line: &[u8]) -> Option<(u16, Option<Bytes>)> {
    let at = line.iter().position(|&b| b == b' ')?;
    let value = line[at..].trim_ascii();
    Some((status(value)?, reason(value)))
}

/// What follows the three digits.
fn reason(value: &[u8]) -> Option<Bytes> {
    let words = value.get(3..)?.trim_ascii();
    (!words.is_empty()).then(|| Bytes::copy_from_slice(words))
}

/// Three digits, then nothing or white space (section 6.3.3). 1xx is no final answer.
fn status(value: &[u8]) -> Option<u16> {
    let (digits, rest) = value.split_at_checked(3)?;
    let code = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let code = code.parse().ok().filter(|code| (200..=999).contains(code))?;
    matches!(rest, [] | [b' ' | b'\t', ..]).then_some(code)
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&b| b == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let legal = !name.is_empty() && name.iter().all(|&b| is_token_byte(b));
    let safe = !value.iter().any(|&b| (b < b' ' && b != b'\t') || b == 0x7f);
    (legal && safe).then_some((name, value))
}

/// Fields that belong to the connection or to the server and never come from a program.
const OURS: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "te",
    "trailer",
    "date",
    "server",
    "accept-ranges",
];

impl OutputHead {
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let lower = name.to_ascii_lowercase();
        let bytes = Bytes::copy_from_slice(value);
        match lower.as_slice() {
            b"status" => match status(value) {
                // Perl's CGI.pm writes it below a status line that says the same.
                Some(status) if self.status.is_none_or(|known| known == status) => {
                    self.status = Some(status);
                    self.reason = self.reason.take().or(reason(value));
                }
                Some(_) => return Err(Fault::Twice("Status")),
                None => return Err(Fault::BadStatus(escape::error_log(value))),
            },
            b"location" => once(&mut self.location, bytes, "Location")?,
            b"content-type" => once(&mut self.content_type, bytes, "Content-Type")?,
            b"content-length" => {
                let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
                match digits.and_then(|digits| digits.parse().ok()) {
                    Some(length) if self.length.is_none_or(|known| known == length) => self.length = Some(length),
                    Some(_) => return Err(Fault::Twice("Content-Length")),
                    None => return Err(Fault::BadLength(escape::error_log(value))),
                }
            }
            b"etag" if self.etag.is_none() => self.etag = Some(bytes),
            b"last-modified" if self.last_modified.is_none() && date::parse(value).is_some() => {
                self.last_modified = date::parse(value);
            }
            b"accept-ranges" => self.refuses_ranges = value.eq_ignore_ascii_case(b"none"),
            b"upgrade" => self.upgrade.push(bytes),
            lower if self.accel.take(lower, &bytes) => {}
            lower if OURS.iter().any(|ours| ours.as_bytes() == lower) => {}
            _ => self.fields.push((Bytes::copy_from_slice(name), bytes)),
        }
        Ok(())
    }
}

/// RFC 3875 section 6.3: each of these at most once.
fn once(slot: &mut Option<Bytes>, value: Bytes, name: &'static str) -> Result<(), Fault> {
    match slot {
        Some(_) => Err(Fault::Twice(name)),
        None => {
            *slot = Some(value);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        for (text, want) in [
            ("A: b\n\nbody", Some(6)),
            ("A: b\r\n\r\nbody", Some(8)),
            ("A: b\n\r\nbody", Some(7)),
            ("\nbody", Some(1)),
            ("\r\nbody", Some(2)),
            ("A: b\n", None),
            ("A: b\r\n\r", None),
            ("", None),
        ] {
            assert_eq!(end(text.as_bytes(), 0), Ok(want), "{text:?}");
            // However it comes in pieces, the answer is the same.
            for from in 0..=text.len() {
                if end(&text.as_bytes()[..from], 0) == Ok(None) {
                    assert_eq!(end(text.as_bytes(), from), Ok(want), "{text:?} from {from}");
                }
            }
        }
    }

    #[test]
    fn a_head_has_a_longest() {
        let with = |n: usize| [b"A: ".to_vec(), vec![b'x'; n - 5], b"\n\n".to_vec()].concat();
        assert_eq!(end(&with(LONGEST), 0), Ok(Some(LONGEST)));
        assert_eq!(end(&with(LONGEST + 1), 0), Err(Fault::TooLong));
        assert_eq!(end(&vec![b'x'; LONGEST], 0), Ok(None));
        assert_eq!(end(&vec![b'x'; LONGEST + 1], 0), Err(Fault::TooLong));
    }

    #[test]
    fn what_a_head_says() {
        let text = "Status: 404 Not Found\r\nContent-type: text/html\nSet-Cookie: a=b\nSet-Cookie: c=d\nContent-Length: 7\n\
            ETag: \"x\"\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nConnection: close\nDate: now\n\n";
        let head = parse(text.as_bytes()).unwrap();
        assert_eq!((head.status, head.length, head.last_modified), (Some(404), Some(7), Some(784_111_777)));
        assert_eq!(
            (head.content_type.as_deref(), head.etag.as_deref()),
            (Some(&b"text/html"[..]), Some(&b"\"x\""[..]))
        );
        let fields: Vec<_> = head.fields.iter().map(|(_, value)| value.as_ref()).collect();
        assert_eq!(fields, [b"a=b", b"c=d"]);
        for text in ["HTTP/1.1 201 Created\r\nA: b\r\n\r\n", "HTTP/1.0 201 Created\nStatus: 201 Created\n\n"] {
            assert_eq!(parse(text.as_bytes()).unwrap().status, Some(201));
        }
    }

    #[test]
    fn what_is_refused() {
        for (text, want) in [
            ("no colon\n\n", Fault::BadLine("no colon".into())),
            ("a b: c\n\n", Fault::BadLine("a b: c".into())),
            (" a: c\n\n", Fault::BadLine(" a: c".into())),
            ("a: b\rc\n\n", Fault::BadLine("a: b\\x0Dc".into())),
            ("Status: 20\n\n", Fault::BadStatus("20".into())),
            ("Status: 100\n\n", Fault::BadStatus("100".into())),
            ("Status: 2000\n\n", Fault::BadStatus("2000".into())),
            ("Status: 200\nStatus: 404\n\n", Fault::Twice("Status")),
            ("Location: /a\nLocation: /b\n\n", Fault::Twice("Location")),
            ("Content-Type: a/b\nContent-Type: a/b\n\n", Fault::Twice("Content-Type")),
            ("Status: 200\nContent-Length: x\n\n", Fault::BadLength("x".into())),
            ("X: y\n\n", Fault::Nothing),
            ("\n", Fault::Nothing),
            ("HTTP/1.1 abc\n\n", Fault::BadStatus("HTTP/1.1 abc".into())),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(want), "{text:?}");
        }
    }

    #[test]
    fn what_is_passed_over() {
        for (text, want) in [
            ("A: b\nContent-Type: a/b\n\n", Some((None, 0))),
            ("X: y\n\n", Some((None, 0))),
            ("<!--: spam\nContent-Type: text/html\n\n", Some((None, 1))),
            ("Status: 404: Not Found\n\n", Some((Some(404), 1))),
            ("Status: 4044\nContent-Type: a/b\n\n", Some((None, 1))),
            ("Status: 200\nStatus: 404\nno field\n\n", Some((Some(200), 2))),
            ("Status: 200\nContent-Length: x\n\n", Some((Some(200), 1))),
            ("hello without head\n", None),
            ("hello: world, and\nmore of it\n\n", None),
            ("<p>Note: this</p>\n\n", None),
            ("\n", Some((None, 0))),
            ("\r\n", Some((None, 0))),
        ] {
            let mut faults = 0;
            let found = parse_leniently(text.as_bytes(), &mut |_| faults += 1);
            assert_eq!(found.map(|head| (head.status, faults)), want, "{text:?}");
        }
    }
}
