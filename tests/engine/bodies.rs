//! Request bodies that nobody reads, and those that lie in files: within their limit, and gone when they should be.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use crate::client::{Client, End};
use crate::site::{Site, wait_for};

/// What comes after the response is thrown away up to the limit, then the connection ends, whatever the framing.
#[test]
fn an_unread_body_is_thrown_away_within_its_limit() {
    let site =
        Site::start("", "client_max_body_size 100k; server { listen 127.0.0.1:%PORT1%; return 200; location / { } }");
    let begin = |framing: &str| {
        let mut client = Client::new(site.port());
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n"));
        let answer = client.answer().unwrap();
        (client, answer)
    };
    let chunk = format!("{:x}\r\n{}\r\n", 50 << 10, "x".repeat(50 << 10));
    let get = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    // Two chunks are as many bytes as may be.
    let (mut client, answer) = begin("Transfer-Encoding: chunked");
    assert_eq!((answer.status, answer.closes()), (200, false));
    client.send(format!("{chunk}{chunk}0\r\n\r\n{get}"));
    assert_eq!(client.answer().unwrap().status, 200);
    let (mut client, _) = begin("Transfer-Encoding: chunked");
    client.send(format!("{chunk}{chunk}1\r\nx\r\n0\r\n\r\n{get}"));
    assert_eq!(client.rest(), (Vec::new(), End::Closed));
    // A length says it beforehand.
    for (length, closes) in [(100 << 10, false), ((100 << 10) + 1, true)] {
        let (mut client, answer) = begin(&format!("Content-Length: {length}"));
        assert_eq!((answer.status, answer.closes()), (200, closes), "{length}");
        client.send("x".repeat(length));
        client.send(get);
        match closes {
            true => assert_eq!(client.rest(), (Vec::new(), End::Closed)),
            false => assert_eq!(client.answer().unwrap().status, 200),
        }
    }
    site.stop();
}

fn files(site: &Site) -> Vec<PathBuf> {
    let folder = fs::read_dir(site.path("body"));
    folder.map_or(Vec::new(), |folder| folder.flatten().map(|entry| entry.path()).collect())
}

/// A body's file is the worker's alone. With `on` it stays once it is whole; what broke off leaves nothing, and `clean` nothing ever.
#[test]
fn files_of_bodies_stay_or_go() {
    let program = "server { listen 127.0.0.1:%PORT2%; location / { limit_rate 100; limit_rate_after 600; } }";
    let site = Site::start(
        "",
        &format!(
            "client_max_body_size 1k; client_body_in_file_only clean; server {{ listen 127.0.0.1:%PORT1%; \
             proxy_buffering off; proxy_pass_request_body off; proxy_method GET; proxy_set_header Content-Length \"\"; \
             location /clean {{ proxy_pass http://127.0.0.1:%PORT2%; }} \
             location /on {{ client_body_in_file_only on; proxy_pass http://127.0.0.1:%PORT2%; }} }} {program}"
        ),
    );
    for name in ["clean", "on"] {
        site.file(name, "x".repeat(2000));
    }
    let post = |path: &str, framing: &str| {
        let mut client = Client::new(site.port());
        client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n"));
        client
    };
    for path in ["/clean", "/on"] {
        // The client leaves in the middle; the body turns out too large, or malformed.
        for end in ["", "400\r\n", "zz\r\n"] {
            let mut client = post(path, "Transfer-Encoding: chunked");
            client.send("5\r\nhello\r\n");
            wait_for("the body's file", || files(&site).len() == 1);
            client.send(end);
            if end.is_empty() {
                drop(client);
            } else {
                assert!(client.answer().unwrap().status >= 400);
            }
            wait_for("the broken body's file is gone", || files(&site).is_empty());
        }
        let mut client = post(path, "Content-Length: 5");
        client.send("hello");
        wait_for("a part of the answer", || client.is_answered());
        let file = files(&site).pop().unwrap();
        let meta = fs::metadata(&file).unwrap();
        assert_eq!((fs::read(&file).unwrap(), meta.permissions().mode() & 0o777), (b"hello".to_vec(), 0o600));
        assert_eq!(meta.uid(), fs::metadata(format!("/proc/{}", site.serving())).unwrap().uid());
        drop(client);
        if path == "/clean" {
            wait_for("the file is gone with its request", || files(&site).is_empty());
        }
    }
    wait_for("both that had a file are over", || site.said_times("while the answer was made") == 2);
    assert_eq!(files(&site).len(), 1);
    site.stop();
}
