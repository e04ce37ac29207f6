//! Runs one server for one case: its folder, its ports, its start and its stop. Sends no request itself.

use super::case::{Case, Entry, Kind, LogCheck, LogLine, Order};
use super::ports::Ports;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::bytes::Regex;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Which program is under test.
#[derive(Debug, Clone)]
pub struct Program {
    /// `longshore` or `nginx`.
    pub name: &'static str,
    pub path: PathBuf,
}

/// The place a case runs in: a fresh folder and ports that nobody else has.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub ports: Ports,
    /// Entries with a mode of their own, which might keep us from removing the folder.
    closed: Vec<PathBuf>,
    jar: Mutex<Jar>,
}

/// The cookies that answers have set, and those before the last answer that set one.
#[derive(Default)]
struct Jar {
    now: Vec<(String, String)>,
    before: Vec<(String, String)>,
}

/// A server that runs; dropping it kills it.
pub struct Server {
    child: Child,
    is_nginx: bool,
}

impl Place {
    pub fn new(case: &Case) -> Result<Place, String> {
        let dir = tempfile::Builder::new().prefix("longshore-case-").tempdir().map_err(|e| e.to_string())?;
        // A server started as root drops to another user, who must be able to enter.
        open_up(dir.path(), 0o777)?;
        fs::create_dir_all(dir.path().join("html")).map_err(|e| e.to_string())?;
        super::certs::make(&case.certificates, dir.path())?;
        for entry in &case.files {
            make(dir.path(), entry).map_err(|e| format!("{}: {e}", entry.path))?;
        }
        settle(dir.path(), &case.files).map_err(|e| e.to_string())?;
        let closed = case.files.iter().filter(|e| e.mode.is_some()).map(|e| dir.path().join(&e.path)).collect();
        let ports = Ports::take(case.ports()).map_err(|e| e.to_string())?;
        Ok(Place { dir, ports, closed, jar: Mutex::default() })
    }

    /// Keeps the cookies that an answer sets.
    pub fn keep_cookies(&self, headers: &[(String, Vec<u8>)]) {
        let set = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        let set: Vec<_> = set.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect();
        let mut jar = self.jar();
        if set.is_empty() {
            return;
        }
        jar.before = jar.now.clone();
        for field in set {
            let (name, value) = field.split(';').next().and_then(|pair| pair.split_once('=')).unwrap_or_default();
            jar.now.retain(|(known, _)| known != name);
            if !field.contains("Max-Age=0") {
                jar.now.push((name.to_string(), value.to_string()));
            }
        }
    }

    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills in `%PORT%`, `%PORTn%`, `%DIR%`, `%COOKIES%`, `%COOKIES-BEFORE%` and `%REPEAT(text,count)%`.
    pub fn fill(&self, text: &[u8]) -> Vec<u8> {
        let mut text = repeat(text);
        let pairs = |jar: &[(String, String)]| {
            jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
        };
        let (now, before) = {
            let jar = self.jar();
            (pairs(&jar.now), pairs(&jar.before))
        };
        text = replace(&text, b"%COOKIES%", now.as_bytes());
        text = replace(&text, b"%COOKIES-BEFORE%", before.as_bytes());
        for (index, port) in self.ports.iter().enumerate() {
            let name = if index == 0 { "%PORT%".to_string() } else { format!("%PORT{}%", index + 1) };
            text = replace(&text, name.as_bytes(), port.to_string().as_bytes());
        }
        replace(&text, b"%DIR%", self.dir.path().display().to_string().as_bytes())
    }

    /// [`Place::fill`] for text.
    pub fn fill_str(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.fill(text.as_bytes())).into_owned()
    }

    /// The reverse of [`Place::fill`], so that answers of two places can be compared. A port stands alone: a longer number in
    /// which its digits happen to occur is not one.
    pub fn mask(&self, text: &[u8]) -> Vec<u8> {
        let mut text = replace(text, self.dir.path().display().to_string().as_bytes(), b"%DIR%");
        for (index, port) in self.ports.iter().enumerate() {
            let name = format!("%PORT{}%", index + 1);
            let alone = Regex::new(&format!(r"(?-u)\b{port}\b")).expect("digits are a regex");
            text = alone.replace_all(&text, name.as_bytes()).into_owned();
        }
        text
    }

    pub fn log(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for path in &self.closed {
            // What cannot be opened up stays behind in the temporary folder, which harms no test.
            let _ = fs::set_permissions(path, Permissions::from_mode(0o700));
        }
    }
}

