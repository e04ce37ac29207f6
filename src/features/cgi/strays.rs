//! Processes that left the group of the script that they come from (`setsid`), and those that this process inherits when a
//! script's descendant ends before its own children. The first end with a script that is ended, the second are reaped. Knows
//! from /proc who descends from whom; starts nothing.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{LazyLock, Once};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process_group, pidfd_open, pidfd_send_signal,
    set_child_subreaper, waitpid,
};

use crate::exchange::children;

/// A script has so many descendants at most as far as this file is concerned.
const MOST: usize = 4096;
/// Inherited processes whose end is heard of at once; more are looked after now and then.
const HEARD: usize = 64;
/// How often KILL is sent at once, until nothing is found.
const ROUNDS: usize = 10;
/// Pauses of a hunt.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// Times in vain after which nobody is left.
const VAIN: usize = 3;
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
    /// What was found outside its group at the last look: number, and when it was started.
    met: Vec<(i32, u64)>,
    /// Sessions of its own that were found so far: what is in one of them comes from this script, whatever it says of itself.
    sessions: BTreeSet<i32>,
    /// Whether KILL was sent, and whether anybody was found outside the group.
    is_ended: bool,
    has_strays: bool,
}

/// No process has this number.
const NOBODY: i32 = 0;

/// What the kernel says of this process.
static OWN: LazyLock<Option<Entry>> = LazyLock::new(|| Entry::of(getpid().as_raw_nonzero().get()));

/// Whether the kernel gives us what descendants of ours orphan.
static INHERITS: AtomicBool = AtomicBool::new(false);

/// To be called before the first script starts: what a script's descendants orphan is ours from now on, so that it can be found.
pub fn inherit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| INHERITS.store(set_child_subreaper(Some(getpid())).is_ok(), Relaxed));
}

impl Mark {
    /// That of a script that was just started.
    pub fn new(script: i32, id: Option<String>) -> Mark {
        let started = Entry::of(script).map_or(0, |entry| entry.started);
        Mark { script, id, started, met: Vec::new(), sessions: BTreeSet::new(), is_ended: false, has_strays: false }
    }

    /// What the script's descendants are known by once it has been reaped; none if it ended by itself and they may go on.
    pub fn of_the_others(&self) -> Option<Mark> {
        self.is_ended.then(|| Mark { script: NOBODY, ..self.clone() })
    }

    /// Sends a signal to all that comes from the script and is not in its group. The script has not been reaped yet. How many
    /// there were. KILL goes to the whole group of each that made one: what it starts at this moment does not escape.
    pub fn signal(&mut self, signal: Signal) -> usize {
        let (mut next, mut seen, mut met) = (Vec::new(), BTreeSet::new(), Vec::new());
        next.extend(below(self.script).into_iter().map(Found::Below));
        // Their parents may be gone.
        let is_still = |(number, started): &(i32, u64)| Entry::of(*number).is_some_and(|now| now.started == *started);
        next.extend(self.met.drain(..).filter(is_still).map(|(number, _)| Found::Below(number)));
        if INHERITS.load(Relaxed) {
            next.extend(inheritance().into_iter().map(Found::Inherited));
        }
        // The last is the youngest, and may not be there for long.
        while let Some(found) = next.pop().filter(|_| seen.len() < MOST) {
            let (Found::Below(number) | Found::Inherited(number)) = found;
            let Some(entry) = Entry::of(number).filter(|entry| !entry.is_dead) else { continue };
            if matches!(found, Found::Inherited(_)) && !self.is_worn_by(number, &entry) || !seen.insert(number) {
                continue;
            }
            // Once it has ended, nothing tells whose they are.
            next.extend(below(number).into_iter().map(Found::Below));
            if entry.group == self.script {
                continue;
            }
            if OWN.as_ref().is_some_and(|own| own.session != entry.session) {
                self.sessions.insert(entry.session);
            }
            if Mark::end(number, &entry, signal) {
                met.push((number, entry.started));
            }
        }
        self.met = met;
        self.is_ended |= signal == Signal::KILL;
        self.has_strays |= !self.met.is_empty();
        self.met.len()
    }

