//! How a conf writes a cookie's name and attributes: `theme dark Path=/ Secure SameSite=Lax`. Reads words; which
//! directive they belong to it must not know.

use bytes::Bytes;

use super::args::{Fault, parse_seconds};
use super::ast::Word;
use crate::http::set_cookie::{self, Attributes, LONGEST_ATTRIBUTE, SameSite, Secure};

/// A cookie's name.
pub fn name(word: &Word) -> Result<Bytes, Fault> {
    if !set_cookie::is_name(&word.text) {
        return Err(Fault::at(word, format!("takes a cookie's name, not `{}`", word.show()))
            .help("a name has letters, digits and `!#$%&'*+-.^_|~` only"));
    }
    Ok(Bytes::copy_from_slice(&word.text))
}

/// Reads one attribute; false if the word is none. Case does not matter, as in the field itself.
pub fn attribute(attributes: &mut Attributes, word: &Word) -> Result<bool, Fault> {
    let (key, value) = match word.text.iter().position(|&b| b == b'=') {
        Some(at) => (&word.text[..at], Some(&word.text[at + 1..])),
        None => (word.text.as_slice(), None),
    };
    match (key.to_ascii_lowercase().as_slice(), value) {
        (b"secure", None) => attributes.secure = Secure::On,
        (b"secure", Some(value)) => attributes.secure = secure(value, word)?,
        (b"httponly", None) => attributes.http_only = true,
        (b"partitioned", None) => attributes.partitioned = true,
        (b"path", Some(value)) => {
            let path = text(value, word)?;
            // RFC 6265 section 5.2.4: browsers put a path of their own in the place of another.
            if !path.starts_with(b"/") {
                return Err(Fault::at(word, format!("has a path that does not begin with `/` in `{}`", word.show())));
            }
            attributes.path = Some(path);
        }
        (b"domain", Some(value)) => attributes.domain = Some(text(value, word)?),
        (b"max-age", Some(value)) => {
            let time = parse_seconds(value).ok_or_else(|| {
                Fault::at(word, format!("takes a time such as `Max-Age=3600` or `Max-Age=30d`, not `{}`", word.show()))
            })?;
            attributes.max_age = Some(time.as_secs());
        }
        (b"samesite", Some(value)) => {
            let known = SameSite::NAMES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(value));
            let (_, same_site) = known.ok_or_else(|| {
                Fault::at(word, format!("takes `SameSite=Strict`, `Lax` or `None`, not `{}`", word.show()))
            })?;
            attributes.same_site = Some(*same_site);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// `on`, `off` or `auto`.
fn secure(value: &[u8], word: &Word) -> Result<Secure, Fault> {
    match value.to_ascii_lowercase().as_slice() {
        b"on" => Ok(Secure::On),
        b"off" => Ok(Secure::Off),
        b"auto" => Ok(Secure::Auto),
        _ => Err(Fault::at(word, format!("takes `Secure=on`, `off` or `auto`, not `{}`", word.show()))),
    }
}

fn text(value: &[u8], word: &Word) -> Result<Bytes, Fault> {
    let fits = (1..=LONGEST_ATTRIBUTE).contains(&value.len());
    match fits && value.iter().all(|&b| set_cookie::is_attribute_byte(b)) {
        true => Ok(Bytes::copy_from_slice(value)),
        false => Err(Fault::at(word, format!("has a value that no attribute can have in `{}`", word.show()))
            .help("it has 1 to 1024 ASCII letters and no `;`")),
    }
}

/// Refuses what browsers would throw away.
pub fn check(name: &[u8], attributes: &Attributes) -> Result<(), Fault> {
    match set_cookie::refusal(name, attributes) {
        Some((message, help)) => Err(Fault::new(message).help(help)),
        None => Ok(()),
    }
}
