//! Folders of the worker's user: whoever took the worker over can swap what stands in them at any moment, and root's process
//! neither writes nor removes elsewhere for that, nor does it ever wait. Skipped, with a line, where the tests do not run as root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::client::get;
use crate::site::{Site, wait_for};

const CONF: &str = "access_log %DIR%/theirs/access.log; server { listen 127.0.0.1:%PORT1%; return 200 old; }";
/// The user `nobody` on Debian; any other than root would do.
const THEM: Option<u32> = Some(65534);

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can give folders away");
    }
    root
}

/// A site's folder with a folder of theirs in it, and one that only root may enter.
fn folder() -> tempfile::TempDir {
    let dir = Site::folder();
    fs::create_dir(dir.path().join("theirs")).unwrap();
    chown(dir.path().join("theirs"), THEM, THEM).unwrap();
    fs::create_dir(dir.path().join("secret")).unwrap();
    fs::set_permissions(dir.path().join("secret"), Permissions::from_mode(0o700)).unwrap();
    dir
}

/// They put a link of their own in a place.
fn link(target: &Path, place: &Path) {
    symlink(target, place).unwrap();
    lchown(place, THEM, THEM).unwrap();
}

/// They swap a folder for a link to another.
fn swap(folder: &Path, target: &Path) {
    fs::rename(folder, folder.with_extension("old")).unwrap();
    link(target, folder);
}

fn pipe(place: &Path) {
    nix::unistd::mkfifo(place, Mode::from_bits_truncate(0o666)).unwrap();
    chown(place, THEM, THEM).unwrap();
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn a_logs_folder_that_became_a_link_is_not_gone_through() {
    if !is_root() {
        return;
    }
    let mut site = Site::start_in(folder(), "", CONF);
    assert_eq!(get(site.port(), "/before").text(), "old");
    swap(&site.path("theirs"), &site.path("secret"));
    site.signal(Signal::SIGUSR1);
    wait_for("it is refused", || site.said().contains("on the way is a symbolic link that does not belong to root"));
    site.reload("", &CONF.replace("old", "new"));
    wait_for("a conf whose logs are open already is taken", || get(site.port(), "/after").text() == "new");
    site.reload("", "access_log %DIR%/theirs/other.log; server { listen 127.0.0.1:%PORT1%; return 200 newer; }");
    wait_for("a new log is refused", || site.said().contains("cannot open the log file"));
    assert!(is_empty(&site.path("secret")), "{}", site.said());
    wait_for("lines go where they went", || site.read("theirs.old/access.log").contains("/after"));
    site.signal(Signal::SIGTERM);
    assert_eq!(site.ended(), Some(0));
}

#[test]
fn links_that_come_and_go_all_the_time_lead_nowhere() {
    if !is_root() {
        return;
    }
    let mut site = Site::start_in(folder(), "", CONF);
    let (theirs, aside, trap) = (site.path("theirs"), site.path("aside"), site.path("trap"));
    link(&site.path("secret"), &trap);
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        for _ in 0..50 {
            fs::rename(&theirs, &aside).unwrap();
            fs::rename(&trap, &theirs).unwrap();
            fs::rename(&theirs, &trap).unwrap();
            fs::rename(&aside, &theirs).unwrap();
        }
        site.signal(Signal::SIGUSR1);
    }
    assert!(is_empty(&site.path("secret")), "{}", site.said());
    site.signal(Signal::SIGTERM);
    assert_eq!(site.ended(), Some(0));
}

#[test]
fn a_pipe_in_a_logs_place_holds_nobody_up() {
    if !is_root() {
        return;
    }
    let mut site = Site::start_in(folder(), "", CONF);
    fs::rename(site.path("theirs/access.log"), site.path("theirs/moved.log")).unwrap();
    pipe(&site.path("theirs/access.log"));
    site.signal(Signal::SIGUSR1);
    wait_for("it is refused", || site.said().contains("it is a pipe, and others than root may write in its folder"));
    site.reload("", &CONF.replace("old", "new"));
    wait_for("signals are heard", || get(site.port(), "/").text() == "new");
    site.signal(Signal::SIGQUIT);
    assert_eq!(site.ended(), Some(0));
    for words in [&["-t"][..], &[]] {
        let conf = site.path("server.conf");
        let mut asked = Command::new(env!("CARGO_BIN_EXE_longshore"));
        let asked = asked.args(words).arg("-c").arg(&conf).output().unwrap();
        let said = String::from_utf8_lossy(&asked.stderr).into_owned();
        assert!(!asked.status.success() && said.contains("it is a pipe"), "{words:?}\n{said}");
    }
}

