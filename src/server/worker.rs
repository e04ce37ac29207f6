//! One worker: takes a connection, drives it through its phases as far as it goes without waiting for
//! the client, and parks or closes it. What a phase does stands here; how a request begins and how
//! it is answered stand in `request` and `answer`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::{Connection, Job, Partial, Phase, Rest, Task, Why};
use super::output::Progress;
use super::shared::{Current, Shared};
use super::slot::{Parked, Slot};
use super::transport::Io;
use crate::exchange::engine::Engine;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Wait;
use crate::http::head::Head;
use crate::pipeline::Outcome;

/// Bytes of the read buffer, one for each worker.
const BUFFER: usize = 64 << 10;
/// What one connection may send in one turn before others get theirs.
const SHARE: u64 = 4 << 20;
/// How many requests of one connection are served in one turn.
const REQUESTS: u32 = 64;
/// A client that has room for more within so many milliseconds is a fast one.
const FAST: u64 = 100;
/// What is thrown away of one connection in one turn.
const DISCARD: usize = 1 << 20;

/// How a turn of a phase ended.
pub(super) enum Turn {
    /// Go on with the phase that was left behind.
    Go,
    /// The client must be waited for, until this deadline.
    Park(Parked, u64),
    /// Others get their turn first.
    Yield,
    /// Done with the connection.
    Close,
}

/// One thread of the pool.
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) current: Arc<Current>,
    version: u64,
    /// Where sockets are read into.
    buffer: Vec<u8>,
    /// Where heads of answers are written.
    pub(super) out: Vec<u8>,
    /// A head whose memory can be used again.
    pub(super) spare: Head,
    /// The second that `date` shows.
    pub(super) date: (u64, String),
    chunks: Vec<Arc<[Slot<Box<Connection>>]>>,
    pub(super) link: Option<Arc<dyn Engine>>,
}

impl Worker {
    /// A worker of this server.
    pub fn new(shared: Arc<Shared>, link: Arc<dyn Engine>) -> Self {
        let (version, current) = (shared.version(), shared.current());
        Worker {
            shared,
            current,
            version,
            buffer: vec![0; BUFFER],
            out: Vec::with_capacity(4096),
            spare: Head::default(),
            date: (0, String::new()),
            chunks: Vec::new(),
            link: Some(link),
        }
    }

    /// Works until the process ends. A panic costs the connection it happened on, never the worker.
    pub fn run(mut self) {
        let woken = Arc::default();
        loop {
            let job = self.shared.jobs.receive(&woken);
            let work = AssertUnwindSafe(|| self.drive(job));
            if catch_unwind(work).is_err() {
                log::error!("a worker panicked outside a handler; its connection was closed");
            }
        }
    }

    /// Drives one connection as far as it goes.
    fn drive(&mut self, job: Job) {
        if self.shared.version() != self.version {
            self.version = self.shared.version();
            self.current = self.shared.current();
        }
        let Job { mut connection, why } = job;
        connection.drained = false;
        let starved = matches!(&connection.phase, Phase::Sending(task) if task.starved);
        let waits = starved || matches!(connection.phase, Phase::Waiting(_));
        if why == Why::Expired && connection.deadline <= self.now() && !waits {
            return self.expire(*connection);
        }
        let mut first = connection.requests;
        loop {
            if connection.requests.wrapping_sub(first) > REQUESTS
                && matches!(connection.phase, Phase::Idle | Phase::Head(_))
            {
                match self.requeue(connection) {
                    Some(back) => connection = back,
                    None => return,
                }
                first = connection.requests;
            }
            match self.turn(&mut connection) {
                Turn::Go => {}
                Turn::Close => return,
                Turn::Yield => match self.requeue(connection) {
                    Some(back) => connection = back,
                    None => return,
                },
                Turn::Park(how, deadline) => match self.park(connection, how, deadline) {
                    Some(back) => connection = back,
                    None => return,
                },
            }
        }
    }

