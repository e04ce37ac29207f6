//! A server's processes as Linux shows them in /proc: children that ended and were not waited for, open descriptors, memory. Looks
//! on; sends nothing and ends nothing.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::tap::Tap;

/// Descriptors that a server may have opened for itself meanwhile: logs, a file that it keeps.
const FEW: usize = 8;
/// How long children and descriptors may take to be gone after the last answer.
const SETTLING: Duration = Duration::from_secs(5);

/// A server that is watched.
pub struct Watch {
    pid: u32,
    before: Sight,
    /// What was there before the loads were asked again.
    warm: Option<Sight>,
}

/// What was seen at one moment, of the process and all below it.
#[derive(Debug, Clone, Default)]
struct Sight {
    /// Children that ended and were not waited for: name and process.
    zombies: Vec<String>,
    /// Open descriptors by what they are.
    descriptors: BTreeMap<String, usize>,
    /// Memory in KiB.
    memory: u64,
}

impl Sight {
    fn open(&self) -> usize {
        self.descriptors.values().sum()
    }
}

impl Watch {
    /// How many lines the report gets.
    pub const LINES: usize = 3;

    /// Looks at a process for the first time.
    pub fn begin(pid: u32) -> Result<Watch, String> {
        if !fs::exists("/proc/self/stat").unwrap_or(false) {
            return Err("--pid reads /proc, which this system does not have: it is for Linux".into());
        }
        Ok(Watch { pid, before: look(pid)?, warm: None })
    }

    /// Looks again, when the server has done all that it does for the first time.
    pub fn warm(&mut self) {
        self.warm = settled(self.pid, self.before.open() + FEW).ok();
    }

    /// Looks for the last time, and reports.
    pub fn report(&self, tap: &mut Tap) {
        tap.section(&format!("Process {}", self.pid));
        let names = ["no child is left as a zombie", "no descriptor stays open", "memory does not grow"];
        match settled(self.pid, self.before.open() + FEW) {
            Err(why) => names.iter().for_each(|name| tap.tell(name, std::slice::from_ref(&why))),
            Ok(after) => {
                let said = [zombies(&after), descriptors(&self.before, &after), self.memory(&after)];
                names.iter().zip(said).for_each(|(name, said)| tap.tell(name, &Vec::from_iter(said)));
            }
        }
    }

    fn memory(&self, after: &Sight) -> Option<String> {
        // Between the first load and the second nothing is new to the server; without one all may be.
        let (before, room) = match &self.warm {
            Some(warm) => (warm.memory, 4096.max(warm.memory / 10)),
            None => (self.before.memory, (16 << 10).max(self.before.memory / 2)),
        };
        let grown = after.memory.saturating_sub(before);
        (grown > room).then(|| {
            format!(
                "{} KiB before, {} KiB after the same requests again: {grown} KiB are kept, and no more than {room} would be no leak",
                before, after.memory
            )
        })
    }
}

fn zombies(after: &Sight) -> Option<String> {
    (!after.zombies.is_empty()).then(|| {
        format!(
            "{} ended and nobody waited for them: {}; each child needs a waitpid()",
            match after.zombies.len() {
                1 => "1 child".to_string(),
                count => format!("{count} children"),
            },
            after.zombies.iter().take(5).cloned().collect::<Vec<_>>().join(", ")
        )
    })
}

fn descriptors(before: &Sight, after: &Sight) -> Option<String> {
    if after.open() <= before.open() + FEW {
        return None;
    }
    let grown = after.descriptors.iter().filter_map(|(kind, count)| {
        let more = count.saturating_sub(before.descriptors.get(kind).copied().unwrap_or(0));
        (more > 0).then(|| format!("{more} more of {kind}"))
    });
    Some(format!(
        "{} were open before, {} are after ({}); what is opened for a request must be closed behind it",
        before.open(),
        after.open(),
        grown.collect::<Vec<_>>().join(", ")
    ))
}

