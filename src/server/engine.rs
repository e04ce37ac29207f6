//! The engine put together: the acceptor, the workers, the closer, and what they share.

use std::sync::Arc;

use super::acceptor::{self, Acceptor, Ended};
use super::bells::Bells;
use super::checks::Checks;
use super::closer::{Closer, Closing};
use super::connection::Carrier;
use super::current::{Current, Entry};
use super::ear::Ear;
use super::inbox::Inbox;
use super::keeper::Keeper;
use super::link::Link;
use super::listen::Listener;
use super::logfile::Logs;
use super::pool::Pool;
use super::reloader::Reloader;
use super::schedule;
use super::shared::Shared;
use super::slot::{Kind, Parked, Slots};
use super::worker::Worker;
use crate::exchange::counters::Connections;
use crate::exchange::engine::Engine;
use crate::settings::Settings;

/// At least so many idle workers wait for news, so that one that is busy leaves another.
const WATCHERS: usize = 2;

/// A server that is ready to run.
pub struct Server {
    pub(super) acceptor: Acceptor,
    closing: Closing,
    pub(super) shared: Arc<Shared>,
    bells: Arc<Bells>,
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
        let jobs = Pool::new(pool.max_queue, processors.max(WATCHERS).min(threads))?;
        let shared = Shared::new(jobs, Current { settings: settings.clone(), entries, logs, past: Vec::new() });
        let (poll, waker) = acceptor::poll_and_waker()?;
        let (inbox, mail) = Inbox::new(waker);
        let (closer, closing) = Closer::new(shared.clone(), inbox.clone());
        let reloader = Reloader::new(keeper, shared.clone(), inbox.clone());
        let bells = Arc::<Bells>::default();
        let link: Arc<dyn Engine> = Arc::new(Link::new(bells.clone(), shared.clone(), inbox.clone()));
        let ear = Ear::new(shared.slots.clone(), bells.clone());
        let acceptor =
            Acceptor::new(poll, shared.clone(), ear, (mail, closer, Checks::new(link.clone())), listeners, reloader)?;
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
            let ear = Ear::new(self.shared.slots.clone(), self.bells.clone());
            let worker = Worker::new(self.shared.clone(), ear, self.link.clone(), self.inbox.clone());
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
fn count(slots: &Slots<Carrier>) -> Connections {
    let mut all = Connections { active: u64::from(slots.used(Kind::Client)), ..Connections::default() };
    for slot in slots.all().filter(|slot| slot.kind() == Kind::Client) {
        match slot.parked() {
            Some(Parked::Idle) => all.waiting += 1,
            Some(Parked::Head) => all.reading += 1,
            _ => {}
        }
    }
    all.errands = u64::from(slots.used(Kind::Errand));
    all.writing = all.active.saturating_sub(all.waiting + all.reading);
    all
}
