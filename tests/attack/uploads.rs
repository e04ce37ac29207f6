//! Doors of `upload_store`: fields that pass for what `upload_pass` makes of a file, and forms that are held in memory.

use std::fs;

use crate::client::{Answer, Client};
use crate::site::{Site, wait_for};

const CONF: &str = "server { listen 127.0.0.1:%PORT1%; client_max_body_size 10m;
    location @done { return 200 taken; }
    location /up/ { upload_store %DIR%/store; upload_on_conflict rename; upload_pass @done; }
}";

fn site(main: &str) -> Site {
    let dir = Site::folder();
    let store = dir.path().join("store");
    fs::create_dir(&store).unwrap();
    fs::set_permissions(&store, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    Site::start_in(dir, main, CONF)
}

fn part(name: &str, file: Option<&str>, value: &str) -> String {
    let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\""));
    format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
}

fn head(length: usize) -> String {
    format!(
        "POST /up/ HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: {length}\r\n\r\n"
    )
}

fn post(site: &Site, parts: &[String]) -> Answer {
    let body = parts.concat() + "--B--\r\n";
    let mut client = Client::new(site.port());
    client.send(head(body.len()) + &body);
    client.answer().expect("there is an answer")
}

/// Ways to write `NAME.SUFFIX` that some program takes for it.
fn spellings(name: &str, suffix: &str) -> Vec<String> {
    let mut all = Vec::new();
    for separator in [".", "_", " ", "[", "%2e", "%2E", "%5f", "%20", "%5B"] {
        for suffix in [suffix.to_string(), suffix.to_uppercase()] {
            let plain = format!("{name}{separator}{suffix}");
            for (before, behind) in
                [("", ""), (" ", ""), ("", " "), ("", "[]"), ("", "[a][b]"), ("", "\0"), ("", "\0.x")]
            {
                // A bracket that is closed somewhere leads further down.
                if !behind.contains(']') || !matches!(separator, "[" | "%5B") {
                    all.push(format!("{before}{plain}{behind}"));
                }
            }
        }
    }
    for quote in ["", "'", "%22"] {
        all.push(format!("{name}[{quote}{suffix}{quote}]"));
    }
    all.extend([
        format!("{name}\\.{suffix}"),
        format!("{name}.\\{suffix}"),
        format!("=?us-ascii?q?{name}=2e{suffix}?="),
    ]);
    all
}

#[test]
fn no_field_passes_for_a_stored_file() {
    let site = site("");
    for spelling in spellings("f", "path")
        .into_iter()
        .chain([".path".into(), "_path[]".into()])
        .chain(["a[0].path".into(), "a[0][path]".into()])
    {
        let answer = post(&site, &[part(&spelling, None, "/etc/passwd")]);
        assert_eq!(answer.status, 400, "{spelling:?}");
    }
    for suffix in ["name", "content_type", "size", "sha256"] {
        for spelling in spellings("f", suffix) {
            let (field, file) = (part(&spelling, None, "x"), part("f", Some("a"), "1"));
            for parts in [[field.clone(), file.clone()], [file, field]] {
                assert_eq!(post(&site, &parts).status, 400, "{spelling:?}");
            }
        }
    }
    // Where a file is sent in vain, nothing of it stays.
    assert_eq!(fs::read_dir(site.path("store")).unwrap().count(), 0);
    let everyday = ["user.name", "file_size", "path", "pathway", "f", "title"].map(|name| part(name, None, "x"));
    let answer = post(&site, &[everyday.concat(), part("f", Some("a"), "1")]);
    assert_eq!((answer.status, answer.text().as_str()), (200, "taken"));
    site.stop();
}

/// Whether no byte waits in a socket of this port, in either direction.
fn is_read(port: u16) -> bool {
    let port = format!(":{port:04X}");
    fs::read_to_string("/proc/net/tcp").unwrap().lines().skip(1).all(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_ours = words[1].ends_with(&port) || words[2].ends_with(&port);
        // Of the listener's line the queue is the connections that nobody took yet.
        !is_ours || words[4] == "00000000:00000000"
    })
}

#[test]
fn forms_that_are_held_stay_out_of_memory() {
    const HELD: usize = 100;
    let site = site("thread_pool default threads=4;");
    let fields: String = (0..990).map(|n| part(&format!("field{n}"), None, &"x".repeat(880))).collect();
    let end = "--B--\r\n";
    let begin = |fields: &str| {
        let mut client = Client::new(site.port());
        assert!(client.send(head(fields.len() + end.len()) + fields));
        client
    };
    // What the threads need once.
    let mut warm: Vec<Client> = (0..8).map(|_| begin(&fields)).collect();
    wait_for("the first are read", || is_read(site.port()));
    let before = site.memory();
    let mut held: Vec<Client> = (0..HELD).map(|_| begin(&fields)).collect();
    wait_for("all are read", || is_read(site.port()));
    if let (Some(before), Some(now)) = (before, site.memory()) {
        let each = now.saturating_sub(before) / HELD;
        assert!(each < 400, "{each} KiB for each of {HELD} forms of {} bytes", fields.len());
    }
    for client in warm.iter_mut().chain(&mut held) {
        client.send(end);
        assert_eq!(client.answer().map(|answer| answer.status), Some(200));
    }
    site.stop();
}
