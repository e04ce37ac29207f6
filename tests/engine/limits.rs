//! Limits under concurrency and over time: crowds are counted exactly, and who waits for a limit holds no thread.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::site::{PATIENCE, Site, wait_for};

fn ask(site: &Site, path: &str) -> Client {
    let mut client = Client::new(site.port());
    client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
    client
}

/// How many of a crowd that asks at once get each status.
fn crowd(site: &Site, path: &str, size: usize) -> (usize, usize) {
    let (good, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..size {
            scope.spawn(|| match ask(site, path).answer().map(|answer| answer.status) {
                Some(200) => good.fetch_add(1, Relaxed),
                Some(429) => refused.fetch_add(1, Relaxed),
                other => panic!("{other:?}"),
            });
        }
    });
    (good.into_inner(), refused.into_inner())
}

#[test]
fn a_crowd_of_requests_is_counted_exactly() {
    let site = Site::start(
        "",
        "limit_req_zone x zone=wide:1m rate=1r/m; limit_req_zone y zone=tight:1m rate=1r/m;
        server { listen 127.0.0.1:%PORT1%; limit_req_status 429;
            location / { limit_req zone=wide burst=30 nodelay; limit_req zone=tight burst=16 nodelay; } }",
    );
    site.file("a", "hello");
    assert_eq!(crowd(&site, "/a", 60), (17, 43));
    assert_eq!(site.said_times("by zone \"tight\""), 43);
    site.stop();
}

#[test]
fn places_are_taken_until_the_answer_is_out_and_then_free_at_once() {
    let site = Site::start(
        "",
        "limit_conn_zone $binary_remote_addr zone=one:1m; sendfile_max_chunk 64k;
        server { listen 127.0.0.1:%PORT1% sndbuf=16k; limit_conn one 3; limit_conn_status 429; }",
    );
    site.file("big", vec![b'x'; 64 << 20]);
    site.file("small", "hello");
    let mut slow: Vec<Client> = (0..3).map(|_| ask(&site, "/big")).collect();
    for client in &mut slow {
        wait_for("its answer begins", || client.is_answered());
    }
    let mut other = Client::new(site.port());
    assert_eq!(other.get("/small").status, 429);
    assert_eq!(site.said_times("limiting connections by zone \"one\""), 1);
    drop(slow.pop());
    wait_for("the place is free", || other.get("/small").status == 200);
    // Idle connections take none, and who has read an answer may ask again at once.
    for _ in 0..200 {
        assert_eq!(ask(&site, "/small").answer().map(|answer| answer.status), Some(200));
    }
    drop(slow);
    site.stop();
}

#[test]
fn who_is_delayed_holds_no_thread() {
    let site = Site::start(
        "thread_pool default threads=1;",
        "limit_req_zone x zone=one:1m rate=30r/m;
        server { listen 127.0.0.1:%PORT1%; location /limited { limit_req zone=one burst=50; alias %DIR%/html/a; } }",
    );
    site.file("a", "hello");
    let begun = Instant::now();
    assert_eq!(ask(&site, "/limited").answer().map(|answer| answer.status), Some(200));
    let mut delayed: Vec<Client> = (0..20).map(|_| ask(&site, "/limited")).collect();
    wait_for("all are delayed", || site.said_times("delaying request") == 20);
    for _ in 0..50 {
        assert_eq!(Client::new(site.port()).get("/a").status, 200);
    }
    assert_eq!(delayed[0].answer().map(|answer| answer.status), Some(200));
    assert!(begun.elapsed() >= Duration::from_millis(1990), "{:?}", begun.elapsed());
    // Who leaves while it waits is logged as one who left.
    drop(delayed.pop());
    wait_for("its leaving is logged", || site.read("access.log").contains(" 499 "));
}

/// Reads an answer that ends with its connection; how long it took.
fn download(site: &Site, path: &str) -> (usize, Duration) {
    let begun = Instant::now();
    let mut client = Client::new(site.port());
    client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    let (bytes, _) = client.rest();
    (bytes.len(), begun.elapsed())
}

#[test]
fn answers_go_out_at_their_pace_and_hold_no_thread() {
    let site = Site::start(
        "thread_pool default threads=1;",
        "server { listen 127.0.0.1:%PORT1%;
            location /file { limit_rate 100k; alias %DIR%/html/big; }
            location /memory { limit_rate 10k; alias %DIR%/html/small; }
            location /after { limit_rate 10k; limit_rate_after 290k; alias %DIR%/html/big; }
            location /accel { proxy_pass http://127.0.0.1:%PORT2%/big; }
            location /set { set $limit_rate 100k; alias %DIR%/html/big; } }
        server { listen 127.0.0.1:%PORT2%; add_header X-Accel-Limit-Rate 102400; }",
    );
    site.file("big", vec![b'x'; 300 << 10]);
    site.file("small", vec![b'y'; 20 << 10]);
    // All of the first second goes out at once: 300k at 100k a second takes two more.
    let paths = [
        ("/file", 300 << 10, 1900),
        ("/memory", 20 << 10, 900),
        ("/after", 300 << 10, 0),
        ("/set", 300 << 10, 1900),
        ("/accel", 300 << 10, 1900),
    ];
    std::thread::scope(|scope| {
        for (path, size, least) in paths {
            let site = &site;
            scope.spawn(move || {
                let (bytes, time) = download(site, path);
                assert!(bytes > size && bytes < size + 1000, "{path}: {bytes}");
                assert!(time >= Duration::from_millis(least), "{path} took {time:?}");
                assert!(time < PATIENCE, "{path} took {time:?}");
            });
        }
        for _ in 0..20 {
            assert_eq!(Client::new(site.port()).get("/small").status, 200);
        }
    });
    assert_eq!(site.said_times("timed out"), 0);
    site.stop();
}
