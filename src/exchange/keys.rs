//! What clients' values are counted by in a zone. A key is as long as its value up to a bound and a digest of it beyond, so that
//! no value is too long to be counted and none takes a table's room from all the others.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// Longer values are counted by their digest.
const LONGEST: usize = 255;

/// The key for a value.
pub fn of(value: Cow<'_, [u8]>) -> Vec<u8> {
    if value.len() > LONGEST { Sha256::digest(&value).to_vec() } else { value.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_has_a_short_key_of_its_own() {
        let value = |len: usize, last: u8| of([vec![b'x'; len - 1], vec![last]].concat().into());
        assert_eq!(value(LONGEST, b'a'), [vec![b'x'; LONGEST - 1], vec![b'a']].concat());
        assert_eq!(value(LONGEST + 1, b'a').len(), 32);
        assert_eq!(value(100_000, b'a'), value(100_000, b'a'));
        assert_ne!(value(100_000, b'a'), value(100_000, b'b'));
    }
}
