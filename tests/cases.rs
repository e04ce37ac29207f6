//! Runs every tests/cases/FEATURE/NAME.case against Longshore and, where it is installed, against nginx.
//! Both must meet the expectation and give the same answers. docs/cases.md describes the format.
//!
//! `LONGSHORE_CASES_ONLY=nginx` (or `longshore`) runs one server, `LONGSHORE_NGINX=PATH` names another nginx,
//! `LONGSHORE_BIN=PATH` another Longshore, `LONGSHORE_CASES_SHOW=1` prints every answer,
//! `LONGSHORE_CASES_WRITE=1` writes docs/differences.md.

mod support;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use support::backend::Backends;
use support::case::{self, Case, Exchange, Expected, Order, Reference};
use support::server::{self, Place, Program, Server};
use support::tls::Clients;
use support::wire::{Answer, Shape, Wire};
use support::{differences, judge, random};

/// How long one server may take for one case: what hangs is found out, what is slow on a busy machine is not.
const LIMIT: Duration = Duration::from_secs(60);

/// What one test came to.
enum Verdict {
    Ok,
    Ignored(String),
    Failed(String),
}

/// The servers that take part, and what the environment asks for.
struct Setup {
    longshore: Option<Program>,
    nginx: Option<(Program, Vec<u32>)>,
    /// Why nginx does not run.
    without: Option<String>,
    show: bool,
}

#[derive(Default)]
struct Tally {
    passed: usize,
    ignored: usize,
    failures: Vec<(String, String)>,
    /// Cases that nginx has no word for, or only a later one has.
    own: usize,
    later: usize,
}

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let listing = std::env::args().any(|arg| arg == "--list");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let begun = Instant::now();
    let (cases, mut tally) = load(&root);
    if listing {
        cases.iter().for_each(|case| println!("cases::{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let setup = Setup::from_environment();
    let total = cases.len();
    let mut queue: VecDeque<&Case> = cases.iter().collect();
    queue.retain(|case| filters.is_empty() || filters.iter().any(|f| format!("cases::{}", case.name).contains(f)));
    println!("\nrunning {} cases", queue.len());
    let out = total - queue.len();
    // All cases were read, so the page may be written whichever of them run.
    let write = std::env::var_os("LONGSHORE_CASES_WRITE").is_some();
    if filters.is_empty() || write {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differences.md");
        let verdict = differences::check(&cases, &page, write).map_or_else(Verdict::Failed, |()| Verdict::Ok);
        tally.count("differences_are_documented", verdict);
    }
    let queue = Mutex::new(queue);
    let shared = Mutex::new(tally);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = { lock(&queue).pop_front() } {
                    run(case, &setup, &shared);
                }
            });
        }
    });
    report(&lock(&shared), out, begun)
}

impl Setup {
    fn from_environment() -> Setup {
        let only = std::env::var("LONGSHORE_CASES_ONLY").unwrap_or_default();
        let own =
            std::env::var_os("LONGSHORE_BIN").map_or(PathBuf::from(env!("CARGO_BIN_EXE_longshore")), PathBuf::from);
        let nginx = std::env::var_os("LONGSHORE_NGINX").map(PathBuf::from).or_else(find_nginx);
        let nginx = nginx.and_then(|path| Some((Program { name: "nginx", path: path.clone() }, version(&path)?)));
        let without = match (&nginx, only.as_str()) {
            (_, "longshore") => Some("not asked for".to_string()),
            (None, _) => Some("nginx is not installed".to_string()),
            _ => None,
        };
        Setup {
            longshore: (only != "nginx").then_some(Program { name: "longshore", path: own }),
            nginx: nginx.filter(|_| without.is_none()),
            without,
            show: std::env::var_os("LONGSHORE_CASES_SHOW").is_some(),
        }
    }
}

impl Tally {
    fn count(&mut self, name: &str, verdict: Verdict) {
        match verdict {
            Verdict::Ok => {
                println!("test cases::{name} ... ok");
                self.passed += 1;
            }
            Verdict::Ignored(why) => {
                println!("test cases::{name} ... ignored, {why}");
                self.ignored += 1;
            }
            Verdict::Failed(why) => {
                println!("test cases::{name} ... FAILED");
                self.failures.push((name.to_string(), why));
            }
        }
    }
}

