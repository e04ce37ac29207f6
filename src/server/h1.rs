//! HTTP/1.1 as what carries an exchange: how a request's body comes in over one client's socket, and how a response becomes
//! bytes there. The one place that frames; it says of itself in the exchange what it framed. Knows no phase and no pipeline step.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::endpoint::Endpoint;
use super::sent::sent_fields;
use super::slot::Heard;
use super::socket::Io;
use super::transport::Transport;
use super::verbs::{Fed, Framed, Sent};
use crate::exchange::body_reader::Given;
use crate::exchange::error::{HttpError, Level};
use crate::http::chunked;
use crate::http::framing::{self, BodyFraming, Framing};
use crate::http::interim::Interim;
use crate::http::response::{Chunk, Response};
use crate::pipeline::Run;

/// Bytes of the read buffer, one for each worker.
pub const BUFFER: usize = 64 << 10;
/// Bodies up to this size are sent with their head from one buffer.
const TOGETHER: usize = 16 << 10;
/// Pieces handed to one `writev`.
const PIECES: usize = 16;

/// What one worker lends to whatever it works on: memory that is used again and again.
pub struct Scratch {
    /// Where sockets are read into.
    pub buffer: Vec<u8>,
    /// Where heads of responses are written; empty between two turns.
    pub out: Vec<u8>,
    /// The second that `date` shows, and it.
    date: (u64, String),
}

impl Scratch {
    /// Fresh memory.
    pub fn new() -> Self {
        Scratch { buffer: vec![0; BUFFER], out: Vec::with_capacity(4096), date: (0, String::new()) }
    }

    /// Ensures that the date is today's.
    fn tell_date(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.date.0 != now {
            self.date = (now, crate::http::date::imf(now));
        }
    }
}

/// How far a response has come on its way to a client.
#[derive(Debug, Default)]
pub struct Sending {
    /// What is left of interim responses.
    unsaid: Vec<u8>,
    /// What is left of the response, framed.
    queue: VecDeque<Chunk>,
    /// Whether it goes out in chunks (RFC 9112 section 7.1).
    is_chunked: bool,
    /// How many more bytes of body may go out with the head from one buffer.
    joins: usize,
    /// Bytes sent so far, head and interim responses included.
    sent: u64,
    /// How many of them are no body.
    head_len: u64,
    /// How many bytes of body the head named, if it named a length.
    length: Option<u64>,
    /// Whether the head said that the connection is kept.
    keep: bool,
}

impl Sending {
    /// Whether the head said that the connection is kept.
    pub fn keeps(&self) -> bool {
        self.keep
    }

    /// How many bytes of what goes out are no body.
    pub fn head_len(&self) -> u64 {
        self.head_len
    }
}

/// What decides beside conf and response whether a connection is kept.
#[derive(Debug, Clone, Copy)]
pub struct Age {
    /// How many requests it brought.
    pub requests: u32,
    /// For how long it has been there, in milliseconds.
    pub lived: u64,
    /// Whether its listener goes away, or the server stops.
    pub is_last: bool,
}

/// One exchange on a client's socket.
pub struct H1<'c> {
    /// The socket.
    pub endpoint: &'c mut Endpoint,
    /// What was heard of the client.
    pub heard: Heard<'c>,
    /// How far the response has come.
    pub sending: &'c mut Sending,
    /// What the worker lends.
    pub scratch: &'c mut Scratch,
    /// The connection's age.
    pub age: Age,
}

