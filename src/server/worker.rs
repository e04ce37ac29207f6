//! What one worker has: the settings in force, the time, memory that is used again, and what it heard and has not looked at. The phases of a
//! connection are written over it; who calls them stands in `turns`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::clock::Time;
use super::current::Current;
use super::ear::Ear;
use super::h1::Scratch;
use super::inbox::Inbox;
use super::news::Event;
use super::shared::Shared;
use super::slot::Parked;
use crate::exchange::engine::Engine;
use crate::http::head::Head;

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
    pub(super) time: Time,
    pub(super) scratch: Scratch,
    /// A head whose memory can be used again.
    pub(super) spare: Head,
    pub(super) link: Option<Arc<dyn Engine>>,
    pub(super) inbox: Inbox,
    pub(super) ear: Ear,
    /// What the kernel told and was not looked at yet.
    pub(super) events: Vec<Event>,
    /// Set by who ends its sleep.
    pub(super) woken: Arc<AtomicBool>,
}

impl Worker {
    /// A worker of this server.
    pub fn new(shared: Arc<Shared>, ear: Ear, link: Arc<dyn Engine>, inbox: Inbox) -> Self {
        let (version, current, time) = (shared.version(), shared.current(), Time::by(shared.clock.clone()));
        Worker {
            shared,
            current,
            version,
            time,
            scratch: Scratch::new(),
            spare: Head::default(),
            link: Some(link),
            inbox,
            ear,
            events: Vec::new(),
            woken: Arc::default(),
        }
    }

    /// The settings in force, if they have changed.
    pub(super) fn take_current(&mut self) {
        if self.shared.version() != self.version {
            self.version = self.shared.version();
            self.current = self.shared.current();
        }
    }
}
