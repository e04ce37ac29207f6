//! One worker: takes a connection, drives it through its phases as far as it goes without waiting for
//! the client, and parks or closes it. What the phases do stands in `reading`, `request`, `body` and `answer`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::body::Passed;
use super::connection::{Connection, Job, Phase, Task, Why};
use super::ear::Ear;
use super::news::Event;
use super::request::{late_body, late_head};
use super::shared::{Current, Shared};
use super::slot::Parked;
use super::{Inbox, Message};
use crate::exchange::engine::Engine;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Wait;
use crate::http::head::Head;
use crate::pipeline::{Feeding, Outcome};

/// Bytes of the read buffer, one for each worker.
pub(super) const BUFFER: usize = 64 << 10;
/// How many requests of one connection are served in one turn.
const REQUESTS: u32 = 64;

/// The acceptor is told of wake-ups sooner than this, in milliseconds.
const SOON: u64 = 2 * super::acceptor::SWEEP;

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
    /// When this turn began, in milliseconds on the server's clock.
    now: u64,
    /// Where sockets are read into.
    pub(super) buffer: Vec<u8>,
    /// Where heads of answers are written.
    pub(super) out: Vec<u8>,
    /// A head whose memory can be used again.
    pub(super) spare: Head,
    /// The second that `date` shows.
    pub(super) date: (u64, String),
    pub(super) link: Option<Arc<dyn Engine>>,
    inbox: Inbox,
    ear: Ear,
    /// What the kernel told and was not looked at yet.
    events: Vec<Event>,
    /// Set by who ends its sleep.
    woken: Arc<AtomicBool>,
}

impl Worker {
    /// A worker of this server.
    pub fn new(shared: Arc<Shared>, ear: Ear, link: Arc<dyn Engine>, inbox: Inbox) -> Self {
        let (version, current) = (shared.version(), shared.current());
        Worker {
            shared,
            current,
            version,
            now: 0,
            buffer: vec![0; BUFFER],
            out: Vec::with_capacity(4096),
            spare: Head::default(),
            date: (0, String::new()),
            link: Some(link),
            inbox,
            ear,
            events: Vec::new(),
            woken: Arc::default(),
        }
    }

    /// Works until the process ends. A panic costs the connection it happened on, never the worker.
    pub fn run(mut self) {
        loop {
            let job = self.next();
            let work = AssertUnwindSafe(|| self.drive(job));
            if catch_unwind(work).is_err() {
                log::error!("a worker panicked outside a handler; its connection was closed");
            }
        }
    }

    /// The next piece of work, for as long as it takes.
    fn next(&mut self) -> Job {
        loop {
            if let Some(job) = self.shared.jobs.take() {
                return job;
            }
            self.shared.jobs.rest(&self.woken, &mut self.events);
            if let Some(job) = self.hear() {
                return job;
            }
        }
    }

    /// The first piece of work among what the kernel told. The others are for whoever is free first.
    fn hear(&mut self) -> Option<Job> {
        let (mut first, mut events) = (None, std::mem::take(&mut self.events));
        for event in events.drain(..) {
            let Some(connection) = self.ear.hear(event) else { continue };
            let job = Job { connection, why: Why::Ready };
            match first {
                None => first = Some(job),
                Some(_) => self.put(job),
            }
        }
        self.events = events;
        first
    }

    /// Queues work; what the queue cannot hold the acceptor refuses, or keeps.
    fn put(&self, job: Job) {
        if let Err(job) = self.shared.jobs.put(job) {
            self.inbox.send(Message::Overflow(Box::new(job)));
        }
    }

