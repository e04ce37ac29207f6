//! What a client holds: an id of 128 random bits, with a signature that binds it to its zone. The store never sees
//! the id, only its hash, so that whoever reads the store holds no session.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::{digest, hmac};

/// How a store knows a session: the hash of its id.
pub type Key = [u8; 32];

/// Bytes of an id.
const ID: usize = 16;
/// Bytes of a signature.
const SIGNATURE: usize = 32;
/// Letters of a cookie's value.
const LENGTH: usize = (ID + SIGNATURE) * 4 / 3;
/// How many keys may be in force at once.
pub const MOST_KEYS: usize = 16;
/// Letters that a key has at least: 128 bits in hexadecimal digits.
pub const SHORTEST_KEY: usize = 32;

/// An id as the server made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id([u8; ID]);

impl Id {
    /// A new one; none if the system has no randomness.
    pub fn random() -> Option<Id> {
        let mut bytes = [0; ID];
        getrandom::fill(&mut bytes).ok()?;
        Some(Id(bytes))
    }

    /// What the store calls it.
    pub fn key(&self) -> Key {
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, &self.0).as_ref());
        key
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from(b"0123456789abcdef"[usize::from(n & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// By what a log may name a session.
pub fn reference(key: &Key) -> String {
    hex(&key[..4])
}

/// A random text for forms.
pub fn token() -> Option<String> {
    Id::random().map(|id| BASE64.encode(id.0))
}

/// Keys that sign and verify.
#[derive(Clone)]
pub struct Keys {
    /// The first signs, all verify.
    keys: Arc<[hmac::Key]>,
}

impl std::fmt::Debug for Keys {
    /// How many, never which.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.keys.len())
    }
}

impl Keys {
    /// Keys from secrets; none without any.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Option<Keys> {
        let keys: Arc<[hmac::Key]> =
            secrets.into_iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret)).collect();
        (!keys.is_empty()).then_some(Keys { keys })
    }

    /// One random key, for sessions that nobody else needs to know; none if the system has no randomness.
    pub fn random() -> Option<Keys> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).ok()?;
        Keys::new([secret.as_slice()])
    }

    /// The value of the cookie for an id.
    pub fn sign(&self, zone: &str, id: Id) -> String {
        let mut bytes = [0; ID + SIGNATURE];
        bytes[..ID].copy_from_slice(&id.0);
        // There is at least one key, or there would be no `Keys`.
        bytes[ID..].copy_from_slice(hmac::sign(&self.keys[0], &signed(zone, &id.0)).as_ref());
        BASE64.encode(bytes)
    }

    /// The id of a cookie's value, if it was signed here for this zone. Takes the same time wherever a signature is wrong.
    pub fn verify(&self, zone: &str, value: &[u8]) -> Option<Id> {
        if value.len() != LENGTH {
            return None;
        }
        let mut bytes = [0; ID + SIGNATURE];
        BASE64.decode_slice(value, &mut bytes).ok().filter(|len| *len == bytes.len())?;
        let (id, signature) = bytes.split_at(ID);
        let signed = signed(zone, id);
        let known = self.keys.iter().any(|key| hmac::verify(key, &signed, signature).is_ok());
        known.then(|| Id(std::array::from_fn(|i| id[i])))
    }
}

/// What is signed: another zone's id is not this one's.
fn signed(zone: &str, id: &[u8]) -> Vec<u8> {
    [b"longshore session\0", zone.as_bytes(), b"\0", id].concat()
}

/// The secrets in a file of keys: one on each line, the one that signs first. The error is a phrase.
pub fn secrets(text: &[u8]) -> Result<Vec<&[u8]>, String> {
    let lines = text.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).enumerate();
    let mut secrets: Vec<&[u8]> = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#")) {
        if line.len() < SHORTEST_KEY {
            return Err(format!("has a key of fewer than {SHORTEST_KEY} letters in line {}", number + 1));
        }
        secrets.push(line);
    }
    match secrets.len() {
        0 => Err("holds no key".into()),
        n if n > MOST_KEYS => Err(format!("holds more than {MOST_KEYS} keys")),
        _ => Ok(secrets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_here_counts() {
        let (old, new) = ([1; 32], [2; 32]);
        let keys = |secrets: &[&[u8]]| Keys::new(secrets.iter().copied()).unwrap();
        let id = Id::random().unwrap();
        let cookie = keys(&[&old]).sign("app", id);
        assert_eq!(cookie.len(), LENGTH);
        let verify = |secrets: &[&[u8]], zone, value: &str| keys(secrets).verify(zone, value.as_bytes()) == Some(id);
        assert!(verify(&[&old], "app", &cookie));
        assert!(verify(&[&new, &old], "app", &cookie), "an older key still verifies");
        assert!(!verify(&[&new], "app", &cookie), "one that was taken out does not");
        assert!(!verify(&[&old], "other", &cookie), "nor does another zone's");
        for wrong in [&cookie[1..], &cookie[..63], "", &format!("{cookie}A"), &"A".repeat(LENGTH), &"=".repeat(LENGTH)]
        {
            assert!(!verify(&[&old], "app", wrong), "{wrong}");
        }
        for at in 0..LENGTH {
            let mut changed = cookie.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(keys(&[&old]).verify("app", &changed), None, "letter {at}");
        }
        assert!(!format!("{:?}", keys(&[&old])).contains('1'.to_string().repeat(2).as_str()));
    }

    #[test]
    fn files_of_keys() {
        let key = "k".repeat(SHORTEST_KEY);
        assert_eq!(secrets(format!("# new first\r\n{key}\r\n\n {key}2 ").as_bytes()).unwrap().len(), 2);
        for wrong in ["", "# nothing\n", &key[1..], &format!("{key}\n").repeat(MOST_KEYS + 1)] {
            assert!(secrets(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_store_does_not_learn_the_id() {
        let id = Id([0; ID]);
        assert_ne!(&id.key()[..ID], &id.0);
        assert_eq!(reference(&id.key()), "374708ff");
    }
}
