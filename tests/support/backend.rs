//! The programs behind a gateway that a case brings along: each listens while the case runs, reads requests in its
//! protocol and answers as its script says. Knows what the protocols look like from the other end, and no server.

use super::case::{Act, Backend, Protocol};
use super::sealed::{self, Sealed};
use super::server::Place;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a backend waits for the server's bytes, and holds what it was told to hold.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits for the server to take its own: as long as a case may take, since a busy machine may leave a server out for long.
const TAKEN: Duration = Duration::from_secs(60);

/// The backends of a running case; they end when it is dropped.
pub struct Backends {
    doors: Vec<(Door, Arc<AtomicBool>, Option<JoinHandle<()>>)>,
}

/// How to reach a backend.
#[derive(Clone)]
enum Door {
    Port(u16),
    Unix(std::path::PathBuf),
}

/// What connections of one door share.
struct Shared {
    protocol: Protocol,
    scripts: Vec<Vec<Act>>,
    early: bool,
    keep: bool,
    asked: AtomicUsize,
    stop: Arc<AtomicBool>,
    log: Mutex<std::fs::File>,
}

/// One request as a backend reads it.
#[derive(Default)]
struct Request {
    params: Vec<(String, String)>,
    /// The head as it came, where the protocol has one.
    head: Vec<u8>,
    body: Vec<u8>,
    keep: bool,
}

trait Wire: Read + Write + Send {
    fn reset(&self);
    fn patience(&self, time: Duration);
    fn half_close(&mut self);
    /// How this connection is spoken to in TLS.
    fn tls(&self) -> String {
        "plain\n".into()
    }
}

impl Wire for Sealed {
    fn reset(&self) {
        self.socket().reset();
    }
    fn patience(&self, time: Duration) {
        self.socket().patience(time);
    }
    fn half_close(&mut self) {
        self.goodbye();
    }
    fn tls(&self) -> String {
        self.told()
    }
}

