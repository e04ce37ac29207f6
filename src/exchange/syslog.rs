//! Lines to a syslog server (RFC 3164), each a datagram. A server that is slow or gone costs lines and never time: sending
//! does not wait, and the first loss is said once. Knows nothing of what stands in a line.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::error::{Level, system_words};
use crate::conf::args::{Args, Fault};

/// The port of RFC 3164.
const PORT: u16 = 514;
/// How long a server that could not be reached is left alone.
const PAUSE: Duration = Duration::from_secs(1);

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp",
    "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Ip(SocketAddr),
    Unix(PathBuf),
}

/// A syslog server, and how its lines begin.
#[derive(Debug)]
pub struct Syslog {
    address: Address,
    facility: u8,
    severity: u8,
    tag: String,
    host: Option<String>,
    socket: Mutex<Line>,
    has_complained: AtomicBool,
}

/// The way to the server.
#[derive(Debug, Default)]
struct Line {
    socket: Option<Socket>,
    /// When it last could not be opened.
    failed: Option<Instant>,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Syslog {
    /// Reads `syslog:server=...,facility=...,tag=...,severity=...,nohostname` in word `i`.
    pub fn read(args: &Args<'_>, i: usize) -> Result<Syslog, Fault> {
        let word = args.word(i);
        let bad = |what: String| Fault::at(word, what);
        let text = std::str::from_utf8(&word.text).map_err(|_| bad("names a syslog server that is no text".into()))?;
        let (mut address, mut facility, mut severity) = (None, 23, 6);
        let (mut tag, mut host) = ("longshore".to_string(), Some(args.load.hostname.clone()));
        let mut seen = Vec::new();
        for part in text.trim_start_matches("syslog:").split(',') {
            let name = part.split('=').next().unwrap_or_default();
            if seen.contains(&name) {
                return Err(bad(format!("has a duplicate syslog parameter `{name}`")));
            }
            seen.push(name);
            let index = |names: &[&str], name: &str, what: &str| {
                let found = names.iter().position(|known| *known == name);
                let help = || format!("it takes one of `{}`", names.join("`, `"));
                found
                    .map(|at| at as u8)
                    .ok_or_else(|| bad(format!("names an unknown syslog {what} `{name}`")).help(help()))
            };
            match part.split_once('=') {
                Some(("server", server)) => address = Some(read_address(args, server).map_err(bad)?),
                Some(("facility", name)) => facility = index(&FACILITIES, name, "facility")?,
                Some(("severity", name)) => severity = index(&SEVERITIES, name, "severity")?,
                Some(("tag", name)) => {
                    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
                    if name.is_empty() || name.len() > 32 || !name.bytes().all(fits) {
                        return Err(bad("takes a syslog `tag` of at most 32 letters, digits and `_`".into()));
                    }
                    tag = name.to_string();
                }
                None if part == "nohostname" => host = None,
                _ => {
                    let help = "it takes `server=`, `facility=`, `severity=`, `tag=` and `nohostname`";
                    return Err(bad(format!("has an unknown syslog parameter `{part}`")).help(help));
                }
            }
        }
        let address =
            address.ok_or_else(|| bad("names no syslog server".into()).help("write `syslog:server=unix:/dev/log`"))?;
        let (socket, has_complained) = Default::default();
        Ok(Syslog { address, facility, severity, tag, host, socket, has_complained })
    }

    /// Sends one line, at its own severity or at the server's. The first line that is lost comes back as a complaint.
    pub fn send(&self, level: Option<Level>, line: &[u8]) -> Option<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut message =
            self.head(level.map_or(self.severity, |level| (level as u8).min(7)), now, &TimeZone::system()).into_bytes();
        message.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        let error = self.deliver(&message).err()?;
        if self.has_complained.swap(true, Relaxed) {
            return None;
        }
        let to = match &self.address {
            Address::Ip(ip) => ip.to_string(),
            Address::Unix(path) => format!("unix:{}", path.display()),
        };
        Some(format!("cannot send to the syslog server {to} ({}); this is said once", system_words(&error)))
    }

    fn head(&self, severity: u8, now: u64, zone: &TimeZone) -> String {
        let priority = u16::from(self.facility) * 8 + u16::from(severity);
        let time =
            Timestamp::from_second(now as i64).unwrap_or_default().to_zoned(zone.clone()).strftime("%b %e %H:%M:%S");
        match &self.host {
            Some(host) => format!("<{priority}>{time} {host} {}: ", self.tag),
            None => format!("<{priority}>{time} {}: ", self.tag),
        }
    }

