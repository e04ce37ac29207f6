//! Folders with much in them, copied, moved and removed: no worker is held meanwhile, a client that leaves changes nothing,
//! another file system is no hindrance, and what goes wrong leaves everything as it was.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::client::{Client, get};
use crate::site::{Site, wait_for};

const CONF: &str = "server { listen 127.0.0.1:%PORT1%; root %DIR%/html; dav_methods DELETE COPY MOVE; }";
/// Files of a tree that takes a while.
const MANY: usize = 4000;

/// A folder that the server may write in, with so many files, some of them deeper.
fn plant(at: &Path, files: usize) {
    for part in 0..files.div_ceil(100) {
        let folder = at.join(format!("{}/{part}", part % 10));
        fs::create_dir_all(&folder).unwrap();
        for n in 0..100.min(files - part * 100) {
            fs::write(folder.join(n.to_string()), "text").unwrap();
        }
    }
    open(at);
}

/// A server that root started is another user.
fn open(at: &Path) {
    fs::set_permissions(at, fs::Permissions::from_mode(0o777)).unwrap();
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            open(&path);
        }
    }
}

fn files_in(at: &Path) -> usize {
    let Ok(entries) = fs::read_dir(at) else { return 0 };
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() { files_in(&entry.path()) } else { 1 }
        })
        .sum()
}

fn names_in(at: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn ask(client: &mut Client, method: &str, path: &str, to: &str) {
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\nDestination: {to}\r\n\r\n"));
}

fn status(site: &Site, method: &str, path: &str, to: &str) -> u16 {
    let mut client = Client::new(site.port());
    ask(&mut client, method, path, to);
    client.answer().unwrap().status
}

#[test]
fn others_are_served_while_a_large_tree_is_copied_and_removed() {
    let site = Site::start("thread_pool default threads=1;", CONF);
    site.file("a", "hello");
    plant(&site.path("html/tree"), MANY);
    for (method, path, wanted) in [("COPY", "/tree/", 201), ("DELETE", "/copy/", 204)] {
        let (mut working, mut other, mut served) = (Client::new(site.port()), Client::new(site.port()), 0);
        ask(&mut working, method, path, "/copy/");
        // The first of them may have come before the work began.
        while !working.is_answered() {
            assert_eq!(other.get("/a").text(), "hello");
            served += 1;
            if served % 500 == 0 {
                // `keepalive_requests` ends a connection behind a thousand.
                other = Client::new(site.port());
            }
        }
        assert_eq!(working.answer().unwrap().status, wanted, "{method}");
        assert!(served > 2, "{method}: {served} requests beside it");
        assert_eq!(files_in(&site.path("html/copy")), if wanted == 201 { MANY } else { 0 });
    }
    assert_eq!(names_in(&site.path("html")), ["a", "tree"]);
    site.stop();
}

#[test]
fn a_client_that_leaves_does_not_leave_half_a_tree() {
    let site = Site::start("", CONF);
    plant(&site.path("html/tree"), MANY);
    let mut client = Client::new(site.port());
    ask(&mut client, "COPY", "/tree/", "/copy/");
    wait_for("it has begun", || names_in(&site.path("html")).len() > 1);
    drop(client);
    wait_for("it is whole", || site.path("html/copy").exists());
    assert_eq!(files_in(&site.path("html/copy")), MANY);
    assert_eq!(names_in(&site.path("html")), ["copy", "tree"]);
    site.stop();
}

#[test]
fn a_tree_that_cannot_be_copied_changes_nothing() {
    let site = Site::start("", CONF);
    plant(&site.path("html/tree"), 300);
    plant(&site.path("html/old"), 100);
    fs::write(site.path("html/tree/0/0/secret"), "").unwrap();
    fs::set_permissions(site.path("html/tree/0/0/secret"), fs::Permissions::from_mode(0o0)).unwrap();
    assert_eq!(status(&site, "COPY", "/tree/", "/old/"), 403);
    assert_eq!((files_in(&site.path("html/old")), files_in(&site.path("html/tree"))), (100, 301));
    assert_eq!(names_in(&site.path("html")), ["old", "tree"]);
    assert_eq!(site.said_times("copy of"), 1);
    site.stop();
}

#[test]
fn to_another_file_system_and_back() {
    let Ok(other) = tempfile::Builder::new().prefix("longshore-engine-").tempdir_in("/dev/shm") else {
        println!("skipped: there is no /dev/shm");
        return;
    };
    let site = Site::start("", CONF);
    if fs::metadata(other.path()).unwrap().dev() == fs::metadata(site.path("html")).unwrap().dev() {
        println!("skipped: /dev/shm is the same file system as the folder for temporary files");
        return;
    }
    open(other.path());
    symlink(other.path(), site.path("html/shm")).unwrap();
    let content: Vec<u8> = (0..9_000_000_u32).map(|n| (n / 7) as u8).collect();
    site.file("large", &content);
    plant(&site.path("html/tree"), 200);
    let before = fs::metadata(site.path("html/large")).unwrap();

    assert_eq!(status(&site, "MOVE", "/large", "/shm/large"), 204);
    let after = fs::metadata(other.path().join("large")).unwrap();
    assert_eq!((after.mode(), after.mtime(), after.len()), (before.mode(), before.mtime(), before.len()));
    assert!(fs::read(other.path().join("large")).unwrap() == content);
    assert!(!site.path("html/large").exists());
    assert_eq!(get(site.port(), "/shm/large").status, 200);

    assert_eq!(status(&site, "MOVE", "/tree/", "/shm/tree/"), 201);
    assert_eq!(files_in(&other.path().join("tree")), 200);
    plant(&site.path("html/back"), 100);
    assert_eq!(status(&site, "MOVE", "/shm/tree/", "/back/"), 201);
    assert_eq!(files_in(&site.path("html/back")), 200);
    assert_eq!(status(&site, "COPY", "/back/", "/shm/back/"), 201);
    assert_eq!(
        (names_in(other.path()), names_in(&site.path("html"))),
        (names(&["back", "large"]), names(&["back", "shm"]))
    );
    site.stop();
}

/// What a client may put in one place and not in another.
const GUARDED: &str = "server {
    listen 127.0.0.1:%PORT1%; root %DIR%/html; dav_methods PUT DELETE COPY MOVE MKCOL; create_full_put_path on;
    location / { }
    location ^~ /up/ { }
    location ~ \\.php$ { deny all; }
}";

