//! A host's addresses as the system knows them, for names in a conf that is being read: this may wait. A static program
//! cannot use the system's name service; it reads /etc/hosts and asks the servers of /etc/resolv.conf itself.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;

use super::packet::{Kind, LONGEST_CHAIN, Said, answer, question};
use crate::conf::machine;

const STATIC: bool = cfg!(target_feature = "crt-static");

/// The addresses to connect to: each once, those of IPv4 first, and none of a kind that this machine has no address of
/// itself but on its loopback (as `AI_ADDRCONFIG` asks of a name service).
pub fn addresses_of(name: &str) -> Vec<IpAddr> {
    let mut found = machine::addresses_of(name);
    if found.is_empty() && STATIC {
        let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        found = Client::read(&text).addresses_of(name);
    }
    in_order(found, own_kinds())
}

/// Whether this machine has addresses of IPv4 and of IPv6 beside its loopback.
fn own_kinds() -> (bool, bool) {
    let (mut four, mut six) = (false, false);
    for address in getifaddrs().into_iter().flatten().filter_map(|interface| interface.address) {
        four |= address.as_sockaddr_in().is_some_and(|own| !own.ip().is_loopback());
        six |= address.as_sockaddr_in6().is_some_and(|own| !own.ip().is_loopback());
    }
    (four, six)
}

fn in_order(found: Vec<IpAddr>, own: (bool, bool)) -> Vec<IpAddr> {
    let (mut four, mut six): (Vec<_>, Vec<_>) = found.into_iter().partition(IpAddr::is_ipv4);
    match own {
        (true, false) => six.clear(),
        (false, true) => four.clear(),
        _ => {}
    }
    four.extend(six);
    let mut seen = std::collections::HashSet::new();
    four.retain(|ip| seen.insert(*ip));
    four
}

/// What /etc/resolv.conf says.
#[derive(Debug, PartialEq, Eq)]
struct Client {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
    patience: Duration,
    attempts: u32,
}

