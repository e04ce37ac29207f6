//! The standard error of a script, cut into lines as they come. Long lines are cut, and of many the first and the last go
//! into the log, so that a script fills neither the memory nor the disk.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::process::ChildStderr;

use super::conf::Errors;
use super::copied::Copied;
use crate::exchange::Exchange;
use crate::exchange::error::Level;
use crate::http::escape;
use crate::http::head::Known;

/// A longer line is written in parts.
const LONGEST: usize = 1024;
/// Bytes read in one turn.
const TURN: usize = 64 << 10;
/// Bytes that one script's lines take in the log, with what the log writes around each of them.
const MOST: usize = 64 << 10;
/// So many of them are kept for the last lines, which say why a script failed.
const TAIL: usize = 8 << 10;
/// What the log writes around a line beside what the client sent: time, level, numbers, addresses.
const AROUND: usize = 256;

/// A standard error that is being read.
pub struct Lines {
    from: Option<ChildStderr>,
    script: Script,
    kept: Kept,
    /// Where they go instead of the log.
    copy: Option<Copied>,
}

/// How lines name their script.
struct Script {
    name: String,
    id: String,
}

impl Lines {
    /// Lines of the script of this name from this end of a pipe; without one there are none. With `copy` they go into that file.
    pub fn new(x: &Exchange, name: &str, from: Option<ChildStderr>, copy: Option<File>) -> Self {
        let script = Script { name: name.into(), id: x.request_id().into() };
        let sent = [Some(x.head.request_line()), x.head.known(Known::Host), x.head.known(Known::Referer)];
        let sent: usize = sent.into_iter().flatten().map(|text| escape::error_log(text).len()).sum();
        let kept = Kept::new(AROUND + name.len() + script.id.len() + sent);
        Lines { from, kept, script, copy: copy.map(Copied::new) }
    }

