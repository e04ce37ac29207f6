//! Signals, as nginx means them: each becomes a message to the acceptor, or to the parent of the worker process.

use std::io;

use signal_hook::consts::signal::*;
use signal_hook::iterator::Signals;

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
    /// WINCH: let the worker process end once all is answered, and start no other.
    Rest,
}

/// Takes over the signals: from now on they are kept until [`watch`] passes them on. Starts no thread.
pub fn take() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH])
}

/// Passes signals on, from a thread of its own.
pub fn watch(mut signals: Signals, pass: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let work = move || {
        for number in &mut signals {
            let name = signal_hook::low_level::signal_name(number).unwrap_or("?");
            let (signal, what) = match number {
                SIGTERM | SIGINT => (Signal::Stop, "exiting"),
                SIGQUIT => (Signal::Quit, "shutting down"),
                SIGHUP => (Signal::Reload, "reconfiguring"),
                SIGUSR1 => (Signal::Reopen, "reopening logs"),
                // A terminal sends it whenever its window changes, so it is no news.
                SIGWINCH => {
                    pass(Signal::Rest);
                    continue;
                }
                _ => {
                    log::warn!("signal {number} ({name}) received, which is not supported and changes nothing");
                    continue;
                }
            };
            log::info!("signal {number} ({name}) received, {what}");
            pass(signal);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(work).map(drop)
}

/// Leaves signals without effect: this process is told by its parent what to do. A terminal sends its signals to both.
pub fn leave_to_parent(mut signals: Signals) -> io::Result<()> {
    let work = move || {
        for number in &mut signals {
            let name = signal_hook::low_level::signal_name(number).unwrap_or("?");
            log::debug!("signal {number} ({name}) received by the worker process, which leaves it to its parent");
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(work).map(drop)
}
