//! Processes that no request waits for any more: one thread sees each to its end, sends KILL when its time has come,
//! and reaps it, and with it what scripts left behind. So there is no zombie, and none that ignores TERM.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child as Process;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::strays::{Hunt, Inherited, Mark};
use crate::exchange::children;
use crate::exchange::engine::{Sight, Waker};
use crate::exchange::queue::Permit;

/// A process that still runs.
pub struct Orphan {
    /// The process.
    pub process: Process,
    /// What it and all that comes from it is known by.
    pub mark: Mark,
    /// Has news when it ends; without one it is looked after every few milliseconds.
    pub descriptor: Option<OwnedFd>,
    /// When it gets TERM.
    pub term_at: Option<Instant>,
    /// When it gets KILL.
    pub kill_at: Option<Instant>,
    /// From TERM to KILL.
    pub kill: Option<Duration>,
    /// Is shown its end.
    pub engine: Waker,
    /// The ends of its pipes that we read. Were they closed when it is told to end, its first word of farewell would end it
    /// before it has cleaned up.
    pub heard: Vec<OwnedFd>,
    /// Its place among the running, given back with it.
    pub _permit: Option<Permit>,
}

/// How often a process without a descriptor is looked after.
const GLANCE: Duration = Duration::from_millis(20);
/// How long after a script's end what it left behind is looked for: once for all that end meanwhile.
const LOOK: Duration = Duration::from_millis(200);
/// How often what ends unheard is looked after.
const UNHEARD: Duration = Duration::from_secs(2);

/// Whether a script has ended since what was left behind was looked for.
static ENDED: AtomicBool = AtomicBool::new(false);

struct Reaper {
    inbox: Mutex<Vec<Orphan>>,
    /// Wakes the thread; none if it could not be started.
    bell: Option<PipeWriter>,
}

static REAPER: LazyLock<Reaper> = LazyLock::new(|| Reaper { inbox: Mutex::default(), bell: start() });

/// Starts the thread, at the first need.
fn start() -> Option<PipeWriter> {
    let (reader, bell) = std::io::pipe().ok()?;
    std::thread::Builder::new().name("reaper".into()).spawn(move || run(reader)).ok()?;
    Some(bell)
}

/// Takes a process over.
pub fn take_over(mut orphan: Orphan) {
    let Some(mut bell) = REAPER.bell.as_ref() else {
        // A system that has no room for one thread more: better the script ends now than never.
        orphan.signal(Signal::SIGKILL);
        let status = orphan.process.wait().ok();
        children::forget(orphan.process.id());
        orphan.engine.show(orphan.process.id(), Sight::Ends(status));
        return;
    };
    inbox().push(orphan);
    // The pipe holds thousands of rings: a full one would mean that the thread is about to look anyway.
    let _ = bell.write(&[0]);
}

/// A script has ended: what it left behind is looked for a little later.
pub fn look_soon() {
    if !ENDED.swap(true, SeqCst)
        && let Some(mut bell) = REAPER.bell.as_ref()
    {
        let _ = bell.write(&[0]);
    }
}

fn inbox() -> MutexGuard<'static, Vec<Orphan>> {
    // Nothing that can panic runs under this lock.
    REAPER.inbox.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn run(mut bell: PipeReader) {
    let (mut orphans, mut hunts) = (Vec::<Orphan>::new(), Vec::<Hunt>::new());
    let mut inherited = Inherited::default();
    let mut look_at: Option<Instant> = None;
    loop {
        let next = hunts.iter().map(Hunt::at).chain(look_at).min();
        let heard = wait(&bell, &orphans, &inherited, next);
        if heard.bell {
            let mut rings = [0; 256];
            // What is read does not matter, only that it is gone.
            let _ = bell.read(&mut rings);
            orphans.append(&mut inbox());
        }
        let now = Instant::now();
        orphans.retain_mut(|orphan| {
            let has_ended = has_ended(orphan, now);
            hunts.extend(orphan.mark.of_the_others().filter(|_| has_ended).map(|mark| Hunt::new(mark, now)));
            !has_ended
        });
        hunts.retain_mut(|hunt| !hunt.is_over(&mut inherited, now));
        if heard.end || look_at.is_some_and(|at| at <= now) {
            ENDED.store(false, SeqCst);
            inherited.look();
            look_at = inherited.needs_looks().then(|| now + UNHEARD);
        }
        if ENDED.load(SeqCst) {
            let at = now + LOOK;
            look_at = Some(look_at.map_or(at, |before| before.min(at)));
        }
    }
}

/// What ended a wait.
struct Heard {
    /// The bell rang.
    bell: bool,
    /// A process ended that was inherited.
    end: bool,
}

