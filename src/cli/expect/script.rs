//! The language of expect files: one line, one request, and what must come back. Text to values; sends nothing.
//! docs/testing.md describes it.

use std::time::Duration;

use regex::bytes::Regex;

/// A line that means something.
#[derive(Debug, Clone)]
pub enum Line {
    /// `base URL`: what the URLs behind it are relative to.
    Base(Url),
    /// `cookies on` begins with none and keeps them; `cookies off` keeps none.
    Cookies(bool),
    /// A request and what is wanted of its answer.
    Check {
        /// The line in the file, from 1.
        number: usize,
        /// What is asked.
        request: Request,
        /// What must come back.
        wanted: Wanted,
        /// The line as it stands.
        text: String,
    },
}

impl Line {
    /// Whether it asks something.
    pub fn is_check(&self) -> bool {
        matches!(self, Line::Check { .. })
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method; none for raw bytes.
    pub method: Option<String>,
    /// Where.
    pub url: Url,
    /// Fields in their order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body; all there is for raw bytes.
    pub body: Option<Content>,
    /// Whether the body goes in chunks.
    pub chunked: bool,
    /// How often.
    pub times: usize,
    /// How many of them at once.
    pub at_once: usize,
}

impl Request {
    /// Whether the answer has no body.
    pub fn is_head(&self) -> bool {
        self.method.as_deref() == Some("HEAD")
    }
}

/// The parts of a URL that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Url {
    /// The host, with the brackets of an address of IPv6.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// Path and query, or `*`.
    pub path: String,
}

impl Url {
    /// Host and port as in a Host field.
    pub fn authority(&self) -> Option<String> {
        let host = self.host.as_ref()?;
        Some(self.port.filter(|port| *port != 80).map_or(host.clone(), |port| format!("{host}:{port}")))
    }

    /// The same with what it lacks taken from another.
    pub fn within(&self, base: &Url) -> Url {
        match self.host {
            Some(_) => self.clone(),
            None => Url { path: self.path.clone(), ..base.clone() },
        }
    }
}

/// Bytes that a line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These.
    Text(Vec<u8>),
    /// So many.
    Size(usize),
    /// Those of a file.
    File(String),
}

/// What must come back.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// One of these; empty: a connection that is closed without an answer.
    pub statuses: Vec<Status>,
    /// All of these.
    pub checks: Vec<Check>,
    /// Not later than this.
    pub within: Option<Duration>,
}

/// A status, or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// This one.
    Is(u16),
    /// All that begin with this digit.
    Class(u16),
}

/// Something about the answer.
#[derive(Debug, Clone)]
pub struct Check {
    /// A field's name in lower case, or `body`.
    pub of: String,
    /// Whether it must not be so.
    pub not: bool,
    /// How it must be.
    pub test: Test,
}

/// How a value must be.
#[derive(Debug, Clone)]
pub enum Test {
    /// There at all.
    There,
    /// This.
    Is(Content),
    /// Matched by this.
    Matches(Regex),
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what to write.
    pub message: String,
}

/// Most requests of one line.
const MOST_TIMES: usize = 1_000_000;
/// Most bytes of a body that is named by its size.
const MOST_BYTES: usize = 1 << 30;

/// Reads a file: its lines, and all that is wrong with it.
pub fn read(text: &[u8]) -> (Vec<Line>, Vec<Fault>) {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    for (index, bytes) in text.split(|&byte| byte == b'\n').enumerate() {
        let number = index + 1;
        match words(bytes).and_then(|words| line(number, bytes, &words)) {
            Ok(found) => lines.extend(found),
            Err(message) => faults.push(Fault { line: number, message }),
        }
    }
    (lines, faults)
}

/// Words between blanks; quotes hold blanks and escapes, a `#` at a word's beginning ends the line.
fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let (mut words, mut word, mut open): (Vec<Vec<u8>>, Option<Vec<u8>>, bool) = (Vec::new(), None, false);
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                open = !open;
                word.get_or_insert_default();
            }
            b'\\' if open => {
                let escaped = escape(&mut bytes).ok_or("after `\\` in quotes stands one of r n t \\ \" or xHH")?;
                word.get_or_insert_default().push(escaped);
            }
            b' ' | b'\t' | b'\r' if !open => words.extend(word.take()),
            b'#' if !open && word.is_none() => break,
            _ => word.get_or_insert_default().push(byte),
        }
    }
    if open {
        return Err("a quote is not closed: write `\"` at its end".into());
    }
    words.extend(word);
    Ok(words)
}

fn escape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    Some(match bytes.next()? {
        b'r' => b'\r',
        b'n' => b'\n',
        b't' => b'\t',
        byte @ (b'\\' | b'"') => byte,
        b'x' => {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            (high * 16 + low) as u8 // two digits are at most 255
        }
        _ => return None,
    })
}

