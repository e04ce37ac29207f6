//! A session as stores keep it: values with names, and the times that end it. Every store applies changes by the code
//! here and writes what is written here, so that they cannot differ.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ring::digest;

use super::ticket::{self, Key, hex};
use crate::http::escape;

/// Values that one session holds at most.
pub const MOST_VALUES: usize = 64;
/// Bytes of one value.
pub const LONGEST_VALUE: usize = 4096;
/// Bytes of all names and values.
pub const LARGEST: usize = 16 << 10;
/// Letters of a name.
pub const LONGEST_NAME: usize = 64;

/// Names that mean something else as variables.
const TAKEN: [&[u8]; 3] = [b"state", b"csrf", b"ref"];

/// Milliseconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

/// Whether a text can name a value: what a variable's name can hold, in lower case.
pub fn is_name(name: &[u8]) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_')
        && !TAKEN.contains(&name)
}

/// A session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// When it ends whatever happens.
    pub dies: u64,
    /// How long it lives without a request, in milliseconds.
    pub idle: u64,
    /// When it got its id.
    pub turned: u64,
    /// What its forms carry.
    pub csrf: Bytes,
    /// Names and values.
    pub values: Vec<(Bytes, Bytes)>,
}

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A session.
    Live(Arc<Record>),
    /// It got another id and is found here too until that time.
    Moved(Key, u64),
}

/// One change of a session's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Gives a value.
    Set(Bytes, Bytes),
    /// Adds to one; what is no number counts as 0.
    Add(Bytes, i64),
    /// Takes one away.
    Unset(Bytes),
}

/// More than a session may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl Record {
    /// A session that begins now.
    pub fn new(idle: u64, absolute: u64, now: u64) -> Option<Record> {
        let csrf = ticket::token()?.into();
        Some(Record { dies: now.saturating_add(absolute), idle, turned: now, csrf, values: Vec::new() })
    }

    /// Applies changes in order, all or none.
    pub fn change(&mut self, changes: &[Change]) -> Result<(), TooLarge> {
        let before = self.values.clone();
        changes.iter().for_each(|change| self.apply(change));
        let fits = self.values.len() <= MOST_VALUES
            && self.size() <= LARGEST
            && self.values.iter().all(|(_, value)| value.len() <= LONGEST_VALUE);
        if !fits {
            self.values = before;
            return Err(TooLarge);
        }
        Ok(())
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Unset(name) => self.values.retain(|(known, _)| known != name),
            Change::Set(name, value) => self.set(name, value.clone()),
            Change::Add(name, number) => {
                let known = self.values.iter().find(|(known, _)| known == name);
                let before = known.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<i64>().ok());
                self.set(name, before.unwrap_or(0).saturating_add(*number).to_string().into());
            }
        }
    }

    fn set(&mut self, name: &Bytes, value: Bytes) {
        match self.values.iter_mut().find(|(known, _)| known == name) {
            Some(slot) => slot.1 = value,
            None => self.values.push((name.clone(), value)),
        }
    }

    /// Bytes of names and values.
    pub fn size(&self) -> usize {
        self.values.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Whether it is over, when it was asked for last at that time.
    pub fn is_over(&self, seen: u64, now: u64) -> bool {
        now >= self.dies || now >= seen.saturating_add(self.idle)
    }

    /// For how many milliseconds it is still good without a request.
    pub fn rest(&self, now: u64) -> u64 {
        self.idle.min(self.dies.saturating_sub(now))
    }
}

