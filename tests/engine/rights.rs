//! A server that root started: what only root may touch works for as long as it runs, in a process that takes no
//! connection, and the one that does has no rights. Skipped, with a line, where the tests do not run as root.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::{Client, get};
use crate::site::{Site, wait_for};

const CONF: &str = "server { listen 127.0.0.1:%PORT1%; return 200 old; }";
const NEW: &str = "server { listen 127.0.0.1:%PORT1%; return 200 new; }";

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can start a server that drops root's rights");
    }
    root
}

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn is_there(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// A free port that only root may open.
fn low_port() -> u16 {
    (600..1024).rev().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("one of 424 ports is free")
}

/// A folder in which only root may write, with one inside that only root may enter.
fn closed_folder() -> tempfile::TempDir {
    let dir = Site::folder();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
    fs::create_dir(dir.path().join("secret")).unwrap();
    fs::set_permissions(dir.path().join("secret"), Permissions::from_mode(0o700)).unwrap();
    dir
}

#[test]
fn what_only_root_may_touch_works_as_long_as_the_server_runs() {
    if !is_root() {
        return;
    }
    let dir = closed_folder();
    let low = low_port();
    fs::write(dir.path().join("secret/more.conf"), "return 200 one;").unwrap();
    let http = "access_log %DIR%/secret/access.log; \
        server { listen 127.0.0.1:%PORT1%; listen unix:%DIR%/socket; include %DIR%/secret/more.conf; }";
    let site = Site::start_in(dir, "", http);
    assert_eq!(get(site.port(), "/1").text(), "one");
    assert!(site.path("socket").exists());
    fs::write(site.path("secret/more.conf"), format!("listen 127.0.0.1:{low}; return 200 two;")).unwrap();
    site.reload("", &http.replace("listen unix:%DIR%/socket;", ""));
    wait_for("the low port is open", || std::net::TcpStream::connect(("127.0.0.1", low)).is_ok());
    assert_eq!(get(low, "/2").text(), "two");
    wait_for("the old socket's file goes", || !site.path("socket").exists());
    fs::rename(site.path("secret/access.log"), site.path("secret/old.log")).unwrap();
    site.signal(Signal::SIGUSR1);
    wait_for("the log is opened again", || {
        get(low, "/3");
        site.read("secret/access.log").contains("/3")
    });
    assert!(site.read("secret/old.log").contains("/1"));
    site.stop();
}

#[test]
fn the_worker_has_no_rights_and_no_way_back() {
    if !is_root() {
        return;
    }
    let site = Site::start("", CONF);
    assert_eq!(get(site.port(), "/").text(), "old");
    let worker = site.worker().expect("root's server has a worker process");
    let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_string();
    for name in ["Uid:", "Gid:"] {
        assert!(line(name).split_whitespace().all(|id| id != "0"), "{name} {}", line(name));
    }
    assert!(!line("Groups:").split_whitespace().any(|id| id == "0"));
    for name in ["CapPrm:", "CapEff:", "CapInh:"] {
        assert_eq!(line(name), "0000000000000000", "{name}");
    }
    assert_eq!(fs::metadata(format!("/proc/{}", site.pid())).unwrap().uid(), 0, "the parent stays root");
    site.stop();
}

#[test]
fn a_worker_that_dies_is_followed_by_another_and_nobody_is_refused() {
    if !is_root() {
        return;
    }
    let mut site = Site::start("", CONF);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let worker = site.worker().unwrap();
        assert!(!seen.contains(&worker));
        seen.push(worker);
        send(worker, Signal::SIGKILL);
        for _ in 0..20 {
            // These wait in the kernel for the next worker; one that the last had accepted is lost with it.
            let mut client = Client::new(site.port());
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            if is_there(worker) {
                continue;
            }
            assert_eq!(client.answer().expect("an answer").text(), "old");
        }
        wait_for("another serves", || site.worker().is_some_and(|next| next != worker));
        assert_eq!(get(site.port(), "/").text(), "old");
    }
    assert_eq!(site.said_times("exited on signal 9"), 3, "{}", site.said());
    site.reload("", NEW);
    wait_for("reloads still work", || get(site.port(), "/").text() == "new");
    site.signal(Signal::SIGQUIT);
    assert_eq!(site.ended(), Some(0));
}

#[test]
fn a_parent_that_is_killed_takes_its_worker_along() {
    if !is_root() {
        return;
    }
    let mut site = Site::start("", CONF);
    let worker = site.worker().unwrap();
    let mut kept = Client::new(site.port());
    assert_eq!(kept.get("/").text(), "old");
    site.signal(Signal::SIGKILL);
    assert_eq!(site.ended(), None);
    wait_for("the worker ends", || !is_there(worker));
    TcpListener::bind(("127.0.0.1", site.port())).expect("the port is free");
}

