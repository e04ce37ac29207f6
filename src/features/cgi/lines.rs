//! The standard error of a script, cut into lines as they come. Long lines are cut, so that a script cannot fill the
//! memory with one.

use std::io::{ErrorKind, Read};
use std::process::ChildStderr;

use super::conf::Errors;
use crate::exchange::error::Level;
use crate::http::escape;

/// A longer line is written in parts.
const LONGEST: usize = 1024;
/// Bytes read in one turn.
const TURN: usize = 64 << 10;

/// A standard error that is being read.
pub struct Lines {
    from: Option<ChildStderr>,
    rest: Vec<u8>,
}

impl Lines {
    /// Lines from this end of a pipe; without one there are none.
    pub fn new(from: Option<ChildStderr>) -> Self {
        Lines { from, rest: Vec::new() }
    }

    /// Hands over what is there, escaped for a log.
    pub fn read(&mut self, errors: &Errors, out: &mut dyn FnMut(Level, String)) {
        let Errors::Log(level) = errors else { return };
        let mut piece = [0; 4096];
        let mut total = 0;
        while let Some(from) = self.from.as_mut().filter(|_| total < TURN) {
            match from.read(&mut piece) {
                Ok(n @ 1..) => {
                    total += n;
                    self.rest.extend_from_slice(&piece[..n]);
                    cut(&mut self.rest, &mut |line| out(*level, escape::error_log(line)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    self.from = None;
                    if !self.rest.is_empty() {
                        out(*level, escape::error_log(&std::mem::take(&mut self.rest)));
                    }
                }
            }
        }
    }
}

/// Hands over the whole lines and takes them away; empty ones are left out.
fn cut(rest: &mut Vec<u8>, out: &mut dyn FnMut(&[u8])) {
    let mut start = 0;
    loop {
        let line = &rest[start..];
        let end = line.iter().position(|&b| b == b'\n');
        let (len, skip) = match end {
            Some(end) if end <= LONGEST => (end, end + 1),
            _ if line.len() > LONGEST => (LONGEST, LONGEST),
            _ => break,
        };
        let line = line[..len].strip_suffix(b"\r").unwrap_or(&line[..len]);
        if !line.is_empty() {
            out(line);
        }
        start += skip;
    }
    rest.drain(..start);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut() {
        let long = "x".repeat(LONGEST + 3) + "\n";
        for (text, lines, left) in [
            ("a\nb\r\n\nc", vec!["a", "b"], 1),
            ("", vec![], 0),
            (long.as_str(), vec![&long[..LONGEST], "xxx"], 0),
            (&long[..LONGEST], vec![], LONGEST),
        ] {
            let (mut rest, mut seen) = (text.as_bytes().to_vec(), Vec::new());
            cut(&mut rest, &mut |line| seen.push(String::from_utf8(line.to_vec()).unwrap()));
            assert_eq!((seen, rest.len()), (lines.into_iter().map(String::from).collect(), left));
        }
    }
}