    fn turn(&mut self, c: &mut Connection) -> Turn {
        match std::mem::replace(&mut c.phase, Phase::Closed) {
            Phase::Idle => self.idle(c),
            Phase::Head(partial) => self.head(c, partial),
            Phase::Body(task) => self.body(c, task),
            Phase::Waiting(task) => self.wait(c, task),
            Phase::Sending(task) => {
                if !task.starved {
                    self.judge_speed(c);
                }
                self.send(c, task)
            }
            Phase::Draining(rest) => self.drain(c, rest),
            Phase::Lingering { until, silence } => self.linger(c, until, silence),
            Phase::Closed => Turn::Close,
        }
    }

    /// Parks a connection; it comes back at once if its socket had news meanwhile.
    fn park(&mut self, mut c: Box<Connection>, how: Parked, deadline: u64) -> Option<Box<Connection>> {
        c.deadline = deadline;
        let (chunk, at) = c.place.position();
        if chunk >= self.chunks.len() {
            self.chunks = self.shared.slots.chunks();
        }
        let mut back = self.chunks[chunk][at].park(c, how, deadline)?;
        back.drained = false;
        Some(back)
    }

    /// Puts a connection behind the others; it comes back if nobody else waits.
    fn requeue(&mut self, connection: Box<Connection>) -> Option<Box<Connection>> {
        if self.shared.jobs.is_empty() {
            return Some(connection);
        }
        let sent = self.shared.jobs.send(Job { connection, why: Why::Ready });
        sent.err().map(|job| job.connection)
    }

    pub(super) fn now(&self) -> u64 {
        self.shared.clock.now()
    }

    pub(super) fn after(&self, time: Duration) -> u64 {
        self.now().saturating_add(time.as_millis() as u64)
    }

    // --- reading a head ---

    /// Waits for the first byte of a request.
    fn idle(&mut self, c: &mut Connection) -> Turn {
        c.pipelined = c.requests > 0 && !c.input.is_empty();
        if !c.input.is_empty() {
            let input = std::mem::take(&mut c.input);
            return self.first_bytes(c, Input::Kept(input));
        }
        if c.drained {
            return self.rest(c);
        }
        match c.socket.read(&mut self.buffer) {
            Io::Bytes(n) => {
                c.drained = self.is_drained(c, n);
                self.first_bytes(c, Input::Buffer(n))
            }
            Io::Blocked => {
                c.drained = true;
                self.rest(c)
            }
            Io::End | Io::Gone => Turn::Close,
        }
    }

    /// Whether a read of so many bytes emptied the socket: it was a short one, and no end of file waits behind it.
    fn is_drained(&self, c: &Connection, n: usize) -> bool {
        n < self.buffer.len() && !c.place.slot().has_ended()
    }

    /// Parks an idle connection for as long as the conf allows.
    fn rest(&mut self, c: &mut Connection) -> Turn {
        c.phase = Phase::Idle;
        let scope = &self.default_server(c).scope;
        let (time, stopping) = match c.requests {
            0 => (scope.request_head.timeout, Duration::from_secs(2)),
            _ => (scope.keepalive.timeout, Duration::ZERO),
        };
        let time = if self.shared.is_stopping() { time.min(stopping) } else { time };
        if c.requests > 0 && time.is_zero() {
            return Turn::Close;
        }
        // A kept deadline: `keepalive_timeout` of the location that answered last.
        let deadline = if c.requests > 0 && c.deadline != 0 { c.deadline } else { self.after(time) };
        Turn::Park(Parked::Idle, deadline)
    }

