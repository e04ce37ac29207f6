//! The acceptor: owns the listeners, the parked connections' deadlines and the messages to the process. It hands what it accepts
//! to the workers, and hears for them while none listens. It does no file, DNS or TLS work, writes
//! to no client and never waits for a worker: a full queue is answered with a fast 503, which the closer writes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use super::checks::Checks;
use super::closer::{Closer, Farewell};
use super::connection::{Carrier, Connection, Job, Phase, Why};
use super::ear::Ear;
use super::inbox::Mail;
use super::listen::Listener;
use super::refusal::{self, Refusals};
use super::reloader::Reloader;
use super::shared::Shared;
use super::slot::{Kind, NEVER, Parked, Slot};
use super::socket::{Mute, Socket};
use super::tls::Tls;
use super::transport::Transport;
use crate::exchange::counters;

/// Tokens from here on are not connections.
const SPECIAL: usize = 0xffff_0000;
const WAKE: usize = 0xffff_ffff;
const ALARM: usize = 0xffff_fffe;
/// How often deadlines are looked at, in milliseconds.
pub(super) const SWEEP: u64 = 100;
/// How long accepting pauses when descriptors or memory are short, in milliseconds.
const PAUSE: u64 = 500;
/// How many connections one listener takes before others get a turn.
const BATCH: usize = 256;
/// How often it looks for the workers' news before its own gets a turn.
const LOOKS: usize = 128;
/// How many idle connections make room at once when all are taken.
const ROOM: usize = 32;
/// Of how many idle connections one is closed to make room.
const SPARED: usize = 8;

/// Why the acceptor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A graceful stop: everything that was accepted is answered.
    Gracefully,
    /// A fast stop, or a second signal during a graceful one.
    AtOnce,
}

/// The acceptor.
pub struct Acceptor {
    pub(super) poll: Poll,
    pub(super) shared: Arc<Shared>,
    mail: Mail,
    pub(super) closer: Closer,
    /// Work was queued in this turn, of which no worker was told yet.
    untold: bool,
    /// By number; none for one that a reload took away.
    pub(super) listeners: Vec<Option<Listener>>,
    /// Listeners that may have more connections waiting.
    pub(super) hungry: Vec<usize>,
    /// For the time when every worker is busy.
    ear: Ear,
    /// Work that found the queue full and cannot be refused any more.
    pub(super) backlog: VecDeque<Job>,
    /// Whom to wake sooner than the next look at deadlines: when, and the token.
    pub(super) soon: BinaryHeap<Reverse<(u64, usize)>>,
    /// The health checks of other servers.
    pub(super) checks: Checks,
    /// How many connections there may be.
    pub(super) most: u32,
    /// Until when accepting pauses.
    pub(super) paused: Option<u64>,
    pub(super) next_sweep: u64,
    pub(super) number: u64,
    pub(super) refusals: Refusals,
    pub(super) reloader: Reloader,
    pub(super) loading: bool,
    /// Another reload was asked for while one was under way.
    pub(super) reload_again: bool,
    /// During a graceful stop: when it is cut short.
    pub(super) stop_by: Option<u64>,
    /// Once that time is over: when the process ends, whatever is under way.
    pub(super) cut_by: Option<u64>,
    /// Once no client is left: when errands are cut short.
    pub(super) errands_by: Option<u64>,
    pub(super) shutdown_timeout: Option<Duration>,
}

/// What wakes the acceptor from other threads.
pub fn poll_and_waker() -> io::Result<(Poll, Arc<Waker>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), Token(WAKE))?);
    Ok((poll, waker))
}

