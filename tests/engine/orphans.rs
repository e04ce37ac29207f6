//! The server as process 1 of a container: what others leave behind is reaped, and no exit status is taken from whoever waits
//! for it. Skipped, with a line, where a namespace of processes cannot be had.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::get;
use crate::ports::Ports;
use crate::site::{Site, wait_for};

/// `unshare` with the server as the first process of its namespace.
struct Container {
    dir: tempfile::TempDir,
    unshare: Child,
    ports: Ports,
}

/// Leaves one process behind that ends at once and one that ends later, and ends with a code of its own.
const SCRIPT: &str = "#!/bin/sh\n(:&)\n(sleep 0.05 &)\nprintf 'Content-Type: text/plain\\n\\ndone'\nexit 3\n";

fn can() -> bool {
    let tried = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
    let can = tried.is_ok_and(|tried| tried.status.success());
    if !can {
        eprintln!("skipped: a namespace of processes cannot be had here");
    }
    can
}

impl Container {
    fn start(user: &str) -> Container {
        let dir = Site::folder();
        let script = dir.path().join("html/orphans");
        fs::write(&script, SCRIPT).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let ports = Ports::take(1).unwrap();
        let port = ports[0];
        let (conf, here) = (dir.path().join("server.conf"), dir.path().display());
        let text = format!(
            "{user} daemon on; pid {here}/pid; error_log {here}/error.log info; events {{}} http {{ access_log off; \
             server {{ listen 127.0.0.1:{port}; root {here}/html; location /orphans {{ cgi on; }} }} }}"
        );
        fs::write(&conf, text).unwrap();
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child", env!("CARGO_BIN_EXE_longshore"), "-c"]);
        let unshare = unshare.arg(&conf).stdin(Stdio::null()).spawn().unwrap();
        let container = Container { dir, unshare, ports };
        wait_for("it serves", || fs::read_to_string(container.dir.path().join("pid")).is_ok_and(|text| text == "1\n"));
        container
    }

    fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("error.log")).unwrap()
    }

    /// Process 1, as it is called outside.
    fn first(&self) -> i32 {
        children(self.unshare.id().cast_signed())[0]
    }

    fn zombies(&self) -> usize {
        let is_zombie =
            |pid: &i32| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
        children(self.first()).iter().filter(|pid| is_zombie(pid)).count()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It takes its namespace along.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let text = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    tasks.flat_map(|task| text(task).split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>()).collect()
}

#[test]
fn process_1_reaps_what_nobody_waits_for_and_nothing_else() {
    if !can() {
        return;
    }
    // A namespace may be had by others than root too, for whom `user` means nothing.
    for user in ["user nobody;", "user root;"] {
        let mut container = Container::start(user);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..25).for_each(|_| assert_eq!(get(container.ports[0], "/orphans").text(), "done")));
            }
        });
        wait_for("all orphans are reaped", || container.zombies() == 0);
        let said = container.said();
        assert_eq!(said.matches("ended with exit code 3").count(), 100, "{user}: a status was lost\n{said}");
        assert!(said.contains("as process 1 the server stays in the foreground"), "{said}");
        let worker = children(container.first()).into_iter().find(|pid| is_worker(*pid));
        if let Some(worker) = worker {
            kill(Pid::from_raw(worker), Signal::SIGKILL).unwrap();
            wait_for("its end is known", || container.said().contains("exited on signal 9"));
            wait_for("another serves", || container.said().matches("started with").count() == 2);
            assert_eq!(get(container.ports[0], "/orphans").text(), "done");
        }
        kill(Pid::from_raw(container.first()), Signal::SIGQUIT).unwrap();
        assert!(container.unshare.wait().unwrap().success(), "{}", container.said());
    }
}

fn is_worker(pid: i32) -> bool {
    fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline"))
        .is_ok_and(|line| line.starts_with(b"longshore: worker"))
}
