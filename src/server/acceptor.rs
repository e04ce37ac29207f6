//! The acceptor: owns the listeners, the parked connections' deadlines and the messages to the process. It
//! does no file, DNS or TLS work and never waits for a worker: a full queue is answered with a fast 503.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_channel::Receiver;
use mio::{Events, Interest, Poll, Token, Waker};

use super::connection::{Connection, Job, Phase, Why};
use super::listen::Listener;
use super::refusal::{self, Refusals};
use super::shared::{Current, Entry, Shared};
use super::slot::{self, Parked, Slot};
use super::transport::Transport;
use super::{Fresh, Message, Reloader};
use crate::exchange::counters;
use crate::features::listen::Address;
use crate::server::signals::Signal;

/// Tokens from here on are not connections.
const SPECIAL: usize = 0xffff_0000;
const WAKE: usize = 0xffff_ffff;
/// How often deadlines are looked at, in milliseconds.
const SWEEP: u64 = 100;
/// How long accepting pauses when descriptors or memory are short, in milliseconds.
const PAUSE: u64 = 500;
/// How many connections one listener takes before others get a turn.
const BATCH: usize = 256;
/// How long a connection that sent nothing yet is waited for in a graceful stop, in milliseconds.
const GRACE: u64 = 2000;
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
    poll: Poll,
    shared: Arc<Shared>,
    messages: Receiver<Message>,
    /// By number; none for one that a reload took away.
    listeners: Vec<Option<Listener>>,
    /// Listeners that may have more connections waiting.
    hungry: Vec<usize>,
    chunks: Vec<Arc<[Slot<Box<Connection>>]>>,
    /// Work that found the queue full and cannot be refused any more.
    backlog: VecDeque<Job>,
    /// How many connections there may be.
    most: u32,
    /// Until when accepting pauses.
    paused: Option<u64>,
    next_sweep: u64,
    number: u64,
    refusals: Refusals,
    reloader: Reloader,
    loading: bool,
    /// Another reload was asked for while one was under way.
    reload_again: bool,
    /// During a graceful stop: when it is cut short.
    stop_by: Option<u64>,
    shutdown_timeout: Option<Duration>,
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
        messages: Receiver<Message>,
        listeners: Vec<Listener>,
        reloader: Reloader,
    ) -> io::Result<Self> {
        let current = shared.current();
        let mut acceptor = Acceptor {
            poll,
            shared,
            messages,
            listeners: Vec::new(),
            hungry: Vec::new(),
            chunks: Vec::new(),
            backlog: VecDeque::new(),
            most: 0,
            paused: None,
            next_sweep: 0,
            number: 0,
            refusals: Refusals::default(),
            reloader,
            loading: false,
            reload_again: false,
            stop_by: None,
            shutdown_timeout: None,
        };
        acceptor.take_limits(&current);
        for listener in listeners {
            acceptor.listen(None, listener)?;
        }
        Ok(acceptor)
    }

    /// Accepts, hands over and watches deadlines until the server is told to stop.
    pub fn run(mut self) -> Ended {
        let mut events = Events::with_capacity(1024);
        loop {
            if let Err(error) = self.poll.poll(&mut events, self.wait())
                && error.kind() != ErrorKind::Interrupted
            {
                log::error!("epoll_wait() failed: {error}");
            }
            for event in &events {
                self.event(event.token(), event.is_read_closed());
            }
            while let Ok(message) = self.messages.try_recv() {
                if let Some(ended) = self.message(message) {
                    return ended;
                }
            }
            self.retry();
            let now = self.shared.clock.now();
            if now >= self.next_sweep {
                self.next_sweep = now + SWEEP;
                self.sweep(now);
                if self.shared.is_stopping() {
                    // A worker that had not heard of the stop yet may have parked one meanwhile.
                    self.close_idle(now);
                }
                self.refusals.log(now);
            }
            if self.shared.is_stopping() {
                if self.shared.slots.used() == 0 {
                    return Ended::Gracefully;
                }
                if self.stop_by.is_some_and(|by| now >= by) {
                    log::warn!("worker_shutdown_timeout is over; open connections are closed");
                    return Ended::AtOnce;
                }
            }
        }
    }

    fn wait(&self) -> Option<Duration> {
        let busy = self.shared.slots.used() > 0 || self.paused.is_some() || self.refusals.unsaid();
        match () {
            () if !self.hungry.is_empty() && self.paused.is_none() => Some(Duration::ZERO),
            () if !self.backlog.is_empty() => Some(Duration::from_millis(1)),
            () if self.shared.is_stopping() => Some(Duration::from_millis(10)),
            () if busy => Some(Duration::from_millis(SWEEP)),
            () => None,
        }
    }

    fn event(&mut self, token: Token, ended: bool) {
        let low = token.0 & 0xffff_ffff;
        if low == WAKE {
            return;
        }
        if low >= SPECIAL {
            return self.accept(low - SPECIAL);
        }
        let Some(slot) = slot::find(&self.chunks, token.0) else { return };
        if ended {
            slot.mark_ended();
        }
        if let Some(connection) = slot.notify() {
            self.dispatch(Job { connection, why: Why::Ready });
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

    fn welcome(&mut self, number: usize, mut socket: Transport, peer: Option<std::net::SocketAddr>) {
        counters::accepted();
        let full = self.shared.slots.used() >= self.most && !self.make_room();
        if full {
            self.refusals.connections_full();
            refusal::send(&mut socket);
            if self.shared.slots.used() >= self.most.saturating_add(refusal::LINGERING) {
                return;
            }
        }
        let place = self.shared.slots.claim();
        let (chunk, at) = place.position();
        if chunk >= self.chunks.len() {
            self.chunks = self.shared.slots.chunks();
        }
        let token = Token(place.token());
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(socket.source(), token, interest) {
            return log::error!("epoll_ctl() failed: {error}");
        }
        self.number += 1;
        let mut connection = Box::new(Connection::new(place, socket, number as u32, self.number, peer));
        connection.drained = true;
        if full {
            return self.refuse(connection);
        }
        counters::handled();
        let time = self.shared.head_timeout(number);
        let deadline = self.shared.clock.now() + time;
        connection.deadline = deadline;
        if let Some(connection) = self.chunks[chunk][at].park(connection, Parked::Idle, deadline) {
            self.dispatch(Job { connection, why: Why::Ready });
        }
    }

    /// Closes the connections that are idle longest; false if none is idle.
    fn make_room(&mut self) -> bool {
        let mut idle: Vec<(u64, &Slot<Box<Connection>>)> = Vec::new();
        for slot in self.chunks.iter().flat_map(|chunk| chunk.iter()) {
            if slot.parked() == Some(Parked::Idle) {
                idle.push((slot.deadline(), slot));
            }
        }
        if idle.is_empty() {
            return false;
        }
        let most = (idle.len() / SPARED).clamp(1, ROOM);
        idle.select_nth_unstable_by_key(most - 1, |(deadline, _)| *deadline);
        let closed = idle[..most].iter().filter(|(_, slot)| slot.take_parked(Parked::Idle).is_some()).count();
        closed > 0
    }

    // --- handing over ---

    fn dispatch(&mut self, job: Job) {
        if let Err(job) = self.shared.jobs.send(job) {
            self.overflow(job);
        }
    }

    /// The queue is full: a new request is refused at once, anything else waits for its turn.
    fn overflow(&mut self, job: Job) {
        let Job { mut connection, why } = job;
        match connection.phase {
            // During a graceful stop nothing accepted is refused, and nothing new comes.
            Phase::Idle | Phase::Head(_) if !self.shared.is_stopping() => {
                self.refusals.queue_full();
                refusal::send(&mut connection.socket);
                self.refuse(connection);
            }
            Phase::Lingering { .. } if why == Why::Expired => {}
            _ => self.backlog.push_back(Job { connection, why }),
        }
    }

    /// Lets a client that got its 503 finish what it is sending, so that the close does not become a reset.
    fn refuse(&mut self, mut connection: Box<Connection>) {
        connection.socket.finish();
        let until = self.shared.clock.now() + refusal::LINGER;
        connection.input = Vec::new();
        connection.phase = Phase::Lingering { until, silence: refusal::LINGER };
        connection.deadline = until;
        let (chunk, at) = connection.place.position();
        if let Some(connection) = self.chunks[chunk][at].park(connection, Parked::Busy, until) {
            self.backlog.push_back(Job { connection, why: Why::Ready });
        }
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
    fn sweep(&mut self, now: u64) {
        for i in 0..self.chunks.len() {
            let chunk = self.chunks[i].clone();
            for slot in chunk.iter() {
                let Some(connection) = slot.expire(now) else { continue };
                match connection.phase {
                    Phase::Idle | Phase::Lingering { .. } if connection.deadline <= now => {}
                    _ => self.dispatch(Job { connection, why: Why::Expired }),
                }
            }
        }
    }

    // --- messages ---

    fn message(&mut self, message: Message) -> Option<Ended> {
        match message {
            Message::Signal(Signal::Stop) => return Some(Ended::AtOnce),
            Message::Signal(Signal::Quit) if self.shared.is_stopping() => return Some(Ended::AtOnce),
            Message::Signal(Signal::Quit) => self.stop(),
            Message::Signal(Signal::Reload) if self.shared.is_stopping() => {
                log::info!("a reload is asked for while the server stops: not done");
            }
            // The conf may have changed after it was read.
            Message::Signal(Signal::Reload) if self.loading => self.reload_again = true,
            Message::Signal(Signal::Reload) => {
                self.loading = true;
                self.reloader.start();
            }
            Message::Signal(Signal::Reopen) => self.reloader.reopen(self.shared.current()),
            Message::Overflow(job) => self.overflow(*job),
            Message::Loaded(fresh) => {
                self.loading = false;
                if let Some(fresh) = fresh
                    && !self.shared.is_stopping()
                {
                    self.adopt(*fresh);
                }
                if std::mem::take(&mut self.reload_again) {
                    return self.message(Message::Signal(Signal::Reload));
                }
            }
        }
        None
    }

    /// A graceful stop: no new connections, idle ones are closed, the others are answered.
    fn stop(&mut self) {
        for number in 0..self.listeners.len() {
            self.accept_rest(number);
        }
        self.shared.stopping.store(true, Relaxed);
        self.hungry.clear();
        self.listeners.clear();
        let now = self.shared.clock.now();
        self.stop_by = self.shutdown_timeout.map(|time| now + time.as_millis() as u64);
        self.close_idle(now);
    }

    /// Takes what the kernel has accepted for a listener that is about to close: it is ours to answer.
    fn accept_rest(&mut self, number: usize) {
        loop {
            self.hungry.retain(|&hungry| hungry != number);
            self.accept(number);
            if self.paused.is_some() || !self.hungry.contains(&number) {
                return;
            }
        }
    }

    /// Looks a last time whether a request has come on the idle connections; a worker closes those without one.
    fn close_idle(&mut self, now: u64) {
        for i in 0..self.chunks.len() {
            let chunk = self.chunks[i].clone();
            for slot in chunk.iter() {
                let Some(mut connection) = slot.take_parked(Parked::Idle) else { continue };
                if connection.requests > 0 {
                    self.dispatch(Job { connection, why: Why::Ready });
                    continue;
                }
                connection.deadline = connection.deadline.min(now + GRACE);
                let deadline = connection.deadline;
                if let Some(connection) = slot.park(connection, Parked::Idle, deadline) {
                    self.dispatch(Job { connection, why: Why::Ready });
                }
            }
        }
    }

    /// Takes over new settings: listeners that stay are not touched, new ones are added, the others go.
    fn adopt(&mut self, fresh: Fresh) {
        let Fresh { settings, logs, opened } = fresh;
        for number in 0..self.listeners.len() {
            let stays = |known: &Listener| settings.sockets.iter().any(|socket| socket.address == *known.address());
            if self.listeners[number].as_ref().is_some_and(|known| !stays(known)) {
                self.accept_rest(number);
            }
        }
        let mut entries = self.shared.current().entries.clone();
        for entry in &mut entries {
            entry.gone = true;
        }
        let mut opened = opened;
        for socket in &settings.sockets {
            let entry = Entry { socket: socket.clone(), settings: settings.clone(), gone: false };
            let kept = self
                .listeners
                .iter()
                .position(|known| known.as_ref().is_some_and(|known| *known.address() == socket.address));
            if let Some(number) = kept {
                entries[number] = entry;
                continue;
            }
            let Some(at) = opened.iter().position(|listener| *listener.address() == socket.address) else { continue };
            // An address that was listened on before gets its number back, so that entries do not pile up.
            let back = (0..entries.len()).find(|&n| entries[n].gone && entries[n].socket.address == socket.address);
            match back {
                Some(number) => entries[number] = entry,
                None => entries.push(entry),
            }
            if let Err(error) = self.listen(back, opened.swap_remove(at)) {
                log::error!("cannot listen on {}: {error}", socket.address);
            }
        }
        let mut closed = Vec::new();
        for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.gone) {
            if let Some(mut listener) = self.listeners[number].take() {
                // Closing it would do as well; this only tidies up.
                let _ = self.poll.registry().deregister(listener.source());
                log::info!("no longer listening on {}", entry.socket.address);
                closed.push(entry.socket.address.clone());
            }
        }
        if settings.main.process.pool != self.shared.current().settings.main.process.pool {
            log::warn!("a changed thread_pool takes effect when the server is started again");
        }
        let current = Current { settings, entries, logs };
        self.take_limits(&current);
        self.shared.replace(current);
        log::info!("the new configuration is in force");
        if closed.iter().any(|address| matches!(address, Address::Unix(_))) {
            // No other reload may open them again meanwhile.
            self.loading = true;
            self.reloader.remove_files(closed);
        }
    }

    /// Listens from now on, under a number that was given back or a new one.
    fn listen(&mut self, number: Option<usize>, mut listener: Listener) -> io::Result<()> {
        let number = number.unwrap_or(self.listeners.len());
        if number == self.listeners.len() {
            self.listeners.push(None);
        }
        let done = self.poll.registry().register(listener.source(), Token(SPECIAL + number), Interest::READABLE);
        self.listeners[number] = Some(listener);
        // A connection may have come before the registration.
        self.still_hungry(number);
        done
    }

    fn take_limits(&mut self, current: &Current) {
        let main = &current.settings.main;
        self.most =
            u32::try_from(main.events.worker_connections.saturating_mul(main.process.workers)).unwrap_or(u32::MAX);
        self.shutdown_timeout = main.process.shutdown_timeout;
    }
}

fn is_shortage(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}