impl Acceptor {
    /// An acceptor over listeners that stand in the order of the current entries.
    pub fn new(
        poll: Poll,
        shared: Arc<Shared>,
        ear: Ear,
        (mail, closer, checks): (Mail, Closer, Checks),
        listeners: Vec<Listener>,
        reloader: Reloader,
    ) -> io::Result<Self> {
        let current = shared.current();
        let mut acceptor = Acceptor {
            poll,
            shared,
            mail,
            closer,
            untold: false,
            listeners: Vec::new(),
            hungry: Vec::new(),
            ear,
            backlog: VecDeque::new(),
            soon: BinaryHeap::new(),
            checks,
            most: 0,
            paused: None,
            next_sweep: 0,
            number: 0,
            refusals: Refusals::default(),
            reloader,
            loading: false,
            reload_again: false,
            stop_by: None,
            cut_by: None,
            errands_by: None,
            shutdown_timeout: None,
        };
        acceptor.take_limits(&current);
        acceptor.checks.take(&current);
        let alarm = acceptor.shared.jobs.alarm().as_raw_fd();
        acceptor.poll.registry().register(&mut SourceFd(&alarm), Token(ALARM), Interest::READABLE)?;
        for (number, listener) in listeners.into_iter().enumerate() {
            acceptor.listen(number, listener)?;
        }
        Ok(acceptor)
    }

    /// Accepts, hands over and watches deadlines until the server is told to stop.
    pub fn run(mut self) -> Ended {
        let mut events = Events::with_capacity(1024);
        let _mute = Mute::this_thread();
        loop {
            if let Err(error) = self.poll.poll(&mut events, self.wait())
                && error.kind() != ErrorKind::Interrupted
            {
                log::error!("epoll_wait() failed: {error}");
            }
            for event in &events {
                match event.token().0 {
                    WAKE => {}
                    ALARM if self.shared.jobs.look_after() => self.stand_in(),
                    ALARM => {}
                    listener => self.accept(listener - SPECIAL),
                }
            }
            self.mail.open();
            while let Some(message) = self.mail.next() {
                if let Some(ended) = self.message(message) {
                    return ended;
                }
            }
            self.retry();
            self.wake_due();
            let now = self.shared.clock.now();
            self.check_servers(now);
            if now >= self.next_sweep {
                self.next_sweep = now + SWEEP;
                self.sweep(now);
                if self.shared.is_stopping() {
                    // A worker that had not heard of the stop yet may have parked one meanwhile.
                    self.close_idle(now);
                }
                self.refusals.errands(self.shared.errands.take_unsent());
                self.refusals.log(now);
            }
            self.tell();
            if self.shared.is_stopping() {
                if self.is_answered(now) {
                    // Nothing is left unsaid.
                    self.refusals.errands(self.shared.errands.take_unsent());
                    self.refusals.log(u64::MAX);
                    return Ended::Gracefully;
                }
                if self.is_over(now) {
                    return Ended::AtOnce;
                }
            }
        }
    }

    fn wait(&self) -> Option<Duration> {
        let wait = self.wait_without_soon();
        let soon = self.soon.peek().map_or(NEVER, |Reverse((at, _))| *at);
        let at = soon.min(self.checks.next());
        if at == NEVER {
            return wait;
        }
        let soon = Duration::from_millis(at.saturating_sub(self.shared.clock.now()));
        Some(wait.map_or(soon, |wait| wait.min(soon)))
    }

    /// Wakes those whose short wait is over.
    fn wake_due(&mut self) {
        while let Some(Reverse((at, token))) = self.soon.peek().copied()
            && at <= self.shared.clock.now()
        {
            self.soon.pop();
            self.wake(token);
        }
    }

    fn wake(&mut self, token: usize) {
        if let Some(carrier) = self.shared.slots.find(token).and_then(Slot::notify) {
            self.dispatch(Job::ready(carrier));
        }
    }

    fn wait_without_soon(&self) -> Option<Duration> {
        let busy = !self.shared.slots.is_empty()
            || self.paused.is_some()
            || self.refusals.unsaid()
            || self.shared.errands.is_unsaid();
        match () {
            () if !self.hungry.is_empty() && self.paused.is_none() => Some(Duration::ZERO),
            () if !self.backlog.is_empty() => Some(Duration::from_millis(1)),
            () if self.shared.is_stopping() => Some(Duration::from_millis(10)),
            () if busy => Some(Duration::from_millis(SWEEP)),
            () => None,
        }
    }

