//! The chunked transfer coding (RFC 9112 section 7.1), both ways. The decoder takes its input in
//! any pieces, keeps no byte of it, and bounds all that is not data.

use bytes::Bytes;

use super::fields::is_token_byte;

/// The chunk that ends a body, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The most bytes of extensions of one chunk.
const EXTENSION_LIMIT: u32 = 4 * 1024;
/// The most bytes of extensions of a whole body.
const EXTENSIONS_LIMIT: u32 = 64 * 1024;
/// The most bytes of all trailer lines.
const TRAILER_LIMIT: u32 = 8 * 1024;
/// Sixteen digits are all that 64 bits hold.
const DIGITS_LIMIT: u8 = 16;

/// Reads one chunked body.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    state: State,
    /// The size that is being read, then the bytes of the chunk that are still to come.
    left: u64,
    digits: u8,
    extension: u32,
    extensions: u32,
    trailer: u32,
}

/// What comes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    ExtensionStart,
    ExtensionName,
    ExtensionValueStart,
    ExtensionValue,
    Quoted,
    QuotedEscape,
    ExtensionEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// How far one call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that belong to the body; what follows is the next request.
    pub consumed: usize,
    /// Whether the body ended.
    pub done: bool,
}

/// Why a body cannot be read on. All of them are 400, and the connection closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkError {
    /// No hexadecimal digit where the size must begin, or something odd after it.
    BadSize,
    /// A size that no file offset holds.
    TooLarge,
    /// An extension without a name, or more bytes of them than allowed.
    BadExtension,
    /// The data are not followed by CR LF.
    BadEnd,
    /// A trailer that is no field line, or more of them than allowed.
    BadTrailer,
}

impl ChunkError {
    /// The status of the answer.
    pub fn status(self) -> u16 {
        400
    }

    /// The line for the error log, at level info.
    pub fn log(self) -> &'static str {
        "client sent invalid chunked body"
    }

    /// A stable code for the reason.
    pub fn reason(self) -> &'static str {
        match self {
            ChunkError::BadSize => "bad-chunk-size",
            ChunkError::TooLarge => "chunk-too-large",
            ChunkError::BadExtension => "bad-chunk-extension",
            ChunkError::BadEnd => "bad-chunk-end",
            ChunkError::BadTrailer => "bad-trailer",
        }
    }
}

impl Decoder {
    /// Reads on. Data go to `out` in pieces of the input; trailers are read past and dropped.
    pub fn decode(&mut self, input: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<Progress, ChunkError> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - at);
                out(&input[at..at + len]);
                at += len;
                self.left -= len as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
            } else {
                self.state = self.step(input[at])?;
                at += 1;
            }
        }
        Ok(Progress { consumed: at, done: self.state == State::Done })
    }

    /// The bytes of the current chunk that are still to come: a body that grows too large is known early.
    pub fn remaining(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    /// One byte that is not data. White space beside a size and lines that end in LF alone are refused: the next
    /// hop may read them otherwise (RFC 9112 section 7.1.1 and section 2.2).
    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        match self.state {
            State::Size => self.size(byte),
            State::SizeLf => match byte {
                b'\n' if self.left == 0 => Ok(State::TrailerStart),
                b'\n' => Ok(State::Data),
                _ => Err(ChunkError::BadSize),
            },
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => {
                (self.digits, self.extension) = (0, 0);
                Ok(State::Size)
            }
            State::DataCr | State::DataLf => Err(ChunkError::BadEnd),
            State::Data | State::Done => Ok(self.state),
            State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf | State::EndLf => {
                self.trailer(byte)
            }
            _ => self.extension(byte),
        }
    }

    fn size(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (byte as char).to_digit(16) {
            Some(_) if self.digits == DIGITS_LIMIT => Err(ChunkError::TooLarge),
            // Bodies are counted in signed offsets, so the highest bit stays free.
            Some(_) if self.left > (i64::MAX as u64) >> 4 => Err(ChunkError::TooLarge),
            Some(digit) => {
                self.digits += 1;
                self.left = self.left << 4 | u64::from(digit);
                Ok(State::Size)
            }
            None if self.digits == 0 => Err(ChunkError::BadSize),
            None => match byte {
                b'\r' => Ok(State::SizeLf),
                b';' => Ok(State::ExtensionStart),
                _ => Err(ChunkError::BadSize),
            },
        }
    }

    /// Extensions have no meaning here (RFC 9112 section 7.1.1: ignore what is not known) but must be some, and not hide a line end.
    fn extension(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.extension += 1;
        self.extensions += 1;
        if self.extension > EXTENSION_LIMIT || self.extensions > EXTENSIONS_LIMIT {
            return Err(ChunkError::BadExtension);
        }
        match (self.state, byte) {
            (State::ExtensionStart | State::ExtensionName, _) if is_token_byte(byte) => Ok(State::ExtensionName),
            (State::ExtensionName, b'=') => Ok(State::ExtensionValueStart),
            (State::ExtensionValueStart, b'"') => Ok(State::Quoted),
            (State::ExtensionValueStart | State::ExtensionValue, _) if is_token_byte(byte) => Ok(State::ExtensionValue),
            (State::Quoted, b'"') => Ok(State::ExtensionEnd),
            (State::Quoted, b'\\') => Ok(State::QuotedEscape),
            (State::Quoted | State::QuotedEscape, b'\t' | 32..=126 | 128..) => Ok(State::Quoted),
            (State::ExtensionName | State::ExtensionValue | State::ExtensionEnd, b';') => Ok(State::ExtensionStart),
            (State::ExtensionName | State::ExtensionValue | State::ExtensionEnd, b'\r') => Ok(State::SizeLf),
            _ => Err(ChunkError::BadExtension),
        }
    }

    fn trailer(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.trailer += 1;
        if self.trailer > TRAILER_LIMIT {
            return Err(ChunkError::BadTrailer);
        }
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => Ok(State::TrailerName),
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, b'\t' | 32..=126 | 128..) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Done),
            _ => Err(ChunkError::BadTrailer),
        }
    }
}