    fn deliver(&self, message: &[u8]) -> io::Result<()> {
        let mut line = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if line.socket.is_none() {
            if line.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
                return Err(io::ErrorKind::NotConnected.into());
            }
            let opened = self.open();
            line.failed = opened.is_err().then(Instant::now);
            line.socket = Some(opened?);
        }
        let sent = match &line.socket {
            Some(Socket::Udp(socket)) => socket.send(message),
            Some(Socket::Unix(socket)) => socket.send(message),
            None => return Ok(()),
        };
        // Where nobody listens the news of it comes with the next line: that one may be tried again at once.
        let sent = match (sent, &line.socket) {
            (Err(error), Some(Socket::Udp(socket))) if error.kind() == io::ErrorKind::ConnectionRefused => {
                socket.send(message).and(Err(error))
            }
            (sent, _) => sent,
        };
        if let (Err(_), Some(Socket::Unix(_))) = (&sent, &line.socket) {
            // The server may have been started anew under the same path.
            line.socket = None;
            line.failed = Some(Instant::now());
        }
        sent.map(drop)
    }

    fn open(&self) -> io::Result<Socket> {
        match &self.address {
            Address::Ip(ip) => {
                let any: IpAddr = if ip.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
                let socket = UdpSocket::bind((any, 0))?;
                socket.set_nonblocking(true)?;
                socket.connect(ip)?;
                Ok(Socket::Udp(socket))
            }
            Address::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                socket.connect(path)?;
                Ok(Socket::Unix(socket))
            }
        }
    }
}

fn read_address(args: &Args<'_>, text: &str) -> Result<Address, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => Err("names no path of a syslog server behind `unix:`".into()),
            path => Ok(Address::Unix(path.into())),
        };
    }
    if let Some(address) = text.parse::<SocketAddr>().ok().filter(|address| address.port() > 0) {
        return Ok(Address::Ip(address));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(Address::Ip((ip, PORT).into()));
    }
    let (host, port) = match text.rsplit_once(':') {
        None => (text, PORT),
        Some((host, port)) => {
            let port = port.parse().ok().filter(|port| *port > 0);
            (host, port.ok_or_else(|| format!("has an invalid port in syslog server `{text}`"))?)
        }
    };
    let found = args.load.outside.addresses_of(host).into_iter().next();
    found.map(|ip| Address::Ip((ip, port).into())).ok_or_else(|| format!("host not found in syslog server `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syslog(address: Address, host: Option<&str>) -> Syslog {
        let (socket, has_complained) = Default::default();
        let host = host.map(str::to_string);
        Syslog { address, facility: 23, severity: 6, tag: "tag".into(), host, socket, has_complained }
    }

    #[test]
    fn heads() {
        let nowhere = Address::Unix("/none".into());
        for (host, severity, now, want) in [
            (Some("vm"), 6, 0, "<190>Jan  1 00:00:00 vm tag: "),
            (None, 3, 784_111_777, "<187>Nov  6 08:49:37 tag: "),
            (None, 0, 1_763_000_000, "<184>Nov 13 02:13:20 tag: "),
        ] {
            assert_eq!(syslog(nowhere.clone(), host).head(severity, now, &TimeZone::UTC), want);
        }
    }

    #[test]
    fn a_server_that_is_gone_is_said_once_and_found_again() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let log = syslog(Address::Ip(address), None);
        assert_eq!(log.send(Some(Level::Error), b"line\n"), None);
        let mut buffer = [0; 100];
        let n = server.recv(&mut buffer).unwrap();
        assert!(buffer.starts_with(b"<187>") && buffer[..n].ends_with(b" tag: line"));
        drop(server);
        let complaints = (0..10).filter_map(|_| log.send(None, b"lost")).count();
        assert_eq!(complaints, 1);
        let server = UdpSocket::bind(address).unwrap();
        log.send(None, b"again");
        let n = server.recv(&mut buffer).unwrap();
        assert!(buffer[..n].ends_with(b": again"));
        let folder = tempfile::tempdir().unwrap();
        let log = syslog(Address::Unix(folder.path().join("s")), None);
        assert_eq!((0..10).filter_map(|_| log.send(None, b"lost")).count(), 1);
    }

    #[test]
    fn a_server_that_takes_nothing_never_holds_us_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let server = UnixDatagram::bind(&path).unwrap();
        let log = syslog(Address::Unix(path), None);
        // Its queue is full after some lines; the rest is lost, which is said once.
        assert_eq!((0..10_000).filter_map(|_| log.send(None, &[b'x'; 1000])).count(), 1);
        drop(server);
    }
}
