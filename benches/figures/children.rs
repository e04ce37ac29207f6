//! Every process that the bench starts: ended by its id when its value is dropped, and also when the bench itself is
//! told to stop. It must not know what the processes are for.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::census;

/// Processes that run now; one that was just reaped may stand here for a moment longer, but the kernel hands out ids in
/// turn, so its id is nobody else's yet. None once the bench was told to stop: from then on nothing starts.
static RUNNING: Mutex<Option<Vec<u32>>> = Mutex::new(Some(Vec::new()));

/// How long a process may take to leave after TERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A process of ours.
pub struct Guarded {
    child: Child,
}

impl Guarded {
    /// Starts `command` and keeps watch over it.
    pub fn start(command: &mut Command) -> io::Result<Guarded> {
        // Held across the start, so that a process either stands in the list or was never started.
        let mut running = running();
        let list = running.as_mut().ok_or_else(|| io::Error::new(io::ErrorKind::Interrupted, "told to stop"))?;
        let child = command.spawn()?;
        list.push(child.id());
        Ok(Guarded { child })
    }

    /// The process id; that of the parent where the program starts workers of its own.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The exit status, if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal to this process alone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        kill(pid(self.id()), signal).map_err(io::Error::from)
    }

    fn wait_until(&mut self, end: Instant) -> Option<ExitStatus> {
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(list) = running().as_mut() {
            list.retain(|id| *id != self.child.id());
        }
        if self.ended().is_some() {
            return;
        }
        let tree = census::tree(self.id());
        let _ = self.signal(Signal::SIGTERM);
        if self.wait_until(Instant::now() + GRACE).is_none() {
            // Its own children first: they would outlive a parent that is killed. It cannot have reaped them in between,
            // because it did not even answer TERM.
            for id in tree.into_iter().rev() {
                let _ = kill(pid(id), Signal::SIGKILL);
            }
            let _ = self.child.wait();
        }
    }
}

/// Runs `command` to its end and gives what it printed on stdout; an error when it takes longer than `limit`. For
/// programs that print less than a pipe holds.
pub fn run(command: &mut Command, limit: Duration) -> io::Result<(ExitStatus, String)> {
    let mut guarded = Guarded::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()))?;
    let Some(status) = guarded.wait_until(Instant::now() + limit) else {
        let program = command.get_program().to_string_lossy();
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{program} did not end within {limit:?}")));
    };
    let mut printed = String::new();
    if let Some(mut pipe) = guarded.child().stdout.take() {
        pipe.read_to_string(&mut printed)?;
    }
    Ok((status, printed))
}

/// From now on INT and TERM end every process of ours and remove `folder` before they end the bench.
pub fn end_with_us(folder: PathBuf) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        if signals.forever().next().is_some() {
            for id in running().take().unwrap_or_default() {
                let _ = kill(pid(id), Signal::SIGTERM);
            }
            // What they still write while they leave may keep the folder from going at the first try.
            for _ in 0..20 {
                std::thread::sleep(Duration::from_millis(50));
                if std::fs::remove_dir_all(&folder).is_ok() {
                    break;
                }
            }
            std::process::exit(130);
        }
    })?;
    Ok(())
}

/// Whether the bench was told to stop.
pub fn told_to_stop() -> bool {
    running().is_none()
}

fn running() -> MutexGuard<'static, Option<Vec<u32>>> {
    RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed())
}
