//! Something is full: the queue of the pool, the table of connections, the descriptors, the disk. What cannot be
//! served is answered quickly, and everything recovers.

use std::time::{Duration, Instant};

use crate::client::{Client, End, get};
use crate::site::{Site, wait_for};

const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// Waits until the server answers 200 again.
fn recovers(site: &Site) {
    wait_for("the server recovers", || {
        Client::new(site.port()).try_get("/a").is_some_and(|answer| answer.status == 200)
    });
}

/// Sends one request on each connection, all of them there at once, and counts the answers 200 and 503.
fn burst(site: &Site, count: usize) -> (usize, usize) {
    site.halt(true);
    let mut clients: Vec<Client> = (0..count).map(|_| Client::new(site.port())).collect();
    for client in &mut clients {
        client.send(REQUEST);
    }
    site.halt(false);
    let (mut served, mut refused) = (0, 0);
    for (n, client) in clients.iter_mut().enumerate() {
        let answer = client.answer().unwrap_or_else(|| panic!("client {n} got no whole answer\n{}", site.said()));
        assert!(answer.closes(), "{}", answer.head);
        assert_eq!(client.rest(), (Vec::new(), End::Closed), "client {n}, {}", answer.head);
        match answer.status {
            200 => served += 1,
            503 => {
                assert!(answer.head.contains("\r\nX-Longshore-Why: 503/queue-full\r\n"), "{}", answer.head);
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    (served, refused)
}

#[test]
fn a_full_queue_is_answered_503_and_recovers() {
    let server = "server { listen 127.0.0.1:%PORT1%; debug_clients 127.0.0.1; }";
    let site = Site::start("thread_pool default threads=1 max_queue=1;", server);
    site.file("a", "hello");
    let start = Instant::now();
    let (mut served, mut refused) = (0, 0);
    while refused == 0 || served == 0 {
        let counts = burst(&site, 200);
        (served, refused) = (served + counts.0, refused + counts.1);
        assert!(start.elapsed() < crate::site::PATIENCE, "{served} served, {refused} refused");
    }
    recovers(&site);
    let line = "the queue of the thread pool is full";
    wait_for("the log tells", || site.said().contains(line));
    let lines = site.said_times(line) as u64;
    assert!(lines <= start.elapsed().as_secs() + 2, "{lines} lines in {:?}", start.elapsed());
    assert_eq!(site.workers(), 1);
    site.stop();
}

#[test]
fn who_asked_nothing_is_not_refused_when_the_queue_is_full() {
    let site = Site::start("thread_pool default threads=1 max_queue=1;", "server { listen 127.0.0.1:%PORT1%; }");
    site.file("a", "hello");
    site.halt(true);
    let mut clients: Vec<Client> = (0..200).map(|_| Client::new(site.port())).collect();
    site.halt(false);
    for client in &mut clients {
        assert_eq!(client.get("/a").status, 200);
    }
    drop(clients);
    site.stop();
}

#[test]
fn when_connections_are_full_the_longest_idle_one_goes_first() {
    let site = Site::start("events { worker_connections 8; }", "server { listen 127.0.0.1:%PORT1%; }");
    site.file("a", "hello");
    let mut idle: Vec<Client> = Vec::new();
    for _ in 0..8 {
        let mut client = Client::new(site.port());
        assert_eq!(client.get("/a").status, 200);
        // Deadlines are told apart by milliseconds.
        let start = Instant::now();
        wait_for("a millisecond passes", || start.elapsed().as_millis() > 2);
        idle.push(client);
    }
    let mut more = Client::new(site.port());
    assert_eq!(more.get("/a").status, 200);
    wait_for("the longest idle one is closed", || idle[0].is_closed());
    assert!(idle[1..].iter_mut().all(|client| !client.is_closed()));
    assert_eq!(idle[7].get("/a").status, 200);
    site.stop();
}

#[test]
fn when_no_connection_is_idle_new_ones_get_503() {
    let server = "server { listen 127.0.0.1:%PORT1%; debug_clients 127.0.0.0/8; }";
    let site = Site::start("events { worker_connections 8; }", server);
    site.file("a", "hello");
    let partial = || {
        let mut client = Client::new(site.port());
        client.send("GET /a HTTP/1.1\r\nHost: h\r\nX: ");
        client
    };
    let mut busy: Vec<Client> = (0..8).map(|_| partial()).collect();
    let (start, mut pause) = (Instant::now(), Duration::from_millis(10));
    // One whose head has not been looked at yet still counts as idle when the next one comes.
    wait_for("the table is full", || {
        // The server looks at the heads that came: until then they count as idle, and make room for the next client. A
        // busy machine is given longer each time.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(500));
        let full = Client::new(site.port()).try_get("/a").is_some_and(|answer| answer.status == 503);
        let outside = busy.iter_mut().filter_map(|client| client.is_answered().then_some(client));
        full && outside.map(|client| *client = partial()).count() == 0
    });
    for _ in 0..50 {
        let mut client = Client::new(site.port());
        assert!(client.send(REQUEST));
        let answer = client.answer().expect("a whole answer");
        assert_eq!(answer.status, 503);
        assert!(answer.head.contains("\r\nX-Longshore-Why: 503/connections-full\r\n"), "{}", answer.head);
        assert_eq!(client.rest(), (Vec::new(), End::Closed));
    }
    for client in &mut busy {
        client.send("y\r\n\r\n");
        assert_eq!(client.answer().expect("the ones inside are served").status, 200);
    }
    drop(busy);
    recovers(&site);
    wait_for("the log tells", || site.said().contains("worker_connections are not enough"));
    let lines = site.said_times("worker_connections are not enough") as u64;
    assert!((1..=start.elapsed().as_secs() + 2).contains(&lines), "{lines} lines in {:?}", start.elapsed());
    site.stop();
}

#[test]
fn without_descriptors_accepting_pauses_and_files_are_503() {
    let site =
        Site::start("worker_rlimit_nofile 48; thread_pool default threads=4;", "server { listen 127.0.0.1:%PORT1%; }");
    for n in 0..10 {
        site.file(&n.to_string(), "hello");
    }
    site.file("a", "hello");
    let mut first = Client::new(site.port());
    assert_eq!(first.get("/a").status, 200);
    let start = Instant::now();
    let held: Vec<Client> = (0..80).map(|_| Client::new(site.port())).collect();
    wait_for("accepting pauses", || site.said().contains("accepting pauses"));
    let statuses: Vec<u16> = (0..10).map(|n| first.get(&format!("/{n}")).status).collect();
    assert!(statuses.contains(&503), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    let start_lines = site.said_times("accepting pauses") as u128;
    assert!(start_lines <= start.elapsed().as_millis() / 500 + 2, "{start_lines} lines in {:?}", start.elapsed());
    // While it pauses it sleeps.
    let (busy, lines, begun) = (site.cpu(), site.said_times("accepting pauses"), Instant::now());
    wait_for("more pauses", || site.said_times("accepting pauses") >= lines + 2);
    let (busy, all) = (site.cpu() - busy, begun.elapsed());
    assert!(busy < all.mul_f64(0.4), "{busy:?} of CPU in two pauses that took {all:?}");
    // Those that wait in the kernel get their turn when descriptors return.
    let (mut waiting, gone): (Vec<_>, Vec<_>) = held.into_iter().enumerate().partition(|(n, _)| *n >= 60);
    drop(gone);
    for (n, client) in &mut waiting {
        assert_eq!(client.try_get("/a").map(|answer| answer.status), Some(200), "client {n}");
    }
    let statuses: Vec<u16> = (0..10).map(|n| first.get(&format!("/{n}")).status).collect();
    assert_eq!(statuses, [200; 10]);
    site.stop();
}

#[test]
fn a_full_disk_under_the_access_log_costs_lines_and_no_request() {
    let site = Site::start("", "access_log /dev/full; server { listen 127.0.0.1:%PORT1%; }");
    site.file("a", "hello");
    let mut client = Client::new(site.port());
    for _ in 0..100 {
        assert_eq!(client.get("/a").text(), "hello");
    }
    drop(client);
    assert!(site.said_times("/dev/full") <= 3, "{}", site.said());
    site.stop();
}

/// A burst of connections is no reason to forget one.
#[test]
fn a_burst_is_answered_whole() {
    let site = Site::start("events { worker_connections 2000; }", "server { listen 127.0.0.1:%PORT1%; }");
    site.file("a", "hello");
    for _ in 0..3 {
        assert_eq!(burst(&site, 450), (450, 0));
    }
    assert_eq!(get(site.port(), "/a").status, 200);
    site.stop();
}
