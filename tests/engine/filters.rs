//! Answers that are changed on their way out: they hold nobody up, take little memory, and pass on what comes as it comes.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;

use flate2::read::GzDecoder;

use crate::client::{Client, get};
use crate::site::{Site, wait_for};

#[test]
fn a_large_file_is_compressed_in_shares() {
    let mut site = Site::start(
        "thread_pool default threads=1;",
        "gzip on; gzip_types *; server { listen 127.0.0.1:%PORT1%;
            location /large { sub_filter nothing something; sub_filter_types *; } }",
    );
    site.file("small", "small");
    File::create(site.path("html/large")).unwrap().set_len(1 << 40).unwrap();
    let mut client = Client::new(site.port());
    client.send("GET /large HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
    let mut some = [0; 4096];
    client.stream.read_exact(&mut some).unwrap();
    let before = site.memory();
    // The only worker is at a file that would take it hours; others get their answers all the same.
    for _ in 0..5 {
        assert_eq!(get(site.port(), "/small").text(), "small");
        client.stream.read_exact(&mut some).unwrap();
    }
    if let (Some(before), Some(after)) = (before, site.memory()) {
        assert!(after < before + 4096, "{before} KiB became {after} KiB");
    }
    drop(client);
    assert!(site.runs());
    site.stop();
}

#[test]
fn events_come_through_filters_one_by_one() {
    let site = Site::start(
        "",
        "gzip on; gzip_types text/event-stream; sub_filter one two; sub_filter_types *; sub_filter_once off;
            server { listen 127.0.0.1:%PORT1%; location / { cgi on; cgi_buffering off; } }",
    );
    let (go, script) = (site.path("go"), site.path("html/events"));
    let text = format!(
        "#!/bin/sh\nprintf 'Content-Type: text/event-stream\\n\\nevent: one\\n'\n\
         while ! test -e {}; do sleep 0.02; done\necho 'event: one more'\n",
        go.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let mut client = Client::new(site.port());
    client.send("GET /events HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n");
    let mut bytes = Vec::new();
    wait_for("the first event", || {
        read_some(&mut client, &mut bytes);
        plain(&bytes) == "event: two\n"
    });
    fs::write(&go, "").unwrap();
    wait_for("the second event", || {
        read_some(&mut client, &mut bytes);
        plain(&bytes) == "event: two\nevent: two more\n"
    });
    site.stop();
}

fn read_some(client: &mut Client, bytes: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    match client.stream.read(&mut buffer) {
        Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
}

/// What can be read so far of an answer in chunks, in gzip.
fn plain(bytes: &[u8]) -> String {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return String::new() };
    let (mut rest, mut coded) = (&bytes[head + 4..], Vec::new());
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(chunk) = size.and_then(|size| rest.get(end + 2..end + 2 + size)) else { break };
        coded.extend_from_slice(chunk);
        rest = rest.get(end + 2 + chunk.len() + 2..).unwrap_or_default();
    }
    let mut text = String::new();
    // The end of the coding comes with the end of the answer.
    let _ = GzDecoder::new(&coded[..]).read_to_string(&mut text);
    text
}
