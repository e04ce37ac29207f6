//! The processes that this one has started and waits for, beside those that the kernel gives it. Process 1 of a container
//! is the parent of every process there whose own has ended: those are reaped here, and no others, so that nobody who waits for a
//! script finds that its exit status is gone.

use std::collections::HashMap;
use std::io;
use std::process::{Child, Command};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::SIGCHLD;
use signal_hook::iterator::Signals;

/// How long one that is waited for may stand before the others behind it.
const PATIENCE: Duration = Duration::from_millis(50);

/// Held by who starts a process until it is known as ours, and by who reaps for as long as it looks.
static GATE: RwLock<()> = RwLock::new(());
/// How often each number stands for one of ours: it may be given away again before the one who had it is forgotten.
static OURS: LazyLock<Mutex<HashMap<u32, u32>>> = LazyLock::new(Mutex::default);

fn ours() -> MutexGuard<'static, HashMap<u32, u32>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a process that the caller will wait for; then it calls [`forget`].
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let _gate = GATE.read().unwrap_or_else(PoisonError::into_inner);
    let child = command.spawn()?;
    *ours().entry(child.id()).or_default() += 1;
    Ok(child)
}

/// A process of ours was waited for: another may have its number from now on.
pub fn forget(pid: u32) {
    let mut ours = ours();
    match ours.get_mut(&pid) {
        Some(times) if *times > 1 => *times -= 1,
        _ => drop(ours.remove(&pid)),
    }
}

/// Keeps of children of this process those that it did not start. Whoever starts one at this moment is waited for.
pub fn keep_strangers(pids: &mut Vec<i32>) {
    let _gate = GATE.write().unwrap_or_else(PoisonError::into_inner);
    let ours = ours();
    pids.retain(|pid| !ours.contains_key(&pid.cast_unsigned()));
}

/// Whether this process started that one and waits for it.
pub fn is_ours(pid: i32) -> bool {
    ours().contains_key(&pid.cast_unsigned())
}

/// Whether this process is the first of its container, which gets every process whose own parent has ended.
pub fn is_first() -> bool {
    std::process::id() == 1
}

/// Reaps from now on what nobody waits for, on a thread of its own. To be called before the first process is started.
pub fn reap_orphans() -> io::Result<()> {
    let mut signals = Signals::new([SIGCHLD])?;
    let work = move || {
        reap_all();
        for _ in signals.forever() {
            reap_all();
        }
    };
    std::thread::Builder::new().name("orphans".into()).spawn(work).map(drop)
}

fn reap_all() {
    if reap() {
        return;
    }
    // The kernel shows the same one as long as nobody has waited for it: whoever does will have by then.
    std::thread::sleep(PATIENCE);
    if !reap() {
        zombies().into_iter().for_each(reap_one);
    }
}

/// Reaps one after the other until there is none; false if one of ours stands in the way.
fn reap() -> bool {
    let _gate = GATE.write().unwrap_or_else(PoisonError::into_inner);
    loop {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let ended = match waitid(Id::All, look) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => pid,
            Err(Errno::EINTR) => continue,
            // None has ended, or there is none at all.
            Ok(_) | Err(_) => return true,
        };
        if is_ours(ended.as_raw()) {
            return false;
        }
        // It has ended, so this does not wait.
        let _ = waitpid(ended, Some(WaitPidFlag::WNOHANG));
    }
}

fn reap_one(pid: Pid) {
    let _gate = GATE.write().unwrap_or_else(PoisonError::into_inner);
    if !is_ours(pid.as_raw()) {
        // Where it is no child of ours after all, nothing happens.
        let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
    }
}

/// The children of this process that have ended and were not waited for.
fn zombies() -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|pid| is_zombie_of(*pid, std::process::id())).map(Pid::from_raw).collect()
}

fn is_zombie_of(pid: i32, parent: u32) -> bool {
    let text = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // The name in brackets, which comes first, may hold anything.
    let mut fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.next() == Some("Z") && fields.next().and_then(|ppid| ppid.parse().ok()) == Some(parent)
}
