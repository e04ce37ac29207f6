//! Nobody, as what carries an exchange: a body that is there already, a response that goes nowhere. Counts what it swallows, and keeps the
//! beginning of it where that is to be judged.

use super::verbs::{Framed, Sent};
use crate::http::response::{Chunk, Response};
use crate::http::status;
use crate::pipeline::Run;

/// Bytes of a response that are worth being swallowed, so that the connection that brought them can be kept.
const ENOUGH: u64 = 64 << 10;
/// So many bytes of a response are looked at where it is judged, as in nginx.
const JUDGED: usize = 256 << 10;

/// Nobody.
#[derive(Debug, Default)]
pub struct Nowhere {
    swallowed: u64,
    /// The beginning of the body; `None` if nobody looks at it.
    kept: Option<Vec<u8>>,
}

impl Nowhere {
    /// The same, but the beginning of the body is kept.
    pub fn keeping() -> Nowhere {
        Nowhere { kept: Some(Vec::new()), ..Nowhere::default() }
    }

    /// The beginning of the body, where it is kept.
    pub fn kept(&self) -> &[u8] {
        self.kept.as_deref().unwrap_or_default()
    }

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
        if let (Some(kept), Chunk::Bytes(bytes)) = (&mut self.kept, piece) {
            kept.extend_from_slice(&bytes[..bytes.len().min(JUDGED - kept.len())]);
        }
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
        match &self.kept {
            Some(kept) => kept.len() == JUDGED,
            None => self.swallowed > ENOUGH,
        }
    }
}