    /// Drives one connection as far as it goes.
    fn drive(&mut self, job: Job) {
        self.take_current();
        let Job { mut connection, why } = job;
        hear(&mut connection);
        self.now = self.shared.clock.now();
        if why == Why::Expired && connection.deadline <= self.now() && !waits_for_us(&connection) {
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
                Turn::Go => self.now = self.shared.clock.now(),
                Turn::Close => return,
                Turn::Yield => match self.requeue(connection) {
                    Some(back) => {
                        connection = back;
                        self.now = self.shared.clock.now();
                    }
                    None => return,
                },
                // A client whose bytes keep waking us is never seen parked when deadlines are looked at.
                Turn::Park(_, deadline) if deadline <= self.now() && !waits_for_us(&connection) => {
                    return self.expire(*connection);
                }
                Turn::Park(how, deadline) => match self.park(connection, how, deadline) {
                    Some(back) => {
                        connection = back;
                        self.now = self.shared.clock.now();
                    }
                    None => return,
                },
            }
        }
    }

    /// The settings in force, if they have changed.
    pub(super) fn take_current(&mut self) {
        if self.shared.version() != self.version {
            self.version = self.shared.version();
            self.current = self.shared.current();
        }
    }

    fn turn(&mut self, c: &mut Connection) -> Turn {
        match std::mem::replace(&mut c.phase, Phase::Closed) {
            Phase::Idle => self.idle(c),
            Phase::Greeting(greeting) => self.greet(c, greeting),
            Phase::Head(partial) => self.head(c, partial),
            Phase::Body(task) => self.body(c, task),
            Phase::Waiting(task) => self.wait(c, task),
            Phase::Sending(task) => self.send(c, task),
            Phase::Tunnel(task, pipes) => self.tunnel(c, task, pipes),
            Phase::Draining(rest) => self.drain(c, rest),
            Phase::Lingering { until, silence } => self.linger(c, until, silence),
            Phase::Closed => Turn::Close,
        }
    }

    /// Parks a connection; it comes back at once if its socket had news meanwhile.
    fn park(&mut self, mut c: Box<Connection>, how: Parked, deadline: u64) -> Option<Box<Connection>> {
        c.deadline = deadline;
        // By the clock itself: the step that asks for a short delay may have worked for long.
        if waits_for_us(&c) && deadline.saturating_sub(self.shared.clock.now()) < SOON && is_new_alarm(&mut c, deadline)
        {
            // The look at deadlines is too coarse for the delays of a limit.
            self.inbox.send(Message::Soon { at: deadline, token: c.place.token() });
        }
        if let Err(error) = c.be_watched(self.shared.jobs.news()) {
            log::error!("epoll_ctl() failed: {error}");
            return None;
        }
        let mut back = self.shared.slots.of(c.place.token()).park(c, how, deadline)?;
        hear(&mut back);
        Some(back)
    }

    /// Puts a connection behind the others; it comes back if nobody else waits.
    fn requeue(&mut self, connection: Box<Connection>) -> Option<Box<Connection>> {
        if self.shared.jobs.is_empty() {
            self.shared.jobs.look(&mut self.events);
            if let Some(job) = self.hear() {
                self.put(job);
            }
            // The look may have taken a wake-up that was meant for the queue.
            if self.shared.jobs.is_empty() {
                return Some(connection);
            }
        }
        let sent = self.shared.jobs.send(Job { connection, why: Why::Ready });
        sent.err().map(|job| job.connection)
    }

    /// The moment at which this turn began. Reading the clock costs as much as many a step.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// So long from now: by the clock itself, since what was done in this turn is nobody's delay but ours.
    pub(super) fn after(&self, time: Duration) -> u64 {
        self.shared.clock.now().saturating_add(time.as_millis() as u64)
    }

    /// Lets the pipeline go on. A panic in a handler costs the request: 500, and the connection closes.
    pub(super) fn advance(&mut self, c: &mut Connection, mut task: Box<Task>) -> Turn {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            super::panics::panic_if_asked(&task.run.x, "handler");
            task.run.advance(&c.input)
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
                // What a script says while it runs is in the log at once.
                self.write_reports(&mut task);
                match self.pass_on(c, &mut task) {
                    Passed::Nothing => {}
                    Passed::More => {
                        c.phase = Phase::Waiting(task);
                        return Turn::Yield;
                    }
                    how => return self.broken_off(c, task, how),
                }
                let deadline = deadline.min(task.body_by);
                // No further edge would tell of a client that left together with its request.
                let is_over = deadline <= self.now() || task.is_forsaken(c);
                c.phase = Phase::Waiting(task);
                if is_over { Turn::Go } else { Turn::Park(Parked::Busy, deadline) }
            }
            Outcome::Body(feeding) => {
                c.phase = match feeding {
                    Feeding::Whole => Phase::Body(task),
                    Feeding::Beside => Phase::Waiting(task),
                };
                Turn::Go
            }
            Outcome::Interim(interim) => {
                self.say(c, &mut task, &interim);
                self.advance(c, task)
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
    pub(super) fn wait(&mut self, c: &mut Connection, mut task: Box<Task>) -> Turn {
        match self.pass_on(c, &mut task) {
            Passed::More | Passed::Nothing => {}
            how => return self.broken_off(c, task, how),
        }
        if task.has_lost_client(c) {
            let text = "client closed connection while its request waited";
            task.run.give_up(HttpError::new(499, "client-left").log(Level::Info, text));
            self.record(&mut task);
            return Turn::Close;
        }
        self.advance(c, task)
    }

    fn expire(&mut self, mut c: Connection) {
        match std::mem::replace(&mut c.phase, Phase::Closed) {
            Phase::Greeting(_) => {
                self.report_handshake(&c, Level::Info, "client timed out (110: Connection timed out)")
            }
            Phase::Head(partial) => {
                self.abandon(&mut c, partial.started, late_head);
            }
            Phase::Body(mut task) => {
                task.run.give_up(late_body());
                self.reset_if_asked(&mut c, &task);
                self.record(&mut task);
            }
            Phase::Tunnel(task, _) => self.end_tunnel(task),
            Phase::Sending(mut task) => {
                task.run.x.report(Level::Info, "client timed out (110: Connection timed out)");
                self.reset_if_asked(&mut c, &task);
                self.record(&mut task);
            }
            _ => {}
        }
    }

    pub(super) fn reset_if_asked(&mut self, c: &mut Connection, task: &Task) {
        if task.run.scope().sending.reset_timedout {
            c.socket.reset_on_close();
        }
    }
}

/// Takes the slot's word whether the client's socket is worth a look.
fn hear(c: &mut Connection) {
    c.drained &= !c.place.slot().take_heard();
}

/// Whether something of ours is waited for, not the client: its deadline is a wake-up.
fn waits_for_us(c: &Connection) -> bool {
    match &c.phase {
        Phase::Waiting(_) => true,
        Phase::Sending(task) => task.starved || task.resume_at.is_some() || task.client_by.is_some(),
        _ => false,
    }
}

/// Whether the acceptor has not been told yet to wake a request at this moment. A request that is woken often in between waits
/// for the same moment again and again, and telling it wakes the acceptor.
fn is_new_alarm(c: &mut Connection, at: u64) -> bool {
    match &mut c.phase {
        Phase::Waiting(task) | Phase::Sending(task) => std::mem::replace(&mut task.alarm, at) != at,
        _ => true,
    }
}