/// Appends the line before a chunk of `len` bytes. The data and CR LF follow; `len` is not zero, which ends a body.
pub fn encode_chunk_head(len: u64, out: &mut Vec<u8>) {
    let digits = (64 - (len | 1).leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(len >> (place * 4) & 15) as usize]);
    }
    out.extend_from_slice(b"\r\n");
}

/// The chunk that ends a body, and the fields behind it (RFC 9112 section 7.1.2). Names and values can be written as they are.
pub fn last_chunk(trailers: &[(Bytes, Bytes)]) -> Bytes {
    if trailers.is_empty() {
        return Bytes::from_static(LAST_CHUNK);
    }
    let mut out = b"0\r\n".to_vec();
    for (name, value) in trailers {
        for part in [name.as_ref(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` in pieces of `step` bytes; gives the data and the count of bytes that belong to the body.
    fn decode(text: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), ChunkError> {
        let (mut decoder, mut data, mut consumed, mut done) = (Decoder::default(), Vec::new(), 0, false);
        for piece in text.chunks(step) {
            let progress = decoder.decode(piece, &mut |bytes| data.extend_from_slice(bytes))?;
            consumed += progress.consumed;
            done = progress.done;
            if done {
                break;
            }
        }
        Ok((data, consumed, done))
    }

    #[test]
    fn bodies_in_pieces_of_any_size() {
        // Text, data, bytes of the next request, whether the body ends.
        let table: &[(&[u8], &[u8], usize, bool)] = &[
            (b"0\r\n\r\n", b"", 0, true),
            (b"0\r\n\r\nGET", b"", 3, true),
            (b"3\r\nabc\r\n0\r\n\r\nrest", b"abc", 4, true),
            (b"0003\r\nabc\r\nA\r\n0123456789\r\n000\r\n\r\n", b"abc0123456789", 0, true),
            (b"3;a=b;c=\"d e\\\";\"\r\nabc\r\n0;x\r\n\r\n", b"abc", 0, true),
            (b"1\r\n\n\r\n0\r\nA: b\r\nC:\r\nD: \t\xff\r\n\r\nX", b"\n", 1, true),
            (b"3\r\nab", b"ab", 0, false),
            (b"3", b"", 0, false),
            (b"0\r\n\r", b"", 0, false),
            (b"", b"", 0, false),
        ];
        for (text, data, rest, done) in table {
            for step in 1..=text.len().max(1) {
                let found = decode(text, step).unwrap_or_else(|e| panic!("{}: {e:?}", text.escape_ascii()));
                assert_eq!(found, (data.to_vec(), text.len() - rest, *done), "{} by {step}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn refused_in_pieces_of_any_size() {
        let table: &[(&[u8], ChunkError)] = &[
            (b"\r\n", ChunkError::BadSize),
            (b";a\r\n", ChunkError::BadSize),
            (b" 3\r\nabc", ChunkError::BadSize),
            (b"3 \r\nabc", ChunkError::BadSize),
            (b"3\t;a\r\nabc", ChunkError::BadSize),
            (b"3\nabc", ChunkError::BadSize),
            (b"3\rabc", ChunkError::BadSize),
            (b"+3\r\n", ChunkError::BadSize),
            (b"-3\r\n", ChunkError::BadSize),
            (b"0x3\r\n", ChunkError::BadSize),
            (b"3_0\r\n", ChunkError::BadSize),
            (b"g\r\n", ChunkError::BadSize),
            (b"3; a\r\n", ChunkError::BadExtension),
            (b"3;a\n", ChunkError::BadExtension),
            (b"3;a\0\r\n", ChunkError::BadExtension),
            (b"3;\"a\r\n", ChunkError::BadExtension),
            (b"3;\"a\"\r\n", ChunkError::BadExtension),
            (b"3;\r\n", ChunkError::BadExtension),
            (b"3;;a\r\n", ChunkError::BadExtension),
            (b"3;a;\r\n", ChunkError::BadExtension),
            (b"3;=a\r\n", ChunkError::BadExtension),
            (b"3;a=\r\n", ChunkError::BadExtension),
            (b"3;a=;b\r\n", ChunkError::BadExtension),
            (b"3;a=b=c\r\n", ChunkError::BadExtension),
            (b"3;a=\"b\"c\r\n", ChunkError::BadExtension),
            (b"3;a=b\"c\"\r\n", ChunkError::BadExtension),
            (b"3;a@b\r\n", ChunkError::BadExtension),
            (b"3;a=\"\\\n\"\r\n", ChunkError::BadExtension),
            (b"3;a\rb", ChunkError::BadSize),
            (b"3\r\nabcd", ChunkError::BadEnd),
            (b"3\r\nabc\n", ChunkError::BadEnd),
            (b"3\r\nabc\r\r", ChunkError::BadEnd),
            (b"8000000000000000\r\n", ChunkError::TooLarge),
            (b"ffffffffffffffff\r\n", ChunkError::TooLarge),
            (b"10000000000000000\r\n", ChunkError::TooLarge),
            (b"00000000000000001\r\n", ChunkError::TooLarge),
            (b"0\r\n\n", ChunkError::BadTrailer),
            (b"0\r\n A: b\r\n", ChunkError::BadTrailer),
            (b"0\r\nA\r\n", ChunkError::BadTrailer),
            (b"0\r\n: b\r\n", ChunkError::BadTrailer),
            (b"0\r\nA : b\r\n", ChunkError::BadTrailer),
            (b"0\r\nA: b\n", ChunkError::BadTrailer),
            (b"0\r\nA: \0\r\n", ChunkError::BadTrailer),
            (b"0\r\n\rX", ChunkError::BadTrailer),
        ];
        for (text, error) in table {
            for step in 1..=text.len() {
                assert_eq!(decode(text, step), Err(*error), "{} by {step}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn the_largest_size() {
        let mut decoder = Decoder::default();
        decoder.decode(b"7fffffffffffffff\r\na", &mut |_| {}).unwrap();
        assert_eq!(decoder.remaining(), i64::MAX as u64 - 1);
    }

    #[test]
    fn limits_one_below_and_one_above() {
        // The CR that ends the extension counts as one of its bytes.
        let extension = |len: usize| format!("1;{}\r\na\r\n", "x".repeat(len - 1)).into_bytes();
        assert!(decode(&extension(4096), 4096).is_ok());
        assert_eq!(decode(&extension(4097), 4096), Err(ChunkError::BadExtension));
        assert!(decode(&extension(4096).repeat(16), 999).is_ok());
        assert_eq!(decode(&extension(4096).repeat(17), 999), Err(ChunkError::BadExtension));
        let trailer = |len: usize| format!("0\r\nA:{}\r\n\r\n", "x".repeat(len - 6)).into_bytes();
        assert!(decode(&trailer(8192), 100).unwrap().2);
        assert_eq!(decode(&trailer(8193), 100), Err(ChunkError::BadTrailer));
    }

    #[test]
    fn what_is_written_can_be_read() {
        for len in [1, 9, 10, 15, 16, 255, 256, 4096, 65535, 65536] {
            let mut text = Vec::new();
            encode_chunk_head(len, &mut text);
            assert_eq!(text, format!("{len:x}\r\n").into_bytes());
        }
        let mut text = Vec::new();
        encode_chunk_head(u64::MAX, &mut text);
        assert_eq!(text, b"ffffffffffffffff\r\n");
    }
}
