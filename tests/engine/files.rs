//! Files that change or are none: what is sent is never wrong, and nothing hangs.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::stat::Mode;

use crate::client::{Client, End, get};
use crate::site::{Site, wait_for};

const CONF: &str = "server { listen 127.0.0.1:%PORT1%; }";
const LARGE: usize = 20 << 20;

/// A client that has asked for the large file and read only the first bytes of it.
fn begun(site: &Site) -> Client {
    let mut client = Client::new(site.port());
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut byte = [0];
    client.stream.read_exact(&mut byte).unwrap();
    client
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_closes_the_connection() {
    let mut site = Site::start("", CONF);
    site.file("large", vec![7; LARGE]);
    for len in [0, 1000] {
        site.file("large", vec![7; LARGE]);
        let mut client = begun(&site);
        OpenOptions::new().write(true).open(site.path("html/large")).unwrap().set_len(len).unwrap();
        let (bytes, end) = client.rest();
        assert!(bytes.len() < LARGE, "{} bytes", bytes.len());
        assert_eq!(end, End::Closed);
        assert_eq!(get(site.port(), "/large").body.len() as u64, len);
    }
    wait_for("the log tells", || site.said().contains("became shorter"));
    assert!(!site.said().contains("panicked"), "{}", site.said());
    assert!(site.runs());
}

#[test]
fn a_file_that_grows_while_it_is_sent_keeps_its_length() {
    let site = Site::start("", CONF);
    site.file("large", vec![7; LARGE]);
    let mut client = begun(&site);
    OpenOptions::new().append(true).open(site.path("html/large")).unwrap().write_all(&[8; 100_000]).unwrap();
    client.send("GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let (bytes, end) = client.rest();
    let sevens = bytes.iter().filter(|&&byte| byte == 7).count();
    let eights = bytes.iter().filter(|&&byte| byte == 8).count();
    assert_eq!((sevens, eights, end), (2 * LARGE, 100_000, End::Closed));
    site.stop();
}

#[test]
fn a_file_replaced_while_it_is_sent_is_sent_as_it_was() {
    let site = Site::start("", CONF);
    site.file("large", vec![7; LARGE]);
    let mut client = begun(&site);
    site.file("next", vec![8; LARGE]);
    fs::rename(site.path("html/next"), site.path("html/large")).unwrap();
    client.send("GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let (bytes, _) = client.rest();
    let sevens = bytes.iter().filter(|&&byte| byte == 7).count();
    let eights = bytes.iter().filter(|&&byte| byte == 8).count();
    assert_eq!((sevens, eights), (LARGE, LARGE));
    site.stop();
}

#[test]
fn what_is_no_file_is_not_served_and_nothing_hangs() {
    let site = Site::start("", CONF);
    nix::unistd::mkfifo(&site.path("html/fifo"), Mode::from_bits_truncate(0o666)).unwrap();
    let _socket = UnixListener::bind(site.path("html/socket")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", site.path("html/zero")).unwrap();
    std::os::unix::fs::symlink("/dev/null", site.path("html/null")).unwrap();
    std::os::unix::fs::symlink("loop", site.path("html/loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", site.path("html/dangling")).unwrap();
    site.file("a", "hello");
    let mut client = Client::new(site.port());
    for _ in 0..40 {
        for name in ["fifo", "socket", "zero", "null", "dangling", "none", "a/b"] {
            assert_eq!(client.get(&format!("/{name}")).status, 404, "{name}");
        }
        assert!([403, 404, 500].contains(&client.get("/loop").status));
    }
    assert_eq!(client.get("/a").status, 200);
    site.stop();
}

#[test]
fn an_unreadable_file_is_403() {
    // Root reads everything; as root the server becomes another user, so the file is closed to it all the same.
    let site = Site::start("", CONF);
    site.file("closed", "hello");
    fs::set_permissions(site.path("html/closed"), Permissions::from_mode(0o000)).unwrap();
    assert_eq!(get(site.port(), "/closed").status, 403);
    fs::set_permissions(site.path("html/closed"), Permissions::from_mode(0o644)).unwrap();
    assert_eq!(get(site.port(), "/closed").status, 200);
    fs::set_permissions(site.path("html/closed"), Permissions::from_mode(0o000)).unwrap();
    assert_eq!(get(site.port(), "/closed").status, 403);
    site.stop();
}

#[test]
fn an_edit_in_place_or_a_replacement_is_seen_at_once() {
    let site = Site::start("", CONF);
    let mut client = Client::new(site.port());
    let mut wrong = Vec::new();
    for n in 0..300 {
        // The same length each time, so that only the content tells.
        let text = format!("content {n:05}");
        match n % 3 {
            0 => site.file("a", &text),
            1 => {
                site.file("next", &text);
                fs::rename(site.path("html/next"), site.path("html/a")).unwrap();
            }
            _ => {
                let mut file = OpenOptions::new().write(true).open(site.path("html/a")).unwrap();
                file.write_all(text.as_bytes()).unwrap();
            }
        }
        for _ in 0..3 {
            let seen = client.get("/a").text();
            if seen != text {
                wrong.push((text.clone(), seen));
            }
        }
    }
    assert!(wrong.is_empty(), "{} stale: {:?}", wrong.len(), wrong.first());
    fs::remove_file(site.path("html/a")).unwrap();
    assert_eq!(client.get("/a").status, 404);
    File::create(site.path("html/a")).unwrap();
    assert_eq!(client.get("/a").status, 200);
    site.stop();
}

/// Each value of `open_file_cache` and its family decides whether a change is seen at once.
#[test]
fn what_the_file_cache_believes_is_what_its_values_say() {
    let site = Site::start(
        "",
        "open_file_cache_valid 1h; server { listen 127.0.0.1:%PORT1%;
            location /off/ { alias %DIR%/html/; }
            location /kept/ { alias %DIR%/html/; open_file_cache max=10; }
            location /looked/ { alias %DIR%/html/; open_file_cache max=10; open_file_cache_valid 0; }
            location /rare/ { alias %DIR%/html/; open_file_cache max=10; open_file_cache_min_uses 9; }
            location /errors/ { alias %DIR%/html/; open_file_cache max=10; open_file_cache_errors on; } }",
    );
    let all = [("off", "new"), ("kept", "old"), ("looked", "new"), ("rare", "new"), ("errors", "old")];
    for (name, _) in all {
        site.file(name, "old");
    }
    // What was changed a moment ago is not believed at all.
    wait_for("the files are old enough", || all.iter().all(|(name, _)| is_settled(&site.path("html").join(name))));
    for (name, want) in all {
        let path = format!("/{name}/{name}");
        assert_eq!(get(site.port(), &path).text(), "old");
        site.file("next", "new");
        fs::rename(site.path("html/next"), site.path("html").join(name)).unwrap();
        assert_eq!(get(site.port(), &path).text(), want, "{name}");
        let path = format!("/{name}/{name}-later");
        assert_eq!(get(site.port(), &path).status, 404);
        site.file(&format!("{name}-later"), "here");
        assert_eq!(get(site.port(), &path).status, if name == "errors" { 404 } else { 200 }, "{name}");
    }
    site.stop();
}

/// Whether a file has not been touched for a while.
fn is_settled(path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(meta), Ok(now)) = (fs::metadata(path), SystemTime::now().duration_since(UNIX_EPOCH)) else { return false };
    now.as_millis() as i64 - meta.ctime() * 1000 - meta.ctime_nsec() / 1_000_000 > 100
}
