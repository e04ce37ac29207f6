//! How much of an answer is kept for a client that reads nothing, and how fast it is read, by each of the gateways.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::client::Client;
use crate::site::{PATIENCE, Site, wait_for};

const GATEWAYS: [&str; 4] = ["proxy", "fastcgi", "scgi", "uwsgi"];
const MEGABYTE: usize = 1 << 20;
/// What kernel and server hold between a program and a client beside buffers and file: less than this.
const BETWEEN: usize = 3 * MEGABYTE;

/// Programs that answer what nobody asked with so many bytes, as a gateway's protocol has it.
struct Program {
    listener: UnixListener,
    by: &'static str,
}

impl Program {
    fn at(site: &std::path::Path, by: &'static str) -> Program {
        let path = site.join(by);
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        Program { listener, by }
    }

    /// Answers the next request; the number grows with what the server took, the thread ends with the last byte.
    fn answer(&self, size: usize) -> (Arc<AtomicUsize>, std::thread::JoinHandle<UnixStream>) {
        let (mut stream, _) = self.listener.accept().unwrap();
        let (taken, by) = (Arc::new(AtomicUsize::new(0)), self.by);
        let count = taken.clone();
        let thread = std::thread::spawn(move || {
            let start = if by == "proxy" { "HTTP/1.1 200 OK\r\n" } else { "Status: 200 OK\r\n" };
            let head = format!("{start}Content-Length: {size}\r\n\r\n").into_bytes();
            let put = |stream: &mut UnixStream, bytes: &[u8]| match by {
                "fastcgi" => {
                    // A record of standard output (FastCGI 1.0 section 5.3).
                    let [high, low] = (bytes.len() as u16).to_be_bytes();
                    stream.write_all(&[&[1, 6, 0, 1, high, low, 0, 0], bytes].concat()).unwrap();
                }
                _ => stream.write_all(bytes).unwrap(),
            };
            put(&mut stream, &head);
            let piece = [b'x'; 16 << 10];
            let mut left = size;
            while left > 0 {
                let n = left.min(piece.len());
                put(&mut stream, &piece[..n]);
                left -= n;
                count.fetch_add(n, SeqCst);
            }
            if by == "fastcgi" {
                stream.write_all(&[1, 6, 0, 1, 0, 0, 0, 0, 1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
            }
            let _ = stream.shutdown(std::net::Shutdown::Write);
            stream
        });
        (taken, thread)
    }
}

/// A client that asks and whose kernel keeps little for it.
fn client(port: u16, path: &str) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(32 << 10).unwrap();
    socket.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    let mut client = Client::over(socket.into());
    client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    client
}

fn locations(by: &str) -> String {
    let scheme = if by == "proxy" { "http://" } else { "" };
    let common = format!("{by}_buffer_size 4k; {by}_buffers 2 4k; {by}_pass {scheme}unix:%DIR%/{by};");
    format!(
        "location /{by}/four/ {{ {by}_max_temp_file_size 4m; {common} }}
        location /{by}/none/ {{ {by}_max_temp_file_size 0; {common} }}
        location /{by}/slow/ {{ {by}_limit_rate 100k; {common} }}
        location /{by}/fast/ {{ {by}_limit_rate 100m; {common} }}
        location /{by}/read/ {{ client_max_body_size 0; {common} }}
        location /{by}/live/ {{ client_max_body_size 0; {by}_request_buffering off; {common} }}\n"
    )
}

fn start() -> (Site, Vec<Program>) {
    let dir = Site::folder();
    let programs = GATEWAYS.iter().map(|by| Program::at(dir.path(), by)).collect();
    let all: String = GATEWAYS.iter().map(|by| locations(by)).collect();
    let site =
        Site::start_in(dir, "thread_pool default threads=1;", &format!("server {{ listen 127.0.0.1:%PORT1%; {all} }}"));
    (site, programs)
}

#[test]
fn an_answer_is_kept_in_a_file_of_the_size_that_the_conf_allows() {
    let (site, programs) = start();
    for program in &programs {
        // Just as much as the file holds, and so much more that something has to wait.
        for (which, size, is_taken) in [
            ("four", 4 * MEGABYTE, true),
            ("four", 4 * MEGABYTE + BETWEEN, false),
            ("none", 64 << 10, true),
            ("none", BETWEEN, false),
        ] {
            let at = format!("/{}/{which}/", program.by);
            let mut client = client(site.port(), &at);
            let (taken, thread) = program.answer(size);
            match is_taken {
                true => wait_for("the program is done", || thread.is_finished()),
                false => {
                    let least = if which == "four" { 4 * MEGABYTE } else { 0 };
                    wait_for("the file is full", || taken.load(SeqCst) >= least);
                    let count = come_to_rest(&taken);
                    assert!(count < size && !thread.is_finished(), "{at}: all of {size} was taken in");
                }
            }
            assert_eq!(client.answer().unwrap().body.len(), size, "{at}");
            thread.join().unwrap();
        }
    }
    site.stop();
}

/// The number, once it has not grown for a while.
fn come_to_rest(taken: &AtomicUsize) -> usize {
    let (mut last, mut since) = (taken.load(SeqCst), Instant::now());
    let begun = Instant::now();
    while since.elapsed() < Duration::from_millis(300) {
        assert!(begun.elapsed() < PATIENCE, "it never rests");
        std::thread::sleep(Duration::from_millis(10));
        let now = taken.load(SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

#[test]
fn an_answer_before_the_body_was_taken_arrives_by_each_gateway() {
    let (site, programs) = start();
    let body = vec![b'x'; 20 * MEGABYTE];
    for (program, which) in programs.iter().flat_map(|program| ["read", "live"].map(|which| (program, which))) {
        let mut client = Client::new(site.port());
        client.send(format!(
            "POST /{}/{which}/ HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
            program.by,
            body.len()
        ));
        let (mut stream, body) = (client.stream.try_clone().unwrap(), body.clone());
        // It may be cut short once the answer is there.
        let sender = std::thread::spawn(move || drop(stream.write_all(&body)));
        let (_, thread) = program.answer(5);
        let answer = client.answer().unwrap_or_else(|| panic!("{} {which}: no answer", program.by));
        assert_eq!((answer.status, answer.text().as_str()), (200, "xxxxx"), "{} {which}", program.by);
        // The program has read nothing at all, and leaves now.
        drop(thread.join().unwrap());
        drop(client);
        sender.join().unwrap();
    }
    site.stop();
}

#[test]
fn each_gateway_reads_no_faster_than_its_rate() {
    let (site, programs) = start();
    let size = 320 << 10;
    // What comes with the head counts, so three seconds bring 300 KiB of it, and not a byte more.
    let least = Duration::from_millis(2900);
    let times = |which: &str| -> Vec<Duration> {
        let begun = Instant::now();
        let asked: Vec<_> = programs
            .iter()
            .map(|program| {
                let client = client(site.port(), &format!("/{}/{which}/", program.by));
                (program.by, client, program.answer(size))
            })
            .collect();
        let ended = asked.into_iter().map(|(by, mut client, (_, thread))| {
            assert_eq!(client.answer().unwrap().body.len(), size, "{by}");
            let time = begun.elapsed();
            let mut rest = Vec::new();
            let _ = thread.join().unwrap().read_to_end(&mut rest);
            time
        });
        ended.collect()
    };
    let slow = times("slow");
    assert!(slow.iter().all(|time| *time > least), "{slow:?}");
    // Held to the slow rate none would ever be done sooner, however often it is tried.
    wait_for("responses at the fast rate", || times("fast").iter().all(|time| *time < least));
    site.stop();
}
