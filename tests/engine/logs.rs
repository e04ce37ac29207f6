//! Logs that go elsewhere than into a plain file: syslog servers, and files that are compressed.

use std::io::Read;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use nix::sys::signal::Signal;

use crate::client::get;
use crate::site::{PATIENCE, Site, wait_for};

/// Receives datagrams until one holds this text, and gives that.
fn receive(mut read: impl FnMut(&mut [u8]) -> std::io::Result<usize>, text: &str) -> String {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = read(&mut buffer).expect("a line comes");
        let line = String::from_utf8_lossy(&buffer[..n]).into_owned();
        if line.contains(text) {
            return line;
        }
    }
}

#[test]
fn lines_go_to_syslog_servers() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let folder = Site::folder();
    let unix = UnixDatagram::bind(folder.path().join("syslog")).unwrap();
    // Whoever the server becomes writes here.
    std::fs::set_permissions(folder.path().join("syslog"), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .unwrap();
    unix.set_read_timeout(Some(PATIENCE)).unwrap();
    let server = udp.local_addr().unwrap();
    let http = format!(
        "log_format own '$uri';
         server {{ listen 127.0.0.1:%PORT1%;
            access_log syslog:server={server},tag=own,facility=local3,severity=warn,nohostname own if=$arg_log;
            access_log syslog:server=unix:%DIR%/syslog;
            error_log syslog:server={server},tag=trouble; }}"
    );
    let site = Site::start_in(folder, "", &http);
    assert_eq!(get(site.port(), "/none?log=1").status, 404);
    let error = receive(|buffer| udp.recv(buffer), "trouble: ");
    assert!(error.starts_with("<187>") && error.contains("[error] ") && error.contains("/none\" failed"), "{error}");
    let line = receive(|buffer| udp.recv(buffer), " own: ");
    assert!(line.starts_with("<156>") && line.ends_with(" own: /none"), "{line}");
    let line = receive(|buffer| unix.recv(buffer), "longshore: ");
    assert!(line.starts_with("<190>") && line.contains("\"GET /none?log=1 HTTP/1.1\" 404 "), "{line}");
    site.stop();
}

#[test]
fn a_syslog_server_that_is_gone_costs_nothing_and_is_said_once() {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let http = format!(
        "server {{ listen 127.0.0.1:%PORT1%; access_log syslog:server={free}; access_log syslog:server=unix:%DIR%/none;
            location / {{ return 200; }} }}"
    );
    let site = Site::start("", &http);
    for _ in 0..200 {
        assert_eq!(get(site.port(), "/").status, 200);
    }
    wait_for("it is said", || site.said().contains("cannot send to the syslog server unix:"));
    wait_for("it is said", || site.said().contains(&format!("cannot send to the syslog server {free}")));
    assert_eq!(site.said().matches("cannot send to the syslog server").count(), 2, "{}", site.said());
    site.stop();
}

#[test]
fn collected_lines_are_compressed() {
    let mut site = Site::start(
        "",
        "log_format own '$uri'; server { listen 127.0.0.1:%PORT1%; location / { return 200; }
            access_log %DIR%/log.gz own gzip=9 flush=50ms; access_log %DIR%/late.gz own gzip buffer=4k; }",
    );
    get(site.port(), "/first");
    wait_for("the first line is flushed", || text(&site, "log.gz") == "/first\n");
    get(site.port(), "/second");
    wait_for("the second line is flushed", || text(&site, "log.gz") == "/first\n/second\n");
    assert_eq!(text(&site, "late.gz"), "");
    site.signal(Signal::SIGQUIT);
    assert_eq!(site.ended(), Some(0));
    assert_eq!(text(&site, "late.gz"), "/first\n/second\n");
}

/// What a compressed log holds so far. A block that is being written may be cut short for now.
fn text(site: &Site, name: &str) -> String {
    let bytes = std::fs::read(site.path(name)).unwrap_or_default();
    let mut text = String::new();
    let _ = flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text);
    text
}
