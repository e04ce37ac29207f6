//! Ports for the servers that tests start. The kernel gives them, and keeps them from everybody else until a server binds them.

use std::collections::HashSet;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// The ports that this process's tests hold.
static HELD: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// Ports of one test. Two tests of a process never hold the same; they are given back when this is dropped.
#[derive(Debug)]
pub struct Ports(Vec<u16>);

impl Ports {
    /// So many of them.
    pub fn take(count: usize) -> io::Result<Ports> {
        let mut ports = Ports(Vec::new());
        while ports.0.len() < count {
            let port = reserved()?;
            // What was taken long ago and not bound since, the kernel may give again.
            if held().insert(port) {
                ports.0.push(port);
            }
        }
        Ok(ports)
    }
}

impl std::ops::Deref for Ports {
    type Target = [u16];

    fn deref(&self) -> &[u16] {
        &self.0
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        let mut held = held();
        held.retain(|port| !self.0.contains(port));
    }
}

/// A port on which a connection was accepted and closed from our side. As long as that connection is remembered (a minute), the kernel
/// gives the port to nobody who asks for any, and makes no client's of it; a server that asks for it by name, with SO_REUSEADDR as
/// all servers do, gets it.
fn reserved() -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let client = TcpStream::connect(address)?;
    let (ours, _) = listener.accept()?;
    // Who closes first is remembered.
    drop(ours);
    drop(client);
    Ok(address.port())
}

fn held() -> MutexGuard<'static, HashSet<u16>> {
    // A test that panics leaves the set as it is.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}