/// Starts `program` for `case` and waits until it listens.
pub fn start(program: &Program, case: &Case, place: &Place, deadline: Instant) -> Result<Server, String> {
    let mut server = spawn(program, case, place)?;
    let pid_file = place.dir.path().join("pid");
    loop {
        if fs::read(&pid_file).is_ok_and(|text| text.ends_with(b"\n")) {
            return Ok(server);
        }
        if let Some(status) = server.child.try_wait().map_err(|e| e.to_string())? {
            return Err(format!("did not start: {status}\n{}", messages(place)));
        }
        if Instant::now() > deadline {
            return Err(format!("no pid file appeared\n{}", messages(place)));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts `program` and expects it to refuse with exit code 1; gives its messages.
pub fn refuse(program: &Program, case: &Case, place: &Place, deadline: Instant) -> Result<String, String> {
    let mut server = spawn(program, case, place)?;
    match server.wait(deadline)? {
        Some(1) => Ok(messages(place)),
        other => Err(format!("should have refused with exit code 1, was {other:?}\n{}", messages(place))),
    }
}

impl Server {
    /// Carries out an order of the case, and waits until the server has heard it.
    pub fn obey(
        &mut self,
        order: &Order,
        program: &Program,
        case: &Case,
        place: &Place,
        deadline: Instant,
    ) -> Result<(), String> {
        match order {
            Order::Reload { conf, bad } => {
                write_conf(program, case.whole, conf, place)?;
                self.signal(Signal::SIGHUP)?;
                await_that(deadline, "the error log does not refuse the new conf", || {
                    !bad || messages(place).contains("[emerg]")
                })
            }
            Order::Reopen(file) => {
                let path = place.dir.path().join(file);
                fs::rename(&path, path.with_extension("log.old")).map_err(|e| format!("{file}: {e}"))?;
                self.signal(Signal::SIGUSR1)?;
                await_that(deadline, "the log file was not opened again", || path.exists())
            }
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).map_err(|e| format!("{signal}: {e}"))
    }

    /// Asks for a graceful stop and checks that it is clean.
    pub fn stop(mut self, place: &Place, refused: bool, deadline: Instant) -> Result<(), String> {
        self.signal(Signal::SIGQUIT)?;
        // nginx has its pid file before it blocks signals, and waits for the next once one has come in between.
        while self.is_nginx && self.child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
            self.signal(Signal::SIGQUIT)?;
        }
        match self.wait(deadline)? {
            Some(0) => {}
            other => return Err(format!("QUIT ended it with {other:?}\n{}", messages(place))),
        }
        // nginx says so itself of a signature that it had just looked at.
        let noise = |line: &&str| !line.contains("ignoring stale global SSL error");
        let said = messages(place).lines().filter(noise).collect::<Vec<_>>().join("\n");
        let bad = ["[alert]", "panicked", "[emerg]"];
        // A conf that was refused on purpose has left its [emerg] behind.
        match bad[..if refused { 2 } else { 3 }].iter().find(|word| said.contains(**word)) {
            Some(word) => Err(format!("{word} in its messages:\n{said}")),
            None => Ok(()),
        }
    }

    fn wait(&mut self, deadline: Instant) -> Result<Option<i32>, String> {
        loop {
            if let Some(status) = self.child.try_wait().map_err(|e| e.to_string())? {
                return Ok(status.code());
            }
            if Instant::now() > deadline {
                return Err("did not end in time".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // TERM first, so that nginx's workers end with their master.
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
            if self.wait(Instant::now() + Duration::from_secs(2)).is_err() {
                let _ = self.child.kill();
            }
        }
        let _ = self.child.wait();
    }
}

fn await_that(deadline: Instant, otherwise: &str, condition: impl Fn() -> bool) -> Result<(), String> {
    while !condition() {
        if Instant::now() > deadline {
            return Err(otherwise.into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// What the server has said so far: its error log and its standard error.
pub fn messages(place: &Place) -> String {
    let said = [place.log("error.log"), place.log("stderr")].concat();
    String::from_utf8_lossy(&said).into_owned()
}

/// Checks the log files of a server that has stopped.
pub fn check_logs(logs: &[LogCheck], place: &Place, program: &Program) -> Result<(), String> {
    for check in logs.iter().filter(|c| c.only.as_deref().is_none_or(|only| only == program.name)) {
        let text = place.log(&check.file);
        for line in &check.lines {
            let (ok, wanted) = match line {
                LogLine::Exact(wanted) => {
                    let wanted = place.fill_str(wanted);
                    (text.split(|b| *b == b'\n').any(|line| line == wanted.as_bytes()), wanted)
                }
                LogLine::Pattern(pattern) => (matches(place, pattern, &text)?, format!("~ {pattern}")),
                LogLine::NoPattern(pattern) => (!matches(place, pattern, &text)?, format!("!~ {pattern}")),
            };
            if !ok {
                return Err(format!("{}: wanted `{wanted}` in\n{}", check.file, String::from_utf8_lossy(&text)));
            }
        }
    }
    Ok(())
}

/// Whether the pattern, with its placeholders filled in, occurs in the text; `^` and `$` stand at lines.
pub fn matches(place: &Place, pattern: &str, text: &[u8]) -> Result<bool, String> {
    let pattern = format!("(?m-u){}", place.fill_str(pattern));
    Ok(Regex::new(&pattern).map_err(|e| e.to_string())?.is_match(text))
}

fn spawn(program: &Program, case: &Case, place: &Place) -> Result<Server, String> {
    let dir = place.dir.path();
    let conf = dir.join("case.conf");
    write_conf(program, case.whole, &case.conf, place)?;
    let errors = File::create(dir.join("stderr")).map_err(|e| e.to_string())?;
    let child = Command::new(&program.path)
        .arg("-p")
        .arg(dir)
        .arg("-c")
        .arg(&conf)
        .arg("-e")
        .arg(dir.join("error.log"))
        .env("LONGSHORE_CASE", "present")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .map_err(|e| format!("{}: {e}", program.path.display()))?;
    Ok(Server { child, is_nginx: program.name == "nginx" })
}

/// Writes the conf with what every case needs around it.
pub fn write_conf(program: &Program, whole: bool, conf: &str, place: &Place) -> Result<(), String> {
    let text = place.fill(wrap(program, whole, conf).as_bytes());
    fs::write(place.dir.path().join("case.conf"), text).map_err(|e| e.to_string())
}

/// The whole conf: the case's own text and what every case needs around it.
fn wrap(program: &Program, whole: bool, conf: &str) -> String {
    let body = "client_body_temp_path %DIR%/client_body;";
    // nginx makes these folders at start, wherever they are; only its own user could make the default ones.
    let gateways = match program.name {
        "nginx" => ["proxy", "fastcgi", "uwsgi", "scgi"].map(|g| format!("{g}_temp_path %DIR%/{g};")).join(" "),
        _ => String::new(),
    };
    let temps = format!("{body} {gateways}");
    let main = "daemon off; pid %DIR%/pid;";
    let error_log = if whole && conf.contains("error_log") { "" } else { "error_log %DIR%/error.log info;" };
    if whole {
        return format!("{main} {error_log}\n{}", conf.replace("%TEMPS%", &temps));
    }
    let access_log = if conf.contains("%DIR%/access.log") { "" } else { "access_log %DIR%/access.log;" };
    format!(
        "{main} {error_log} worker_processes 1;\nevents {{ worker_connections 256; }}\nhttp {{ {temps} {access_log}\n{}}}\n",
        conf
    )
}

fn make(dir: &Path, entry: &Entry) -> std::io::Result<()> {
    let path = dir.join(&entry.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match &entry.kind {
        Kind::File(content) => fs::write(&path, content),
        Kind::Dir => fs::create_dir_all(&path),
        Kind::Symlink(target) => {
            let target = target.replace("%DIR%", &dir.display().to_string());
            std::os::unix::fs::symlink(target, &path)
        }
        Kind::Fifo => Ok(nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o666))?),
    }
}

/// Sets times and modes, deepest first, once nothing more is made inside a folder.
fn settle(dir: &Path, entries: &[Entry]) -> std::io::Result<()> {
    let mut folders: Vec<PathBuf> = entries
        .iter()
        .filter(|e| !e.path.starts_with('/'))
        .flat_map(|e| Path::new(&e.path).ancestors().skip(1).map(Path::to_path_buf).collect::<Vec<_>>())
        .filter(|p| !p.as_os_str().is_empty())
        .collect();
    folders.sort();
    folders.dedup();
    for folder in folders.iter().rev() {
        date(&dir.join(folder), super::case::MTIME)?;
    }
    // What a server writes in a case it writes as the user that it drops to.
    let made = entries.iter().filter(|e| matches!(e.kind, Kind::Dir)).map(|e| dir.join(&e.path));
    for folder in folders.iter().map(|folder| dir.join(folder)).chain(made).chain([dir.join("html")]) {
        fs::set_permissions(folder, Permissions::from_mode(0o777))?;
    }
    for entry in entries.iter().rev().filter(|e| !matches!(e.kind, Kind::Symlink(_) | Kind::Fifo)) {
        date(&dir.join(&entry.path), entry.mtime)?;
    }
    // Modes come last: they may forbid what was done until here.
    for entry in entries {
        if let Some(mode) = entry.mode {
            fs::set_permissions(dir.join(&entry.path), Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

fn date(path: &Path, mtime: u64) -> std::io::Result<()> {
    File::open(path)?.set_modified(UNIX_EPOCH + Duration::from_secs(mtime))
}

fn open_up(path: &Path, mode: u32) -> Result<(), String> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|e| e.to_string())
}

fn repeat(text: &[u8]) -> Vec<u8> {
    let mut made = Vec::new();
    let mut rest = text;
    while let Some(at) = position(rest, b"%REPEAT(") {
        let (before, after) = rest.split_at(at);
        made.extend_from_slice(before);
        let Some(end) = position(after, b")%") else { break };
        let inner = &after[b"%REPEAT(".len()..end];
        let comma = inner.iter().rposition(|b| *b == b',').unwrap_or(inner.len());
        let count = inner.get(comma + 1..).and_then(|n| std::str::from_utf8(n).ok()?.parse().ok()).unwrap_or(0);
        made.extend(inner[..comma].repeat(count));
        rest = &after[end + 2..];
    }
    made.extend_from_slice(rest);
    made
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// Every occurrence of `old` replaced by `new`.
pub fn replace(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut made = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = position(rest, old) {
        made.extend_from_slice(&rest[..at]);
        made.extend_from_slice(new);
        rest = &rest[at + old.len()..];
    }
    made.extend_from_slice(rest);
    made
}
