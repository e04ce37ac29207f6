//! What `longshore explain` says is held against what the server does: for each request of the whole-program cases that comes
//! alone on its way, explain is asked first, then the server, which notes server, location, path, file and status in a log.
//! tests/explain/exceptions.txt names the cases where they may differ, each with its reason; one that is not needed fails too.
//! The lines that `explain --as-expect` writes of the same requests must pass in `longshore expect`; tests/explain/expect.txt has
//! the exceptions to that.
//!
//! `cargo test --test explain -- FILTER` runs some cases, `LONGSHORE_EXPLAIN_SHOW=1` names what was left out and why.

// The case runner's other half judges answers, which is of no use here.
#[allow(dead_code)]
mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use longshore::exchange::reasons::REASONS;
use serde_json::Value;
use support::backend::Backends;
use support::case::{self, Action, Case, Exchange, Order, Target};
use support::server::{self, Place, Program};
use support::tls::Clients;
use support::wire::{Shape, Wire};

/// How long one case may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Server, location, path, file, status, request line and reason of each request, in a log of its own.
const LOG: &str = "log_format truth escape=none '$server_line\t$location_line\t$uri\t$request_filename\t$status\t$request\t$error_reason'; \
                   access_log %DIR%/truth.log truth; access_log %DIR%/access.log; ";

#[derive(Default)]
struct Tally {
    /// Requests that were compared.
    compared: usize,
    /// Their cases.
    cases: BTreeSet<String>,
    /// How many of them had a settled status.
    settled: usize,
    /// Why a request or a case was left out, and how often.
    left_out: BTreeMap<String, Vec<String>>,
    /// Cases with a difference.
    differ: BTreeMap<String, String>,
    /// The reasons that the server gave.
    reasons: BTreeSet<String>,
    /// How many lines for `longshore expect` were run.
    expected: usize,
    /// Cases with such lines, and those whose lines fail.
    expecting: BTreeSet<String>,
    failing: BTreeMap<String, String>,
}

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let paths = case::find(&root).unwrap_or_default();
    let cases: Vec<Case> = paths.iter().filter_map(|path| Case::load(&root, path).ok()).collect();
    if std::env::args().any(|arg| arg == "--list") {
        println!("explain::what_it_says_is_what_the_server_does: test");
        return ExitCode::SUCCESS;
    }
    let queue: VecDeque<&Case> =
        cases.iter().filter(|case| filters.is_empty() || filters.iter().any(|part| case.name.contains(part))).collect();
    let (queue, tally) = (Mutex::new(queue), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = { lock(&queue).pop_front() } {
                    if let Err(why) = compare(case, &tally) {
                        leave_out(&tally, &why, &case.name);
                    }
                }
            });
        }
    });
    report(&lock(&tally), filters.is_empty())
}

/// Compares explain and the server over one case; an error says why the case is left out.
fn compare(case: &Case, tally: &Mutex<Tally>) -> Result<(), String> {
    if case.refused.is_some() {
        return Err("the conf is refused".into());
    }
    let program = Program { name: "longshore", path: env!("CARGO_BIN_EXE_longshore").into() };
    let case = &with_log(case)?;
    let deadline = Instant::now() + LIMIT;
    let place = Place::new(case)?;
    server::write_conf(&program, case.whole, &case.conf, &place)?;
    let before = files_of(&place);
    // First explain, while all files are as the case made them; it must leave them so.
    let reloads = |exchange: &Exchange| exchange.orders.iter().any(|order| matches!(order, Order::Reload { .. }));
    let same: Vec<&Exchange> = case.exchanges.iter().take_while(|exchange| !reloads(exchange)).collect();
    let mut connection: Option<&Exchange> = None;
    let told = same.iter().map(|exchange| {
        // A request on the connection of the one before goes where that one went.
        let opener = connection.filter(|_| !exchange.fresh).unwrap_or(exchange);
        connection = Some(opener);
        explain(exchange, opener, &place)
    });
    let told: Vec<Result<Told, String>> = told.collect();
    if files_of(&place) != before {
        lock(tally).differ.insert(case.name.clone(), "explain has changed the files of the case".into());
        return Ok(());
    }
    let expectations: Vec<&str> = told.iter().flatten().filter_map(Told::expectation).collect();
    if !expectations.is_empty() {
        let failure = expect(&expectations, &place)?;
        tidy(&place, &before);
        let mut tally = lock(tally);
        tally.expected += expectations.len();
        tally.expecting.insert(case.name.clone());
        tally.failing.extend(failure.map(|failure| (case.name.clone(), failure)));
    }
    let lines = serve(case, &same, &program, &place, deadline)?;
    let reasons = lines.iter().filter_map(|line| line.rsplit('\t').next()?.split(' ').next()?.split_once('/'));
    lock(tally).reasons.extend(reasons.map(|(_, name)| name.to_string()));
    let counts: Vec<usize> = same.iter().map(|exchange| exchange.responses.len()).collect();
    if lines.len() != counts.iter().sum::<usize>() {
        return Err("not each request has its own line in the log".into());
    }
    let mut rest = lines.iter();
    let (mut compared, mut is_changed) = (0, false);
    for (exchange, told) in same.iter().zip(&told) {
        let served: Vec<&String> = rest.by_ref().take(exchange.responses.len()).collect();
        match told {
            Err(why) => leave_out(tally, why, &format!("{}:{}", case.name, exchange.line)),
            Ok(_) if is_changed => leave_out(tally, "a request before it changed files", &case.name),
            Ok(told) => {
                is_changed = told.end == "change";
                let served: Vec<&str> = served[0].split('\t').collect();
                if served.get(5).copied() != Some(&told.request) {
                    let (line, request) = (exchange.line, &told.request);
                    let pair = format!("{}:{line} `{request}` is not `{}`", case.name, served.get(5).unwrap_or(&""));
                    leave_out(tally, "its line in the log is another request's", &pair);
                    continue;
                }
                compared += 1;
                lock(tally).settled += usize::from(told.status.is_some());
                if let Some(difference) = told.differs(&served, &place) {
                    let text = format!("line {}: {difference}", exchange.line);
                    lock(tally).differ.entry(case.name.clone()).or_insert(text);
                }
            }
        }
    }
    let mut tally = lock(tally);
    tally.compared += compared;
    if compared > 0 {
        tally.cases.insert(case.name.clone());
    }
    Ok(())
}

