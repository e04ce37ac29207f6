//! Values that are made to get past a limit: a key too long to be counted as it is.

use crate::client::{Answer, Client};
use crate::site::{Site, wait_for};

/// The lengths on both sides of the bounds at which nginx stops counting, and of our own.
const LENGTHS: [usize; 6] = [1, 255, 256, 65_535, 65_536, 100_000];

fn ask(client: &mut Client, path: &str, key: &str) -> Answer {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\nX-Key: {key}\r\n\r\n"));
    client.answer().expect("an answer")
}

#[test]
fn no_key_is_too_long_for_limit_req() {
    let site = Site::start(
        "",
        "limit_req_zone $http_x_key zone=one:32k rate=1r/m; large_client_header_buffers 4 128k;
        server { listen 127.0.0.1:%PORT1%; limit_req zone=one; }",
    );
    site.file("a", "hello");
    let mut client = Client::new(site.port());
    for len in LENGTHS {
        let statuses = ["x", "y"].map(|end| {
            let key = "k".repeat(len - 1) + end;
            [ask(&mut client, "/a", &key).status, ask(&mut client, "/a", &key).status]
        });
        assert_eq!(statuses, [[200, 503], [200, 503]], "a key of {len} bytes");
    }
    // Long ones did not push the others out of the small table.
    assert_eq!(ask(&mut client, "/a", "x").status, 503);
    site.stop();
}

#[test]
fn no_key_is_too_long_for_limit_conn() {
    let site = Site::start(
        "",
        "limit_conn_zone $http_x_key zone=one:32k; large_client_header_buffers 4 128k;
        server { listen 127.0.0.1:%PORT1%; limit_conn one 1; location /slow { limit_rate 1; } }",
    );
    site.file("a", "hello");
    site.file("slow", "x".repeat(1000));
    for len in LENGTHS {
        let key = "k".repeat(len - 1) + "x";
        let mut slow = Client::new(site.port());
        slow.send(format!("GET /slow HTTP/1.1\r\nHost: h\r\nX-Key: {key}\r\n\r\n"));
        // Not before it has its place, or one of the others might have taken it.
        wait_for("it is being answered", || slow.is_answered());
        let mut client = Client::new(site.port());
        assert_eq!(ask(&mut client, "/a", &key).status, 503, "a key of {len} bytes");
        assert_eq!(ask(&mut client, "/a", &("k".repeat(len - 1) + "y")).status, 200, "another key of {len} bytes");
    }
    // No graceful stop: what was asked for so slowly would hold it.
}
