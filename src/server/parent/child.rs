//! The worker process as its parent sees it: how it is started, what it says, how it ends.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use crossbeam_channel::Sender;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::wire::{Wire, Word};
use super::{News, TITLE};
use crate::exchange::children;

/// A worker process.
pub struct Worker {
    /// Counts the workers of one parent.
    pub number: u64,
    /// Its process id.
    pub pid: u32,
    /// When it was started.
    pub started: Instant,
    /// Whether it serves.
    pub ready: bool,
    wire: Wire,
    handle: OwnedFd,
}

impl Worker {
    /// Starts a worker: this program once more, from its own file even where that was replaced meanwhile. Its end of the
    /// sockets is its standard input, so no descriptor needs to be kept open across the start by hand.
    pub fn start(number: u64, news: &Sender<News>) -> io::Result<Worker> {
        let (wire, theirs) = Wire::pair()?;
        let mut child = children::spawn(Command::new("/proc/self/exe").arg0(TITLE).stdin(theirs))?;
        let started = (|| {
            let pid = Pid::from_raw(child.id().cast_signed()).ok_or(io::ErrorKind::InvalidData)?;
            let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
            Ok::<_, io::Error>((handle, wire.again()?))
        })();
        let (handle, ear) = match started {
            Ok(both) => both,
            Err(error) => {
                // Without a wire it ends of its own accord; this only makes it sooner.
                let _ = child.kill();
                let _ = child.wait();
                children::forget(child.id());
                return Err(error);
            }
        };
        let pid = child.id();
        let news = news.clone();
        let name = format!("hears {pid}");
        std::thread::Builder::new().name(name).spawn(move || hear(number, &ear, child, &news))?;
        Ok(Worker { number, pid, started: Instant::now(), ready: false, wire, handle })
    }

    /// Says a word to it. What cannot be said is in the log; a worker that is stuck or gone is dealt with elsewhere.
    pub fn tell(&self, word: Word, descriptors: &[BorrowedFd<'_>]) -> bool {
        let sent = self.wire.send(word, descriptors);
        if let Err(error) = &sent {
            log::warn!("cannot tell the worker process {} {word:?}: {error}", self.pid);
        }
        sent.is_ok()
    }

    /// Ends it without asking.
    pub fn kill(&self) {
        // It may have ended a moment ago, which is as good.
        let _ = rustix::process::pidfd_send_signal(&self.handle, Signal::KILL);
    }
}

/// Passes on what a worker says until it has ended.
fn hear(number: u64, wire: &Wire, mut child: Child, news: &Sender<News>) {
    loop {
        match wire.hear() {
            // The parent takes news for as long as it lives.
            Ok(Some(word)) => drop(news.send(News::Said(number, word))),
            Ok(None) => break,
            Err(error) => {
                log::error!(target: "alert", "the worker process {} says what nobody understands: {error}", child.id());
                let _ = child.kill();
                break;
            }
        }
    }
    let status: io::Result<ExitStatus> = child.wait();
    children::forget(child.id());
    drop(news.send(News::Ended(number, status.ok())));
}
