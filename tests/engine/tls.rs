//! TLS under bad clients: half handshakes, handshakes byte by byte, clients that vanish, and many that ask nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::compress::{CertDecompressor, DecompressionFailed};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateCompressionAlgorithm, ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind,
    RootCertStore, SignatureScheme, StreamOwned,
};

use crate::site::{PATIENCE, Site, wait_for};
use crate::trusting::Trusting;

pub const NAME: &str = "quay.test";

/// A site with TLS on its first port, and what a client needs to trust it.
pub struct Secure {
    pub site: Site,
    pub config: Arc<ClientConfig>,
    /// Whom it trusts.
    pub roots: RootCertStore,
}

pub type Client = StreamOwned<ClientConnection, TcpStream>;

impl Secure {
    pub fn start(main: &str, server: &str) -> Secure {
        let made = rcgen::generate_simple_self_signed([NAME.to_string()]).unwrap();
        let dir = Site::folder();
        std::fs::write(dir.path().join("quay.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.path().join("quay.key"), made.signing_key.serialize_pem()).unwrap();
        let files = format!("{0}/quay.pem; ssl_certificate_key {0}/quay.key;", dir.path().display());
        let conf = format!("server {{ listen 127.0.0.1:%PORT1% ssl; ssl_certificate {files} {server} }}");
        let site = Site::start_in(dir, main, &conf);
        trusting(site, &made.cert)
    }

    pub fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", self.site.port())).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    pub fn connect(&self) -> Client {
        self.connect_with(self.config.clone())
    }

    pub fn connect_with(&self, config: Arc<ClientConfig>) -> Client {
        let name = ServerName::try_from(NAME).unwrap();
        StreamOwned::new(ClientConnection::new(config, name).unwrap(), self.socket())
    }

    /// The first message of a client.
    pub fn hello(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut client = ClientConnection::new(self.config.clone(), ServerName::try_from(NAME).unwrap()).unwrap();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }
}

/// Asks for a path whose answer ends with `hello`, and gives all of it.
pub fn ask(client: &mut Client, path: &str) -> String {
    write!(client, "GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n").unwrap();
    let mut text = Vec::new();
    let mut byte = [0; 4096];
    while !text.ends_with(b"hello") {
        let n = client.read(&mut byte).unwrap();
        assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&byte[..n]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Four workers, and room for many connections.
pub const FOUR: &str = "worker_rlimit_nofile 4096; events { worker_connections 3000; } thread_pool default threads=4;";

#[test]
fn half_handshakes_hold_no_thread_and_end() {
    let secure = Secure::start(FOUR, "client_header_timeout 3s;");
    secure.site.file("a", "hello");
    let hello = secure.hello();
    let mut halves: Vec<TcpStream> = (0..1000)
        .map(|n| {
            let mut socket = secure.socket();
            // Some say nothing, some a part of their first message, some all of it and then nothing.
            let part = [0, 1, 100, hello.len()][n % 4];
            socket.write_all(&hello[..part]).unwrap();
            socket
        })
        .collect();
    let start = Instant::now();
    for _ in 0..20 {
        assert!(ask(&mut secure.connect(), "/a").starts_with("HTTP/1.1 200"));
    }
    // Were threads held, each of the twenty would wait for a `client_header_timeout` and more.
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert_eq!(secure.site.workers(), 4);
    // What a half handshake got is read to its end: the server closes.
    for half in &mut halves {
        let mut rest = Vec::new();
        let ended = half.read_to_end(&mut rest);
        assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    }
    assert!(ask(&mut secure.connect(), "/a").starts_with("HTTP/1.1 200"));
    secure.site.stop();
}

#[test]
fn a_handshake_that_comes_byte_by_byte_is_one() {
    let secure = Secure::start(FOUR, "");
    secure.site.file("a", "hello");
    let mut client = secure.connect();
    let mut first = Vec::new();
    client.conn.write_tls(&mut first).unwrap();
    for byte in first.chunks(1) {
        client.sock.write_all(byte).unwrap();
    }
    assert!(ask(&mut client, "/a").starts_with("HTTP/1.1 200"));
    // A record in pieces, too.
    write!(client.conn.writer(), "GET /a HTTP/1.1\r\nHost: {NAME}\r\n\r\n").unwrap();
    let mut record = Vec::new();
    client.conn.write_tls(&mut record).unwrap();
    for byte in record.chunks(1) {
        client.sock.write_all(byte).unwrap();
    }
    let mut answer = [0; 15];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    secure.site.stop();
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    let secure = Secure::start(FOUR, "");
    secure.site.file("a", "hello");
    assert!(ask(&mut secure.connect(), "/a").starts_with("HTTP/1.1 200"));
    let before = secure.site.descriptors();
    for n in 0..200 {
        let mut client = secure.connect();
        if n % 2 == 0 {
            ask(&mut client, "/a");
        } else {
            client.sock.write_all(&secure.hello()[..50]).unwrap();
        }
        // No goodbye: the socket is closed as it is.
        drop(client);
    }
    wait_for("the descriptors of clients that left", || secure.site.descriptors() <= before);
    secure.site.stop();
}

#[test]
fn an_idle_client_costs_little() {
    const CLIENTS: usize = 500;
    let secure = Secure::start(FOUR, "keepalive_timeout 1h;");
    secure.site.file("a", "hello");
    for _ in 0..50 {
        ask(&mut secure.connect(), "/a");
    }
    let Some(before) = secure.site.memory() else { return };
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| secure.connect()).collect();
    clients.iter_mut().for_each(|client| drop(ask(client, "/a")));
    let after = secure.site.memory().unwrap_or(before);
    let each = after.saturating_sub(before) / CLIENTS;
    assert!(each < 12, "{each} KiB each, {before} before and {after} after");
    clients.iter_mut().for_each(|client| drop(ask(client, "/a")));
    secure.site.stop();
}

#[test]
fn connections_outlive_a_reload() {
    let secure = Secure::start(FOUR, "");
    secure.site.file("a", "hello");
    let mut client = secure.connect();
    assert!(ask(&mut client, "/a").contains("200 OK"));
    secure.site.signal(nix::sys::signal::Signal::SIGHUP);
    for _ in 0..20 {
        assert!(ask(&mut client, "/a").contains("200 OK"));
    }
    secure.site.stop();
}

/// The client goes on with its body as if nothing had come; the answer has to be there when it is done.
#[test]
fn an_answer_before_the_body_was_read_is_seen_whole() {
    let secure = Secure::start(FOUR, "client_max_body_size 10m; location / { return 200 hello; }");
    for (field, piece) in [("close", 1000), ("close", 16_384), ("close", 200_000), ("keep-alive", 200_000)] {
        for size in [200_000, 2_000_000] {
            let mut client = secure.connect();
            let head =
                format!("POST / HTTP/1.1\r\nHost: {NAME}\r\nConnection: {field}\r\nContent-Length: {size}\r\n\r\n");
            client.write_all(head.as_bytes()).unwrap();
            let body = vec![b'x'; size];
            for part in body.chunks(piece) {
                client.write_all(part).unwrap_or_else(|error| panic!("{field}, {size} by {piece}: {error}"));
            }
            let mut text = Vec::new();
            while !text.ends_with(b"hello") {
                let mut bytes = [0; 4096];
                let n = client.read(&mut bytes).unwrap_or_else(|error| panic!("{field}, {size} by {piece}: {error}"));
                assert!(n > 0, "{field}, {size} by {piece}: closed after {:?}", String::from_utf8_lossy(&text));
                text.extend_from_slice(&bytes[..n]);
            }
            if field == "close" {
                assert_eq!(client.read(&mut [0]).unwrap(), 0, "{size} by {piece}");
            }
        }
    }
    secure.site.stop();
}

/// An event stream begins with its head, however long it has no event: nothing of it is kept back for the first one.
#[test]
fn the_head_of_a_response_that_has_nothing_yet_comes_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let secure = Secure::start("", &format!("location / {{ proxy_pass http://127.0.0.1:{port}; }}"));
    let mut client = secure.connect();
    client.write_all(format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n").as_bytes()).unwrap();
    let (mut there, _) = listener.accept().unwrap();
    there.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).expect("the head comes, though no piece of the body does");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&head));
    there.write_all(b"data: 1\n\n").unwrap();
    drop(there);
    let mut rest = String::new();
    while !rest.contains("data: 1\n\n") {
        client.read_exact(&mut byte).unwrap();
        rest.push(char::from(byte[0]));
    }
}

