//! TLS from clients that mean no good: names that are none, messages without end, floods of certificates, records of one byte.
//! Each gets an end, and whoever comes next is served.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::PrivateKeyDer;

use crate::site::{PATIENCE, wait_for};
use crate::tls::{FOUR, NAME, Secure, ask, trusting};

/// A record of the handshake (RFC 8446 section 5.1).
fn record(content: &[u8]) -> Vec<u8> {
    let [high, low] = (content.len() as u16).to_be_bytes();
    [&[22, 3, 1, high, low], content].concat()
}

/// The first message of a client that asks for this name (RFC 8446 section 4.1.2), as long as its three bytes of length allow.
fn hello(name: &[u8]) -> Vec<u8> {
    let two = |len: usize| (len as u16).to_be_bytes();
    let extension = |kind: u16, body: &[u8]| [&kind.to_be_bytes()[..], &two(body.len()), body].concat();
    // RFC 6066 section 3: a list of names, each behind its type.
    let names = [&[0][..], &two(name.len()), name].concat();
    let extensions = [
        extension(0, &[&two(names.len())[..], &names].concat()),
        extension(10, &[0, 2, 0, 29]),
        extension(13, &[0, 4, 4, 3, 8, 4]),
        extension(43, &[2, 3, 4]),
        extension(51, &[&[0, 36, 0, 29, 0, 32][..], &[9; 32]].concat()),
    ]
    .concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &two(extensions.len()), &extensions].concat();
    let [_, high, middle, low] = (body.len() as u32).to_be_bytes();
    [&[1, high, middle, low], &body[..]].concat()
}

/// What comes back until the server closes or has said its part of the handshake.
fn answer(socket: &mut std::net::TcpStream) -> Vec<u8> {
    let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => return all,
            Ok(n) => all.extend_from_slice(&bytes[..n]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("{error} after {all:?}"),
        }
        if all[0] == 22 {
            return all;
        }
    }
}

/// Whether the server went on with the handshake; where it did not it said so by an alert.
fn goes_on(answer: &[u8]) -> bool {
    match answer.first() {
        Some(22) => true,
        Some(21) => false,
        other => panic!("{other:?} is neither a handshake nor an alert"),
    }
}

#[test]
fn names_that_are_none_end_the_handshake_or_name_nobody() {
    let secure = Secure::start(FOUR, "");
    secure.site.file("a", "hello");
    let long = [b'a'; 300];
    let names: [&[u8]; 10] =
        [b"", b"\0", b"quay\0.test", b"\xff\xfe.test", b"a b", b"../etc", b"192.0.2.1", b"[::1]", b"-", &long];
    for name in names {
        let mut socket = secure.socket();
        socket.write_all(&record(&hello(name))).unwrap();
        let _ = goes_on(&answer(&mut socket));
    }
    let mut socket = secure.socket();
    socket.write_all(&record(&hello(NAME.as_bytes()))).unwrap();
    assert!(goes_on(&answer(&mut socket)), "the message itself is a good one");
    // A handshake that is not done would hold up a graceful stop until its time is over, as in nginx.
    drop(socket);
    assert!(ask(&mut secure.connect(), "/a").starts_with("HTTP/1.1 200"));
    assert_eq!(secure.site.workers(), 4);
    secure.site.stop();
}

#[test]
fn a_name_of_sixty_four_kilobytes_is_refused() {
    let secure = Secure::start(FOUR, "");
    secure.site.file("a", "hello");
    for len in [65_000, 65_440] {
        let message = hello(&vec![b'a'; len]);
        let mut socket = secure.socket();
        let sent = message.chunks(16_000).try_for_each(|piece| socket.write_all(&record(piece)));
        // It may end while it is sent.
        assert!(sent.is_err() || !goes_on(&answer(&mut socket)), "{len}");
    }
    // A message that says it had sixteen megabytes, and comes and comes. The kernel alone takes several of them.
    let mut socket = secure.socket();
    let mut endless = record(&[&[1, 0xff, 0xff, 0xff][..], &[3; 16_000]].concat());
    let mut sent = 0;
    while sent < 64 << 20 && socket.write_all(&endless).is_ok() {
        sent += endless.len();
        endless = record(&[3; 16_000]);
    }
    assert!(sent < 64 << 20, "{sent} bytes were taken in");
    assert!(ask(&mut secure.connect(), "/a").starts_with("HTTP/1.1 200"));
    secure.site.stop();
}

#[test]
fn records_of_one_byte_are_records() {
    let secure = Secure::start(FOUR, "");
    secure.site.file("a", "hello");
    // The first message, a byte to a record: taken as one, or refused with an alert.
    let first = secure.hello();
    let mut socket = secure.socket();
    let pieces: Vec<u8> = first[5..].iter().flat_map(|byte| record(&[*byte])).collect();
    socket.write_all(&pieces).unwrap();
    let _ = goes_on(&answer(&mut socket));
    drop(socket);
    // A request, a byte to a record.
    let mut client = secure.connect();
    for byte in format!("GET /a HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n").as_bytes() {
        client.write_all(&[*byte]).unwrap();
        client.flush().unwrap();
    }
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("hello"), "{text}");
    // Empty ones carry nothing, and who sends no others is ended.
    let mut socket = secure.socket();
    let nothing = record(&[]).repeat(1000);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE && socket.write_all(&nothing).is_ok() {}
    assert!(begun.elapsed() < PATIENCE, "empty records were taken in for {PATIENCE:?}");
    drop(socket);
    assert!(ask(&mut secure.connect(), "/a").starts_with("HTTP/1.1 200"));
    secure.site.stop();
}