impl Wire for TcpStream {
    fn reset(&self) {
        // Without lingering, closing throws away what was not sent and resets.
        let _ = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
    fn patience(&self, time: Duration) {
        let _ = self.set_read_timeout(Some(time));
        let _ = self.set_write_timeout(Some(TAKEN));
    }
    fn half_close(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Wire for UnixStream {
    fn reset(&self) {}
    fn patience(&self, time: Duration) {
        let _ = self.set_read_timeout(Some(time));
        let _ = self.set_write_timeout(Some(TAKEN));
    }
    fn half_close(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Backends {
    /// Starts all backends of a case. Sections for one door are its scripts, used one after the other, the last again and again.
    pub fn start(backends: &[Backend], place: &Place) -> Result<Backends, String> {
        let mut started = Backends { doors: Vec::new() };
        let mut rest: Vec<&Backend> = backends.iter().collect();
        while let Some(first) = rest.first().copied() {
            let (same, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|backend| backend.at == first.at);
            rest = others;
            let stop = Arc::new(AtomicBool::new(false));
            let log = std::fs::OpenOptions::new().create(true).append(true).open(place.dir.path().join("backend.log"));
            let shared = Arc::new(Shared {
                protocol: first.protocol,
                scripts: same.iter().map(|backend| filled(&backend.script, place)).collect(),
                early: first.early,
                keep: first.keep,
                asked: AtomicUsize::new(0),
                stop: stop.clone(),
                log: Mutex::new(log.map_err(|e| format!("backend.log: {e}"))?),
            });
            let (door, thread) = listen(first, place, shared)?;
            started.doors.push((door, stop, Some(thread)));
        }
        Ok(started)
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        for (door, stop, thread) in &mut self.doors {
            stop.store(true, SeqCst);
            // Whoever waits in accept is woken by one more connection.
            match door {
                Door::Port(port) => drop(TcpStream::connect(("127.0.0.1", *port))),
                Door::Unix(path) => drop(UnixStream::connect(path)),
            }
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}

fn filled(script: &[Act], place: &Place) -> Vec<Act> {
    let fill = |act: &Act| match act {
        Act::Send(bytes) => Act::Send(place.fill(bytes)),
        Act::Errors(bytes) => Act::Errors(place.fill(bytes)),
        other => other.clone(),
    };
    script.iter().map(fill).collect()
}

fn listen(backend: &Backend, place: &Place, shared: Arc<Shared>) -> Result<(Door, JoinHandle<()>), String> {
    let said = |e: std::io::Error| format!("backend at {}: {e}", backend.at);
    if let Some(path) = backend.at.strip_prefix("unix:") {
        let path = std::path::PathBuf::from(place.fill_str(path));
        let listener = UnixListener::bind(&path).map_err(said)?;
        // The server under test may be another user.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).map_err(said)?;
        let thread = std::thread::spawn(move || serve(&shared, || Ok(Box::new(listener.accept()?.0))));
        return Ok((Door::Unix(path), thread));
    }
    let n: usize = backend.at.parse().map_err(|_| "a backend needs port=2 to 9, or unix=PATH".to_string())?;
    let port = *place.ports.get(n - 1).ok_or(format!("no %PORT{n}% in the conf"))?;
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(said)?;
    let config = backend.certificate.as_ref().map(|name| sealed::config(name, place)).transpose()?;
    let accept = move || -> std::io::Result<Box<dyn Wire>> {
        let (socket, _) = listener.accept()?;
        Ok(match &config {
            Some(config) => Box::new(Sealed::over(socket, config).map_err(std::io::Error::other)?),
            None => Box::new(socket),
        })
    };
    let thread = std::thread::spawn(move || serve(&shared, accept));
    Ok((Door::Port(port), thread))
}

fn serve(shared: &Arc<Shared>, mut accept: impl FnMut() -> std::io::Result<Box<dyn Wire>>) {
    let mut threads = Vec::new();
    let mut number = 0;
    while let Ok(wire) = accept() {
        if shared.stop.load(SeqCst) {
            break;
        }
        number += 1;
        let shared = shared.clone();
        threads.push(std::thread::spawn(move || {
            shared.note(&format!("connection {number} opened"));
            converse(&shared, wire, number);
        }));
    }
    threads.into_iter().for_each(|thread| drop(thread.join()));
}

impl Shared {
    fn note(&self, line: &str) {
        let mut log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A line that cannot be written is missed by whoever looks for it.
        let _ = log.write_all(format!("{line}\n").as_bytes());
    }
}

fn converse(shared: &Shared, mut wire: Box<dyn Wire>, number: usize) {
    wire.patience(Duration::from_millis(20));
    let mut ahead = Vec::new();
    for nth in 1.. {
        let request = if shared.early {
            Request::default()
        } else {
            match receive(shared, wire.as_mut(), &mut ahead) {
                Some(request) => request,
                None => return shared.note(&format!("connection {number} closed by the server")),
            }
        };
        shared.note(&format!("connection {number} request {nth}"));
        let script = shared.asked.fetch_add(1, SeqCst).min(shared.scripts.len() - 1);
        let mut turn = Turn { shared, wire: wire.as_mut(), request, number, nth };
        if !turn.play(&shared.scripts[script]) {
            break;
        }
    }
}

/// One request and its answer.
struct Turn<'a> {
    shared: &'a Shared,
    wire: &'a mut dyn Wire,
    request: Request,
    number: usize,
    nth: usize,
}

impl Turn<'_> {
    /// Whether the connection goes on.
    fn play(&mut self, script: &[Act]) -> bool {
        let is_fastcgi = self.shared.protocol == Protocol::FastCgi;
        for act in script {
            let went = match act {
                Act::Send(bytes) if is_fastcgi => self.records(6, bytes),
                Act::Send(bytes) | Act::Raw(bytes) => self.write(bytes),
                Act::Errors(bytes) => self.records(7, bytes),
                Act::Params | Act::Body | Act::Head | Act::Number | Act::Tls => {
                    let text = self.told(act);
                    if is_fastcgi { self.records(6, &text) } else { self.write(&text) }
                }
                Act::Note => {
                    let Request { head, body, .. } = &self.request;
                    self.shared.note(&String::from_utf8_lossy(&[&head[..], body].concat()).replace('\r', ""));
                    true
                }
                Act::Pause(ms) => {
                    std::thread::sleep(Duration::from_millis(*ms));
                    true
                }
                Act::Close => return false,
                Act::HalfClose => {
                    self.wire.half_close();
                    true
                }
                Act::Reset => {
                    self.wire.reset();
                    return false;
                }
                Act::Hold => {
                    self.hold();
                    return false;
                }
            };
            if !went {
                self.shared.note(&format!("connection {} closed by the server", self.number));
                return false;
            }
        }
        if is_fastcgi {
            let end = [record(6, b""), record(3, &[0; 8])].concat();
            return self.write(&end) && self.request.keep;
        }
        self.shared.keep
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        self.wire.write_all(bytes).is_ok() && self.wire.flush().is_ok()
    }

    fn records(&mut self, kind: u8, bytes: &[u8]) -> bool {
        let all: Vec<u8> = bytes.chunks(60_000).flat_map(|piece| record(kind, piece)).collect();
        self.write(&all)
    }

    fn told(&self, act: &Act) -> Vec<u8> {
        match act {
            Act::Params => {
                let lines = self.request.params.iter().map(|(name, value)| format!("{name}={value}\n"));
                lines.collect::<String>().into_bytes()
            }
            Act::Body => self.request.body.clone(),
            Act::Head => self.request.head.clone(),
            Act::Tls => self.wire.tls().into_bytes(),
            _ => format!("connection {} request {}\n", self.number, self.nth).into_bytes(),
        }
    }

    /// Says nothing until the server leaves or the case is over.
    fn hold(&mut self) {
        let end = Instant::now() + PATIENCE;
        let mut bytes = [0; 4096];
        while Instant::now() < end && !self.shared.stop.load(SeqCst) {
            match self.wire.read(&mut bytes) {
                Ok(1..) => {}
                Err(e) if is_patient(&e) => {}
                Ok(0) | Err(_) => {
                    return self.shared.note(&format!("connection {} closed by the server", self.number));
                }
            }
        }
    }
}

fn is_patient(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = (content.len() as u16).to_be_bytes();
    [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
}

/// Reads one request; none when the server closes before it is whole, or the case is over.
fn receive(shared: &Shared, wire: &mut dyn Wire, ahead: &mut Vec<u8>) -> Option<Request> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some((request, used)) = parse(shared.protocol, ahead) {
            ahead.drain(..used);
            return Some(request);
        }
        let mut bytes = [0; 1 << 16];
        match wire.read(&mut bytes) {
            Ok(0) => return None,
            Ok(n) => ahead.extend_from_slice(&bytes[..n]),
            Err(e) if is_patient(&e) && Instant::now() < end && !shared.stop.load(SeqCst) => {}
            Err(_) => return None,
        }
    }
}

/// A request at the start of the bytes, and how many they are.
fn parse(protocol: Protocol, bytes: &[u8]) -> Option<(Request, usize)> {
    match protocol {
        Protocol::Http => parse_http(bytes),
        Protocol::FastCgi => parse_fastcgi(bytes),
        Protocol::Scgi => {
            let colon = bytes.iter().position(|b| *b == b':')?;
            let len: usize = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
            let texts = bytes.get(colon + 1..colon + 1 + len)?.split(|b| *b == 0).map(text).collect::<Vec<_>>();
            let params = texts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            with_body(params, bytes, colon + len + 2)
        }
        Protocol::Uwsgi => {
            let len = usize::from(u16::from_le_bytes([*bytes.get(1)?, *bytes.get(2)?]));
            let (mut rest, mut params) = (bytes.get(4..4 + len)?, Vec::new());
            params.push(("modifiers".into(), format!("{} {}", bytes[0], *bytes.get(3)?)));
            while let Some((name, value, behind)) = pair(rest) {
                params.push((name, value));
                rest = behind;
            }
            if !rest.is_empty() {
                params.push(("rest".into(), text(rest)));
            }
            with_body(params, bytes, 4 + len)
        }
    }
}

/// A name and a value of a uwsgi packet, and what stands behind them.
fn pair(bytes: &[u8]) -> Option<(String, String, &[u8])> {
    let (size, rest) = bytes.split_at_checked(2)?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([size[0], size[1]])))?;
    let (size, rest) = rest.split_at_checked(2)?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([size[0], size[1]])))?;
    Some((text(name), text(value), rest))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn with_body(params: Vec<(String, String)>, bytes: &[u8], from: usize) -> Option<(Request, usize)> {
    let find = |wanted: &str| params.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.parse().ok());
    let len: usize = find("CONTENT_LENGTH").or_else(|| find("HTTP_CONTENT_LENGTH")).unwrap_or(0);
    let body = bytes.get(from..from + len)?.to_vec();
    Some((Request { params, body, ..Request::default() }, from + len))
}

