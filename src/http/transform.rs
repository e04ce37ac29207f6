//! A body that is changed on its way out: compressed, recoded, searched. It stays a body, made while it is sent, in constant
//! memory and by bounded shares, so that the largest file holds nobody up. Knows no socket and no setting.

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use super::response::{Body, Chunk, Stream};

/// Bytes that are read at a time.
const PIECE: usize = 32 << 10;
/// Bytes that are changed before others get their turn.
const SHARE: usize = 1 << 20;
/// Bytes that one call should add at most before it comes back.
pub const ENOUGH: usize = 64 << 10;

/// A change that is made to bytes as they pass.
pub trait Transform: Send {
    /// Takes bytes from the front of a piece that is not empty and adds what they become; how many it took, at least one. It
    /// comes back early once it has added `ENOUGH`, so that little can never become a flood.
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<usize>;

    /// Adds what is held back and can be sent already: nothing more comes for a while.
    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()>;

    /// Adds what is held back: nothing more comes at all.
    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()>;
}

/// How many bytes went into a change and how many came out.
#[derive(Debug, Default)]
pub struct Tally {
    /// Bytes before it.
    pub before: AtomicU64,
    /// Bytes after it.
    pub after: AtomicU64,
}

/// The body that another becomes. Its length is not known.
pub fn through(body: Body, transform: impl Transform + 'static, tally: Option<Arc<Tally>>) -> Body {
    let passage = Passage {
        source: body,
        transform,
        tally: tally.unwrap_or_default(),
        piece: Bytes::new(),
        ready: Vec::new(),
        sent: 0,
        turn: 0,
        is_over: false,
    };
    Body::stream(Arc::new(Mutex::new(passage)))
}

/// A body on its way through a change.
struct Passage<T> {
    source: Body,
    transform: T,
    tally: Arc<Tally>,
    /// What was read and not taken yet.
    piece: Bytes,
    /// What came out, of which so many bytes were sent.
    ready: Vec<u8>,
    sent: usize,
    /// Bytes read since others had a turn.
    turn: usize,
    is_over: bool,
}

