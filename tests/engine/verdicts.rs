//! `-s reload` ends with what became of the conf: in force, or refused and why. Each test runs as it was started, with the whole
//! server in one process, and where root runs the tests, with a parent and a worker too.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;

use crate::client::get;
use crate::site::{Site, mains, said, wait_for};

const ZONE: &str = "limit_req_zone $binary_remote_addr zone=a:1m rate=1000r/s;";
const OLD: &str = "server { listen 127.0.0.1:%PORT1%; return 200 old; }";
const NEW: &str = "server { listen 127.0.0.1:%PORT1%; return 200 new; }";

#[test]
fn a_conf_that_only_the_running_server_refuses_ends_with_1() {
    for main in mains() {
        let mut site = Site::start(main, &format!("{ZONE} {OLD}"));
        let holder = std::net::TcpListener::bind(("127.0.0.1", site.ports[1])).unwrap();
        for (http, why) in [
            (format!("{} {NEW}", ZONE.replace("$binary_remote_addr", "$uri")), "it had the key `$binary_remote_addr`"),
            (format!("{ZONE} server {{ listen 127.0.0.1:%PORT2%; }} {NEW}"), "in use"),
            (format!("{ZONE} access_log %DIR%/none/a.log; {NEW}"), "none/a.log"),
        ] {
            site.write_conf(main, &http);
            let asked = site.asked(&["-s", "reload"]);
            assert_eq!(asked.status.code(), Some(1), "{main} {why}: {}", said(&asked));
            assert!(said(&asked).contains(why), "{main} {why}: {}", said(&asked));
            assert!(said(&asked).contains("the new configuration was refused, the old one stays in force"));
            assert_eq!(get(site.port(), "/").text(), "old");
        }
        drop(holder);
        site.write_conf(main, &format!("{ZONE} {NEW}"));
        let asked = site.asked(&["-s", "reload"]);
        assert_eq!(asked.status.code(), Some(0), "{main}: {}", said(&asked));
        // It is in force when the program ends, not some time later.
        assert_eq!(get(site.port(), "/").text(), "new");
        assert!(site.asked(&["-q", "-s", "reload"]).stderr.is_empty());
        site.signal(Signal::SIGQUIT);
        assert_eq!(site.ended(), Some(0));
    }
}

#[test]
fn a_signal_reloads_as_ever_and_the_socket_comes_and_goes() {
    for main in mains() {
        let site = Site::start(main, OLD);
        let socket = site.path("pid.control");
        assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
        site.reload(main, NEW);
        wait_for("the conf is in force", || get(site.port(), "/").text() == "new");
        // Who says nothing, or nonsense, holds nobody up.
        let silent = UnixStream::connect(&socket).unwrap();
        let mut odd = UnixStream::connect(&socket).unwrap();
        odd.write_all(b"stop everything\n").unwrap();
        site.write_conf(main, OLD);
        assert_eq!(site.asked(&["-s", "reload"]).status.code(), Some(0));
        assert_eq!(get(site.port(), "/").text(), "old");
        let mut answer = String::new();
        // It may be closed before all of it was read.
        let _ = odd.read_to_string(&mut answer);
        assert_eq!(answer, "");
        drop(silent);
        site.stop();
        assert!(!socket.exists());
    }
}

#[test]
fn all_who_ask_at_once_are_told() {
    for main in mains() {
        let site = Site::start(main, OLD);
        let codes: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| site.asked(&["-s", "reload"]).status.code())).collect();
            asked.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(codes, [Some(0); 8], "{main}: {}", site.said());
        site.stop();
    }
}

#[test]
fn a_worker_that_dies_over_the_conf_costs_no_verdict() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: only root's server has a worker process");
    }
    let mut site = Site::start("user nobody;", OLD);
    site.write_conf("user nobody;", NEW);
    // It dies over the conf, which may be chance: the next one is asked too.
    site.halt(true);
    let first = site.worker().unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| site.asked(&["-s", "reload"]));
        wait_for("the parent reads the conf", || site.said().contains("a reload is asked for over the control socket"));
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), Signal::SIGKILL).unwrap();
        let asked = asked.join().unwrap();
        assert_eq!(asked.status.code(), Some(0), "the next worker takes it: {}", said(&asked));
    });
    assert_eq!(get(site.port(), "/").text(), "new");
    site.signal(Signal::SIGQUIT);
    assert_eq!(site.ended(), Some(0));
}