    /// Hears for the workers, who are all busy and do not listen: what comes is queued, and refused where the queue is full.
    fn stand_in(&mut self) {
        let mut events = Vec::new();
        for _ in 0..LOOKS {
            self.shared.jobs.look(&mut events);
            if events.is_empty() {
                return;
            }
            for event in events.drain(..) {
                if let Some(carrier) = self.ear.hear(event) {
                    self.dispatch(Job::ready(carrier));
                }
            }
        }
    }

    // --- accepting ---

    fn accept(&mut self, number: usize) {
        if self.paused.is_some() {
            return self.still_hungry(number);
        }
        for _ in 0..BATCH {
            let Some(Some(listener)) = self.listeners.get(number) else { return };
            match listener.accept() {
                Ok((socket, peer)) => self.welcome(number, socket, peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if is_shortage(&error) => {
                    self.still_hungry(number);
                    self.paused = Some(self.shared.clock.now() + PAUSE);
                    return log::error!("accept4() failed ({error}); accepting pauses for {PAUSE} ms");
                }
                // The client left between its connect and our accept, or a signal came.
                Err(_) => {}
            }
        }
        self.still_hungry(number);
    }

    fn still_hungry(&mut self, number: usize) {
        if !self.hungry.contains(&number) {
            self.hungry.push(number);
        }
    }

    fn welcome(&mut self, number: usize, socket: Socket, peer: Option<std::net::SocketAddr>) {
        counters::accepted();
        let (time, tls) = self.shared.arrival(number);
        let socket = match tls {
            true => Transport::Tls(Box::new(Tls::over(socket))),
            false => Transport::Plain(socket),
        };
        let full = self.clients() >= self.most && !self.make_room();
        if full {
            self.refusals.connections_full();
            if self.clients() >= self.most.saturating_add(refusal::LINGERING) {
                let why = self.shared.is_debugger(number, peer).then_some(refusal::CONNECTIONS_FULL);
                return self.closer.say(Farewell::TurnAway(socket, why));
            }
        }
        let place = self.shared.slots.claim(Kind::Client);
        self.number += 1;
        let mut connection = Box::new(Connection::new(place, socket, number as u32, self.number, peer));
        if full {
            return self.refuse(connection, refusal::CONNECTIONS_FULL);
        }
        counters::handled();
        connection.deadline = self.shared.clock.now() + time;
        if let Err(job) = self.shared.jobs.send(Job::ready(Carrier::Client(connection)))
            && let Some(connection) = job.carrier.client()
        {
            // It has asked for nothing yet that could be refused.
            self.park(connection, Parked::Idle);
        }
    }

    /// How many clients have a connection.
    fn clients(&self) -> u32 {
        self.shared.slots.used(Kind::Client)
    }

    /// Leaves a connection to its news and its deadline.
    fn park(&mut self, mut connection: Box<Connection>, how: Parked) {
        if let Err(error) = connection.be_watched(self.shared.jobs.news()) {
            log::error!("epoll_ctl() failed: {error}");
            return self.closer.close(connection);
        }
        let (token, deadline) = (connection.place.token(), connection.deadline);
        if let Some(carrier) = self.shared.slots.of(token).park(Carrier::Client(connection), how, deadline) {
            self.backlog.push_back(Job::ready(carrier));
        }
    }

    /// Closes the connections that are idle longest; false if none is idle.
    fn make_room(&mut self) -> bool {
        let slots = self.shared.slots.clone();
        let mut idle: Vec<(u64, &Slot<Carrier>)> = Vec::new();
        for slot in slots.all() {
            if slot.parked() == Some(Parked::Idle) {
                idle.push((slot.deadline(), slot));
            }
        }
        if idle.is_empty() {
            return false;
        }
        let most = (idle.len() / SPARED).clamp(1, ROOM);
        idle.select_nth_unstable_by_key(most - 1, |(deadline, _)| *deadline);
        let closed = idle[..most].iter().filter_map(|(_, slot)| slot.take_parked(Parked::Idle)?.client());
        closed.map(|connection| self.closer.close(connection)).count() > 0
    }

    // --- handing over ---

    /// Queues work. The first of a turn wakes a worker, and so does the end of the turn: much at once costs two system calls.
    pub(super) fn dispatch(&mut self, job: Job) {
        match self.shared.jobs.push(job) {
            Ok(()) if !std::mem::replace(&mut self.untold, true) => self.shared.jobs.tell(),
            Ok(()) => {}
            Err(job) => self.overflow(job),
        }
    }

    /// Wakes a worker if work was queued in this turn and it waits still.
    fn tell(&mut self) {
        if std::mem::take(&mut self.untold) && !self.shared.jobs.is_empty() {
            self.shared.jobs.tell();
        }
    }

    /// The queue is full: a new request is refused at once, anything else waits for its turn.
    pub(super) fn overflow(&mut self, job: Job) {
        let Job { carrier, why } = job;
        let Carrier::Client(connection) = carrier else { return self.backlog.push_back(Job { carrier, why }) };
        match connection.phase {
            // During a graceful stop nothing accepted is refused, and nothing new comes.
            Phase::Idle | Phase::Head(_) if !self.shared.is_stopping() => {
                self.refusals.queue_full();
                self.refuse(connection, refusal::QUEUE_FULL);
            }
            Phase::Lingering { .. } if why == Why::Expired => self.closer.close(connection),
            _ => self.backlog.push_back(Job { carrier: Carrier::Client(connection), why }),
        }
    }

    /// Has a client told that there is no room for it.
    fn refuse(&self, connection: Box<Connection>, why: &'static str) {
        let is_told = self.shared.is_debugger(connection.listener as usize, connection.peer);
        self.closer.say(Farewell::Refuse(connection, is_told.then_some(why)));
    }

    fn retry(&mut self) {
        while let Some(job) = self.backlog.pop_front() {
            if let Err(job) = self.shared.jobs.send(job) {
                self.backlog.push_front(job);
                break;
            }
        }
        if self.paused.is_some_and(|until| self.shared.clock.now() >= until) {
            self.paused = None;
        }
        if self.paused.is_none() {
            for number in std::mem::take(&mut self.hungry) {
                self.accept(number);
            }
        }
    }

    /// Takes what has waited too long. Idle connections are closed here; the rest may need a log line.
    pub(super) fn sweep(&mut self, now: u64) {
        let slots = self.shared.slots.clone();
        for carrier in slots.all().filter_map(|slot| slot.expire(now)) {
            match carrier {
                Carrier::Client(connection) if connection.is_over(now) => self.closer.close(connection),
                carrier => self.dispatch(Job { carrier, why: Why::Expired }),
            }
        }
    }

    /// Takes what the kernel has accepted for a listener that is about to close: it is ours to answer.
    pub(super) fn accept_rest(&mut self, number: usize) {
        loop {
            self.hungry.retain(|&hungry| hungry != number);
            self.accept(number);
            if self.paused.is_some() || !self.hungry.contains(&number) {
                return;
            }
        }
    }

    /// Listens under a number: a new one, or one whose listener has gone.
    pub(super) fn listen(&mut self, number: usize, mut listener: Listener) -> io::Result<()> {
        let done = self.poll.registry().register(listener.source(), Token(SPECIAL + number), Interest::READABLE);
        match self.listeners.get_mut(number) {
            Some(place) => *place = Some(listener),
            None => self.listeners.push(Some(listener)),
        }
        // A connection may have come before the registration.
        self.still_hungry(number);
        done
    }
}

fn is_shortage(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}