/// The case with a log of ours in its `http`, on the line that is there, so that no line of the conf moves.
fn with_log(case: &Case) -> Result<Case, String> {
    let conf = match case.whole {
        false => format!("{LOG}{}", case.conf),
        true => match case.conf.split_once("http {") {
            Some((head, tail)) => format!("{head}http {{ {LOG}{tail}"),
            None => return Err("the conf has no `http {`".into()),
        },
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut copy = Case::load(&root, &root.join(format!("{}.case", case.name)))?;
    copy.conf = conf;
    Ok(copy)
}

/// Plays the requests against the server; the lines of the log.
fn serve(
    case: &Case,
    same: &[&Exchange],
    program: &Program,
    place: &Place,
    deadline: Instant,
) -> Result<Vec<String>, String> {
    let backends = Backends::start(&case.backends, place)?;
    let mut running =
        server::start(program, case, place, deadline).map_err(|_| "the server does not start with our log")?;
    let clients = Clients::default();
    let mut wire: Option<Wire> = None;
    let mut wanted = 0;
    for exchange in same {
        for order in &exchange.orders {
            running.obey(order, program, case, place, deadline)?;
        }
        if exchange.until {
            return Err("a request is asked again until its answer comes".into());
        }
        if exchange.fresh || wire.is_none() {
            wire = Some(Wire::connect(exchange, &clients, place, deadline)?);
        }
        let Some(wire) = wire.as_mut() else { continue };
        wire.send(exchange, place)?;
        for (number, expected) in exchange.responses.iter().enumerate() {
            let head = exchange.heads.get(number).copied().unwrap_or(false);
            let shape = Shape {
                bare: expected.bare,
                nothing: expected.nothing,
                head,
                closed: expected.closed,
                short: expected.short,
            };
            wire.read(shape)?;
        }
        // The line of a request is written after its answer, and of two requests either could be first.
        wanted += exchange.responses.len();
        let soon = Instant::now() + Duration::from_secs(2);
        while place.log("truth.log").iter().filter(|&&b| b == b'\n').count() < wanted && Instant::now() < soon {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    drop(wire);
    running.stop(place, true, deadline)?;
    drop(backends);
    let text = place.log("truth.log");
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_string).collect())
}

/// Takes away what was not there: a store of sessions, say, that belongs to somebody else than the server's user.
fn tidy(place: &Place, before: &BTreeMap<String, (u64, Option<std::time::SystemTime>)>) {
    // What is in a folder goes before it.
    for name in files_of(place).keys().rev().filter(|name| !before.contains_key(*name)) {
        if std::fs::remove_file(name).is_err() {
            let _ = std::fs::remove_dir(name);
        }
    }
}

/// Runs lines for `longshore expect`; what the first failing one says.
fn expect(lines: &[&str], place: &Place) -> Result<Option<String>, String> {
    let dir = place.dir.path();
    // Beside the folder, so that what is asked for is not changed.
    let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    std::fs::write(file.path(), lines.join("\n")).map_err(|error| error.to_string())?;
    let said = Command::new(env!("CARGO_BIN_EXE_longshore"))
        .args(["expect".as_ref(), file.path(), "-p".as_ref(), dir, "-c".as_ref(), &dir.join("case.conf")])
        .env("LONGSHORE_CASE", "present")
        .output()
        .map_err(|error| error.to_string())?;
    let (report, errors) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    if said.status.success() {
        return Ok(None);
    }
    let failing: Vec<&str> = report.lines().skip_while(|line| !line.starts_with("not ok")).take(2).collect();
    let text = if failing.is_empty() { errors.trim().to_string() } else { failing.join(" ") };
    Ok(Some(mask(&text, place)))
}

/// What explain said of one request.
struct Told {
    request: String,
    server: String,
    location: String,
    path: String,
    file: String,
    end: String,
    status: Option<u64>,
    line: String,
}

fn explain(exchange: &Exchange, connection: &Exchange, place: &Place) -> Result<Told, String> {
    if exchange.responses.len() != 1 {
        return Err("several requests leave in one write, or none is answered".into());
    }
    let port = |n: &usize| place.ports.get(n - 1).copied().unwrap_or_default();
    let host = match &connection.target {
        Target::Port(n) => format!("127.0.0.1:{}", port(n)),
        Target::Address(address, n) => format!("{address}:{}", port(n)),
        Target::Unix(_) => return Err("it comes by a Unix socket".into()),
    };
    let mut sent = Vec::new();
    exchange.actions.iter().for_each(|action| {
        if let Action::Send(bytes) = action {
            sent.extend(place.fill(bytes));
        }
    });
    if sent.starts_with(b"PROXY ") || sent.starts_with(b"\r\n\r\n\0\r\nQUIT\n") {
        return Err("a proxy announces its client before it".into());
    }
    let start = sent.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let sent = &sent[start..];
    let Some(end) = sent.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Err("its head is never complete".into());
    };
    let dir = place.dir.path();
    let head = dir.join("explain.head");
    std::fs::write(&head, &sent[..end + 4]).map_err(|error| error.to_string())?;
    let scheme = if connection.tls.is_some() { "https" } else { "http" };
    let ask = |form: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_longshore"))
            .arg("explain")
            .args(form)
            .arg("--head")
            .arg(&head)
            .arg("-p")
            .arg(dir)
            .arg("-c")
            .arg(dir.join("case.conf"))
            .arg(format!("{scheme}://{host}/"))
            .env("LONGSHORE_CASE", "present")
            .output()
            .map_err(|error| error.to_string())
    };
    let (said, line) = (ask(&["--format", "json"])?, ask(&["--as-expect"])?);
    std::fs::remove_file(&head).map_err(|error| error.to_string())?;
    if !said.status.success() {
        return Err(format!("explain has nothing to say: {}", mask(&String::from_utf8_lossy(&said.stderr), place)));
    }
    let value: Value = serde_json::from_slice(&said.stdout).map_err(|error| format!("no JSON: {error}"))?;
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_string();
    let place_of = |name: &str| match value[name]["file"].as_str() {
        Some(file) => format!("{file}:{}", value[name]["line"]),
        None => String::new(),
    };
    let request = sent.split(|&b| b == b'\r' || b == b'\n').next().unwrap_or_default();
    Ok(Told {
        request: String::from_utf8_lossy(request).into_owned(),
        server: place_of("server"),
        location: place_of("location"),
        path: text("path"),
        file: text("file"),
        end: text("end"),
        status: value["status"].as_u64(),
        line: String::from_utf8_lossy(&line.stdout).trim_end().to_string(),
    })
}

