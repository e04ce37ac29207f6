//! An answer as a value: status, fields, body. What frames it on the wire is decided
//! elsewhere (`framing`), so no handler names Content-Length or Connection.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::etag;
use super::pace::Pace;

/// Bytes taken from a stream at a time.
const PIECE: usize = 32 << 10;

/// Bytes that come while they are sent: a child's output, an upstream's answer.
pub trait Stream: Send {
    /// Reads what is there: `Ok(0)` is the end, `WouldBlock` means nothing now, `Interrupted` that
    /// there is more and others should have a turn first. Another error cuts the answer off.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// The same without a copy, where there is memory of its own; no bytes are the end.
    fn next(&mut self) -> io::Result<Bytes> {
        let mut piece = vec![0; PIECE];
        let n = self.read(&mut piece)?;
        piece.truncate(n);
        Ok(piece.into())
    }

    /// The client takes nothing now: a chance to take in what has come, so that a slow client does not hold up the source.
    fn gather(&mut self) {}

    /// When the source must be looked after by `gather` though the client takes nothing.
    fn limit(&self) -> Option<Instant> {
        None
    }

    /// When `read` wants to be called again though nothing came; it may answer with an error then.
    fn deadline(&self) -> Option<Instant>;
}

/// The other end of a connection that switches protocols (101). Nothing of it ever waits.
pub trait Tunnel: Send {
    /// Reads what is there: `Ok(0)` is the end, `WouldBlock` means nothing now.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes what it takes; after `WouldBlock` there is news when it takes more.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Says that nothing more will be written.
    fn finish(&mut self);

    /// How long nothing may move, and how long it may take nothing of what is written.
    fn patience(&self) -> (Duration, Duration);
}

/// A handle on a tunnel.
#[derive(Clone)]
pub struct Switch(pub Arc<Mutex<dyn Tunnel>>);

impl std::fmt::Debug for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Switch")
    }
}

/// One piece of a body, in the order it is sent.
#[derive(Clone)]
pub enum Chunk {
    /// Bytes in memory.
    Bytes(Bytes),
    /// `len` bytes of `file` from `offset`. The file may shrink meanwhile: the sender checks.
    File {
        /// The open file, shared with the cache and with other readers.
        file: Arc<File>,
        /// First byte, counted from the start of the file.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// Bytes whose number nobody knows yet.
    Stream(Arc<Mutex<dyn Stream>>),
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Chunk::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Chunk::File { offset, len, .. } => write!(f, "File({offset}, {len})"),
            Chunk::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Chunk {
    /// The number of bytes this piece still has; a stream counts as none.
    pub fn len(&self) -> u64 {
        match self {
            Chunk::Bytes(b) => b.len() as u64,
            Chunk::File { len, .. } => *len,
            Chunk::Stream(_) => 0,
        }
    }

    /// Whether nothing is left of it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && !matches!(self, Chunk::Stream(_))
    }
}

/// A body: a queue of chunks. A page, a range, a listing, an error page are all this one type.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// The pieces, first to last.
    pub chunks: VecDeque<Chunk>,
}

impl Body {
    /// A body with nothing in it.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body of one piece of memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let mut body = Self::default();
        body.chunks.push_back(Chunk::Bytes(bytes.into()));
        body
    }

    /// A body that comes while it is sent.
    pub fn stream(stream: Arc<Mutex<dyn Stream>>) -> Self {
        Body { chunks: VecDeque::from([Chunk::Stream(stream)]) }
    }

    /// A body of which nothing is known, for an answer that sends none.
    pub fn unknown() -> Self {
        Body::stream(Arc::new(Mutex::new(Nothing)))
    }

    /// The whole length in bytes, streams not counted.
    pub fn len(&self) -> u64 {
        self.chunks.iter().map(Chunk::len).sum()
    }

    /// The whole length in bytes; none while a stream is part of it.
    pub fn known_len(&self) -> Option<u64> {
        let streams = self.chunks.iter().any(|chunk| matches!(chunk, Chunk::Stream(_)));
        (!streams).then(|| self.len())
    }

    /// Whether there is no byte in it.
    pub fn is_empty(&self) -> bool {
        self.chunks.iter().all(Chunk::is_empty)
    }
}

/// A stream that has ended.
struct Nothing;

impl Stream for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// Where the Content-Type of an answer comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ContentType {
    /// From the extension of the request's path, by `types` and `default_type`.
    #[default]
    ByExtension,
    /// This very value.
    Is(Bytes),
    /// No such field (204, 304, an empty body with no type).
    None,
}

impl ContentType {
    /// The value, once it is settled; empty if there is none.
    pub fn value(&self) -> &[u8] {
        match self {
            ContentType::Is(value) => value,
            ContentType::ByExtension | ContentType::None => b"",
        }
    }
}

