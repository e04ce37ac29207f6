//! What the logs of requests and those who write them have to agree on. Knows neither what stands in a line nor the files.

use std::sync::Arc;
use std::time::Duration;

use super::error::Level;
use super::syslog::Syslog;

/// How lines are collected before they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffering {
    /// How many bytes are collected.
    pub size: usize,
    /// How long the first of them waits; none: until there is no more room.
    pub flush: Option<Duration>,
    /// How hard they are compressed with gzip, 1 to 9; none: not at all.
    pub gzip: Option<u32>,
}

/// Where reports go.
#[derive(Debug, Clone)]
pub enum Place {
    /// An open file, by its number.
    Log(usize),
    /// A syslog server.
    Syslog(Arc<Syslog>),
}

/// One place for reports.
#[derive(Debug, Clone)]
pub struct Target {
    /// The place.
    pub place: Place,
    /// The least urgent level it gets.
    pub level: Level,
}
