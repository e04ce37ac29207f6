//! The settings in force, as the workers see them: what stands behind each listener, and how long what began under earlier ones may go on.

use std::sync::{Arc, Weak};

use super::logfile::Logs;
use super::slot::NEVER;
use crate::settings::Settings;
use crate::settings::sockets::Socket;

/// The servers behind one listener.
#[derive(Clone)]
pub struct Entry {
    /// What came in here goes to these servers.
    pub socket: Arc<Socket>,
    /// The settings they belong to.
    pub settings: Arc<Settings>,
    /// Their log files: a request that outlives a reload writes to those it began with.
    pub logs: Arc<Logs>,
    /// Whether a reload took the listener away: its connections get `Connection: close`.
    pub gone: bool,
}

/// The settings in force.
pub struct Current {
    /// The conf.
    pub settings: Arc<Settings>,
    /// By listener.
    pub entries: Vec<Entry>,
    /// The log files.
    pub logs: Arc<Logs>,
    /// The settings of before that are in use still, each with the moment at which its tunnels end.
    pub past: Vec<(Weak<Settings>, u64)>,
}

impl Current {
    /// When a tunnel that began under these settings ends at the latest, in milliseconds on the server's clock.
    pub fn end_of(&self, settings: &Arc<Settings>) -> u64 {
        let is_it = |(past, _): &&(Weak<Settings>, u64)| std::ptr::eq(past.as_ptr(), Arc::as_ptr(settings));
        self.past.iter().find(is_it).map_or(NEVER, |(_, end)| *end)
    }
}
