//! The engine: an acceptor thread, a pool of workers, and the connections that move between them.

pub mod acceptor;
mod alarm;
mod announcement;
mod answer;
mod bells;
mod body;
mod chunks;
mod clock;
mod closer;
pub mod connection;
mod control;
pub mod control_client;
pub mod control_socket;
pub mod current;
pub mod daemon;
#[cfg(test)]
mod deadlines;
mod downstream;
mod drive;
mod driver;
mod ear;
mod endpoint;
pub mod events;
mod greeting;
mod h1;
mod handshake;
mod inbox;
pub mod keeper;
mod link;
pub mod listen;
pub mod logfile;
mod marks;
mod news;
pub mod open;
#[cfg(test)]
mod panics;
pub mod parent;
mod pauses;
pub mod pid_file;
mod pipes;
pub mod pool;
mod reading;
mod refusal;
pub mod request;
mod schedule;
mod sent;
mod serving;
pub mod shared;
pub mod signals;
pub mod slot;
pub mod socket_file;
mod source;
mod task;
pub mod tls;
pub mod transport;
mod tunnel;
mod turns;
mod verbs;
pub mod verdicts;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::conf::listening::Address;
use crate::exchange::counters::Connections;
use crate::exchange::engine::Engine;
use crate::settings::Settings;
use current::{Current, Entry};
use keeper::Keeper;
use listen::Listener;
use logfile::Logs;
use shared::Shared;
use signals::Signal;
use slot::{Kind, Parked};

pub use acceptor::Ended;
pub use inbox::Inbox;

/// At least so many idle workers wait for news, so that one that is busy leaves another.
const WATCHERS: usize = 2;

/// What other threads tell the acceptor.
pub enum Message {
    /// A signal came.
    Signal(Signal),
    /// A reload has ended: with new settings, or with none since the conf was refused.
    Loaded(Option<Box<Fresh>>),
    /// A parked connection is to be woken at this time, sooner than deadlines are looked at.
    Soon {
        /// Milliseconds on the server's clock.
        at: u64,
        /// The connection's token.
        token: usize,
    },
    /// A connection was woken while the queue was full.
    Overflow(Box<connection::Job>),
}

/// New settings with what they need.
pub struct Fresh {
    /// The settings.
    pub settings: Arc<Settings>,
    /// Their log files.
    pub logs: Arc<Logs>,
    /// Listeners for addresses that were not listened on before.
    pub opened: Vec<Listener>,
}

/// Has the keeper work, each time on a thread of its own: it reads files and opens sockets.
pub struct Reloader {
    keeper: Arc<dyn Keeper>,
    shared: Arc<Shared>,
    inbox: Inbox,
}

impl Reloader {
    fn start(&self) {
        let (keeper, shared, inbox) = (self.keeper.clone(), self.shared.clone(), self.inbox.clone());
        let work = move || {
            // Without an answer no reload would ever be done again.
            let fresh = catch_unwind(AssertUnwindSafe(|| keeper.load(&shared.current()))).unwrap_or_default();
            inbox.send(Message::Loaded(fresh.map(Box::new)));
        };
        if let Err(error) = std::thread::Builder::new().name("loader".into()).spawn(work) {
            log::error!("cannot start the loader: {error}");
            self.keeper.refused(&format!("cannot start the loader: {error}"));
            self.inbox.send(Message::Loaded(None));
        }
    }

    /// Removes the files of Unix sockets that closed. Like a reload it ends with a message.
    fn remove_files(&self, closed: Vec<Address>) {
        let (keeper, inbox) = (self.keeper.clone(), self.inbox.clone());
        let work = move || {
            keeper.remove(&closed);
            inbox.send(Message::Loaded(None));
        };
        if let Err(error) = std::thread::Builder::new().name("loader".into()).spawn(work) {
            log::error!("cannot remove the files of closed sockets: {error}");
            self.inbox.send(Message::Loaded(None));
        }
    }

