//! How the server stops: nothing accepted is lost, and a second signal cuts.

use std::time::Instant;

use nix::sys::signal::Signal;

use crate::client::Client;
use crate::site::{PATIENCE, Site, wait_for};

const CONF: &str =
    "server { listen 127.0.0.1:%PORT1%; location /put { client_max_body_size 0; error_page 405 =200 /ok; } }";

/// Waits until the server no longer accepts.
fn stopping(site: &Site) {
    wait_for("the listener closes", || std::net::TcpStream::connect(("127.0.0.1", site.port())).is_err());
}

#[test]
fn quit_answers_what_was_accepted_and_closes() {
    let mut site = Site::start("", CONF);
    site.file("a", "hello");
    let (mut idle, mut partial) = (Client::new(site.port()), Client::new(site.port()));
    let mut fresh = Client::new(site.port());
    assert_eq!(idle.get("/a").text(), "hello");
    partial.send("GET /a HTTP/1.1\r\nHost");
    wait_for("all are accepted", || site.descriptors().is_none_or(|n| n > 3));
    site.signal(Signal::SIGQUIT);
    stopping(&site);
    wait_for("the idle one is closed", || idle.is_closed());
    fresh.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    partial.send(": h\r\n\r\n");
    for client in [&mut fresh, &mut partial] {
        let answer = client.answer().expect("what was accepted is answered");
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        assert!(answer.closes(), "{}", answer.head);
    }
    assert_eq!(site.ended(), Some(0));
    assert!(!site.path("pid").exists());
    assert!(!site.said().contains("[alert]"), "{}", site.said());
}

/// The server is held while clients come, so that all of it is there when it goes on.
#[test]
fn quit_answers_connections_that_still_lie_in_the_kernel() {
    let mut site = Site::start("worker_rlimit_nofile 4096; events { worker_connections 2000; }", CONF);
    site.file("a", "hello");
    let mut kept: Vec<Client> = (0..20).map(|_| Client::new(site.port())).collect();
    for client in &mut kept {
        assert_eq!(client.get("/a").status, 200);
    }
    site.halt(true);
    let new = (0..450).map(|_| Client::new(site.port()));
    let mut clients: Vec<Client> = kept.into_iter().chain(new).collect();
    for client in &mut clients {
        client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    site.signal(Signal::SIGQUIT);
    site.halt(false);
    for (n, client) in clients.iter_mut().enumerate() {
        let answer = client.answer().unwrap_or_else(|| panic!("client {n} got no answer\n{}", site.said()));
        assert_eq!(answer.status, 200);
    }
    assert_eq!(site.ended(), Some(0));
}

#[test]
fn quit_does_not_wait_for_keepalive_timeout() {
    for _ in 0..10 {
        let mut site = Site::start("", CONF);
        site.file("a", "hello");
        let mut clients: Vec<Client> = (0..20).map(|_| Client::new(site.port())).collect();
        for client in &mut clients {
            client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        }
        site.signal(Signal::SIGQUIT);
        // Our patience is shorter than `keepalive_timeout`.
        assert_eq!(site.ended(), Some(0));
    }
}

#[test]
fn quit_waits_only_briefly_for_a_client_that_sends_nothing() {
    let mut site = Site::start("", CONF);
    let mut silent = Client::new(site.port());
    let start = Instant::now();
    site.signal(Signal::SIGQUIT);
    assert_eq!(site.ended(), Some(0));
    assert!(start.elapsed() < PATIENCE / 3, "{:?}", start.elapsed());
    assert!(silent.answer().is_none());
}

#[test]
fn a_second_signal_cuts() {
    for second in [Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGINT] {
        let mut site = Site::start("", CONF);
        let mut slow = Client::new(site.port());
        slow.send("GET /a HTTP/1.1\r\nX");
        wait_for("a part of a head came", || site.descriptors().is_some());
        site.signal(Signal::SIGQUIT);
        stopping(&site);
        assert!(site.runs(), "a client that is sending its head is waited for");
        site.signal(second);
        assert_eq!(site.ended(), Some(0), "{second}");
        assert!(!site.path("pid").exists());
    }
}

#[test]
fn term_ends_at_once() {
    let mut site = Site::start("", CONF);
    site.file("large", vec![0; 10 << 20]);
    let mut reader = Client::new(site.port());
    reader.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    site.signal(Signal::SIGTERM);
    assert_eq!(site.ended(), Some(0));
    assert!(!site.path("pid").exists());
}

#[test]
fn worker_shutdown_timeout_bounds_a_graceful_stop() {
    let mut site = Site::start("worker_shutdown_timeout 200ms;", CONF);
    let mut slow = Client::new(site.port());
    slow.send("GET /a HTTP/1.1\r\nX");
    let start = Instant::now();
    site.signal(Signal::SIGQUIT);
    assert_eq!(site.ended(), Some(0));
    assert!(start.elapsed() < PATIENCE / 3, "{:?}", start.elapsed());
    assert!(site.said().contains("worker_shutdown_timeout"), "{}", site.said());
}

/// What is under way when the time is over leaves its lines, as it does in nginx; a status that was not sent is 000.
#[test]
fn requests_that_a_stop_breaks_off_leave_their_lines() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let conf = format!(
        "server {{ listen 127.0.0.1:%PORT1%; mirror /copy; location /wait {{ proxy_pass http://{0}; }}
         location = /copy {{ internal; log_subrequest on; proxy_pass http://{0}; }}
         location /large {{ mirror off; }} location /slow {{ mirror off; limit_rate 1k; }}
         location /body {{ mirror off; proxy_pass http://{0}; }} }}",
        silent.local_addr().unwrap()
    );
    let mut site = Site::start("worker_shutdown_timeout 300ms;", &conf);
    site.file("large", vec![0; 64 << 20]);
    site.file("slow", vec![0; 100 << 10]);
    let asked = [
        "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /large HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        "GET /head HTTP/1.1\r\nHos",
    ];
    let mut clients: Vec<Client> = asked.iter().map(|_| Client::new(site.port())).collect();
    for (client, bytes) in clients.iter_mut().zip(asked) {
        client.send(bytes);
    }
    for begun in &mut clients[1..4] {
        wait_for("something comes", || begun.is_answered());
    }
    // The request and its copy.
    let _upstream = [silent.accept().unwrap(), silent.accept().unwrap()];
    site.signal(Signal::SIGQUIT);
    assert_eq!(site.ended(), Some(0), "{}", site.said());
    let lines = std::fs::read_to_string(site.path("access.log")).unwrap();
    let mut seen: Vec<_> =
        lines.lines().filter_map(|line| line.split('"').nth(1).zip(line.split('"').nth(2))).collect();
    seen.sort();
    let status = |at: usize| seen[at].1.split_whitespace().next().unwrap();
    let paths: Vec<_> = seen.iter().map(|(request, _)| request.split(' ').nth(1).unwrap()).collect();
    assert_eq!(paths, ["/large", "/slow", "/wait", "/wait", "/body"], "{lines}");
    assert_eq!([0, 1, 2, 3, 4].map(status), ["200", "200", "000", "000", "000"], "{lines}");
    assert!(site.said().contains("worker_shutdown_timeout is over"), "{}", site.said());
}
