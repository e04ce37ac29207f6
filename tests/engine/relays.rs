//! Requests that are passed to another server: nobody's worker waits for it, however many wait; protocols are switched; whoever
//! leaves ends the other; a slow client does not hold the other server up.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::client::{Client, End, get};
use crate::site::{PATIENCE, Site, wait_for};

const ONE: &str = "thread_pool default threads=1;";

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

/// Reads a head.
fn head(stream: &mut TcpStream) -> String {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !all.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        all.push(byte[0]);
    }
    String::from_utf8(all).unwrap()
}

fn ask(site: &Site, head: &str) -> Client {
    let mut client = Client::new(site.port());
    client.send(format!("{head}\r\nHost: h\r\n\r\n"));
    client
}

#[test]
fn a_server_that_asks_itself_does_not_starve() {
    let site = Site::start(
        ONE,
        "server { listen 127.0.0.1:%PORT1%;
            location /a/ { proxy_pass http://127.0.0.1:%PORT1%/b/; }
            location /b/ { proxy_pass http://127.0.0.1:%PORT1%/c/; }
            location /c/ { return 200 deep; } }",
    );
    let mut clients: Vec<_> = (0..40).map(|_| ask(&site, "GET /a/x HTTP/1.1")).collect();
    for client in &mut clients {
        assert_eq!(client.answer().unwrap().text(), "deep");
    }
    site.stop();
}

#[test]
fn a_silent_server_holds_no_worker() {
    let (port, connections) = backend();
    let site = Site::start(
        ONE,
        &format!("server {{ listen 127.0.0.1:%PORT1%; location /far/ {{ proxy_pass http://127.0.0.1:{port}; }} }}"),
    );
    site.file("a", "near");
    let mut clients: Vec<_> = (0..50).map(|_| ask(&site, "GET /far/ HTTP/1.1")).collect();
    let mut waiting: Vec<_> = clients.iter().map(|_| next(&connections)).collect();
    assert_eq!(get(site.port(), "/a").text(), "near");
    for stream in &mut waiting {
        head(stream);
        stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nfar").unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.answer().unwrap().text(), "far");
    }
    site.stop();
}

#[test]
fn a_switched_protocol_goes_both_ways() {
    let (port, connections) = backend();
    let site = Site::start(
        ONE,
        &format!(
            "server {{ listen 127.0.0.1:%PORT1%; access_log %DIR%/access; location / {{ proxy_pass http://127.0.0.1:{port};
                proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}"
        ),
    );
    let mut client = Client::new(site.port());
    client.send("GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nearly ");
    let mut there = next(&connections);
    let asked = head(&mut there);
    assert!(asked.contains("Upgrade: echo\r\n") && asked.contains("Connection: upgrade\r\n"), "{asked}");
    there.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nfirst ").unwrap();
    let mut bytes = [0; 6];
    there.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"early ");
    let answered = head(&mut client.stream);
    assert!(answered.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answered}");
    assert!(answered.contains("Upgrade: echo\r\n") && answered.contains("Connection: upgrade\r\n"), "{answered}");
    client.stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"first ");
    // More than any buffer holds, both ways at once, while nobody reads at first.
    let large: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let copies = (large.clone(), large.clone());
    let (mut to_there, mut to_client) = (client.stream.try_clone().unwrap(), there.try_clone().unwrap());
    let one = std::thread::spawn(move || to_there.write_all(&copies.0).unwrap());
    let two = std::thread::spawn(move || to_client.write_all(&copies.1).unwrap());
    let mut found = vec![0; large.len()];
    there.read_exact(&mut found).unwrap();
    assert!(found == large);
    client.stream.read_exact(&mut found).unwrap();
    assert!(found == large);
    one.join().unwrap();
    two.join().unwrap();
    // The client says no more; what the other side still has to say arrives.
    client.half_close();
    assert_eq!(there.read(&mut bytes).unwrap(), 0);
    there.write_all(b"last!!").unwrap();
    drop(there);
    assert_eq!(client.rest(), (b"last!!".to_vec(), End::Closed));
    wait_for("the access log", || site.read("access").contains("\" 101 "));
    site.stop();
}

