//! How a request's head is read: usually in one piece from the read buffer, else piece by piece, parked in
//! between. What a head means is `http`'s business.

use std::time::{Duration, Instant};

use super::connection::{Connection, Partial, Phase};
use super::greeting::Greeting;
use super::request::left_in_head;
use super::slot::Parked;
use super::socket::Io;
use super::worker::{Turn, Worker};

impl Worker {
    /// Waits for the first byte of a request.
    pub(super) fn idle(&mut self, c: &mut Connection) -> Turn {
        if let Some(turn) = self.hear_announcement(c) {
            return turn;
        }
        c.pipelined = c.requests > 0 && !c.endpoint.input.is_empty();
        if !c.endpoint.input.is_empty() {
            let input = std::mem::take(&mut c.endpoint.input);
            return self.first_bytes(c, Input::Kept(input));
        }
        if c.requests == 0 && c.endpoint.socket.is_shaking() {
            c.phase = Phase::Greeting(Box::new(Greeting::until(c.deadline)));
            return Turn::Go;
        }
        if c.endpoint.drained && !c.endpoint.socket.holds_input() {
            return self.rest(c);
        }
        match c.endpoint.read(&mut self.scratch.buffer, c.place.slot().heard()) {
            Io::Bytes(n) => self.first_bytes(c, Input::Buffer(n)),
            Io::Blocked => self.rest(c),
            Io::End | Io::Gone => Turn::Close,
        }
    }

    /// Parks an idle connection for as long as the conf allows.
    fn rest(&mut self, c: &mut Connection) -> Turn {
        c.phase = Phase::Idle;
        let scope = &self.default_server(c).scope;
        let (time, stopping) = match c.requests {
            0 => (scope.request_head.timeout, Duration::from_secs(2)),
            _ => (scope.keepalive.timeout, Duration::ZERO),
        };
        let time = if self.shared.is_stopping() { time.min(stopping) } else { time };
        if c.requests > 0 && time.is_zero() {
            return Turn::Close;
        }
        // A kept deadline: `keepalive_timeout` of the location that answered last.
        let deadline = if c.requests > 0 && c.deadline != 0 { c.deadline } else { self.time.after(time) };
        Turn::Park(Parked::Idle, deadline)
    }

    /// The first bytes of a request: usually all of it, straight from the read buffer.
    pub(super) fn first_bytes(&mut self, c: &mut Connection, input: Input) -> Turn {
        crate::exchange::counters::request();
        let mut partial = Partial { scanner: Default::default(), started: Instant::now(), deadline: 0 };
        let limits = self.default_server(c).scope.request_head.clone();
        let bytes = match &input {
            Input::Buffer(n) => &self.scratch.buffer[..*n],
            Input::Kept(bytes) => bytes,
        };
        match partial.scanner.scan(bytes, &limits.limits) {
            Ok(Some(len)) => {
                let mut head = std::mem::take(&mut self.spare);
                let refused = head.read(&bytes[..len], &limits.limits);
                c.endpoint.input.extend_from_slice(&bytes[len..]);
                self.begin(c, head, partial.started, refused)
            }
            Ok(None) => {
                c.endpoint.input.extend_from_slice(bytes);
                partial.deadline = self.time.after(limits.timeout);
                c.phase = Phase::Head(Box::new(partial));
                Turn::Go
            }
            Err(error) => {
                let mut head = std::mem::take(&mut self.spare);
                let stop = partial.scanner.stop(&limits.limits);
                let refused = head.retrace(bytes, &limits.limits, error, Some(stop));
                self.begin(c, head, partial.started, Some(refused))
            }
        }
    }

    /// The rest of a head that came in pieces.
    pub(super) fn head(&mut self, c: &mut Connection, mut partial: Box<Partial>) -> Turn {
        if c.endpoint.drained {
            let deadline = partial.deadline;
            c.phase = Phase::Head(partial);
            return Turn::Park(Parked::Head, deadline);
        }
        match c.endpoint.read(&mut self.scratch.buffer, c.place.slot().heard()) {
            Io::Bytes(n) => c.endpoint.input.extend_from_slice(&self.scratch.buffer[..n]),
            Io::Blocked => {
                c.phase = Phase::Head(partial);
                return Turn::Go;
            }
            Io::End | Io::Gone => return self.abandon(c, partial.started, left_in_head),
        }
        let limits = self.default_server(c).scope.request_head.clone();
        let mut head = std::mem::take(&mut self.spare);
        match partial.scanner.scan(&c.endpoint.input, &limits.limits) {
            Ok(Some(len)) => {
                let refused = head.read(&c.endpoint.input[..len], &limits.limits);
                c.endpoint.input.drain(..len);
                self.begin(c, head, partial.started, refused)
            }
            Ok(None) => {
                self.spare = head;
                c.phase = Phase::Head(partial);
                Turn::Go
            }
            Err(error) => {
                let stop = partial.scanner.stop(&limits.limits);
                let refused = head.retrace(&c.endpoint.input, &limits.limits, error, Some(stop));
                c.endpoint.input = Vec::new();
                self.begin(c, head, partial.started, Some(refused))
            }
        }
    }
}

/// Where the first bytes of a request lie.
pub(super) enum Input {
    /// In the read buffer, so many.
    Buffer(usize),
    /// They were read with the request before.
    Kept(Vec<u8>),
}
