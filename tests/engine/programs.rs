//! FastCGI programs that misbehave, and clients that leave them: what a case cannot say, since the connection ends within an
//! answer or nothing comes at all.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::client::{Client, get};
use crate::site::{PATIENCE, Site, wait_for};

/// A program: what it does with each connection once a request is there.
struct Program {
    port: u16,
    /// How many requests came.
    asked: Arc<AtomicUsize>,
    /// How many connections the server closed while the program waited.
    left: Arc<AtomicUsize>,
}

impl Program {
    fn start(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Program {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, left) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (answer, counts) = (Arc::new(answer), (asked.clone(), left.clone()));
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answer, (asked, left)) = (stream.unwrap(), answer.clone(), counts.clone());
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    if read_request(&mut stream) {
                        asked.fetch_add(1, SeqCst);
                        answer(&mut stream);
                        // What is left to read is the end, however it comes.
                        if !matches!(stream.read(&mut [0; 64]), Ok(1..)) {
                            left.fetch_add(1, SeqCst);
                        }
                    }
                });
            }
        });
        Program { port, asked, left }
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    fn left(&self) -> usize {
        self.left.load(SeqCst)
    }
}

/// Reads to the empty record that ends the body.
fn read_request(stream: &mut TcpStream) -> bool {
    loop {
        let mut header = [0; 8];
        if stream.read_exact(&mut header).is_err() {
            return false;
        }
        let content = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut rest = vec![0; content + usize::from(header[6])];
        if stream.read_exact(&mut rest).is_err() {
            return false;
        }
        if header[1] == 5 && content == 0 {
            return true;
        }
    }
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = (content.len() as u16).to_be_bytes();
    [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
}

fn whole(body: &str) -> Vec<u8> {
    [record(6, format!("Content-Type: text/plain\r\n\r\n{body}").as_bytes()), record(3, &[0; 8])].concat()
}

fn site(program: &Program, main: &str, more: &str) -> Site {
    let port = program.port;
    let http = format!(
        "server {{ listen 127.0.0.1:%PORT1%; location / {{ fastcgi_pass 127.0.0.1:{port}; {more} }} \
         location /static {{ return 200 here; }} }}"
    );
    Site::start(main, &http)
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    let head = "Content-Type: text/plain\r\n";
    for (bytes, why) in [
        (record(6, format!("{head}Content-Length: 10\r\n\r\nhello").as_bytes()), "fewer bytes than named"),
        (record(6, format!("{head}\r\nhello").as_bytes()), "no end of the request"),
        ([record(6, format!("{head}\r\nhello").as_bytes()), b"garbage!".to_vec()].concat(), "garbage in the body"),
        (record(6, format!("{head}\r\nhello").as_bytes())[..30].to_vec(), "within the head's record"),
    ] {
        let program = Program::start(move |stream| {
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(std::net::Shutdown::Both);
        });
        let site = site(&program, "", "");
        let mut client = Client::new(site.port());
        client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let (answer, _) = client.rest();
        let text = String::from_utf8_lossy(&answer).into_owned();
        // What came at once may be seen before the head is on its way.
        let is_whole = text.starts_with("HTTP/1.1 200") && text.ends_with("0\r\n\r\n");
        assert!(!text.is_empty() && !is_whole, "{why}: {text}");
        assert_eq!(get(site.port(), "/static").text(), "here");
        site.stop();
    }
}

#[test]
fn a_head_without_end_is_refused() {
    let program = Program::start(|stream| {
        let line = record(6, &b"X: y\r\n".repeat(100));
        while stream.write_all(&line).is_ok() {}
    });
    let site = site(&program, "", "");
    assert_eq!(get(site.port(), "/").status, 502);
    wait_for("the program is told", || program.left() == 1);
    site.stop();
}

#[test]
fn a_client_that_leaves_ends_its_request() {
    let program = Program::start(|stream| {
        let mut byte = [0];
        let _ = stream.read(&mut byte);
    });
    let site = site(&program, "", "");
    let mut client = Client::new(site.port());
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the program is asked", || program.asked() == 1);
    assert_eq!(program.left(), 0);
    drop(client);
    wait_for("the program is told", || program.left() == 1);
    site.stop();
}

#[test]
fn a_client_that_leaves_a_download_ends_it() {
    let program = Program::start(|stream| {
        let _ = stream.write_all(&record(6, b"Content-Type: text/plain\r\n\r\n"));
        let piece = record(6, &[b'x'; 32_000]);
        while stream.write_all(&piece).is_ok() {}
    });
    let site = site(&program, "", "fastcgi_max_temp_file_size 0;");
    let mut client = Client::new(site.port());
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("it begins", || client.is_answered());
    client.reset();
    wait_for("the program is told", || program.left() == 1);
    site.stop();
}

#[test]
fn a_client_that_leaves_may_be_ignored() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let written = Arc::<AtomicUsize>::default();
    let seen = written.clone();
    let program = Program::start(move |stream| {
        wait.lock().unwrap().recv().unwrap();
        stream.set_nonblocking(true).unwrap();
        // Nothing to read and no end: the connection still stands.
        let stands = stream.read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        stream.set_nonblocking(false).unwrap();
        seen.store(1 + usize::from(stands && stream.write_all(&whole("done")).is_ok()), SeqCst);
    });
    let site = site(&program, "", "fastcgi_ignore_client_abort on;");
    let mut client = Client::new(site.port());
    client.send("GET /gone HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the program is asked", || program.asked() == 1);
    drop(client);
    // The server has seen it go when it has answered others who came later.
    (0..20).for_each(|_| assert_eq!(get(site.port(), "/static").text(), "here"));
    go.send(()).unwrap();
    wait_for("the program answers", || written.load(SeqCst) > 0);
    assert_eq!(written.load(SeqCst), 2, "the connection was closed");
    wait_for("the request is logged", || site.read("access.log").contains("/gone"));
    site.stop();
}

#[test]
fn programs_that_are_silent_hold_no_worker_and_leave_nothing() {
    let program = Program::start(|stream| {
        let _ = stream.read(&mut [0]);
    });
    let site = site(&program, "thread_pool default threads=1;", "");
    let before = site.descriptors();
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let mut client = Client::new(site.port());
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            client
        })
        .collect();
    wait_for("all are asked", || program.asked() == 200);
    assert_eq!(get(site.port(), "/static").text(), "here");
    drop(clients);
    wait_for("all are told", || program.left() == 200);
    wait_for("the descriptors are closed", || {
        site.descriptors().zip(before).is_none_or(|(now, before)| now <= before + 3)
    });
    site.stop();
}

#[test]
fn a_slow_client_frees_the_program() {
    let program = Program::start(|stream| {
        let _ = stream.write_all(&record(6, b"Content-Type: text/plain\r\n\r\n"));
        for _ in 0..300 {
            let _ = stream.write_all(&record(6, &[b'x'; 32_000]));
        }
        let _ = stream.write_all(&record(3, &[0; 8]));
    });
    let site = site(&program, "", "");
    let mut client = Client::new(site.port());
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    // Nothing is read here until the program is done with.
    wait_for("the program is done", || program.left() == 1);
    let (bytes, _) = client.rest();
    assert!(bytes.len() > 9_600_000, "{}", bytes.len());
    site.stop();
}
