//! The resolver's thread: it asks the name servers over UDP and, where an answer does not fit, over TCP; it asks again when
//! none comes, the next server each time. It ends when nobody has asked for a while.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};

use super::packet::{Kind, LONGEST_CHAIN, Said, answer, question};
use super::{Answer, Lost, Pending, Resolver};

/// After so long without an answer the next server is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the thread stays when nobody asks.
const LINGER: Duration = Duration::from_secs(10);
/// So often one server may be asked again for one name: for each alias, and over TCP.
const MOST_AGAIN: usize = 2 * LONGEST_CHAIN + 2;
/// The token of the waker.
const NEWS: Token = Token(0);

/// Starts the thread; what wakes it.
pub(super) fn start(resolver: Arc<Resolver>) -> io::Result<Arc<mio::Waker>> {
    let poll = Poll::new()?;
    let waker = Arc::new(mio::Waker::new(poll.registry(), NEWS)?);
    let asker = Asker { resolver, poll, asks: HashMap::new(), next: 1 };
    let guard = Guard(asker.resolver.clone());
    let work = move || {
        asker.run();
        drop(guard);
    };
    std::thread::Builder::new().name("resolver".into()).spawn(work)?;
    Ok(waker)
}

/// Should the thread panic, those who wait are told, and the next one starts another.
struct Guard(Arc<Resolver>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.state();
            state.thread = None;
            state.fresh.clear();
            state.asked.drain().for_each(|(_, pending)| pending.finish(Err(Lost::Busy)));
        }
    }
}

struct Asker {
    resolver: Arc<Resolver>,
    poll: Poll,
    asks: HashMap<Token, Ask>,
    next: usize,
}

/// One name being asked for.
struct Ask {
    name: String,
    pending: Arc<Pending>,
    parts: Vec<Part>,
    link: Option<Link>,
    /// How many servers were asked.
    tries: usize,
    /// How often the last of them was asked again.
    again: usize,
    /// Which server was begun with.
    begin: usize,
    /// When the next one is asked.
    due: Instant,
}

/// The question for one kind of address.
struct Part {
    kind: Kind,
    id: u16,
    /// The name, or the alias that is followed.
    name: String,
    hops: usize,
    ttl: u32,
    found: Option<Result<Vec<IpAddr>, Lost>>,
}

enum Link {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, output: Vec<u8>, input: Vec<u8> },
}

/// What became of a look at a link.
enum Look {
    /// Nothing to do until there is news.
    Wait,
    /// Every part has its answer.
    Done,
    /// Ask the same server again: over TCP, or for an alias.
    Again { tcp: bool },
    /// This server is of no use now.
    Next,
}

impl Asker {
    fn run(mut self) {
        let mut events = Events::with_capacity(128);
        let mut last = Instant::now();
        loop {
            self.take_up();
            let now = Instant::now();
            if !self.asks.is_empty() {
                last = now;
            } else if now.duration_since(last) >= LINGER && self.is_over() {
                return;
            }
            let due = self.asks.values().map(|ask| ask.due).min().unwrap_or(last + LINGER);
            let wait = due.saturating_duration_since(now) + Duration::from_millis(1);
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != ErrorKind::Interrupted
            {
                log::error!("the resolver cannot wait for answers: {error}");
                std::thread::sleep(Duration::from_millis(100));
            }
            let tokens: Vec<_> = events.iter().map(|event| event.token()).filter(|token| *token != NEWS).collect();
            for token in tokens {
                self.look(token);
            }
            self.go_on_late(Instant::now());
        }
    }

    /// Whether nobody asked meanwhile; then the next one starts another thread.
    fn is_over(&self) -> bool {
        let mut state = self.resolver.state();
        let over = state.fresh.is_empty();
        if over {
            state.thread = None;
        }
        over
    }

