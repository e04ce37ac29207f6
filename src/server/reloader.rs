//! A keeper's work beside the engine: a reload, new log files, the files of closed sockets. Each is done on a thread of its own and ends with a
//! message.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::current::Current;
use super::inbox::{Inbox, Message};
use super::keeper::Keeper;
use super::shared::Shared;
use crate::conf::listening::Address;

/// Has the keeper work, each time on a thread of its own: it reads files and opens sockets.
pub struct Reloader {
    /// Who does the work.
    pub keeper: Arc<dyn Keeper>,
    shared: Arc<Shared>,
    inbox: Inbox,
}

impl Reloader {
    /// One that reports to this inbox.
    pub fn new(keeper: Arc<dyn Keeper>, shared: Arc<Shared>, inbox: Inbox) -> Self {
        Reloader { keeper, shared, inbox }
    }

    /// Loads the conf anew.
    pub fn start(&self) {
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
    pub fn remove_files(&self, closed: Vec<Address>) {
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

    /// Opens the log files anew.
    pub fn reopen(&self, current: Arc<Current>) {
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
