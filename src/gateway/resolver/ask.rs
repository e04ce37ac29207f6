//! One name being asked for: its questions, the servers they are under way to, and what the answers come to. An answer counts
//! however late it comes, as long as no other has settled its question; what is under way is never asked for anew because
//! of another question. Knows no thread.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UdpSocket};
use mio::{Interest, Poll, Token};

use super::packet::{Kind, LONGEST_CHAIN, Said, Service, answer, question};
use super::{Key, Lost, Pending};

/// So many sockets one name may have: the oldest goes for the next.
const MOST_LINKS: usize = 8;

/// A name being asked for.
pub(super) struct Ask {
    /// What is asked for.
    pub key: Key,
    /// Who waits.
    pub pending: Arc<Pending>,
    parts: Vec<Part>,
    /// What is under way, the latest last.
    links: Vec<Link>,
    /// How many servers were asked.
    pub tries: usize,
    /// How often one of them was asked for more: an alias, the same over TCP.
    pub again: usize,
    /// Which server was begun with.
    pub begin: usize,
    /// When the next one is asked.
    pub due: Instant,
}

/// The question for one kind of record.
struct Part {
    kind: Kind,
    /// The name, or the alias that is followed.
    name: String,
    hops: usize,
    ttl: u32,
    found: Option<Result<Records, Lost>>,
}

/// What answers came to.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Addresses of both kinds.
    pub addresses: Vec<IpAddr>,
    /// Services.
    pub services: Vec<Service>,
}

/// Questions that are under way to one server.
struct Link {
    server: SocketAddr,
    wire: Wire,
    questions: Vec<Question>,
}

struct Question {
    part: usize,
    id: u16,
    name: String,
}

enum Wire {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, output: Vec<u8>, input: Vec<u8> },
}

/// What a look brought.
#[derive(Default)]
pub(super) struct Seen {
    /// Parts to ask a server for again: an alias, or the same over TCP.
    pub again: Vec<(SocketAddr, usize, bool)>,
    /// Servers that cannot be spoken to.
    pub failed: Vec<(SocketAddr, io::Error)>,
}

/// How an ask stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// A question has no answer.
    Open,
    /// All that can be known is.
    Settled,
    /// Some server knows nothing; `true` if another may still answer.
    Refused(bool),
}

impl Ask {
    /// A name that nobody was asked for yet.
    pub fn new(key: Key, pending: Arc<Pending>, kinds: impl Iterator<Item = Kind>, begin: usize) -> Ask {
        let part = |kind| Part { kind, name: key.name.clone(), hops: 0, ttl: u32::MAX, found: None };
        let parts = kinds.map(part).collect();
        Ask { key, pending, parts, links: Vec::new(), tries: 0, again: 0, begin, due: Instant::now() }
    }

    /// Asks a server for everything that is not settled.
    pub fn send_rest(&mut self, server: SocketAddr, token: Token, poll: &Poll) -> io::Result<()> {
        let wanted: Vec<_> = (0..self.parts.len()).filter(|part| self.parts[*part].is_open()).collect();
        for part in &wanted {
            self.parts[*part].found = None;
        }
        self.send(server, &wanted, token, poll, false)
    }

    /// Asks a server for these parts: the same question over the same socket if it is under way already, else each time from
    /// another port and under other numbers.
    pub fn send(
        &mut self,
        server: SocketAddr,
        wanted: &[usize],
        token: Token,
        poll: &Poll,
        tcp: bool,
    ) -> io::Result<()> {
        if !tcp && let Some(done) = self.repeat(server, wanted) {
            return done;
        }
        let (mut questions, mut packets) = (Vec::new(), Vec::new());
        for &part in wanted {
            let (id, of) = (random()?, &mut self.parts[part]);
            match question(id, &of.name, of.kind) {
                Some(packet) => {
                    questions.push(Question { part, id, name: of.name.clone() });
                    packets.push(packet);
                }
                None => of.found = Some(Err(Lost::Misspelt)),
            }
        }
        if packets.is_empty() {
            return Ok(());
        }
        let wire = Wire::open(server, &packets, token, poll, tcp)?;
        if self.links.len() >= MOST_LINKS {
            self.links.remove(0);
        }
        self.links.push(Link { server, wire, questions });
        Ok(())
    }