    fn reopen(&self, current: Arc<Current>) {
        let keeper = self.keeper.clone();
        let work = move || {
            let of_gone = current.entries.iter().filter(|entry| entry.gone).map(|entry| &entry.settings);
            for settings in std::iter::once(&current.settings).chain(of_gone) {
                settings.scopes().iter().for_each(|scope| scope.access_log.close_kept());
            }
            keeper.reopen(&current);
        };
        if let Err(error) = std::thread::Builder::new().name("loader".into()).spawn(work) {
            log::error!("cannot reopen the logs: {error}");
        }
    }
}

/// A server that is ready to run.
pub struct Server {
    acceptor: acceptor::Acceptor,
    closing: closer::Closing,
    shared: Arc<Shared>,
    bells: Arc<bells::Bells>,
    link: Arc<dyn Engine>,
    threads: usize,
    inbox: Inbox,
}

impl Server {
    /// A server over open listeners, one for each socket of the settings and in their order.
    pub fn new(
        settings: Arc<Settings>,
        logs: Arc<Logs>,
        listeners: Vec<Listener>,
        keeper: Arc<dyn Keeper>,
    ) -> std::io::Result<Server> {
        let pool = settings.main.process.pool;
        let entry = |socket: &Arc<_>| Entry {
            socket: Arc::clone(socket),
            settings: settings.clone(),
            logs: logs.clone(),
            gone: false,
        };
        let entries = settings.sockets.iter().map(entry).collect();
        let threads = pool.threads.max(1);
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let jobs = pool::Pool::new(pool.max_queue, processors.max(WATCHERS).min(threads))?;
        let shared = Shared::new(jobs, Current { settings: settings.clone(), entries, logs, past: Vec::new() });
        let (poll, waker) = acceptor::poll_and_waker()?;
        let (inbox, mail) = Inbox::new(waker);
        let (closer, closing) = closer::Closer::new(shared.clone(), inbox.clone());
        let reloader = Reloader { keeper, shared: shared.clone(), inbox: inbox.clone() };
        let bells = Arc::<bells::Bells>::default();
        let link = Arc::new(link::Link::new(bells.clone(), shared.clone(), inbox.clone()));
        let ear = ear::Ear::new(shared.slots.clone(), bells.clone());
        let acceptor = acceptor::Acceptor::new(poll, shared.clone(), ear, (mail, closer), listeners, reloader)?;
        Ok(Server { acceptor, closing, shared, bells, link, threads, inbox })
    }

    /// Where signals and the like are sent.
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// Starts the pool, says so, and accepts until the server is told to stop. The calling thread is the acceptor.
    pub fn run(self, started: impl FnOnce()) -> std::io::Result<Ended> {
        schedule::as_batch();
        for n in 0..self.threads {
            let ear = ear::Ear::new(self.shared.slots.clone(), self.bells.clone());
            let worker = worker::Worker::new(self.shared.clone(), ear, self.link.clone(), self.inbox.clone());
            std::thread::Builder::new().name(format!("worker-{n}")).spawn(move || worker.run())?;
        }
        std::thread::Builder::new().name("closer".into()).spawn(move || self.closing.run())?;
        let slots = self.shared.slots.clone();
        crate::exchange::counters::watch(move || count(&slots));
        started();
        Ok(self.acceptor.run())
    }
}

/// What the open connections do, seen from their slots.
fn count(slots: &slot::Slots<Box<connection::Connection>>) -> Connections {
    let mut all = Connections { active: u64::from(slots.used(Kind::Client)), ..Connections::default() };
    for slot in slots.all().filter(|slot| slot.kind() == Kind::Client) {
        match slot.parked() {
            Some(Parked::Idle) => all.waiting += 1,
            Some(Parked::Head) => all.reading += 1,
            _ => {}
        }
    }
    all.writing = all.active.saturating_sub(all.waiting + all.reading);
    all
}