impl H1<'_> {
    // --- the request ---

    /// What was read of the body already.
    pub fn ahead(&self) -> &[u8] {
        &self.endpoint.input
    }

    /// So much of that was taken.
    pub fn took(&mut self, used: usize) {
        self.endpoint.input.drain(..used);
    }

    /// Gives a body what was read already, or what the socket has, at most so much.
    pub fn body(&mut self, room: usize, take: impl FnOnce(&[u8]) -> Result<Given, HttpError>) -> Fed {
        self.endpoint.feed(room, &mut self.scratch.buffer, self.heard, take)
    }

    /// Asks a client that waits for it to send the body (RFC 9110 section 10.1.1).
    pub fn go_ahead(&mut self) {
        self.interim(&Interim::go_ahead());
    }

    // --- the response ---

    /// Sends an interim response. What the socket does not take at once goes out before the response: the client is not waited for, and how
    /// much may be said to one request is bounded in the pipeline.
    pub fn interim(&mut self, interim: &Interim) {
        let Sending { unsaid, sent, .. } = &mut *self.sending;
        interim.write(unsaid);
        // A client that is gone shows at the next read or write.
        if let Io::Bytes(n) = self.endpoint.socket.write(unsaid) {
            unsaid.drain(..n);
            *sent += n as u64;
        }
    }

    /// Takes the head of the response. `may_keep` says whether client and response allow another request.
    pub fn head(&mut self, run: &mut Run, response: &Response, may_keep: bool) -> Framed {
        self.scratch.tell_date();
        let (conf, age) = (&run.scope().keepalive, self.age);
        let keep = may_keep
            && u64::from(age.requests) < conf.requests
            && age.lived < conf.time.as_millis() as u64
            && !age.is_last;
        let framing = write_head(self.scratch, run, response, keep);
        self.endpoint.set_nodelay(run.scope().sending.nodelay);
        let (out, sending) = (&mut self.scratch.out, &mut *self.sending);
        if !sending.unsaid.is_empty() {
            out.splice(..0, std::mem::take(&mut sending.unsaid));
        }
        sending.head_len = sending.sent + out.len() as u64;
        sending.keep = framing.keep_alive;
        sending.is_chunked = framing.body == BodyFraming::Chunked;
        // A body with a pace of its own, and one in chunks, go out after the head.
        let is_apart = sending.is_chunked || response.delivery.pace.is_some();
        sending.joins = if is_apart { 0 } else { TOGETHER };
        sending.length = match framing.body {
            BodyFraming::Length(length) => Some(length),
            _ => None,
        };
        Framed { has_body: framing.body != BodyFraming::Empty, has_trailers: sending.is_chunked }
    }

    /// Takes a piece of the body; whether the whole response goes out in one piece.
    pub fn piece(&mut self, piece: Chunk, last: bool) -> bool {
        let sending = &mut *self.sending;
        match piece {
            Chunk::Bytes(bytes) if bytes.len() <= sending.joins && sending.queue.is_empty() => {
                sending.joins -= bytes.len();
                self.scratch.out.extend_from_slice(&bytes);
            }
            piece if piece.is_empty() => {}
            piece if sending.is_chunked => {
                let mut size = Vec::with_capacity(16);
                chunked::encode_chunk_head(piece.len(), &mut size);
                sending.queue.extend([Chunk::Bytes(size.into()), piece, Chunk::Bytes(Bytes::from_static(b"\r\n"))]);
            }
            piece => sending.queue.push_back(piece),
        }
        if last && sending.is_chunked {
            sending.queue.push_back(Chunk::Bytes(chunked::last_chunk(&[])));
        }
        last && sending.queue.is_empty()
    }

    /// Ends a body in chunks with these fields; names and values can be written as they are.
    pub fn trailers(&mut self, fields: &[(Bytes, Bytes)]) {
        self.sending.queue.push_back(Chunk::Bytes(chunked::last_chunk(fields)));
    }

    /// Sends head and body as far as they lie in one buffer. With `more` to come soon TLS keeps them back, to go out with that.
    pub fn send_first(&mut self, more: bool) -> Sent {
        let Scratch { out, .. } = &mut *self.scratch;
        let sending = &mut *self.sending;
        let is_whole = !more && sending.queue.is_empty();
        sending.joins = 0;
        let n = match out.is_empty() {
            true => 0,
            false => {
                match if is_whole { self.endpoint.socket.write(out) } else { self.endpoint.socket.write_first(out) } {
                    Io::Bytes(n) => n,
                    Io::Blocked => 0,
                    Io::End | Io::Gone => {
                        out.clear();
                        return Sent::Gone;
                    }
                }
            }
        };
        sending.sent += n as u64;
        if n < out.len() {
            sending.queue.push_front(Chunk::Bytes(Bytes::copy_from_slice(&out[n..])));
        }
        out.clear();
        if sending.queue.is_empty() { Sent::All } else { Sent::Blocked }
    }

    /// Sends what it was given until the socket is full, or `end` bytes went out.
    pub fn send(&mut self, end: u64, most_at_once: u64) -> Sent {
        let (socket, sending) = (&mut self.endpoint.socket, &mut *self.sending);
        loop {
            while sending.queue.front().is_some_and(Chunk::is_empty) {
                sending.queue.pop_front();
            }
            let io = match sending.queue.front() {
                None => return Sent::All,
                Some(_) if sending.sent >= end => return Sent::Share,
                Some(Chunk::File { file, offset, len }) => {
                    socket.send_file(file, *offset, (*len).min(most_at_once).min(end - sending.sent) as usize)
                }
                Some(_) => write_front(&sending.queue, socket, end - sending.sent),
            };
            match io {
                Io::Bytes(n) => sending.advance(n as u64),
                Io::Blocked => return Sent::Blocked,
                Io::End => return Sent::Shrunk,
                Io::Gone => return Sent::Gone,
            }
        }
    }

    /// Whether all that it was given, the last piece too, has left us.
    pub fn finish(&mut self) -> Sent {
        if !self.sending.queue.is_empty() {
            return Sent::Blocked;
        }
        match self.endpoint.socket.flush() {
            Io::Bytes(_) => Sent::All,
            Io::Blocked => Sent::Blocked,
            Io::End | Io::Gone => Sent::Gone,
        }
    }

    /// Bytes that were sent, and how many of them are body.
    pub fn sent(&self) -> (u64, u64) {
        (self.sending.sent, self.sending.sent.saturating_sub(self.sending.head_len))
    }

    /// Counts on whenever something went out.
    pub fn progress(&self) -> (u64, u64) {
        (self.sending.sent, self.endpoint.socket.flushed())
    }

    // --- the client ---

    /// Whether the client has all that the response's head named.
    pub fn is_served(&self) -> bool {
        self.sending.length.is_some_and(|length| self.sending.sent >= self.sending.head_len + length)
    }

    /// Whether the client is known to have left. One that only closed its end counts as gone, as in nginx: nothing tells the two apart
    /// until something is sent. What still lies in the socket is not looked at.
    pub fn is_known_to_have_left(&self) -> bool {
        self.heard.has_ended()
    }

    /// Whether the client has left. Asks its socket only if something came since that was read empty.
    pub fn has_left(&mut self) -> bool {
        self.heard.has_ended() || !self.endpoint.is_silent(self.heard) && self.endpoint.socket.has_ended()
    }
}

