//! The thread that writes what the acceptor has to say to clients that go: TLS's goodbye on a connection that was idle, the fast 503 to
//! one that there is no room for. So nothing that has to be sealed and written holds up who comes, and it does not wait for a worker
//! either: they may all be busy. Knows no request: none was read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crossbeam_channel::{Receiver, Sender};

use super::connection::{Carrier, Connection, Job, Phase};
use super::inbox::{Inbox, Message};
use super::refusal;
use super::shared::Shared;
use super::slot::Parked;
use super::transport::Transport;

/// How many may wait to be turned away; more are closed without a word.
const MOST: usize = 1024;

/// The last word to a client.
pub enum Farewell {
    /// Nothing more comes.
    Goodbye(Transport),
    /// There is no room, and none to wait until the response is read. Who may know is told why.
    TurnAway(Transport, Option<&'static str>),
    /// There is no room; the connection is kept until the response is read.
    Refuse(Box<Connection>, Option<&'static str>),
}

impl Farewell {
    /// How many clients it turns away: one or none.
    fn turns(&self) -> usize {
        usize::from(matches!(self, Farewell::TurnAway(..)))
    }
}

/// The acceptor's end.
pub struct Closer {
    sender: Sender<Farewell>,
    waiting: Arc<Waiting>,
}

/// How many farewells were not said yet.
#[derive(Debug, Default)]
struct Waiting {
    all: AtomicUsize,
    /// Those among them to clients that are turned away.
    turned: AtomicUsize,
}

/// The thread's end.
pub struct Closing {
    receiver: Receiver<Farewell>,
    waiting: Arc<Waiting>,
    shared: Arc<Shared>,
    inbox: Inbox,
}

impl Closer {
    /// Both ends.
    pub fn new(shared: Arc<Shared>, inbox: Inbox) -> (Closer, Closing) {
        // Each that waits has a descriptor, so their number is bounded by how many of these the process may have.
        let (sender, receiver) = crossbeam_channel::unbounded();
        let waiting = Arc::<Waiting>::default();
        (Closer { sender, waiting: waiting.clone() }, Closing { receiver, waiting, shared, inbox })
    }

    /// Has it said.
    pub fn say(&self, farewell: Farewell) {
        let farewell = match farewell {
            Farewell::TurnAway(mut socket, _) if self.waiting.turned.load(SeqCst) >= MOST => {
                return socket.fall_silent();
            }
            farewell => farewell,
        };
        self.waiting.turned.fetch_add(farewell.turns(), SeqCst);
        self.waiting.all.fetch_add(1, SeqCst);
        // The thread is there until the process ends.
        let _ = self.sender.send(farewell);
    }

    /// Ends a connection on which nothing is under way. Its slot is free at once.
    pub fn close(&self, connection: Box<Connection>) {
        if connection.endpoint.socket.has_goodbye() {
            self.say(Farewell::Goodbye(connection.endpoint.socket));
        }
    }

    /// Whether everything was said.
    pub fn is_done(&self) -> bool {
        self.waiting.all.load(SeqCst) == 0
    }
}

impl Closing {
    /// Works until the process ends.
    pub fn run(self) {
        for farewell in &self.receiver {
            let turns = farewell.turns();
            if catch_unwind(AssertUnwindSafe(|| self.say(farewell))).is_err() {
                log::error!("the closer panicked; a connection was closed");
            }
            self.waiting.turned.fetch_sub(turns, SeqCst);
            self.waiting.all.fetch_sub(1, SeqCst);
        }
    }

    fn say(&self, farewell: Farewell) {
        match farewell {
            // TLS says it when it is dropped.
            Farewell::Goodbye(socket) => drop(socket),
            Farewell::TurnAway(mut socket, why) => refusal::send(&mut socket, why),
            Farewell::Refuse(connection, why) => self.refuse(connection, why),
        }
    }

    /// Lets a client that got its 503 finish what it is sending, so that the close does not become a reset.
    fn refuse(&self, mut connection: Box<Connection>, why: Option<&str>) {
        refusal::send(&mut connection.endpoint.socket, why);
        connection.endpoint.socket.finish();
        let until = self.shared.clock.now() + refusal::LINGER;
        connection.endpoint.input = Vec::new();
        connection.phase = Phase::Lingering { until, silence: refusal::LINGER };
        connection.deadline = until;
        if let Err(error) = connection.be_watched(self.shared.jobs.news()) {
            return log::error!("epoll_ctl() failed: {error}");
        }
        let slot = self.shared.slots.of(connection.place.token());
        if let Some(carrier) = slot.park(Carrier::Client(connection), Parked::Busy, until)
            && let Err(job) = self.shared.jobs.send(Job::ready(carrier))
        {
            self.inbox.send(Message::Overflow(Box::new(job)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::socket::Socket;

    #[test]
    fn goodbyes_take_no_room_from_those_who_are_turned_away() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let closer = Closer { sender, waiting: Arc::default() };
        let socket = || Transport::Plain(Socket::Unix(mio::net::UnixStream::pair().unwrap().0));
        closer.waiting.all.store(MOST, SeqCst);
        closer.say(Farewell::TurnAway(socket(), None));
        closer.say(Farewell::Goodbye(socket()));
        assert_eq!((receiver.len(), closer.waiting.turned.load(SeqCst)), (2, 1));
        closer.waiting.turned.store(MOST, SeqCst);
        closer.say(Farewell::TurnAway(socket(), None));
        closer.say(Farewell::Goodbye(socket()));
        assert_eq!((receiver.len(), closer.waiting.turned.load(SeqCst)), (3, MOST));
    }
}