#[test]
fn a_client_that_leaves_is_told_on() {
    let (port, connections) = backend();
    let site = Site::start(
        ONE,
        &format!(
            "server {{ listen 127.0.0.1:%PORT1%; access_log %DIR%/access;
                location / {{ proxy_pass http://127.0.0.1:{port}; }}
                location /stays/ {{ proxy_ignore_client_abort on; proxy_pass http://127.0.0.1:{port}; }} }}"
        ),
    );
    let client = ask(&site, "GET / HTTP/1.1");
    let mut there = next(&connections);
    head(&mut there);
    drop(client);
    assert_eq!(there.read(&mut [0]).unwrap(), 0);
    // While an answer is on its way too.
    let mut client = ask(&site, "GET /stream HTTP/1.1");
    let mut there = next(&connections);
    head(&mut there);
    there.write_all(b"HTTP/1.0 200 OK\r\n\r\nsome").unwrap();
    head(&mut client.stream);
    drop(client);
    assert_eq!(there.read(&mut [0]).unwrap(), 0);
    // But not where the conf says so.
    let client = ask(&site, "GET /stays/ HTTP/1.1");
    let mut there = next(&connections);
    head(&mut there);
    drop(client);
    there.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(there.read(&mut [0]).is_err(), "it was told");
    there.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    wait_for("the access log", || site.read("access").contains("\"GET /stays/ HTTP/1.1\" 200 "));
    site.stop();
}

#[test]
fn an_answer_before_the_body_was_taken_arrives() {
    let (port, connections) = backend();
    let site = Site::start(
        ONE,
        &format!(
            "client_max_body_size 0; server {{ listen 127.0.0.1:%PORT1%; location / {{ proxy_pass http://127.0.0.1:{port}; }} }}"
        ),
    );
    let mut client = Client::new(site.port());
    let body = vec![b'x'; 20 << 20];
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    let mut there = next(&connections);
    head(&mut there);
    there.write_all(b"HTTP/1.0 403 No\r\nContent-Length: 2\r\n\r\nno").unwrap();
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    drop(there);
    site.stop();
}

#[test]
fn a_kept_connection_that_died_is_replaced_where_that_is_safe() {
    let (port, connections) = backend();
    let site = Site::start(
        ONE,
        &format!(
            "upstream back {{ server 127.0.0.1:{port}; keepalive 4; }}
            server {{ listen 127.0.0.1:%PORT1%; location / {{ proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}"
        ),
    );
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for (method, status) in [("GET", 200), ("POST", 502)] {
        let mut client = ask(&site, "GET /first HTTP/1.1");
        let mut kept = next(&connections);
        head(&mut kept);
        kept.write_all(answer).unwrap();
        assert_eq!(client.answer().unwrap().status, 200);
        client.send(format!("{method} /second HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"));
        // It came by the kept connection, which dies with it.
        assert!(head(&mut kept).contains("/second"));
        drop(kept);
        if status == 200 {
            let mut fresh = next(&connections);
            assert!(head(&mut fresh).contains("/second"));
            fresh.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").unwrap();
        }
        assert_eq!(client.answer().unwrap().status, status);
    }
    site.stop();
}

#[test]
fn a_slow_client_does_not_hold_the_other_server() {
    let (port, connections) = backend();
    let site = Site::start(
        ONE,
        &format!(
            "server {{ listen 127.0.0.1:%PORT1%; location / {{ proxy_pass http://127.0.0.1:{port}; }}
                location /bound/ {{ proxy_max_temp_file_size 0; proxy_pass http://127.0.0.1:{port}; }} }}"
        ),
    );
    let body: Vec<u8> = (0..60_000_000u32).map(|i| (i % 251) as u8).collect();
    for (path, is_freed) in [("/", true), ("/bound/", false)] {
        let mut client = ask(&site, &format!("GET {path} HTTP/1.1"));
        let mut there = next(&connections);
        head(&mut there);
        let copy = body.clone();
        let writer = std::thread::spawn(move || {
            there.write_all(format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", copy.len()).as_bytes()).unwrap();
            there.write_all(&copy).unwrap();
        });
        if is_freed {
            wait_for("the other server is done", || writer.is_finished());
        } else {
            // That nothing more is taken can only be seen by waiting for what does not come.
            std::thread::sleep(Duration::from_millis(300));
            assert!(!writer.is_finished(), "nothing held it back");
        }
        let answer = client.answer().unwrap();
        assert!(answer.body == body, "{path}");
        writer.join().unwrap();
    }
    site.stop();
}

#[test]
fn a_server_that_does_not_accept_is_given_up_in_time() {
    // A queue of one that is full: the kernel lets further connections hang.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let mut fillers = Vec::new();
    while let Ok(filler) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        fillers.push(filler);
        assert!(fillers.len() < 100, "the queue is never full");
    }
    let site = Site::start(
        ONE,
        &format!(
            "server {{ listen 127.0.0.1:%PORT1%; proxy_connect_timeout 200ms; fastcgi_connect_timeout 200ms;
                location /http/ {{ proxy_pass http://{address}; }}
                location /fastcgi/ {{ fastcgi_pass {address}; }}
                location /long/ {{ proxy_connect_timeout 60s; proxy_pass http://{address}; }} }}"
        ),
    );
    let mut waiting = ask(&site, "GET /long/ HTTP/1.1");
    for path in ["/http/", "/fastcgi/"] {
        assert_eq!(get(site.port(), path).status, 504);
    }
    assert_eq!(site.said_times("upstream timed out (110: Connection timed out) while connecting to upstream"), 2);
    // Room in the queue: whoever waits longer gets through, by the kernel's next try.
    drop(fillers);
    let mut accepted = loop {
        let (stream, _) = full.accept().unwrap();
        let mut stream = TcpStream::from(stream);
        let mut begin = [0; 4];
        if stream.read_exact(&mut begin).is_ok() && &begin == b"GET " {
            break stream;
        }
    };
    assert!(head(&mut accepted).starts_with("/long/ "));
    accepted.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    let answer = waiting.answer().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "{}", site.said());
    site.stop();
}

#[test]
fn the_rate_of_reading_is_kept() {
    let (port, connections) = backend();
    let site = Site::start(
        ONE,
        &format!(
            "server {{ listen 127.0.0.1:%PORT1%;
                location /slow/ {{ proxy_limit_rate 100k; proxy_pass http://127.0.0.1:{port}; }}
                location /fast/ {{ proxy_limit_rate 100m; proxy_pass http://127.0.0.1:{port}; }} }}"
        ),
    );
    let body = vec![b'x'; 320 << 10];
    let took = |path: &str| {
        let begun = std::time::Instant::now();
        let mut client = ask(&site, &format!("GET {path} HTTP/1.1"));
        let mut there = next(&connections);
        head(&mut there);
        there.write_all(format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
        there.write_all(&body).unwrap();
        assert!(client.answer().unwrap().body == body);
        begun.elapsed()
    };
    // A read may take in 64 KiB beyond what the second allows.
    let least = Duration::from_millis(1900);
    let slow = took("/slow/");
    assert!(slow > least, "{slow:?}");
    // Held to the slow rate it would never be done sooner, however often it is tried.
    wait_for("a response at the fast rate", || took("/fast/") < least);
    site.stop();
}

#[test]
fn a_server_that_takes_nothing_is_given_up_in_time() {
    let dir = Site::folder();
    // What a Unix socket holds back is little, so a server that does not read is soon known.
    let listener = std::os::unix::net::UnixListener::bind(dir.path().join("app")).unwrap();
    std::fs::set_permissions(dir.path().join("app"), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let locations: String = ["proxy", "fastcgi", "scgi", "uwsgi"]
        .into_iter()
        .map(|by| {
            let scheme = if by == "proxy" { "http://" } else { "" };
            format!("location /{by} {{ {by}_send_timeout 200ms; {by}_pass {scheme}unix:%DIR%/app; }}\n")
        })
        .collect();
    let http = format!("client_max_body_size 0; server {{ listen 127.0.0.1:%PORT1%; {locations} }}");
    let site = Site::start_in(dir, ONE, &http);
    for by in ["proxy", "fastcgi", "scgi", "uwsgi"] {
        let mut client = Client::new(site.port());
        client.send(format!("POST /{by} HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n"));
        client.send(vec![b'x'; 3_000_000]);
        let (deaf, _) = listener.accept().unwrap();
        assert_eq!(client.answer().unwrap().status, 504, "{by}");
        drop(deaf);
    }
    assert_eq!(site.said_times("upstream timed out (110: Connection timed out) while sending request to upstream"), 4);
    site.stop();
}
