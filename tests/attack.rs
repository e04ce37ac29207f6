//! The slow clients that the slow-client tests and the bench share really are slow, stay open, and go when told to.
//! The other side is a plain listener here, so that what they send can be looked at. Below `attack/` stand doors that were open
//! once, each tried in many spellings.

#[path = "../benches/figures/attack.rs"]
mod attack;
#[allow(dead_code, reason = "the engine's tests use the rest of it")]
#[path = "engine/client.rs"]
mod client;
#[path = "attack/folders.rs"]
mod folders;
#[path = "attack/hints.rs"]
mod hints;
#[path = "attack/limits.rs"]
mod limits;
#[path = "attack/lists.rs"]
mod lists;
#[path = "attack/passwords.rs"]
mod passwords;
#[path = "support/ports.rs"]
mod ports;
#[path = "attack/regexes.rs"]
mod regexes;
#[path = "attack/scripts.rs"]
mod scripts;
#[allow(dead_code, reason = "the engine's tests use the rest of it")]
#[path = "engine/site.rs"]
mod site;
#[path = "attack/store.rs"]
mod store;
#[path = "attack/uploads.rs"]
mod uploads;
#[path = "attack/upstreams.rs"]
mod upstreams;

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use attack::{Attack, Plan};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

fn plan(heads: usize, bodies: usize, readers: usize) -> Plan {
    Plan {
        heads,
        bodies,
        readers,
        drip: Duration::from_millis(20),
        body_request: "PUT /slow HTTP/1.1".into(),
        download: "/large.bin".into(),
    }
}

/// Reads until `enough` holds; panics when it never does.
fn read_until(stream: &mut TcpStream, enough: impl Fn(&str) -> bool) -> String {
    let end = Instant::now() + PATIENCE;
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut text = String::new();
    let mut bytes = [0; 512];
    while !enough(&text) {
        assert!(Instant::now() < end, "only {text:?} came");
        if let Ok(count) = stream.read(&mut bytes) {
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }
    text
}

#[test]
fn each_kind_sends_what_it_is_for() {
    let cases: [(Plan, &str, &str); 3] = [
        (plan(1, 0, 0), "GET / HTTP/1.1\r\n", "X-Slow: xxx"),
        (plan(0, 1, 0), "PUT /slow HTTP/1.1\r\n", "\r\n\r\nxxx"),
        (plan(0, 0, 1), "GET /large.bin HTTP/1.1\r\n", "\r\n\r\n"),
    ];
    for (plan, start, later) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let attack = Attack::start(listener.local_addr().unwrap(), plan).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let text = read_until(&mut stream, |text| text.contains(later));
        assert!(text.starts_with(start), "{text:?}");
        assert_eq!(attack.stop().open, 1, "{start}");
    }
}

#[test]
fn connections_stand_until_the_attack_stops() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let attack = Attack::start(listener.local_addr().unwrap(), plan(20, 20, 20)).unwrap();
    let mut streams: Vec<TcpStream> = (0..60).map(|_| listener.accept().unwrap().0).collect();
    assert!(attack.wait_connected(PATIENCE));
    let counts = attack.stop();
    assert_eq!((counts.open, counts.lost), (60, 0));
    for stream in &mut streams {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn a_connection_that_the_server_ends_counts_as_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let attack = Attack::start(listener.local_addr().unwrap(), plan(1, 1, 0)).unwrap();
    drop((listener.accept().unwrap(), listener.accept().unwrap()));
    let end = Instant::now() + PATIENCE;
    while attack.counts().lost < 2 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((attack.counts().open, attack.counts().lost), (0, 2));
}

#[test]
fn only_loopback_is_attacked() {
    for address in ["192.0.2.1:80", "0.0.0.0:80", "[::1]:80"] {
        let refused = Attack::start(address.parse().unwrap(), plan(1, 0, 0)).err();
        assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::InvalidInput), "{address}");
    }
}
