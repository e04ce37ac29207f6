//! The output of a script that goes to the client while it is written, and what is kept of it for a client that is slower. A script that
//! fails on the way breaks the response off. When the client leaves, the stream is dropped and the script with it.

use std::io::{self, ErrorKind, Read};
use std::time::Instant;

use super::conf::Errors;
use super::run::{PIECE, Running, TURN};
use crate::exchange::Exchange;
use crate::exchange::engine::{Sight, Waker};
use crate::exchange::error::{HttpError, Level};
use crate::exchange::notebook::Notebook;
use crate::http::response::Stream;

/// A script whose response is on its way.
pub struct Live {
    running: Running,
    errors: Errors,
    notebook: Notebook,
    waker: Waker,
    /// The length that the head named, if it is passed on.
    named: Option<u64>,
    sent: u64,
    /// Whether what a slow client does not take is kept, so that the script goes on.
    gathers: bool,
    /// How it ended: well, or with an error.
    over: Option<Result<(), ErrorKind>>,
}

impl Live {
    /// The rest of a script's output, of which the client expects so many bytes.
    pub fn new(running: Running, errors: Errors, x: &Exchange, named: Option<u64>, gathers: bool) -> Self {
        let (notebook, waker) = (x.notebook(), x.waker());
        Live { running, errors, notebook, waker, named, sent: 0, gathers, over: None }
    }

    fn read_lines(&mut self) {
        let (child, notebook) = (&self.running.child, &self.notebook);
        self.running.lines.read(&self.errors, &mut |level, line, text| {
            child.show(Sight::Says(line));
            notebook.report(level, text);
        });
    }

    fn close_lines(&mut self) {
        self.read_lines();
        self.running.lines.close(&self.errors, &mut |level, _, text| self.notebook.report(level, text));
    }

    /// Reads what the script has written; nothing at the end of its output. The process is seen to its end as well, or for a
    /// little time: how it ended decides whether this is the end of the response.
    fn pull(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let now = Instant::now();
        if let Some(late) = self.late(now) {
            return Err(self.break_off(late));
        }
        let running = &mut self.running;
        while !running.ended {
            match running.output.read(into) {
                Ok(0) => running.ended = true,
                Ok(n) => {
                    running.child.show(Sight::Writes(&into[..n]));
                    return Ok(n);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if running.is_left_behind(now) { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) }
    }

    /// The failure of a script that still runs when its time is up.
    fn late(&mut self, now: Instant) -> Option<HttpError> {
        let running = &mut self.running;
        (!running.ended && running.child.is_late(now) && running.child.status().is_none()).then(|| running.late())
    }

    /// Nothing more comes: whether that is the end of the response.
    fn end(&mut self) -> io::Result<usize> {
        if let Some(killed) = self.running.killed() {
            return Err(self.break_off(killed));
        }
        if let Some(named) = self.named.filter(|named| *named > self.sent) {
            let short = self.running.cut_short(named, self.sent);
            return Err(self.break_off(short));
        }
        if let Some(words) = self.running.failed() {
            self.notebook.report(Level::Warn, words);
        }
        self.let_go();
        Ok(0)
    }

    fn let_go(&mut self) {
        self.close_lines();
        self.running.child.let_go();
        self.over = Some(Ok(()));
    }

    /// The response cannot be what its head said. The client learns it by what is missing at its end.
    fn break_off(&mut self, failure: HttpError) -> io::Error {
        self.close_lines();
        self.notebook.fail(failure);
        self.running.child.end();
        self.over = Some(Err(ErrorKind::UnexpectedEof));
        ErrorKind::UnexpectedEof.into()
    }

    /// How many of `n` bytes the client is to get. What a script writes beyond the length that it named ends it.
    fn within(&mut self, n: usize) -> usize {
        let Some(named) = self.named else { return n };
        let most = named - self.sent;
        self.sent += most.min(n as u64);
        if n as u64 > most {
            self.notebook.report(Level::Warn, self.running.lengths(named, named + n as u64 - most) + " or more");
            self.let_go();
        }
        most.min(n as u64) as usize
    }
}

impl Stream for Live {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.over == Some(Ok(())) {
            return Ok(0);
        }
        self.running.input.write();
        self.read_lines();
        let n = match self.running.held.take(into)? {
            0 => match self.over {
                Some(Err(kind)) => return Err(kind.into()),
                _ => self.pull(into)?,
            },
            n => n,
        };
        if n == 0 { self.end() } else { Ok(self.within(n)) }
    }

    fn gather(&mut self) {
        self.running.input.write();
        self.read_lines();
        let (mut piece, mut total) = ([0; PIECE], 0);
        while self.over.is_none() {
            if !self.gathers || self.running.ended || self.running.held.is_full() {
                break;
            }
            if total >= TURN {
                // No edge tells of what has come already.
                return self.waker.wake();
            }
            match self.pull(&mut piece) {
                Ok(0) => break,
                Ok(n) => {
                    total += n;
                    if let Err(error) = self.running.held.put(&piece[..n]) {
                        let failure = self.running.unreadable(&error);
                        self.break_off(failure);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock || self.over.is_some() => return,
                Err(error) => {
                    let failure = self.running.unreadable(&error);
                    self.break_off(failure);
                }
            }
        }
        // However slow the client is, the script's time is up when it is.
        if self.over.is_none()
            && let Some(late) = self.late(Instant::now())
        {
            self.break_off(late);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.running.deadline()
    }

    fn limit(&self) -> Option<Instant> {
        self.running.child.limit().filter(|_| self.over.is_none())
    }
}
