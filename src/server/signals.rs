//! Signals, as nginx means them: each becomes a message to the acceptor.

use std::io;

use signal_hook::consts::signal::*;
use signal_hook::iterator::Signals;

use super::{Inbox, Message};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// TERM, INT: end at once.
    Stop,
    /// QUIT: answer what was accepted, then end.
    Quit,
    /// HUP: load the conf again.
    Reload,
    /// USR1: open the log files again.
    Reopen,
}

/// Takes over the signals: from now on they are kept until [`watch`] passes them on. Starts no thread.
pub fn take() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH])
}

/// Passes signals on, from a thread of its own.
pub fn watch(mut signals: Signals, inbox: Inbox) -> io::Result<()> {
    let work = move || {
        for number in &mut signals {
            let name = signal_hook::low_level::signal_name(number).unwrap_or("?");
            let (signal, what) = match number {
                SIGTERM | SIGINT => (Signal::Stop, "exiting"),
                SIGQUIT => (Signal::Quit, "shutting down"),
                SIGHUP => (Signal::Reload, "reconfiguring"),
                SIGUSR1 => (Signal::Reopen, "reopening logs"),
                _ => {
                    log::warn!("signal {number} ({name}) received, which is not supported and changes nothing");
                    continue;
                }
            };
            log::info!("signal {number} ({name}) received, {what}");
            inbox.send(Message::Signal(signal));
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(work).map(drop)
}
