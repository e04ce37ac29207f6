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
    location /packed/ { alias %DIR%/html/cgi/; cgi on; gzip on; gzip_types text/plain; cgi_set_var DIR %DIR%; }
    location /late/ { alias %DIR%/html/cgi/; cgi on; cgi_set_var DIR %DIR%; cgi_timeout 2s 50ms; }
    location /late-live/ { alias %DIR%/html/cgi/; cgi on; cgi_buffering off; cgi_set_var DIR %DIR%; cgi_timeout 2s 50ms; }
    location /up/ { alias %DIR%/html/cgi/; cgi on; cgi_request_buffering off; cgi_set_var DIR %DIR%; cgi_timeout 60s 50ms; }
    location /one/ { alias %DIR%/html/cgi/; cgi on; cgi_max_procs 1 queue=1; cgi_set_var DIR %DIR%; }
}";

const QUICK: &str = "printf 'Content-Type: text/plain\\n\\nquick\\n'";
/// Tells its number, ignores TERM, and never ends; so does its child.
const HANG: &str =
    "trap '' TERM\nsleep 1000 &\nprintf 'Content-Type: text/plain\\n\\nfirst\\n'\necho $! > $DIR/inner\nwait\nwait";
/// Events without a pause, until the test says so.
const EVENTS: &str =
    "printf 'Content-Type: text/event-stream\\n\\ndata: held\\n'\nuntil [ -e $DIR/go ]; do echo : ; sleep 0.01; done";
/// Runs until the test says so.
const HOLD: &str = "printf 'Content-Type: text/plain\\n\\nheld\\n'\nuntil [ -e $DIR/go ]; do sleep 0.01; done";

fn site(main: &str) -> Site {
    let site = Site::start(main, CONF);
    for (name, text) in [("quick.sh", QUICK), ("hang.sh", HANG), ("hold.sh", HOLD), ("events.sh", EVENTS)] {
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
    for path in ["/live/hold.sh", "/cgi/hold.sh", "/cgi/events.sh"] {
        let mut client = begin(&site, path, "Connection: close\r\n\r\n");
        let mut text = read_until(&mut client, "held");
        assert_eq!(children(&site), 1, "the script waits for the test");
        fs::write(site.path("go"), "").unwrap();
        client.stream.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("0\r\n\r\n"), "{text}");
        fs::remove_file(site.path("go")).unwrap();
    }
    site.stop();
}

/// Reads until a text has come.
fn read_until(client: &mut Client, wanted: &str) -> String {
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    while !text.contains(wanted) {
        let n = client.stream.read(&mut piece).unwrap();
        assert!(n > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&piece[..n]));
    }
    text
}

#[test]
fn a_client_that_reads_slowly_does_not_hold_a_script_that_has_paused() {
    let site = site("");
    let text = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nfirst\\n'\nuntil [ -e $DIR/go ]; do sleep 0.01; done\n\
        head -c 12000000 /dev/urandom\necho > $DIR/done\n";
    site.file("cgi/large.sh", text);
    fs::set_permissions(site.path("html/cgi/large.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    for fields in ["Connection: close\r\n\r\n", "Accept-Encoding: gzip\r\nConnection: close\r\n\r\n"] {
        let mut client = begin(&site, "/packed/large.sh", fields);
        read_until(&mut client, "\r\n\r\n");
        wait_for("the script runs", || children(&site) >= 1);
        fs::write(site.path("go"), "").unwrap();
        wait_for("the script has written everything", || site.path("done").exists());
        let body = client.rest().0;
        assert!(body.ends_with(b"0\r\n\r\n"));
        assert!(body.len() > 12_000_000, "{}", body.len());
        for name in ["go", "done"] {
            fs::remove_file(site.path(name)).unwrap();
        }
    }
    site.stop();
}

#[test]
fn however_slow_the_client_is_the_time_of_its_script_is_up_when_it_is() {
    let site = site("");
    let text = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nfirst\\n'\nsleep 0.2\n\
        head -c 10000000 /dev/zero\necho > $DIR/done\nsleep 1000\n";
    site.file("cgi/large.sh", text);
    fs::set_permissions(site.path("html/cgi/large.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    for path in ["/late/large.sh", "/late-live/large.sh"] {
        let mut client = ask(&site, path);
        read_until(&mut client, "first");
        // Nothing more is read, and the client does not leave.
        wait_for("the script is ended", || children(&site) == 0);
        wait_for("the log says so", || site.said_times("large.sh\" took longer than cgi_timeout allows") > 0);
        let body = client.rest().0;
        assert!(!body.ends_with(b"0\r\n\r\n"), "{path}: it looks whole");
    }
    assert!(site.path("done").exists(), "what the slow client did not take was kept");
    site.stop();
}

#[test]
fn pauses_of_every_length_lose_nothing() {
    let site = site("thread_pool default threads=4;");
    // Just below, at and just above what counts as a pause, and many small pieces.
    let text = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nfor i in 1 2 3 4; do echo $i; sleep $1; done\n";
    site.file("cgi/steps.sh", text);
    fs::set_permissions(site.path("html/cgi/steps.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let port = site.port();
    let clients: Vec<_> = (0..8)
        .map(|client| {
            std::thread::spawn(move || {
                for step in 0..10 {
                    let pause = format!("0.{:03}", 40 + (step * 8 + client) % 20);
                    let answer = get(port, &format!("/cgi/steps.sh?{pause}"));
                    assert_eq!((answer.status, answer.text().as_str()), (200, "1\n2\n3\n4\n"), "{pause}");
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
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
