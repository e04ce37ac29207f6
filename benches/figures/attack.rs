//! Clients that are slow on purpose: heads and bodies that arrive a byte at a time, downloads that are hardly read.
//! One thread keeps thousands of them going. It stands alone (std and socket2) so that tests can include it by path,
//! and it must not know who is attacked or what is measured meanwhile. Only loopback addresses are taken.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

/// How many slow clients of each kind, and how slow.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Clients that send a request head one byte at a time and never end it.
    pub heads: usize,
    /// Clients that announce a large body and send it one byte at a time.
    pub bodies: usize,
    /// Clients that ask for `download` and take 1 KiB each second.
    pub readers: usize,
    /// Time between two bytes of one slow head or body.
    pub drip: Duration,
    /// The request line of a slow body, such as `PUT /put/slow HTTP/1.1`.
    pub body_request: String,
    /// The path that slow readers ask for: a file larger than what the socket buffers hold.
    pub download: String,
}

/// What became of the clients so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Connections that stand now.
    pub open: usize,
    /// Connections that the server ended, or that were never made.
    pub lost: usize,
    /// Bytes that came from the server, over all clients.
    pub received: usize,
}

/// A running attack. It ends with [`Attack::stop`] or when it is dropped; either way every connection is closed.
pub struct Attack {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    planned: usize,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    open: AtomicUsize,
    lost: AtomicUsize,
    received: AtomicUsize,
}

/// Time between two reads of a slow reader, and how much it takes each time.
const READ_PAUSE: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 1024;
/// Connections made before the server gets a moment to accept them: well below any listener's backlog.
const BURST: usize = 100;

impl Attack {
    /// Starts to connect `plan`'s clients to `target` (127.0.0.0/8 only) and keeps them slow until stopped.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is not IPv4 loopback; whatever starting a thread gives.
    pub fn start(target: SocketAddr, plan: Plan) -> io::Result<Attack> {
        if !(target.is_ipv4() && target.ip().is_loopback()) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "only IPv4 loopback may be attacked"));
        }
        let shared = Arc::new(Shared::default());
        let planned = plan.heads + plan.bodies + plan.readers;
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("attack".into()).spawn(move || run(target, &plan, &of_thread))?;
        Ok(Attack { shared, thread: Some(thread), planned })
    }

    /// Waits until every client has connected or failed to; false when that takes longer than `limit`.
    pub fn wait_connected(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        loop {
            let counts = self.counts();
            if counts.open + counts.lost >= self.planned {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What became of the clients so far.
    pub fn counts(&self) -> Counts {
        Counts {
            open: self.shared.open.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed),
            received: self.shared.received.load(Ordering::Relaxed),
        }
    }

    /// Closes every connection and says what stood until then.
    pub fn stop(mut self) -> Counts {
        self.end();
        self.counts()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in there has nothing left to harm: its sockets are closed by then.
            let _ = thread.join();
        }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Head,
    Body,
    Reader,
}

struct Client {
    stream: TcpStream,
    kind: Kind,
    due: Instant,
}

/// Connects all clients, then serves two queues, each in the order of its clients' next turns.
fn run(target: SocketAddr, plan: &Plan, shared: &Shared) {
    let mut dripping = VecDeque::with_capacity(plan.heads + plan.bodies);
    let mut reading = VecDeque::with_capacity(plan.readers);
    for (number, kind) in kinds(plan).enumerate() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        if number % BURST == BURST - 1 {
            std::thread::sleep(Duration::from_millis(2));
        }
        match connect(target, number).and_then(|mut stream| begin(&mut stream, kind, plan).map(|()| stream)) {
            Ok(stream) => {
                shared.open.fetch_add(1, Ordering::Relaxed);
                let queue = if matches!(kind, Kind::Reader) { &mut reading } else { &mut dripping };
                queue.push_back(Client { stream, kind, due: Instant::now() });
            }
            Err(_) => {
                shared.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    spread(&mut dripping, plan.drip);
    spread(&mut reading, READ_PAUSE);
    while !shared.stop.load(Ordering::Relaxed) {
        serve_due(&mut dripping, plan.drip, shared);
        serve_due(&mut reading, READ_PAUSE, shared);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The kinds in turn (head, body, reader, head, ...) for as long as each has clients left, so that they come mixed.
fn kinds(plan: &Plan) -> impl Iterator<Item = Kind> + use<> {
    let mut left = [(Kind::Head, plan.heads), (Kind::Body, plan.bodies), (Kind::Reader, plan.readers)];
    let mut turn = 0;
    std::iter::from_fn(move || {
        for _ in 0..left.len() {
            turn = (turn + 1) % left.len();
            let (kind, count) = &mut left[turn];
            if *count > 0 {
                *count -= 1;
                return Some(*kind);
            }
        }
        None
    })
}

/// Eight source addresses, because one has only some 28,000 ports for one target. The small receive buffer leaves what
/// is not read with the server.
fn connect(target: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(8 * 1024)?;
    let source = Ipv4Addr::new(127, 0, 0, 2 + (number % 8) as u8);
    socket.bind(&SockAddr::from(SocketAddr::from((source, 0))))?;
    socket.connect_timeout(&target.into(), Duration::from_secs(5))?;
    socket.set_tcp_nodelay(true)?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn begin(stream: &mut TcpStream, kind: Kind, plan: &Plan) -> io::Result<()> {
    let start = match kind {
        Kind::Head => "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".to_owned(),
        Kind::Body => format!(
            "{}\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 100000\r\n\r\n",
            plan.body_request
        ),
        Kind::Reader => format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", plan.download),
    };
    stream.write_all(start.as_bytes())
}

/// First turns evenly over one period, so that the bytes come as a steady trickle and not as one burst.
fn spread(queue: &mut VecDeque<Client>, period: Duration) {
    let (now, count) = (Instant::now(), queue.len().max(1) as f64);
    for (place, client) in queue.iter_mut().enumerate() {
        client.due = now + period.mul_f64(place as f64 / count);
    }
}

fn serve_due(queue: &mut VecDeque<Client>, period: Duration, shared: &Shared) {
    let now = Instant::now();
    while queue.front().is_some_and(|client| client.due <= now) {
        let Some(mut client) = queue.pop_front() else { return };
        match act(&mut client) {
            Ok(received) => {
                shared.received.fetch_add(received, Ordering::Relaxed);
                client.due += period;
                queue.push_back(client);
            }
            Err(_) => {
                shared.open.fetch_sub(1, Ordering::Relaxed);
                shared.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// One turn: a slow sender sends its byte and looks whether it was answered, a slow reader takes a little.
fn act(client: &mut Client) -> io::Result<usize> {
    if !matches!(client.kind, Kind::Reader) {
        match client.stream.write(b"x") {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    let mut bytes = [0; READ_BYTES];
    match client.stream.read(&mut bytes) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(count) => Ok(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}
