//! Health checks: servers that fail, come back, hang and say odd things; what a reload and a stop make of it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use crate::client::get;
use crate::site::{Site, wait_for};
use nix::sys::signal::Signal;

/// A server that is checked at `/health`, and answers everything else with its letter.
struct Backend {
    port: u16,
    checks: AtomicUsize,
    /// What it says to a check; `None` hangs.
    answer: Mutex<Option<String>>,
    held: Mutex<Vec<TcpStream>>,
}

const WELL: &str = "204 No Content";
const ILL: &str = "500 Internal Server Error";

impl Backend {
    fn new(letter: &'static str, answer: Option<&str>) -> Arc<Backend> {
        let listener = TcpListener::bind(("0.0.0.0", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Mutex::new(answer.map(str::to_string));
        let backend = Arc::new(Backend { port, checks: AtomicUsize::new(0), answer, held: Mutex::default() });
        let its = backend.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let its = its.clone();
                std::thread::spawn(move || its.serve(stream.unwrap(), letter));
            }
        });
        backend
    }

    fn serve(&self, mut stream: TcpStream, letter: &str) {
        let Some(path) = path(&mut stream) else { return };
        if path != "/health" {
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{letter}",
                letter.len()
            );
            return;
        }
        let answer = self.answer.lock().unwrap().clone();
        match answer {
            Some(status) => drop(write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")),
            None => self.held.lock().unwrap().push(stream),
        }
        self.checks.fetch_add(1, SeqCst);
    }

    fn say(&self, answer: Option<&str>) {
        *self.answer.lock().unwrap() = answer.map(str::to_string);
        self.held.lock().unwrap().clear();
    }

    fn checks(&self) -> usize {
        self.checks.load(SeqCst)
    }
}

/// The path of the request that comes; `None` if none does.
fn path(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&head).split(' ').nth(1)?.to_string())
}

