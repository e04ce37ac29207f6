//! What a proxy says of its client before anything else (`listen ... proxy_protocol`): read off the socket, below TLS, and
//! never more than that.

use std::sync::Arc;

use bytes::Bytes;

use super::connection::{Connection, Phase};
use super::slot::Parked;
use super::socket::Io;
use super::worker::{Turn, Worker};
use crate::exchange::Announced;
use crate::http::escape;
use crate::http::proxy_protocol::{self, Announcement};

impl Worker {
    /// Reads the announcement of a fresh connection, where the conf expects one; a turn if there is more to wait for.
    pub(super) fn hear_announcement(&mut self, c: &mut Connection) -> Option<Turn> {
        if c.is_announced {
            return None;
        }
        if !self.group(c, self.entry(c)).proxy_protocol {
            c.is_announced = true;
            return None;
        }
        let room = &mut self.scratch.buffer[..proxy_protocol::LONGEST];
        let n = match c.endpoint.socket.socket().peek(room) {
            Io::Bytes(n) if n > 0 => n,
            Io::Blocked => 0,
            Io::Bytes(_) | Io::End | Io::Gone => return Some(Turn::Close),
        };
        match proxy_protocol::parse(&room[..n]) {
            Announcement::Partial if c.place.slot().has_ended() => Some(Turn::Close),
            Announcement::Partial => {
                let deadline = c.deadline;
                c.phase = Phase::Idle;
                Some(Turn::Park(Parked::Idle, deadline))
            }
            Announcement::Broken => {
                let (first, client) = (escape::error_log(&room[..n.min(60)]), c.peer);
                let client = client.map_or_else(|| "unix:".to_string(), |peer| peer.to_string());
                // Bytes left unread would make the close a reset.
                c.endpoint.socket.socket().receive(&mut self.scratch.buffer);
                log::error!("broken header: \"{first}\" while reading PROXY protocol, client: {client}");
                Some(Turn::Close)
            }
            Announcement::Whole(len, ends) => {
                // The bytes are there: they were just seen.
                c.endpoint.socket.socket().receive(&mut self.scratch.buffer[..len]);
                let fields = Bytes::copy_from_slice(proxy_protocol::fields(&self.scratch.buffer[..len]));
                c.announced = ends.map(|(source, destination)| Arc::new(Announced { source, destination, fields }));
                c.is_announced = true;
                None
            }
        }
    }
}