fn put(client: &mut Client, path: &str) {
    client.send(format!("PUT {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"));
}

fn scripts_in(at: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(at) else { return Vec::new() };
    let all = entries.map(|entry| entry.unwrap().path());
    let deep = |path: std::path::PathBuf| match path.is_dir() {
        true => scripts_in(&path),
        false => vec![path.to_string_lossy().into_owned()],
    };
    all.flat_map(deep).filter(|path| path.ends_with(".php")).collect()
}

#[test]
fn a_file_that_comes_while_a_tree_is_asked_for_opens_no_door() {
    let site = Site::start("", GUARDED);
    fs::create_dir(site.path("html/pub")).unwrap();
    fs::create_dir(site.path("html/up")).unwrap();
    open(&site.path("html"));
    for (round, method) in ["MOVE", "COPY", "MOVE", "COPY", "MOVE", "MOVE"].iter().enumerate() {
        plant(&site.path("html/up/tree"), 1000);
        let (mut carrying, mut putting) = (Client::new(site.port()), Client::new(site.port()));
        let to = format!("/pub/{round}/");
        ask(&mut carrying, method, "/up/tree/", &to);
        let mut puts = Vec::new();
        while !carrying.is_answered() {
            put(&mut putting, &format!("/up/tree/{}/0/{}.php", puts.len() % 10, puts.len()));
            puts.push(putting.answer().unwrap().status);
        }
        let carried = carrying.answer().unwrap().status;
        assert!(matches!(carried, 201 | 403), "{method}: {carried}, {puts:?}");
        assert_eq!(scripts_in(&site.path("html/pub")), [""; 0], "{method}: {carried}, {puts:?}");
        let came = scripts_in(&site.path("html/up")).len();
        assert_eq!(came, puts.iter().filter(|status| **status == 201).count(), "{method}: {carried}, {puts:?}");
        if carried == 201 {
            assert_eq!(files_in(&site.path("html").join(&to[1..])), 1000, "{method}");
        }
        fs::remove_dir_all(site.path("html/up/tree")).ok();
    }
    site.stop();
}

#[test]
fn what_comes_while_a_tree_is_removed_is_not_lost_in_silence() {
    let site = Site::start("", GUARDED);
    plant(&site.path("html/tree"), 1000);
    let (mut removing, mut putting) = (Client::new(site.port()), Client::new(site.port()));
    ask(&mut removing, "DELETE", "/tree/", "");
    let mut puts = Vec::new();
    while !removing.is_answered() {
        put(&mut putting, &format!("/tree/5/5/new{}", puts.len()));
        puts.push(putting.answer().unwrap().status);
    }
    let removed = removing.answer().unwrap().status;
    // Those that were let in came before it was asked for, or after it was gone; others waited for too long.
    assert_eq!(removed, 204, "{puts:?}");
    assert!(puts.iter().all(|status| matches!(status, 201 | 204 | 503)), "{puts:?}");
    let left = files_in(&site.path("html/tree"));
    assert!(left <= puts.len(), "{left} {puts:?}");
    site.stop();
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_string()).collect()
}
