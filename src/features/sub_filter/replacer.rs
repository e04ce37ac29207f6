//! Replaces texts in a body as it passes, wherever its pieces break. At each place the text that stands first in the conf wins, and
//! what was put in is not searched again.

use std::io;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use bytes::Bytes;

use crate::http::transform::{ENOUGH, Transform};

/// A text to look for, in any case, and what stands in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What to look for; never empty.
    pub search: Bytes,
    /// What to write.
    pub replacement: Bytes,
}

/// A search for several texts at once. None where there is nothing to look for, or more than can be built.
pub fn automaton<'p>(searches: impl Iterator<Item = &'p [u8]>) -> Option<Arc<AhoCorasick>> {
    let mut searches = searches.peekable();
    searches.peek()?;
    let built = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .ascii_case_insensitive(true)
        // The kind that is quick to build: texts may come with each request.
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(searches);
    built.ok().map(Arc::new)
}

/// The replacements in one answer.
pub struct Replacer {
    /// Those that are still made.
    pairs: Vec<Pair>,
    automaton: Option<Arc<AhoCorasick>>,
    /// Whether each is made once.
    once: bool,
    /// The longest text that is looked for.
    longest: usize,
    /// Bytes that are looked at in one go: few where little becomes much.
    stride: usize,
    /// What may be the beginning of a match.
    held: Vec<u8>,
}

impl Replacer {
    /// Makes these replacements; `automaton` looks for their texts in their order.
    pub fn new(pairs: Vec<Pair>, automaton: Option<Arc<AhoCorasick>>, once: bool) -> Self {
        let widest = pairs.iter().map(|pair| pair.replacement.len()).max().unwrap_or(0);
        let stride = (ENOUGH / widest.max(1)).clamp(16, 32 << 10);
        let longest = longest(&pairs);
        Replacer { pairs, automaton, once, longest, stride, held: Vec::new() }
    }

    /// Replaces what can be decided; with `is_last` that is everything.
    fn scan(&mut self, is_last: bool, out: &mut Vec<u8>) {
        let mut at = 0;
        while let Some(automaton) = &self.automaton {
            let Some(found) = automaton.find(&self.held[at..]) else { break };
            let start = at + found.start();
            // A text that stands before this one in the conf may begin here and end in what is still to come.
            if !is_last && start + self.longest > self.held.len() {
                break;
            }
            out.extend_from_slice(&self.held[at..start]);
            at += found.end();
            self.replace(found.pattern().as_usize(), out);
        }
        let kept = if is_last { 0 } else { self.longest.saturating_sub(1).min(self.held.len() - at) };
        let end = self.held.len() - kept;
        out.extend_from_slice(&self.held[at..end]);
        self.held.drain(..end);
    }

    fn replace(&mut self, number: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.pairs[number].replacement);
        if self.once {
            self.pairs.remove(number);
            self.automaton = automaton(self.pairs.iter().map(|pair| pair.search.as_ref()));
            self.longest = longest(&self.pairs);
        }
    }
}

fn longest(pairs: &[Pair]) -> usize {
    pairs.iter().map(|pair| pair.search.len()).max().unwrap_or(0)
}

/// How a text compares with what is there.
enum Fit {
    Whole(usize),
    Beginning,
    None,
}

/// What the first text that fits at the front of some bytes makes of them.
fn fit(pairs: &[Pair], bytes: &[u8]) -> Fit {
    for (number, pair) in pairs.iter().enumerate() {
        let n = pair.search.len().min(bytes.len());
        if pair.search[..n].eq_ignore_ascii_case(&bytes[..n]) {
            return if n == pair.search.len() { Fit::Whole(number) } else { Fit::Beginning };
        }
    }
    Fit::None
}

impl Transform for Replacer {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        if self.automaton.is_none() {
            out.append(&mut self.held);
            out.extend_from_slice(piece);
            return Ok(piece.len());
        }
        let n = piece.len().min(self.stride);
        self.held.extend_from_slice(&piece[..n]);
        self.scan(false, out);
        Ok(n)
    }

    /// Only what may be the beginning of a match stays.
    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut at = 0;
        while at < self.held.len() {
            match fit(&self.pairs, &self.held[at..]) {
                Fit::Beginning => break,
                Fit::None => {
                    out.push(self.held[at]);
                    at += 1;
                }
                Fit::Whole(number) => {
                    at += self.pairs[number].search.len();
                    self.replace(number, out);
                }
            }
        }
        self.held.drain(..at);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.scan(true, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replacer(pairs: &[(&'static str, &'static str)], once: bool) -> Replacer {
        let pair = |(search, replacement): &(&'static str, &'static str)| Pair {
            search: search.as_bytes().into(),
            replacement: replacement.as_bytes().into(),
        };
        let pairs: Vec<_> = pairs.iter().map(pair).collect();
        let automaton = automaton(pairs.iter().map(|pair| pair.search.as_ref()));
        Replacer::new(pairs, automaton, once)
    }

    #[test]
    fn however_the_pieces_break() {
        for (pairs, once, text, want) in [
            (&[("hello", "bye"), ("world", "earth")][..], true, "Hello world hello WORLD", "bye earth hello WORLD"),
            (&[("hello", "bye"), ("world", "earth")], false, "Hello world hello WORLD", "bye earth bye earth"),
            (&[("hel", "1"), ("hello", "22")], false, "hello help", "1lo 1p"),
            (&[("hello", "22"), ("hel", "1")], false, "hello help hel", "22 1p 1"),
            (&[("aa", "X")], false, "aaa aaaa", "Xa XX"),
            (&[("abcd", "1"), ("b", "2")], false, "abc abcd b", "a2c 1 2"),
            (&[("o", "hello"), ("hello", "Z")], true, "Hello world hello", "Z whellorld hello"),
            (&[("a", "")], false, "banana", "bnn"),
            (&[("long text", "x")], false, "lo", "lo"),
        ] {
            for size in 1..=text.len() {
                for flushes in [false, true] {
                    let (mut replacer, mut out) = (replacer(pairs, once), Vec::new());
                    for mut piece in text.as_bytes().chunks(size) {
                        while !piece.is_empty() {
                            let n = replacer.push(piece, &mut out).unwrap();
                            piece = &piece[n..];
                        }
                        if flushes {
                            replacer.flush(&mut out).unwrap();
                        }
                    }
                    replacer.finish(&mut out).unwrap();
                    assert_eq!(String::from_utf8_lossy(&out), want, "{pairs:?} {text} by {size}, {flushes}");
                }
            }
        }
    }

    #[test]
    fn a_flush_holds_back_beginnings_only() {
        let (mut replacer, mut out) = (replacer(&[("</body>", "!")], false), Vec::new());
        replacer.push(b"event: 1\n</b", &mut out).unwrap();
        replacer.flush(&mut out).unwrap();
        assert_eq!(out, b"event: 1\n");
        replacer.push(b"ODY>", &mut out).unwrap();
        replacer.flush(&mut out).unwrap();
        assert_eq!(out, b"event: 1\n!");
    }

    #[test]
    fn little_never_becomes_a_flood_at_once() {
        let pair = Pair { search: "a".into(), replacement: vec![b'x'; 32 << 10].into() };
        let automaton = automaton([b"a".as_slice()].into_iter());
        let (mut replacer, mut out) = (Replacer::new(vec![pair], automaton, false), Vec::new());
        replacer.push(&[b'a'; 4096], &mut out).unwrap();
        assert!(out.len() <= 1 << 20, "{} bytes", out.len());
    }
}
