//! The engine as requests see it: registers their descriptors beside the client's socket, with a mark of their own, and
//! wakes them.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::bells::Bells;
use super::connection::Job;
use super::inbox::{Inbox, Message};
use super::shared::Shared;
use super::slot::{OURS, Slot};
use crate::exchange::engine::{Bell, Engine};

/// What requests reach of the engine.
pub struct Link {
    bells: Arc<Bells>,
    shared: Arc<Shared>,
    inbox: Inbox,
}

impl Link {
    /// A link to this engine.
    pub fn new(bells: Arc<Bells>, shared: Arc<Shared>, inbox: Inbox) -> Self {
        Link { bells, shared, inbox }
    }
}

impl Engine for Link {
    fn watch(&self, connection: usize, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.shared.jobs.news().watch(descriptor, connection | OURS, true)
    }

    fn hang(&self, connection: usize, socket: BorrowedFd<'_>, writes: bool) -> io::Result<Option<Box<dyn Bell>>> {
        self.bells.hang(self.shared.jobs.news(), connection, socket, writes).map(Some)
    }

    fn wake(&self, connection: usize) {
        self.rouse(connection);
        self.tell();
    }

    fn tell(&self) {
        self.shared.jobs.tell();
    }

    fn rouse(&self, connection: usize) {
        let Some(carrier) = self.shared.slots.find(connection).and_then(Slot::notify) else { return };
        if let Err(job) = self.shared.jobs.push(Job::ready(carrier)) {
            self.inbox.send(Message::Overflow(Box::new(job)));
        }
    }
}
