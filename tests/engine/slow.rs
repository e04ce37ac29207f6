//! Hundreds of slow clients against a pool of four threads: everybody else is served as if they were not there.

use std::time::{Duration, Instant};

use crate::attack::{Attack, Plan};
use crate::client::Client;
use crate::site::{PATIENCE, Site, wait_for};

const EACH: usize = 200;

/// The median time of so many requests on one kept connection, every one of them answered.
fn median(site: &Site, requests: usize) -> Duration {
    let mut client = Client::new(site.port());
    let mut times: Vec<Duration> = (0..requests)
        .map(|_| {
            let start = Instant::now();
            let answer = client.get("/a");
            assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
            start.elapsed()
        })
        .collect();
    times.sort();
    times[requests / 2]
}

#[test]
fn slow_clients_hold_no_thread() {
    let conf = "keepalive_requests 10000; server { listen 127.0.0.1:%PORT1%; location /slow { return 200; } }";
    let main = "worker_rlimit_nofile 4096; events { worker_connections 2000; } thread_pool default threads=4;";
    let site = Site::start(main, conf);
    site.file("a", "hello");
    site.file("large.bin", vec![7; 10 << 20]);
    let unloaded = median(&site, 500);
    let (threads, workers) = (site.threads(), site.workers());
    assert_eq!(workers, 4);
    let plan = Plan {
        heads: EACH,
        bodies: EACH,
        readers: EACH,
        drip: Duration::from_secs(1),
        body_request: "POST /slow HTTP/1.1".into(),
        download: "/large.bin".into(),
    };
    let attack = Attack::start(([127, 0, 0, 1], site.port()).into(), plan).unwrap();
    assert!(attack.wait_connected(PATIENCE));
    // A held thread would cost a request a second at least, however often it is tried; a machine that is busy with something else now
    // and then would not.
    let bound = unloaded * 20 + Duration::from_millis(20);
    wait_for("requests are served as without the attack", || median(&site, 500) < bound);
    // New connections get in as well.
    for _ in 0..50 {
        assert_eq!(crate::client::get(site.port(), "/a").status, 200);
    }
    let counts = attack.stop();
    assert_eq!((counts.open, counts.lost), (3 * EACH, 0));
    assert_eq!((site.threads(), site.workers()), (threads, workers));
    site.stop();
}
