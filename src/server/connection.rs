//! A connection as a value that moves between acceptor and workers, and the phase it is in. In every phase a
//! worker that would have to wait parks it; the phase holds all progress.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::greeting::Greeting;
use super::logfile::Logs;
use super::news::News;
use super::output::Output;
use super::slot::{NEVER, Place};
use super::transport::Transport;
use super::tunnel::Pipes;
use crate::exchange::Announced;
use crate::exchange::body_reader::BodyReader;
use crate::exchange::tls::Security;
use crate::http::head::Scanner;
use crate::http::pace::Pace;
use crate::pipeline::Run;

/// One client's connection.
pub struct Connection {
    /// Its slot; freed when the connection is dropped.
    pub place: Place<Box<Connection>>,
    /// Its socket.
    pub socket: Transport,
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
    /// Bytes that were read and belong to the next phase; no buffer while idle.
    pub input: Vec<u8>,
    /// What news of its socket comes.
    pub watched: Watched,
    /// Where it stands.
    pub phase: Phase,
    /// When it must have got on, in milliseconds on the server's clock.
    pub deadline: u64,
    /// Whether the socket was read empty: the next byte comes with an edge.
    pub drained: bool,
    /// When it was last parked with an answer half sent, in milliseconds on the server's clock.
    pub parked: u64,
    /// Whether it takes answers as fast as we send them; its unsent bytes have no bound then.
    pub fast: bool,
    /// Whether `tcp_nodelay` was switched off for it.
    pub delayed: bool,
}

/// What a connection is doing.
pub enum Phase {
    /// Nothing of a request has come.
    Idle,
    /// The handshake of TLS is under way.
    Greeting(Box<Greeting>),
    /// A part of a head has come; it stands in `input`.
    Head(Box<Partial>),
    /// The body of a request is coming in.
    Body(Box<Task>),
    /// The request waits for a moment.
    Waiting(Box<Task>),
    /// The answer is going out.
    Sending(Box<Task>),
    /// The connection has switched protocols.
    Tunnel(Box<Task>, Box<Pipes>),
    /// The answer is out; the rest of the request's body is thrown away, then the connection is idle.
    Draining(Box<Rest>),
    /// The answer is out and so is our end; what the client still sends is thrown away.
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

/// A request and its answer.
pub struct Task {
    /// The request on its way through the pipeline.
    pub run: Run,
    /// The log files of its settings.
    pub logs: Arc<Logs>,
    /// When the client must have sent more of a body that is passed on, in milliseconds on the server's clock.
    pub body_by: u64,
    /// Whether the answer's source is waited for, not the client.
    pub starved: bool,
    /// How fast the answer goes out; none for full speed.
    pub pace: Option<Pace>,
    /// When the pace lets more go out.
    pub resume_at: Option<Instant>,
    /// When the client must have taken more, while its connection is to be woken before that for the answer's source.
    pub client_by: Option<u64>,
    /// When the acceptor was told to wake the request, the last time it was.
    pub alarm: u64,
    /// What is left of interim responses.
    pub unsaid: Vec<u8>,
    /// How many bytes of them went out.
    pub said: u64,
    /// What is left of the answer.
    pub output: Output,
    /// Whether the fields behind the body are still to be worked out.
    pub trailers: bool,
    /// How many bytes of what goes out are the answer's head.
    pub head_len: u64,
    /// How many bytes of body its head named, if it named a length.
    pub length: Option<u64>,
    /// Whether the connection is kept after the answer.
    pub keep: bool,
    /// Whether the client may still be sending when the connection closes.
    pub linger: bool,
}

impl Task {
    /// Whether a body is on its way that is read at once. Then reading tells that the client left, and nothing else does: it is
    /// told of in the same words whenever it comes.
    pub(super) fn awaits_body(&self) -> bool {
        self.run.body.as_ref().is_some_and(|body| body.is_wanted() && body.room() > 0)
    }

    /// Whether the client has all that its answer's head named; what makes the answer may still have something to do, which is
    /// not broken off when the client goes.
    pub(super) fn is_served(&self) -> bool {
        self.length.is_some_and(|length| self.output.sent >= self.head_len + length)
    }

    /// Whether there is no reason to wait any longer, since the client has left. One that only closed its end counts as gone, as
    /// in nginx: nothing tells the two apart until something is sent. Asks its socket only if something came since that was
    /// read empty.
    pub(super) fn has_lost_client(&self, c: &mut Connection) -> bool {
        if self.run.x.outlives_client || self.awaits_body() || self.is_served() {
            return false;
        }
        if self.is_forsaken(c) {
            return true;
        }
        let is_silent = c.drained && !c.socket.holds_input() && !c.place.slot().has_ended();
        !is_silent && c.socket.has_ended()
    }

    /// The same by the slot's mark alone, without a look at the socket. What still lies in it is for nobody, unless it is of a
    /// body that is being passed on.
    pub(super) fn is_forsaken(&self, c: &Connection) -> bool {
        let is_fed = self.run.body.as_ref().is_some_and(BodyReader::is_wanted);
        !self.run.x.outlives_client && !is_fed && c.place.slot().has_ended()
    }
}

/// What is left of a request's body after its answer.
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
    pub fn new(
        place: Place<Box<Connection>>,
        socket: Transport,
        listener: u32,
        number: u64,
        peer: Option<SocketAddr>,
    ) -> Self {
        Connection {
            place,
            socket,
            listener,
            requests: 0,
            pipelined: false,
            number,
            peer,
            is_announced: false,
            announced: None,
            security: Security::Plain,
            connected: Instant::now(),
            input: Vec::new(),
            watched: Watched::Not,
            phase: Phase::Idle,
            deadline: NEVER,
            drained: false,
            parked: 0,
            fast: false,
            delayed: false,
        }
    }
}

/// What a connection is told of its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// Nothing yet: it has not waited for its client.
    Not,
    /// What comes.
    Input,
    /// And when it takes bytes again.
    Room,
}

impl Connection {
    /// Sees to it that news of the socket wakes it. Room to write is asked for once somebody waits for it: most answers fit, and
    /// a fresh socket would tell at once that it has room.
    pub fn be_watched(&mut self, news: &News) -> io::Result<()> {
        let waits_to_write = matches!(self.phase, Phase::Greeting(_) | Phase::Sending(_) | Phase::Tunnel(..));
        let is_bare = matches!(self.socket, Transport::Plain(_));
        let wanted = if is_bare && !waits_to_write { Watched::Input } else { Watched::Room };
        if self.watched >= wanted {
            return Ok(());
        }
        let (socket, token, room) = (self.socket.descriptor(), self.place.token(), wanted == Watched::Room);
        match self.watched {
            Watched::Not => news.watch(socket, token, room)?,
            _ => news.watch_again(socket, token, room)?,
        }
        self.watched = wanted;
        Ok(())
    }
}

/// Why a worker gets a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its socket has news, or it was put back in the queue to give others a turn.
    Ready,
    /// Its deadline has passed.
    Expired,
}

/// One piece of work for the pool.
pub struct Job {
    /// The connection; the worker owns it until it parks or closes it.
    pub connection: Box<Connection>,
    /// Why.
    pub why: Why,
}

/// What acceptor and workers share for the life of the process.
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn new() -> Arc<Self> {
        Arc::new(Clock { start: Instant::now() })
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// A moment as milliseconds since the start; not before it.
    pub fn at(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.start);
        since.as_secs() * 1000 + u64::from(since.subsec_nanos().div_ceil(1_000_000))
    }
}