/// Looks until no child is a zombie and no more descriptors are open than this, or time is up.
fn settled(pid: u32, descriptors: usize) -> Result<Sight, String> {
    let end = Instant::now() + SETTLING;
    loop {
        let sight = look(pid)?;
        if sight.zombies.is_empty() && sight.open() <= descriptors || Instant::now() > end {
            return Ok(sight);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What can be seen of a process and all below it.
fn look(pid: u32) -> Result<Sight, String> {
    let all = processes();
    match all.get(&pid) {
        None => return Err(format!("there is no process {pid}")),
        Some(process) if matches!(process.state, 'Z' | 'X') => return Err(format!("process {pid} has ended")),
        Some(_) => {}
    }
    let mut sight = Sight::default();
    let mut rest = vec![pid];
    while let Some(next) = rest.pop() {
        rest.extend(all.iter().filter(|(_, process)| process.parent == next).map(|(child, _)| *child));
        let Some(process) = all.get(&next) else { continue };
        if process.state == 'Z' {
            sight.zombies.push(format!("{} ({next})", process.name));
            continue;
        }
        sight.memory += memory(next);
        match fs::read_dir(format!("/proc/{next}/fd")) {
            Ok(open) => open.flatten().for_each(|entry| {
                let to = fs::read_link(entry.path()).map(|to| to.display().to_string()).unwrap_or_default();
                *sight.descriptors.entry(kind(&to).to_string()).or_default() += 1;
            }),
            // One that ended meanwhile has none.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(format!("the descriptors of process {next} cannot be seen: be its user, or root"));
            }
            Err(_) => {}
        }
    }
    Ok(sight)
}

/// What a descriptor is: `socket`, `pipe`, or a file's name.
fn kind(to: &str) -> &str {
    match to.split_once(":[") {
        Some((kind, _)) => kind,
        None => to,
    }
}

fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

struct Process {
    name: String,
    state: char,
    parent: u32,
}

fn processes() -> BTreeMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let one = |entry: fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read(entry.path().join("stat")).ok()?;
        Some((pid, parse(&String::from_utf8_lossy(&stat))?))
    };
    entries.flatten().filter_map(one).collect()
}

/// A line of /proc/PID/stat: number, name in brackets, state, parent. The name may hold brackets and blanks.
fn parse(stat: &str) -> Option<Process> {
    let (front, back) = stat.rsplit_once(')')?;
    let name = front.split_once('(')?.1.to_string();
    let mut words = back.split_whitespace();
    Some(Process { name, state: words.next()?.chars().next()?, parent: words.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel() {
        let process = parse("12 (a) (b) Z 7 12 12 0").expect("a process");
        assert_eq!((process.name.as_str(), process.state, process.parent), ("a) (b", 'Z', 7));
        assert!(parse("12 a Z 7").is_none());
        assert_eq!((kind("socket:[12]"), kind("pipe:[3]"), kind("/dev/null")), ("socket", "pipe", "/dev/null"));
    }

    #[test]
    fn what_stays_open_is_named_and_children_are_seen() {
        let own = std::process::id();
        let watch = Watch::begin(own).expect("this process is there");
        assert!(watch.before.open() > 0 && watch.before.memory > 0);
        assert!(Watch::begin(u32::MAX).is_err_and(|text| text.contains("no process")));
        let sight = |count| Sight { descriptors: [("socket".to_string(), count)].into(), ..Sight::default() };
        assert_eq!(descriptors(&sight(3), &sight(3 + FEW)), None);
        let said = descriptors(&sight(3), &sight(4 + FEW)).unwrap_or_default();
        assert!(said.contains("9 more of socket"), "{said}");

        let mut child = std::process::Command::new("true").spawn().expect("a program");
        let end = Instant::now() + Duration::from_secs(10);
        let name = format!("true ({})", child.id());
        let is_seen = || look(own).is_ok_and(|sight| sight.zombies.contains(&name) && zombies(&sight).is_some());
        while !is_seen() {
            assert!(Instant::now() < end, "the child never ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait().expect("it has ended");
    }

    #[test]
    fn memory_that_grows_is_told() {
        let sight = |memory| Sight { memory, ..Sight::default() };
        for (warm, after, grows) in
            [(None, 17 << 10, true), (None, 16 << 10, false), (Some(1000), 5097, true), (Some(1000), 5096, false)]
        {
            let watch = Watch { pid: 1, before: sight(0), warm: warm.map(sight) };
            assert_eq!(watch.memory(&sight(after)).is_some(), grows, "{warm:?} {after}");
        }
    }
}
