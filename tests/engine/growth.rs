//! Thousands of mixed requests, broken off ones among them: nothing grows.

use crate::client::{Client, get};
use crate::site::{Site, wait_for};

const CONF: &str = "server { listen 127.0.0.1:%PORT1%; location /small { client_max_body_size 1k; return 200 ok; } }";

/// One of each kind.
fn round(site: &Site) {
    let mut kept = Client::new(site.port());
    for path in ["/a", "/none", "/small", "/large?x", "/a"] {
        kept.get(path);
    }
    kept.send("GET /large HTTP/1.1\r\nHost: h\r\nRange: bytes=0-9,100-199\r\n\r\n");
    assert_eq!(kept.answer().unwrap().status, 206);
    kept.send("POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(kept.answer().unwrap().status, 200);
    kept.send("POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\nhello");
    assert_eq!(kept.answer().unwrap().status, 413);
    for text in [
        "",
        "GET / HT",
        "GET /large HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\nhello",
        "nonsense\r\n\r\n",
    ] {
        let mut client = Client::new(site.port());
        client.send(text);
        client.reset();
        let mut client = Client::new(site.port());
        client.send(text);
    }
    assert_eq!(get(site.port(), "/a").status, 200);
}

#[test]
fn descriptors_threads_and_memory_do_not_grow() {
    let site = Site::start("thread_pool default threads=4;", CONF);
    site.file("a", "hello");
    site.file("large", vec![7; 2 << 20]);
    for _ in 0..60 {
        round(&site);
    }
    wait_for("the warm-up has gone", || site.descriptors().is_none_or(|n| n < 40));
    let before = (site.descriptors(), site.threads(), site.memory());
    for _ in 0..200 {
        round(&site);
    }
    wait_for("descriptors are closed", || site.descriptors() <= before.0);
    assert_eq!(site.threads(), before.1);
    if let (Some(now), Some(before)) = (site.memory(), before.2) {
        assert!(now < before + 2048, "{before} KiB before, {now} KiB now");
    }
    site.stop();
}
