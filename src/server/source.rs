//! Where the body of a response comes from: pieces that lie ready, and at their end perhaps a stream that makes more. Knows nothing of
//! how they go out.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;

use crate::http::response::{Chunk, Stream};

/// What is left of a body.
#[derive(Debug, Default)]
pub struct Source {
    chunks: VecDeque<Chunk>,
    /// Whether the last piece was given.
    is_over: bool,
}

/// What a source has.
pub enum Next {
    /// A piece, and whether it is the last.
    Piece(Chunk, bool),
    /// Nothing now; the stream is waited for.
    Starved,
    /// Something, but others get their turn first.
    Yield,
    /// Nothing any more, though more was promised.
    Broken,
    /// Nothing: all of it was given.
    Over,
}

impl Source {
    /// A body of these pieces, a stream only at their end.
    pub fn new(chunks: VecDeque<Chunk>) -> Self {
        Source { chunks, is_over: false }
    }

    /// Whether the last piece was given.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next piece of those that lie ready, and whether it is the last. The last of a body without any is empty.
    pub fn ready(&mut self) -> Option<(Chunk, bool)> {
        self.skip_empty();
        if self.is_over || matches!(self.chunks.front(), Some(Chunk::Stream(_))) {
            return None;
        }
        let piece = self.chunks.pop_front().unwrap_or_else(|| Chunk::Bytes(Bytes::new()));
        self.skip_empty();
        self.is_over = self.chunks.is_empty();
        Some((piece, self.is_over))
    }

    /// The next piece, made by the stream if none lies ready.
    pub fn next(&mut self) -> Next {
        if let Some((piece, last)) = self.ready() {
            return Next::Piece(piece, last);
        }
        let Some(Chunk::Stream(stream)) = self.chunks.front() else { return Next::Over };
        match lock(stream).next() {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => return Next::Piece(Chunk::Bytes(bytes), false),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Next::Starved,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Next::Yield,
            Err(_) => return Next::Broken,
        }
        // The stream is always the last.
        self.chunks.pop_front();
        self.ready().map_or(Next::Over, |(piece, last)| Next::Piece(piece, last))
    }

    /// When the stream wants to be asked again.
    pub fn deadline(&self) -> Option<Instant> {
        self.stream().and_then(|stream| lock(stream).deadline())
    }

    /// When it must be looked after though the client takes nothing.
    pub fn limit(&self) -> Option<Instant> {
        self.stream().and_then(|stream| lock(stream).limit())
    }

    /// Has it gather what comes while the client takes nothing.
    pub fn gather(&self) {
        if let Some(stream) = self.stream() {
            lock(stream).gather();
        }
    }

    fn stream(&self) -> Option<&Mutex<dyn Stream>> {
        match self.chunks.back() {
            Some(Chunk::Stream(stream)) => Some(&**stream),
            _ => None,
        }
    }

    fn skip_empty(&mut self) {
        while self.chunks.front().is_some_and(Chunk::is_empty) {
            self.chunks.pop_front();
        }
    }
}

fn lock<'s>(stream: &'s Mutex<dyn Stream + 'static>) -> MutexGuard<'s, dyn Stream + 'static> {
    // A stream that panicked is asked again and breaks off by itself at worst.
    stream.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;

    fn bytes(text: &'static str) -> Chunk {
        Chunk::Bytes(Bytes::from_static(text.as_bytes()))
    }

    /// The pieces until nothing more comes, the last one marked, and what came then.
    fn all(source: &mut Source) -> (Vec<String>, &'static str) {
        let mut pieces = Vec::new();
        loop {
            match source.next() {
                Next::Piece(Chunk::Bytes(bytes), last) => {
                    let mark = if last { "." } else { "" };
                    pieces.push(format!("{}{mark}", String::from_utf8_lossy(&bytes)));
                }
                Next::Piece(..) => unreachable!("no other kind is in this test"),
                Next::Starved => return (pieces, "starved"),
                Next::Yield => return (pieces, "yield"),
                Next::Broken => return (pieces, "broken"),
                Next::Over => return (pieces, "over"),
            }
        }
    }

    #[test]
    fn each_body_has_one_last_piece() {
        for (chunks, want) in [
            (vec![], vec!["."]),
            (vec![bytes("")], vec!["."]),
            (vec![bytes("a")], vec!["a."]),
            (vec![bytes(""), bytes("a"), bytes("")], vec!["a."]),
            (vec![bytes("a"), bytes("b")], vec!["a", "b."]),
        ] {
            let mut source = Source::new(chunks.into());
            assert_eq!(all(&mut source), (want.into_iter().map(String::from).collect(), "over"));
            assert!(source.is_over() && source.ready().is_none());
        }
    }

    /// Gives what stands in it, the last first.
    #[derive(Debug)]
    struct Made(Vec<io::Result<Bytes>>);

    impl Stream for Made {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            unreachable!("it has memory of its own")
        }

        fn next(&mut self) -> io::Result<Bytes> {
            self.0.pop().unwrap_or_else(|| Ok(Bytes::new()))
        }

        fn deadline(&self) -> Option<Instant> {
            None
        }
    }

    #[test]
    fn a_stream_comes_after_what_lies_ready() {
        let made = |kind: ErrorKind| {
            let results = vec![Ok(Bytes::from_static(b"c")), Err(kind.into()), Ok(Bytes::from_static(b"b"))];
            Source::new(vec![bytes("a"), Chunk::Stream(Arc::new(Mutex::new(Made(results))))].into())
        };
        for (kind, how) in [
            (ErrorKind::WouldBlock, "starved"),
            (ErrorKind::Interrupted, "yield"),
            (ErrorKind::UnexpectedEof, "broken"),
        ] {
            let mut source = made(kind);
            assert_eq!(all(&mut source), (vec!["a".into(), "b".into()], how));
            assert!(!source.is_over());
            assert_eq!(all(&mut source), (vec!["c".into(), ".".into()], "over"));
            assert!(source.is_over());
        }
    }
}
