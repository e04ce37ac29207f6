//! Cookies that lines keep, by host and name. Knows neither paths nor dates: a file of expectations is short.

use std::collections::BTreeMap;

use super::answer::Answer;

/// The cookies.
#[derive(Default)]
pub struct Jar(BTreeMap<(String, Vec<u8>), Vec<u8>>);

impl Jar {
    /// The Cookie field for a host.
    pub fn field(&self, host: &str) -> Option<Vec<u8>> {
        let own = self.0.iter().filter(|((at, _), _)| at == host);
        let pairs: Vec<Vec<u8>> = own.map(|((_, name), value)| [name.as_slice(), b"=", value].concat()).collect();
        (!pairs.is_empty()).then(|| pairs.join(b"; ".as_slice()))
    }

    /// Keeps what an answer sets.
    pub fn take(&mut self, host: &str, answer: &Answer) {
        for value in answer.values("set-cookie") {
            let mut parts = value.split(|&byte| byte == b';');
            let pair = parts.next().unwrap_or_default().trim_ascii();
            let Some(at) = pair.iter().position(|&byte| byte == b'=') else { continue };
            let key = (host.to_string(), pair[..at].to_vec());
            // What is set to nothing for no time is gone (RFC 6265, section 5.2.2).
            let gone = |part: &[u8]| part.trim_ascii().eq_ignore_ascii_case(b"max-age=0");
            match parts.any(gone) {
                true => drop(self.0.remove(&key)),
                false => drop(self.0.insert(key, pair[at + 1..].to_vec())),
            }
        }
    }
}