#[test]
fn a_handshake_that_drips_without_end_is_ended_in_time() {
    let secure = Secure::start(FOUR, "client_header_timeout 1s;");
    secure.site.file("a", "hello");
    let message = record(&hello(&[b'a'; 4000]));
    let mut socket = secure.socket();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let begun = Instant::now();
    // Each byte comes in time; all of them never would.
    let ended = message.iter().any(|byte| {
        let is_gone = socket.write_all(&[*byte]).is_err();
        // Waits a moment for the next, and sees the end.
        is_gone || !matches!(socket.read(&mut [0; 16]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    });
    assert!(ended, "the whole message was taken in");
    assert!(begun.elapsed() > Duration::from_millis(700), "{:?}", begun.elapsed());
    // At this pace all of it would take four minutes.
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(ask(&mut secure.connect(), "/a").starts_with("HTTP/1.1 200"));
    secure.site.stop();
}

#[test]
fn a_chain_of_certificates_without_end_is_refused() {
    let secure = Secure::start(
        FOUR,
        "ssl_verify_client optional_no_ca; location / { return 200 \"$ssl_client_verify hello\"; }",
    );
    let made = rcgen::generate_simple_self_signed(["client.test".to_string()]).unwrap();
    let key = || PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let one = made.cert.der().clone();
    // The server's certificate is not what this is about: who is asked is known by the port.
    for (count, is_good) in [(1, true), (20, true), (4000, false)] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let roots = builder.with_root_certificates(secure.roots.clone());
        let config = roots.with_client_auth_cert(vec![one.clone(); count], key()).unwrap();
        let mut client = secure.connect_with(Arc::new(config));
        let sent = write!(client, "GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        let mut text = Vec::new();
        let read = sent.and_then(|()| client.read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text);
        match is_good {
            true => assert!(text.starts_with("HTTP/1.1 200") && text.contains("FAILED"), "{count}: {read:?} {text}"),
            false => assert!(read.is_err() && text.is_empty(), "{count}: {text}"),
        }
    }
    assert!(ask(&mut secure.connect(), "/").contains("NONE hello"));
    assert_eq!(secure.site.workers(), 4);
    secure.site.stop();
}

#[test]
fn an_announcement_in_bytes_with_fields_comes_before_tls() {
    let made = rcgen::generate_simple_self_signed([NAME.to_string()]).unwrap();
    let dir = crate::site::Site::folder();
    std::fs::write(dir.path().join("quay.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.path().join("quay.key"), made.signing_key.serialize_pem()).unwrap();
    let site = crate::site::Site::start_in(
        dir,
        FOUR,
        "set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
        server { listen 127.0.0.1:%PORT1% ssl proxy_protocol; ssl_certificate %DIR%/quay.pem; ssl_certificate_key %DIR%/quay.key;
            return 200 \"$remote_addr $proxy_protocol_port $https hello\"; }",
    );
    let secure = trusting(site, &made.cert);
    // Version 2: addresses, then fields: a name (2), TLS as the proxy saw it (0x20) with fields in it, and one of ours (0xE0).
    let field = |kind: u8, body: &[u8]| [&[kind][..], &(body.len() as u16).to_be_bytes(), body].concat();
    let inner = [field(0x21, b"TLSv1.3"), field(0x23, b"TLS_AES_128_GCM_SHA256")].concat();
    for padding in [0, 300] {
        let fields = [
            field(2, NAME.as_bytes()),
            field(0x20, &[&[1, 0, 0, 0, 0][..], &inner].concat()),
            field(0xe0, &vec![b'x'; padding]),
        ]
        .concat();
        let addresses = [&[192, 0, 2, 7, 192, 0, 2, 8][..], &4711u16.to_be_bytes(), &443u16.to_be_bytes()].concat();
        let len = (addresses.len() + fields.len()) as u16;
        let signature = b"\r\n\r\n\0\r\nQUIT\n";
        let announcement = [&signature[..], &[0x21, 0x11], &len.to_be_bytes(), &addresses, &fields].concat();
        let mut client = secure.connect();
        client.sock.write_all(&announcement).unwrap();
        assert!(ask(&mut client, "/").ends_with("192.0.2.7 4711 on hello"), "{padding}");
    }
    secure.site.stop();
}

#[test]
fn a_name_that_is_no_hosts_is_told() {
    let secure = Secure::start(FOUR, "return 200 hello;");
    for (name, shown) in [
        (&b"localhost:443"[..], "localhost:443"),
        (b"my-app-.example", "my-app-.example"),
        (b"a\"b\n.test", "a\\x22b\\x0A.test"),
        (&[b'x'; 300], &"x".repeat(255)),
    ] {
        for size in [1, 100, 4000] {
            let line = format!(
                "client asked for the server name \"{shown}\" (SNI), which is no host name while SSL handshaking"
            );
            let before = secure.site.said_times(&line);
            let mut socket = secure.socket();
            for piece in record(&hello(name)).chunks(size) {
                socket.write_all(piece).unwrap();
            }
            assert!(!goes_on(&answer(&mut socket)), "{name:?}");
            wait_for("the line", || secure.site.said_times(&line) == before + 1);
        }
    }
    assert!(secure.site.said().lines().all(|line| !line.contains("no host name") || line.contains("[warn]")));
    let mut socket = secure.socket();
    socket.write_all(&record(&hello(b"10.0.0.1"))).unwrap();
    assert!(goes_on(&answer(&mut socket)), "an address is passed over, as by OpenSSL");
    drop(socket);
    secure.site.stop();
}
