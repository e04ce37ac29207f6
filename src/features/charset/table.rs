//! `charset_map`: which byte of one charset is which character of another. Reads the block, and recodes bodies by it as they pass.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::conf::args::{Args, Fault};
use crate::conf::ast::{Node, Word};
use crate::http::transform::Transform;

/// What stands for a byte that has no character in the other charset.
const UNKNOWN: u8 = b'?';

/// Two charsets and how they map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Their names, as the conf writes them; the second may be UTF-8.
    pub names: [Vec<u8>; 2],
    map: Map,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Map {
    /// Byte to byte, there and back.
    Bytes(Box<[u8; 256]>, Box<[u8; 256]>),
    /// Byte to the bytes of a character, and character to byte.
    Characters(Vec<Vec<u8>>, HashMap<char, u8>),
}

impl Table {
    /// Reads a `charset_map` block.
    pub fn read(args: &mut Args<'_>) -> Result<Table, Fault> {
        let names = [args.word(0).text.clone(), args.word(1).text.clone()];
        if names[0].eq_ignore_ascii_case(&names[1]) {
            return Err(Fault::at(args.word(1), "maps a charset to itself"));
        }
        if is_utf8(&names[0]) {
            return Err(Fault::at(args.word(0), "begins with `utf-8`").help("write the other charset first"));
        }
        let lines = args.node.block.as_deref().unwrap_or_default();
        let map = if is_utf8(&names[1]) { read_characters(lines)? } else { read_bytes(lines)? };
        Ok(Table { names, map })
    }

    /// The change from one charset to another, if this table holds it.
    pub fn recoder(self: &Arc<Self>, from: &[u8], to: &[u8]) -> Option<Recoder> {
        let is = |n: usize, name: &[u8]| self.names[n].eq_ignore_ascii_case(name);
        let forward = is(0, from) && is(1, to);
        (forward || (is(1, from) && is(0, to))).then(|| Recoder { table: self.clone(), forward, held: Vec::new() })
    }
}

/// Whether a name is that of UTF-8.
fn is_utf8(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"utf-8")
}

/// The two words of a line.
fn pair(line: &Node) -> Result<(&Word, &Word), Fault> {
    match (line.args.as_slice(), &line.block) {
        ([to], None) => Ok((&line.name, to)),
        _ => Err(Fault::at(&line.name, "has a line that is no pair").help("a line is two codes: `C0 E1;`")),
    }
}

/// The byte that two hexadecimal digits name.
fn byte(word: &Word) -> Result<u8, Fault> {
    let digits = std::str::from_utf8(&word.text).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
    let number = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    number.ok_or_else(|| Fault::at(word, format!("has `{}` where a code from 00 to FF belongs", word.show())))
}

fn read_bytes(lines: &[Node]) -> Result<Map, Fault> {
    let plain: Box<[u8; 256]> = Box::new(std::array::from_fn(|i| if i < 128 { i as u8 } else { UNKNOWN }));
    let (mut there, mut back) = (plain.clone(), plain);
    for line in lines {
        let (from, to) = pair(line)?;
        let (from, to) = (byte(from)?, byte(to)?);
        there[usize::from(from)] = to;
        back[usize::from(to)] = from;
    }
    Ok(Map::Bytes(there, back))
}

fn read_characters(lines: &[Node]) -> Result<Map, Fault> {
    let mut there: Vec<Vec<u8>> = (0..=255u8).map(|i| vec![if i < 128 { i } else { UNKNOWN }]).collect();
    let mut back = HashMap::new();
    for line in lines {
        let (from, to) = pair(line)?;
        let code = byte(from)?;
        let bad = || Fault::at(to, format!("has `{}` where the bytes of a UTF-8 character belong", to.show()));
        let digits = std::str::from_utf8(&to.text).ok().filter(|text| text.len() % 2 == 0 && text.is_ascii());
        let bytes = (0..digits.ok_or_else(bad)?.len()).step_by(2);
        let bytes: Option<Vec<u8>> =
            bytes.map(|i| u8::from_str_radix(&digits.unwrap_or_default()[i..i + 2], 16).ok()).collect();
        let bytes = bytes.ok_or_else(bad)?;
        let mut characters = std::str::from_utf8(&bytes).map_err(|_| bad())?.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => drop(back.insert(character, code)),
            _ => return Err(bad()),
        }
        there[usize::from(code)] = bytes;
    }
    Ok(Map::Characters(there, back))
}

