//! The uwsgi protocol on the wire: a packet of names and values, behind it the body as it is; the answer is HTTP's or
//! CGI's. Pure.

use super::params::Pairs;

/// The most bytes of a packet: its length is two bytes.
pub const LONGEST: usize = u16::MAX as usize;

/// The variables do not fit into one packet: so many bytes they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong(pub usize);

/// Writes the head of a request with its two modifiers; `string` ends the packet, as what the modifier asks for.
pub fn head(out: &mut Vec<u8>, modifiers: (u8, u8), pairs: &Pairs<'_>, string: &[u8]) -> Result<(), TooLong> {
    let len = pairs.iter().map(|(name, value)| 4 + name.len() + value.len()).sum::<usize>() + string.len();
    let short = u16::try_from(len).map_err(|_| TooLong(len))?;
    let [low, high] = short.to_le_bytes();
    out.extend_from_slice(&[modifiers.0, low, high, modifiers.1]);
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        // No text is longer than all of them together.
        out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        out.extend_from_slice(text);
    }
    out.extend_from_slice(string);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head() {
        let pairs = vec![(b"A"[..].into(), b"1"[..].into()), (b"E"[..].into(), b""[..].into())];
        let mut out = Vec::new();
        assert_eq!(head(&mut out, (9, 3), &pairs, b"abc"), Ok(()));
        assert_eq!(out, b"\x09\x0e\0\x03\x01\0A\x01\x001\x01\0E\0\0abc");
    }

    #[test]
    fn a_packet_has_a_longest() {
        let with = |n: usize| vec![(b"A"[..].into(), vec![b'x'; n - 5].into())];
        let mut out = Vec::new();
        assert_eq!(head(&mut out, (0, 0), &with(LONGEST), b""), Ok(()));
        assert_eq!(out.len(), LONGEST + 4);
        assert_eq!(head(&mut out, (0, 0), &with(LONGEST + 1), b""), Err(TooLong(LONGEST + 1)));
    }
}
