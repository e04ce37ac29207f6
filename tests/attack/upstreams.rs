//! What a client or another server could get past a proxy: a request that is sent twice, a field of another's connection, a switch
//! to a protocol that nobody reads, interim responses without end.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::site::{PATIENCE, Site};

/// A server that is not ours: what it accepts comes out of the channel.
fn backend() -> (u16, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            if sender.send(stream).is_err() {
                return;
            }
        }
    });
    (port, receiver)
}

fn next(connections: &Receiver<TcpStream>) -> TcpStream {
    connections.recv_timeout(PATIENCE).unwrap()
}

/// Reads until the bytes end so.
fn read_to(stream: &mut TcpStream, end: &[u8]) -> String {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !all.ends_with(end) {
        stream.read_exact(&mut byte).unwrap();
        all.push(byte[0]);
    }
    String::from_utf8(all).unwrap()
}

fn answer(mut stream: TcpStream, response: &str) {
    // It may have been given up meanwhile.
    let _ = stream.write_all(response.as_bytes());
}

#[test]
fn a_request_that_may_not_be_sent_twice_is_sent_once() {
    let ((one, first), (two, second)) = (backend(), backend());
    let site = Site::start(
        "",
        &format!(
            "upstream u {{ server 127.0.0.1:{one} max_fails=0; server 127.0.0.1:{two} max_fails=0 backup; }}
            server {{ listen 127.0.0.1:%PORT1%;
                location / {{ proxy_pass http://u; }}
                location /made/ {{ proxy_method $arg_method; proxy_pass http://u; }}
                location /status/ {{ proxy_next_upstream error http_503; proxy_pass http://u; }}
                location /f/ {{ fastcgi_param REQUEST_METHOD $request_method; fastcgi_pass u; }}
                location /s/ {{ scgi_pass u; }}
                location /u/ {{ uwsgi_pass u; }} }}"
        ),
    );
    let once = ["POST", "PATCH", "LOCK", "CHARGE", "QUERY", "GETX", "MKPAYMENT", "_", "PUT-ONCE"];
    let twice = ["GET", "PUT", "DELETE", "OPTIONS", "PROPFIND", "MKCOL", "COPY", "UNLOCK", "REPORT", "SEARCH"];
    let places = ["/", "/status/", "/f/", "/s/", "/u/"];
    let mut tries: Vec<(String, bool)> = Vec::new();
    for place in places {
        tries.extend(once.iter().map(|method| (format!("{method} {place}"), false)));
        tries.extend(twice.iter().map(|method| (format!("{method} {place}"), true)));
    }
    tries.extend(once.iter().map(|method| (format!("GET /made/?method={method}"), false)));
    tries.extend(once.iter().map(|method| (format!("{method} /made/?method=GET"), false)));
    for (line, may) in tries {
        let mut client = Client::new(site.port());
        client.send(format!("{line} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"));
        let mut tried = next(&first);
        tried.read_exact(&mut [0]).unwrap();
        if line.contains("/status/") {
            answer(tried, "HTTP/1.0 503 No\r\nContent-Length: 0\r\n\r\n");
        } else {
            drop(tried);
        }
        match may {
            // That it was asked at all is what counts here.
            true => drop(
                second.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{line} was not sent on: {}", site.said())),
            ),
            false => {
                let status = client.answer().unwrap_or_else(|| panic!("{line}: no answer")).status;
                assert!(matches!(status, 502 | 503), "{line}: {status}");
                assert!(second.try_recv().is_err(), "{line} was sent twice");
            }
        }
    }
    site.stop();
}

#[test]
fn nothing_of_another_servers_connection_reaches_a_client() {
    let (port, connections) = backend();
    let http = format!(
        "server {{ listen 127.0.0.1:%PORT1%;
            location / {{ proxy_http_version 1.1; proxy_pass_header Upgrade; proxy_pass_header Trailer;
                proxy_pass_header Proxy-Connection; proxy_pass http://127.0.0.1:{port}; }}
            location /s/ {{ scgi_pass 127.0.0.1:{port}; }} location /u/ {{ uwsgi_pass 127.0.0.1:{port}; }} }}"
    );
    let site = Site::start("", &http);
    for path in ["/", "/s/", "/u/"] {
        for (status, upgrade) in [(200, false), (404, false), (500, false), (426, true)] {
            let mut client = Client::new(site.port());
            client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
            let mut there = next(&connections);
            there.read_exact(&mut [0]).unwrap();
            let fields = "PROXY-connection: keep-alive\r\nproxy-Connection: close\r\nTRAILER: Content-Length\r\nTrailer: X\r\n\
                upgrade: h2c\r\nUPGRADE: websocket\r\nKeep-Alive: timeout=999\r\n";
            answer(there, &format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: 2\r\n\r\nok"));
            let answer = client.answer().unwrap();
            let head = answer.head.to_ascii_lowercase();
            assert_eq!(answer.status, status, "{path}");
            assert!(!head.contains("proxy-connection") && !head.contains("trailer") && !head.contains("999"), "{head}");
            assert_eq!(head.contains("upgrade: h2c"), upgrade, "{path} {head}");
        }
    }
    site.stop();
}

#[test]
fn a_switch_to_http2_is_never_asked_for() {
    let (port, connections) = backend();
    let site = Site::start(
        "",
        &format!(
            "map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
            server {{ listen 127.0.0.1:%PORT1%; proxy_http_version 1.1;
                location / {{ proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
                    proxy_pass http://127.0.0.1:{port}; }}
                location /raw/ {{ proxy_set_header upgrade \"x/1, $http_upgrade\"; proxy_set_header connection $http_connection;
                    proxy_pass http://127.0.0.1:{port}; }}
                location /u/ {{ uwsgi_pass 127.0.0.1:{port}; }} }}"
        ),
    );
    for path in ["/", "/raw/", "/u/"] {
        for upgrade in [
            "Upgrade: h2c",
            "upgrade:H2C",
            "UPGRADE: \t h2c \t",
            "Upgrade: h2c\r\nUpgrade: websocket",
            "Upgrade: websocket\r\nUpgrade: h2c",
            "Upgrade: websocket, h2c",
            "Upgrade: ,h2c,,",
            "Upgrade: h2c-16",
            "Upgrade: h2c/2",
            "Upgrade: HTTP/2.0",
            "Upgrade: http/2, h2",
        ] {
            let mut client = Client::new(site.port());
            client.send(format!(
                "POST {path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n{upgrade}\r\n\
                HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 9\r\n\r\nthe body."
            ));
            let mut there = next(&connections);
            let asked = read_to(&mut there, b"the body.").to_ascii_lowercase();
            let asked = asked.replace("http2-settings\r\n", "").replace("upgrade, http2-settings", "");
            for word in ["h2c", "aamaaabk", "http/2", "h2\r"] {
                assert!(!asked.contains(word), "{path} {upgrade:?}: {word} in {asked}");
            }
            // Who grants it all the same gets no tunnel, unless another protocol was asked for, too.
            if !upgrade.contains("websocket") && path == "/" {
                answer(there, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
                assert_eq!(client.answer().unwrap().status, 502, "{upgrade:?}");
            }
        }
    }
    site.stop();
}

#[test]
fn interim_responses_without_end_end() {
    let (port, connections) = backend();
    let site = Site::start(
        "",
        &format!(
            "server {{ listen 127.0.0.1:%PORT1%; proxy_http_version 1.1;
                location / {{ proxy_pass http://127.0.0.1:{port}; }}
                location /late/ {{ proxy_read_timeout 1s; proxy_pass http://127.0.0.1:{port}; }} }}"
        ),
    );
    let interim =
        ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n", "HTTP/1.1 199 \n\n"];
    for (path, pause, status) in [("/", 0, 502), ("/late/", 100, 504)] {
        let mut client = Client::new(site.port());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let mut there = next(&connections);
        read_to(&mut there, b"\r\n\r\n");
        let begun = Instant::now();
        let writer = std::thread::spawn(move || {
            // Until the server has had enough. Each byte of a slow one is news.
            let mut all = interim.iter().cycle();
            while all.next().is_some_and(|one| there.write_all(one.as_bytes()).is_ok()) {
                std::thread::sleep(Duration::from_millis(pause));
                assert!(begun.elapsed() < PATIENCE, "nobody stops it");
            }
        });
        assert_eq!(client.answer().unwrap().status, status, "{path}");
        writer.join().unwrap();
    }
    site.stop();
}