/// An answer before it is framed. Handlers never set Date, Server, Connection, Content-Length
/// or Transfer-Encoding.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code, 100 to 999.
    pub status: u16,
    /// Where Content-Type comes from.
    pub content_type: ContentType,
    /// Last-Modified, in seconds since 1970.
    pub last_modified: Option<u64>,
    /// The ETag with its quotes, and `W/` where weak.
    pub etag: Option<Bytes>,
    /// The nanoseconds of the finer form of that tag, where the file answers to it too.
    pub nanos: Option<u32>,
    /// The Location field, possibly still relative: `redirect` makes it absolute.
    pub location: Option<Bytes>,
    /// Whether a Range request may be answered from this body.
    pub ranges: bool,
    /// Further fields, in the order they are sent.
    pub fields: Vec<(Bytes, Bytes)>,
    /// The body.
    pub body: Body,
    /// The length that Content-Length names when it is not the body's own (HEAD).
    pub length: Option<u64>,
    /// Whether another Accept-Encoding might have got another answer.
    pub varies: bool,
    /// Whether fields follow the body.
    pub trailers: bool,
    /// Whether the connection must close after this answer.
    pub close: bool,
    /// What is another server's about it; none for an answer of our own.
    pub foreign: Option<Box<Foreign>>,
    /// How it is delivered.
    pub delivery: Delivery,
}

/// When a body goes out in chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Chunks {
    /// Never: the settings say so, or the client knows none.
    Never,
    /// If nobody knows how long it will be.
    #[default]
    IfNeeded,
    /// In any case, since trailer fields follow it.
    Always,
}

/// How a response is to be delivered, as far as the settings decide it. The pipeline fills it in at its end; no handler does.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// The value of Server; empty for no such field.
    pub server: Bytes,
    /// When the body goes out in chunks.
    pub chunks: Chunks,
    /// Whether client, response and settings let the connection be kept. Its age and how many requests it brought are not looked at.
    pub may_keep: bool,
    /// Seconds that Keep-Alive promises, when it is sent.
    pub keep_alive_timeout: Option<u64>,
    /// How fast it goes out; `None` for full speed.
    pub pace: Option<Pace>,
}

/// What an answer of another server or of a program brings along beside what any answer has.
#[derive(Debug, Clone, Default)]
pub struct Foreign {
    /// The status it belongs to.
    pub status: u16,
    /// Whether the request's conditions (`If-None-Match` and its like) have been judged where it was made.
    pub is_judged: bool,
    /// The words behind the status.
    pub reason: Option<Bytes>,
    /// Date, where the conf passes it on.
    pub date: Option<Bytes>,
    /// Server, where the conf passes it on; empty where none is sent.
    pub server: Option<Bytes>,
    /// The other end, if the connection switches protocols behind this answer.
    pub switch: Option<Switch>,
}

impl Response {
    /// All fields that are known before the response is framed.
    pub fn fields_so_far(&self) -> Vec<(Bytes, Bytes)> {
        let mut fields = Vec::new();
        let mut push = |name: &'static str, value: Bytes| fields.push((Bytes::from_static(name.as_bytes()), value));
        if let ContentType::Is(kind) = &self.content_type {
            push("Content-Type", kind.clone());
        }
        if let Some(seconds) = self.last_modified {
            push("Last-Modified", super::date::imf(seconds).into());
        }
        if let Some(location) = &self.location {
            push("Location", location.clone());
        }
        if let Some(etag) = &self.etag {
            push("ETag", etag.clone());
        }
        fields.extend(self.fields.iter().cloned());
        fields
    }

    /// An answer with this status and nothing else.
    pub fn new(status: u16) -> Self {
        Response {
            status,
            content_type: ContentType::ByExtension,
            last_modified: None,
            etag: None,
            nanos: None,
            location: None,
            ranges: false,
            fields: Vec::new(),
            body: Body::empty(),
            length: None,
            varies: false,
            trailers: false,
            close: false,
            foreign: None,
            delivery: Delivery::default(),
        }
    }

    /// The values of the further fields of this name, in any case.
    pub fn fields_named<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r Bytes> {
        self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The first value of the further fields of this name.
    pub fn field<'r>(&'r self, name: &'r str) -> Option<&'r Bytes> {
        self.fields_named(name).next()
    }

    /// Gives it a body that is made of its own on the way out: its length is unknown, it has no ranges, and the tag vouches for
    /// the meaning only (RFC 9110 section 8.8.1).
    pub fn change(&mut self, body: Body) {
        self.body = body;
        self.length = None;
        self.ranges = false;
        self.weaken();
    }

    /// The finer form of its tag, where there is one.
    pub fn finer_tag(&self) -> Option<Bytes> {
        Some(etag::finer(self.etag.as_ref()?, self.nanos?))
    }

    /// Makes its tag a weak one.
    pub fn weaken(&mut self) {
        if let Some(tag) = self.etag.as_mut().filter(|tag| !tag.starts_with(b"W/")) {
            *tag = [b"W/", tag.as_ref()].concat().into();
        }
    }

    /// Takes fields away.
    pub fn remove(&mut self, names: &[&str]) {
        self.fields.retain(|(field, _)| !names.iter().any(|name| field.eq_ignore_ascii_case(name.as_bytes())));
    }

    /// Adds one field at the end.
    pub fn push(&mut self, name: &'static str, value: impl Into<Bytes>) {
        self.fields.push((Bytes::from_static(name.as_bytes()), value.into()));
    }
}
