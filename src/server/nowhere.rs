//! Nobody, as what carries an exchange: a body that is there already, a response that goes nowhere. Counts what it swallows.

use super::verbs::{Framed, Sent};
use crate::http::response::{Chunk, Response};
use crate::http::status;
use crate::pipeline::Run;

/// Bytes of a response that are worth being swallowed, so that the connection that brought them can be kept.
const ENOUGH: u64 = 64 << 10;

/// Nobody.
#[derive(Debug, Default)]
pub struct Nowhere {
    swallowed: u64,
}

impl Nowhere {
    /// Takes the head of a response.
    pub fn head(&mut self, run: &mut Run, response: &Response) -> Framed {
        run.x.sent.status = status::on_wire(response.status);
        if run.settings.keeps_sent_fields {
            run.x.sent.fields = response.fields_so_far();
        }
        Framed { has_body: !response.body.chunks.is_empty(), has_trailers: false }
    }

    /// Takes a piece of a body. A file is not read for it.
    pub fn piece(&mut self, piece: &Chunk, last: bool) -> bool {
        self.swallowed += piece.len();
        last
    }

    /// Whether it has room for more.
    pub fn send(&self) -> Sent {
        if self.has_enough() { Sent::Share } else { Sent::All }
    }

    /// Bytes that it swallowed.
    pub fn swallowed(&self) -> u64 {
        self.swallowed
    }

    /// Whether the rest is not worth the wait.
    pub fn has_enough(&self) -> bool {
        self.swallowed > ENOUGH
    }
}
