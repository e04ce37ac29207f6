//! One connection to one server of an upstream while a request is on it: what is out, what has come, and since when nothing
//! moved. Knows not what comes of it when it fails.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::conf::Conf;
use super::outgoing::{Outgoing, Sent, Source};
use super::protocol::{Fault, Head, Part, Protocol};
use super::socket::Line;
use super::trouble::Trouble;
use crate::exchange::engine::Waker;
use crate::gateway::upstream::Choice;
use crate::gateway::upstream::idle::Age;

/// Bytes of the read buffer, one for each worker.
pub const BUFFER: usize = 64 << 10;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// A connection with a request on it.
pub struct Link {
    pub(super) line: Box<Line>,
    pub(super) choice: Choice,
    pub(super) age: Age,
    pub(super) out: Outgoing,
    pub(super) waker: Waker,
    /// What has come and is not understood: the beginning of a head, or what is no answer any more behind a 101.
    pub(super) input: Vec<u8>,
    /// What of the body came with the head, and whether that is all; none before there is a head.
    pub(super) body: (Vec<u8>, Option<Result<Part, Fault>>),
    /// Bytes that have come.
    pub(super) received: u64,
    /// How many of them came along with the head and belong to the body.
    pub(super) beside_head: u64,
    /// When it was chosen.
    pub(super) started: Instant,
    /// When it stood, its handshake done where there is one.
    pub(super) connected: Option<Duration>,
    /// When something moved last.
    moved: Instant,
    /// When the first interim answer came behind all of the request: the time for the final one runs from then.
    interim: Option<Instant>,
    /// Whether it carried a request before.
    pub(super) is_kept: bool,
    /// Whether its news wakes us.
    is_watched: bool,
    /// Whether the server takes no more of the request, since it answered or closed.
    pub(super) deaf: bool,
    /// Whether it was read empty: more comes with news.
    drained: bool,
    /// Whether the client is to send more of the body first.
    hungry: bool,
}

impl Link {
    /// A link over a socket, fresh or kept.
    pub fn new(line: Box<Line>, choice: Choice, age: Option<Age>, head: Bytes, waker: Waker, now: Instant) -> Link {
        if let Some(bell) = &line.bell {
            waker.answers(bell.as_ref());
        }
        Link {
            is_watched: line.bell.is_some(),
            drained: line.bell.is_some(),
            line,
            choice,
            is_kept: age.is_some(),
            age: age.unwrap_or_default(),
            out: Outgoing::new(head),
            waker,
            input: Vec::new(),
            body: (Vec::new(), None),
            received: 0,
            beside_head: 0,
            started: now,
            connected: age.map(|_| Duration::ZERO),
            moved: now,
            interim: None,
            deaf: false,
            hungry: false,
        }
    }

    /// Goes on until there is a head, or something must be waited for.
    pub fn go(
        &mut self,
        conf: &Conf,
        protocol: &mut dyn Protocol,
        body: &Source<'_>,
        now: Instant,
    ) -> Result<Option<Head>, Trouble> {
        let written = self.out.written;
        let sent = self.send(protocol, body, now)?;
        if let Some(head) = self.look(conf, protocol, now)? {
            return Ok(Some(head));
        }
        if sent == Sent::More {
            self.waker.wake();
        }
        if self.out.written == written && self.is_late(conf, now) {
            // Whatever came at the last moment counts.
            self.drained = false;
            if let Some(head) = self.look(conf, protocol, now)? {
                return Ok(Some(head));
            }
            if self.is_late(conf, now) {
                return Err(match (self.connected, self.is_sending()) {
                    (None, _) if self.line.socket.has_greeted() => Trouble::HandshakeTimeout,
                    (None, _) => Trouble::ConnectTimeout,
                    (_, true) => Trouble::SendTimeout,
                    (_, false) => Trouble::ReadTimeout,
                });
            }
        }
        Ok(None)
    }

    /// Looks for the answer's head.
    pub(super) fn look(
        &mut self,
        conf: &Conf,
        protocol: &mut dyn Protocol,
        now: Instant,
    ) -> Result<Option<Head>, Trouble> {
        if self.connected.is_some() && self.is_watched { self.read_head(conf, protocol, now) } else { Ok(None) }
    }

    /// When something moved last.
    pub fn last_moved(&self) -> Instant {
        self.moved
    }

    /// How long it took from the choice of the server until something moved last.
    pub fn took(&self) -> Duration {
        self.moved.duration_since(self.started)
    }

    /// Whether nothing moved for too long.
    pub fn is_late(&self, conf: &Conf, now: Instant) -> bool {
        self.deadline(conf).is_some_and(|deadline| deadline <= now)
    }

    fn is_sending(&self) -> bool {
        !self.deaf && !self.out.is_done()
    }

    /// When nothing may have moved for too long.
    pub fn deadline(&self, conf: &Conf) -> Option<Instant> {
        let time = match (self.connected, self.is_sending()) {
            // The client's own deadline holds meanwhile.
            (Some(_), true) if self.hungry => return None,
            (None, _) => conf.connect_timeout,
            (_, true) => conf.send_timeout,
            (_, false) => return self.interim.unwrap_or(self.moved).min(self.moved).checked_add(conf.read_timeout),
        };
        self.moved.checked_add(time)
    }