#[test]
fn signals_to_the_worker_itself_change_nothing() {
    if !is_root() {
        return;
    }
    let site = Site::start("", CONF);
    let worker = site.worker().unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGWINCH]
    {
        send(worker, signal);
        assert_eq!(get(site.port(), "/").text(), "old", "{signal}");
    }
    assert_eq!(site.worker(), Some(worker));
    site.stop();
}

#[test]
fn reloads_and_reopens_keep_no_descriptors_in_either_process() {
    // A thread without work keeps the conf it last saw, so few threads make the count plain.
    const THREADS: &str = "thread_pool default threads=2;";
    const KEPT: usize = 8;
    if !is_root() {
        return;
    }
    let site = Site::start(THREADS, CONF);
    let both = |site: &Site| {
        let count = |pid: i32| fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        (count(site.pid()), count(site.serving()))
    };
    assert_eq!(get(site.port(), "/").text(), "old");
    let round = |n: usize| {
        let more = "access_log %DIR%/more.log; error_log %DIR%/extra.log; server { listen 127.0.0.1:%PORT2%; } ";
        let conf = if n.is_multiple_of(2) { format!("{more}{NEW}") } else { CONF.into() };
        let want = if n.is_multiple_of(2) { "new" } else { "old" };
        site.reload(THREADS, &conf);
        site.signal(Signal::SIGUSR1);
        wait_for("the reload is done", || get(site.port(), "/").text() == want);
    };
    round(0);
    round(1);
    let before = both(&site);
    (0..50).for_each(round);
    wait_for("there are as many descriptors as before", || {
        let (parent, worker) = both(&site);
        parent <= before.0 + KEPT && worker <= before.1 + KEPT
    });
    assert_eq!(site.said_times("signal 1 (SIGHUP)"), 52);
    site.stop();
}

#[test]
fn a_refused_conf_leaves_both_processes_as_they_were() {
    if !is_root() {
        return;
    }
    let low = low_port();
    let mut site = Site::start("", CONF);
    let worker = site.worker();
    let holder = TcpListener::bind(("127.0.0.1", site.ports[2])).unwrap();
    for (bad, why) in [
        (format!("server {{ listen 127.0.0.1:{low}; include %DIR%/none.conf; }}"), "none.conf"),
        (format!("server {{ listen 127.0.0.1:{low}; listen unix:%DIR%/s; listen 127.0.0.1:%PORT3%; }}"), "in use"),
        (format!("access_log %DIR%/no/a.log; server {{ listen 127.0.0.1:{low}; listen unix:%DIR%/s; }}"), "no/a.log"),
    ] {
        let before = site.said_times("[emerg]");
        site.reload("", &bad);
        wait_for("it is refused", || site.said_times("[emerg]") > before);
        assert!(site.said().contains(why), "{why} is missing:\n{}", site.said());
        assert_eq!(get(site.port(), "/").text(), "old");
        wait_for("what was opened in vain is closed", || TcpListener::bind(("127.0.0.1", low)).is_ok());
        wait_for("its socket's file is gone", || !site.path("s").exists());
    }
    drop(holder);
    site.reload("", NEW);
    wait_for("a good one is taken", || get(site.port(), "/").text() == "new");
    assert_eq!(site.worker(), worker);
    site.signal(Signal::SIGTERM);
    assert_eq!(site.ended(), Some(0));
}

#[test]
fn a_changed_user_waits_for_the_next_start() {
    if !is_root() {
        return;
    }
    let site = Site::start("user nobody;", CONF);
    let worker = site.worker();
    site.reload("user daemon;", NEW);
    wait_for("the rest is in force", || get(site.port(), "/").text() == "new");
    assert_eq!(site.said_times("a changed `user` takes effect when the server is started again"), 1);
    site.reload("user nobody;", CONF);
    wait_for("the old one is back", || get(site.port(), "/").text() == "old");
    assert_eq!((site.said_times("a changed `user`"), site.worker()), (1, worker));
    site.stop();
}

#[test]
fn root_that_stays_root_is_one_process() {
    if !is_root() {
        return;
    }
    let site = Site::start("user root;", CONF);
    assert_eq!((get(site.port(), "/").text().as_str(), site.worker()), ("old", None));
    site.stop();
}

/// What the port of a listener that went is free for: the next reload.
#[test]
fn a_port_comes_and_goes_with_every_reload() {
    if !is_root() {
        return;
    }
    let site = Site::start("", CONF);
    for n in 0..40 {
        let more = if n % 2 == 0 { "server { listen 127.0.0.1:%PORT2%; }" } else { "" };
        site.reload("", &format!("{more} server {{ listen 127.0.0.1:%PORT1%; return 200 {n}; }}"));
    }
    wait_for("the last conf is in force", || get(site.port(), "/").text() == "39");
    // None was refused because the worker had not let go of the port yet.
    site.stop();
}