/// Much more in one piece than rustls keeps, in records of several sizes, right behind the handshake and later.
#[test]
fn a_large_body_is_passed_on_whole() {
    let body: Vec<u8> = (0..600_000u32).map(|n| (n % 251) as u8).collect();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let location = format!("location / {{ proxy_pass http://{}; }}", listener.local_addr().unwrap());
    let secure = Secure::start(FOUR, &format!("client_max_body_size 10m; {location}"));
    for piece in [211, 1000, 16_384, body.len()] {
        let mut client = secure.connect();
        let head = format!("POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {}\r\n\r\n", body.len());
        // The first bytes lie in the session until the handshake is done and go out with its end.
        client.conn.writer().write_all(head.as_bytes()).unwrap();
        client.conn.writer().write_all(&body[..40_000]).unwrap();
        body[40_000..].chunks(piece).for_each(|part| client.write_all(part).unwrap());
        let (mut upstream, _) = listener.accept().unwrap();
        upstream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut came = Vec::new();
        while !came.ends_with(&body) {
            let mut bytes = [0; 65_536];
            let n = upstream.read(&mut bytes).unwrap();
            assert!(n > 0 && came.len() < 2 * body.len(), "by {piece}: {} bytes came", came.len());
            came.extend_from_slice(&bytes[..n]);
        }
        upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        let mut text = Vec::new();
        while !text.ends_with(b"hello") {
            let mut bytes = [0; 4096];
            let n = client.read(&mut bytes).unwrap();
            assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&bytes[..n]);
        }
    }
    secure.site.stop();
}

