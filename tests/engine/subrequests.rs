//! What becomes of requests while another location is asked about them, and of whoever answers badly or not at all.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::client::{Client, get};
use crate::site::{Site, wait_for};

/// A program that does with each connection what it is told to, once a whole head has come.
struct Program {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Program {
    fn new(act: impl Fn(TcpStream) + Send + Sync + 'static) -> Program {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, act) = (Arc::<AtomicUsize>::default(), Arc::new(act));
        let count = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, count, act) = (stream.unwrap(), count.clone(), act.clone());
                std::thread::spawn(move || {
                    let mut head = Vec::new();
                    let mut piece = [0; 4096];
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read(&mut piece) {
                            Ok(0) | Err(_) => return,
                            Ok(n) => head.extend_from_slice(&piece[..n]),
                        }
                    }
                    count.fetch_add(1, SeqCst);
                    act(stream);
                });
            }
        });
        Program { port, asked }
    }
}

fn guarded(main: &str, port: u16) -> Site {
    let site = Site::start(
        main,
        &format!(
            "server {{
                listen 127.0.0.1:%PORT1%;
                location /guarded/ {{ auth_request /ask; try_files /file =404; }}
                location = /ask {{ internal; proxy_read_timeout 600s; proxy_pass http://127.0.0.1:{port}; }}
            }}"
        ),
    );
    site.file("file", "content");
    site
}

/// Waits for the other end to close.
fn await_end(mut stream: TcpStream) {
    let mut piece = [0; 4096];
    while matches!(stream.read(&mut piece), Ok(n) if n > 0) {}
}

#[test]
fn questions_that_are_never_answered_hold_no_worker_and_end_with_their_clients() {
    let ended = Arc::<AtomicUsize>::default();
    let count = ended.clone();
    let program = Program::new(move |stream| {
        await_end(stream);
        count.fetch_add(1, SeqCst);
    });
    let site = guarded("thread_pool default threads=2;", program.port);
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let mut client = Client::new(site.port());
            client.send("POST /guarded/ HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345");
            client
        })
        .collect();
    wait_for("all are asked", || program.asked.load(SeqCst) == clients.len());
    for _ in 0..20 {
        assert_eq!(get(site.port(), "/file").text(), "content");
    }
    // One that leaves ends its question, and nobody else's.
    let mut clients = clients.into_iter();
    drop(clients.next());
    wait_for("its question is given up", || ended.load(SeqCst) == 1);
    assert_eq!(get(site.port(), "/file").text(), "content");
    clients.next().unwrap().reset();
    wait_for("that of one who resets too", || ended.load(SeqCst) == 2);
    drop(clients);
    wait_for("the others'", || ended.load(SeqCst) == 200);
    wait_for("their lines", || site.read("access.log").matches("POST /guarded/").count() == 200);
    assert_eq!(site.read("access.log").matches("\" 499 0").count(), 200);
    site.stop();
}

#[test]
fn answers_that_are_none_let_nobody_in() {
    let answers: [(&str, &[u8]); 7] = [
        ("nothing", b""),
        ("an end in the head", b"HTTP/1.1 200 OK\r\nX-A: b"),
        ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        ("a status that is none", b"HTTP/1.1 2xx OK\r\n\r\n"),
        ("a body that breaks off before the head's end", b"HTTP/1.1 204 No\r\nContent-Length: x\r\n\r\n"),
        ("an interim response alone", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("a change of protocols", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    ];
    let next = Arc::new(Mutex::new(Vec::new()));
    let served = next.clone();
    let program = Program::new(move |mut stream| {
        let answer: Vec<u8> = served.lock().unwrap().clone();
        let _ = stream.write_all(&answer);
    });
    let site = guarded("", program.port);
    for (what, answer) in answers {
        *next.lock().unwrap() = answer.to_vec();
        let got = get(site.port(), "/guarded/");
        assert_eq!(got.status, 500, "{what}");
        assert!(!got.text().contains("content"), "{what}");
    }
    // Interim responses and fields without end.
    for endless in ["HTTP/1.1 100 Continue\r\n\r\n", "X-Field: 0123456789012345678901234567890123456789\r\n"] {
        let first = if endless.starts_with('X') { "HTTP/1.1 200 OK\r\n" } else { "" };
        *next.lock().unwrap() = [first, &endless.repeat(1 << 16)].concat().into_bytes();
        assert_eq!(get(site.port(), "/guarded/").status, 500, "{endless}");
    }
    *next.lock().unwrap() = b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    assert_eq!(get(site.port(), "/guarded/").text(), "content");
    site.stop();
}

#[test]
fn a_body_without_end_is_not_read_and_holds_nobody_up() {
    let (sent, ended) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (count, ends) = (sent.clone(), ended.clone());
    let program = Program::new(move |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let piece = [b'x'; 16 << 10];
        while count.load(SeqCst) < 100 << 20 && stream.write_all(&piece).is_ok() {
            count.fetch_add(piece.len(), SeqCst);
        }
        ends.fetch_add(1, SeqCst);
    });
    let site = guarded("", program.port);
    assert_eq!(get(site.port(), "/guarded/").text(), "content");
    wait_for("the connection is closed", || ended.load(SeqCst) == 1);
    // What both kernels hold, and 64 KiB.
    assert!(sent.load(SeqCst) < 16 << 20, "{}", sent.load(SeqCst));
    site.stop();
}

#[test]
fn a_body_that_trickles_is_left() {
    let ended = Arc::<AtomicUsize>::default();
    let ends = ended.clone();
    let program = Program::new(move |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
        ends.fetch_add(1, SeqCst);
    });
    let site = guarded("", program.port);
    assert_eq!(get(site.port(), "/guarded/").text(), "content");
    wait_for("the connection is closed", || ended.load(SeqCst) == 1);
    site.stop();
}
