//! The numbers of `stub_status`, exact in known situations.

use crate::client::{Client, get};
use crate::site::{Site, wait_for};

const CONF: &str = "server { listen 127.0.0.1:%PORT1%; location /status { stub_status; } location / { } \
    location /put { client_max_body_size 1m; error_page 405 =200 /a; } }";

/// Active, accepts, handled, requests, Reading, Writing, Waiting.
fn numbers(client: &mut Client) -> [u64; 7] {
    let text = client.get("/status").text();
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{text}"))
}

/// Asks until the open connections are these: Active, Reading, Writing, Waiting.
fn await_open(client: &mut Client, wanted: [u64; 4]) -> [u64; 7] {
    let mut last = [0; 7];
    let end = std::time::Instant::now() + crate::site::PATIENCE;
    while [last[0], last[4], last[5], last[6]] != wanted {
        assert!(std::time::Instant::now() < end, "wanted {wanted:?}, got {last:?}");
        last = numbers(client);
    }
    last
}

#[test]
fn numbers_are_exact() {
    let site = Site::start("", CONF);
    site.file("a", "hello");
    site.file("large", vec![0; 20 << 20]);
    let mut watcher = Client::new(site.port());
    assert_eq!(numbers(&mut watcher), [1, 1, 1, 1, 0, 1, 0]);
    assert_eq!(numbers(&mut watcher), [1, 1, 1, 2, 0, 1, 0]);

    let idle: Vec<Client> = (0..3).map(|_| Client::new(site.port())).collect();
    let seen = await_open(&mut watcher, [4, 0, 1, 3]);
    assert_eq!(seen[1..3], [4, 4]);

    let mut heads: Vec<Client> = (0..2).map(|_| Client::new(site.port())).collect();
    heads.iter_mut().for_each(|client| assert!(client.send("GET /a HT")));
    await_open(&mut watcher, [6, 2, 1, 3]);

    let mut reader = Client::new(site.port());
    reader.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    await_open(&mut watcher, [7, 2, 2, 3]);

    for client in &mut heads {
        client.send("TP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer().unwrap().status, 200);
    }
    await_open(&mut watcher, [7, 0, 2, 5]);

    drop((idle, heads, reader));
    let before = await_open(&mut watcher, [1, 0, 1, 0]);
    assert_eq!(before[1..3], [7, 7]);
    for _ in 0..10 {
        assert_eq!(get(site.port(), "/a").status, 200);
    }
    let after = await_open(&mut watcher, [1, 0, 1, 0]);
    assert_eq!(after[1..3], [17, 17]);
    // Ten of others, and the watcher's own: at least one.
    assert!(after[3] >= before[3] + 11, "{before:?} {after:?}");
    let text = watcher.get("/status").text();
    assert!(text.contains(&format!(" 17 17 {} ", after[3] + 1)), "{text}");
    site.stop();
}

#[test]
fn refused_connections_are_accepted_but_not_handled() {
    let site = Site::start("events { worker_connections 4; }", CONF);
    let mut watcher = Client::new(site.port());
    let mut heads: Vec<Client> = Vec::new();
    for n in 0..3 {
        let mut client = Client::new(site.port());
        client.send("GET /a HT");
        heads.push(client);
        await_open(&mut watcher, [n + 2, n + 1, 1, 0]);
    }
    watcher.send("GET /status HT");
    wait_for("the table is full", || {
        let answer = Client::new(site.port()).try_get("/a");
        answer.is_some_and(|answer| answer.status == 503)
    });
    if heads.iter_mut().all(|client| !client.is_closed()) && !watcher.is_closed() {
        watcher.send("TP/1.1\r\nHost: h\r\n\r\n");
        let text = watcher.answer().unwrap().text();
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert!(numbers[1] > numbers[2], "{text}");
        assert_eq!(numbers[2], 4, "{text}");
    }
    drop((heads, watcher));
    site.stop();
}
