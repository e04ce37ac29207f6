//! The upstream's end of a connection that has switched protocols.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::conf::Conf;
use super::link::Link;
use crate::exchange::attempts::Attempt;
use crate::http::response::Tunnel;

/// A link whose server has switched with its client.
pub struct Switched {
    link: Link,
    conf: Arc<Conf>,
    attempt: Arc<Mutex<Attempt>>,
    sent: u64,
}

impl Switched {
    /// The rest of a link's life.
    pub fn new(link: Link, conf: Arc<Conf>, attempt: Arc<Mutex<Attempt>>) -> Switched {
        let sent = link.out.written;
        Switched { link, conf, attempt, sent }
    }

    fn note(&self) {
        // Nothing that can panic runs under this lock.
        let mut attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        attempt.received = self.link.received;
        attempt.sent = self.sent;
    }
}

impl Tunnel for Switched {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = match self.link.input.is_empty() {
            // What came together with the head.
            false => {
                let n = self.link.input.len().min(into.len());
                into[..n].copy_from_slice(&self.link.input[..n]);
                self.link.input.drain(..n);
                return Ok(n);
            }
            true => self.link.line.socket.read(into)?,
        };
        self.link.received += n as u64;
        self.note();
        Ok(n)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.link.line.socket.write(bytes) {
            Ok(n) => {
                self.sent += n as u64;
                self.note();
                Ok(n)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.link.watch(true).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn finish(&mut self) {
        self.link.line.socket.shut();
    }

    fn patience(&self) -> (Duration, Duration) {
        (self.conf.read_timeout, self.conf.send_timeout)
    }
}