    /// Sends a signal to one process, and KILL to its group; whether it was still there.
    fn end(number: i32, entry: &Entry, signal: Signal) -> bool {
        let Some(descriptor) = descriptor(number) else { return false };
        // The number is still that of the process which was looked at.
        if Entry::of(number).is_none_or(|now| now.started != entry.started) {
            return false;
        }
        if signal == Signal::KILL && is_apart(number, entry) {
            // A group that is gone already needs no signal.
            _ = Pid::from_raw(entry.group).map(|group| kill_process_group(group, signal));
        }
        pidfd_send_signal(&descriptor, signal).is_ok()
    }

    /// Sends KILL to what is still found, and to what has started meanwhile.
    pub fn end_all(&mut self) {
        _ = (0..ROUNDS).take_while(|_| self.signal(Signal::KILL) > 0).count();
    }

    /// Whether a process that was given to us comes from this script.
    fn is_worn_by(&self, number: i32, entry: &Entry) -> bool {
        let is_named = || self.id.as_ref().is_some_and(|id| environment_has(number, id));
        entry.started >= self.started && (self.sessions.contains(&entry.session) || is_named())
    }
}

/// How a process was found.
#[derive(Clone, Copy)]
enum Found {
    /// It descends from the script.
    Below(i32),
    /// The kernel gave it to us; whose it is must still be seen.
    Inherited(i32),
}

/// Whether the group of a script's descendant was made by what came from a script: it is of another session than ours, or the
/// process leads it, or nobody does who might have let a stranger in.
fn is_apart(number: i32, entry: &Entry) -> bool {
    let Some(own) = OWN.as_ref() else { return false };
    let is_led = || entry.group != number && Entry::of(entry.group).is_some();
    let is_of_another = entry.group == own.group || children::is_ours(entry.group);
    entry.session != own.session || !is_of_another && !is_led()
}

/// Whether a process has this UNIQUE_ID. Each of its threads that lives can be asked.
fn environment_has(number: i32, id: &str) -> bool {
    let wanted = format!("UNIQUE_ID={id}");
    let Ok(threads) = std::fs::read_dir(format!("/proc/{number}/task")) else { return false };
    threads.flatten().any(|thread| {
        let mut environment = Vec::new();
        let file = std::fs::File::open(thread.path().join("environ"));
        let read = file.and_then(|file| file.take(ENVIRONMENT).read_to_end(&mut environment));
        read.is_ok() && environment.split(|&b| b == 0).any(|pair| pair == wanted.as_bytes())
    })
}

/// The end of what escaped from a script that was ended: it is looked for until it is not found any more. A process that does
/// nothing but start the next and end is caught sooner or later.
#[derive(Debug)]
pub struct Hunt {
    mark: Mark,
    /// When it is looked for again, and how long after that.
    at: Instant,
    pause: Duration,
    /// Times in a row that found nobody.
    vain: usize,
    /// How many had been reaped at the last look.
    reaped: usize,
}

impl Hunt {
    /// Begins one.
    pub fn new(mark: Mark, now: Instant) -> Hunt {
        Hunt { mark, at: now, pause: FIRST_PAUSE, vain: 0, reaped: 0 }
    }

    /// When there is something to do.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Looks, if it is time; whether nobody is left.
    pub fn is_over(&mut self, inherited: &mut Inherited, now: Instant) -> bool {
        if self.at > now {
            return false;
        }
        let mut is_found = false;
        // There may have been one, unseen.
        for _ in 0..if self.mark.has_strays { ROUNDS } else { 1 } {
            // The dead are in the way of the quick.
            inherited.look();
            is_found |= self.mark.signal(Signal::KILL) > 0;
        }
        // Where many die there may be one that is just between two processes, and is not seen.
        let is_stirred = std::mem::replace(&mut self.reaped, inherited.reaped) != inherited.reaped;
        self.vain = if is_found || is_stirred { 0 } else { self.vain + 1 };
        self.pause = if is_found { FIRST_PAUSE } else { LAST_PAUSE.min(self.pause * 2) };
        self.at = Instant::now() + self.pause;
        self.vain >= VAIN || inherited.known.is_empty() && !is_stirred
    }
}