#[test]
fn a_session_is_taken_up_after_a_reload() {
    let secure = Secure::start(FOUR, "");
    secure.site.file("a", "hello");
    let mut client = secure.connect();
    ask(&mut client, "/a");
    assert_eq!(client.conn.handshake_kind(), Some(HandshakeKind::Full));
    let conf = secure.site.read("server.conf");
    std::fs::write(secure.site.path("server.conf"), conf + "\n# touched\n").unwrap();
    secure.site.signal(nix::sys::signal::Signal::SIGHUP);
    wait_for("the reload is done", || secure.site.said().contains("the new configuration is in force"));
    for _ in 0..3 {
        let mut client = secure.connect();
        ask(&mut client, "/a");
        assert_eq!(client.conn.handshake_kind(), Some(HandshakeKind::Resumed));
    }
    secure.site.stop();
}

/// Remembers what the server sent along with its certificate.
#[derive(Debug)]
struct Stapled {
    inner: Arc<WebPkiServerVerifier>,
    seen: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for Stapled {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.seen.lock().unwrap() = stapled.to_vec();
        self.inner.verify_server_cert(end, chain, name, stapled, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, end, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, end, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Says which way a certificate came.
#[derive(Debug)]
struct Opening(CertificateCompressionAlgorithm, Arc<Mutex<usize>>);

impl CertDecompressor for Opening {
    fn decompress(&self, input: &[u8], output: &mut [u8]) -> Result<(), DecompressionFailed> {
        *self.1.lock().unwrap() += 1;
        let all = rustls::compress::default_cert_decompressors();
        all.iter().find(|one| one.algorithm() == self.0).unwrap().decompress(input, output)
    }

    fn algorithm(&self) -> CertificateCompressionAlgorithm {
        self.0
    }
}

#[test]
fn a_certificate_comes_in_fewer_bytes() {
    for (server, times) in [("return 200 hello;", 1), ("ssl_certificate_compression off; return 200 hello;", 0)] {
        let secure = Secure::start(FOUR, server);
        for algorithm in [CertificateCompressionAlgorithm::Brotli, CertificateCompressionAlgorithm::Zlib] {
            let mut config = ClientConfig::clone(&secure.config);
            let opened = Arc::new(Mutex::new(0));
            config.resumption = Resumption::disabled();
            // It lives as long as the test: the library wants it for good.
            config.cert_decompressors = vec![Box::leak(Box::new(Opening(algorithm, opened.clone())))];
            let mut client = secure.connect_with(Arc::new(config));
            assert!(ask(&mut client, "/").ends_with("hello"));
            assert_eq!(*opened.lock().unwrap(), times, "{algorithm:?} {server}");
        }
        secure.site.stop();
    }
}

/// Notes whom a server names that vouches for clients, and shows nothing.
#[derive(Debug, Default)]
struct Listening(Mutex<Vec<Vec<u8>>>);

impl ResolvesClientCert for Listening {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.0.lock().unwrap() = hints.iter().map(|hint| hint.to_vec()).collect();
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn clients_are_told_each_authority_once() {
    let make = |name: &str| {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    };
    // An authority that has changed its key, between two others.
    let authorities = ["one", "two", "one", "three", "two"].map(make).concat();
    let secure = Secure::start(FOUR, "return 200 hello;");
    std::fs::write(secure.site.path("authorities.pem"), &authorities).unwrap();
    let conf =
        "server { listen 127.0.0.1:%PORT1% ssl; ssl_certificate %DIR%/quay.pem; ssl_certificate_key %DIR%/quay.key;
        ssl_verify_client optional; ssl_client_certificate %DIR%/authorities.pem; return 200 hello; }";
    secure.site.reload(FOUR, conf);
    let told = || {
        let listening = Arc::new(Listening::default());
        let mut config = ClientConfig::clone(&secure.config);
        config.resumption = Resumption::disabled();
        config.client_auth_cert_resolver = listening.clone();
        ask(&mut secure.connect_with(Arc::new(config)), "/");
        let told = listening.0.lock().unwrap();
        told.iter().map(|name| String::from_utf8_lossy(&name[name.len() - 3..]).into_owned()).collect::<Vec<_>>()
    };
    wait_for("the new conf", || !told().is_empty());
    assert_eq!(told(), ["one", "two", "ree"]);
    secure.site.stop();
}

/// The certificate that a server shows to a client that asks for this name, or what ended the handshake.
fn shown(secure: &Secure, name: &str) -> Result<Vec<u8>, std::io::Error> {
    let mut config = ClientConfig::clone(&secure.config);
    config.resumption = Resumption::disabled();
    let provider = config.crypto_provider().clone();
    config.dangerous().set_certificate_verifier(Arc::new(Trusting(provider)));
    let name = ServerName::try_from(name.to_string()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = secure.socket();
    while client.is_handshaking() {
        client.complete_io(&mut socket)?;
    }
    Ok(client.peer_certificates().unwrap()[0].to_vec())
}

#[test]
fn certificates_that_variables_name_are_found_in_each_handshake() {
    let dir = Site::folder();
    let write = |folder: &std::path::Path, name: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_string()]).unwrap();
        // The key first: whoever reads both finds a pair or none.
        std::fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
        made.cert.der().to_vec()
    };
    let quay = rcgen::generate_simple_self_signed([NAME.to_string()]).unwrap();
    let (one, two) = (write(dir.path(), "one.test"), write(dir.path(), "two.test"));
    let server = |cache: &str| {
        format!(
            "server {{ listen 127.0.0.1:%PORT1% ssl; ssl_certificate %DIR%/$ssl_server_name.pem;
                ssl_certificate_key %DIR%/$ssl_server_name.key; {cache} return 200 hello; }}"
        )
    };
    let secure = trusting(Site::start_in(dir, FOUR, &server("")), &quay.cert);
    assert_eq!(shown(&secure, "one.test").unwrap(), one);
    assert_eq!(shown(&secure, "two.test").unwrap(), two);
    assert!(shown(&secure, "three.test").is_err());
    let folder = secure.site.path(".");
    let three = write(&folder, "three.test");
    assert_eq!(shown(&secure, "three.test").unwrap(), three);
    let one = write(&folder, "one.test");
    assert_eq!(shown(&secure, "one.test").unwrap(), one, "a renewed one is shown at once");

    secure.site.reload(FOUR, &server("ssl_certificate_cache max=1 inactive=1h valid=1h;"));
    wait_for("the new conf", || {
        let first = shown(&secure, "one.test").unwrap();
        write(&folder, "one.test");
        shown(&secure, "one.test").unwrap() == first
    });
    shown(&secure, "two.test").unwrap();
    let one = write(&folder, "one.test");
    assert_eq!(shown(&secure, "one.test").unwrap(), one, "the other one took its place");
    secure.site.stop();
}

