//! How a request's body is read: into its sink, or past an answer that did not want it, or past a closed
//! connection. Nobody waits here for a client.

use super::connection::{Connection, Phase, Rest, Task};
use super::intake::Intake;
use super::slot::Parked;
use super::transport::Io;
use super::worker::{BUFFER, Turn, Worker};
use crate::exchange::error::{HttpError, Level};

/// What is read of one connection's body in one turn.
const SHARE: usize = 1 << 20;

/// What became of one look for more of a body.
enum Fed {
    /// It is whole.
    Whole,
    /// There was more of it.
    More,
    /// Nothing is there now.
    Nothing,
    /// The client left.
    Left,
    /// It is no body, or too large a one.
    Bad(HttpError),
}

impl Worker {
    /// Reads the body into its sink; once it is whole the pipeline goes on.
    pub(super) fn body(&mut self, c: &mut Connection, mut task: Box<Task>) -> Turn {
        for _ in 0..SHARE / BUFFER {
            let Some(intake) = &mut task.intake else { return self.advance(c, task) };
            match self.feed(c, intake) {
                Fed::More => {}
                Fed::Nothing => {
                    let deadline = self.after(task.run.scope.request_body.timeout);
                    c.phase = Phase::Body(task);
                    return Turn::Park(Parked::Busy, deadline);
                }
                Fed::Whole => {
                    task.run.x.received = task.intake.take().map(Intake::finish).unwrap_or_default();
                    return self.advance(c, task);
                }
                Fed::Left => {
                    task.run.x.report(Level::Info, "client prematurely closed connection");
                    task.run.x.sent.status = 400;
                    self.record(&mut task);
                    return Turn::Close;
                }
                Fed::Bad(mut error) => {
                    // Where the body would end is not known any more.
                    error.close = true;
                    task.intake = None;
                    task.linger = true;
                    let outcome = task.run.refuse(error);
                    return self.act(c, task, outcome);
                }
            }
        }
        c.phase = Phase::Body(task);
        Turn::Yield
    }

    /// Throws away the rest of a request's body, then the connection is idle.
    pub(super) fn drain(&mut self, c: &mut Connection, mut rest: Box<Rest>) -> Turn {
        for _ in 0..SHARE / BUFFER {
            match self.feed(c, &mut rest.intake) {
                Fed::More if rest.until > self.now() => {}
                Fed::Nothing => {
                    let deadline = rest.until.min(self.now().saturating_add(rest.silence));
                    c.phase = Phase::Draining(rest);
                    return Turn::Park(Parked::Busy, deadline);
                }
                Fed::Whole => {
                    c.deadline = self.now().saturating_add(rest.keep);
                    c.phase = Phase::Idle;
                    return Turn::Go;
                }
                Fed::More | Fed::Left => return Turn::Close,
                Fed::Bad(_) => {
                    // The answer is out; a close would become a reset that might eat it.
                    c.socket.finish();
                    c.phase = Phase::Lingering { until: rest.until, silence: rest.silence };
                    return Turn::Go;
                }
            }
        }
        c.phase = Phase::Draining(rest);
        Turn::Yield
    }

    /// Gives a body what was read already, or what the socket has.
    fn feed(&mut self, c: &mut Connection, intake: &mut Intake) -> Fed {
        let taken = if c.input.is_empty() {
            if c.drained {
                return Fed::Nothing;
            }
            match c.socket.read(&mut self.buffer) {
                Io::Bytes(n) => {
                    c.drained = self.is_drained(c, n);
                    let taken = intake.take(&self.buffer[..n]);
                    if let Ok((used, _)) = taken {
                        c.input.extend_from_slice(&self.buffer[used..n]);
                    }
                    taken
                }
                Io::Blocked => {
                    c.drained = true;
                    return Fed::Nothing;
                }
                Io::End | Io::Gone => return Fed::Left,
            }
        } else {
            let taken = intake.take(&c.input);
            if let Ok((used, _)) = taken {
                c.input.drain(..used);
            }
            taken
        };
        match taken {
            Ok((_, true)) => Fed::Whole,
            Ok((_, false)) => Fed::More,
            Err(error) => Fed::Bad(error),
        }
    }

    /// Our end is closed; throws away what the client still sends, so that the close does not become a reset
    /// that would eat our answer.
    pub(super) fn linger(&mut self, c: &mut Connection, until: u64, silence: u64) -> Turn {
        c.input = Vec::new();
        for _ in 0..SHARE / BUFFER {
            let now = self.now();
            if now >= until {
                return Turn::Close;
            }
            match c.socket.read(&mut self.buffer) {
                Io::Bytes(_) => {}
                Io::Blocked => {
                    c.phase = Phase::Lingering { until, silence };
                    return Turn::Park(Parked::Busy, until.min(now.saturating_add(silence)));
                }
                Io::End | Io::Gone => return Turn::Close,
            }
        }
        c.phase = Phase::Lingering { until, silence };
        Turn::Yield
    }
}
