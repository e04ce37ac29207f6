//! How a request's body is read: into its sink, on to whoever passes it on, past an answer that did not want it, or
//! past a closed connection. Nobody waits here for a client.

use std::os::unix::ffi::OsStrExt;

use super::connection::{Connection, Phase, Rest, Task};
use super::intake::{self, Intake};
use super::request::{late_body, left_in_body};
use super::slot::{NEVER, Parked};
use super::transport::Io;
use super::worker::{BUFFER, Turn, Worker};
use crate::exchange::body_file::Name;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Sink;
use crate::exchange::{Exchange, Received};
use crate::http::escape;

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
    /// A step asks for the body.
    pub(super) fn want_body(&mut self, c: &mut Connection, mut task: Box<Task>, sink: Sink) -> Turn {
        let limit = task.run.body_limit();
        task.intake.iter_mut().for_each(|intake| intake.bound(limit));
        let x = &mut task.run.x;
        let is_coming = matches!(x.received, Received::Coming(_));
        let is_passed = matches!(x.received, Received::Passed) || task.intake.as_ref().is_some_and(Intake::passes_on);
        match (sink, task.intake.as_mut()) {
            (Sink::Live { .. }, _) if is_coming => c.phase = Phase::Waiting(task),
            // Somebody took it, and a part of it is gone.
            _ if is_passed && !is_coming => {
                x.received = Received::Passed;
                c.phase = Phase::Waiting(task);
            }
            // It is all here: nothing has to be passed on piece by piece.
            (Sink::Live { most }, Some(intake)) if intake.is_fresh() && intake.ends_in(&c.input) => {
                if let Err(error) = intake.keep(most.max(BUFFER), x.prefix.to_path_buf(), None) {
                    return self.refuse_body(c, task, error);
                }
                c.phase = Phase::Body(task);
            }
            (Sink::Live { most }, Some(intake)) => {
                x.received = Received::Coming(intake.pass_on(most));
                say_continue(c, &mut task);
                c.phase = Phase::Waiting(task);
            }
            (Sink::Spool { memory, folder, naming }, Some(intake)) => {
                let begun = x.received.take();
                let mut kept = intake.keep(memory, folder, naming);
                // Another step wanted it piece by piece and then took nothing.
                if let Received::Coming(inflow) = begun {
                    kept = kept.and_then(|()| intake.put_first(&inflow.take(usize::MAX)));
                }
                x.received = Received::Nothing;
                if let Err(error) = kept {
                    return self.refuse_body(c, task, error);
                }
                say_continue(c, &mut task);
                c.phase = Phase::Body(task);
            }
            (sink, None) => {
                match no_more(std::mem::take(&mut x.received), sink) {
                    Ok((received, name)) => hold(x, received, name),
                    Err(error) => return self.refuse_body(c, task, error),
                }
                c.phase = Phase::Body(task);
            }
        }
        Turn::Go
    }

    /// Takes what the client has sent of a body that is passed on, as far as there is room.
    pub(super) fn pass_on(&mut self, c: &mut Connection, task: &mut Task) -> Passed {
        let Some(intake) = task.intake.as_mut().filter(|intake| intake.passes_on() && intake.room() > 0) else {
            task.body_by = NEVER;
            return Passed::Nothing;
        };
        let (is_wanted, timeout) = (intake.is_wanted(), task.run.scope.request_body.timeout);
        let fed = self.feed(c, intake);
        task.run.x.body_read = intake.read();
        match fed {
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
                task.intake.take().map(Intake::finish);
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
            _ => left_in_body(),
        };
        if error.status == 408 {
            self.reset_if_asked(c, &task);
        }
        task.run.give_up(error);
        self.record(&mut task);
        Turn::Close
    }

    /// Answers a request whose body is malformed, or too large.
    pub(super) fn refuse_body(&mut self, c: &mut Connection, mut task: Box<Task>, mut error: HttpError) -> Turn {
        // Where the body would end is not known any more.
        error.close = true;
        task.intake = None;
        task.linger = true;
        // What worked on the body has no more to do.
        task.run.drop_states();
        task.run.x.received = Received::Passed;
        let outcome = task.run.refuse(error);
        self.act(c, task, outcome)
    }

    /// Reads the body into its sink; once it is whole the pipeline goes on.
    pub(super) fn body(&mut self, c: &mut Connection, mut task: Box<Task>) -> Turn {
        for _ in 0..SHARE / BUFFER {
            let Some(intake) = &mut task.intake else { return self.advance(c, task) };
            let fed = self.feed(c, intake);
            task.run.x.body_read = intake.read();
            match fed {
                Fed::More => {}
                Fed::Nothing => {
                    let deadline = self.after(task.run.scope.request_body.timeout);
                    c.phase = Phase::Body(task);
                    return Turn::Park(Parked::Busy, deadline);
                }
                Fed::Whole => {
                    let (received, name) = task.intake.take().map(Intake::finish).unwrap_or_default();
                    hold(&mut task.run.x, received, name);
                    return self.advance(c, task);
                }
                Fed::Left => {
                    task.run.give_up(left_in_body());
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

    /// Gives a body what was read already, or what the socket has, as far as it has room.
    fn feed(&mut self, c: &mut Connection, intake: &mut Intake) -> Fed {
        // Framing takes bytes and makes none: what is read fits.
        let most = intake.room().min(BUFFER);
        let taken = if c.input.is_empty() {
            // The mark is from before the client closed its end: that is news to read.
            if c.drained && !c.socket.holds_input() && !c.place.slot().has_ended() {
                return Fed::Nothing;
            }
            match c.socket.read(&mut self.buffer[..most]) {
                Io::Bytes(n) => {
                    c.drained = self.is_drained(c, n, most);
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
            let most = most.min(c.input.len());
            let taken = intake.take(&c.input[..most]);
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

/// What a step gets that asks for a body of which nothing is to come: what came before, or an empty one.
fn no_more(before: Received, sink: Sink) -> Result<(Received, Option<Name>), HttpError> {
    match (before, sink) {
        (Received::Coming(inflow), _) => Ok((Received::Memory(inflow.take(usize::MAX).into()), None)),
        (Received::Nothing, Sink::Spool { folder, naming: Some(naming), .. }) => intake::empty_file(&folder, naming),
        // Asked for again and again it would never be there.
        (Received::Nothing, _) => Ok((Received::Memory(Vec::new()), None)),
        (before, _) => Ok((before, None)),
    }
}

/// Leaves a body that is whole with its request.
fn hold(x: &mut Exchange, received: Received, name: Option<Name>) {
    x.received = received;
    if let Some(name) = name {
        let path = escape::error_log(name.path().as_os_str().as_bytes());
        x.report(Level::Notice, format!("a client request body is buffered to a temporary file {path}"));
        x.body_file = Some(Box::new(name));
    }
}

/// Throws away what has come of a body that nobody reads, within its limit. If that is malformed or too large, the answer says so,
/// or at least that the connection closes.
pub(super) fn discard_ahead(c: &mut Connection, task: &mut Task) -> Option<HttpError> {
    let limit = task.run.body_limit();
    let intake = task.intake.as_mut().filter(|intake| !intake.is_wanted())?;
    intake.bound(limit);
    match intake.take(&c.input) {
        Ok((n, done)) => {
            c.input.drain(..n);
            if done {
                task.intake = None;
            }
            None
        }
        Err(error) => {
            task.intake = None;
            task.linger = true;
            // A failure keeps its own status, as in nginx, but a redirect is none, and whatever `error_page` leads to answers like any
            // other; what comes before any location minds no size.
            let failure = task.run.x.failure.as_ref();
            let is_known = failure.is_some_and(|failure| failure.cause == error.status);
            let is_led = failure.is_some_and(|failure| failure.is_led) && !is_known;
            let failed = failure.is_some_and(|failure| failure.cause >= 400) && !is_led;
            if !failed && (error.status != 413 || task.run.minds_body()) {
                if !is_led {
                    // Else it keeps in mind that a failure has one page.
                    task.run.x.failure = None;
                }
                return Some(error);
            }
            if is_known {
                return None;
            }
            task.run.x.keep(error.report.map(|report| *report));
            None
        }
    }
}

/// RFC 9110 section 10.1.1: asks a client that waits for it to send the body, once somebody wants it.
fn say_continue(c: &mut Connection, task: &mut Task) {
    let is_fresh = task.intake.as_ref().is_some_and(Intake::is_fresh);
    if is_fresh && c.input.is_empty() && task.run.x.head.expects_continue {
        // Too small to be cut short; a client that is gone shows at the next read.
        c.socket.write(b"HTTP/1.1 100 Continue\r\n\r\n");
        task.run.x.head.expects_continue = false;
    }
}