impl Client {
    fn read(text: &str) -> Client {
        let (patience, attempts) = (Duration::from_secs(5), 2);
        let mut client = Client { servers: Vec::new(), search: Vec::new(), ndots: 1, patience, attempts };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.split('%').next()?.parse::<IpAddr>().ok());
                    client.servers.extend(address.map(|ip| SocketAddr::new(ip, 53)));
                }
                Some("search" | "domain") => client.search = words.map(String::from).collect(),
                Some("options") => words.for_each(|word| client.option(word)),
                _ => {}
            }
        }
        if client.servers.is_empty() {
            client.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
        }
        client
    }

    fn option(&mut self, word: &str) {
        let Some((name, Ok(number))) = word.split_once(':').map(|(name, value)| (name, value.parse::<u32>())) else {
            return;
        };
        match name {
            "ndots" => self.ndots = number.min(15) as usize,
            "timeout" => self.patience = Duration::from_secs(number.clamp(1, 30).into()),
            "attempts" => self.attempts = number.clamp(1, 5),
            _ => {}
        }
    }

    fn addresses_of(&self, name: &str) -> Vec<IpAddr> {
        let found = self.candidates(name).into_iter().map(|name| {
            let of = |kind| self.ask(&name, kind).unwrap_or_default();
            [of(Kind::A), of(Kind::Aaaa)].concat()
        });
        found.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// The names to try: a name with enough dots first as it stands, another first within the domains to search.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.to_string()];
        }
        let mut names: Vec<_> =
            self.search.iter().map(|domain| format!("{name}.{}", domain.trim_matches('.'))).collect();
        let own = if name.matches('.').count() >= self.ndots { 0 } else { names.len() };
        names.insert(own, name.to_string());
        names
    }

    /// The addresses of a name, empty if it has none; an error if no server told.
    fn ask(&self, name: &str, kind: Kind) -> io::Result<Vec<IpAddr>> {
        let mut name = name.to_string();
        for _ in 0..=LONGEST_CHAIN {
            match self.ask_servers(&name, kind)? {
                Said::Addresses(found, _) => return Ok(found),
                Said::Alias(to, _) => name = to,
                Said::Refused(_) | Said::Truncated | Said::Services(..) => return Ok(Vec::new()),
            }
        }
        Ok(Vec::new())
    }

    fn ask_servers(&self, name: &str, kind: Kind) -> io::Result<Said> {
        let mut last = Err(io::ErrorKind::TimedOut.into());
        for server in (0..self.attempts).flat_map(|_| &self.servers) {
            last = self.ask_one(*server, name, kind);
            if matches!(last, Ok(Said::Addresses(..) | Said::Alias(..) | Said::Refused(3))) {
                break;
            }
        }
        last
    }

    fn ask_one(&self, server: SocketAddr, name: &str, kind: Kind) -> io::Result<Said> {
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(|_| io::Error::other("there is no randomness"))?;
        let id = u16::from_be_bytes(id);
        let packet = question(id, name, kind).ok_or(io::ErrorKind::InvalidInput)?;
        let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(server)?;
        socket.send(&packet)?;
        let by = Instant::now() + self.patience;
        let mut buffer = [0; 4096];
        loop {
            let left = by.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            socket.set_read_timeout(Some(left.ok_or(io::ErrorKind::TimedOut)?))?;
            let n = socket.recv(&mut buffer)?;
            match answer(&buffer[..n], id, name, kind) {
                Some(Said::Truncated) => return self.ask_over_tcp(server, &packet, id, name, kind),
                Some(said) => return Ok(said),
                None => {}
            }
        }
    }

    fn ask_over_tcp(&self, server: SocketAddr, packet: &[u8], id: u16, name: &str, kind: Kind) -> io::Result<Said> {
        let mut stream = TcpStream::connect_timeout(&server, self.patience)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        stream.write_all(&[&(packet.len() as u16).to_be_bytes(), packet].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message)?;
        answer(&message, id, name, kind).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{good, reply, server};
    use super::*;
    use simple_dns::{PacketFlag, RCODE};

    #[test]
    fn addresses_come_once_and_in_order() {
        let found = || ["::1", "127.0.0.2", "127.0.0.1", "127.0.0.2"].map(|ip| ip.parse().unwrap()).to_vec();
        for (own, want) in [
            ((true, true), "127.0.0.2 127.0.0.1 ::1"),
            ((true, false), "127.0.0.2 127.0.0.1"),
            ((false, true), "::1"),
            ((false, false), "127.0.0.2 127.0.0.1 ::1"),
        ] {
            let shown: Vec<_> = in_order(found(), own).iter().map(IpAddr::to_string).collect();
            assert_eq!(shown.join(" "), want, "{own:?}");
        }
    }

    #[test]
    fn the_file_says_whom_to_ask_and_for_what() {
        let text = "# c\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver odd\nsearch a.test b.test.\n\
                    options ndots:2 timeout:1 attempts:0 rotate edns0\n";
        let client = Client::read(text);
        assert_eq!(client.servers, ["192.0.2.1:53", "[fe80::1]:53"].map(|server| server.parse().unwrap()));
        assert_eq!((client.ndots, client.patience, client.attempts), (2, Duration::from_secs(1), 1));
        assert_eq!(client.candidates("app"), ["app.a.test", "app.b.test", "app"]);
        assert_eq!(client.candidates("x.y.z"), ["x.y.z", "x.y.z.a.test", "x.y.z.b.test"]);
        assert_eq!(client.candidates("app."), ["app"]);
        assert_eq!(Client::read("").servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn a_name_is_looked_up_over_both_transports() {
        let (address, _) = server(|question, tcp| {
            vec![reply(question, |packet, name, _| match (name, tcp) {
                ("app", _) => *packet.rcode_mut() = RCODE::NameError,
                (_, false) => packet.set_flags(PacketFlag::TRUNCATION),
                (_, true) => {
                    *packet = simple_dns::Packet::parse(Box::leak(good(question, 60).into_boxed_slice())).unwrap()
                }
            })]
        });
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = Client { servers: vec![nobody, address], ..Client::read("search a.test") };
        let shown: Vec<_> = client.addresses_of("app").iter().map(IpAddr::to_string).collect();
        assert_eq!(shown, ["127.0.0.1", "::1"]);
        let gone = Client { servers: vec![nobody], ..Client::read("") };
        assert!(gone.addresses_of("app").is_empty());
    }
}
