//! Listeners: opened from the conf's sockets with all their options, or told clearly why not; or made of a
//! descriptor that another process has opened.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use mio::event::Source;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::socket;
use super::socket_file::SocketFile;
use crate::conf::listening::{Address, Options};

/// The kernel's queue of connections that nobody accepted yet, when `backlog=` says nothing.
const BACKLOG: i32 = 511;
/// Bytes that may lie unsent in the kernel for one connection; without it a slow reader of a large file
/// pins megabytes. A client that empties its share at once has the bound lifted: each refill costs two
/// switches of threads, which a fast download would notice.
pub(super) const UNSENT: u32 = 256 << 10;

/// One open listener.
#[derive(Debug)]
pub struct Listener {
    address: Address,
    socket: Kind,
}

#[derive(Debug)]
enum Kind {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener, Option<Arc<SocketFile>>),
}

impl Listener {
    /// Opens a listener.
    pub fn open(address: &Address, options: &Options) -> io::Result<Listener> {
        let socket = match address {
            Address::Ip(ip) => Kind::Tcp(open_tcp(*ip, options)?),
            Address::Unix(path) => open_unix(path, options)?,
        };
        Ok(Listener { address: address.clone(), socket })
    }

    /// A listener that another process has opened.
    pub fn received(address: Address, descriptor: OwnedFd) -> Listener {
        let socket = match &address {
            Address::Ip(_) => Kind::Tcp(mio::net::TcpListener::from_std(descriptor.into())),
            Address::Unix(_) => Kind::Unix(mio::net::UnixListener::from_std(descriptor.into()), None),
        };
        Listener { address, socket }
    }

    /// A socket's file that stands in for an address of the conf: who comes in there counts as a client on this machine.
    pub fn standing_in(address: Address, file: &Path) -> io::Result<Listener> {
        let socket = open_unix(file, &Options::default())?;
        Ok(Listener { address, socket })
    }

    /// Its descriptor.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Kind::Tcp(socket) => socket.as_fd(),
            Kind::Unix(socket, _) => socket.as_fd(),
        }
    }

    /// The file of a Unix socket that this process has made.
    pub fn file(&self) -> Option<&Arc<SocketFile>> {
        match &self.socket {
            Kind::Tcp(_) => None,
            Kind::Unix(_, file) => file.as_ref(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The address that the kernel gave it; none on a Unix socket.
    #[cfg(test)]
    pub(super) fn local(&self) -> Option<SocketAddr> {
        match &self.socket {
            Kind::Tcp(socket) => socket.local_addr().ok(),
            Kind::Unix(..) => None,
        }
    }

    /// Accepts one connection, if there is one.
    pub fn accept(&self) -> io::Result<(socket::Socket, Option<SocketAddr>)> {
        match &self.socket {
            Kind::Tcp(socket) => socket.accept().map(|(socket, peer)| (socket::Socket::Tcp(socket), Some(peer))),
            Kind::Unix(socket, _) => socket.accept().map(|(socket, _)| (socket::Socket::Unix(socket), self.stand_in())),
        }
    }

    /// Whom a client is taken for that came by a socket's file.
    fn stand_in(&self) -> Option<SocketAddr> {
        match &self.address {
            Address::Unix(_) => None,
            // A port from the range that clients have.
            Address::Ip(ip) => Some(SocketAddr::new(loopback(ip), 49152)),
        }
    }

    /// The part that events are registered for.
    pub fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            Kind::Tcp(socket) => socket,
            Kind::Unix(socket, _) => socket,
        }
    }
}

/// The loopback of an address's kind.
pub(super) fn loopback(ip: &SocketAddr) -> IpAddr {
    if ip.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
}

fn open_tcp(ip: SocketAddr, options: &Options) -> io::Result<mio::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(ip), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(options.reuseport)?;
    if ip.is_ipv6() {
        socket.set_only_v6(options.ipv6only.unwrap_or(true))?;
    }
    if let Some(bytes) = options.rcvbuf {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.sndbuf {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(keepalive) = options.keepalive {
        socket.set_keepalive(keepalive.on)?;
        let mut probes = TcpKeepalive::new();
        if let Some(time) = keepalive.idle {
            probes = probes.with_time(time);
        }
        if let Some(time) = keepalive.interval {
            probes = probes.with_interval(time);
        }
        if let Some(count) = keepalive.count {
            probes = probes.with_retries(count);
        }
        if keepalive.on {
            socket.set_tcp_keepalive(&probes)?;
        }
    }
    // Connections inherit both of these, so no call is made for each of them.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.bind(&ip.into())?;
    socket.listen(options.backlog.unwrap_or(BACKLOG))?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}

fn open_unix(path: &Path, options: &Options) -> io::Result<Kind> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    let file = SocketFile::bind(&socket, path, 0o666)?;
    let sockref = SockRef::from(&socket);
    if let Some(bytes) = options.sndbuf {
        sockref.set_send_buffer_size(bytes)?;
    }
    socket.listen(options.backlog.unwrap_or(BACKLOG))?;
    let listener: std::os::unix::net::UnixListener = socket.into();
    Ok(Kind::Unix(mio::net::UnixListener::from_std(listener), Some(Arc::new(file))))
}

/// Who listens on a TCP port, as far as `/proc` tells: the program's name and its process id.
pub fn holder(port: u16) -> Option<(String, u32)> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| socket_inode(table, port))?;
    let wanted = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(descriptors) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let holds =
            |fd: std::fs::DirEntry| std::fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str());
        if descriptors.flatten().any(holds) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((name.trim().to_string(), pid));
        }
    }
    None
}

fn socket_inode(table: &str, port: u16) -> Option<u64> {
    const LISTENING: &str = "0A";
    let text = std::fs::read_to_string(table).ok()?;
    text.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (local, state) = (columns.get(1)?, columns.get(3)?);
        let hex = local.rsplit(':').next()?;
        let found = *state == LISTENING && u16::from_str_radix(hex, 16).is_ok_and(|p| p == port);
        found.then(|| columns.get(9)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_and_its_holder_is_named() {
        let first = Listener::open(&Address::Ip(([127, 0, 0, 1], 0).into()), &Options::default()).unwrap();
        let Kind::Tcp(socket) = &first.socket else { panic!("not TCP") };
        let taken = Address::Ip(socket.local_addr().unwrap());
        let error = Listener::open(&taken, &Options::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let Address::Ip(ip) = taken else { panic!("not TCP") };
        assert_eq!(holder(ip.port()).map(|(_, pid)| pid), Some(std::process::id()));
    }
}