impl Told {
    /// The line for `longshore expect`, if it asks something. It reads files as root where root runs it, and what the server's
    /// user may not read is no test then.
    fn expectation(&self) -> Option<&str> {
        let is_root = nix::unistd::geteuid().is_root();
        let is_refused = ["/no-permission", "/store-closed"].iter().any(|reason| self.line.contains(reason));
        Some(self.line.as_str()).filter(|line| !(line.starts_with('#') || is_root && is_refused))
    }

    /// What differs from the server's line; nothing if all is the same.
    fn differs(&self, served: &[&str], place: &Place) -> Option<String> {
        let status = match self.end.as_str() {
            "answer" => self.status.map(|status| status.to_string()),
            // There is no answer; what the log has in its place is the reason for it.
            "close" => (!["408", "444", "499"].contains(&served[4])).then(|| "closed".into()),
            _ => None,
        };
        let file = (self.end != "run").then_some(self.file.as_str());
        let pairs = [
            ("server", Some(self.server.as_str()), served[0]),
            ("location", Some(&self.location), served[1]),
            ("path", Some(&self.path), served[2]),
            ("file", file, served[3]),
            ("status", status.as_deref(), served[4]),
        ];
        let wrong = pairs.iter().filter(|(_, told, done)| told.is_some_and(|told| told != *done));
        let texts: Vec<String> = wrong
            .map(|(what, told, done)| {
                format!("{what}: explain says `{}`, the server `{done}`", told.unwrap_or_default())
            })
            .collect();
        let mut text = texts.join("; ");
        if self.status.is_none() && !text.is_empty() {
            text += &format!(" (it ends with: {})", self.end);
        }
        (!text.is_empty()).then(|| mask(&text, place))
    }
}

