//! The engine as requests see it: registers their descriptors beside the client's socket, with a mark of their own, and
//! wakes them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::connection::{Job, Why};
use super::shared::Shared;
use super::slot::{OURS, Slot, find};
use super::{Inbox, Message};
use crate::exchange::engine::Engine;

/// What requests reach of the engine.
pub struct Link {
    registry: Registry,
    shared: Arc<Shared>,
    inbox: Inbox,
}

impl Link {
    /// A link to this engine.
    pub fn new(registry: Registry, shared: Arc<Shared>, inbox: Inbox) -> Self {
        Link { registry, shared, inbox }
    }
}

impl Engine for Link {
    fn watch(&self, connection: usize, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let raw = descriptor.as_raw_fd();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut SourceFd(&raw), Token(connection | OURS), interest)
    }

    fn watch_socket(&self, connection: usize, socket: BorrowedFd<'_>, writes: bool, known: bool) -> io::Result<()> {
        let raw = socket.as_raw_fd();
        let interest = if writes { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let token = Token(connection | OURS);
        match known {
            true => self.registry.reregister(&mut SourceFd(&raw), token, interest),
            false => self.registry.register(&mut SourceFd(&raw), token, interest),
        }
    }

    fn wake(&self, connection: usize) {
        let chunks = self.shared.slots.chunks();
        let Some(connection) = find(&chunks, connection).and_then(Slot::notify) else { return };
        if let Err(job) = self.shared.jobs.send(Job { connection, why: Why::Ready }) {
            self.inbox.send(Message::Overflow(Box::new(job)));
        }
    }
}