fn conf(servers: &[&Backend], check: &str) -> String {
    let lines: String = servers.iter().map(|one| format!("server 127.0.0.1:{};", one.port)).collect();
    format!(
        "upstream app {{ {lines} }}
        server {{
            listen 127.0.0.1:%PORT1%;
            location / {{ proxy_pass http://app; {check} }}
            location = /status {{ return 200 \"$errands_active\"; }}
        }}"
    )
}

const CHECK: &str = "health_check interval=50ms uri=/health;";

/// What so many requests are answered with, each letter once.
fn letters(site: &Site) -> String {
    let mut all: Vec<String> = (0..12).map(|_| get(site.port(), "/").text()).collect();
    all.sort();
    all.dedup();
    all.concat()
}

fn count(site: &Site, text: &str) -> usize {
    site.said().matches(text).count()
}

#[test]
fn a_server_that_fails_its_check_gets_no_requests_until_it_passes() {
    let (a, b) = (Backend::new("a", Some(WELL)), Backend::new("b", Some("302 Found")));
    let site = Site::start("", &conf(&[&a, &b], "health_check interval=50ms uri=/health fails=2 passes=2;"));
    wait_for("both are checked", || a.checks() > 1 && b.checks() > 1);
    assert_eq!(letters(&site), "ab");
    a.say(Some(ILL));
    let out = format!("the server 127.0.0.1:{} gets no requests: its health check fails (server.conf:", a.port);
    wait_for("it is taken out", || count(&site, &out) == 1);
    assert!(site.said().contains("the status is 500"), "{}", site.said());
    assert_eq!(letters(&site), "b");
    // It is said once, however often it fails.
    let before = a.checks();
    wait_for("it is checked again", || a.checks() > before + 4);
    assert_eq!(count(&site, &out), 1, "{}", site.said());
    b.say(Some("404 Not Found"));
    wait_for("nobody is left", || get(site.port(), "/").text().contains("502 Bad Gateway"));
    a.say(Some(WELL));
    wait_for("it is back", || count(&site, "gets requests again: its health check passes") == 1);
    assert_eq!(letters(&site), "a");
    site.stop();
}

#[test]
fn a_server_alone_is_taken_out_too() {
    let a = Backend::new("a", Some(ILL));
    let site = Site::start("", &conf(&[&a], CHECK));
    wait_for("it is taken out", || get(site.port(), "/").text().contains("502 Bad Gateway"));
    assert!(site.said().contains("no live upstreams"), "{}", site.said());
    a.say(Some(WELL));
    wait_for("it is back", || get(site.port(), "/").text() == "a");
    site.stop();
}

#[test]
fn a_mandatory_check_comes_before_the_first_request_and_after_a_reload() {
    let a = Backend::new("a", None);
    let mandatory = "proxy_read_timeout 60s; health_check interval=50ms uri=/health mandatory;";
    let site = Site::start("", &conf(&[&a], mandatory));
    wait_for("it is asked", || a.checks() == 1);
    assert!(get(site.port(), "/").text().contains("502 Bad Gateway"));
    a.say(Some(WELL));
    wait_for("it has passed", || get(site.port(), "/").text() == "a");
    // Nothing is due while a check is under way.
    a.say(None);
    let before = a.checks();
    wait_for("it hangs", || a.checks() > before);
    assert_eq!(get(site.port(), "/").text(), "a");
    site.reload("", &conf(&[&a], mandatory));
    wait_for("it is not believed any more", || get(site.port(), "/").text().contains("502 Bad Gateway"));
    a.say(Some(WELL));
    wait_for("it has passed again", || get(site.port(), "/").text() == "a");
    site.stop();
}

#[test]
fn a_reload_keeps_what_is_known() {
    let (a, b) = (Backend::new("a", Some(ILL)), Backend::new("b", Some(WELL)));
    let site = Site::start("", &conf(&[&a, &b], CHECK));
    wait_for("it is taken out", || count(&site, "gets no requests") == 1);
    a.say(None);
    for (n, check) in
        ["health_check interval=70ms uri=/health;", "health_check interval=70ms uri=/health mandatory persistent;"]
            .iter()
            .enumerate()
    {
        site.reload("", &conf(&[&a, &b], check));
        wait_for("the conf is in force", || count(&site, "the new configuration is in force") == n + 1);
        assert_eq!(letters(&site), "b", "{check}");
    }
    site.reload("", &conf(&[&a, &b], ""));
    wait_for("nobody checks it any more", || letters(&site) == "ab");
    // The check that hangs fails now, and nobody asks for it any more.
    a.say(Some(ILL));
    wait_for("it has ended", || get(site.port(), "/status").text() == "0");
    assert_eq!(letters(&site), "ab");
    // Another check begins anew.
    site.reload("", &conf(&[&a, &b], "health_check interval=50ms uri=/other;"));
    wait_for("the conf is in force", || count(&site, "the new configuration is in force") == 4);
    assert_eq!(letters(&site), "ab");
    site.stop();
}

#[test]
fn a_hundred_servers_that_hang_hold_up_nobody() {
    let a = Backend::new("a", None);
    let lines: String = (1..=100).map(|n| format!("server 127.0.1.{n}:{};", a.port)).collect();
    let conf = |interval: &str| {
        conf(&[], &format!("health_check interval={interval} uri=/health; proxy_read_timeout 600s;"))
            .replace("upstream app {  }", &format!("upstream app {{ {lines} }}"))
    };
    let mut site = Site::start("thread_pool default threads=1;", &conf("20ms"));
    wait_for("all are asked", || a.checks() == 100);
    for n in 0..5 {
        assert_eq!(letters(&site), "a");
        site.reload("thread_pool default threads=1;", &conf(&format!("{}ms", 21 + n)));
        wait_for("the conf is in force", || count(&site, "the new configuration is in force") == n + 1);
        assert_eq!(get(site.port(), "/status").text(), "100", "none is begun again");
    }
    a.say(Some(ILL));
    wait_for("all are taken out", || count(&site, "gets no requests") == 100);
    a.say(None);
    wait_for("all hang again", || get(site.port(), "/status").text() == "100");
    site.signal(Signal::SIGQUIT);
    assert_eq!(site.ended(), Some(0));
    assert!(!site.said().contains("cut short"), "nobody waits for checks: {}", site.said());
}

/// What a server says at a path, whether that passes, and by which `match` block, if by one.
const ANSWERS: [(&str, bool, &str); 33] = [
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, ""),
    ("HTTP/1.1 399 Odd\r\nContent-Length: 0\r\n\r\n", true, ""),
    ("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", false, ""),
    ("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", true, ""),
    ("HTTP/1.1 200 OK\r\nX-Accel-Redirect: /status\r\nContent-Length: 0\r\n\r\n", false, "header ! X-Accel-Redirect;"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", false, ""),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", false, ""),
    ("garbage\r\n\r\n", false, ""),
    ("", false, ""),
    ("HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n", true, "status 500-599;"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, "status 200 204;"),
    ("HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n", false, "status 200 202-299;"),
    ("HTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\n", true, "status 200 202-299;"),
    ("HTTP/1.1 299 OK\r\nContent-Length: 0\r\n\r\n", true, "status 200 202-299;"),
    ("HTTP/1.1 300 OK\r\nContent-Length: 0\r\n\r\n", false, "status 200 202-299;"),
    ("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", false, "status ! 500 502;"),
    ("HTTP/1.1 501 No\r\nContent-Length: 0\r\n\r\n", true, "status ! 500 502;"),
    (
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nContent-Length: 0\r\n\r\n",
        true,
        "header Content-Type = text/html;",
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Type: text/htm\r\nContent-Length: 0\r\n\r\n",
        false,
        "header Content-Type = text/html;",
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n",
        true,
        "header Content-Type != text/html;",
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, "header Content-Type != text/html;"),
    ("HTTP/1.1 200 OK\r\nServer: abxc\r\nContent-Length: 0\r\n\r\n", true, "header Server ~ \"x\";"),
    ("HTTP/1.1 200 OK\r\nServer: abXc\r\nContent-Length: 0\r\n\r\n", false, "header Server ~ \"x\";"),
    ("HTTP/1.1 200 OK\r\nServer: abXc\r\nContent-Length: 0\r\n\r\n", true, "header Server ~* \"x\";"),
    ("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 0\r\n\r\n", false, "header Server !~ \"x\";"),
    ("HTTP/1.1 200 OK\r\nServer: y\r\nContent-Length: 0\r\n\r\n", true, "header Server !~ \"x\";"),
    ("HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 0\r\n\r\n", true, "header X;"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, "header X;"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nWelcome", true, "status 200; body ~ \"Welcome\";"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nwelcome", false, "status 200; body ~ \"Welcome\";"),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nWel\r\n4\r\ncome\r\n0\r\n\r\n",
        true,
        "body ~* welcome;",
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nmaintenance", false, "body !~ maintenance;"),
    ("HTTP/1.1 200 OK\r\nX-Load: 0\r\nContent-Length: 0\r\n\r\n", false, "require $upstream_http_x_load;"),
];

#[test]
fn responses_are_judged() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let Some(path) = path(&mut stream) else { return };
                let n: usize = path.trim_start_matches('/').parse().unwrap();
                let _ = stream.write_all(ANSWERS[n].0.as_bytes());
            });
        }
    });
    let mut http = String::new();
    let mut locations = String::new();
    for (n, (_, _, test)) in ANSWERS.iter().enumerate() {
        http += &format!("upstream u{n} {{ server 127.0.0.1:{port}; }}");
        let mut by = String::new();
        if !test.is_empty() {
            http += &format!("match m{n} {{ {test} }}");
            by = format!("match=m{n}");
        }
        locations += &format!(
            "location /{n}/ {{ proxy_pass http://u{n}; proxy_http_version 1.1; error_page 400 502 503 =200 /status;
             proxy_intercept_errors on; health_check interval=60s uri=/{n} mandatory {by}; }}"
        );
    }
    let site = Site::start(
        "",
        &format!("{http} server {{ listen 127.0.0.1:%PORT1%; location = /status {{ return 200 x; }} {locations} }}"),
    );
    for (n, (answer, passes, test)) in ANSWERS.iter().enumerate() {
        let said = |end: &str| site.said().contains(&format!("upstream \"u{n}\": the server 127.0.0.1:{port} {end}"));
        wait_for("it is judged", || said("gets "));
        assert_eq!(said("gets requests again"), *passes, "{answer:?} by {test:?}: {}", site.said());
    }
    site.stop();
}