impl Sending {
    fn advance(&mut self, mut n: u64) {
        self.sent += n;
        while n > 0 {
            let Some(front) = self.queue.front_mut() else { return };
            let step = front.len().min(n);
            match front {
                Chunk::Bytes(bytes) => *bytes = bytes.slice(step as usize..),
                Chunk::File { offset, len, .. } => {
                    *offset += step;
                    *len -= step;
                }
                // What a stream has is given piece by piece; a stream itself is never given.
                Chunk::Stream(_) => return,
            }
            n -= step;
            if front.is_empty() {
                self.queue.pop_front();
            }
        }
    }
}

/// Writes the head of a response in the place of what stands in `out`; how the response is framed comes back.
fn write_head(scratch: &mut Scratch, run: &mut Run, response: &Response, keep: bool) -> Framing {
    let x = &mut run.x;
    let (out, date) = (&mut scratch.out, scratch.date.1.as_bytes());
    let framing = framing::of(response, x.head.version, x.head.method, keep);
    out.clear();
    let dropped = framing::write_head(out, response, &framing, date);
    if dropped > 0 {
        let text = format!("{dropped} response fields were dropped: a line break or a zero byte in their value");
        x.report(Level::Error, text);
    }
    x.sent.status = crate::http::status::on_wire(response.status);
    if run.settings.keeps_sent_fields {
        x.sent.fields = sent_fields(response, &framing, date);
    }
    framing
}

/// Writes the bytes in front, at most so many.
fn write_front(queue: &VecDeque<Chunk>, socket: &mut Transport, mut most: u64) -> Io {
    let mut pieces = [IoSlice::new(&[]); PIECES];
    let mut n = 0;
    for chunk in queue.iter().take(PIECES) {
        let Chunk::Bytes(bytes) = chunk else { break };
        let len = most.min(bytes.len() as u64);
        if len == 0 && n > 0 {
            break;
        }
        most -= len;
        pieces[n] = IoSlice::new(&bytes[..len as usize]);
        n += 1;
    }
    socket.write_all_of(&pieces[..n])
}
