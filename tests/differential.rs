//! Random confs and requests, sent to Longshore and to nginx: both must answer alike, in all that tests/cases compares. Where they
//! differ on purpose, `differential/known.rs` names the case that shows it.
//!
//! `LONGSHORE_SEED=N` makes other ones than the usual, `LONGSHORE_DIFFERENTIAL=SECONDS` goes on for so long, from a new seed.
//! The seed and the round are printed with each difference, beside a conf cut down to what it takes; `LONGSHORE_ROUND=N` runs one.

#[path = "differential/confs.rs"]
mod confs;
#[path = "differential/known.rs"]
mod known;
#[path = "differential/pair.rs"]
mod pair;
#[path = "differential/random.rs"]
mod random;
#[path = "differential/reduce.rs"]
mod reduce;
#[path = "differential/requests.rs"]
mod requests;
#[allow(dead_code, reason = "cases use the rest of it")]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pair::{Difference, Programs, Start};
use random::Random;
use requests::Request;
use support::server::Program;

/// How many confs a usual run makes, and how long it may take: a busy machine makes fewer.
const ROUNDS: usize = 40;
const TIME: Duration = Duration::from_secs(30);
/// How many requests each conf gets.
const REQUESTS: usize = 60;
/// After so many differences it is enough.
const MOST: usize = 20;

/// What a run is to do, and what it came to.
struct Run {
    programs: Programs,
    seed: u64,
    end: Instant,
    rounds: std::ops::Range<usize>,
    next: AtomicUsize,
    asked: AtomicUsize,
    known: AtomicUsize,
    refused: AtomicUsize,
    /// How many there are of each kind.
    kinds: Mutex<BTreeMap<String, usize>>,
    differences: Mutex<Vec<String>>,
}

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "--list") {
        println!("differential: test");
        return ExitCode::SUCCESS;
    }
    let Some(nginx) = find_nginx() else {
        println!("test differential ... ignored, nginx is not installed");
        return ExitCode::SUCCESS;
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    for case in known::cases() {
        assert!(folder.join(case).with_extension("case").is_file(), "known.rs names a case that is not there: {case}");
    }
    let begun = Instant::now();
    let run = Run::new(nginx, begun);
    println!("\nrunning 1 test, seed {}", run.seed);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| run.work());
        }
    });
    run.report(begun)
}

impl Run {
    fn new(nginx: PathBuf, begun: Instant) -> Run {
        let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
        let long = number("LONGSHORE_DIFFERENTIAL").map(Duration::from_secs);
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs());
        let seed = number("LONGSHORE_SEED").unwrap_or(if long.is_some() { now } else { 2026 });
        let rounds = match (number("LONGSHORE_ROUND"), long) {
            (Some(round), _) => round as usize..round as usize + 1,
            (None, Some(_)) => 0..usize::MAX,
            (None, None) => 0..ROUNDS,
        };
        let own = std::env::var_os("LONGSHORE_BIN").map(PathBuf::from);
        Run {
            programs: Programs {
                longshore: Program { name: "longshore", path: own.unwrap_or(env!("CARGO_BIN_EXE_longshore").into()) },
                nginx: Program { name: "nginx", path: nginx },
            },
            seed,
            end: begun + long.unwrap_or(TIME),
            next: AtomicUsize::new(rounds.start),
            rounds,
            asked: AtomicUsize::new(0),
            known: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            kinds: Mutex::default(),
            differences: Mutex::default(),
        }
    }

    fn work(&self) {
        loop {
            let round = self.next.fetch_add(1, Relaxed);
            if !self.rounds.contains(&round) || Instant::now() > self.end || self.found() >= MOST {
                return;
            }
            self.round(round);
        }
    }

    /// One conf, and its requests.
    fn round(&self, round: usize) {
        let mut random = Random::new(self.seed.wrapping_mul(1_000_003).wrapping_add(round as u64));
        let conf = confs::conf(&mut random);
        let requests: Vec<Request> = (0..REQUESTS).map(|_| requests::request(&mut random)).collect();
        let pair = match self.programs.start(&conf) {
            Start::Both(pair) => pair,
            Start::Neither => {
                self.refused.fetch_add(1, Relaxed);
                return;
            }
            Start::One(why) => {
                let conf = reduce::conf(&conf, |conf| matches!(self.programs.start(conf), Start::One(_)));
                return self.add(format!("round {round}: {why}\n{conf}"));
            }
        };
        for request in requests.iter().take_while(|_| Instant::now() < self.end) {
            self.asked.fetch_add(1, Relaxed);
            let Some(difference) = pair.compare(request) else { continue };
            if let Some(case) = known::case(request, &difference) {
                self.known.fetch_add(1, Relaxed);
                if std::env::var_os("LONGSHORE_KNOWN").is_some() {
                    println!("known: {case}");
                }
                continue;
            }
            if !self.is_new(&difference) {
                continue;
            }
            let differs = |conf: &str| match self.programs.start(conf) {
                Start::Both(pair) => pair.compare(request).filter(|other| other.kind() == difference.kind()),
                _ => None,
            };
            let conf = reduce::conf(&conf, |conf| differs(conf).is_some());
            let sent = String::from_utf8_lossy(&request.bytes).into_owned();
            self.add(format!("round {round}: {difference}\nsent {sent:?}\n{conf}"));
            if self.found() >= MOST {
                break;
            }
        }
        if let Err(why) = pair.stop() {
            self.add(format!("round {round}: {why}\n{conf}"));
        }
    }

    /// Whether it is the first of its kind in this run: one of a kind is enough to read.
    fn is_new(&self, difference: &Difference) -> bool {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let count = kinds.entry(difference.kind()).or_insert(0);
        *count += 1;
        *count == 1
    }

    fn add(&self, difference: String) {
        println!("---- seed {} {difference}", self.seed);
        self.differences.lock().unwrap_or_else(PoisonError::into_inner).push(difference);
    }

    fn found(&self) -> usize {
        self.differences.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn report(&self, begun: Instant) -> ExitCode {
        let found = self.found();
        let rounds = self.next.load(Relaxed).min(self.rounds.end) - self.rounds.start;
        println!(
            "seed {}: {rounds} confs ({} that both refuse), {} requests, {} known to differ, {found} differences",
            self.seed,
            self.refused.load(Relaxed),
            self.asked.load(Relaxed),
            self.known.load(Relaxed),
        );
        let word = if found == 0 { "ok" } else { "FAILED" };
        println!("test differential ... {word}");
        println!(
            "\ntest result: {word}. {} passed; {} failed; 0 ignored; 0 measured; 0 filtered out; finished in {:.2}s\n",
            usize::from(found == 0),
            usize::from(found > 0),
            begun.elapsed().as_secs_f64()
        );
        if found == 0 { ExitCode::SUCCESS } else { ExitCode::from(101) }
    }
}

fn find_nginx() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("LONGSHORE_NGINX") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join("nginx")).find(|file| file.is_file())
}