#[test]
fn what_a_variable_names_is_read_by_the_servers_user() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can start a server that drops root's rights");
        return;
    }
    let dir = Site::folder();
    let quay = rcgen::generate_simple_self_signed([NAME.to_string()]).unwrap();
    for (name, mode) in [("open.test", 0o644), ("closed.test", 0o600)] {
        let made = rcgen::generate_simple_self_signed([name.to_string()]).unwrap();
        std::fs::write(dir.path().join(format!("{name}.pem")), made.cert.pem()).unwrap();
        let key = dir.path().join(format!("{name}.key"));
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let server = "server { listen 127.0.0.1:%PORT1% ssl; ssl_certificate %DIR%/$ssl_server_name.pem;
        ssl_certificate_key %DIR%/$ssl_server_name.key; return 200 hello; }";
    let secure = trusting(Site::start_in(dir, &format!("user nobody; {FOUR}"), server), &quay.cert);
    shown(&secure, "open.test").unwrap();
    assert!(shown(&secure, "closed.test").is_err());
    let line = "closed.test.key\": BIO_new_file() failed (SSL: error:8000000D:system library::Permission denied:calling fopen(";
    wait_for("the line", || secure.site.said().contains(line));
    secure.site.stop();
}

#[test]
fn what_stands_in_the_stapling_file_is_sent_along() {
    // RFC 6960 section 4.2.1: an OCSPResponse whose status is "try later", the smallest that says something.
    const LATER: &[u8] = &[0x30, 3, 0x0a, 1, 3];
    let made = rcgen::generate_simple_self_signed([NAME.to_string()]).unwrap();
    let dir = Site::folder();
    std::fs::write(dir.path().join("quay.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.path().join("quay.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.path().join("quay.der"), LATER).unwrap();
    let site = Site::start_in(
        dir,
        FOUR,
        "server { listen 127.0.0.1:%PORT1% ssl; ssl_certificate %DIR%/quay.pem; ssl_certificate_key %DIR%/quay.key;
            ssl_stapling on; ssl_stapling_file %DIR%/quay.der; return 200 hello; }",
    );
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let verifier = Arc::new(Stapled { inner, seen: Mutex::default() });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier.clone()).with_no_client_auth();
    config.resumption = Resumption::disabled();
    let secure = Secure { site, config: Arc::new(config), roots: RootCertStore::empty() };
    let mut client = secure.connect();
    ask(&mut client, "/");
    assert_eq!(*verifier.seen.lock().unwrap(), LATER);
    secure.site.stop();
}