impl<T: Transform> Passage<T> {
    /// Reads some bytes of the source; none at its end.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match self.source.chunks.front_mut() {
                None => return Ok(None),
                Some(Chunk::Bytes(bytes)) => {
                    let piece = bytes.split_to(bytes.len().min(PIECE));
                    if bytes.is_empty() {
                        self.source.chunks.pop_front();
                    }
                    if !piece.is_empty() {
                        return Ok(Some(piece));
                    }
                }
                Some(Chunk::File { len: 0, .. }) => drop(self.source.chunks.pop_front()),
                Some(Chunk::File { file, offset, len }) => {
                    let mut piece = vec![0; (*len).min(PIECE as u64) as usize];
                    let n = file.read_at(&mut piece, *offset)?;
                    if n == 0 {
                        // The file shrank: what was announced cannot be sent.
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    piece.truncate(n);
                    (*offset, *len) = (*offset + n as u64, *len - n as u64);
                    return Ok(Some(piece.into()));
                }
                Some(Chunk::Stream(stream)) => {
                    let mut piece = vec![0; PIECE];
                    let n = stream.lock().unwrap_or_else(PoisonError::into_inner).read(&mut piece)?;
                    if n > 0 {
                        piece.truncate(n);
                        return Ok(Some(piece.into()));
                    }
                    self.source.chunks.pop_front();
                }
            }
        }
    }

    /// Makes some bytes ready. At the end there are none.
    fn advance(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.sent = 0;
        while self.ready.is_empty() && !self.is_over {
            if self.piece.is_empty() {
                if self.turn >= SHARE {
                    self.turn = 0;
                    return Err(ErrorKind::Interrupted.into());
                }
                match self.next() {
                    Ok(Some(piece)) => {
                        self.turn += piece.len();
                        self.tally.before.fetch_add(piece.len() as u64, Relaxed);
                        self.piece = piece;
                    }
                    Ok(None) => {
                        self.is_over = true;
                        self.transform.finish(&mut self.ready)?;
                        break;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.turn = 0;
                        self.transform.flush(&mut self.ready)?;
                        if self.ready.is_empty() {
                            return Err(error);
                        }
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            let n = self.transform.push(&self.piece, &mut self.ready)?;
            self.piece = self.piece.slice(n.min(self.piece.len())..);
        }
        self.tally.after.fetch_add(self.ready.len() as u64, Relaxed);
        Ok(())
    }
}

impl<T: Transform> Stream for Passage<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.sent == self.ready.len() {
            self.advance()?;
        }
        let n = (self.ready.len() - self.sent).min(into.len());
        into[..n].copy_from_slice(&self.ready[self.sent..self.sent + n]);
        self.sent += n;
        Ok(n)
    }

    fn gather(&mut self) {
        if let Some(Chunk::Stream(stream)) = self.source.chunks.back() {
            stream.lock().unwrap_or_else(PoisonError::into_inner).gather();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.source.chunks.front() {
            Some(Chunk::Stream(stream)) => stream.lock().unwrap_or_else(PoisonError::into_inner).deadline(),
            _ => None,
        }
    }

    fn limit(&self) -> Option<Instant> {
        match self.source.chunks.back() {
            Some(Chunk::Stream(stream)) => stream.lock().unwrap_or_else(PoisonError::into_inner).limit(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Doubles every byte and holds the last one back.
    #[derive(Default)]
    struct Twice(Option<u8>);

    impl Transform for Twice {
        fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
            self.flush(out)?;
            self.0 = Some(piece[0]);
            Ok(1)
        }

        fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
            self.0.take().into_iter().for_each(|byte| out.extend([byte, byte]));
            Ok(())
        }

        fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
            self.flush(out)?;
            out.push(b'.');
            Ok(())
        }
    }

    /// Gives these answers in turn: bytes, or an error.
    struct Script(VecDeque<Result<&'static [u8], ErrorKind>>);

    impl Stream for Script {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.pop_front() {
                None => Ok(0),
                Some(Ok(bytes)) => {
                    into[..bytes.len()].copy_from_slice(bytes);
                    Ok(bytes.len())
                }
                Some(Err(kind)) => Err(kind.into()),
            }
        }

        fn deadline(&self) -> Option<Instant> {
            None
        }
    }

    fn stream(body: &Body) -> Arc<Mutex<dyn Stream>> {
        match body.chunks.front() {
            Some(Chunk::Stream(stream)) => stream.clone(),
            other => panic!("{other:?} is no stream"),
        }
    }

    #[test]
    fn all_kinds_of_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"0123").unwrap();
        let file = Arc::new(std::fs::File::open(&path).unwrap());
        let mut body = Body::bytes("ab");
        body.chunks.push_back(Chunk::File { file: file.clone(), offset: 1, len: 2 });
        let tally = Arc::new(Tally::default());
        let out = stream(&through(body, Twice::default(), Some(tally.clone())));
        let (mut all, mut into) = (Vec::new(), [0; 3]);
        while let n @ 1.. = out.lock().unwrap().read(&mut into).unwrap() {
            all.extend_from_slice(&into[..n]);
        }
        assert_eq!(all, b"aabb1122.");
        assert_eq!((tally.before.load(Relaxed), tally.after.load(Relaxed)), (4, 9));
        let body = Body { chunks: [Chunk::File { file, offset: 2, len: 9 }].into() };
        let out = stream(&through(body, Twice::default(), None));
        let mut last = Ok(1);
        while let Ok(1..) = last {
            last = out.lock().unwrap().read(&mut into);
        }
        assert_eq!(last.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_held_back_goes_out_before_a_wait() {
        let script = Script([Ok(&b"a"[..]), Err(ErrorKind::WouldBlock), Err(ErrorKind::WouldBlock), Ok(b"b")].into());
        let out = stream(&through(Body::stream(Arc::new(Mutex::new(script))), Twice::default(), None));
        let read = || {
            let mut into = [0; 9];
            let n = out.lock().unwrap().read(&mut into).map_err(|error| error.kind())?;
            Ok::<_, ErrorKind>(into[..n].to_vec())
        };
        for want in [Ok(&b"aa"[..]), Err(ErrorKind::WouldBlock), Ok(b"bb."), Ok(b"")] {
            assert_eq!(read(), want.map(<[u8]>::to_vec));
        }
    }

    #[test]
    fn others_get_their_turn() {
        let out = stream(&through(Body::bytes(vec![b'x'; 3 * SHARE]), Hole, None));
        let mut turns = 0;
        loop {
            match out.lock().unwrap().read(&mut [0; 9]) {
                Ok(0) => break,
                Ok(n) => panic!("{n} bytes out of nothing"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted),
            }
            turns += 1;
        }
        assert_eq!(turns, 3);
    }

    /// Lets nothing through.
    struct Hole;

    impl Transform for Hole {
        fn push(&mut self, piece: &[u8], _: &mut Vec<u8>) -> io::Result<usize> {
            Ok(piece.len())
        }

        fn flush(&mut self, _: &mut Vec<u8>) -> io::Result<()> {
            Ok(())
        }

        fn finish(&mut self, _: &mut Vec<u8>) -> io::Result<()> {
            Ok(())
        }
    }
}
