//! The body of an answer on its way from an upstream to the client: taken as it comes, kept while the client is slower, and the
//! connection put back once it is whole. The rest of a request that was answered early goes out meanwhile.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::held::Held;
use super::link::{BUFFER, Link};
use super::outgoing::Sent;
use super::protocol::{Fault, Part};
use super::run::Order;
use crate::conf::args::parse_size;
use crate::exchange::attempts::Attempt;
use crate::exchange::error::Level;
use crate::exchange::notebook::Notebook;
use crate::exchange::{Exchange, Received};
use crate::gateway::upstream::Tried;
use crate::http::response::Stream;

/// What one turn takes in of an answer whose client is slower.
const TURN: usize = 1 << 20;

/// An answer on its way.
pub struct Flow {
    order: Order,
    tried: Tried,
    /// Where it comes from; none once it is whole.
    link: Option<Link>,
    received: Received,
    held: Held,
    buffering: bool,
    /// Bytes a second.
    rate: Option<u64>,
    since: Instant,
    /// How much had come before its first byte.
    first: u64,
    /// When the rate lets more through.
    pause: Option<Instant>,
    /// Why it broke off.
    broken: Option<ErrorKind>,
    notes: (Notebook, Arc<Mutex<Attempt>>),
    length: u64,
}

/// How taking in ended for now.
enum Pull {
    /// These bytes came.
    Bytes(Vec<u8>),
    /// It is whole.
    Whole,
    /// Nothing is there now.
    Nothing,
    /// It broke off.
    Broken,
}

impl Flow {
    /// The flow behind what came with a head: `length` bytes of the body. `folder` is for what its client is too slow for, unless
    /// the conf names another.
    pub fn new(
        x: &mut Exchange,
        order: Order,
        tried: Tried,
        link: Link,
        length: u64,
        buffering: Option<bool>,
        folder: &Path,
    ) -> Flow {
        let conf = &order.conf;
        let buffering = buffering.unwrap_or(conf.buffering);
        let (memory, file) = if buffering { (conf.buffer_size + conf.buffers, conf.max_temp_file) } else { (0, 0) };
        // As in nginx, whose limit is one of its buffers.
        let rate = parse_size(&x.eval(&conf.limit_rate)).filter(|rate| *rate > 0 && buffering);
        let folder = x.prefix.join(if conf.temp_path.as_os_str().is_empty() { folder } else { &conf.temp_path });
        Flow {
            held: Held::new(memory.max(1), file, folder),
            first: link.received - link.beside_head,
            since: link.last_moved(),
            received: if link.out.is_done() { Received::Nothing } else { x.received.take() },
            order,
            tried,
            link: Some(link),
            buffering,
            rate,
            pause: None,
            broken: None,
            notes: (x.notebook(), x.attempts.share()),
            length,
        }
    }

    /// The answer is whole.
    fn put_back(&mut self) {
        if let Some(link) = self.link.take() {
            self.order.put_back(link, &mut self.tried);
        }
    }