    /// Sends what the server takes, and sees to it that news of it comes.
    pub fn send(&mut self, protocol: &mut dyn Protocol, body: &Source<'_>, now: Instant) -> Result<Sent, Trouble> {
        if !self.is_sending() {
            return Ok(Sent::All);
        }
        let before = self.out.written;
        let sent = match self.stand(body, now) {
            Ok(()) => self.out.send(&mut self.line.socket, protocol, body),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Sent::Blocked),
            Err(error) => Err(error),
        };
        if self.out.written > before {
            self.moved = now;
            if self.connected.is_none() {
                self.connected = Some(self.took());
            }
        }
        let sent = match sent {
            Ok(sent) => sent,
            Err(error) if self.connected.is_none() && self.line.socket.has_greeted() => {
                return Err(Trouble::Handshake(error));
            }
            Err(error) if self.connected.is_none() => return Err(Trouble::Connect(error)),
            Err(error) => {
                // It may have answered before it closed: that answer is for the client.
                self.deaf = true;
                if self.is_kept && self.received == 0 {
                    return Err(Trouble::Send(error));
                }
                Sent::All
            }
        };
        if self.hungry && sent != Sent::Hungry {
            self.moved = now;
        }
        self.hungry = sent == Sent::Hungry;
        self.watch(sent == Sent::Blocked)?;
        Ok(sent)
    }

    /// The handshake comes before the request, and it belongs to connecting. A body that nobody can have again is not begun either
    /// before the connection stands: it may go to another server until then.
    fn stand(&mut self, body: &Source<'_>, now: Instant) -> io::Result<()> {
        let is_tls = self.line.socket.is_tls();
        if self.connected.is_some() || !(is_tls || matches!(body, Source::Coming(_))) {
            return Ok(());
        }
        self.line.socket.stand()?;
        self.moved = now;
        self.connected = Some(self.took());
        // The handshake's last bytes may have brought more than they are.
        self.drained &= !is_tls;
        Ok(())
    }

    /// News is asked for after the first write, since most requests need no more than that; of a kept connection it comes anyway.
    pub(super) fn watch(&mut self, room: bool) -> Result<(), Trouble> {
        let room = room || self.line.socket.is_tls();
        if self.is_watched && (self.line.watches_room || !room) {
            return Ok(());
        }
        let socket = self.line.socket.as_fd();
        match &self.line.bell {
            Some(bell) => bell.watch_room(socket).map_err(Trouble::Connect)?,
            None if !self.is_watched => self.line.bell = self.waker.hang(socket, room).map_err(Trouble::Connect)?,
            // Without a bell both have been news from the beginning.
            None => {}
        }
        // A socket that is asked about anew tells at once what it has.
        (self.is_watched, self.line.watches_room, self.drained) = (true, room, true);
        Ok(())
    }

    fn read_head(&mut self, conf: &Conf, protocol: &mut dyn Protocol, now: Instant) -> Result<Option<Head>, Trouble> {
        loop {
            let mut found = Ok(None);
            // An answer whose pace is bounded is not read far ahead with its head.
            let most = if conf.is_paced() { conf.buffer_size.saturating_sub(self.input.len()).max(1) } else { BUFFER };
            match self.receive(now, most, |link, bytes| found = link.understand(bytes, conf, protocol)) {
                Ok(0) => return Err(Trouble::Answer(Fault::Closed)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(Trouble::Receive(error)),
            }
            if let Some(head) = found? {
                return Ok(Some(head));
            }
        }
    }

    /// Looks for the head in what has come by now. Usually all of it has, and the body with it: then nothing is copied but the
    /// two of them.
    fn understand(&mut self, bytes: &[u8], conf: &Conf, protocol: &mut dyn Protocol) -> Result<Option<Head>, Trouble> {
        let mut all = std::mem::take(&mut self.input);
        let all = match all.is_empty() {
            true => bytes,
            false => {
                all.extend_from_slice(bytes);
                &all
            }
        };
        let (used, head) = protocol.read_head(all).map_err(Trouble::Answer)?;
        let rest = &all[used..];
        let interim = protocol.interim_len();
        if interim > 0 && !self.is_sending() {
            self.interim.get_or_insert(self.moved);
        }
        if interim > conf.buffer_size {
            return Err(Trouble::TooBig);
        }
        match &head {
            Some(head) if head.size > conf.buffer_size => return Err(Trouble::TooBig),
            None if rest.len() > conf.buffer_size => return Err(Trouble::TooBig),
            Some(head) if head.status != 101 => {
                self.beside_head = rest.len() as u64;
                self.body.1 = Some(protocol.read_body(rest, &mut self.body.0));
            }
            _ => self.input = rest.to_vec(),
        }
        Ok(head)
    }

    /// Reads once, at most so many bytes, unless it is known that nothing is there, and hands over what came.
    pub fn receive(&mut self, now: Instant, most: usize, take: impl FnOnce(&mut Link, &[u8])) -> io::Result<usize> {
        // Taken before the read: what comes behind it is news again.
        let has_news = self.line.bell.as_ref().is_none_or(|bell| bell.take_news());
        if self.drained && !has_news {
            return Err(ErrorKind::WouldBlock.into());
        }
        READ.with_borrow_mut(|buffer| {
            let buffer = &mut buffer[..most.min(BUFFER)];
            let read = self.line.socket.read(buffer);
            // What TLS holds back brings no news.
            self.drained = !self.line.socket.is_tls() && read.as_ref().map_or(true, |n| *n < buffer.len());
            let n = read?;
            self.moved = now;
            self.received += n as u64;
            take(self, &buffer[..n]);
            Ok(n)
        })
    }

    /// The connection as it may be kept for another request; none without a bell, which alone can wake that one. And when
    /// something moved last.
    pub fn release(self) -> (Option<Box<Line>>, Choice, Age, Instant) {
        let bell = self.line.bell.as_deref();
        if let Some(bell) = bell {
            bell.wakes(None);
            if !self.drained {
                bell.leave_news();
            }
        }
        (Some(self.line).filter(|line| line.bell.is_some()), self.choice, self.age, self.moved)
    }

    /// From now on silence counts anew: the server was not asked for more until now.
    pub fn touch(&mut self) {
        self.moved = Instant::now();
    }
}
