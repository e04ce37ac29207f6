//! Request bodies that are passed on while they come: the script reads as the client sends, a script that does not read
//! holds the client back, nobody's worker waits, and whoever leaves ends the other.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::client::{Client, End, get};
use crate::scripts::children;
use crate::site::{PATIENCE, Site, wait_for};

const CONF: &str =
    "client_max_body_size 0; cgi on; cgi_request_buffering off; cgi_set_var DIR %DIR%; cgi_timeout 60s 50ms;
server { listen 127.0.0.1:%PORT1%;
    location /live/ { alias %DIR%/html/; cgi_buffering off; }
    location /short/ { alias %DIR%/html/; client_body_timeout 200ms; }
    location /both/ { alias %DIR%/html/; client_body_timeout 200ms; cgi_buffering off; }
}";

const HEAD: &str = "printf 'Content-Type: text/plain\\n\\n'";

fn site(main: &str) -> Site {
    let site = Site::start(main, CONF);
    let scripts = [
        // Says what it reads as soon as it does.
        ("echo.sh", "while IFS= read -r line; do echo \"got $line\"; done"),
        ("count.sh", "wc -c"),
        // Reads nothing until the test says so.
        ("later.sh", "until [ -e $DIR/go ]; do sleep 0.01; done; wc -c"),
        ("first.sh", "IFS= read -r line; echo $line > $DIR/line; wc -c"),
    ];
    for (name, text) in scripts {
        site.file(name, format!("#!/bin/sh\n{HEAD}\n{text}\n"));
        fs::set_permissions(site.path("html").join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    site
}

fn begin(site: &Site, path: &str, more: &str) -> Client {
    let mut client = Client::new(site.port());
    client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\n{more}\r\n"));
    client
}

/// Reads until a text has come.
fn read_until(client: &mut Client, text: &str) -> String {
    let (mut all, mut piece) = (String::new(), [0; 4096]);
    while !all.contains(text) {
        let n = client.stream.read(&mut piece).unwrap();
        assert!(n > 0, "{text} did not come: {all}");
        all.push_str(&String::from_utf8_lossy(&piece[..n]));
    }
    all
}

#[test]
fn what_is_sent_is_answered_before_the_body_ends() {
    let site = site("thread_pool default threads=1;");
    let mut chunked = begin(&site, "/live/echo.sh", "Transfer-Encoding: chunked\r\n");
    let mut measured = begin(&site, "/live/echo.sh", "Content-Length: 8\r\n");
    let mut last = String::new();
    for (word, chunk) in [("one", "4\r\none\n\r\n"), ("two", "4\r\ntwo\n\r\n")] {
        chunked.send(chunk);
        read_until(&mut chunked, &format!("got {word}"));
        measured.send(format!("{word}\n"));
        last = read_until(&mut measured, &format!("got {word}"));
    }
    // The end of the body was known with its last byte, so the end of the answer may have come along.
    if !last.contains("0\r\n\r\n") {
        read_until(&mut measured, "0\r\n\r\n");
    }
    chunked.send("0\r\n\r\nGET /none HTTP/1.1\r\nHost: h\r\n\r\n");
    let rest = read_until(&mut chunked, "404");
    assert!(rest.contains("0\r\n\r\nHTTP/1.1 404"), "{rest}");
    measured.send("GET /none HTTP/1.1\r\nHost: h\r\n\r\n");
    read_until(&mut measured, "404");
    site.stop();
}

#[test]
fn a_client_is_asked_to_send_once_its_body_is_wanted() {
    let site = site("");
    let mut client = begin(&site, "/echo.sh", "Content-Length: 4\r\nExpect: 100-continue\r\n");
    read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc\n");
    assert_eq!(client.answer().unwrap().text(), "got abc\n");
    let mut client = begin(&site, "/none", "Content-Length: 4\r\nExpect: 100-continue\r\n");
    assert_eq!(client.answer().unwrap().status, 404);
    site.stop();
}

#[test]
fn a_script_that_does_not_read_holds_its_client_back() {
    let site = site("thread_pool default threads=1;");
    let before = site.memory();
    let mut client = begin(&site, "/later.sh", "Content-Length: 100000000\r\n");
    let mut other = client.stream.try_clone().unwrap();
    other.set_nonblocking(true).unwrap();
    let (piece, mut sent, mut stuck) = (vec![b'x'; 1 << 20], 0_usize, 0);
    // What lies in sockets, pipe and server is bounded, so that the client is stuck long before the end.
    while stuck < 20 {
        match other.write(&piece) {
            Ok(n) => (sent, stuck) = (sent + n, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stuck += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent < 50_000_000, "{sent}");
    if let (Some(before), Some(now)) = (before, site.memory()) {
        assert!(now < before + 4096, "{before} KiB became {now}");
    }
    // The only worker is free meanwhile.
    assert_eq!(get(site.port(), "/none").status, 404);
    other.set_nonblocking(false).unwrap();
    fs::write(site.path("go"), "").unwrap();
    while sent < 100_000_000 {
        let n = piece.len().min(100_000_000 - sent);
        other.write_all(&piece[..n]).unwrap();
        sent += n;
    }
    assert_eq!(client.answer().unwrap().text().trim(), "100000000");
    site.stop();
}

#[test]
fn a_client_that_leaves_ends_the_script() {
    let site = site("");
    for path in ["/first.sh", "/live/first.sh"] {
        for length in ["Content-Length: 100\r\n\r\nhello\n", "Transfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n"] {
            let mut client = Client::new(site.port());
            client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\n{length}"));
            wait_for("the script reads", || site.read("line") == "hello\n");
            fs::remove_file(site.path("line")).unwrap();
            drop(client);
            wait_for("the script is reaped", || children(&site) == 0);
        }
    }
    // A script is reaped before its end is told of.
    wait_for("all are told of", || site.said_times("client prematurely closed connection") == 4);
    site.stop();
}

#[test]
fn a_client_that_falls_silent_is_timed_out() {
    let site = site("");
    for path in ["/short/count.sh", "/both/count.sh"] {
        let mut client = begin(&site, path, "Content-Length: 100\r\n");
        client.send("hello\n");
        let (rest, end) = client.rest();
        assert_eq!(end, End::Closed);
        let is_cut = !String::from_utf8_lossy(&rest).contains("0\r\n\r\n");
        assert!(is_cut, "{}", String::from_utf8_lossy(&rest));
        wait_for("the script is reaped", || children(&site) == 0);
    }
    assert_eq!(site.said_times("client timed out"), 2);
    // One whose script does not read is held back, not silent.
    let mut client = begin(&site, "/short/later.sh", "Content-Length: 300000\r\n");
    client.send(vec![b'x'; 300_000]);
    wait_for("twice the time is over", {
        let start = std::time::Instant::now();
        move || start.elapsed() > Duration::from_millis(500)
    });
    fs::write(site.path("go"), "").unwrap();
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(client.answer().unwrap().text().trim(), "300000");
    site.stop();
}

#[test]
fn a_body_that_goes_wrong_ends_the_answer_that_has_begun() {
    let site = site("");
    let mut client = begin(&site, "/live/echo.sh", "Transfer-Encoding: chunked\r\n");
    client.send("4\r\none\n\r\n");
    read_until(&mut client, "got one");
    client.send("this is no chunk\r\n");
    let (rest, _) = client.rest();
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    wait_for("the script is reaped", || children(&site) == 0);
    site.stop();
}
