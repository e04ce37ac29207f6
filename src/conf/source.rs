//! The conf files that were read, and places in them. Every word of a conf knows its place.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

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
    /// Where the lines of each file begin, made when first asked for.
    lines: OnceLock<Vec<Vec<u32>>>,
}

impl Sources {
    /// Adds a source and returns its index.
    pub fn add(&mut self, source: Source) -> u32 {
        self.files.push(source);
        self.lines = OnceLock::new();
        (self.files.len() - 1) as u32
    }

    /// The line and the column (both from 1, the column in characters) where a span starts.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let Some(source) = self.files.get(span.file as usize) else { return (1, 1) };
        let upto = &source.text[..(span.start as usize).min(source.text.len())];
        let line = self.line(span);
        let start = upto.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        (line, String::from_utf8_lossy(&upto[start..]).chars().count() + 1)
    }

    /// The line (from 1) where a span starts.
    fn line(&self, span: Span) -> usize {
        let lines = self.lines.get_or_init(|| {
            let ends = |source: &Source| {
                let at = source.text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
                at.map(|(at, _)| at as u32).collect()
            };
            self.files.iter().map(ends).collect()
        });
        lines.get(span.file as usize).map_or(1, |ends| ends.partition_point(|end| *end < span.start) + 1)
    }

    /// The file's own name and the line, as `site.conf:31`; none for a place that is in no file.
    pub fn short_place(&self, span: Span) -> Option<String> {
        let name = self.files.get(span.file as usize)?.name.file_name()?;
        Some(format!("{}:{}", name.display(), self.line(span)))
    }

    /// The `include` that brought in the file of a place, the one that brought in that one, and so on.
    pub fn includes(&self, span: Option<Span>) -> impl Iterator<Item = Span> {
        let from = |span: &Span| self.files.get(span.file as usize)?.included_from;
        // Files are numbered in the order they were read, so a chain never comes back.
        std::iter::successors(span.as_ref().and_then(from), from)
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
