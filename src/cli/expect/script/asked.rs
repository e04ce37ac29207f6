//! The words in front of the arrow: what is asked, and how it is sent.

use std::time::Duration;

use crate::conf::suggest;

use super::url::{Url, url};
use super::{shown, wanted::time};

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The method; none for raw bytes.
    pub method: Option<String>,
    /// Where.
    pub url: Url,
    /// Whether it is a request of HTTP/1.0.
    pub is_old: bool,
    /// Fields in their order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Fields that are not sent although they usually are, in lower case.
    pub without: Vec<String>,
    /// The body.
    pub body: Option<Content>,
    /// The parts of a form as browsers send it.
    pub form: Vec<Part>,
    /// What raw bytes there are, and pauses between them.
    pub raw: Vec<Piece>,
    /// Whether the body goes in chunks.
    pub chunked: bool,
    /// How often.
    pub times: usize,
    /// How many of them at once.
    pub at_once: usize,
    /// Whether it goes over the connection of the line before.
    pub same: bool,
}

impl Request {
    /// Whether the answer has no body.
    pub fn is_head(&self) -> bool {
        let raw = matches!(self.raw.first(), Some(Piece::Bytes(bytes)) if bytes.starts_with(b"HEAD "));
        raw || self.method.as_deref() == Some("HEAD")
    }

    /// All pauses together.
    pub fn pauses(&self) -> Duration {
        let one = |piece: &Piece| if let Piece::Pause(time) = piece { *time } else { Duration::ZERO };
        self.raw.iter().map(one).sum()
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

/// A part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name of the input, or of the file.
    pub name: String,
    /// Whether it is a file.
    pub is_file: bool,
    /// What is in it.
    pub content: Content,
}

/// A piece of a raw request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes to be sent.
    Bytes(Vec<u8>),
    /// A time to wait.
    Pause(Duration),
}

/// Most requests of one line.
const MOST_TIMES: usize = 1_000_000;
/// Most bytes of a body that is named by its size.
const MOST_BYTES: usize = 1 << 30;

/// Reads the words in front of the arrow.
pub fn request(words: &[Vec<u8>]) -> Result<Request, String> {
    let [method, to, rest @ ..] = words else { return Err("write METHOD URL -> STATUS".into()) };
    if !method.iter().all(is_token) {
        return Err(format!("`{}` is no method; bytes of your own are sent by RAW URL \"...\"", shown(method)));
    }
    let raw = method == b"RAW";
    if let Some(near) = meant(&shown(method)) {
        let method = shown(method);
        return Err(format!("did you mean `{near}`, not `{method}`? A method like that is sent by RAW URL \"...\""));
    }
    let mut request =
        Request { method: (!raw).then(|| shown(method)), url: url(to)?, times: 1, at_once: 1, ..Request::default() };
    let rest = if raw { pieces(&mut request, rest)? } else { rest };
    for word in rest {
        match word.iter().position(|&byte| byte == b'=') {
            None => flag(&mut request, word)?,
            Some(at) => pair(&mut request, &word[..at], &word[at + 1..])?,
        }
    }
    if request.same && request.times > 1 {
        return Err("`same` is one request over one connection: `times=` does not go with it".into());
    }
    if request.body.is_some() && !request.form.is_empty() {
        return Err("there is one body: either `body=` or the `form:` and `file:` words".into());
    }
    Ok(request)
}

/// Methods as they are written (RFC 9110 and 5789, WebDAV's, and our word for bytes).
const METHODS: [&str; 17] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "MKCOL",
    "COPY",
    "MOVE",
    "OPTIONS",
    "PROPFIND",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    "PATCH",
    "TRACE",
    "CONNECT",
    "RAW",
];

/// The method that a slip of the keyboard stands for.
fn meant(method: &str) -> Option<String> {
    if METHODS.contains(&method) {
        return None;
    }
    let known: Vec<String> = METHODS.iter().map(|known| known.to_ascii_lowercase()).collect();
    suggest::closest(method, known.iter().map(String::as_str)).map(str::to_ascii_uppercase)
}

/// The bytes of a raw request, with sizes and pauses among them; what stands behind them is left.
fn pieces<'a>(request: &mut Request, words: &'a [Vec<u8>]) -> Result<&'a [Vec<u8>], String> {
    let Some((first, mut rest)) = words.split_first() else { return Err("RAW takes a URL and bytes in quotes".into()) };
    request.raw.push(Piece::Bytes(first.clone()));
    while let [word, behind @ ..] = rest {
        rest = behind;
        match content(word)? {
            Content::Size(size) => request.raw.push(Piece::Bytes(vec![b'x'; size])),
            _ if word == b"pause" => {
                let pause = behind.first().and_then(|text| time(text));
                request.raw.push(Piece::Pause(pause.ok_or("`pause` takes a time such as 200ms or 2s")?));
                rest = &behind[1..];
            }
            _ => return Ok(&words[words.len() - behind.len() - 1..]),
        }
        // Words of other kinds may follow the last size or pause.
        let is_bytes =
            |word: &&Vec<u8>| word != &b"same" && word != &b"pause" && !matches!(content(word), Ok(Content::Size(_)));
        let is_flag = |word: &&Vec<u8>| word.starts_with(b"times=") || word.starts_with(b"at-once=");
        if let Some(bytes) = rest.first().filter(|word| is_bytes(word) && !is_flag(word)) {
            request.raw.push(Piece::Bytes(bytes.clone()));
            rest = &rest[1..];
        }
    }
    Ok(rest)
}

