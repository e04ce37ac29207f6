//! Processes that left the group of the script that they come from (`setsid`), and those that this process inherits when a
//! script's descendant ends before its own children. The first end with a script that is ended, the second are reaped. Knows
//! from /proc who descends from whom; starts nothing.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard, Once};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal, set_child_subreaper, waitpid,
};

/// A script has so many descendants at most as far as this file is concerned.
const MOST: usize = 4096;
/// Inherited processes whose end is heard of at once; more are looked after now and then.
const HEARD: usize = 64;
/// As much of an environment is looked at.
const ENVIRONMENT: u64 = 1 << 20;

/// What a script and all that comes from it is known by.
#[derive(Debug, Clone)]
pub struct Mark {
    script: i32,
    /// The UNIQUE_ID in its environment; none if the conf gave it another value.
    id: Option<String>,
    /// When it was started, in the kernel's ticks.
    started: u64,
    /// What was found outside its group so far: number, and when it was started.
    met: Vec<(i32, u64)>,
}

/// Scripts that were started here and not reaped yet.
static OURS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Whether the kernel gives us what descendants of ours orphan.
static INHERITS: AtomicBool = AtomicBool::new(false);

fn ours() -> MutexGuard<'static, BTreeSet<i32>> {
    // Nothing that can panic runs under this lock.
    OURS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// To be called before the first script starts: what a script's descendants orphan is ours from now on, so that it can be found.
pub fn inherit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| INHERITS.store(set_child_subreaper(Some(getpid())).is_ok(), Relaxed));
}

impl Mark {
    /// That of a script that was just started.
    pub fn new(script: i32, id: Option<String>) -> Mark {
        ours().insert(script);
        Mark { script, id, started: Entry::of(script).map_or(0, |entry| entry.started), met: Vec::new() }
    }

    /// The script was reaped: its number may become another's.
    pub fn forget(&self) {
        ours().remove(&self.script);
    }

    /// Sends a signal to all that comes from the script and is not in its group. The script has not been reaped yet. How many
    /// there were.
    pub fn signal(&mut self, signal: Signal) -> usize {
        let (mut next, mut seen, mut met) = (children(self.script), BTreeSet::new(), Vec::new());
        // Their parents may be gone.
        let is_still = |(number, started): &(i32, u64)| Entry::of(*number).is_some_and(|now| now.started == *started);
        next.extend(self.met.drain(..).filter(is_still).map(|(number, _)| number));
        if INHERITS.load(Relaxed) {
            let own = getpid().as_raw_nonzero().get();
            next.extend(children(own).into_iter().filter(|&number| self.is_worn_by(number)));
        }
        while let Some(number) = next.pop().filter(|_| seen.len() < MOST) {
            if !seen.insert(number) {
                continue;
            }
            let Some((before, descriptor)) = Entry::of(number).zip(descriptor(number)) else { continue };
            next.extend(children(number));
            // The number is still that of the process which was looked at.
            let is_same = Entry::of(number).is_some_and(|now| now.started == before.started);
            if before.group != self.script
                && !before.is_dead
                && is_same
                && pidfd_send_signal(&descriptor, signal).is_ok()
            {
                met.push((number, before.started));
            }
        }
        self.met = met;
        self.met.len()
    }

    /// Whether a process that we inherited comes from this script.
    fn is_worn_by(&self, number: i32) -> bool {
        let Some(id) = &self.id else { return false };
        let is_younger = Entry::of(number).is_some_and(|entry| entry.started >= self.started);
        number != self.script && is_younger && is_inherited(number) && environment_has(number, id)
    }
}

fn environment_has(number: i32, id: &str) -> bool {
    let mut environment = Vec::new();
    let file = std::fs::File::open(format!("/proc/{number}/environ"));
    let read = file.and_then(|file| file.take(ENVIRONMENT).read_to_end(&mut environment));
    let wanted = format!("UNIQUE_ID={id}");
    read.is_ok() && environment.split(|&b| b == 0).any(|pair| pair == wanted.as_bytes())
}

/// What of the descendants of scripts became ours.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(i32, Option<OwnedFd>)>);