fn mask(text: &str, place: &Place) -> String {
    String::from_utf8_lossy(&place.mask(text.as_bytes())).trim().to_string()
}

/// Names, sizes and times of all files of a case.
fn files_of(place: &Place) -> BTreeMap<String, (u64, Option<std::time::SystemTime>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![place.dir.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.path().symlink_metadata() else { continue };
            let is_folder = meta.is_dir();
            let changed = meta.modified().ok().filter(|_| !is_folder);
            found.insert(entry.path().display().to_string(), (if is_folder { 0 } else { meta.len() }, changed));
            if is_folder {
                folders.push(entry.path());
            }
        }
    }
    found
}

fn leave_out(tally: &Mutex<Tally>, why: &str, name: &str) {
    lock(tally).left_out.entry(why.to_string()).or_default().push(name.to_string());
}

/// The cases that may differ, with the reason.
fn exceptions(text: &'static str) -> BTreeMap<&'static str, &'static str> {
    let lines = text.lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": ")).collect()
}

fn report(tally: &Tally, is_whole: bool) -> ExitCode {
    let show = std::env::var_os("LONGSHORE_EXPLAIN_SHOW").is_some();
    for (why, names) in &tally.left_out {
        println!("left out {} times: {why}", names.len());
        if show {
            names.iter().for_each(|name| println!("    {name}"));
        }
    }
    let known = exceptions(include_str!("explain/exceptions.txt"));
    let new = tally.differ.iter().filter(|(name, _)| !known.contains_key(name.as_str()));
    let mut failures: Vec<String> = new.map(|(name, difference)| format!("{name}: {difference}")).collect();
    let needless = known.keys().filter(|name| tally.cases.contains(**name) && !tally.differ.contains_key(**name));
    failures.extend(needless.map(|name| format!("{name}: stands in exceptions.txt, and nothing differs any more")));
    let known_to_fail = exceptions(include_str!("explain/expect.txt"));
    let new = tally.failing.iter().filter(|(name, _)| !known_to_fail.contains_key(name.as_str()));
    failures.extend(new.map(|(name, failure)| format!("{name}: as a line for expect: {failure}")));
    let passing = |name: &&&str| tally.expecting.contains(**name) && !tally.failing.contains_key(**name);
    let needless = known_to_fail.keys().filter(passing);
    failures.extend(needless.map(|name| format!("{name}: stands in expect.txt, and its lines pass")));
    if is_whole {
        failures.extend(unreached(&tally.reasons));
    }
    println!("{} lines for expect of {} cases were run", tally.expected, tally.expecting.len());
    println!(
        "{} requests of {} cases were compared, {} with a settled status; {} cases differ for a known reason",
        tally.compared,
        tally.cases.len(),
        tally.settled,
        tally.differ.keys().filter(|name| known.contains_key(name.as_str())).count()
    );
    failures.iter().for_each(|failure| println!("---- {failure}"));
    let (word, passed) = if failures.is_empty() { ("ok", 1) } else { ("FAILED", 0) };
    println!(
        "\ntest result: {word}. {passed} passed; {} failed; 0 ignored; 0 measured; 0 filtered out\n",
        failures.len()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

/// Reasons that no case gives though no other test is named for them, and those for which one is named needlessly.
fn unreached(seen: &BTreeSet<String>) -> Vec<String> {
    let elsewhere = exceptions(include_str!("explain/reasons.txt"));
    let names: BTreeSet<&str> = REASONS.iter().map(|reason| reason.name).filter(|name| *name != "redirect").collect();
    let missing = names.iter().filter(|name| !seen.contains(**name) && !elsewhere.contains_key(**name));
    let mut said: Vec<String> = missing.map(|name| format!("the reason {name}: no case reaches it")).collect();
    let needless = elsewhere.keys().filter(|name| seen.contains(**name) || !names.contains(**name));
    said.extend(needless.map(|name| format!("the reason {name}: stands in reasons.txt, and need not")));
    said
}

/// A lock that a failed comparison left behind is still good: it guards only lists.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