fn parse_http(bytes: &[u8]) -> Option<(Request, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = text(&bytes[..end]);
    let value = |wanted: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_string())
    };
    let request = |body: &[u8]| Request { head: bytes[..end].to_vec(), body: body.to_vec(), ..Request::default() };
    if value("transfer-encoding").is_some() {
        let rest = &bytes[end..];
        let last = if rest.starts_with(b"0\r\n\r\n") {
            Some(0)
        } else {
            rest.windows(7).position(|w| w == b"\r\n0\r\n\r\n").map(|at| at + 2)
        };
        let len = last? + 5;
        return Some((request(&rest[..len]), end + len));
    }
    let len: usize = value("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    Some((request(bytes.get(end..end + len)?), end + len))
}

/// Records up to the empty STDIN that ends the body.
fn parse_fastcgi(bytes: &[u8]) -> Option<(Request, usize)> {
    let (mut request, mut stream, mut at) = (Request::default(), Vec::new(), 0);
    loop {
        let header = bytes.get(at..at + 8)?;
        let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let content = bytes.get(at + 8..at + 8 + len)?;
        at += 8 + len + usize::from(header[6]);
        match header[1] {
            1 => request.keep = content.get(2).is_some_and(|flags| flags & 1 == 1),
            4 => stream.extend_from_slice(content),
            5 if len == 0 => break,
            5 => request.body.extend_from_slice(content),
            _ => {}
        }
    }
    let mut rest = stream.as_slice();
    while !rest.is_empty() {
        let (name, value) = (length(&mut rest)?, length(&mut rest)?);
        request.params.push((text(rest.get(..name)?), text(rest.get(name..name + value)?)));
        rest = &rest[name + value..];
    }
    (at <= bytes.len()).then_some((request, at))
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    let (value, used) = match *rest {
        [short @ 0..=127, ..] => (usize::from(*short), 1),
        [a, b, c, d, ..] => (u32::from_be_bytes([a & 127, *b, *c, *d]) as usize, 4),
        _ => return None,
    };
    *rest = &rest[used..];
    Some(value)
}
