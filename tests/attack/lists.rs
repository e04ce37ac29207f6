//! Folders with very many files: whoever has them listed holds nobody else up, and what is made for many is made once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::client::{Client, get};
use crate::site::{Site, wait_for};

const FILES: usize = 20_000;
const CLIENTS: usize = 100;

/// A site with a folder of so many files, which anybody may write in.
fn site(files: usize, main: &str, locations: &str) -> Site {
    let dir = Site::folder();
    let many = dir.path().join("html/many");
    fs::create_dir_all(&many).unwrap();
    fs::create_dir(dir.path().join("body")).unwrap();
    for folder in [&many, &dir.path().join("body")] {
        fs::set_permissions(folder, PermissionsExt::from_mode(0o777)).unwrap();
    }
    for number in 0..files {
        fs::write(many.join(format!("a-file-whose-name-is-not-short-{number:06}.txt")), "").unwrap();
    }
    fs::write(dir.path().join("html/small"), "hello").unwrap();
    let conf = format!(
        "access_log %DIR%/access.log;
        server {{ listen 127.0.0.1:%PORT1%; {locations} }}"
    );
    Site::start_in(dir, main, &conf)
}

/// Clients who ask for a listing and read nothing of it.
fn slow(site: &Site, clients: usize, path: &str) -> Vec<Client> {
    let all = (0..clients).map(|_| {
        let mut client = Client::new(site.port());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        client
    });
    all.collect()
}

/// What the server's descriptors lead to.
fn open_files(site: &Site) -> Vec<PathBuf> {
    let all = fs::read_dir(format!("/proc/{}/fd", site.serving())).unwrap().flatten();
    all.filter_map(|descriptor| fs::read_link(descriptor.path()).ok()).collect()
}

/// How many folders are being read.
fn being_read(site: &Site) -> usize {
    open_files(site).iter().filter(|path| path.ends_with("html/many")).count()
}

#[test]
fn a_small_file_does_not_wait_for_listings() {
    // One worker: whatever holds it is seen by all.
    let site =
        site(FILES, "thread_pool default threads=1;", "autoindex on; location /up { upload_store %DIR%/html/many; }");
    for (path, accept) in [("/many/", "*/*"), ("/up", "text/html"), ("/up", "application/json")] {
        let ask = format!("GET {path} HTTP/1.1\r\nHost: h\r\nAccept: {accept}\r\n\r\n");
        let mut others: Vec<_> = (0..CLIENTS).map(|_| Client::new(site.port())).collect();
        let mut quick = Client::new(site.port());
        assert_eq!(quick.get("/small").text(), "hello");
        others.iter_mut().for_each(|client| assert!(client.send(&ask)));
        // The first of them is answered last of all if it is in nobody's way.
        let mut answered = 0;
        while !others.iter_mut().any(Client::is_answered) {
            assert_eq!(quick.get("/small").text(), "hello");
            answered += 1;
        }
        assert!(answered > 1, "{answered} small files went out before a list from {path} did");
        others.iter_mut().for_each(|client| assert_eq!(client.answer().unwrap().status, 200, "{path}"));
    }
    site.stop();
}

#[test]
fn slow_clients_share_one_listing_and_its_memory() {
    let site = site(FILES, "", "autoindex on; location /up { upload_store %DIR%/html/many; }");
    for path in ["/small", "/many/", "/up"] {
        get(site.port(), path);
    }
    let before = site.memory().unwrap();
    let mut clients = slow(&site, CLIENTS, "/many/");
    wait_for("all have the beginning of it", || clients.iter_mut().all(Client::is_answered));
    // The first begins one alone, and those who come meanwhile share the next.
    let pages = open_files(&site).iter().filter(|path| path.to_string_lossy().contains("/body/")).count();
    assert!(0 < pages && pages < CLIENTS / 2, "{pages} pages");
    let after = site.memory().unwrap();
    assert!(after < before + (100 << 20), "{before} bytes of memory became {after}");
    drop(clients);
    wait_for("the pages go with those who wanted them", || {
        !open_files(&site).iter().any(|path| path.to_string_lossy().contains("/body/"))
    });
    site.stop();
}

/// Tells others that it is over when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn what_a_client_has_just_put_is_in_the_next_listing() {
    let locations = "autoindex on; location /json/ { alias %DIR%/html/many/; autoindex_format json; }
        location /up { upload_store %DIR%/html/many; } location /many/ { dav_methods PUT DELETE; }";
    // As many as the page of an upload store shows, all of this second: the newest is the one put last.
    let site = site(500, "", locations);
    let (port, is_over) = (site.port(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for path in ["/many/", "/json/", "/up"] {
            scope.spawn(|| {
                let mut client = Client::new(port);
                while !is_over.load(Relaxed) {
                    client = if client.try_get(path).is_some_and(|answer| !answer.closes()) {
                        client
                    } else {
                        Client::new(port)
                    };
                }
            });
        }
        // The others end also if this one fails.
        let _end = Over(&is_over);
        let mut client = Client::new(port);
        for round in 0..60 {
            let name = format!("new-{round}");
            client.send(format!("PUT /many/{name} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\ntext"));
            assert_eq!(client.answer().unwrap().status, 201);
            for path in ["/many/", "/json/", "/up"] {
                assert!(client.get(path).text().contains(&name), "{path} has no {name}");
            }
            client.send(format!("DELETE /many/{name} HTTP/1.1\r\nHost: h\r\n\r\n"));
            assert_eq!(client.answer().unwrap().status, 204);
            for path in ["/many/", "/json/", "/up"] {
                assert!(!client.get(path).text().contains(&name), "{path} still has {name}");
            }
        }
    });
    site.stop();
}

/// Stops the server in the middle of a listing.
fn halt_while_it_reads(site: &Site) {
    wait_for("the folder is being read", || {
        site.halt(true);
        let is_read = being_read(site) > 0;
        if !is_read {
            site.halt(false);
        }
        is_read
    });
}

#[test]
fn a_listing_that_nobody_waits_for_ends() {
    let site = site(FILES, "", "autoindex on;");
    let clients = slow(&site, 10, "/many/");
    halt_while_it_reads(&site);
    drop(clients);
    site.halt(false);
    wait_for("nobody reads it", || being_read(&site) == 0);
    wait_for("all have left", || site.read("access.log").lines().count() == 10);
    let log = site.read("access.log");
    assert!(log.lines().all(|line| line.contains("\" 499 ")), "{log}");
    // One who stays gets all of it, though those before it have left.
    let mut leaving = slow(&site, 1, "/many/");
    halt_while_it_reads(&site);
    leaving.extend(slow(&site, 1, "/many/"));
    let mut last = slow(&site, 1, "/many/").remove(0);
    drop(leaving);
    site.halt(false);
    assert_eq!(last.answer().unwrap().text().matches("<a href").count(), FILES + 1);
    site.stop();
}
