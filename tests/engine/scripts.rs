//! Scripts that hang, that outlive their welcome, that come in crowds: the server has no zombie, no descriptor and no
//! thread less for them, and they end with their clients.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use crate::client::{Client, get};
use crate::site::{Site, wait_for};

const CONF: &str = "server { listen 127.0.0.1:%PORT1%;
    location /cgi/ { cgi on; cgi_set_var DIR %DIR%; cgi_timeout 60s 50ms; }
    location /live/ { alias %DIR%/html/cgi/; cgi on; cgi_buffering off; cgi_set_var DIR %DIR%; cgi_timeout 60s 50ms; }
    location /up/ { alias %DIR%/html/cgi/; cgi on; cgi_request_buffering off; cgi_set_var DIR %DIR%; cgi_timeout 60s 50ms; }
    location /one/ { alias %DIR%/html/cgi/; cgi on; cgi_max_procs 1 queue=1; cgi_set_var DIR %DIR%; }
}";

const QUICK: &str = "printf 'Content-Type: text/plain\\n\\nquick\\n'";
/// Tells its number, ignores TERM, and never ends; so does its child.
const HANG: &str =
    "trap '' TERM\nsleep 1000 &\nprintf 'Content-Type: text/plain\\n\\nfirst\\n'\necho $! > $DIR/inner\nwait\nwait";
/// Runs until the test says so.
const HOLD: &str = "printf 'Content-Type: text/plain\\n\\nheld\\n'\nuntil [ -e $DIR/go ]; do sleep 0.01; done";