    /// Takes in what has come, at most once.
    fn pull(&mut self) -> Pull {
        let Some(link) = &mut self.link else { return Pull::Whole };
        let mut most = BUFFER;
        if let Some(rate) = self.rate {
            // As many as that many seconds allow, the one that has begun included.
            let seconds = self.since.elapsed().as_secs() + 1;
            let left = rate.saturating_mul(seconds).saturating_sub(link.received - self.first);
            if left == 0 {
                self.pause = Some(self.since + Duration::from_secs(seconds));
                return Pull::Nothing;
            }
            self.pause = None;
            most = usize::try_from(left).unwrap_or(BUFFER);
        }
        let now = Instant::now();
        let mut out = Vec::new();
        let mut decoded = Ok(Part::More);
        let protocol = &mut self.order.protocol;
        match link.receive(now, most, |_, bytes| decoded = protocol.read_body(bytes, &mut out)) {
            Ok(0) => decoded = protocol.closed().map(|()| Part::Whole),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return if link.is_late(&self.order.conf, now) { self.give_up() } else { Pull::Nothing };
            }
            Err(error) => {
                let code = error.raw_os_error().unwrap_or(0);
                let words = crate::exchange::error::system_words(&error);
                return self.break_off(error.kind(), format!("recv() failed ({code}: {words}) while reading upstream"));
            }
        }
        self.length += out.len() as u64;
        self.note();
        match decoded {
            Err(fault) => {
                let text = fault.words() + " while reading upstream";
                let is_short = matches!(fault, Fault::Closed | Fault::Short(_));
                let kind = if is_short { ErrorKind::UnexpectedEof } else { ErrorKind::InvalidData };
                let broken = self.break_off(kind, text);
                if out.is_empty() { broken } else { Pull::Bytes(out) }
            }
            Ok(Part::Whole) => {
                self.end();
                self.put_back();
                if out.is_empty() { Pull::Whole } else { Pull::Bytes(out) }
            }
            Ok(Part::More) => Pull::Bytes(out),
        }
    }

    /// Brings the counters and the protocol's remarks to the request.
    fn note(&mut self) {
        let remarks = self.order.protocol.remarks();
        let (notebook, attempt) = &self.notes;
        remarks.into_iter().for_each(|remark| notebook.report(remark.level, remark.text));
        if let Some(link) = &self.link {
            // Nothing that can panic runs under this lock.
            let mut attempt = attempt.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            attempt.received = link.received;
            attempt.sent = link.out.written;
            attempt.length = self.length;
        }
    }

    /// The same for the last time.
    fn end(&mut self) {
        self.note();
        if let Some(link) = &self.link {
            let mut attempt = self.notes.1.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            attempt.response_time = Some(link.took());
        }
    }

    /// The server was silent for too long. An answer that is all there ends like any other.
    fn give_up(&mut self) -> Pull {
        let text = "upstream timed out (110: Connection timed out) while reading upstream";
        if !self.order.protocol.has_all() {
            return self.break_off(ErrorKind::TimedOut, text.into());
        }
        self.notes.0.report(Level::Warn, format!("{text}: its answer is whole, but it did not end the request"));
        self.end();
        self.link = None;
        Pull::Whole
    }

    fn break_off(&mut self, kind: ErrorKind, text: String) -> Pull {
        self.end();
        self.notes.0.report(Level::Error, text);
        self.link = None;
        self.broken = Some(kind);
        Pull::Broken
    }

    /// Sends on what is left of the request.
    fn push(&mut self) {
        let Some(link) = self.link.as_mut().filter(|link| !link.deaf && !link.out.is_done()) else { return };
        let source = self.order.body.source(&self.received);
        match link.send(self.order.protocol.as_mut(), &source, Instant::now()) {
            Ok(Sent::More) => link.waker.wake(),
            Ok(_) => {}
            // It answers; that it takes no more of the request is its own affair.
            Err(_) => link.deaf = true,
        }
    }
}

/// What is missing at the end of an answer that was cut short.
pub struct Missing;

impl Stream for Missing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::UnexpectedEof.into())
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

impl Stream for Flow {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.held.is_empty() {
            let bytes = self.next()?;
            self.held.put(&bytes)?;
        }
        self.held.take(into)
    }

    fn next(&mut self) -> io::Result<Bytes> {
        self.push();
        if !self.held.is_empty() {
            let mut piece = vec![0; BUFFER];
            let n = self.held.take(&mut piece)?;
            piece.truncate(n);
            return Ok(piece.into());
        }
        loop {
            if let Some(kind) = self.broken {
                return Err(kind.into());
            }
            match self.pull() {
                // What came was framing alone.
                Pull::Bytes(bytes) if bytes.is_empty() => {}
                Pull::Bytes(bytes) => return Ok(bytes.into()),
                Pull::Whole => return Ok(Bytes::new()),
                Pull::Nothing => return Err(ErrorKind::WouldBlock.into()),
                Pull::Broken => {}
            }
        }
    }

    fn gather(&mut self) {
        self.push();
        let mut total = 0;
        while self.buffering && self.link.is_some() && !self.held.is_full() && total < TURN {
            match self.pull() {
                Pull::Bytes(bytes) => {
                    total += bytes.len();
                    if let Err(error) = self.held.put(&bytes) {
                        let words = crate::exchange::error::system_words(&error);
                        self.break_off(
                            error.kind(),
                            format!("the answer could not be kept ({words}) while reading upstream"),
                        );
                    }
                }
                Pull::Whole | Pull::Nothing | Pull::Broken => return,
            }
        }
        match &mut self.link {
            // No edge tells of what has come already.
            Some(link) if self.buffering && total >= TURN => link.waker.wake(),
            // It is asked for more when the client has taken some; until then its silence is ours.
            Some(link) => link.touch(),
            None => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let link = self.link.as_ref()?;
        self.pause.or_else(|| link.deadline(&self.order.conf))
    }
}
