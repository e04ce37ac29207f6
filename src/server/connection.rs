//! A connection as a value that moves between acceptor and workers, and the phase that its socket is in. In every phase a
//! worker that would have to wait parks it; the phase holds all progress. What carries an exchange knows none of them.
//! Beside it stand errands: a slot holds a carrier, which is one or the other, and so does a job of the pool.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::endpoint::Endpoint;
use super::errand::Errand;
use super::greeting::Greeting;
use super::h1::Sending;
use super::news::News;
use super::pipes::Pipes;
use super::slot::{NEVER, Place};
use super::task::{Stage, Task};
use super::transport::Transport;
use crate::exchange::Announced;
use crate::exchange::body_reader::BodyReader;
use crate::exchange::tls::Security;
use crate::http::head::Scanner;

/// One client's connection.
pub struct Connection {
    /// Its slot; freed when the connection is dropped.
    pub place: Place<Carrier>,
    /// Its socket.
    pub endpoint: Endpoint,
    /// Which listener it came in by.
    pub listener: u32,
    /// How many requests it brought.
    pub requests: u32,
    /// Whether the current request was there before the one before it was answered.
    pub pipelined: bool,
    /// Its number since the process started.
    pub number: u64,
    /// The client's address; none on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Whether nothing is to be read that a proxy says of its client.
    pub is_announced: bool,
    /// What a proxy said.
    pub announced: Option<Arc<Announced>>,
    /// How it is protected.
    pub security: Security,
    /// When it was accepted.
    pub connected: Instant,
    /// Where it stands.
    pub phase: Phase,
    /// When it must have got on, in milliseconds on the server's clock.
    pub deadline: u64,
}

const _: () = assert!(size_of::<Connection>() <= 216, "a connection that is idle costs this, its slot and its socket");

/// What a socket is doing.
pub enum Phase {
    /// Nothing of a request has come.
    Idle,
    /// The handshake of TLS is under way.
    Greeting(Box<Greeting>),
    /// A part of a head has come; it was read ahead.
    Head(Box<Partial>),
    /// It carries an exchange.
    Exchange(Box<Carried>),
    /// It has switched protocols.
    Tunnel(Box<Carried>, Box<Pipes>),
    /// The response is out; the rest of the request's body is thrown away, then the connection is idle.
    Draining(Box<Rest>),
    /// The response is out and so is our end; what the client still sends is thrown away.
    Lingering {
        /// When that ends at the latest.
        until: u64,
        /// How long it may be silent, in milliseconds.
        silence: u64,
    },
    /// Nothing more to do.
    Closed,
}

/// A head that is still coming in.
pub struct Partial {
    /// Where the look for its end stands.
    pub scanner: Scanner,
    /// When its first byte came.
    pub started: Instant,
    /// When it must be whole.
    pub deadline: u64,
}

/// An exchange, and how far its response has come on this socket.
pub struct Carried {
    /// The exchange.
    pub task: Task,
    /// Its response on the way.
    pub sending: Sending,
}

/// What is left of a request's body after its response.
pub struct Rest {
    /// The body.
    pub body: BodyReader,
    /// When it must have ended.
    pub until: u64,
    /// How long the client may be silent, in milliseconds.
    pub silence: u64,
    /// How long the connection is kept afterwards, in milliseconds.
    pub keep: u64,
}

impl Connection {
    /// A fresh connection.
    pub fn new(place: Place<Carrier>, socket: Transport, listener: u32, number: u64, peer: Option<SocketAddr>) -> Self {
        Connection {
            place,
            endpoint: Endpoint::new(socket),
            listener,
            requests: 0,
            pipelined: false,
            number,
            peer,
            is_announced: false,
            announced: None,
            security: Security::Plain,
            connected: Instant::now(),
            phase: Phase::Idle,
            deadline: NEVER,
        }
    }

    /// Ensures that news of the socket wakes it.
    pub fn be_watched(&mut self, news: &News) -> io::Result<()> {
        let waits_to_write = match &self.phase {
            Phase::Greeting(_) | Phase::Tunnel(..) => true,
            Phase::Exchange(carried) => carried.task.stage == Stage::Sending,
            _ => false,
        };
        self.endpoint.watch(news, self.place.token(), waits_to_write)
    }

    /// Whether nothing is under way on it, and its time has passed.
    pub fn is_over(&self, now: u64) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Lingering { .. }) && self.deadline <= now
    }

    /// Whether something of ours is waited for, not the client: its deadline is a wake-up.
    pub fn waits_for_us(&self) -> bool {
        matches!(&self.phase, Phase::Exchange(carried) if carried.task.waits_for_us())
    }

    /// Whether the acceptor has not been told yet to wake it at this moment. A request that is woken often in between waits for the same
    /// moment again and again, and telling it wakes the acceptor.
    pub fn is_new_alarm(&mut self, at: u64) -> bool {
        match &mut self.phase {
            Phase::Exchange(carried) => std::mem::replace(&mut carried.task.alarm, at) != at,
            _ => true,
        }
    }

    /// Takes the slot's word whether the client's socket is worth a look.
    pub fn hear(&mut self) {
        self.endpoint.drained &= !self.place.slot().take_heard();
    }
}

/// What carries exchanges.
pub enum Carrier {
    /// A client's connection.
    Client(Box<Connection>),
    /// A request of our own.
    Errand(Box<Errand<Place<Carrier>>>),
}

impl Carrier {
    /// The connection, if it is a client's.
    pub fn client(self) -> Option<Box<Connection>> {
        match self {
            Carrier::Client(connection) => Some(connection),
            Carrier::Errand(_) => None,
        }
    }
}

/// Why a worker gets a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It has news, or it was put back in the queue to give others a turn.
    Ready,
    /// Its deadline has passed.
    Expired,
    /// The server ends and waits no longer.
    Cut,
}

/// One piece of work for the pool.
pub struct Job {
    /// The carrier; the worker owns it until it parks or ends it.
    pub carrier: Carrier,
    /// Why.
    pub why: Why,
}

impl Job {
    /// A carrier has news.
    pub fn ready(carrier: Carrier) -> Job {
        Job { carrier, why: Why::Ready }
    }
}