fn site(main: &str) -> Site {
    let site = Site::start(main, CONF);
    for (name, text) in [("quick.sh", QUICK), ("hang.sh", HANG), ("hold.sh", HOLD)] {
        fs::create_dir_all(site.path("html/cgi")).unwrap();
        site.file(&format!("cgi/{name}"), format!("#!/bin/sh\n{text}\n"));
        let path = site.path(&format!("html/cgi/{name}"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    site.file("a", "hello");
    site
}

/// Name, state and parent of a process.
fn stat(pid: &str) -> Option<(char, i32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut rest = text.rsplit_once(") ")?.1.split(' ');
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

/// How many children the server has, zombies among them.
pub fn children(site: &Site) -> usize {
    let names = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    let stats = names.filter_map(|name| stat(name.to_str()?));
    stats.filter(|(_, parent)| *parent == site.serving()).count()
}

fn ask(site: &Site, path: &str) -> Client {
    begin(site, path, "\r\n")
}

fn begin(site: &Site, path: &str, rest: &str) -> Client {
    let mut client = Client::new(site.port());
    let method = if rest.starts_with('\r') { "GET" } else { "POST" };
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{rest}"));
    client
}

#[test]
fn a_script_and_what_it_started_end_with_their_client() {
    let site = site("");
    for path in ["/cgi/hang.sh", "/live/hang.sh"] {
        let client = ask(&site, path);
        wait_for("the script runs", || !site.read("inner").trim().is_empty());
        let inner = site.read("inner").trim().to_string();
        drop(client);
        wait_for("the script is reaped", || children(&site) == 0);
        wait_for("its child is gone", || stat(&inner).is_none_or(|(state, _)| state == 'Z'));
        fs::remove_file(site.path("inner")).unwrap();
    }
    site.stop();
}

#[test]
fn what_is_written_arrives_while_the_script_runs() {
    let site = site("");
    let mut client = std::net::TcpStream::connect(("127.0.0.1", site.port())).unwrap();
    std::io::Write::write_all(&mut client, b"GET /live/hold.sh HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .unwrap();
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    while !text.contains("held") {
        let n = client.read(&mut piece).unwrap();
        assert!(n > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&piece[..n]));
    }
    assert_eq!(children(&site), 1, "the script waits for the test");
    fs::write(site.path("go"), "").unwrap();
    client.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("0\r\n\r\n"), "{text}");
    site.stop();
}

#[test]
fn so_many_run_so_many_wait_and_the_rest_is_told_to_come_back() {
    let site = site("");
    let mut first = ask(&site, "/one/hold.sh");
    wait_for("the first runs", || children(&site) == 1);
    let (sender, answers) = std::sync::mpsc::channel();
    for _ in 0..2 {
        let (sender, mut client) = (sender.clone(), ask(&site, "/one/quick.sh"));
        std::thread::spawn(move || sender.send(client.answer().unwrap()));
    }
    let refused = answers.recv().unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.head.contains("Retry-After: 1\r\n"), "{}", refused.head);
    fs::write(site.path("go"), "").unwrap();
    assert_eq!(first.answer().unwrap().status, 200);
    assert_eq!(answers.recv().unwrap().text(), "quick\n");
    site.stop();
}

#[test]
fn what_runs_counts_across_a_reload() {
    let site = site("");
    let mut first = ask(&site, "/one/hold.sh");
    wait_for("the first runs", || children(&site) == 1);
    let conf =
        CONF.replace("queue=1", "queue=0").replace("location /one/", "location = /new { return 204; } location /one/");
    site.reload("", &conf);
    wait_for("the new conf holds", || get(site.port(), "/new").status == 204);
    assert_eq!(get(site.port(), "/one/quick.sh").status, 503);
    assert_eq!(get(site.port(), "/cgi/quick.sh").status, 200);
    fs::write(site.path("go"), "").unwrap();
    assert_eq!(first.answer().unwrap().status, 200);
    wait_for("its place is free", || get(site.port(), "/one/quick.sh").status == 200);
    site.stop();
}

#[test]
fn whoever_leaves_the_queue_makes_room_in_it() {
    let site = site("");
    let mut first = ask(&site, "/one/hold.sh");
    wait_for("the first runs", || children(&site) == 1);
    drop(ask(&site, "/one/quick.sh"));
    wait_for("the second has left", || site.said().contains("client closed connection while its request waited"));
    let mut third = ask(&site, "/one/quick.sh");
    fs::write(site.path("go"), "").unwrap();
    assert_eq!(first.answer().unwrap().status, 200);
    assert_eq!(third.answer().unwrap().text(), "quick\n");
    site.stop();
}

#[test]
fn a_crowd_of_hanging_scripts_leaves_the_files_alone() {
    let site = site("thread_pool default threads=4;");
    let crowd: Vec<_> = (0..64).map(|_| ask(&site, "/cgi/hang.sh")).collect();
    wait_for("two of them run", || children(&site) == 2);
    for _ in 0..200 {
        assert_eq!(get(site.port(), "/a").status, 200);
    }
    drop(crowd);
    wait_for("all are reaped", || children(&site) == 0);
    site.stop();
}

#[test]
fn nothing_grows_with_many_runs() {
    nothing_grows_in(50);
}

/// 14,000 scripts, four sevenths of them broken off: `cargo test --test engine -- --ignored ten_thousand`
#[test]
#[ignore = "takes a minute"]
fn nothing_grows_with_ten_thousand_runs() {
    nothing_grows_in(2000);
}

/// Seven runs each round, four of which are broken off.
fn nothing_grows_in(rounds: usize) {
    let site = site("thread_pool default threads=4;");
    let round = || {
        for path in ["/cgi/quick.sh", "/live/quick.sh", "/one/quick.sh", "/cgi/none.sh"] {
            get(site.port(), path);
        }
        drop(ask(&site, "/cgi/hang.sh"));
        drop(ask(&site, "/live/hang.sh"));
        for path in ["/up/quick.sh", "/up/hang.sh"] {
            // A body that stays away.
            drop(begin(&site, path, "Content-Length: 9\r\n\r\nhello"));
        }
    };
    let warm_up = ask(&site, "/cgi/hang.sh");
    wait_for("a script runs", || !site.read("inner").trim().is_empty());
    drop(warm_up);
    round();
    wait_for("the warm-up has gone", || children(&site) == 0);
    let before = (site.descriptors(), site.threads());
    for _ in 0..rounds {
        round();
    }
    wait_for("all are reaped", || children(&site) == 0);
    wait_for("descriptors are closed", || site.descriptors() <= before.0);
    assert_eq!(site.threads(), before.1);
    site.stop();
}