    /// The first bytes of a request: usually all of it, straight from the read buffer.
    fn first_bytes(&mut self, c: &mut Connection, input: Input) -> Turn {
        crate::exchange::counters::request();
        let mut partial = Partial { scanner: Default::default(), started: Instant::now(), deadline: 0 };
        let limits = self.default_server(c).scope.request_head.clone();
        let bytes = match &input {
            Input::Buffer(n) => &self.buffer[..*n],
            Input::Kept(bytes) => bytes,
        };
        match partial.scanner.scan(bytes, &limits.limits) {
            Ok(Some(len)) => {
                let mut head = std::mem::take(&mut self.spare);
                let parsed = head.parse(&bytes[..len], &limits.limits);
                c.input.extend_from_slice(&bytes[len..]);
                self.begin(c, head, partial.started, parsed.err())
            }
            Ok(None) => {
                c.input.extend_from_slice(bytes);
                partial.deadline = self.after(limits.timeout);
                c.phase = Phase::Head(Box::new(partial));
                Turn::Go
            }
            Err(error) => {
                let mut head = std::mem::take(&mut self.spare);
                head.note_line(bytes);
                self.begin(c, head, partial.started, Some(error))
            }
        }
    }

    /// The rest of a head that came in pieces.
    fn head(&mut self, c: &mut Connection, mut partial: Box<Partial>) -> Turn {
        if c.drained {
            let deadline = partial.deadline;
            c.phase = Phase::Head(partial);
            return Turn::Park(Parked::Head, deadline);
        }
        match c.socket.read(&mut self.buffer) {
            Io::Bytes(n) => {
                c.drained = self.is_drained(c, n);
                c.input.extend_from_slice(&self.buffer[..n]);
            }
            Io::Blocked => {
                c.drained = true;
                c.phase = Phase::Head(partial);
                return Turn::Go;
            }
            Io::End | Io::Gone => return self.give_up(c, partial.started, 400, "client prematurely closed connection"),
        }
        let limits = self.default_server(c).scope.request_head.clone();
        let mut head = std::mem::take(&mut self.spare);
        match partial.scanner.scan(&c.input, &limits.limits) {
            Ok(Some(len)) => {
                let parsed = head.parse(&c.input[..len], &limits.limits);
                c.input.drain(..len);
                self.begin(c, head, partial.started, parsed.err())
            }
            Ok(None) => {
                self.spare = head;
                c.phase = Phase::Head(partial);
                Turn::Go
            }
            Err(error) => {
                head.note_line(&c.input);
                c.input = Vec::new();
                self.begin(c, head, partial.started, Some(error))
            }
        }
    }

    // --- the request's way through the pipeline ---

