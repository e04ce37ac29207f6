//! What lies between the two ends of a connection that has switched protocols. Knows neither end.

use std::sync::{Arc, Mutex};

use crate::http::response::Tunnel;

/// What lies between the two ends.
pub struct Pipes {
    /// The other end.
    pub there: Arc<Mutex<dyn Tunnel>>,
    /// From the client, not yet taken there.
    pub up: Vec<u8>,
    /// From there, not yet taken by the client.
    pub down: Vec<u8>,
    /// Whether the client will send nothing more, and whether that was told there.
    pub up_ended: End,
    /// The same the other way round.
    pub down_ended: End,
}

/// How one direction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// More may come.
    Open,
    /// Nothing more comes, and what came is still to be handed over.
    Closing,
    /// The other side knows.
    Closed,
}
