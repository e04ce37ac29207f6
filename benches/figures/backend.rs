//! A server that requests are passed on to and that hardly works: it says one thing, or nothing, and holds every connection.
//! One thread, ended with its value. It must not know who passes requests on.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A listening backend.
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    held: AtomicUsize,
}

/// Whoever passes a request on sends its head at once.
const PATIENCE: Duration = Duration::from_secs(10);

impl Backend {
    /// Listens on a port that the kernel gives; each request is answered with `answer` and its connection held.
    pub fn start(answer: &'static [u8]) -> io::Result<Backend> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let run = move || hold(&listener, answer, &of_thread);
        let thread = std::thread::Builder::new().name("backend".into()).spawn(run)?;
        Ok(Backend { address, shared, thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until so many requests have come.
    pub fn wait_for(&self, requests: usize, limit: Duration) -> io::Result<()> {
        let end = Instant::now() + limit;
        while self.shared.held.load(Ordering::Relaxed) < requests {
            if Instant::now() >= end {
                let came = self.shared.held.load(Ordering::Relaxed);
                return Err(io::Error::other(format!("only {came} of {requests} requests came to the backend")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // The thread waits for a connection: here is one. Without it the thread stays, and ends with the bench.
        if TcpStream::connect(self.address).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A panic in there has nothing left to harm.
            let _ = thread.join();
        }
    }
}

fn hold(listener: &TcpListener, answer: &[u8], shared: &Shared) {
    let mut held = Vec::new();
    for stream in listener.incoming().flatten() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(stream) = take(stream, answer) {
            held.push(stream);
            shared.held.store(held.len(), Ordering::Relaxed);
        }
    }
}

fn take(mut stream: TcpStream, answer: &[u8]) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => head.extend_from_slice(&bytes[..n]),
        }
    }
    stream.write_all(answer)?;
    Ok(stream)
}