#[test]
fn a_pipe_where_root_alone_may_write_takes_lines() {
    if !is_root() {
        return;
    }
    let place = tempfile::Builder::new().prefix("longshore-pipe-").tempdir_in("/run").unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let pipe = place.path().join("log");
    nix::unistd::mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
    let conf = CONF.replace("%DIR%/theirs/access.log", &pipe.display().to_string());
    let site = Site::start("", &conf);
    // Nobody reads yet, and the server serves.
    assert_eq!(get(site.port(), "/kept").text(), "old");
    let mut reader = std::io::BufReader::new(fs::File::open(&pipe).unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    assert!(line.contains("/kept"), "{line}");
    // A reader that sleeps costs lines and no request.
    for n in 0..600 {
        assert_eq!(get(site.port(), &format!("/{n}?{}", "x".repeat(200))).status, 200);
    }
    site.stop();
}

#[test]
fn nothing_is_emptied_through_the_pid_files_place() {
    if !is_root() {
        return;
    }
    let dir = folder();
    let precious = dir.path().join("secret/precious");
    fs::write(&precious, "text").unwrap();
    let started = |dir: &Path, pid: &str| {
        let conf = dir.join("server.conf");
        let text = format!("daemon off; pid {}/{pid}; error_log {0}/error.log; events {{}} http {{}}", dir.display());
        fs::write(&conf, text).unwrap();
        let mut server = Command::new(env!("CARGO_BIN_EXE_longshore")).arg("-c").arg(&conf).spawn().unwrap();
        let (number, place) = (server.id(), dir.join(pid));
        // Reading a pipe would wait for the server.
        let is_file = || fs::metadata(&place).is_ok_and(|found| found.is_file());
        let written = || is_file() && fs::read_to_string(&place).is_ok_and(|text| text.trim() == number.to_string());
        let mut ended = false;
        wait_for("it starts or ends", || {
            ended = server.try_wait().unwrap().is_some();
            ended || written()
        });
        let (text, writes) = (fs::read_to_string(dir.join("secret/precious")).unwrap(), written());
        if !ended {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(number.cast_signed()), Signal::SIGTERM).unwrap();
            server.wait().unwrap();
        }
        (writes, text)
    };
    link(&precious, &dir.path().join("theirs/link"));
    assert_eq!(started(dir.path(), "theirs/link"), (false, "text".into()));
    fs::hard_link(&precious, dir.path().join("theirs/second")).unwrap();
    assert_eq!(started(dir.path(), "theirs/second"), (true, "text".into()));
    link(&dir.path().join("secret"), &dir.path().join("theirs/way"));
    assert_eq!(started(dir.path(), "theirs/way/pid"), (false, "text".into()));
    pipe(&dir.path().join("theirs/pipe"));
    assert_eq!(started(dir.path(), "theirs/pipe"), (false, "text".into()));
    assert_eq!(started(dir.path(), "theirs/pid"), (true, "text".into()));
    assert!(!dir.path().join("theirs/pid").exists() && !dir.path().join("secret/pid").exists());
}

#[test]
fn a_sockets_folder_that_became_a_link_costs_no_other_file() {
    if !is_root() {
        return;
    }
    let conf = |more: &str| format!("server {{ {more} listen 127.0.0.1:%PORT1%; return 200 old; }}");
    let listens = "listen unix:%DIR%/theirs/one; listen unix:%DIR%/theirs/two;";
    let mut site = Site::start_in(folder(), "", &conf(listens));
    for name in ["secret/one", "secret/two", "secret/three"] {
        fs::write(site.path(name), "text").unwrap();
    }
    assert_eq!(fs::metadata(site.path("theirs/one")).unwrap().mode() & 0o777, 0o666);
    swap(&site.path("theirs"), &site.path("secret"));
    // One goes by a reload, the other by the end; a third cannot come.
    let before = site.said_times("[emerg]");
    site.reload("", &conf("listen unix:%DIR%/theirs/two; listen unix:%DIR%/theirs/three;"));
    wait_for("the way is refused", || site.said_times("[emerg]") > before);
    site.reload("", &conf("listen unix:%DIR%/theirs/two;"));
    wait_for("the file goes from the folder it was made in", || !site.path("theirs.old/one").exists());
    site.signal(Signal::SIGQUIT);
    assert_eq!(site.ended(), Some(0));
    for name in ["secret/one", "secret/two", "secret/three"] {
        assert_eq!((site.read(name).as_str(), fs::metadata(site.path(name)).unwrap().mode() & 0o777), ("text", 0o644));
    }
    assert!(!site.path("theirs.old/two").exists());
}

#[test]
fn root_reads_nothing_for_those_who_may_not() {
    if !is_root() {
        return;
    }
    let dir = folder();
    fs::write(dir.path().join("secret/shadow"), "root's own").unwrap();
    fs::set_permissions(dir.path().join("secret/shadow"), Permissions::from_mode(0o600)).unwrap();
    link(&dir.path().join("secret/shadow"), &dir.path().join("theirs/page.html"));
    link(&dir.path().join("secret"), &dir.path().join("theirs/way"));
    for name in ["theirs/page.html", "theirs/way/shadow"] {
        let conf = dir.path().join("server.conf");
        fs::write(&conf, format!("server {{ listen 8080; error_template {}/{name}; }}", dir.path().display())).unwrap();
        let asked = Command::new(env!("CARGO_BIN_EXE_longshore")).arg("-t").arg("-c").arg(&conf).output().unwrap();
        let said = String::from_utf8_lossy(&asked.stderr).into_owned();
        assert!(said.contains("a link of another user leads to it"), "{name}\n{said}");
    }
}
