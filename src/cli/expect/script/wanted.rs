//! The words behind the arrow: what must come back.

use std::time::Duration;

use regex::bytes::Regex;

use super::asked::{Content, content};
use super::shown;

/// What must come back.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// One of these.
    pub statuses: Vec<Status>,
    /// All of these.
    pub checks: Vec<Check>,
    /// Not later than this.
    pub within: Option<Duration>,
    /// Whether the server must close the connection behind the answer.
    pub closes: bool,
    /// Of a thousand answers so many must be right; none: all.
    pub availability: Option<usize>,
}

/// What may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// This status.
    Is(u16),
    /// All that begin with this digit.
    Class(u16),
    /// A connection that is closed without an answer.
    Closed,
}

/// Something about the answer.
#[derive(Debug, Clone)]
pub struct Check {
    /// A field's name in lower case, or `body`.
    pub of: String,
    /// Whether it must not be so.
    pub not: bool,
    /// How it must be.
    pub test: Test,
}

/// How a value must be.
#[derive(Debug, Clone)]
pub enum Test {
    /// There at all.
    There,
    /// This.
    Is(Content),
    /// Matched by this.
    Matches(Regex),
}

/// Reads the words behind the arrow.
pub fn wanted(words: &[Vec<u8>]) -> Result<Wanted, String> {
    let Some((first, rest)) = words.split_first() else { return Err("behind `->` stands a status".into()) };
    let statuses = first.split(|&byte| byte == b'|').map(status).collect::<Result<_, _>>()?;
    let mut wanted = Wanted { statuses, ..Wanted::default() };
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match word.as_slice() {
            b"within" => {
                let time = rest.next().and_then(|text| time(text));
                wanted.within = Some(time.ok_or("`within` takes a time such as 2s or 500ms")?);
            }
            b"availability" => {
                let share = rest.next().and_then(|text| share(text));
                wanted.availability = Some(share.ok_or("`availability` takes a share such as 99.5%")?);
            }
            b"closed" => wanted.closes = true,
            word => wanted.checks.push(check(word)?),
        }
    }
    Ok(wanted)
}

fn status(text: &[u8]) -> Result<Status, String> {
    let wrong = || format!("`{}` is no status: write 404, 4xx, 200|304 or closed", shown(text));
    match text {
        b"closed" => Ok(Status::Closed),
        [class @ b'1'..=b'5', b'x', b'x'] => Ok(Status::Class(u16::from(class - b'0'))),
        [_, _, _] => shown(text).parse().map(Status::Is).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// `500ms` or `2s`, an hour at most.
pub fn time(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" if number <= 3_600_000 => Some(Duration::from_millis(number)),
        "s" if number <= 3600 => Some(Duration::from_secs(number)),
        _ => None,
    }
}

/// `99%` or `99.5%`, as so many of a thousand.
fn share(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('%')?;
    let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = digits(whole) && digits(tenth) && tenth.len() == 1 && whole.len() <= 3;
    let share = whole.parse::<usize>().ok().filter(|_| fits)? * 10 + tenth.parse::<usize>().ok()?;
    (share <= 1000).then_some(share)
}

fn check(word: &[u8]) -> Result<Check, String> {
    let (not, word) = word.strip_prefix(b"!").map_or((false, word), |rest| (true, rest));
    let at = word.iter().position(|byte| matches!(byte, b'=' | b'~'));
    let (name, value) = word.split_at(at.unwrap_or(word.len()));
    let name = shown(name).to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(format!("`{}` is no check: write name=value, name~regex, !name or body~regex", shown(word)));
    }
    let test = match value.split_first() {
        None => Test::There,
        Some((b'=', value)) if name == "body" => Test::Is(content(value)?),
        Some((b'=', value)) => Test::Is(Content::Text(value.to_vec())),
        Some((_, value)) => {
            let pattern = std::str::from_utf8(value).map_err(|_| "a regex is UTF-8")?;
            Test::Matches(Regex::new(pattern).map_err(|error| format!("`{pattern}` is no regex: {error}"))?)
        }
    };
    Ok(Check { of: name, not, test })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        for (text, want) in [
            ("99.5%", Some(995)),
            ("100%", Some(1000)),
            ("0%", Some(0)),
            ("100.1%", None),
            ("99.55%", None),
            ("x%", None),
            ("99", None),
            (".5%", None),
            ("9.%", None),
        ] {
            assert_eq!(share(text.as_bytes()), want, "{text}");
        }
    }
}
