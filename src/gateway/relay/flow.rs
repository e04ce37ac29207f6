//! The body of an answer on its way from an upstream to the client: taken as it comes, kept while the client is slower, and the
//! connection put back once it is whole. The rest of a request that was answered early goes out meanwhile.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
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
use crate::exchange::error::{HttpError, Level};
use crate::exchange::notebook::Notebook;
use crate::exchange::{Exchange, Received};
use crate::gateway::upstream::Tried;
use crate::gateway::upstream::peers::Outcome;
use crate::http::response::{Body, Response, Stream};

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
    first: u64,
    /// When the rate lets more through.
    pause: Option<Instant>,
    /// Why it broke off.
    broken: Option<ErrorKind>,
    notes: Option<(Notebook, Arc<Mutex<Attempt>>)>,
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
    /// The flow behind a head that was just read from this link.
    pub fn new(x: &Exchange, order: Order, tried: Tried, link: Link, buffering: Option<bool>) -> Flow {
        let conf = &order.conf;
        let buffering = buffering.unwrap_or(conf.buffering);
        let (memory, file) = if buffering { (conf.buffer_size + conf.buffers, conf.max_temp_file) } else { (0, 0) };
        let rate = parse_size(&x.eval(&conf.limit_rate)).filter(|rate| *rate > 0);
        Flow {
            held: Held::new(memory.max(1), file, PathBuf::new()),
            first: link.received,
            since: link.last_moved(),
            order,
            tried,
            link: Some(link),
            received: Received::Nothing,
            buffering,
            rate,
            pause: None,
            broken: None,
            notes: None,
            length: 0,
        }
    }

    /// Gives an answer its body: all of it if it is there, else what comes. `folder` is for what its client is too slow for, unless
    /// the conf names another.
    pub fn respond(
        mut self,
        x: &mut Exchange,
        mut response: Box<Response>,
        folder: &Path,
    ) -> Result<Box<Response>, HttpError> {
        let input = self.link.as_mut().map(|link| std::mem::take(&mut link.input)).unwrap_or_default();
        let mut out = Vec::new();
        let part = self.order.protocol.read_body(&input, &mut out).map_err(|fault| {
            HttpError::new(502, "upstream-bad-body").log(Level::Error, fault.words() + " while reading upstream")
        })?;
        self.length = out.len() as u64;
        if part == Part::Whole {
            self.put_back();
        }
        for remark in self.order.protocol.remarks() {
            x.report(remark.level, remark.text);
        }
        if let Some(last) = x.attempts.last() {
            last.length = self.length;
        }
        response.ranges = self.order.conf.force_ranges && response.status == 200;
        if part == Part::Whole {
            // The body of an answer to HEAD is not there, and nobody may know how long it would be.
            response.body = if x.is_head() && response.length.is_none() { self.nothing() } else { body(out) };
            return Ok(response);
        }
        let own = &self.order.conf.temp_path;
        self.held.keep_in(x.prefix.join(if own.as_os_str().is_empty() { folder } else { own }));
        if self.link.as_ref().is_some_and(|link| !link.out.is_done()) {
            self.received = x.received.take();
        }
        self.notes = Some((x.notebook(), x.attempts.share()));
        response.body = body(out);
        response.body.chunks.push_back(crate::http::response::Chunk::Stream(Arc::new(Mutex::new(self))));
        Ok(response)
    }

    fn nothing(self) -> Body {
        Body::stream(Arc::new(Mutex::new(self)))
    }

    /// The answer is whole: the connection is kept if it can be, and the server has done well.
    fn put_back(&mut self) {
        let Some(link) = self.link.take() else { return };
        let may_keep = self.order.protocol.may_keep() && link.out.is_done() && !link.deaf;
        let (line, choice, mut age, now) = link.release();
        age.requests += 1;
        if let Some(line) = line.filter(|_| may_keep) {
            let (upstream, address) = (choice.upstream(), choice.address().clone());
            upstream.idle.put(&upstream.keepalive, address, self.order.purpose.clone(), line, age, now);
        }
        // Whoever is put aside by a success? Nobody; so there is nothing to say.
        choice.finish(Outcome::Answered, &mut self.tried, now);
    }

    /// Takes in what has come, at most once.
    fn pull(&mut self) -> Pull {
        let Some(link) = &mut self.link else { return Pull::Whole };
        if let Some(rate) = self.rate {
            // As many as that many seconds allow, the one that has begun included.
            let seconds = self.since.elapsed().as_secs() + 1;
            if link.received - self.first >= rate.saturating_mul(seconds) {
                self.pause = Some(self.since + Duration::from_secs(seconds));
                return Pull::Nothing;
            }
            self.pause = None;
        }
        let mut out = Vec::new();
        let mut decoded = Ok(Part::More);
        let protocol = &mut self.order.protocol;
        match link.receive(|_, bytes| decoded = protocol.read_body(bytes, &mut out)) {
            Ok(0) => decoded = protocol.closed().map(|()| Part::Whole),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return match link.is_late(&self.order.conf) {
                    true => self.break_off(
                        ErrorKind::TimedOut,
                        "upstream timed out (110: Connection timed out) while reading upstream".into(),
                    ),
                    false => Pull::Nothing,
                };
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
                let kind = if fault == Fault::Closed { ErrorKind::UnexpectedEof } else { ErrorKind::InvalidData };
                let broken = self.break_off(kind, text);
                if out.is_empty() { broken } else { Pull::Bytes(out) }
            }
            Ok(Part::Whole) => {
                self.put_back();
                if out.is_empty() { Pull::Whole } else { Pull::Bytes(out) }
            }
            Ok(Part::More) => Pull::Bytes(out),
        }
    }

    /// Brings the counters and the protocol's remarks to the request.
    fn note(&mut self) {
        let remarks = self.order.protocol.remarks();
        let Some((notebook, attempt)) = &self.notes else { return };
        remarks.into_iter().for_each(|remark| notebook.report(remark.level, remark.text));
        if let Some(link) = &self.link {
            // Nothing that can panic runs under this lock.
            let mut attempt = attempt.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            attempt.received = link.received;
            attempt.sent = link.out.written;
            attempt.length = self.length;
            attempt.response_time = Some(link.took());
        }
    }

    fn break_off(&mut self, kind: ErrorKind, text: String) -> Pull {
        self.note();
        if let Some((notebook, _)) = &self.notes {
            notebook.report(Level::Error, text);
        }
        self.link = None;
        self.broken = Some(kind);
        Pull::Broken
    }

    /// Sends on what is left of the request.
    fn push(&mut self) {
        let Some(link) = self.link.as_mut().filter(|link| !link.deaf && !link.out.is_done()) else { return };
        let source = self.order.body.source(&self.received);
        match link.send(self.order.protocol.as_mut(), &source) {
            Ok(Sent::More) => link.waker.wake(),
            Ok(_) => {}
            // It answers; that it takes no more of the request is its own affair.
            Err(_) => link.deaf = true,
        }
    }
}

/// A body of these bytes; an empty one has no pieces.
fn body(bytes: Vec<u8>) -> Body {
    if bytes.is_empty() { Body::empty() } else { Body::bytes(bytes) }
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