    /// Sends questions once more that are under way to this server; none if they are not.
    fn repeat(&self, server: SocketAddr, wanted: &[usize]) -> Option<io::Result<()>> {
        let covers = |link: &&Link| wanted.iter().all(|part| link.question(*part, &self.parts[*part].name).is_some());
        let link = self.links.iter().filter(|link| link.server == server).find(covers)?;
        let Wire::Udp(socket) = &link.wire else { return None };
        let send = |part: &usize| {
            let of = &self.parts[*part];
            let packet = question(link.question(*part, &of.name)?.id, &of.name, of.kind)?;
            socket.send(&packet).map(drop).err()
        };
        Some(wanted.iter().find_map(send).map_or(Ok(()), Err))
    }

    /// Takes in what has come.
    pub fn look(&mut self) -> Seen {
        let mut seen = Seen::default();
        let mut links = std::mem::take(&mut self.links);
        links.retain_mut(|link| {
            let mut messages = Vec::new();
            let done = link.wire.receive(&mut messages);
            messages.iter().for_each(|message| self.take(link, message, &mut seen));
            link.questions.retain(|question| self.parts[question.part].asks(&question.name));
            // Once all are answered it is nobody's loss that a server closes.
            let is_open = !link.questions.is_empty();
            match done {
                Err(error) if is_open => seen.failed.push((link.server, error)),
                Err(_) => {}
                Ok(()) => return is_open,
            }
            false
        });
        self.links = links;
        seen
    }

    fn take(&mut self, link: &mut Link, message: &[u8], seen: &mut Seen) {
        for at in (0..link.questions.len()).rev() {
            let Question { part, id, name } = &link.questions[at];
            let (number, of) = (*part, &mut self.parts[*part]);
            let Some(said) = answer(message, *id, name, of.kind).filter(|_| of.asks(name)) else { continue };
            link.questions.remove(at);
            if let Some(tcp) = of.read(said) {
                seen.again.push((link.server, number, tcp));
            }
        }
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        let refused = |part: &Part| matches!(part.found, Some(Err(Lost::Refused(_))));
        if self.parts.iter().any(|part| part.found.is_none()) {
            return Standing::Open;
        }
        if !self.parts.iter().any(refused) {
            return Standing::Settled;
        }
        let questions = || self.links.iter().flat_map(|link| &link.questions);
        Standing::Refused(questions().any(|question| refused(&self.parts[question.part])))
    }

    /// What the parts came to: a name that has records of one kind exists.
    pub fn result(self) -> Result<(Records, Duration), Lost> {
        let mut records = Records::default();
        let (mut lost, mut ttl) = (Lost::NotFound, u32::MAX);
        for part in self.parts {
            match part.found {
                Some(Ok(found)) => {
                    ttl = if found.is_empty() { ttl } else { ttl.min(part.ttl) };
                    records.addresses.extend(found.addresses);
                    records.services.extend(found.services);
                }
                Some(Err(other)) if lost == Lost::NotFound => lost = other,
                _ => {}
            }
        }
        if records.is_empty() { Err(lost) } else { Ok((records, Duration::from_secs(ttl.into()))) }
    }
}

impl Records {
    fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.services.is_empty()
    }
}

impl Part {
    /// Whether an answer would be news. One server's refusal does not settle what another may know.
    fn is_open(&self) -> bool {
        matches!(self.found, None | Some(Err(Lost::Refused(_))))
    }

    /// Whether it still asks for this name.
    fn asks(&self, name: &str) -> bool {
        self.is_open() && self.name == name
    }