fn load(root: &Path) -> (Vec<Case>, Tally) {
    let mut tally = Tally::default();
    let mut cases = Vec::new();
    match case::find(root) {
        Ok(paths) if paths.is_empty() => tally.count("found", Verdict::Failed("no case was found".into())),
        Ok(paths) => {
            for path in paths {
                match Case::load(root, &path) {
                    Ok(case) => cases.push(case),
                    Err(why) => tally.count(&path.display().to_string(), Verdict::Failed(why)),
                }
            }
        }
        Err(why) => tally.count("found", Verdict::Failed(why.to_string())),
    }
    match random::case() {
        Ok(case) => cases.push(case),
        Err(why) => tally.count("regex/random", Verdict::Failed(why)),
    }
    (cases, tally)
}

/// Runs one case against both servers and compares what they said.
fn run(case: &Case, setup: &Setup, tally: &Mutex<Tally>) {
    let count = |server: &str, verdict| lock(tally).count(&format!("{} ({server})", case.name), verdict);
    let mut theirs = None;
    match (&setup.nginx, &setup.without, &case.nginx) {
        (_, _, Reference::Skip(_)) => lock(tally).own += 1,
        (None, Some(why), _) if why == "not asked for" => {}
        (None, why, _) => count("nginx", Verdict::Ignored(why.clone().unwrap_or_default())),
        (Some((_, found)), _, Reference::Since(wanted)) if *found < numbers(wanted) => lock(tally).later += 1,
        (Some((program, _)), _, _) => match play(program, case, setup.show) {
            Ok(answers) => {
                theirs = Some(answers);
                count("nginx", Verdict::Ok);
            }
            Err(why) => count("nginx", Verdict::Failed(why)),
        },
    }
    let Some(program) = &setup.longshore else { return };
    let verdict = match (play(program, case, setup.show), &theirs) {
        (Err(why), _) => Verdict::Failed(why),
        (Ok(ours), Some(theirs)) if !matches!(case.nginx, Reference::Differs(_)) => {
            judge::compare(&ours, theirs, &case.masks).map_or_else(Verdict::Failed, |()| Verdict::Ok)
        }
        (Ok(_), _) => Verdict::Ok,
    };
    count("longshore", verdict);
}

fn play(program: &Program, case: &Case, show: bool) -> Result<Vec<Answer>, String> {
    let deadline = Instant::now() + LIMIT;
    let place = Place::new(case)?;
    // Where the two differ, one refuses what the other starts with.
    let differs = matches!(case.nginx, Reference::Differs(_));
    let refused = match program.name {
        "nginx" if differs => &case.refused_there,
        _ => &case.refused,
    };
    if let Some(patterns) = refused {
        let said = server::refuse(program, case, &place, deadline)?;
        for pattern in patterns {
            if !server::matches(&place, pattern, said.as_bytes())? {
                return Err(format!("its messages lack /{pattern}/:\n{said}"));
            }
        }
        return Ok(Vec::new());
    }
    let backends = Backends::start(&case.backends, &place)?;
    let mut server = server::start(program, case, &place, deadline)?;
    let answers = Talk { program, case, place: &place, deadline, show, clients: Clients::default() }
        .all(&mut server)
        .map_err(|why| format!("{why}\n{}", server::messages(&place)))?;
    let bad = |order: &Order| matches!(order, Order::Reload { bad: true, .. });
    let refused = case.exchanges.iter().flat_map(|exchange| &exchange.orders).any(bad);
    server.stop(&place, refused, deadline)?;
    drop(backends);
    server::check_logs(&case.logs, &place, program)?;
    Ok(answers)
}

/// A case's whole conversation with one server.
struct Talk<'a> {
    program: &'a Program,
    case: &'a Case,
    place: &'a Place,
    deadline: Instant,
    show: bool,
    clients: Clients,
}

