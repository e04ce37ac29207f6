//! gzip (RFC 1952) as a change of a body on its way out. What came so far goes out whole before a wait, so that events in a
//! stream are not held back.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::http::transform::Transform;

/// The compressor of one answer.
pub struct Coder {
    encoder: GzEncoder<Vec<u8>>,
    /// Whether something came since the last flush: each costs bytes of its own.
    is_dirty: bool,
}

impl Coder {
    /// One at this level, 1 to 9.
    pub fn new(level: u32) -> Self {
        Coder { encoder: GzEncoder::new(Vec::new(), Compression::new(level)), is_dirty: false }
    }

    fn hand_over(&mut self, out: &mut Vec<u8>) {
        out.append(self.encoder.get_mut());
    }
}

impl Transform for Coder {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        self.encoder.write_all(piece)?;
        self.is_dirty = true;
        self.hand_over(out);
        Ok(piece.len())
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if std::mem::take(&mut self.is_dirty) {
            self.encoder.flush()?;
            self.hand_over(out);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.encoder.try_finish()?;
        self.hand_over(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_flushed_can_be_read() {
        let mut coder = Coder::new(1);
        let (mut out, mut read) = (Vec::new(), Vec::new());
        coder.push(b"event: one\n", &mut out).unwrap();
        coder.flush(&mut out).unwrap();
        let flushed = out.len();
        coder.flush(&mut out).unwrap();
        assert_eq!(out.len(), flushed, "nothing came, so nothing is flushed");
        // The reader complains of the missing end, but has the first event by then.
        let _ = flate2::read::GzDecoder::new(&out[..]).read_to_end(&mut read);
        assert_eq!(read, b"event: one\n");
        coder.push(b"two", &mut out).unwrap();
        coder.finish(&mut out).unwrap();
        read.clear();
        flate2::read::GzDecoder::new(&out[..]).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"event: one\ntwo");
    }
}