#[test]
fn responses_without_end_are_bounded() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let path = path(&mut stream).unwrap_or_default();
                let (first, then): (&str, &[u8]) = match path.as_str() {
                    "/interim" => ("", b"HTTP/1.1 100 Continue\r\n\r\n"),
                    "/head" => ("HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
                    _ => ("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\nhere", &[b'x'; 4096]),
                };
                let _ = stream.write_all(first.as_bytes());
                // Ten million bytes, and more where no length ends it.
                for _ in 0..1_000_000 {
                    if stream.write_all(then).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let mut locations = String::new();
    let mut http = String::from("match first { body ~ here; } match late { body ~ y; }");
    let rows = [
        ("interim", "", false),
        ("head", "", false),
        ("big", "", true),
        ("begin", "match=first", true),
        ("never", "match=late", false),
    ];
    for (name, by, _) in rows {
        http += &format!("upstream {name} {{ server 127.0.0.1:{port}; }}");
        locations += &format!(
            "location /{name}/ {{ proxy_pass http://{name}; proxy_http_version 1.1; health_check interval=60s uri=/{name} mandatory {by}; }}"
        );
    }
    let site = Site::start("", &format!("{http} server {{ listen 127.0.0.1:%PORT1%; {locations} }}"));
    for (name, _, passes) in rows {
        let said = |end: &str| site.said().contains(&format!("upstream \"{name}\": the server 127.0.0.1:{port} {end}"));
        wait_for("it is judged", || said("gets "));
        assert_eq!(said("gets requests again"), passes, "{name}: {}", site.said());
    }
    site.stop();
}