    /// Lets the pipeline go on. A panic in a handler costs the request: 500, and the connection closes.
    pub(super) fn advance(&mut self, c: &mut Connection, mut task: Box<Task>) -> Turn {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            super::panics::panic_if_asked(&task.run.x, "handler");
            task.run.advance()
        }));
        let outcome = outcome.unwrap_or_else(|_| {
            let mut error = HttpError::new(500, "panic").log(Level::Alert, "a handler panicked");
            error.close = true;
            task.run.refuse_plainly(error)
        });
        self.act(c, task, outcome)
    }

    pub(super) fn act(&mut self, c: &mut Connection, mut task: Box<Task>, outcome: Outcome) -> Turn {
        match outcome {
            Outcome::Respond(response) => self.respond(c, task, *response),
            Outcome::Wait(Wait::Until(moment) | Wait::News(moment)) => {
                let deadline = self.shared.clock.at(moment);
                c.phase = Phase::Waiting(task);
                match deadline <= self.now() {
                    true => Turn::Go,
                    false => Turn::Park(Parked::Busy, deadline),
                }
            }
            Outcome::NeedBody(sink) => {
                let limit = task.run.scope.request_body.max;
                if let Some(intake) = &mut task.intake {
                    intake.keep(sink, limit);
                    if intake.is_fresh() && c.input.is_empty() && task.run.x.head.expects_continue {
                        // Too small to be cut short; a client that is gone shows at the next read.
                        c.socket.write(b"HTTP/1.1 100 Continue\r\n\r\n");
                        task.run.x.head.expects_continue = false;
                    }
                }
                c.phase = Phase::Body(task);
                Turn::Go
            }
            Outcome::Close => {
                let sent = &mut task.run.x.sent;
                if sent.status == 0 {
                    sent.status = 444;
                }
                if sent.status == 444 {
                    self.reset_if_asked(c, &task);
                }
                self.record(&mut task);
                Turn::Close
            }
        }
    }

    /// Goes on with a request that waited, unless its client has left meanwhile.
    fn wait(&mut self, c: &mut Connection, mut task: Box<Task>) -> Turn {
        if c.socket.has_ended() {
            task.run.x.report(Level::Info, "client closed connection while its request waited");
            task.run.x.sent.status = 499;
            self.record(&mut task);
            return Turn::Close;
        }
        self.advance(c, task)
    }

    /// Reads the body into its sink; once it is whole the pipeline goes on.
    fn body(&mut self, c: &mut Connection, mut task: Box<Task>) -> Turn {
        loop {
            let Some(intake) = &mut task.intake else { return self.advance(c, task) };
            let taken = match c.input.is_empty() {
                false => {
                    let taken = intake.take(&c.input);
                    if let Ok((n, _)) = taken {
                        c.input.drain(..n);
                    }
                    taken
                }
                true if c.drained => {
                    let deadline = self.after(task.run.scope.request_body.timeout);
                    c.phase = Phase::Body(task);
                    return Turn::Park(Parked::Busy, deadline);
                }
                true => match c.socket.read(&mut self.buffer) {
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
                        Ok((0, false))
                    }
                    Io::End | Io::Gone => {
                        task.run.x.report(Level::Info, "client prematurely closed connection");
                        task.run.x.sent.status = 400;
                        self.record(&mut task);
                        return Turn::Close;
                    }
                },
            };
            match taken {
                Ok((_, true)) => {
                    let received = task.intake.take().map(super::intake::Intake::finish);
                    task.run.x.received = received.unwrap_or_default();
                    return self.advance(c, task);
                }
                Ok((_, false)) => {}
                Err(mut error) => {
                    // Where the body would end is not known any more.
                    error.close = true;
                    task.intake = None;
                    task.linger = true;
                    let outcome = task.run.refuse(error);
                    return self.act(c, task, outcome);
                }
            }
        }
    }

    // --- sending and what comes after ---

    /// Sends what the socket takes.
    pub(super) fn send(&mut self, c: &mut Connection, mut task: Box<Task>) -> Turn {
        let sending = &task.run.scope.sending;
        let most = if sending.max_chunk == 0 { u64::MAX } else { sending.max_chunk };
        let (before, timeout) = (task.output.sent, sending.timeout);
        let resumed = std::mem::take(&mut task.starved);
        let progress = task.output.send(&mut c.socket, SHARE, most.min(SHARE));
        let x = &mut task.run.x;
        x.sent.bytes = task.output.sent;
        x.sent.body_bytes = task.output.sent.saturating_sub(task.head_len);
        match progress {
            Progress::Done => self.answered(c, task),
            Progress::Blocked => {
                // What a client sends meanwhile wakes us too; that is no progress and buys it no time.
                if resumed || task.output.sent > before {
                    c.deadline = self.after(timeout);
                    c.parked = self.now();
                } else if c.fast {
                    c.fast = false;
                    c.socket.bound_unsent(Some(super::listen::UNSENT));
                }
                let deadline = c.deadline;
                c.phase = Phase::Sending(task);
                Turn::Park(Parked::Busy, deadline)
            }
            Progress::Starved if c.socket.has_ended() => {
                x.report(Level::Info, "client closed connection while the answer was made");
                self.record(&mut task);
                Turn::Close
            }
            Progress::Starved => {
                let deadline = task.output.stream_deadline().map_or(super::slot::NEVER, |at| self.shared.clock.at(at));
                task.starved = true;
                c.phase = Phase::Sending(task);
                Turn::Park(Parked::Busy, deadline)
            }
            Progress::Broken => {
                x.report(Level::Error, "the answer broke off: its source ended too early");
                self.record(&mut task);
                Turn::Close
            }
            Progress::Yield => {
                c.deadline = self.after(timeout);
                c.phase = Phase::Sending(task);
                Turn::Yield
            }
            Progress::Gone => {
                x.report(Level::Info, "client closed connection while the answer was sent");
                self.record(&mut task);
                Turn::Close
            }
            Progress::Shrunk => {
                x.report(Level::Alert, "the file became shorter while it was sent");
                self.record(&mut task);
                Turn::Close
            }
        }
    }

    /// Lifts the bound on unsent bytes for a client that takes them at once, and puts it back when the client
    /// has become slow.
    fn judge_speed(&mut self, c: &mut Connection) {
        let fast = self.now().saturating_sub(c.parked) < FAST;
        if fast != c.fast {
            c.fast = fast;
            c.socket.bound_unsent((!fast).then_some(super::listen::UNSENT));
        }
    }

    /// Throws away the rest of a request's body, then the connection is idle.
    fn drain(&mut self, c: &mut Connection, mut rest: Box<Rest>) -> Turn {
        for _ in 0..DISCARD / BUFFER {
            let taken = match c.input.is_empty() {
                false => {
                    let taken = rest.intake.take(&c.input);
                    if let Ok((n, _)) = taken {
                        c.input.drain(..n);
                    }
                    taken
                }
                true if c.drained => {
                    let deadline = rest.until.min(self.now().saturating_add(rest.silence));
                    c.phase = Phase::Draining(rest);
                    return Turn::Park(Parked::Busy, deadline);
                }
                true => match c.socket.read(&mut self.buffer) {
                    Io::Bytes(n) => {
                        c.drained = self.is_drained(c, n);
                        let taken = rest.intake.take(&self.buffer[..n]);
                        if let Ok((used, _)) = taken {
                            c.input.extend_from_slice(&self.buffer[used..n]);
                        }
                        taken
                    }
                    Io::Blocked => {
                        c.drained = true;
                        Ok((0, false))
                    }
                    Io::End | Io::Gone => return Turn::Close,
                },
            };
            match taken {
                Ok((_, true)) => {
                    c.deadline = self.now().saturating_add(rest.keep);
                    c.phase = Phase::Idle;
                    return Turn::Go;
                }
                Ok((_, false)) if rest.until > self.now() => {}
                Ok((_, false)) => return Turn::Close,
                Err(_) => {
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

    /// Our end is closed; throws away what the client still sends, so that the close does not become a reset
    /// that would eat our answer.
    fn linger(&mut self, c: &mut Connection, until: u64, silence: u64) -> Turn {
        c.input = Vec::new();
        for _ in 0..DISCARD / BUFFER {
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

    // --- time is up ---

    fn expire(&mut self, mut c: Connection) {
        match std::mem::replace(&mut c.phase, Phase::Closed) {
            Phase::Head(partial) => {
                self.give_up(&mut c, partial.started, 408, "client timed out");
            }
            Phase::Body(mut task) => {
                task.run.x.report(Level::Info, "client timed out");
                task.run.x.sent.status = 408;
                self.reset_if_asked(&mut c, &task);
                self.record(&mut task);
            }
            Phase::Sending(mut task) => {
                task.run.x.report(Level::Info, "client timed out");
                self.reset_if_asked(&mut c, &task);
                self.record(&mut task);
            }
            _ => {}
        }
    }

    pub(super) fn reset_if_asked(&mut self, c: &mut Connection, task: &Task) {
        if task.run.scope.sending.reset_timedout {
            c.socket.reset_on_close();
        }
    }
}

/// Where the first bytes of a request lie.
enum Input {
    /// In the read buffer, so many.
    Buffer(usize),
    /// They were read with the request before.
    Kept(Vec<u8>),
}
