//! A worker's turns: it takes a connection, drives it through its phases as far as it goes without waiting for the client, and parks or
//! closes it. What the phases do stands in `announcement`, `handshake`, `reading`, `request`, `serving` and `tunnel`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::connection::{Carrier, Connection, Job, Phase, Why};
use super::inbox::Message;
use super::request::late_head;
use super::slot::Parked;
use super::worker::{Turn, Worker};
use crate::exchange::error::Level;

/// How many requests of one connection are served in one turn.
const REQUESTS: u32 = 64;

/// The acceptor is told of wake-ups sooner than this, in milliseconds.
pub(super) const SOON: u64 = 2 * super::acceptor::SWEEP;

impl Worker {
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
            let Some(carrier) = self.ear.hear(event) else { continue };
            let job = Job::ready(carrier);
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

    /// Drives what it got as far as it goes.
    fn drive(&mut self, job: Job) {
        self.take_current();
        match job.carrier {
            Carrier::Client(connection) => self.drive_client(connection, job.why),
            Carrier::Errand(errand) if job.why == Why::Cut => errand.give_up("the server ends"),
            Carrier::Errand(errand) => self.run_errand(errand),
        }
    }

    fn drive_client(&mut self, mut connection: Box<Connection>, why: Why) {
        connection.hear();
        self.time.begin_turn();
        if why == Why::Cut {
            return self.cut(*connection);
        }
        if why == Why::Expired && connection.deadline <= self.time.now() && !connection.waits_for_us() {
            return self.expire(*connection);
        }
        let mut first = connection.requests;
        loop {
            if connection.requests.wrapping_sub(first) > REQUESTS
                && matches!(connection.phase, Phase::Idle | Phase::Head(_))
            {
                match self.requeue(Carrier::Client(connection)).and_then(Carrier::client) {
                    Some(back) => connection = back,
                    None => return,
                }
                first = connection.requests;
            }
            match self.turn(&mut connection) {
                Turn::Go => self.time.begin_turn(),
                Turn::Close => return,
                Turn::Yield => match self.requeue(Carrier::Client(connection)).and_then(Carrier::client) {
                    Some(back) => {
                        connection = back;
                        self.time.begin_turn();
                    }
                    None => return,
                },
                // A client whose bytes keep waking us is never seen parked when deadlines are looked at.
                Turn::Park(_, deadline) if deadline <= self.time.now() && !connection.waits_for_us() => {
                    return self.expire(*connection);
                }
                Turn::Park(how, deadline) => match self.park(connection, how, deadline) {
                    Some(back) => {
                        connection = back;
                        self.time.begin_turn();
                    }
                    None => return,
                },
            }
        }
    }

    fn turn(&mut self, c: &mut Connection) -> Turn {
        match std::mem::replace(&mut c.phase, Phase::Closed) {
            Phase::Idle => self.idle(c),
            Phase::Greeting(greeting) => self.greet(c, greeting),
            Phase::Head(partial) => self.head(c, partial),
            Phase::Exchange(carried) => self.go_on(c, carried),
            Phase::Tunnel(carried, pipes) => self.tunnel(c, carried, pipes),
            Phase::Draining(rest) => self.drain(c, rest),
            Phase::Lingering { until, silence } => self.linger(c, until, silence),
            Phase::Closed => Turn::Close,
        }
    }

    /// Parks a connection; it comes back at once if its socket had news meanwhile.
    fn park(&mut self, mut c: Box<Connection>, how: Parked, deadline: u64) -> Option<Box<Connection>> {
        c.deadline = deadline;
        // By the clock itself: the step that asks for a short delay may have worked for long.
        if c.waits_for_us() && deadline.saturating_sub(self.time.clock().now()) < SOON && c.is_new_alarm(deadline) {
            // The look at deadlines is too coarse for the delays of a limit.
            self.inbox.send(Message::Soon { at: deadline, token: c.place.token() });
        }
        if let Err(error) = c.be_watched(self.shared.jobs.news()) {
            log::error!("epoll_ctl() failed: {error}");
            return None;
        }
        let mut back = self.shared.slots.of(c.place.token()).park(Carrier::Client(c), how, deadline)?.client()?;
        back.hear();
        Some(back)
    }

    /// Puts a carrier behind the others; it comes back if nobody else waits.
    pub(super) fn requeue(&mut self, carrier: Carrier) -> Option<Carrier> {
        if self.shared.jobs.is_empty() {
            self.shared.jobs.look(&mut self.events);
            if let Some(job) = self.hear() {
                self.put(job);
            }
            // The look may have taken a wake-up that was meant for the queue.
            if self.shared.jobs.is_empty() {
                return Some(carrier);
            }
        }
        let sent = self.shared.jobs.send(Job::ready(carrier));
        sent.err().map(|job| job.carrier)
    }

    /// Ends what is under way when the server waits for it no longer.
    fn cut(&mut self, mut c: Connection) {
        match std::mem::replace(&mut c.phase, Phase::Closed) {
            Phase::Exchange(carried) => self.cut_exchange(&mut c, carried),
            Phase::Tunnel(mut carried, _) => self.end_tunnel(&mut carried.task),
            _ => {}
        }
    }

    fn expire(&mut self, mut c: Connection) {
        match std::mem::replace(&mut c.phase, Phase::Closed) {
            Phase::Greeting(_) => {
                self.report_handshake(&c, Level::Info, "client timed out (110: Connection timed out)")
            }
            Phase::Head(partial) => {
                self.abandon(&mut c, partial.started, late_head);
            }
            Phase::Exchange(carried) => self.expire_exchange(&mut c, carried),
            Phase::Tunnel(mut carried, _) => self.end_tunnel(&mut carried.task),
            _ => {}
        }
    }
}
