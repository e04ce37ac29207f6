//! Doors of `upload_store`: fields that pass for what `upload_pass` makes of a file, pages of other sites, names of others that lead
//! to `longshore serve`, and forms that are held in memory.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::client::{Answer, Client};
use crate::ports::Ports;
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
    head_with("", length)
}

fn head_with(fields: &str, length: usize) -> String {
    format!(
        "POST /up/ HTTP/1.1\r\nHost: h\r\n{fields}Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {length}\r\n\r\n"
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

#[test]
fn no_page_of_another_site_stores_a_file() {
    let site = site("");
    let own = ["http://h", "http://h:80", "https://h", "HTTP://H"];
    let others = [
        "null",
        "",
        "h",
        "//h",
        "http:h",
        "http://",
        "http://evil",
        "http://h.evil",
        "http://evil.h",
        "http://h:8080",
        "http://evil/h",
        "http://h@evil",
        "http://evil@h",
        "http://h,http://evil",
        "http://evil http://h",
        "file://",
        "ftp://h",
        "http://h%2eevil",
        "http://[h]",
        "http://h/",
        "chrome-extension://h",
        "http://\u{ff48}",
    ];
    let mut tried: Vec<(String, bool)> = Vec::new();
    for site in ["same-origin", "none"] {
        tried.push((format!("Sec-Fetch-Site: {site}\r\n"), true));
    }
    for site in ["cross-site", "same-site", "", "SAME-ORIGIN", "same-origin, none", "\"same-origin\"", "?1"] {
        tried.push((format!("Sec-Fetch-Site: {site}\r\n"), false));
        tried.push((format!("Sec-Fetch-Site: {site}\r\nOrigin: http://h\r\nReferer: http://h/\r\n"), false));
        tried.push((format!("sec-fetch-site: none\r\nSEC-FETCH-SITE: {site}\r\n"), false));
    }
    for origin in own {
        tried.push((format!("Origin: {origin}\r\n"), true));
        tried.push((format!("Referer: {origin}/a/b\r\n"), true));
    }
    for origin in others {
        tried.push((format!("Origin: {origin}\r\n"), false));
        tried.push((format!("Origin: {origin}\r\nReferer: http://h/\r\n"), false));
        tried.push((format!("Origin: http://h\r\norigin: {origin}\r\n"), false));
    }
    for referer in
        ["http://evil/", "http://evil/?http://h/", "http://evil#http://h/", "http://h@evil/", "about:blank", "h"]
    {
        tried.push((format!("Referer: {referer}\r\n"), false));
    }
    let body = part("f", Some("a"), "1") + "--B--\r\n";
    for (fields, is_fine) in tried {
        let mut client = Client::new(site.port());
        client.send(head_with(&fields, body.len()) + &body);
        let status = client.answer().expect("there is an answer").status;
        assert_eq!(status, if is_fine { 200 } else { 403 }, "{fields:?}");
    }
    let stored = fs::read_dir(site.path("store")).unwrap().count();
    assert_eq!(stored, 2 + 2 * own.len());
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

/// A `longshore serve` that is gone when it is dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // It is ours, and it runs until now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(folder: &Path, more: &[&str]) -> (Served, Ports) {
    let ports = Ports::take(1).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
    command.arg("serve").arg(folder).args(["--upload", "--port", &ports[0].to_string()]).args(more);
    let mut served = Served(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_for("it listens", || {
        assert!(served.0.try_wait().unwrap().is_none(), "it ended at once");
        TcpStream::connect(("127.0.0.1", ports[0])).is_ok()
    });
    (served, ports)
}

#[test]
fn a_name_of_another_site_does_not_lead_to_a_folder() {
    let folder = Site::folder();
    fs::write(folder.path().join("secret.txt"), "secret").unwrap();
    let ask = |port: u16, host: &str| {
        let mut client = Client::new(port);
        client.send(format!("GET /secret.txt HTTP/1.1\r\n{host}\r\n"));
        let answer = client.answer().expect("there is an answer");
        assert_eq!(answer.status == 200, answer.text() == "secret", "{host:?}");
        answer
    };
    let (served, ports) = serve(folder.path(), &["--host", "files.test", "--host", "*.files.test"]);
    let machine = nix::unistd::gethostname().unwrap().into_string().unwrap().to_lowercase();
    let machine = machine.split('.').next().unwrap().to_string();
    let mut own =
        ["localhost", "LOCALHOST.", "a.localhost", "printer.local", "127.0.0.1", "10.1.2.3", "[::1]", "[fe80::1]"]
            .map(str::to_string)
            .to_vec();
    own.extend(["files.test", "a.files.test"].map(str::to_string));
    if machine != "localhost" {
        own.extend([machine.clone(), format!("{machine}.fritz.box")]);
    }
    for name in own {
        for host in [name.clone(), format!("{name}:{}", ports[0])] {
            assert_eq!(ask(ports[0], &format!("Host: {host}\r\n")).status, 200, "{host}");
        }
    }
    for name in [
        "evil.test",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "127.0.0.1a",
        "evil127.0.0.1",
        "1.2.3",
        "2130706433",
        "0x7f.1",
        "local",
        "evil.local.test",
        "xfiles.test",
        "files.test.evil",
        "_",
        "[::1].evil",
        "%31%32%37.0.0.1",
        "null",
    ] {
        let answer = ask(ports[0], &format!("Host: {name}\r\n"));
        assert!(matches!(answer.status, 421 | 400), "{name}: {}", answer.status);
        if answer.status == 421 {
            assert!(answer.text().contains("--host NAME") && answer.head.contains("text/html"), "{}", answer.text());
        }
    }
    drop(served);
    let (served, ports) = serve(folder.path(), &["--any-host"]);
    assert_eq!(ask(ports[0], "Host: evil.test\r\n").status, 200);
    drop(served);
}