/// Waits for the bell, the end of a process, or a moment.
fn wait(bell: &PipeReader, orphans: &[Orphan], inherited: &Inherited, look_at: Option<Instant>) -> Heard {
    let mut news = vec![PollFd::new(bell.as_fd(), PollFlags::POLLIN)];
    let mut next = look_at;
    news.extend(inherited.descriptors().map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN)));
    let inherited = 1..news.len();
    for orphan in orphans {
        let glance = orphan.descriptor.is_none().then(|| Instant::now() + GLANCE);
        for at in [orphan.term_at, orphan.kill_at, glance].into_iter().flatten() {
            next = Some(next.map_or(at, |before| before.min(at)));
        }
        news.extend(orphan.descriptor.as_ref().map(|descriptor| PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)));
    }
    let timeout = next.map_or(PollTimeout::NONE, |at| {
        let millis = at.saturating_duration_since(Instant::now()).as_millis() + 1;
        PollTimeout::try_from(millis.min(60_000) as u32).unwrap_or(PollTimeout::MAX)
    });
    if poll(&mut news, timeout).is_err() {
        return Heard { bell: false, end: false };
    }
    let is_news = |of: &PollFd<'_>| of.revents().is_some_and(|events| !events.is_empty());
    Heard { bell: is_news(&news[0]), end: news[inherited].iter().any(is_news) }
}

/// Signals what is late; whether the process has ended and is reaped.
fn has_ended(orphan: &mut Orphan, now: Instant) -> bool {
    if orphan.term_at.is_some_and(|at| at <= now) {
        orphan.signal(Signal::SIGTERM);
        orphan.term_at = None;
        orphan.kill_at = orphan.kill.map(|time| now + time);
    }
    if orphan.kill_at.is_some_and(|at| at <= now) {
        orphan.signal(Signal::SIGKILL);
        orphan.kill_at = None;
    }
    // What it left behind in its group goes with it. This comes before the process is reaped: afterwards its number
    // could be another group's.
    if orphan.kill_at.is_some() && is_dead(orphan) {
        orphan.signal(Signal::SIGKILL);
    }
    let status = match orphan.process.try_wait() {
        Ok(None) => return false,
        Ok(status) => status,
        // There is no such child: nothing is left to wait for.
        Err(_) => None,
    };
    children::forget(orphan.process.id());
    orphan.engine.show(orphan.process.id(), Sight::Ends(status));
    true
}

/// Whether the process has ended, without reaping it.
fn is_dead(orphan: &Orphan) -> bool {
    let Some(descriptor) = &orphan.descriptor else { return false };
    let mut news = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut news, PollTimeout::ZERO), Ok(n) if n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    /// Starts a shell that says when it is ready; the number of the process that it left in the background.
    fn orphan(script: &str) -> (Orphan, i32) {
        let mut command = Command::new("/bin/sh");
        let mut process = command.args(["-c", script]).process_group(0).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = Vec::new();
        let mut output = process.stdout.take().unwrap();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            assert_eq!(output.read(&mut byte).unwrap(), 1);
            line.push(byte[0]);
        }
        let pid = rustix::process::Pid::from_raw(process.id() as i32).unwrap();
        let descriptor = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok();
        let inner = String::from_utf8(line).unwrap().trim().parse().unwrap();
        let engine = Waker::new(None, 0);
        let mark = Mark::new(process.id() as i32, None);
        (
            Orphan {
                process,
                mark,
                descriptor,
                term_at: None,
                kill_at: None,
                kill: None,
                engine,
                heard: Vec::new(),
                _permit: None,
            },
            inner,
        )
    }

    fn wait_until_gone(pid: i32) {
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        let began = Instant::now();
        // The process inside is no child of ours: as a zombie it waits for the system's own reaper.
        while state().is_some_and(|state| !state.contains(") Z ")) {
            assert!(began.elapsed() < Duration::from_secs(10), "{pid} is still there");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_group_that_ignores_term_is_killed_and_reaped() {
        let (mut one, inner) = orphan("trap '' TERM; sleep 100 & echo $!; wait; sleep 100");
        let pid = one.process.id() as i32;
        one.signal(Signal::SIGTERM);
        one.kill_at = Some(Instant::now() + Duration::from_millis(50));
        take_over(one);
        wait_until_gone(inner);
        let began = Instant::now();
        while std::path::Path::new(&format!("/proc/{pid}")).exists() {
            assert!(began.elapsed() < Duration::from_secs(10), "{pid} was not reaped");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn one_that_is_let_go_gets_its_time_and_then_term() {
        let (mut one, inner) = orphan("sleep 100 & echo $!; wait");
        one.term_at = Some(Instant::now() + Duration::from_millis(50));
        one.kill = Some(Duration::from_secs(5));
        take_over(one);
        wait_until_gone(inner);
    }
}