/// The change of one answer.
pub struct Recoder {
    table: Arc<Table>,
    forward: bool,
    /// The first bytes of a character whose others are still to come.
    held: Vec<u8>,
}

impl Recoder {
    /// Whether every byte becomes one byte.
    pub fn keeps_length(&self) -> bool {
        matches!(self.table.map, Map::Bytes(..))
    }
}

impl Transform for Recoder {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        match (&self.table.map, self.forward) {
            (Map::Bytes(there, _), true) => out.extend(piece.iter().map(|b| there[usize::from(*b)])),
            (Map::Bytes(_, back), false) => out.extend(piece.iter().map(|b| back[usize::from(*b)])),
            (Map::Characters(there, _), true) => {
                piece.iter().for_each(|b| out.extend_from_slice(&there[usize::from(*b)]));
            }
            (Map::Characters(_, back), false) => {
                self.held.extend_from_slice(piece);
                let rest = from_utf8(&self.held, back, out);
                self.held.drain(..self.held.len() - rest);
            }
        }
        Ok(piece.len())
    }

    /// Half a character waits for its other half.
    fn flush(&mut self, _: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !std::mem::take(&mut self.held).is_empty() {
            out.push(UNKNOWN);
        }
        Ok(())
    }
}

/// Recodes from UTF-8, as far as its characters are whole; how many bytes are left. A character that the charset does not have
/// becomes a reference, as in HTML; what is no UTF-8 becomes a sign each.
fn from_utf8(mut bytes: &[u8], back: &HashMap<char, u8>, out: &mut Vec<u8>) -> usize {
    loop {
        let (valid, error) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, None),
            // What came before the error is valid, so this never fails.
            Err(error) => (std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(), Some(error)),
        };
        for character in valid.chars() {
            match back.get(&character) {
                Some(code) => out.push(*code),
                None if character.is_ascii() => out.push(character as u8),
                None => out.extend_from_slice(format!("&#{};", u32::from(character)).as_bytes()),
            }
        }
        bytes = &bytes[valid.len()..];
        match error.map(|error| error.error_len()) {
            None => return 0,
            Some(None) => return bytes.len(),
            Some(Some(n)) => {
                out.push(UNKNOWN);
                bytes = &bytes[n..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(map: Map) -> Arc<Table> {
        Arc::new(Table { names: [b"a".to_vec(), b"utf-8".to_vec()], map })
    }

    fn recode(table: &Arc<Table>, from: &str, to: &str, text: &[u8], size: usize) -> Vec<u8> {
        let (mut recoder, mut out) = (table.recoder(from.as_bytes(), to.as_bytes()).unwrap(), Vec::new());
        for piece in text.chunks(size) {
            assert_eq!(recoder.push(piece, &mut out).unwrap(), piece.len());
            recoder.flush(&mut out).unwrap();
        }
        recoder.finish(&mut out).unwrap();
        out
    }

    #[test]
    fn characters_break_anywhere() {
        let mut there: Vec<Vec<u8>> = (0..=255u8).map(|i| vec![if i < 128 { i } else { UNKNOWN }]).collect();
        there[0xd0] = "П".into();
        let table = table(Map::Characters(there, HashMap::from([('П', 0xd0)])));
        for (text, want) in [
            ("aПb".as_bytes(), &b"a\xd0b"[..]),
            ("€ 😀".as_bytes(), b"&#8364; &#128512;"),
            (b"\xff \xd0 x\xd0", b"? ? x?"),
            (b"", b""),
        ] {
            for size in 1..=text.len().max(1) {
                assert_eq!(recode(&table, "UTF-8", "a", text, size), want, "{text:?} by {size}");
            }
        }
        assert_eq!(recode(&table, "a", "utf-8", b"x\xd0\xd1", 2), "xП?".as_bytes());
        assert!(table.recoder(b"a", b"b").is_none() && table.recoder(b"a", b"a").is_none());
    }

    #[test]
    fn bytes_both_ways() {
        let (mut there, mut back) = (Box::new([UNKNOWN; 256]), Box::new([UNKNOWN; 256]));
        (there[0xc0], back[0xe1]) = (0xe1, 0xc0);
        let table = table(Map::Bytes(there, back));
        assert_eq!(recode(&table, "a", "utf-8", b"\xc0\xc1", 1), b"\xe1?");
        assert_eq!(recode(&table, "utf-8", "a", b"\xe1\xe2", 1), b"\xc0?");
        assert!(table.recoder(b"a", b"utf-8").unwrap().keeps_length());
    }
}
