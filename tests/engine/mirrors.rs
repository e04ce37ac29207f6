//! Mirrors that hang, refuse and break off: neither the clients nor the server notice.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::client::{Client, get};
use crate::site::{Site, wait_for};
use nix::sys::signal::Signal;

/// A server that gets copies: it does with the nth connection what it is told to.
struct Mirror {
    port: u16,
    asked: Arc<AtomicUsize>,
    /// What it hangs on to.
    held: Arc<Mutex<Vec<TcpStream>>>,
}

impl Mirror {
    fn new(act: fn(&Mirror, usize, TcpStream)) -> Arc<Mirror> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mirror = Arc::new(Mirror { port, asked: Arc::default(), held: Arc::default() });
        let its = mirror.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let nth = its.asked.fetch_add(1, SeqCst);
                act(&its, nth, stream.unwrap());
            }
        });
        mirror
    }

    fn hanging() -> Arc<Mirror> {
        Mirror::new(|mirror, _, stream| mirror.held.lock().unwrap().push(stream))
    }
}

fn mirrored(main: &str, port: u16) -> Site {
    let site = Site::start(main, &conf(port));
    site.file("file", "content");
    site
}

fn conf(port: u16) -> String {
    format!(
        "server {{
            listen 127.0.0.1:%PORT1%;
            location / {{ mirror /m; try_files /file =404; }}
            location = /m {{ internal; proxy_read_timeout 600s; proxy_pass http://127.0.0.1:{port}; }}
            location = /status {{ return 200 \"$errands_active $errands_sent $errands_unsent $connections_active\"; }}
        }}"
    )
}

fn status(site: &Site) -> Vec<u64> {
    get(site.port(), "/status").text().split(' ').map(|number| number.parse().unwrap()).collect()
}

#[test]
fn a_mirror_that_hangs_delays_neither_a_client_nor_its_next_request() {
    let mirror = Mirror::hanging();
    let site = mirrored("thread_pool default threads=1 errands=20;", mirror.port);
    let mut client = Client::new(site.port());
    for n in 0..50 {
        assert_eq!(client.get("/a").text(), "content", "{n}");
    }
    wait_for("as many copies as there may be", || mirror.asked.load(SeqCst) == 20);
    assert_eq!(status(&site), [20, 20, 30, 2], "the copies are no connections of clients");
    wait_for("the log tells", || site.said().contains("requests of our own were not sent"));
    // Whoever leaves takes nothing with it; once the mirror lets go, there is room again.
    drop(client);
    wait_for("its connection is gone", || status(&site)[3] == 1);
    assert_eq!(status(&site)[0], 20);
    mirror.held.lock().unwrap().clear();
    wait_for("the copies have ended", || status(&site)[0] == 0);
    assert_eq!(get(site.port(), "/a").text(), "content");
    wait_for("another copy", || mirror.asked.load(SeqCst) == 21);
    mirror.held.lock().unwrap().clear();
    site.stop();
}

#[test]
fn a_graceful_stop_gives_copies_a_little_time() {
    let slow = Mirror::new(|_, _, mut stream| {
        std::thread::spawn(move || {
            // The server is asked to stop by now.
            std::thread::sleep(Duration::from_millis(500));
            let mut piece = [0; 4096];
            let _ = stream.read(&mut piece);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        });
    });
    let hanging = Mirror::hanging();
    let seconds = Duration::from_secs;
    for (mirror, least, most) in [(slow, seconds(0), seconds(5)), (hanging, seconds(5), seconds(60))] {
        let mut site = mirrored("thread_pool default threads=2;", mirror.port);
        assert_eq!(get(site.port(), "/a").text(), "content");
        wait_for("the copy is there", || mirror.asked.load(SeqCst) == 1);
        let begun = Instant::now();
        site.signal(Signal::SIGQUIT);
        assert_eq!(site.ended(), Some(0));
        let took = begun.elapsed();
        assert!(took >= least && took < most, "{took:?}");
        assert_eq!(site.said().contains("requests of our own are cut short"), !least.is_zero(), "{}", site.said());
    }
}

#[test]
fn copies_to_hostile_mirrors_leave_nothing_behind() {
    let mirror = Mirror::new(|mirror, nth, mut stream| match nth % 5 {
        // It closes without a word, or in the middle of one.
        0 => {}
        1 => drop(stream.write_all(b"HTTP/1.1 2")),
        // It says more than anybody wants to hear.
        2 => drop(std::thread::spawn(move || {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'x'; 65536]).is_ok() {}
        })),
        // It is no HTTP.
        3 => drop(stream.write_all(b"\x16\x03\x01\r\n\r\n")),
        _ => mirror.held.lock().unwrap().push(stream),
    });
    let main = "thread_pool default threads=4 errands=1000;";
    let site = mirrored(main, mirror.port);
    let round = || {
        let mut kept = Client::new(site.port());
        for path in ["/a", "/b"] {
            assert_eq!(kept.get(path).text(), "content");
        }
        for text in
            ["POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nhello", "GET /d HTTP/1.1\r\nHost: h\r\n\r\n"]
        {
            let mut client = Client::new(site.port());
            client.send(text);
            client.reset();
        }
    };
    let rest = || {
        wait_for("no copy is left", || {
            mirror.held.lock().unwrap().clear();
            status(&site)[0] == 0
        });
    };
    for _ in 0..100 {
        round();
    }
    rest();
    let before = (site.descriptors(), site.threads(), site.memory());
    for n in 0..400 {
        round();
        if n % 100 == 0 {
            site.reload(main, &conf(mirror.port));
        }
    }
    rest();
    wait_for("descriptors are closed", || site.descriptors() <= before.0);
    wait_for("threads have ended", || site.threads() <= before.1);
    if let (Some(now), Some(before)) = (site.memory(), before.2) {
        assert!(now < before + 4096, "{before} KiB before, {now} KiB now");
    }
    site.stop();
}

#[test]
fn post_action_hears_of_clients_that_left() {
    let program = Mirror::hanging();
    let site = Site::start(
        "",
        &format!(
            "log_format end \"$request_source $request_uri $status [$request_completion]\";
            server {{
                listen 127.0.0.1:%PORT1%;
                location / {{ post_action /end; proxy_pass http://127.0.0.1:{}; }}
                location = /file {{ post_action /end; }}
                location = /end {{ internal; log_subrequest on; access_log %DIR%/end.log end; set $was $status$request_completion; \
                    return 200 $was; }}
            }}",
            program.port
        ),
    );
    site.file("file", "content");
    let mut client = Client::new(site.port());
    assert_eq!(client.get("/file").text(), "content");
    client.send("GET /left HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("it is passed on", || program.asked.load(SeqCst) == 1);
    client.reset();
    wait_for("both ends are told", || site.read("end.log").lines().count() == 2);
    let log = site.read("end.log");
    assert!(log.contains("errand /file ") && log.contains("errand /left "), "{log}");
    site.stop();
}
