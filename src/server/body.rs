//! How a request's body is read from its client: for the request, which says where it goes, past an answer that did not want it, or
//! past a closed connection. Nobody waits here for a client, and no body has its limit here.

use super::connection::{Connection, Phase, Rest, Task};
use super::request::late_body;
use super::slot::{NEVER, Parked};
use super::transport::Io;
use super::worker::{BUFFER, Turn, Worker};
use crate::exchange::body_reader::Given;
use crate::exchange::error::HttpError;
use crate::pipeline::left;

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

/// What became of a body that is passed on.
pub(super) enum Passed {
    /// There was more of it, or its end.
    More,
    /// There is nothing now, no room for it, or no such body.
    Nothing,
    /// The client left.
    Left,
    /// The client was silent for too long.
    Late,
    /// It is no body, or too large a one.
    Bad(HttpError),
}

impl Worker {
    /// Takes what the client has sent of a body that is passed on, as far as there is room.
    pub(super) fn pass_on(&mut self, c: &mut Connection, task: &mut Task) -> Passed {
        let Some(body) = task.run.body.as_ref().filter(|body| body.passes_on() && body.room() > 0) else {
            task.body_by = NEVER;
            return Passed::Nothing;
        };
        let (is_wanted, room, timeout) = (body.is_wanted(), body.room(), task.run.scope().request_body.timeout);
        match self.feed(c, room, |bytes| task.run.feed(bytes)) {
            Fed::More => {
                task.body_by = if is_wanted { self.after(timeout) } else { NEVER };
                Passed::More
            }
            Fed::Nothing if !is_wanted => {
                task.body_by = NEVER;
                Passed::Nothing
            }
            Fed::Nothing => {
                if task.body_by == NEVER {
                    task.body_by = self.after(timeout);
                }
                if task.body_by <= self.now() { Passed::Late } else { Passed::Nothing }
            }
            Fed::Whole => {
                task.body_by = NEVER;
                Passed::More
            }
            Fed::Left => Passed::Left,
            Fed::Bad(error) => Passed::Bad(error),
        }
    }

    /// Ends a request whose body, passed on before the answer began, did not come whole.
    pub(super) fn broken_off(&mut self, c: &mut Connection, mut task: Box<Task>, how: Passed) -> Turn {
        let error = match how {
            Passed::Bad(error) => return self.refuse_body(c, task, error),
            Passed::Late => late_body(),
            _ => left(),
        };
        if error.status == 408 {
            self.reset_if_asked(c, &task);
        }
        task.run.give_up(error);
        self.record(&mut task);
        Turn::Close
    }

    /// Answers a request whose body is malformed, or too large.
    pub(super) fn refuse_body(&mut self, c: &mut Connection, mut task: Box<Task>, error: HttpError) -> Turn {
        let outcome = task.run.refuse_body(error);
        self.act(c, task, outcome)
    }

    /// Feeds the request its body; once that is whole the pipeline goes on.
    pub(super) fn body(&mut self, c: &mut Connection, mut task: Box<Task>) -> Turn {
        for _ in 0..SHARE / BUFFER {
            let Some(room) = task.run.room() else { return self.advance(c, task) };
            match self.feed(c, room, |bytes| task.run.feed(bytes)) {
                Fed::More => {}
                Fed::Nothing => {
                    let deadline = self.after(task.run.scope().request_body.timeout);
                    c.phase = Phase::Body(task);
                    return Turn::Park(Parked::Busy, deadline);
                }
                Fed::Whole => return self.advance(c, task),
                Fed::Left => {
                    task.run.give_up(left());
                    self.record(&mut task);
                    return Turn::Close;
                }
                Fed::Bad(error) => return self.refuse_body(c, task, error),
            }
        }
        c.phase = Phase::Body(task);
        Turn::Yield
    }

    /// Throws away the rest of a request's body, then the connection is idle.
    pub(super) fn drain(&mut self, c: &mut Connection, mut rest: Box<Rest>) -> Turn {
        for _ in 0..SHARE / BUFFER {
            match self.feed(c, rest.body.room(), |bytes| rest.body.take(bytes)) {
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

    /// Gives a body what was read already, or what the socket has, as far as it has room.
    fn feed(
        &mut self,
        c: &mut Connection,
        room: usize,
        mut take: impl FnMut(&[u8]) -> Result<Given, HttpError>,
    ) -> Fed {
        // Framing takes bytes and makes none: what is read fits.
        let most = room.min(BUFFER);
        let taken = if c.input.is_empty() {
            // The mark is from before the client closed its end: that is news to read.
            if c.drained && !c.socket.holds_input() && !c.place.slot().has_ended() {
                return Fed::Nothing;
            }
            match c.socket.read(&mut self.buffer[..most]) {
                Io::Bytes(n) => {
                    c.drained = self.is_drained(c, n, most);
                    let taken = take(&self.buffer[..n]);
                    if let Ok(given) = &taken {
                        c.input.extend_from_slice(&self.buffer[given.used..n]);
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
            let most = most.min(c.input.len());
            let taken = take(&c.input[..most]);
            if let Ok(given) = &taken {
                c.input.drain(..given.used);
            }
            taken
        };
        match taken {
            Ok(given) if given.is_whole => Fed::Whole,
            Ok(_) => Fed::More,
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