/// A word without a value.
fn flag(request: &mut Request, word: &[u8]) -> Result<(), String> {
    let raw = request.method.is_none();
    match word {
        b"same" => request.same = true,
        b"chunked" if !raw => request.chunked = true,
        b"http/1.0" | b"HTTP/1.0" if !raw => request.is_old = true,
        [b'!', name @ ..] if !raw && !name.is_empty() && name.iter().all(is_token) => {
            request.without.push(shown(name).to_ascii_lowercase());
        }
        _ if raw => {
            return Err(format!("`{}`: behind the bytes of RAW stand `pause TIME`, `SIZE` and `same`", shown(word)));
        }
        _ => {
            return Err(format!("`{}` is neither name=value nor one of chunked, same, http/1.0, !name", shown(word)));
        }
    }
    Ok(())
}

/// A word with a value.
fn pair(request: &mut Request, name: &[u8], value: &[u8]) -> Result<(), String> {
    let name = shown(name);
    let part = name.split_once(':').filter(|(kind, _)| matches!(*kind, "form" | "file"));
    match (name.as_str(), part) {
        ("times", _) => request.times = count(value)?,
        ("at-once", _) => request.at_once = count(value)?.min(1000),
        _ if request.method.is_none() => {
            return Err(format!("RAW sends its bytes as they are: `{name}=` belongs into them"));
        }
        ("body", _) => request.body = Some(content(value)?),
        (_, Some((_, inner))) if inner.is_empty() || inner.bytes().any(|byte| byte < b' ' || byte == b'"') => {
            return Err(format!("`{name}=` lacks a name: write form:NAME=TEXT or file:NAME=CONTENT"));
        }
        (_, Some(("form", inner))) => {
            let content = Content::Text(value.to_vec());
            request.form.push(Part { name: inner.to_string(), is_file: false, content });
        }
        (_, Some((_, inner))) => {
            request.form.push(Part { name: inner.to_string(), is_file: true, content: content(value)? });
        }
        _ if name.is_empty() || !name.bytes().all(|byte| is_token(&byte)) => {
            return Err(format!("`{name}` is no name of a field"));
        }
        _ if value.iter().any(|byte| b"\r\n\0".contains(byte)) => {
            return Err(format!("the value of `{name}` would end its line; RAW sends such bytes"));
        }
        _ => request.fields.push((name, value.to_vec())),
    }
    Ok(())
}

/// A byte of a method's or a field's name (RFC 9110, section 5.6.2).
fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

fn count(text: &[u8]) -> Result<usize, String> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number
        .filter(|number| (1..=MOST_TIMES).contains(number))
        .ok_or_else(|| format!("`{}` is no number from 1 to {MOST_TIMES}", shown(text)))
}

/// Whether somebody who writes this after a number means a size.
fn is_like_a_unit(text: &[u8]) -> bool {
    match text.to_ascii_lowercase().as_slice() {
        b"b" | b"k" | b"m" | b"g" | b"kib" | b"mib" | b"gib" => true,
        [letter, b'b'] => letter.is_ascii_alphabetic(),
        _ => false,
    }
}

/// A text, `101b` for so many bytes, or `@FILE`.
pub fn content(text: &[u8]) -> Result<Content, String> {
    if let Some(name) = text.strip_prefix(b"@") {
        return Ok(Content::File(String::from_utf8(name.to_vec()).map_err(|_| "the file's name is no UTF-8")?));
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let unit = match &text[digits..] {
        _ if digits == 0 => None,
        b"b" => Some(1),
        b"kb" => Some(1 << 10),
        b"mb" => Some(1 << 20),
        unit if is_like_a_unit(unit) => {
            let text = shown(text);
            return Err(format!(
                "`{text}` is no size: write 10b, 10kb or 10mb; such a text comes from a file, `@FILE`"
            ));
        }
        _ => None,
    };
    let Some(unit) = unit else { return Ok(Content::Text(text.to_vec())) };
    let number: Option<usize> = shown(&text[..digits]).parse().ok();
    let size = number.and_then(|number| number.checked_mul(unit)).filter(|size| *size <= MOST_BYTES);
    size.map(Content::Size).ok_or_else(|| format!("`{}` is more than a gigabyte", shown(text)))
}