/// What of the descendants of scripts became ours.
#[derive(Debug, Default)]
pub struct Inherited {
    known: Vec<(i32, Option<OwnedFd>)>,
    /// How many were reaped so far.
    reaped: usize,
}

impl Inherited {
    /// Looks for more, and reaps those that have ended.
    pub fn look(&mut self) {
        if !INHERITS.load(Relaxed) {
            return;
        }
        let own = getpid().as_raw_nonzero().get();
        loop {
            let mut found = below(own);
            children::keep_strangers(&mut found);
            for number in found {
                if self.known.iter().all(|(known, _)| *known != number) {
                    let descriptor = if self.known.len() < HEARD { descriptor(number) } else { None };
                    self.known.push((number, descriptor));
                }
            }
            let before = self.known.len();
            self.known.retain(|(number, _)| !has_ended(*number));
            self.reaped += before - self.known.len();
            // What the ended ones left behind is ours as well now.
            if self.known.len() == before {
                return;
            }
        }
    }

    /// Descriptors that have news when one of them ends.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.known.iter().filter_map(|(_, descriptor)| Some(descriptor.as_ref()?.as_fd()))
    }

    /// Whether one of them may end unheard.
    pub fn needs_looks(&self) -> bool {
        self.known.iter().any(|(_, descriptor)| descriptor.is_none())
    }
}

fn has_ended(number: i32) -> bool {
    // None is still running; what somebody else reaped is gone as well.
    !matches!(waitpid(Pid::from_raw(number), WaitOptions::NOHANG), Ok(None))
}

fn descriptor(number: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(number)?, PidfdFlags::empty()).ok()
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
            // Its first thread may have ended before the others.
            is_dead: matches!(*words.first()?, "Z" | "X") && words.get(17)?.parse::<u32>().ok()? <= 1,
            parent: words.get(1)?.parse().ok()?,
            group: words.get(2)?.parse().ok()?,
            session: words.get(3)?.parse().ok()?,
            started: words.get(19)?.parse().ok()?,
        })
    }
}

/// The children of a process, as far as there are any.
fn below(number: i32) -> Vec<i32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{number}/task")) else { return Vec::new() };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        match std::fs::read_to_string(task.path().join("children")) {
            Ok(line) => found.extend(line.split_whitespace().filter_map(|word| word.parse::<i32>().ok())),
            // The thread has ended, or this kernel keeps no such list.
            Err(_) if task.path().exists() => return below_by_search(number),
            Err(_) => {}
        }
    }
    found
}

/// What the kernel gave us: children of our first thread, the youngest last.
fn inheritance() -> Vec<i32> {
    let own = getpid().as_raw_nonzero().get();
    let mut found = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"))
        .map_or_else(|_| below(own), |line| line.split_whitespace().filter_map(|word| word.parse().ok()).collect());
    children::keep_strangers(&mut found);
    found
}

fn below_by_search(parent: i32) -> Vec<i32> {
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
        for (state, threads, is_dead) in
            [("S", 1, false), ("S", 2, false), ("Z", 1, true), ("Z", 2, false), ("X", 1, true)]
        {
            let line = format!("5 (sh) {state} 7 8 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 {threads} 0 4711");
            assert_eq!(Entry::read(&line).map(|entry| entry.is_dead), Some(is_dead), "{state} {threads}");
        }
        assert_eq!(Entry::read("5 (sh"), None);
        let own = getpid().as_raw_nonzero().get();
        assert!(Entry::of(own).is_some_and(|entry| !entry.is_dead && entry.started > 0));
    }

    #[test]
    fn children_are_found_either_way() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let (number, own) = (child.id() as i32, getpid().as_raw_nonzero().get());
        assert!(below(own).contains(&number) && below_by_search(own).contains(&number));
        assert!(below(number).is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!below(own).contains(&number));
    }
}
