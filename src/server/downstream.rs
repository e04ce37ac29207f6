//! What carries one exchange to and from whoever asked, seen from what drives it: seven verbs. It gives the request's `body`, asks for it
//! (`go_ahead`), says an `interim` response, takes the `head`, each `piece` of the body with whether it is the last, and the `trailers`; and it
//! knows whether the other end `has_left` and when everything is out (`finish`). Framing lies below: nothing here is a byte of HTTP.

use bytes::Bytes;

use super::h1::H1;
use super::nowhere::Nowhere;
use super::verbs::{Fed, Framed, Sent};
use crate::exchange::body_reader::Given;
use crate::exchange::error::HttpError;
use crate::http::interim::Interim;
use crate::http::response::{Chunk, Response};
use crate::pipeline::Run;

/// What carries one exchange.
pub enum Downstream<'c> {
    /// A client's connection that speaks HTTP/1.
    H1(H1<'c>),
    /// Nobody: an errand.
    Nowhere(&'c mut Nowhere),
}

impl Downstream<'_> {
    /// Gives the request's body what has come of it, at most so much.
    pub fn body(&mut self, room: usize, take: impl FnOnce(&[u8]) -> Result<Given, HttpError>) -> Fed {
        match self {
            Downstream::H1(h1) => h1.body(room, take),
            Downstream::Nowhere(_) => Fed::Whole,
        }
    }

    /// What has come of the body and was not given yet, without a look for more.
    pub fn ahead(&self) -> &[u8] {
        match self {
            Downstream::H1(h1) => h1.ahead(),
            Downstream::Nowhere(_) => &[],
        }
    }

    /// So much of that was taken.
    pub fn took(&mut self, used: usize) {
        match self {
            Downstream::H1(h1) => h1.took(used),
            Downstream::Nowhere(_) => {}
        }
    }

    /// Asks for the body, where that waits to be asked for.
    pub fn go_ahead(&mut self) {
        match self {
            Downstream::H1(h1) => h1.go_ahead(),
            Downstream::Nowhere(_) => {}
        }
    }

    /// Says an interim response.
    pub fn interim(&mut self, interim: &Interim) {
        match self {
            Downstream::H1(h1) => h1.interim(interim),
            Downstream::Nowhere(_) => {}
        }
    }

    /// Takes the head of the response, and notes in the exchange what becomes of it. `may_keep` says whether client and response allow
    /// another request after this one.
    pub fn head(&mut self, run: &mut Run, response: &Response, may_keep: bool) -> Framed {
        match self {
            Downstream::H1(h1) => h1.head(run, response, may_keep),
            Downstream::Nowhere(nowhere) => nowhere.head(run, response),
        }
    }

    /// Takes a piece of the body. Whether all of the response is here and goes out at once: then it is as good as sent.
    pub fn piece(&mut self, piece: Chunk, last: bool) -> bool {
        match self {
            Downstream::H1(h1) => h1.piece(piece, last),
            Downstream::Nowhere(nowhere) => nowhere.piece(&piece, last),
        }
    }

    /// Takes the trailers, which end a body without a last piece.
    pub fn trailers(&mut self, fields: &[(Bytes, Bytes)]) {
        match self {
            Downstream::H1(h1) => h1.trailers(fields),
            Downstream::Nowhere(_) => {}
        }
    }

    /// Sends the head, and what goes with it; whether there is `more` to come at once.
    pub fn send_first(&mut self, more: bool) -> Sent {
        match self {
            Downstream::H1(h1) => h1.send_first(more),
            Downstream::Nowhere(_) => Sent::All,
        }
    }

    /// Sends on until so many bytes went out in all, of a file at most so many at once.
    pub fn send(&mut self, end: u64, most_at_once: u64) -> Sent {
        match self {
            Downstream::H1(h1) => h1.send(end, most_at_once),
            Downstream::Nowhere(nowhere) => nowhere.send(),
        }
    }

    /// Whether everything is out.
    pub fn finish(&mut self) -> Sent {
        match self {
            Downstream::H1(h1) => h1.finish(),
            Downstream::Nowhere(_) => Sent::All,
        }
    }

    /// Bytes that were sent, and how many of them are body.
    pub fn sent(&self) -> (u64, u64) {
        match self {
            Downstream::H1(h1) => h1.sent(),
            Downstream::Nowhere(nowhere) => (nowhere.swallowed(), nowhere.swallowed()),
        }
    }

    /// Counts on whenever something went out.
    pub fn progress(&self) -> (u64, u64) {
        match self {
            Downstream::H1(h1) => h1.progress(),
            Downstream::Nowhere(nowhere) => (nowhere.swallowed(), 0),
        }
    }

    /// The client took bytes for which it had no room before.
    pub fn has_room_again(&mut self, now: u64) {
        match self {
            Downstream::H1(h1) => h1.endpoint.has_room_again(now),
            Downstream::Nowhere(_) => {}
        }
    }

    /// The client has no room for more; `took` says whether it took something meanwhile.
    pub fn is_full(&mut self, took: bool, now: u64) {
        match self {
            Downstream::H1(h1) if took => h1.endpoint.is_full(now),
            Downstream::H1(h1) => h1.endpoint.is_full_still(),
            Downstream::Nowhere(_) => {}
        }
    }

    /// Whether the client has all that the response's head named; what makes it may still have something to do, which is not broken off
    /// when the client goes.
    pub fn is_served(&self) -> bool {
        match self {
            Downstream::H1(h1) => h1.is_served(),
            Downstream::Nowhere(_) => false,
        }
    }

    /// Whether the client is known to have left, without a look.
    pub fn is_known_to_have_left(&self) -> bool {
        match self {
            Downstream::H1(h1) => h1.is_known_to_have_left(),
            Downstream::Nowhere(_) => false,
        }
    }

    /// Whether the client has left.
    pub fn has_left(&mut self) -> bool {
        match self {
            Downstream::H1(h1) => h1.has_left(),
            Downstream::Nowhere(_) => false,
        }
    }

    /// Breaks off without a word: nothing is kept of what was not sent.
    pub fn reset(&mut self) {
        match self {
            Downstream::H1(h1) => h1.endpoint.socket.reset_on_close(),
            Downstream::Nowhere(_) => {}
        }
    }
}
