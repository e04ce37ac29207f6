//! A large file on its way to a server and back: made while it is sent, compared by its SHA-256 when it comes back, and the
//! server's memory watched meanwhile. It must not know which server that is, or how a file gets its name.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::census;
use crate::client::{self, Head};

/// Bytes that are sent and read at once.
const BLOCK: usize = 256 * 1024;
/// A disk that is busy with what came before may keep a server for longer than any answer takes.
const LIMIT: Duration = Duration::from_secs(120);
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What the file holds: blocks of noise that bear their own place, so that one which is lost, doubled or swapped shows.
pub struct Content {
    noise: Vec<u8>,
    bytes: u64,
    hash: [u8; 32],
}

/// The head of a request, and what stands around the file in its body.
pub struct Request {
    pub line: String,
    pub fields: String,
    pub before: Vec<u8>,
    pub behind: Vec<u8>,
}

impl Content {
    /// A file of so many MiB.
    pub fn new(mib: usize) -> Content {
        let mut noise = vec![0; BLOCK];
        fastrand::Rng::with_seed(1).fill(&mut noise);
        let mut content = Content { noise, bytes: mib as u64 * 1024 * 1024, hash: [0; 32] };
        let mut hash = Sha256::new();
        content.each(|block| hash.update(block));
        content.hash = hash.finalize().into();
        content
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Sends the file and reads the answer's status.
    ///
    /// # Errors
    /// Also when the server answers before it has the whole file; the status is named where it can be read.
    pub fn send(&mut self, target: SocketAddr, request: &Request) -> io::Result<u16> {
        let mut stream = connect(target)?;
        let Request { line, fields, before, behind } = request;
        let length = self.bytes + (before.len() + behind.len()) as u64;
        let head = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), before].concat())?;
        let mut sent = Ok(());
        self.each(|block| {
            if sent.is_ok() {
                sent = stream.write_all(block);
            }
        });
        let sent = sent.and_then(|()| stream.write_all(behind));
        let status = client::receive_head(&mut stream).map(|head| head.status);
        match (sent, status) {
            (Ok(()), status) => status,
            (Err(error), Ok(status)) => Err(io::Error::other(format!("answered {status} too early ({error})"))),
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// Fetches `path`; an error unless it is this file, byte by byte.
    pub fn fetch(&self, target: SocketAddr, path: &str) -> io::Result<()> {
        let mut stream = connect(target)?;
        client::send(&mut stream, "GET", path, "Connection: close\r\n")?;
        let Head { status, rest, .. } = client::receive_head(&mut stream)?;
        let (mut hash, mut came) = (Sha256::new(), rest.len() as u64);
        hash.update(&rest);
        let mut buffer = vec![0; BLOCK];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    hash.update(&buffer[..n]);
                    came += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let found: [u8; 32] = hash.finalize().into();
        match status == 200 && came == self.bytes && found == self.hash {
            true => Ok(()),
            false => Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("{path} came back with {status} and {came} bytes of {}: not what was sent", self.bytes),
            )),
        }
    }

    fn each(&mut self, mut take: impl FnMut(&[u8])) {
        let mut at = 0;
        while at < self.bytes {
            self.noise[..8].copy_from_slice(&at.to_le_bytes());
            take(&self.noise);
            at += BLOCK as u64;
        }
    }
}

/// Does `work` and answers, beside what it gives, the most memory that the process tree held meanwhile, in KiB.
pub fn watched<T>(root: u32, work: impl FnOnce() -> T) -> (T, u64) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = census::memory_kib(root);
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK);
                most = most.max(census::memory_kib(root));
            }
            most
        });
        let given = work();
        done.store(true, Ordering::Relaxed);
        // Without figures there is no goal that could be met.
        (given, watcher.join().unwrap_or(u64::MAX))
    })
}

fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = client::connect(target, 0)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}