impl Inherited {
    /// Looks for more, and reaps those that have ended.
    pub fn look(&mut self) {
        if !INHERITS.load(Relaxed) {
            return;
        }
        let own = getpid().as_raw_nonzero().get();
        loop {
            for number in children(own).into_iter().filter(|&number| is_inherited(number)) {
                if self.0.iter().all(|(known, _)| *known != number) {
                    let descriptor = if self.0.len() < HEARD { descriptor(number) } else { None };
                    self.0.push((number, descriptor));
                }
            }
            let before = self.0.len();
            self.0.retain(|(number, _)| !has_ended(*number));
            // What the ended ones left behind is ours as well now.
            if self.0.len() == before {
                return;
            }
        }
    }

    /// Descriptors that have news when one of them ends.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().filter_map(|(_, descriptor)| Some(descriptor.as_ref()?.as_fd()))
    }

    /// Whether one of them may end unheard.
    pub fn needs_looks(&self) -> bool {
        self.0.iter().any(|(_, descriptor)| descriptor.is_none())
    }
}

fn has_ended(number: i32) -> bool {
    // None is still running; what somebody else reaped is gone as well.
    !matches!(waitpid(Pid::from_raw(number), WaitOptions::NOHANG), Ok(None))
}

fn descriptor(number: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(number)?, PidfdFlags::empty()).ok()
}

/// Whether a child of this process was not started by it. Scripts lead a group of our session; what else this process starts
/// is in its own group.
fn is_inherited(number: i32) -> bool {
    static OWN: LazyLock<Option<Entry>> = LazyLock::new(|| Entry::of(getpid().as_raw_nonzero().get()));
    let (Some(own), Some(entry)) = (OWN.as_ref(), Entry::of(number)) else { return false };
    let leads_like_a_script = entry.group == number && entry.session == own.session;
    entry.group != own.group && !leads_like_a_script && !ours().contains(&number)
}

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    is_dead: bool,
    parent: i32,
    group: i32,
    session: i32,
    started: u64,
}

impl Entry {
    fn of(number: i32) -> Option<Entry> {
        Entry::read(&std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?)
    }

    /// Its name, which may hold anything, stands in brackets; what follows is numbers.
    fn read(line: &str) -> Option<Entry> {
        let words: Vec<&str> = line.rsplit_once(") ")?.1.split(' ').collect();
        Some(Entry {
            is_dead: matches!(*words.first()?, "Z" | "X"),
            parent: words.get(1)?.parse().ok()?,
            group: words.get(2)?.parse().ok()?,
            session: words.get(3)?.parse().ok()?,
            started: words.get(19)?.parse().ok()?,
        })
    }
}

/// The children of a process, as far as there are any.
fn children(number: i32) -> Vec<i32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{number}/task")) else { return Vec::new() };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        match std::fs::read_to_string(task.path().join("children")) {
            Ok(line) => found.extend(line.split_whitespace().filter_map(|word| word.parse::<i32>().ok())),
            // The thread has ended, or this kernel keeps no such list.
            Err(_) if task.path().exists() => return children_by_search(number),
            Err(_) => {}
        }
    }
    found
}

fn children_by_search(parent: i32) -> Vec<i32> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|&number| Entry::of(number).is_some_and(|entry| entry.parent == parent)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says() {
        let numbers = "S 7 8 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 10 11";
        let want = Entry { is_dead: false, parent: 7, group: 8, session: 9, started: 4711 };
        for name in ["sh", "a b", ") S 1 1", "(("] {
            assert_eq!(Entry::read(&format!("5 ({name}) {numbers}\n")), Some(want), "{name}");
        }
        assert_eq!(Entry::read("5 (sh"), None);
        let own = getpid().as_raw_nonzero().get();
        assert!(Entry::of(own).is_some_and(|entry| !entry.is_dead && entry.started > 0));
    }

    #[test]
    fn children_are_found_either_way() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let (number, own) = (child.id() as i32, getpid().as_raw_nonzero().get());
        assert!(children(own).contains(&number) && children_by_search(own).contains(&number));
        assert!(children(number).is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children(own).contains(&number));
    }
}
