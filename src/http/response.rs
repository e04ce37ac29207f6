//! An answer as a value: status, fields, body. What frames it on the wire is decided
//! elsewhere (`framing`), so no handler names Content-Length or Connection.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

/// One piece of a body, in the order it is sent.
#[derive(Debug, Clone)]
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
}

impl Chunk {
    /// The number of bytes this piece still has.
    pub fn len(&self) -> u64 {
        match self {
            Chunk::Bytes(b) => b.len() as u64,
            Chunk::File { len, .. } => *len,
        }
    }

    /// Whether nothing is left of it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

    /// The whole length in bytes.
    pub fn len(&self) -> u64 {
        self.chunks.iter().map(Chunk::len).sum()
    }

    /// Whether there is no byte in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
    /// Whether the connection must close after this answer.
    pub close: bool,
}

impl Response {
    /// An answer with this status and nothing else.
    pub fn new(status: u16) -> Self {
        Response {
            status,
            content_type: ContentType::ByExtension,
            last_modified: None,
            etag: None,
            location: None,
            ranges: false,
            fields: Vec::new(),
            body: Body::empty(),
            length: None,
            close: false,
        }
    }

    /// Adds one field at the end.
    pub fn push(&mut self, name: &'static str, value: impl Into<Bytes>) {
        self.fields.push((Bytes::from_static(name.as_bytes()), value.into()));
    }
}