impl Entry {
    /// As text, with a sum at its end, so that half a file is none.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::from("longshore session 1\n");
        match self {
            Entry::Moved(key, until) => {
                // Writing into a String cannot fail.
                let _ = writeln!(text, "moved {} {until}", hex(key));
            }
            Entry::Live(record) => {
                let csrf = escape::component(&record.csrf);
                let _ = writeln!(text, "live {} {} {} {csrf}", record.dies, record.idle, record.turned);
                for (name, value) in &record.values {
                    let _ = writeln!(text, "{}={}", escape::component(name), escape::component(value));
                }
            }
        }
        let sum = sum(text.as_bytes());
        text.push_str("sum ");
        text.push_str(&sum);
        text.push('\n');
        text.into_bytes()
    }

    /// The same back; none if it is not whole.
    pub fn decode(bytes: &[u8]) -> Option<Entry> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (body, sum_line) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let body = &text[..body.len() + 1];
        if sum_line.strip_prefix("sum ")? != sum(body.as_bytes()) {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != "longshore session 1" {
            return None;
        }
        let mut words = lines.next()?.split(' ');
        let kind = words.next()?;
        if kind == "moved" {
            return Some(Entry::Moved(unhex(words.next()?)?, words.next()?.parse().ok()?));
        }
        let mut number = || words.next()?.parse::<u64>().ok();
        let (dies, idle, turned) = (number()?, number()?, number()?);
        let csrf = Bytes::from(escape::percent_decode(words.next()?.as_bytes()).into_owned());
        let mut values = Vec::new();
        for line in lines {
            let (name, value) = line.split_once('=')?;
            let plain = |text: &str| Bytes::from(escape::percent_decode(text.as_bytes()).into_owned());
            values.push((plain(name), plain(value)));
        }
        Some(Entry::Live(Arc::new(Record { dies, idle, turned, csrf, values })))
    }
}

fn sum(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Key> {
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &'static str, value: impl Into<Bytes>) -> Change {
        Change::Set(name.into(), value.into())
    }

    fn add(name: &'static str, number: i64) -> Change {
        Change::Add(name.into(), number)
    }

    #[test]
    fn changes_in_order() {
        let mut record = Record::default();
        record.change(&[set("a", "1"), add("a", 2), add("b", -1), set("c", "x"), add("c", 1)]).unwrap();
        record.change(&[Change::Unset("b".into()), set("d", ""), add("a", i64::MAX)]).unwrap();
        let shown: Vec<_> = record.values.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
        let most = i64::MAX.to_string();
        let want: Vec<(&[u8], &[u8])> = vec![(b"a", most.as_bytes()), (b"c", b"1"), (b"d", b"")];
        assert_eq!(shown, want);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut record = Record::default();
        assert_eq!(record.change(&[set("a", vec![b'x'; LONGEST_VALUE])]), Ok(()));
        assert_eq!(record.change(&[set("b", "1"), set("a", vec![b'x'; LONGEST_VALUE + 1])]), Err(TooLarge));
        assert_eq!((record.values.len(), record.values[0].1.len()), (1, LONGEST_VALUE));
        let many: Vec<_> = (0..MOST_VALUES).map(|n| Change::Set(format!("n{n}").into(), "".into())).collect();
        assert_eq!(Record::default().change(&many), Ok(()));
        assert_eq!(record.change(&many), Err(TooLarge));
        let large: Vec<_> = ["a", "b", "c", "d"].map(|name| set(name, vec![b'x'; LONGEST_VALUE])).into();
        assert_eq!(Record::default().change(&large), Err(TooLarge), "four bytes of names are too many");
        assert_eq!(Record::default().change(&large[1..]), Ok(()));
    }

    #[test]
    fn there_and_back() {
        let mut record = Record::new(5, 7, 1).unwrap();
        record.change(&[set("a", &b"\0\n=%\xff "[..]), set("b", "")]).unwrap();
        for entry in [Entry::Live(Arc::new(record)), Entry::Moved([0xab; 32], 9)] {
            let text = entry.encode();
            assert_eq!(Entry::decode(&text).as_ref(), Some(&entry));
            for end in 0..text.len() {
                assert_eq!(Entry::decode(&text[..end]), None, "half of it is none");
            }
        }
        assert_eq!(Entry::decode(b"\xff"), None);
    }

    #[test]
    fn how_it_ends() {
        let record = Record { dies: 100, idle: 10, ..Record::default() };
        for (seen, now, over) in [(50, 59, false), (50, 60, true), (95, 99, false), (95, 100, true)] {
            assert_eq!(record.is_over(seen, now), over, "{seen} {now}");
        }
        assert_eq!((record.rest(50), record.rest(95), record.rest(200)), (10, 5, 0));
    }

    #[test]
    fn names_of_values() {
        for (name, fits) in [
            ("user", true),
            ("a_1", true),
            ("", false),
            ("User", false),
            ("a-b", false),
            ("state", false),
            ("csrf", false),
        ] {
            assert_eq!(is_name(name.as_bytes()), fits, "{name}");
        }
        assert!(is_name(&[b'a'; LONGEST_NAME]) && !is_name(&[b'a'; LONGEST_NAME + 1]));
    }
}