impl Talk<'_> {
    fn all(&self, server: &mut Server) -> Result<Vec<Answer>, String> {
        let mut answers = Vec::new();
        let mut wire: Option<Wire> = None;
        for (index, exchange) in self.case.exchanges.iter().enumerate() {
            for order in &exchange.orders {
                server.obey(order, self.program, self.case, self.place, self.deadline)?;
            }
            let followed = self.case.exchanges.get(index + 1).is_some_and(|next| !next.fresh);
            let mut result = self.one(exchange, &mut wire, followed);
            while exchange.until && result.is_err() && Instant::now() < self.deadline {
                std::thread::sleep(Duration::from_millis(2));
                result = self.one(exchange, &mut wire, followed);
            }
            answers.extend(result.map_err(|why| format!("request at line {}: {why}", exchange.line))?);
        }
        Ok(answers)
    }

    fn one(&self, exchange: &Exchange, wire: &mut Option<Wire>, followed: bool) -> Result<Vec<Answer>, String> {
        let lenient = self.program.name == "nginx";
        let mut answers = Vec::new();
        if exchange.fresh || wire.is_none() {
            *wire = Some(Wire::connect(exchange, &self.clients, self.place, self.deadline)?);
        }
        let Some(wire) = wire.as_mut() else { return Ok(answers) };
        wire.send(exchange, self.place)?;
        for (number, expected) in exchange.responses.iter().enumerate() {
            let expected: &Expected = expected.nginx.as_deref().filter(|_| lenient).unwrap_or(expected);
            let shape = Shape {
                bare: expected.bare,
                nothing: expected.nothing,
                head: exchange.heads.get(number).copied().unwrap_or(false),
                closed: expected.closed,
                short: expected.short,
            };
            let answer = wire.read(shape)?;
            self.place.keep_cookies(&answer.headers);
            if self.show {
                println!("{} {}: {}", self.program.name, self.case.name, describe(&answer));
            }
            judge::check(expected, &answer, self.place).map_err(|why| format!("{why}\n{}", describe(&answer)))?;
            let is_last = number + 1 == exchange.responses.len() && !followed;
            if is_last || expected.closed {
                judge::check_end(expected, &answer, wire.extra(), lenient)?;
            }
            answers.push(masked(answer, self.place));
            // Where nginx closed early and Longshore did not, what follows is Longshore's alone.
            if expected.closed || expected.nothing {
                break;
            }
        }
        Ok(answers)
    }
}

fn masked(mut answer: Answer, place: &Place) -> Answer {
    answer.body = place.mask(&answer.body);
    for (_, value) in &mut answer.headers {
        *value = place.mask(value);
    }
    answer
}

fn describe(answer: &Answer) -> String {
    let mut text = format!("{} {}\n", answer.status, answer.reason);
    for (name, value) in &answer.headers {
        text += &format!("  {name}: {}\n", String::from_utf8_lossy(value));
    }
    let shown = &answer.body[..answer.body.len().min(3000)];
    text + &format!("  {} bytes: {:?} ({:?})", answer.body.len(), String::from_utf8_lossy(shown), answer.end)
}

fn report(tally: &Tally, filtered: usize, begun: Instant) -> ExitCode {
    if tally.own > 0 {
        println!("\n{} cases show what nginx has no word for, and ran against Longshore only", tally.own);
    }
    if tally.later > 0 {
        println!("{} cases speak a later nginx than the one installed, and ran against Longshore only", tally.later);
    }
    if !tally.failures.is_empty() {
        println!("\nfailures:\n");
        tally.failures.iter().for_each(|(name, why)| println!("---- cases::{name} ----\n{why}\n"));
        println!("\nfailures:");
        tally.failures.iter().for_each(|(name, _)| println!("    cases::{name}"));
    }
    let word = if tally.failures.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {} failed; {} ignored; 0 measured; {filtered} filtered out; finished in {:.2}s\n",
        tally.passed,
        tally.failures.len(),
        tally.ignored,
        begun.elapsed().as_secs_f64()
    );
    if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

fn find_nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join("nginx")).find(|file| file.is_file())
}

/// The version that `nginx -v` names, as numbers.
fn version(nginx: &Path) -> Option<Vec<u32>> {
    let said = Command::new(nginx).arg("-v").output().ok()?.stderr;
    let said = String::from_utf8_lossy(&said).into_owned();
    Some(numbers(said.split_once('/')?.1.split_whitespace().next()?))
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

/// A lock that a failed test left behind is still good: it guards only lists.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