#[test]
fn an_announced_client_speaks_tls() {
    let made = rcgen::generate_simple_self_signed([NAME.to_string()]).unwrap();
    let dir = Site::folder();
    std::fs::write(dir.path().join("quay.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.path().join("quay.key"), made.signing_key.serialize_pem()).unwrap();
    let site = Site::start_in(
        dir,
        FOUR,
        "set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
        server { listen 127.0.0.1:%PORT1% ssl proxy_protocol; ssl_certificate %DIR%/quay.pem; ssl_certificate_key %DIR%/quay.key;
            return 200 \"$remote_addr $proxy_protocol_addr $https hello\"; }",
    );
    let secure = trusting(site, &made.cert);
    let mut client = secure.connect();
    client.sock.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\n").unwrap();
    assert!(ask(&mut client, "/").ends_with("192.0.2.7 192.0.2.7 on hello"));
    // Without the announcement the bytes of TLS are no line of it.
    let mut client = secure.connect();
    assert!(write!(client, "GET / HTTP/1.1\r\n\r\n").and_then(|()| client.read(&mut [0; 16])).map_or(true, |n| n == 0));
    secure.site.stop();
}

#[test]
fn a_key_that_only_root_may_read_is_renewed() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can start a server that drops root's rights");
        return;
    }
    let write = |dir: &std::path::Path, made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        std::fs::write(dir.join("quay.pem"), made.cert.pem()).unwrap();
        let key = dir.join("keys/quay.key");
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let make = || rcgen::generate_simple_self_signed([NAME.to_string()]).unwrap();
    let (first, second) = (make(), make());
    let dir = Site::folder();
    std::fs::create_dir(dir.path().join("keys")).unwrap();
    std::fs::set_permissions(dir.path().join("keys"), std::fs::Permissions::from_mode(0o700)).unwrap();
    write(dir.path(), &first);
    let site = Site::start_in(
        dir,
        &format!("user nobody; {FOUR}"),
        "server { listen 127.0.0.1:%PORT1% ssl; ssl_certificate %DIR%/quay.pem; ssl_certificate_key %DIR%/keys/quay.key;
            return 200 hello; }",
    );
    let mut secure = trusting(site, &first.cert);
    ask(&mut secure.connect(), "/");

    write(&secure.site.path("."), &second);
    secure.site.signal(nix::sys::signal::Signal::SIGHUP);
    let renewed = trusting(secure.site, &second.cert);
    secure = renewed;
    wait_for("the new certificate is shown", || {
        let mut client = secure.connect();
        write!(client, "GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n").is_ok()
    });

    std::fs::write(secure.site.path("keys/quay.key"), "no key\n").unwrap();
    secure.site.signal(nix::sys::signal::Signal::SIGHUP);
    wait_for("the broken key is named", || secure.site.said().contains("holds no private key"));
    ask(&mut secure.connect(), "/");
    // The refused conf is in the log at level emerg, so that a stop could not find the log without alarms.
    secure.site.signal(nix::sys::signal::Signal::SIGQUIT);
    assert_eq!(secure.site.ended(), Some(0));
}

/// A client that trusts this certificate alone.
pub fn trusting(site: Site, certificate: &rcgen::Certificate) -> Secure {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots.clone()).with_no_client_auth();
    Secure { site, config: Arc::new(config), roots }
}