fn line(number: usize, bytes: &[u8], words: &[Vec<u8>]) -> Result<Option<Line>, String> {
    let Some(first) = words.first() else { return Ok(None) };
    match (first.as_slice(), words) {
        (b"base", [_, to]) => return url(to).map(|url| Some(Line::Base(url))),
        (b"base", _) => return Err("`base` takes one URL".into()),
        (b"cookies", [_, word]) if word == b"on" || word == b"off" => return Ok(Some(Line::Cookies(word == b"on"))),
        (b"cookies", _) => return Err("`cookies` takes `on` or `off`".into()),
        _ => {}
    }
    let arrow = words.iter().position(|word| word == b"->");
    let arrow = arrow.ok_or("there is no `->` between what is asked and what must come back")?;
    let request = request(&words[..arrow])?;
    let wanted = wanted(&words[arrow + 1..])?;
    let text = String::from_utf8_lossy(bytes).trim().to_string();
    Ok(Some(Line::Check { number, request, wanted, text }))
}

fn request(words: &[Vec<u8>]) -> Result<Request, String> {
    let [method, to, rest @ ..] = words else { return Err("write METHOD URL -> STATUS".into()) };
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if !method.iter().all(is_token) {
        return Err(format!("`{}` is no method; bytes of your own are sent by RAW URL \"...\"", shown(method)));
    }
    let raw = method == b"RAW";
    let mut request = Request {
        method: (!raw).then(|| shown(method)),
        url: url(to)?,
        fields: Vec::new(),
        body: None,
        chunked: false,
        times: 1,
        at_once: 1,
    };
    let rest = match (raw, rest) {
        (false, rest) => rest,
        (true, [bytes, rest @ ..]) => {
            request.body = Some(Content::Text(bytes.clone()));
            rest
        }
        (true, []) => return Err("RAW takes a URL and bytes in quotes".into()),
    };
    for word in rest {
        let Some(at) = word.iter().position(|&byte| byte == b'=') else {
            if word == b"chunked" && !raw {
                request.chunked = true;
                continue;
            }
            return Err(format!("`{}` is neither name=value nor `chunked`", shown(word)));
        };
        let (name, value) = (shown(&word[..at]), &word[at + 1..]);
        match name.as_str() {
            "times" => request.times = count(value)?,
            "at-once" => request.at_once = count(value)?.min(1000),
            _ if raw => return Err(format!("RAW sends its bytes as they are: `{name}=` belongs into them")),
            "body" => request.body = Some(content(value)?),
            _ if name.is_empty() || !name.bytes().all(|byte| is_token(&byte)) => {
                return Err(format!("`{name}` is no name of a field"));
            }
            _ if value.iter().any(|byte| b"\r\n\0".contains(byte)) => {
                return Err(format!("the value of `{name}` would end its line; RAW sends such bytes"));
            }
            _ => request.fields.push((name, value.to_vec())),
        }
    }
    Ok(request)
}

fn count(text: &[u8]) -> Result<usize, String> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number
        .filter(|number| (1..=MOST_TIMES).contains(number))
        .ok_or_else(|| format!("`{}` is no number from 1 to {MOST_TIMES}", shown(text)))
}

/// `http://host:port/path`, or a path alone.
pub fn url(text: &[u8]) -> Result<Url, String> {
    let wrong = || format!("`{}` is no URL: write /path or http://host:port/path", shown(text));
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    if text.bytes().any(|byte| byte <= b' ' || byte == 127) {
        return Err(wrong());
    }
    if text.starts_with("https://") {
        return Err(format!("`{text}`: requests over TLS cannot be sent yet; write http://"));
    }
    if text.starts_with('/') || text == "*" {
        return Ok(Url { path: text.to_string(), ..Url::default() });
    }
    let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // A colon within brackets is one of an address of IPv6.
    let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let (host, port) = match colon {
        Some(at) => (&authority[..at], Some(authority[at + 1..].parse().map_err(|_| wrong())?)),
        None => (authority, None),
    };
    if host.is_empty() {
        return Err(wrong());
    }
    let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
    Ok(Url { host: Some(host.to_string()), port, path })
}

/// A text, `101b` for so many bytes, or `@FILE`.
fn content(text: &[u8]) -> Result<Content, String> {
    if let Some(name) = text.strip_prefix(b"@") {
        return Ok(Content::File(String::from_utf8(name.to_vec()).map_err(|_| "the file's name is no UTF-8")?));
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let unit = match &text[digits..] {
        _ if digits == 0 => None,
        b"b" => Some(1),
        b"kb" => Some(1 << 10),
        b"mb" => Some(1 << 20),
        _ => None,
    };
    let Some(unit) = unit else { return Ok(Content::Text(text.to_vec())) };
    let number: Option<usize> = shown(&text[..digits]).parse().ok();
    let size = number.and_then(|number| number.checked_mul(unit)).filter(|size| *size <= MOST_BYTES);
    size.map(Content::Size).ok_or_else(|| format!("`{}` is more than a gigabyte", shown(text)))
}

fn wanted(words: &[Vec<u8>]) -> Result<Wanted, String> {
    let Some((first, rest)) = words.split_first() else { return Err("behind `->` stands a status".into()) };
    let mut wanted = Wanted::default();
    if first != b"closed" {
        wanted.statuses = first.split(|&byte| byte == b'|').map(status).collect::<Result<_, _>>()?;
    }
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        if word == b"within" {
            let time = rest.next().and_then(|text| time(text)).ok_or("`within` takes a time such as 2s or 500ms")?;
            wanted.within = Some(time);
            continue;
        }
        wanted.checks.push(check(word)?);
    }
    Ok(wanted)
}