    fn take_up(&mut self) {
        let fresh = std::mem::take(&mut self.resolver.state().fresh);
        for (name, pending) in fresh {
            let plan = &self.resolver.plan;
            let kinds = [(plan.v4, Kind::A), (plan.v6, Kind::Aaaa)].into_iter().filter(|(wanted, _)| *wanted);
            let part = |kind| Part { kind, id: 0, name: name.clone(), hops: 0, ttl: u32::MAX, found: None };
            let parts = kinds.map(|(_, kind)| part(kind)).collect();
            let (token, begin) = (Token(self.next), self.next);
            // A token that is still in use after so many would be a name asked for since the start of time.
            self.next = self.next.wrapping_add(1).max(1);
            let ask = Ask { name, pending, parts, link: None, tries: 0, again: 0, begin, due: Instant::now() };
            self.asks.insert(token, ask);
            self.ask_next(token);
        }
    }

    /// Asks the next server; when all were asked, it waits before it begins anew.
    fn ask_next(&mut self, token: Token) {
        let servers = &self.resolver.plan.servers;
        let Some(ask) = self.asks.get_mut(&token) else { return };
        let Some(server) = servers.get((ask.begin + ask.tries) % servers.len().max(1)) else {
            return self.finish(token, Err(Lost::NotFound));
        };
        (ask.tries, ask.again) = (ask.tries + 1, 0);
        ask.due = Instant::now() + PATIENCE;
        if let Err(error) = ask.send(*server, token, &self.poll, false) {
            self.failed(token, *server, &error);
        }
    }

    fn failed(&mut self, token: Token, server: SocketAddr, error: &io::Error) {
        let Some(ask) = self.asks.get_mut(&token) else { return };
        let name = crate::http::escape::error_log(ask.name.as_bytes());
        log::error!("{error} while resolving {name}, resolver: {server}");
        ask.link = None;
        // Each server gets one chance at once; then the patience of the last one is waited for.
        if ask.tries % self.resolver.plan.servers.len().max(1) != 0 {
            self.ask_next(token);
        }
    }

    /// Drops what nobody waits for and asks again where no answer came.
    fn go_on_late(&mut self, now: Instant) {
        let late: Vec<_> = self.asks.iter().filter(|(_, ask)| ask.due <= now).map(|(token, _)| *token).collect();
        for token in late {
            let waited_for = self.asks.get(&token).is_some_and(|ask| !self.drop_if_left(ask));
            match waited_for {
                true => self.ask_next(token),
                false => _ = self.asks.remove(&token),
            }
        }
    }

    /// Forgets a name that nobody waits for any more.
    fn drop_if_left(&self, ask: &Ask) -> bool {
        // Under the lock nobody can join in between.
        let mut state = self.resolver.state();
        let left = ask.pending.waiters().is_empty();
        if left {
            state.asked.remove(&ask.name);
        }
        left
    }

    fn look(&mut self, token: Token) {
        let Some(ask) = self.asks.get_mut(&token) else { return };
        let servers = &self.resolver.plan.servers;
        let server = servers[(ask.begin + ask.tries - 1) % servers.len()];
        match ask.look() {
            Ok(Look::Wait) => {}
            Ok(Look::Done) => {
                let (answer, holds) = ask.result();
                self.finish_with(token, answer, holds);
            }
            Ok(Look::Again { .. }) if ask.again >= MOST_AGAIN => {
                self.failed(token, server, &io::Error::other("the answers lead nowhere"));
            }
            Ok(Look::Again { tcp }) => {
                ask.again += 1;
                if let Err(error) = ask.send(server, token, &self.poll, tcp) {
                    self.failed(token, server, &error);
                }
            }
            Ok(Look::Next) if ask.tries < servers.len() => self.ask_next(token),
            Ok(Look::Next) => {
                let (answer, holds) = ask.result();
                self.finish_with(token, answer, holds);
            }
            Err(error) => self.failed(token, server, &error),
        }
    }

    fn finish(&mut self, token: Token, answer: Answer) {
        self.finish_with(token, answer, Duration::ZERO);
    }

    fn finish_with(&mut self, token: Token, answer: Answer, holds: Duration) {
        if let Some(ask) = self.asks.remove(&token) {
            self.resolver.finish(&ask.name, answer, holds);
        }
    }
}

