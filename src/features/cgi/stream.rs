//! The output of a script that goes to the client as it is written. When the client leaves, the stream is dropped and
//! the script with it.

use std::io::{self, ErrorKind, Read};
use std::time::Instant;

use super::conf::Errors;
use super::run::Running;
use crate::exchange::Exchange;
use crate::exchange::engine::Sight;
use crate::exchange::notebook::Notebook;
use crate::http::response::Stream;

/// A script whose answer is on its way.
pub struct Live {
    running: Running,
    errors: Errors,
    notebook: Notebook,
}

impl Live {
    /// The rest of a script's output.
    pub fn new(running: Running, errors: Errors, x: &Exchange) -> Self {
        Live { running, errors, notebook: x.notebook() }
    }

    fn read_lines(&mut self) {
        let (child, notebook) = (&self.running.child, &self.notebook);
        self.running.lines.read(&self.errors, &mut |level, line, text| {
            child.show(Sight::Says(line));
            notebook.report(level, text);
        });
    }
}

impl Stream for Live {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.running.input.write();
        self.read_lines();
        if self.running.held.len() > 0 {
            return self.running.held.take(into);
        }
        let now = Instant::now();
        loop {
            if self.running.ended {
                self.running.lines.close(&self.errors, &mut |level, _, text| self.notebook.report(level, text));
                self.running.child.let_go();
                return Ok(0);
            }
            if self.running.child.is_late(now) {
                return Err(ErrorKind::TimedOut.into());
            }
            match self.running.output.read(into) {
                Ok(0) => {
                    self.running.ended = true;
                    self.read_lines();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.running.is_left_behind(now) {
                        return Err(error);
                    }
                    self.running.ended = true;
                }
                Ok(n) => {
                    self.running.child.show(Sight::Writes(&into[..n]));
                    return Ok(n);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.running.deadline()
    }
}