fn status(text: &[u8]) -> Result<Status, String> {
    let wrong = || format!("`{}` is no status: write 404, 4xx, 200|304 or closed", shown(text));
    match text {
        [class @ b'1'..=b'5', b'x', b'x'] => Ok(Status::Class(u16::from(class - b'0'))),
        [_, _, _] => shown(text).parse().map(Status::Is).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn time(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" if number <= 3_600_000 => Some(Duration::from_millis(number)),
        "s" if number <= 3600 => Some(Duration::from_secs(number)),
        _ => None,
    }
}

fn check(word: &[u8]) -> Result<Check, String> {
    let (not, word) = word.strip_prefix(b"!").map_or((false, word), |rest| (true, rest));
    let at = word.iter().position(|byte| matches!(byte, b'=' | b'~'));
    let (name, value) = word.split_at(at.unwrap_or(word.len()));
    let name = shown(name).to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(format!("`{}` is no check: write name=value, name~regex, !name or body~regex", shown(word)));
    }
    let test = match value.split_first() {
        None => Test::There,
        Some((b'=', value)) if name == "body" => Test::Is(content(value)?),
        Some((b'=', value)) => Test::Is(Content::Text(value.to_vec())),
        Some((_, value)) => {
            let pattern = std::str::from_utf8(value).map_err(|_| "a regex is UTF-8")?;
            Test::Matches(Regex::new(pattern).map_err(|error| format!("`{pattern}` is no regex: {error}"))?)
        }
    };
    Ok(Check { of: name, not, test })
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_right() {
        for text in [
            "GET http://a.test/old -> 301 location=/new",
            "POST /up body=101b -> 413",
            "DELETE /x -> 405 allow~GET # a remark",
            "GET /a.py?x=1 -> 200 body~x=1 within 2s",
            "POST /a body=\"a b\\r\\n\\x00\" chunked accept=text/html -> 2xx|404 !x-a body=@file",
            "RAW http://a.test:81 \"GET / HTTP/1.1\\r\\n\\r\\n\" -> closed",
            "GET http://[::1]:8080 times=100 at-once=10 -> 200 !body~error",
            "base http://a.test:8080",
            "cookies on",
        ] {
            let (lines, faults) = read(text.as_bytes());
            assert_eq!((lines.len(), faults.len()), (1, 0), "{text}: {faults:?}");
        }
        assert_eq!(read(b"\n  # nothing\r\n").0.len(), 0);
    }

    #[test]
    fn lines_that_are_wrong_are_told() {
        for (text, want) in [
            ("GET /", "no `->`"),
            ("-> 200", "METHOD URL"),
            ("GET nothing -> 200", "is no URL"),
            ("GET https://a.test/ -> 200", "TLS"),
            ("GET http://a:99999/ -> 200", "is no URL"),
            ("GET / -> ", "a status"),
            ("GET / -> 2000", "is no status"),
            ("GET / -> 200 body~(", "is no regex"),
            ("GET / -> 200 within 2h", "a time such as"),
            ("GET / odd -> 200", "neither name=value"),
            ("GET / x=\"a\\nb\" -> 200", "would end its line"),
            ("GET / x=\"a -> 200", "not closed"),
            ("GET / x=\"\\q\" -> 200", "after `\\`"),
            ("GET / times=0 -> 200", "is no number"),
            ("GET / body=9999mb -> 200", "more than a gigabyte"),
            ("RAW / -> 200", "bytes in quotes"),
            ("RAW / \"\" body=a -> 200", "as they are"),
            ("cookies maybe", "`on` or `off`"),
            ("base", "one URL"),
        ] {
            let (_, faults) = read(text.as_bytes());
            assert!(faults.len() == 1 && faults[0].message.contains(want), "{text}: {faults:?}");
        }
    }

    #[test]
    fn urls_and_what_they_lack() {
        let base = url(b"http://a.test:8080").expect("a URL");
        assert_eq!(url(b"/x?y").expect("a path").within(&base).authority().as_deref(), Some("a.test:8080"));
        let other = url(b"http://[::1]:81/x").expect("a URL");
        assert_eq!((other.authority().as_deref(), other.path.as_str()), (Some("[::1]:81"), "/x"));
        assert_eq!(url(b"http://a?b").expect("a URL").path, "/?b");
    }
}
