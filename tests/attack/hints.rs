//! What a server behind a proxy could do with its interim responses, and a client that does not read them: floods, heads without end, heads in
//! bytes, lines of other responses. What the client gets is looked at byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use socket2::{Domain, Socket, Type};

use crate::site::{PATIENCE, Site};

/// A server that takes one request on each connection and writes these pieces, each by itself.
fn backend(pieces: Vec<Vec<u8>>) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut there, _) = listener.accept().unwrap();
        there.set_read_timeout(Some(PATIENCE)).unwrap();
        there.set_nodelay(true).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && there.read(&mut byte).is_ok_and(|n| n > 0) {
            head.push(byte[0]);
        }
        // Whoever was given up takes no more.
        let _ = pieces.iter().try_for_each(|piece| there.write_all(piece));
    });
    (port, thread)
}

fn site(listen: &str, lines: &str, port: u16) -> Site {
    Site::start(
        "",
        &format!(
            "server {{ listen 127.0.0.1:%PORT1% {listen}; early_hints 1; proxy_http_version 1.1; {lines}
                location / {{ proxy_pass http://127.0.0.1:{port}; }} location = /fine {{ return 200 fine; }} }}"
        ),
    )
}

fn connect(site: &Site) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", site.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A client whose kernel takes less than a few hints for it.
fn narrow(site: &Site) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], site.port())).into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything that comes back to two requests on one connection; the second closes it.
fn both(client: &mut TcpStream) -> String {
    client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    client.write_all(b"GET /fine HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    String::from_utf8(all).unwrap()
}

/// What comes back where a server writes these pieces.
fn came(lines: &str, pieces: Vec<Vec<u8>>) -> String {
    let (port, thread) = backend(pieces);
    let site = site("", lines, port);
    let all = both(&mut connect(&site));
    thread.join().unwrap();
    site.stop();
    all
}

fn hint(value: &str) -> String {
    format!("HTTP/1.1 103 Early Hints\r\nLink: {value}\r\n\r\n")
}

const FINAL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The statuses of all heads that came, in order.
fn statuses(all: &str) -> Vec<&str> {
    all.match_indices("HTTP/1.1 ").map(|(at, _)| &all[at + 9..at + 12]).collect()
}

#[test]
fn hints_without_end_are_few_and_a_head_without_end_is_none() {
    let flood = vec![hint("<a>").into_bytes(); 10_000];
    let all = came("", flood);
    let statuses = statuses(&all);
    assert!(statuses.len() <= 34 && statuses.ends_with(&["502", "200"]), "{statuses:?}");
    let huge = vec![b"HTTP/1.1 103 Early Hints\r\nLink: ".to_vec(), vec![b'a'; 10 << 20]];
    let all = came("", huge);
    assert!(all.starts_with("HTTP/1.1 502 ") && all.ends_with("fine"), "{}", &all[..all.len().min(300)]);
}

#[test]
fn a_hint_that_comes_in_bytes_is_one_hint() {
    let pieces = format!("{}{}{FINAL}", hint("<a>"), hint("<b>")).bytes().map(|byte| vec![byte]).collect();
    let all = came("", pieces);
    assert!(all.starts_with(&format!("{}{}HTTP/1.1 200 OK\r\n", hint("<a>"), hint("<b>"))), "{all}");
    assert_eq!(statuses(&all), ["103", "103", "200", "200"]);
}

#[test]
fn a_hint_after_the_response_is_none() {
    for last in [
        format!("{FINAL}{}", hint("<late>")),
        format!("HTTP/1.1 204 No Content\r\n\r\n{}", hint("<late>")),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{}", hint("<late>")),
    ] {
        let all = came("", vec![hint("<a>").into_bytes(), last.clone().into_bytes()]);
        assert!(!all.contains("late") && all.ends_with("fine"), "{last:?} became {all}");
        assert_eq!(statuses(&all)[0], "103");
    }
}

#[test]
fn a_field_of_a_hint_never_begins_another_line() {
    for value in ["a\rSet-Cookie: b", "a\r\n Set-Cookie: b", "a\0b", "a\nno field", "a\r\r\nX: y"] {
        let all = came("", vec![hint(value).into_bytes(), FINAL.as_bytes().to_vec()]);
        assert!(all.starts_with("HTTP/1.1 502 ") && !all.contains("103 Early"), "{value:?} became {all}");
    }
    // A status that is no number, and words that would break the line.
    for line in ["HTTP/1.1 1O3 Early", "HTTP/1.1 103 Early\rX: y", "HTTP/1.1 0103 Early"] {
        let all = came("", vec![format!("{line}\r\n\r\n{FINAL}").into_bytes()]);
        assert!(all.starts_with("HTTP/1.1 502 "), "{line:?} became {all}");
    }
}

#[test]
fn hints_of_one_request_have_so_many_bytes_and_no_more() {
    let empty = hint("").len();
    let (first, fits) = (hint(&"a".repeat(30_000)), (64 << 10) - 30_000 - 2 * empty);
    for (size, expected) in [(fits, 2), (fits + 1, 1)] {
        let pieces = vec![format!("{first}{}{}{FINAL}", hint(&"b".repeat(size)), hint("")).into_bytes()];
        let all = came("proxy_buffer_size 128k; proxy_buffers 8 128k; proxy_busy_buffers_size 256k;", pieces);
        // A small one that comes after one that did not fit may have room.
        let large = all.lines().filter(|line| line.len() > 1000).count();
        assert_eq!(large, expected, "{size}");
        assert!(all.contains("\r\n\r\nok") && all.ends_with("fine"));
    }
}

#[test]
fn a_client_that_does_not_read_gets_all_of_it_in_order_when_it_does() {
    let hints: Vec<String> = (0..32).map(|n| hint(&format!("<{n}>{}", "x".repeat(1900)))).collect();
    let body = "y".repeat(1 << 20);
    let last = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let pieces = hints.iter().map(|hint| hint.clone().into_bytes()).chain([last.into_bytes()]).collect();
    let (port, thread) = backend(pieces);
    let site = site(
        "sndbuf=4k rcvbuf=4k",
        "proxy_buffer_size 128k; proxy_buffers 64 128k; proxy_busy_buffers_size 256k;",
        port,
    );
    let mut client = narrow(&site);
    client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    // The server behind has said all that it has to say, and nothing of it was read.
    thread.join().unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    let all = String::from_utf8(all).unwrap();
    assert!(all.starts_with(&hints.concat()), "{}", statuses(&all).join(" "));
    assert!(all.ends_with(&format!("\r\n\r\n{body}")));
    site.stop();
}