impl Ask {
    /// Asks a server for the parts without an answer, each time from another port and under other numbers.
    fn send(&mut self, server: SocketAddr, token: Token, poll: &Poll, tcp: bool) -> io::Result<()> {
        let mut packets = Vec::new();
        for part in self.parts.iter_mut().filter(|part| !matches!(part.found, Some(Ok(_)))) {
            part.found = None;
            part.id = random()?;
            match question(part.id, &part.name, part.kind) {
                Some(packet) => packets.push(packet),
                None => part.found = Some(Err(Lost::Misspelt)),
            }
        }
        let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let both = Interest::READABLE | Interest::WRITABLE;
        self.link = Some(if tcp {
            let mut stream = TcpStream::connect(server)?;
            poll.registry().register(&mut stream, token, both)?;
            // RFC 1035 section 4.2.2: a length of two bytes before each message.
            let framed = |packet: &Vec<u8>| [&(packet.len() as u16).to_be_bytes(), packet.as_slice()].concat();
            Link::Tcp { stream, output: packets.iter().flat_map(framed).collect(), input: Vec::new() }
        } else {
            let mut socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
            socket.connect(server)?;
            poll.registry().register(&mut socket, token, both)?;
            for packet in packets {
                socket.send(&packet)?;
            }
            Link::Udp(socket)
        });
        Ok(())
    }

    fn look(&mut self) -> io::Result<Look> {
        let mut messages = Vec::new();
        match &mut self.link {
            None => return Ok(Look::Wait),
            Some(Link::Udp(socket)) => {
                // Without EDNS an answer has at most 512 bytes.
                let mut buffer = [0; 4096];
                while let Some(n) = unless_blocked(socket.recv(&mut buffer))? {
                    messages.push(buffer[..n].to_vec());
                }
            }
            Some(Link::Tcp { stream, output, input }) => exchange(stream, output, input, &mut messages)?,
        }
        let mut again = None;
        for message in &messages {
            for part in &mut self.parts {
                if part.found.is_none() && part.read(message) {
                    let truncated = part.found.is_none() && part.is_truncated(message);
                    again = Some(again.unwrap_or(false) || truncated);
                }
            }
        }
        if self.parts.iter().all(|part| part.found.is_some()) {
            let refused = |part: &Part| matches!(part.found, Some(Err(Lost::Refused(_))));
            return Ok(if self.parts.iter().any(refused) { Look::Next } else { Look::Done });
        }
        // Over UDP the other question may still be under way; its answer is asked for again with the rest.
        Ok(again.map_or(Look::Wait, |tcp| Look::Again { tcp }))
    }

    /// What the parts came to: a name that has addresses of one kind exists.
    fn result(&self) -> (Answer, Duration) {
        let mut addresses = Vec::new();
        let (mut lost, mut ttl) = (Lost::NotFound, u32::MAX);
        for part in &self.parts {
            match &part.found {
                Some(Ok(found)) => {
                    addresses.extend(found);
                    ttl = if found.is_empty() { ttl } else { ttl.min(part.ttl) };
                }
                Some(Err(other)) if lost == Lost::NotFound => lost = *other,
                _ => {}
            }
        }
        match addresses.is_empty() {
            true => (Err(lost), Duration::ZERO),
            false => (Ok(addresses.into()), Duration::from_secs(ttl.into())),
        }
    }
}

impl Part {
    /// Takes in an answer to this question; whether it must be asked again.
    fn read(&mut self, message: &[u8]) -> bool {
        match answer(message, self.id, &self.name, self.kind) {
            None => return false,
            Some(Said::Truncated) => return true,
            Some(Said::Alias(to, ttl)) if self.hops < LONGEST_CHAIN => {
                (self.name, self.hops, self.ttl) = (to.to_ascii_lowercase(), self.hops + 1, self.ttl.min(ttl));
                return true;
            }
            Some(Said::Alias(..)) => self.found = Some(Err(Lost::NotFound)),
            Some(Said::Addresses(addresses, ttl)) => {
                self.ttl = self.ttl.min(ttl);
                self.found = Some(Ok(addresses));
            }
            Some(Said::Refused(3)) => self.found = Some(Err(Lost::NotFound)),
            Some(Said::Refused(code)) => self.found = Some(Err(Lost::Refused(code))),
        }
        false
    }

    fn is_truncated(&self, message: &[u8]) -> bool {
        answer(message, self.id, &self.name, self.kind) == Some(Said::Truncated)
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
    match closed && messages.is_empty() {
        true => Err(ErrorKind::UnexpectedEof.into()),
        false => Ok(()),
    }
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
