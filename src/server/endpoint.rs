//! Our end of one client's connection: its socket, what was read ahead of whoever wants it, and what is known of how the client sends
//! and takes. Knows neither requests nor the phases that the connection goes through.

use std::io;

use super::listen::UNSENT;
use super::news::News;
use super::slot::Heard;
use super::socket::Io;
use super::transport::Transport;
use super::verbs::Fed;
use crate::exchange::body_reader::Given;
use crate::exchange::error::HttpError;

/// A client that has room for more within so many milliseconds is a fast one.
const FAST: u32 = 100;

/// One client's socket.
pub struct Endpoint {
    /// The socket.
    pub socket: Transport,
    /// Bytes that were read and belong to what comes next; no buffer while idle.
    pub input: Vec<u8>,
    /// Whether the socket was read empty: the next byte comes with an edge.
    pub drained: bool,
    /// What news of the socket comes.
    watched: Watched,
    /// Whether the client takes responses as fast as we send them; its unsent bytes have no bound then.
    fast: bool,
    /// Whether `tcp_nodelay` was switched off for it.
    delayed: bool,
    /// When it last had no room for a response, in milliseconds on the server's clock, which wrap here; 0 if it always had.
    blocked: u32,
}

/// What we are told of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Watched {
    /// Nothing yet: nobody has waited for its client.
    Not,
    /// What comes.
    Input,
    /// And when it takes bytes again.
    Room,
}

impl Endpoint {
    /// A socket of which nothing was read.
    pub fn new(socket: Transport) -> Self {
        Endpoint {
            socket,
            input: Vec::new(),
            drained: false,
            watched: Watched::Not,
            fast: false,
            delayed: false,
            blocked: 0,
        }
    }

    /// Reads what is there, and notes whether that was all.
    pub fn read(&mut self, into: &mut [u8], heard: Heard<'_>) -> Io {
        let io = self.socket.read(into);
        match io {
            // A short read emptied the socket, unless an end of file waits after it.
            Io::Bytes(n) => self.drained = self.socket.is_dry(n, into.len()) && !heard.has_ended(),
            Io::Blocked => self.drained = true,
            Io::End | Io::Gone => {}
        }
        io
    }

    /// Gives a body what was read already, or what the socket has, at most so much.
    pub fn feed(
        &mut self,
        room: usize,
        buffer: &mut [u8],
        heard: Heard<'_>,
        take: impl FnOnce(&[u8]) -> Result<Given, HttpError>,
    ) -> Fed {
        // Framing takes bytes and makes none: what is read fits.
        let most = room.min(buffer.len());
        let taken = if self.input.is_empty() {
            // The mark is from before the client closed its end: that is news to read.
            if self.is_silent(heard) {
                return Fed::Nothing;
            }
            match self.read(&mut buffer[..most], heard) {
                Io::Bytes(n) => {
                    let taken = take(&buffer[..n]);
                    if let Ok(given) = &taken {
                        self.input.extend_from_slice(&buffer[given.used..n]);
                    }
                    taken
                }
                Io::Blocked => return Fed::Nothing,
                Io::End | Io::Gone => return Fed::Left,
            }
        } else {
            let most = most.min(self.input.len());
            let taken = take(&self.input[..most]);
            if let Ok(given) = &taken {
                self.input.drain(..given.used);
            }
            taken
        };
        match taken {
            Ok(given) if given.is_whole => Fed::Whole,
            Ok(_) => Fed::More,
            Err(error) => Fed::Bad(error),
        }
    }

    /// Keeps what a handshake read where there was `room` for more: it belongs to what comes next.
    pub fn take_read(&mut self, bytes: &[u8], room: usize, heard: Heard<'_>) {
        self.drained = self.socket.is_dry(bytes.len(), room) && !heard.has_ended();
        self.input.extend_from_slice(bytes);
    }

    /// Whether a read would find nothing: no byte, and no end that came since.
    pub fn is_silent(&self, heard: Heard<'_>) -> bool {
        self.drained && !self.socket.holds_input() && !heard.has_ended()
    }

    /// Ensures that news of the socket comes under this token. Room to write is asked for once somebody waits for it: most responses fit,
    /// and a fresh socket would tell at once that it has room.
    pub fn watch(&mut self, news: &News, token: usize, waits_to_write: bool) -> io::Result<()> {
        let is_bare = matches!(self.socket, Transport::Plain(_));
        let wanted = if is_bare && !waits_to_write { Watched::Input } else { Watched::Room };
        if self.watched >= wanted {
            return Ok(());
        }
        let (socket, room) = (self.socket.descriptor(), wanted == Watched::Room);
        match self.watched {
            Watched::Not => news.watch(socket, token, room)?,
            _ => news.watch_again(socket, token, room)?,
        }
        self.watched = wanted;
        Ok(())
    }

    /// `tcp_nodelay`, which a fresh socket has.
    pub fn set_nodelay(&mut self, on: bool) {
        if on == self.delayed {
            self.delayed = !on;
            self.socket.set_nodelay(on);
        }
    }

    /// The client has taken bytes for which it had no room before. The bound on unsent bytes is lifted for one that takes them at once,
    /// and comes back when it has become slow.
    pub fn has_room_again(&mut self, now: u64) {
        let fast = (now as u32).wrapping_sub(self.blocked) < FAST;
        if self.blocked > 0 && fast != self.fast {
            self.fast = fast;
            self.socket.bound_unsent((!fast).then_some(UNSENT));
        }
    }

    /// The client has no room for more, though it took something until now.
    pub fn is_full(&mut self, now: u64) {
        self.blocked = (now as u32).max(1);
    }

    /// The client was looked at again and still takes nothing.
    pub fn is_full_still(&mut self) {
        if self.fast {
            self.fast = false;
            self.socket.bound_unsent(Some(UNSENT));
        }
    }
}
