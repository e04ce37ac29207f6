//! What a request that is passed on keeps between two entries of its step, whichever gateway passes it. Knows no protocol.

use super::relay::Relay;
use super::upstream::finding::Awaited;

/// Nothing at first; then the name that is looked up; then the relay that it is in.
#[derive(Default)]
pub struct Passing {
    /// The look-up that it waits for.
    pub lookup: Option<Box<Awaited>>,
    /// The relay that takes it to a server.
    pub relay: Option<Box<Relay>>,
}
