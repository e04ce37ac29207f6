//! One running server with a folder, ports and logs of its own; gone when it is dropped. Sends no request.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::ports::Ports;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs.
pub struct Site {
    dir: tempfile::TempDir,
    /// The ports that `%PORT1%` and so on stand for.
    pub ports: Ports,
    child: Child,
}

impl Site {
    /// Starts a server with this conf: `main` stands before the http block, `http` inside it. `%PORT1%` to
    /// `%PORT3%` are free ports, `%DIR%` is its folder, whose `html` is the root.
    pub fn start(main: &str, http: &str) -> Site {
        Site::start_in(Site::folder(), main, http)
    }

    /// The same in a folder that was made with [`Site::folder`].
    pub fn start_in(dir: tempfile::TempDir, main: &str, http: &str) -> Site {
        Site::start_as(dir, &[], main, http)
    }

    /// Starts a server by a command that becomes the server: the server's own command line is behind it.
    pub fn start_under(command: &[&str], main: &str, http: &str) -> Site {
        Site::start_as(Site::folder(), command, main, http)
    }

    fn start_as(dir: tempfile::TempDir, before: &[&str], main: &str, http: &str) -> Site {
        let ports = Ports::take(3).unwrap();
        let conf = fill(&whole(main, http), dir.path(), &ports);
        fs::write(dir.path().join("server.conf"), conf).unwrap();
        let words = [before, &[env!("CARGO_BIN_EXE_longshore")]].concat();
        let child = Command::new(words[0])
            .args(&words[1..])
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(dir.path().join("server.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut site = Site { dir, ports, child };
        let pid_file = site.path("pid");
        wait_for("the server starts", || {
            if let Ok(Some(status)) = site.child.try_wait() {
                panic!("the server ended at once: {status}\n{}", site.said());
            }
            fs::read(&pid_file).is_ok_and(|text| text.ends_with(b"\n"))
        });
        site
    }

    /// A folder with an `html` in it that every user may read.
    pub fn folder() -> tempfile::TempDir {
        let dir = tempfile::Builder::new().prefix("longshore-engine-").tempdir().unwrap();
        // A server started as root becomes another user, who writes here too.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::create_dir(dir.path().join("html")).unwrap();
        fs::set_permissions(dir.path().join("html"), fs::Permissions::from_mode(0o777)).unwrap();
        dir
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a file under the root.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path("html").join(name), content).unwrap();
    }

    /// The first port.
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// The server's process: the parent, where root started it.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The process that serves: the worker of that parent, or the only one there is.
    pub fn serving(&self) -> i32 {
        self.worker().unwrap_or(self.pid())
    }

    /// The worker process, where root started the server.
    pub fn worker(&self) -> Option<i32> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let title = |child: &str| fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        let found = children.split_whitespace().find(|child| title(child).starts_with(b"longshore: worker process"));
        found.map(|child| child.parse().unwrap())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Halts the process that serves, or lets it go on.
    pub fn halt(&self, halted: bool) {
        let signal = if halted { Signal::SIGSTOP } else { Signal::SIGCONT };
        kill(Pid::from_raw(self.serving()), signal).unwrap();
    }

    /// Writes a new conf and asks for a reload; waits for nothing.
    pub fn reload(&self, main: &str, http: &str) {
        self.write_conf(main, http);
        self.signal(Signal::SIGHUP);
    }

    /// Writes a new conf.
    pub fn write_conf(&self, main: &str, http: &str) {
        // In one step, since a reload may be reading it.
        fs::write(self.path("next.conf"), fill(&whole(main, http), self.dir.path(), &self.ports)).unwrap();
        fs::rename(self.path("next.conf"), self.path("server.conf")).unwrap();
    }

    /// Runs the program with the site's folder and conf, as another does who wants something of the server.
    pub fn asked(&self, words: &[&str]) -> std::process::Output {
        let mut asked = Command::new(env!("CARGO_BIN_EXE_longshore"));
        let asked = asked.args(words).arg("-p").arg(self.dir.path()).arg("-c").arg(self.path("server.conf"));
        asked.stdin(Stdio::null()).output().unwrap()
    }

    /// A text file of the folder; empty if it is not there.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// What stands in the error log and on standard error.
    pub fn said(&self) -> String {
        self.read("error.log") + &self.read("stderr")
    }

    /// How often a text stands in what was said.
    pub fn said_times(&self, text: &str) -> usize {
        self.said().matches(text).count()
    }

    /// Waits until the server has ended and gives its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        wait_for("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Its folder, for the next; the server goes.
    pub fn into_folder(mut self) -> tempfile::TempDir {
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }

    /// Whether the server still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.serving())).unwrap().count()
    }

    /// How many threads of the pool it has.
    pub fn workers(&self) -> usize {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.serving())).unwrap().flatten();
        let names = tasks.map(|task| fs::read_to_string(task.path().join("comm")).unwrap_or_default());
        names.filter(|name| name.starts_with("worker-")).count()
    }

    /// How many descriptors it has open; none when we may not look.
    pub fn descriptors(&self) -> Option<usize> {
        Some(fs::read_dir(format!("/proc/{}/fd", self.serving())).ok()?.count())
    }

    /// The CPU time it has used.
    pub fn cpu(&self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.serving())).unwrap();
        // Fields 14 and 15, in ticks of 10 ms; the name in brackets is the second.
        let behind_name = text.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = behind_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Its own memory in KiB; pages of the program, which other servers share, are left out.
    pub fn memory(&self) -> Option<usize> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.serving())).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Checks that nothing alarming was said, stops the server and checks that it went in peace.
    pub fn stop(mut self) {
        self.signal(Signal::SIGQUIT);
        assert_eq!(self.ended(), Some(0), "{}", self.said());
        for word in ["[alert]", "panicked", "[emerg]"] {
            assert!(!self.said().contains(word), "{word}:\n{}", self.said());
        }
        assert!(!self.path("pid").exists(), "the pid file stays");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // It is ours and it runs, so this cannot fail in a way that matters.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What a server of each kind begins its conf with: alone, and where root runs the tests, with a parent and a worker.
pub fn mains() -> &'static [&'static str] {
    if nix::unistd::geteuid().is_root() { &["user root;", "user nobody;"] } else { &[""] }
}

/// What a program said on its standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until a condition holds; panics when it never does.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn whole(main: &str, http: &str) -> String {
    let events = if main.contains("events") { "" } else { "events {}" };
    let log = if main.contains("error_log") { "" } else { "error_log %DIR%/error.log info;" };
    let access = if http.contains("access_log") { "" } else { "access_log %DIR%/access.log;" };
    format!(
        "daemon off; pid %DIR%/pid; {log}\n{main}\n{events}\n\
         http {{ client_body_temp_path %DIR%/body; root %DIR%/html; {access}\n{http}\n}}\n"
    )
}

fn fill(text: &str, dir: &Path, ports: &[u16]) -> String {
    let mut text = text.replace("%DIR%", &dir.display().to_string());
    for (n, port) in ports.iter().enumerate() {
        text = text.replace(&format!("%PORT{}%", n + 1), &port.to_string());
    }
    text
}
