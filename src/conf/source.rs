//! The conf files that were read, and places in them. Every word of a conf knows its place.

use std::path::PathBuf;
use std::sync::Arc;

/// A range of bytes in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Which source, an index into [`Sources`].
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// One file (or the text of `-g`) as it was read.
#[derive(Debug, Clone)]
pub struct Source {
    /// The name that messages show.
    pub name: PathBuf,
    /// Its bytes, unchanged.
    pub text: Arc<[u8]>,
    /// The directive `include` that brought it in.
    pub included_from: Option<Span>,
}

/// All sources of one load, in the order they were read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The files; a span's `file` is an index into this.
    pub files: Vec<Source>,
}

impl Sources {
    /// Adds a source and returns its index.
    pub fn add(&mut self, source: Source) -> u32 {
        self.files.push(source);
        (self.files.len() - 1) as u32
    }

    /// The line and the column (both from 1, the column in characters) where a span starts.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let Some(source) = self.files.get(span.file as usize) else { return (1, 1) };
        let upto = &source.text[..(span.start as usize).min(source.text.len())];
        let line = upto.iter().filter(|&&b| b == b'\n').count() + 1;
        let start = upto.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        (line, String::from_utf8_lossy(&upto[start..]).chars().count() + 1)
    }

    /// `name:line` of a span, as nginx's messages write it.
    pub fn place(&self, span: Span) -> String {
        let (line, _) = self.position(span);
        match self.files.get(span.file as usize) {
            Some(source) => format!("{}:{line}", source.name.display()),
            None => format!("?:{line}"),
        }
    }
}