    /// Hands over what is there, escaped for a log: the text of each line, and the whole of it for the log. What is for a file
    /// goes there.
    pub fn read(&mut self, errors: &Errors, out: &mut dyn FnMut(Level, &str, String)) {
        let level = level(errors);
        let mut piece = [0; 4096];
        let mut total = 0;
        while let Some(from) = self.from.as_mut().filter(|_| total < TURN) {
            match from.read(&mut piece) {
                Ok(n @ 1..) => {
                    total += n;
                    match &mut self.copy {
                        Some(copy) => copy.take(&piece[..n]),
                        None => self.kept.take(&piece[..n], &mut |line| out(level, &line, self.script.says(&line))),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.close(errors, out),
            }
        }
    }

    /// Hands over the last lines, and how much was left out before them. Nothing is read afterwards.
    pub fn close(&mut self, errors: &Errors, out: &mut dyn FnMut(Level, &str, String)) {
        if self.from.take().is_none() {
            return;
        }
        self.end_copy();
        let level = level(errors);
        let (dropped, last) = self.kept.end();
        if dropped > 0 {
            out(level, "", self.script.was_cut(dropped));
        }
        last.iter().for_each(|line| out(level, line, self.script.says(line)));
    }

    fn end_copy(&mut self) {
        if let Some(mut copy) = self.copy.take() {
            copy.end(|dropped| self.script.was_cut(dropped));
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // Its request ended before it did.
        self.end_copy();
        let (dropped, _) = self.kept.end();
        if dropped > 0 {
            log::error!("{}", self.script.was_cut(dropped));
        }
    }
}

/// The level of its lines, where they go into the log.
fn level(errors: &Errors) -> Level {
    if let Errors::Log(level) = errors { *level } else { Level::Error }
}

impl Script {
    fn says(&self, line: &str) -> String {
        format!("script \"{}\" says: {line}, id: {}", self.name, self.id)
    }

    fn was_cut(&self, dropped: u64) -> String {
        format!(
            "script \"{}\" wrote too much to its standard error: {dropped} bytes are left out here, id: {}",
            self.name, self.id
        )
    }
}

/// What has come of a standard error and is not in the log.
struct Kept {
    /// What has no line end yet; once nothing more may go into the log, the last that came.
    rest: Vec<u8>,
    /// Bytes that may still go into the log before the last lines.
    left: usize,
    /// What the log writes around each line.
    around: usize,
    dropped: u64,
}

impl Kept {
    fn new(around: usize) -> Kept {
        Kept { rest: Vec::new(), left: MOST - TAIL, around, dropped: 0 }
    }

    fn take(&mut self, bytes: &[u8], out: &mut dyn FnMut(String)) {
        self.rest.extend_from_slice(bytes);
        while self.left > 0
            && let Some((line, len)) = first_line(&self.rest)
        {
            let line = escape::error_log(line);
            let cost = line.len() + self.around;
            if !line.is_empty() && cost > self.left {
                self.left = 0;
                break;
            }
            self.rest.drain(..len);
            if !line.is_empty() {
                self.left -= cost;
                out(line);
            }
        }
        if self.left == 0 && self.rest.len() > 2 * TAIL {
            let surplus = self.rest.len() - TAIL;
            self.dropped += surplus as u64;
            self.rest.drain(..surplus);
        }
    }

    /// How many bytes were left out, and the last lines.
    fn end(&mut self) -> (u64, Vec<String>) {
        let rest = std::mem::take(&mut self.rest);
        let (mut lines, mut at) = (Vec::new(), 0);
        while let Some((line, len)) = first_line(&rest[at..]) {
            lines.push((line, len));
            at += len;
        }
        lines.push((&rest[at..], rest.len() - at));
        let mut left = self.left + TAIL;
        let mut last = Vec::new();
        for (line, len) in lines.into_iter().rev() {
            let line = escape::error_log(line);
            if line.is_empty() {
                continue;
            }
            match left.checked_sub(line.len() + self.around) {
                Some(rest) => {
                    left = rest;
                    last.push(line);
                }
                None => {
                    left = 0;
                    self.dropped += len as u64;
                }
            }
        }
        last.reverse();
        (std::mem::take(&mut self.dropped), last)
    }
}

/// The first line, or as much of it as one line of the log takes, and how many bytes it has with its end; none if it may go
/// on.
fn first_line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    match bytes.iter().take(LONGEST + 1).position(|&b| b == b'\n') {
        Some(end) => Some((bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]), end + 1)),
        None => (bytes.len() > LONGEST).then(|| (&bytes[..LONGEST], LONGEST)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> (Vec<String>, u64, Vec<String>) {
        let (mut kept, mut seen) = (Kept::new(10), Vec::new());
        pieces.iter().for_each(|piece| kept.take(piece, &mut |line| seen.push(line)));
        let (dropped, last) = kept.end();
        (seen, dropped, last)
    }

    #[test]
    fn lines_are_cut() {
        let long = "x".repeat(LONGEST + 3) + "\n";
        for (text, lines, last) in [
            ("a\nb\r\n\nc", vec!["a", "b"], vec!["c"]),
            ("", vec![], vec![]),
            (long.as_str(), vec![&long[..LONGEST], "xxx"], vec![]),
            (&long[..LONGEST], vec![], vec![&long[..LONGEST]]),
            ("\x1b\n", vec!["\\x1B"], vec![]),
        ] {
            let found = all(&[text.as_bytes()]);
            assert_eq!(
                found,
                (lines.into_iter().map(String::from).collect(), 0, last.into_iter().map(String::from).collect())
            );
        }
    }

    #[test]
    fn of_many_lines_the_first_and_the_last_are_kept() {
        // Each takes 64 bytes of the log.
        let line = |n: usize| format!("{n:053}\n").into_bytes();
        let few: Vec<_> = (0..MOST / 64).map(|n| format!("{n:054}\n").into_bytes()).collect();
        let (seen, dropped, last) = all(&few.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!((seen.len(), dropped, last.len()), ((MOST - TAIL) / 64, 0, TAIL / 64));
        let many: Vec<_> = (0..100_000).map(line).collect();
        let (seen, dropped, last) = all(&many.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let shown = seen.len() + last.len();
        assert_eq!(dropped, ((100_000 - shown) * 54) as u64, "each byte is shown or counted");
        assert_eq!(last.last().map(|line| line.as_str()), Some(&*format!("{:053}", 99_999)));
        assert!(shown * 63 <= MOST && shown * 63 > MOST - 256, "{shown}");
    }

    #[test]
    fn what_never_ends_a_line_is_bounded_as_well() {
        let piece = [b'x'; 4096];
        let (mut kept, mut seen) = (Kept::new(10), 0);
        for _ in 0..1000 {
            kept.take(&piece, &mut |line| seen += line.len());
            assert!(kept.rest.len() <= 2 * TAIL);
        }
        let (dropped, last) = kept.end();
        let shown = seen + last.iter().map(String::len).sum::<usize>();
        assert!(shown <= MOST && dropped == (4096 * 1000 - shown) as u64, "{shown} {dropped}");
    }
}
