//! Clients that behave badly or leave: what they are answered, and that nobody else notices.

use std::fs;
use std::io::Write;

use crate::client::{Client, End, get};
use crate::site::{Site, wait_for};

const CONF: &str = "server { listen 127.0.0.1:%PORT1%; location /small { client_max_body_size 1m; return 200 $request_uri; } \
    location / { client_max_body_size 0; } }";

#[test]
fn a_thousand_pipelined_requests_are_answered_in_order() {
    let site =
        Site::start("", "keepalive_requests 3000; server { listen 127.0.0.1:%PORT1%; return 200 $request_uri; }");
    let text: String = (0..1000).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    let mut client = Client::new(site.port());
    let mut writer = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || writer.write_all(text.as_bytes()));
    for n in 0..1000 {
        let answer = client.answer().unwrap_or_else(|| panic!("no answer to request {n}"));
        assert_eq!((answer.status, answer.text()), (200, format!("/{n}")));
    }
    sender.join().unwrap().unwrap();
    site.stop();
}

#[test]
fn keepalive_requests_counts_pipelined_requests_too() {
    let site = Site::start(
        "",
        "keepalive_requests 150; server { listen 127.0.0.1:%PORT1%; return 200 $connection_requests; }",
    );
    let text = "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(400);
    let mut client = Client::new(site.port());
    client.send(text);
    for n in 1..=150 {
        let answer = client.answer().unwrap_or_else(|| panic!("no answer to request {n}"));
        assert_eq!((answer.text(), answer.closes()), (n.to_string(), n == 150));
    }
    assert!(client.answer().is_none(), "the 151st request is answered");
    site.stop();
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let site = Site::start("", CONF);
    let mut client = Client::new(site.port());
    client.stream.set_nodelay(true).unwrap();
    for byte in b"POST /small/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" {
        assert!(client.send([*byte]));
    }
    assert_eq!(client.answer().unwrap().text(), "/small/a");
    for byte in
        b"POST /small/b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n"
    {
        assert!(client.send([*byte]));
    }
    assert_eq!(client.answer().unwrap().text(), "/small/b");
    assert_eq!(client.get("/small/c").text(), "/small/c");
    site.stop();
}

#[test]
fn a_half_closed_client_gets_its_answer() {
    let site = Site::start("", CONF);
    site.file("large", vec![7; 10 << 20]);
    site.file("a", "hello");
    for _ in 0..20 {
        for (path, len) in [("/a", 5), ("/large", 10 << 20)] {
            let mut client = Client::new(site.port());
            client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
            client.half_close();
            let answer = client.answer().unwrap_or_else(|| panic!("no answer to {path}"));
            assert_eq!((answer.status, answer.body.len()), (200, len));
            assert_eq!(client.rest(), (Vec::new(), End::Closed));
        }
    }
    site.stop();
}

#[test]
fn garbage_is_refused_and_others_do_not_notice() {
    let site = Site::start("", CONF);
    site.file("a", "hello");
    let mut garbage = vec![0; 1 << 20];
    getrandom::fill(&mut garbage).unwrap();
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    let zeros = vec![0; 1 << 20];
    let lines = b"\r\n".repeat(1 << 19);
    garbage[0] = 0xff;
    for bytes in [garbage, hello, zeros, lines] {
        let mut client = Client::new(site.port());
        client.send(&bytes);
        let (answer, _) = client.rest();
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", answer.escape_ascii());
        assert_eq!(get(site.port(), "/a").status, 200);
    }
    site.stop();
}