    /// Takes in an answer; whether the server must be asked again, and whether over TCP.
    fn read(&mut self, said: Said) -> Option<bool> {
        self.found = Some(match said {
            Said::Truncated => {
                self.found = None;
                return Some(true);
            }
            Said::Alias(to, ttl) if self.hops < LONGEST_CHAIN => {
                (self.name, self.hops, self.ttl) = (to.to_ascii_lowercase(), self.hops + 1, self.ttl.min(ttl));
                self.found = None;
                return Some(false);
            }
            Said::Alias(..) | Said::Refused(3) => Err(Lost::NotFound),
            Said::Addresses(addresses, ttl) => {
                self.ttl = self.ttl.min(ttl);
                Ok(Records { addresses, services: Vec::new() })
            }
            Said::Services(services, ttl) => {
                self.ttl = self.ttl.min(ttl);
                Ok(Records { addresses: Vec::new(), services })
            }
            Said::Refused(code) => Err(Lost::Refused(code)),
        });
        None
    }
}

impl Link {
    /// The question for a part that is under way under this name.
    fn question(&self, part: usize, name: &str) -> Option<&Question> {
        self.questions.iter().find(|question| question.part == part && question.name == name)
    }
}

impl Wire {
    fn open(server: SocketAddr, packets: &[Vec<u8>], token: Token, poll: &Poll, tcp: bool) -> io::Result<Wire> {
        let both = Interest::READABLE | Interest::WRITABLE;
        if tcp {
            let mut stream = TcpStream::connect(server)?;
            poll.registry().register(&mut stream, token, both)?;
            // RFC 1035 section 4.2.2: a length of two bytes before each message.
            let framed = |packet: &Vec<u8>| [&(packet.len() as u16).to_be_bytes(), packet.as_slice()].concat();
            return Ok(Wire::Tcp { stream, output: packets.iter().flat_map(framed).collect(), input: Vec::new() });
        }
        let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let mut socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(server)?;
        poll.registry().register(&mut socket, token, both)?;
        for packet in packets {
            socket.send(packet)?;
        }
        Ok(Wire::Udp(socket))
    }

    /// Takes out the messages that have come.
    fn receive(&mut self, messages: &mut Vec<Vec<u8>>) -> io::Result<()> {
        match self {
            Wire::Udp(socket) => {
                // Without EDNS an answer has at most 512 bytes.
                let mut buffer = [0; 4096];
                while let Some(n) = unless_blocked(socket.recv(&mut buffer))? {
                    messages.push(buffer[..n].to_vec());
                }
                Ok(())
            }
            Wire::Tcp { stream, output, input } => exchange(stream, output, input, messages),
        }
    }
}

/// Sends what is left and splits what came into messages.
fn exchange(
    stream: &mut TcpStream,
    output: &mut Vec<u8>,
    input: &mut Vec<u8>,
    messages: &mut Vec<Vec<u8>>,
) -> io::Result<()> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    while !output.is_empty() {
        match stream.write(output) {
            Ok(n) => drop(output.drain(..n)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
            Err(error) => return Err(error),
        }
    }
    let mut buffer = [0; 4096];
    let mut closed = false;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => {
                closed = true;
                break;
            }
            Ok(n) => input.extend_from_slice(&buffer[..n]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
            Err(error) => return Err(error),
        }
        // Two answers of the greatest length; no server has reason to say more.
        if input.len() > 2 * (65_535 + 2) {
            return Err(ErrorKind::InvalidData.into());
        }
    }
    while let [high, low, rest @ ..] = input.as_slice()
        && let Some(message) = rest.get(..usize::from(u16::from_be_bytes([*high, *low])))
    {
        messages.push(message.to_vec());
        input.drain(..2 + messages.last().map_or(0, Vec::len));
    }
    if closed { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn unless_blocked(received: io::Result<usize>) -> io::Result<Option<usize>> {
    match received {
        Ok(n) => Ok(Some(n)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// A number that nobody can guess.
fn random() -> io::Result<u16> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(|_| io::Error::other("there is no randomness"))?;
    Ok(u16::from_be_bytes(bytes))
}
