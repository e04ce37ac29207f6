//! Numbers and byte strings one behind the other, to be handed to another process of this program. Knows no
//! meaning of them; what is cut short or too long is refused, never guessed.

/// Writes.
#[derive(Debug, Default)]
pub struct Packer {
    bytes: Vec<u8>,
}

impl Packer {
    /// A number.
    pub fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// A byte string behind its length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// A byte string or none.
    pub fn optional(&mut self, bytes: Option<&[u8]>) {
        self.number(u64::from(bytes.is_some()));
        self.bytes(bytes.unwrap_or_default());
    }

    /// All that was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads in the order of writing; none where the bytes do not fit.
#[derive(Debug)]
pub struct Unpacker<'a> {
    rest: &'a [u8],
}

impl<'a> Unpacker<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Unpacker { rest: bytes }
    }

    /// A number.
    pub fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*number))
    }

    /// A number that counts things which take a byte at least.
    pub fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.rest.len()).then_some(count)
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    /// A byte string or none; the outer one is none where the bytes do not fit.
    pub fn optional(&mut self) -> Option<Option<&'a [u8]>> {
        let there = self.number()?;
        let bytes = self.bytes()?;
        Some((there != 0).then_some(bytes))
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_out_and_what_is_cut_short_does_not() {
        let mut packer = Packer::default();
        packer.number(7);
        packer.bytes(b"seven");
        packer.optional(None);
        packer.optional(Some(b""));
        let packed = packer.finish();
        let read = |bytes: &[u8]| {
            let mut unpacker = Unpacker::new(bytes);
            let number = unpacker.number()?;
            let text = unpacker.bytes()?.to_vec();
            let (none, some) = (unpacker.optional()?.is_none(), unpacker.optional()?.is_some());
            unpacker.is_empty().then_some((number, text, none, some))
        };
        assert_eq!(read(&packed), Some((7, b"seven".to_vec(), true, true)));
        for end in 0..packed.len() {
            assert_eq!(read(&packed[..end]), None, "{end} bytes");
        }
        assert_eq!(Unpacker::new(&u64::MAX.to_le_bytes()).bytes(), None);
        assert_eq!(Unpacker::new(&u64::MAX.to_le_bytes()).count(), None);
    }
}
