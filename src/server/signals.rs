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

/// Watches for signals on a thread of its own. Call it before other threads start.
pub fn watch(inbox: Inbox) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH])?;
    let work = move || {
        for number in &mut signals {
            let signal = match number {
                SIGTERM | SIGINT => Signal::Stop,
                SIGQUIT => Signal::Quit,
                SIGHUP => Signal::Reload,
                SIGUSR1 => Signal::Reopen,
                other => {
                    let name = signal_hook::low_level::signal_name(other).unwrap_or("a signal");
                    log::warn!("{name} is not supported and changes nothing");
                    continue;
                }
            };
            inbox.send(Message::Signal(signal));
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(work).map(drop)
}