#[test]
fn a_head_without_end_is_refused_early() {
    let site = Site::start("", CONF);
    let line = format!("X: {}\r\n", "y".repeat(1000));
    for (first, rest, status) in [
        ("GET / HTTP/1.1\r\n", line.as_str(), "400"),
        ("GET / HTTP/1.1\r\nX: ", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", "400"),
        ("GET /", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "414"),
    ] {
        let mut client = Client::new(site.port());
        client.send(first);
        let block = rest.repeat((1 << 20) / rest.len());
        // A hundred megabytes, or until the server has had enough.
        for _ in 0..100 {
            if client.stream.write_all(block.as_bytes()).is_err() {
                break;
            }
        }
        let (answer, _) = client.rest();
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{}", answer.escape_ascii());
    }
    if let Some(memory) = site.memory() {
        assert!(memory < 100 << 10, "{memory} KiB after heads of 100 MB");
    }
    site.stop();
}

/// The answer to an upload that is refused at its head must not be eaten by a reset.
#[test]
fn an_upload_refused_early_is_never_reset() {
    let site = Site::start("", CONF);
    let block = vec![b'x'; 1 << 20];
    for attempt in 0..20 {
        for chunked in [false, true] {
            let mut client = Client::new(site.port());
            client.send("POST /small HTTP/1.1\r\nHost: h\r\n");
            client.send(if chunked {
                "Transfer-Encoding: chunked\r\n\r\n"
            } else {
                "Content-Length: 20971520\r\n\r\n"
            });
            for part in 0..20 {
                let frame = if chunked { format!("{:x}\r\n", block.len()) } else { String::new() };
                let end = if chunked { "\r\n" } else { "" };
                let sent = client.send(frame) && client.send(&block) && client.send(end);
                assert!(sent, "attempt {attempt}, chunked {chunked}: reset at megabyte {part}");
            }
            if chunked {
                client.send("0\r\n\r\n");
            }
            let answer = client.answer().unwrap_or_else(|| panic!("attempt {attempt}, chunked {chunked}: no answer"));
            // A body of chunks is refused by what came of it with its head; `return` does not wait for the rest.
            assert!(answer.status == 413 || chunked && answer.status == 200, "chunked {chunked}: {}", answer.status);
        }
    }
    site.stop();
}

#[test]
fn the_log_line_stands_in_the_file_before_the_connection_closes() {
    let site = Site::start("", CONF);
    site.file("a", "hello");
    for n in 0..200 {
        let mut client = Client::new(site.port());
        client.send(format!("GET /a?{n} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
        assert!(client.rest().0.ends_with(b"hello"));
        assert!(site.read("access.log").contains(&format!("/a?{n} ")), "line {n}");
    }
    site.stop();
}

/// A client that takes nothing gains no time by sending.
#[test]
fn send_timeout_counts_what_is_taken_not_what_is_sent() {
    let site = Site::start("", "send_timeout 300ms; server { listen 127.0.0.1:%PORT1%; }");
    site.file("large", vec![7; 20 << 20]);
    let mut client = Client::new(site.port());
    client.stream.set_nodelay(true).unwrap();
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the server gives up", || {
        client.send("x");
        site.said().contains("client timed out")
    });
    drop(client);
    site.stop();
}

/// Each phase: nothing sent, in the head, in the body, while the answer goes out, while it lingers, idle.
#[test]
fn clients_that_leave_in_any_phase_leave_nothing_behind() {
    let site = Site::start("", CONF);
    site.file("a", "hello");
    site.file("large", vec![7; 10 << 20]);
    let post = "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nab";
    let large = "GET /large HTTP/1.1\r\nHost: h\r\n\r\n";
    let refused = "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\n\r\nab";
    let get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(crate::client::get(site.port(), "/a").status, 200);
    let before = site.descriptors();
    for text in ["", "GET / HTTP/1.1\r\nHo", post, large, refused, get] {
        for way in 0..3 {
            for _ in 0..30 {
                let mut client = Client::new(site.port());
                client.send(text);
                match way {
                    0 => drop(client),
                    1 => client.reset(),
                    _ => {
                        client.half_close();
                        client.stream.shutdown(std::net::Shutdown::Both).unwrap_or_default();
                    }
                }
            }
        }
    }
    assert_eq!(crate::client::get(site.port(), "/a").text(), "hello");
    // The cached file's descriptor may stay.
    wait_for("all descriptors are closed", || site.descriptors().is_none_or(|now| Some(now) <= before.map(|n| n + 2)));
    site.stop();
}

/// Whatever the engine waits for meanwhile, a client that left is noticed at once and its place is free: each pause would last
/// for minutes.
#[test]
fn a_client_that_leaves_during_a_pause_frees_its_place() {
    let zones = "limit_conn_zone $server_port zone=places:1m; limit_req_zone $server_port zone=rate:1m rate=1r/m; \
        log_format end \"$uri $status\"; access_log access.log end; limit_conn places 2;";
    let locations = "location /slow { limit_rate 1; } location /accel { proxy_pass http://127.0.0.1:%PORT2%; } \
        location /later { limit_req zone=rate burst=1000; } \
        location /denied { auth_delay 1h; auth_basic a; auth_basic_user_file users; }";
    let program = "access_log off; add_header X-Accel-Limit-Rate 1; return 200 $request_id$request_id$request_id;";
    let servers =
        format!("server {{ listen 127.0.0.1:%PORT1%; {locations} }} server {{ listen 127.0.0.1:%PORT2%; {program} }}");
    let site = Site::start("", &format!("{zones} {servers}"));
    site.file("slow", vec![7; 1 << 20]);
    site.file("later", "");
    fs::write(site.path("users"), "").unwrap();
    assert_eq!(get(site.port(), "/later").status, 200);
    wait_for("its line", || !site.read("access.log").is_empty());
    // What lies unread before its end hides it from a look at the socket.
    let unread = "x".repeat(20_000);
    let get = "GET PATH HTTP/1.1\r\nHost: h\r\nRange: bytes=9-\r\n\r\n";
    let post = "POST PATH HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n";
    let ways = [
        ("/slow", get, "", "206"),
        ("/accel", get, "", "200"),
        ("/slow", get, unread.as_str(), "206"),
        ("/later", get, "", "499"),
        ("/later", post, &unread, "499"),
        ("/denied", get, "", "499"),
    ];
    for (path, text, unread, status) in ways {
        for ending in 0..3 {
            let (before, delayed) = (site.read("access.log").lines().count(), site.said_times("delaying"));
            let mut client = Client::new(site.port());
            client.send(text.replace("PATH", path));
            match status {
                "499" => wait_for("the request is held back", || site.said_times("delaying") > delayed),
                _ => wait_for("a part of the answer", || client.is_answered()),
            }
            client.send(unread);
            match ending {
                0 => drop(client),
                1 => client.reset(),
                _ => {
                    client.half_close();
                    client.rest();
                }
            }
            wait_for("the line of a client that left", || site.read("access.log").lines().count() > before);
            assert_eq!(
                site.read("access.log").lines().last(),
                Some(format!("{path} {status}").as_str()),
                "ending {ending}"
            );
        }
    }
    site.stop();
}
