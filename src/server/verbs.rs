//! What the verbs between a driver and what carries its exchange come to. Knows neither.

use crate::exchange::error::HttpError;

/// What became of one look for more of a body.
pub enum Fed {
    /// It is whole.
    Whole,
    /// There was more of it.
    More,
    /// Nothing is there now.
    Nothing,
    /// The client left.
    Left,
    /// It is no body, or too large a one.
    Bad(HttpError),
}

/// What a head says of what follows it.
#[derive(Debug, Clone, Copy)]
pub struct Framed {
    /// Whether a body follows, be it an empty one.
    pub has_body: bool,
    /// Whether trailers can follow that.
    pub has_trailers: bool,
}

/// How sending ended for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// All that was given is out.
    All,
    /// No more is taken now.
    Blocked,
    /// The share of one turn is used up; others may want to send.
    Share,
    /// The client has gone.
    Gone,
    /// A file became shorter than the head promised.
    Shrunk,
}
