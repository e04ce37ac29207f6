//! HUP and USR1: what changes, what stays, and that no request fails for it.

use std::fs;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::client::{Client, get};
use crate::site::{Site, wait_for};

const OLD: &str = "server { listen 127.0.0.1:%PORT1%; return 200 old; }";
const NEW: &str = "server { listen 127.0.0.1:%PORT1%; return 200 new; }";

fn connects(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn a_bad_conf_keeps_the_old_one_and_says_why() {
    let mut site = Site::start("", OLD);
    let mut kept = Client::new(site.port());
    assert_eq!(kept.get("/").text(), "old");
    for (bad, why) in [
        ("server { listen 127.0.0.1:%PORT1%; retrun 200 new; }", "retrun"),
        ("server { listen 127.0.0.1:%PORT1%; return 200 new;", "server.conf:"),
        ("access_log %DIR%/none/a.log; server { listen 127.0.0.1:%PORT1%; return 200 new; }", "none/a.log"),
        ("", "listens nowhere"),
        ("server { listen 127.0.0.1:%PORT1%; listen 192.0.2.1:81; return 200 new; }", "192.0.2.1:81"),
    ] {
        let before = site.said_times("[emerg]");
        site.reload("", bad);
        wait_for("the reload is refused", || site.said_times("[emerg]") > before);
        assert_eq!(get(site.port(), "/").text(), "old");
        assert_eq!(kept.get("/").text(), "old");
        assert!(site.said().contains(why), "{why} is missing:\n{}", site.said());
    }
    site.reload("", NEW);
    wait_for("the good conf is in force", || kept.get("/").text() == "new");
    assert!(site.runs());
    drop(kept);
    site.signal(Signal::SIGQUIT);
    assert_eq!(site.ended(), Some(0));
}

#[test]
fn open_connections_get_the_new_settings() {
    let site = Site::start("", OLD);
    let mut kept = Client::new(site.port());
    assert_eq!(kept.get("/").text(), "old");
    site.reload("", NEW);
    wait_for("the new conf is in force", || get(site.port(), "/").text() == "new");
    let answer = kept.get("/");
    assert_eq!((answer.text().as_str(), answer.closes()), ("new", false));
    assert_eq!(kept.get("/").text(), "new");
    site.stop();
}

#[test]
fn listeners_come_stay_and_go() {
    let two = "server { listen 127.0.0.1:%PORT1%; listen 127.0.0.1:%PORT2%; return 200 old; }";
    let other = "server { listen 127.0.0.1:%PORT1%; listen 127.0.0.1:%PORT3%; return 200 new; }";
    let site = Site::start("", two);
    for _ in 0..5 {
        let (mut stays, mut goes) = (Client::new(site.ports[0]), Client::new(site.ports[1]));
        assert_eq!((stays.get("/").text(), goes.get("/").text()), ("old".into(), "old".into()));
        site.reload("", other);
        wait_for("the new one listens", || connects(site.ports[2]));
        wait_for("the old one is gone", || !connects(site.ports[1]));
        assert_eq!(get(site.ports[2], "/").text(), "new");
        let answer = stays.get("/");
        assert_eq!((answer.text().as_str(), answer.closes()), ("new", false));
        let answer = goes.get("/");
        assert_eq!((answer.status, answer.closes()), (200, true));
        site.reload("", two);
        wait_for("the first two listen again", || connects(site.ports[1]));
        wait_for("the third is gone", || !connects(site.ports[2]));
    }
    site.stop();
}

/// The server is held meanwhile, so the clients lie in the kernel's queue when the listener goes.
#[test]
fn a_listener_that_goes_answers_those_in_its_queue() {
    let site = Site::start(
        "events { worker_connections 1000; }",
        "server { listen 127.0.0.1:%PORT1%; listen 127.0.0.1:%PORT2%; return 200 x; }",
    );
    site.reload("events { worker_connections 1000; }", OLD);
    let mut clients: Vec<Client> = Vec::new();
    // Who was connected is answered, but for whom the kernel took in between our last look and the close: no call
    // closes a listener and leaves its queue.
    while let Ok(stream) = std::net::TcpStream::connect(("127.0.0.1", site.ports[1])) {
        drop(stream);
        let Ok(probe) = std::net::TcpStream::connect(("127.0.0.1", site.ports[1])) else { break };
        drop(probe);
        if clients.len() < 400
            && let Some(client) = Client::try_new(site.ports[1])
        {
            clients.push(client);
        }
    }
    let answers: Vec<_> = clients.iter_mut().map(|client| client.try_get("/").map(|answer| answer.status)).collect();
    let sure = answers.len().saturating_sub(2);
    assert!(answers[..sure].iter().all(|status| *status == Some(200)), "{answers:?}");
    site.stop();
}

#[test]
fn the_file_of_a_unix_socket_comes_and_goes_with_it() {
    let unix = "server { listen unix:%DIR%/s.sock; listen 127.0.0.1:%PORT1%; return 200 x; }";
    let site = Site::start("", OLD);
    let connects = |site: &Site| std::os::unix::net::UnixStream::connect(site.path("s.sock")).is_ok();
    for _ in 0..10 {
        site.reload("", unix);
        wait_for("the socket is there", || connects(&site));
        site.reload("", OLD);
        // Both at once: the file that goes is the old one.
        site.reload("", unix);
        wait_for("the socket is there again", || connects(&site));
        site.reload("", OLD);
        wait_for("the file is gone", || !site.path("s.sock").exists());
    }
    site.stop();
}

#[test]
fn memory_does_not_grow_with_reloads() {
    let ports = ["%PORT2%", "%PORT3%"];
    let conf = |n: usize| {
        format!("server {{ listen 127.0.0.1:%PORT1%; listen 127.0.0.1:{}; return 200 r{n}; }}", ports[n % 2])
    };
    let site = Site::start("", &conf(0));
    let reload = |n: usize| {
        site.reload("", &conf(n));
        wait_for("the conf is in force", || get(site.port(), "/").text() == format!("r{n}"));
    };
    (1..100).for_each(reload);
    let before = (site.descriptors(), site.threads(), site.memory());
    (100..300).for_each(reload);
    wait_for("descriptors are closed", || site.descriptors() <= before.0);
    wait_for("threads have ended", || site.threads() <= before.1);
    if let (Some(now), Some(before)) = (site.memory(), before.2) {
        assert!(now < before + 1500, "{before} KiB before, {now} KiB now");
    }
    site.stop();
}

#[test]
fn a_reload_asked_for_during_a_reload_is_done() {
    let site = Site::start("", OLD);
    for round in 0..20 {
        for n in 0..5 {
            site.reload("", &format!("server {{ listen 127.0.0.1:%PORT1%; return 200 r{round}-{n}; }}"));
        }
        wait_for("the last conf is in force", || get(site.port(), "/").text() == format!("r{round}-4"));
    }
    site.stop();
}

#[test]
fn no_request_fails_while_the_conf_is_reloaded() {
    let site = Site::start("", "server { listen 127.0.0.1:%PORT1%; }");
    site.file("a", "hello");
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|n| {
            let (stop, done, port) = (stop.clone(), done.clone(), site.port());
            std::thread::spawn(move || {
                let mut kept = Client::new(port);
                while !stop.load(Relaxed) {
                    let answer = match n % 2 {
                        0 => kept.get("/a"),
                        _ => get(port, "/a"),
                    };
                    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
                    if answer.closes() {
                        // After keepalive_requests.
                        kept = Client::new(port);
                    }
                    done.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let start = Instant::now();
    let mut reloads = 0;
    while start.elapsed() < Duration::from_secs(3) {
        site.reload("", &format!("server {{ listen 127.0.0.1:%PORT1%; add_header X {reloads}; }}"));
        reloads += 1;
        let next = start + reloads * Duration::from_millis(100);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    stop.store(true, Relaxed);
    for client in clients {
        client.join().expect("no request failed");
    }
    assert!(done.load(Relaxed) > 100, "{} requests", done.load(Relaxed));
    assert!(site.said_times("in force") > 5, "{}", site.said());
    site.stop();
}

#[test]
fn usr1_opens_the_logs_again() {
    let site = Site::start("", OLD);
    assert_eq!(get(site.port(), "/first").status, 200);
    wait_for("the first line", || site.read("access.log").contains("/first"));
    fs::rename(site.path("access.log"), site.path("access.old")).unwrap();
    site.signal(Signal::SIGUSR1);
    wait_for("a new file", || site.path("access.log").exists());
    wait_for("lines go to the new file", || {
        get(site.port(), "/second");
        site.read("access.log").contains("/second")
    });
    assert!(site.read("access.old").contains("/first"));
    site.stop();
}

#[test]
fn usr1_closes_log_files_of_paths_with_variables() {
    let site = Site::start(
        "",
        "log_format own '$uri'; server { listen 127.0.0.1:%PORT1%; root %DIR%; open_log_file_cache max=9 valid=1h;
            access_log %DIR%/$arg_a.log own; return 200; }",
    );
    assert_eq!(get(site.port(), "/first?a=x").status, 200);
    wait_for("the first line", || site.path("x.log").exists() && site.read("x.log").contains("/first"));
    fs::rename(site.path("x.log"), site.path("x.old")).unwrap();
    assert_eq!(get(site.port(), "/second?a=x").status, 200);
    wait_for("the file that is kept open takes it", || site.read("x.old").contains("/second"));
    site.signal(Signal::SIGUSR1);
    wait_for("lines go to a new file", || {
        get(site.port(), "/third?a=x");
        site.path("x.log").exists() && site.read("x.log").contains("/third")
    });
    site.stop();
}

/// A connection that has switched to a protocol in which the other end sends back what it gets.
fn tunnel(site: &Site) -> std::net::TcpStream {
    let mut client = Client::new(site.port());
    client.send("GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    client.stream
}

fn echoes(stream: &mut std::net::TcpStream) -> bool {
    let mut byte = [0];
    stream.write_all(b"x").is_ok() && stream.read(&mut byte).is_ok_and(|n| n == 1)
}

#[test]
fn tunnels_of_a_former_conf_end_with_worker_shutdown_timeout() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                let _ = stream.read(&mut bytes);
                let _ = stream.write_all(b"HTTP/1.1 101 Switching\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n");
                while let Ok(n @ 1..) = stream.read(&mut bytes) {
                    let _ = stream.write_all(&bytes[..n]);
                }
            });
        }
    });
    let conf = |name: &str| {
        format!(
            "server {{ listen 127.0.0.1:%PORT1%; location = /name {{ return 200 {name}; }}
             location /ws {{ proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1;
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}"
        )
    };
    for (main, ends) in [("worker_shutdown_timeout 1s;", true), ("worker_shutdown_timeout 0;", false), ("", false)] {
        let site = Site::start(main, &conf("old"));
        site.file("large", vec![0; 20 << 20]);
        let (mut idle, mut busy) = (tunnel(&site), tunnel(&site));
        let mut reader = Client::new(site.port());
        reader.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
        let begun = Instant::now();
        site.reload(main, &conf("new"));
        wait_for("the new conf is in force", || get(site.port(), "/name").text() == "new");
        assert!(echoes(&mut idle) && echoes(&mut busy));
        let mut fresh = tunnel(&site);
        if ends {
            // One that never rests ends like one that does.
            while echoes(&mut busy) {}
            assert_eq!(idle.read(&mut [0]).unwrap(), 0);
            assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
        } else {
            std::thread::sleep(Duration::from_millis(1500));
            assert!(echoes(&mut busy) && echoes(&mut idle));
        }
        assert!(echoes(&mut fresh), "it began under the new conf");
        assert_eq!(reader.answer().unwrap().body.len(), 20 << 20, "a request in flight ends by itself");
        drop((idle, busy, fresh));
        site.stop();
    }
}
