//! Ports for the servers that tests start. The kernel gives them, and a socket of ours keeps each from everybody else as long as the test
//! holds it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// Ports of one test. Two tests never hold the same; they are given back when this is dropped.
#[derive(Debug)]
pub struct Ports {
    numbers: Vec<u16>,
    /// Each bound to one of the ports and never listening. The kernel gives such a port to nobody who asks for any and makes no client's of
    /// it; a server that asks for it by name, with SO_REUSEADDR as all servers do, gets it. A socket that listened would not do, even
    /// closed again: another test may be starting a program, and until that is executed it has a copy of every descriptor.
    _kept: Vec<Socket>,
}

impl Ports {
    /// So many of them.
    pub fn take(count: usize) -> io::Result<Ports> {
        let kept = (0..count).map(|_| keeper()).collect::<io::Result<Vec<_>>>()?;
        let numbers = kept.iter().map(number).collect::<io::Result<_>>()?;
        Ok(Ports { numbers, _kept: kept })
    }
}

impl std::ops::Deref for Ports {
    type Target = [u16];

    fn deref(&self) -> &[u16] {
        &self.numbers
    }
}

fn keeper() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Bound without SO_REUSEADDR, so that the kernel never shares the port of another keeper, which has it by then.
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn number(socket: &Socket) -> io::Result<u16> {
    let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok(address.port())
}
