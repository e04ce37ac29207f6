//! How an answer is sent and what comes after it: framing, the first write, the log lines, and
//! whether the connection is kept, drained, lingered on or closed.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::body::Passed;
use super::connection::{Connection, Phase, Rest, Task};
use super::output::{Output, Progress};
use super::sent::sent_fields;
use super::slot::{NEVER, Parked};
use super::transport::Io;
use super::tunnel::{End, Pipes};
use super::worker::{Turn, Worker};
use crate::exchange::Received;
use crate::exchange::body_reader::BodyReader;
use crate::exchange::error::{Level, Report};
use crate::http::framing::{self, BodyFraming, Framing};
use crate::http::response::{Chunk, Response, Switch};
use crate::pipeline::Run;

/// What one connection may send in one turn before others get theirs.
const SHARE: u64 = 4 << 20;
/// A client that has room for more within so many milliseconds is a fast one.
const FAST: u64 = 100;
/// Bodies up to this size are sent with their head from one buffer.
const TOGETHER: u64 = 16 << 10;

impl Worker {
    /// Sends an answer as far as the socket takes it.
    pub(super) fn respond(&mut self, c: &mut Connection, mut task: Box<Task>, mut response: Response) -> Turn {
        #[cfg(test)]
        super::panics::panic_if_asked(&task.run.x, "engine");
        if matches!(task.run.x.received, Received::Coming(_)) {
            // Nobody took it, and nobody will.
            task.run.x.received = Received::Passed;
        }
        // The client of an upload that is refused may still be sending when the connection closes.
        task.linger |= response.close && task.run.body.is_some();
        match task.run.discard(&c.input) {
            Ok(used) => drop(c.input.drain(..used)),
            Err(error) => return self.refuse_body(c, task, error),
        }
        task.linger |= task.run.has_lost_body;
        self.write_reports(&mut task);
        task.keep = self.may_keep(c, &task, &response);
        let chunked = self.write_head(&mut task, &response);
        let nodelay = task.run.scope().sending.nodelay;
        if nodelay == c.delayed {
            c.delayed = !nodelay;
            c.socket.set_nodelay(nodelay);
        }
        if !task.unsaid.is_empty() {
            self.out.splice(..0, std::mem::take(&mut task.unsaid));
        }
        let head = self.out.len();
        task.head_len = task.said + head as u64;
        if let Some(Switch(there)) = response.foreign.as_mut().and_then(|foreign| foreign.switch.take()) {
            let head = std::mem::take(&mut self.out);
            let (up, open) = (std::mem::take(&mut c.input), End::Open);
            let pipes = Pipes { there, up, down: head, up_ended: open, down_ended: open };
            c.deadline = 0;
            return self.tunnel(c, task, Box::new(pipes));
        }
        let mut chunks = std::mem::take(&mut response.body.chunks);
        task.pace = response.delivery.pace.take();
        let apart = chunked || task.pace.is_some();
        let mut together = 0;
        while let Some(Chunk::Bytes(bytes)) = chunks.front().filter(|_| !apart) {
            together += bytes.len() as u64;
            if together > TOGETHER {
                break;
            }
            self.out.extend_from_slice(bytes);
            chunks.pop_front();
        }
        if !chunked && chunks.iter().all(Chunk::is_empty) {
            // Who reads the last byte and asks again at once must find its place free.
            task.run.give_back();
        }
        let sent = match self.out.is_empty() {
            true => 0,
            false => {
                match if chunks.is_empty() { c.socket.write(&self.out) } else { c.socket.write_first(&self.out) } {
                    Io::Bytes(n) => n,
                    Io::Blocked => 0,
                    Io::End | Io::Gone => {
                        task.run.x.report(Level::Info, "client closed connection before the answer was sent");
                        self.record(&mut task);
                        return Turn::Close;
                    }
                }
            }
        };
        task.output = Output::new(chunks, chunked, task.said + sent as u64);
        if sent < self.out.len() {
            task.output.put_first(Bytes::copy_from_slice(&self.out[sent..]));
        }
        if task.output.is_done() && c.socket.flush() == Io::Bytes(0) {
            let x = &mut task.run.x;
            x.sent.bytes = task.said + sent as u64;
            x.sent.body_bytes = (sent - head) as u64;
            return self.answered(c, task);
        }
        c.deadline = self.after(task.run.scope().sending.timeout);
        self.send(c, task)
    }

    /// Writes the head into `out`; whether the body goes out in chunks.
    fn write_head(&mut self, task: &mut Task, response: &Response) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.date.0 != now {
            self.date = (now, crate::http::date::imf(now));
        }
        let date = self.date.1.as_bytes();
        let framing = write_head(&mut self.out, &mut task.run, response, task.keep, date);
        task.trailers = response.trailers && framing.body != BodyFraming::Empty;
        task.keep = framing.keep_alive;
        task.length = match framing.body {
            BodyFraming::Length(length) => Some(length),
            _ => None,
        };
        if task.run.settings.keeps_sent_fields {
            task.run.x.sent.fields = sent_fields(response, &framing, date);
        }
        framing.body == BodyFraming::Chunked
    }

    /// Whether client, settings and state of the server allow another request on this connection.
    fn may_keep(&self, c: &Connection, task: &Task, response: &Response) -> bool {
        let (x, conf) = (&task.run.x, &task.run.scope().keepalive);
        response.delivery.may_keep
            && !task.linger
            && u64::from(c.requests) < conf.requests
            && self.now() < self.shared.clock.at(c.connected).saturating_add(conf.time.as_millis() as u64)
            && !self.shared.is_stopping()
            && !self.current.entries[c.listener as usize].gone
            && !(task.run.body.is_some() && x.head.expects_continue)
    }

    /// Sends what the socket takes.
    pub(super) fn send(&mut self, c: &mut Connection, mut task: Box<Task>) -> Turn {
        c.deadline = task.client_by.take().unwrap_or(c.deadline);
        if self.pass_on_meanwhile(c, &mut task).is_none() {
            return self.cut_off(task);
        }
        let share = match task.share() {
            Ok(share) => share,
            Err(until) => return self.pause(c, task, until),
        };
        let sending = &task.run.scope().sending;
        let most = if sending.max_chunk == 0 { u64::MAX } else { sending.max_chunk };
        let (before, timeout) = ((task.output.sent, c.socket.flushed()), sending.timeout);
        let resumed = std::mem::take(&mut task.starved) || task.resume_at.take().is_some();
        let progress = send_on(c, &mut task, share, most.min(SHARE));
        let got_on = (task.output.sent, c.socket.flushed()) != before;
        if got_on && c.parked > 0 && !resumed {
            self.judge_speed(c);
        }
        if task.run.x.log.notebook.get().is_some() {
            // What a script says while it runs is in the log at once.
            self.write_reports(&mut task);
        }
        let sent = &mut task.run.x.sent;
        sent.bytes = task.output.sent;
        sent.body_bytes = task.output.sent.saturating_sub(task.head_len);
        match progress {
            Progress::Done => self.answered(c, task),
            Progress::Blocked => {
                // What a client sends meanwhile wakes us too; that is no progress and buys it no time.
                if resumed || got_on {
                    c.deadline = self.after(timeout);
                    c.parked = self.shared.clock.now();
                } else if c.fast {
                    c.fast = false;
                    c.socket.bound_unsent(Some(super::listen::UNSENT));
                }
                let limit = task.output.limit().map_or(NEVER, |at| self.shared.clock.at(at));
                task.client_by = (limit < c.deadline).then_some(c.deadline);
                let deadline = c.deadline.min(limit);
                c.phase = Phase::Sending(task);
                Turn::Park(Parked::Busy, deadline)
            }
            Progress::Starved if task.has_lost_client(c) => {
                task.run.x.report(Level::Info, "client closed connection while the answer was made");
                self.record(&mut task);
                Turn::Close
            }
            Progress::Starved => {
                // The stream may have made room for more of the body, which brings no edge.
                let Some(more) = self.pass_on_meanwhile(c, &mut task) else { return self.cut_off(task) };
                let deadline = task.output.stream_deadline().map_or(NEVER, |at| self.shared.clock.at(at));
                let deadline = deadline.min(task.body_by);
                task.starved = true;
                c.phase = Phase::Sending(task);
                if more { Turn::Yield } else { Turn::Park(Parked::Busy, deadline) }
            }
            Progress::Broken => {
                task.run.x.report(Level::Error, "the answer broke off: its source ended too early");
                self.record(&mut task);
                Turn::Close
            }
            Progress::Yield | Progress::Ended => {
                c.deadline = self.after(timeout);
                if let Some(pace) = task.pace.filter(|_| share < SHARE) {
                    let until = Instant::now() + pace.rest(task.output.sent, task.output.sent - before.0);
                    return self.pause(c, task, until);
                }
                c.phase = Phase::Sending(task);
                Turn::Yield
            }
            Progress::Gone => {
                task.run.x.report(Level::Info, "client closed connection while the answer was sent");
                self.record(&mut task);
                Turn::Close
            }
            Progress::Shrunk => {
                task.run.x.report(Level::Alert, "the file became shorter while it was sent");
                self.record(&mut task);
                Turn::Close
            }
        }
    }

    /// An answer has begun before the body that is passed on has ended: takes more of it, and says whether there was more.
    /// None if the answer is to be cut off, since what makes it waits for a body that will not come.
    fn pass_on_meanwhile(&mut self, c: &mut Connection, task: &mut Task) -> Option<bool> {
        let is_wanted = task.run.body.as_ref().is_some_and(BodyReader::is_wanted);
        let report = match self.pass_on(c, task) {
            Passed::More => return Some(true),
            Passed::Nothing => return Some(false),
            Passed::Left => Report::new(Level::Info, "client prematurely closed connection"),
            Passed::Late => Report::new(Level::Info, "client timed out (110: Connection timed out)"),
            Passed::Bad(error) => error.report.map_or_else(|| Report::new(Level::Info, error.reason), |report| *report),
        };
        task.run.x.keep(Some(report));
        // Where no body ends that nobody wants, no other request begins.
        task.run.body = None;
        task.keep = false;
        task.linger = true;
        (!is_wanted).then_some(false)
    }

    fn cut_off(&mut self, mut task: Box<Task>) -> Turn {
        self.record(&mut task);
        Turn::Close
    }

    /// Parks an answer that has run ahead of its pace, unless nobody waits for it any more.
    fn pause(&mut self, c: &mut Connection, mut task: Box<Task>, until: Instant) -> Turn {
        if task.has_lost_client(c) {
            task.run.x.report(Level::Info, "client closed connection while the answer was sent");
            self.record(&mut task);
            return Turn::Close;
        }
        task.resume_at = Some(until);
        c.phase = Phase::Sending(task);
        Turn::Park(Parked::Busy, self.shared.clock.at(until))
    }

    /// Lifts the bound on unsent bytes for a client that takes them at once, and puts it back when the client
    /// has become slow.
    pub(super) fn judge_speed(&mut self, c: &mut Connection) {
        let fast = self.now().saturating_sub(c.parked) < FAST;
        if fast != c.fast {
            c.fast = fast;
            c.socket.bound_unsent((!fast).then_some(super::listen::UNSENT));
        }
    }

    /// Everything is out: the log lines, then what becomes of the connection.
    pub(super) fn answered(&mut self, c: &mut Connection, mut task: Box<Task>) -> Turn {
        task.run.x.sent.complete = true;
        task.run.give_back();
        self.record(&mut task);
        let lingering = task.run.scope().lingering.clone();
        let keep = task.run.scope().keepalive.timeout;
        // The next request on this thread uses the head's memory again.
        self.spare = std::mem::take(&mut task.run.x.head);
        let (body, kept, linger) = (task.run.body.take(), task.keep, task.linger);
        drop(task);
        if kept {
            let Some(body) = body else {
                c.phase = Phase::Idle;
                c.deadline = self.after(keep);
                return Turn::Go;
            };
            let (silence, until) = (lingering.timeout.as_millis() as u64, self.after(lingering.time));
            let keep = keep.as_millis() as u64;
            c.phase = Phase::Draining(Box::new(Rest { body, until, silence, keep }));
            return Turn::Go;
        }
        if !lingering.is_wanted(linger || body.is_some() || !c.input.is_empty()) {
            return Turn::Close;
        }
        c.socket.finish();
        let silence = lingering.timeout.as_millis() as u64;
        c.phase = Phase::Lingering { until: self.after(lingering.time), silence };
        Turn::Go
    }

    /// Writes the lines a request leaves in the logs, after its last byte.
    pub(super) fn record(&mut self, task: &mut Task) {
        task.run.x.attempts.settle();
        if task.run.x.sent.complete {
            // A client that was sent none of them has them in its log line all the same, as in nginx.
            finish(task);
        }
        self.write_reports(task);
        let logs = &task.logs;
        task.run.access_lines(&mut |log, how, line| logs.write(log, how, line));
        // A variable of the line may have had something to say.
        self.write_reports(task);
    }

    /// Writes what the request has to say to the error log, and the lines of what was asked for it.
    pub(super) fn write_reports(&mut self, task: &mut Task) {
        if !task.run.has_lines() {
            return;
        }
        let (lines, logs) = (task.run.take_lines(), &task.logs);
        lines.errors.iter().for_each(|(log, line)| logs.write_error(*log, line));
        lines.accesses.iter().for_each(|(log, how, line)| logs.write(*log, *how, line));
    }
}

/// Writes the head of a response in the place of what stands in `out`; how the response is framed comes back. `keep` says
/// whether client and settings allow another request on this connection.
fn write_head(out: &mut Vec<u8>, run: &mut Run, response: &Response, keep: bool, date: &[u8]) -> Framing {
    let x = &mut run.x;
    let framing = framing::of(response, x.head.version, x.head.method, keep);
    out.clear();
    let dropped = framing::write_head(out, response, &framing, date);
    if dropped > 0 {
        let text = format!("{dropped} response fields were dropped: a line break or a zero byte in their value");
        x.report(Level::Error, text);
    }
    x.sent.status = crate::http::status::on_wire(response.status);
    framing
}

impl Task {
    /// How many bytes one turn may send; else when the pace lets some go.
    fn share(&self) -> Result<u64, Instant> {
        let Some(pace) = &self.pace else { return Ok(SHARE) };
        let now = Instant::now();
        if let Some(until) = self.resume_at.filter(|until| *until > now) {
            // The client's news woke us, not the clock.
            return Err(until);
        }
        match pace.allowance(self.output.sent, now) {
            0 => Err(now + pace.debt(self.output.sent, now)),
            bytes => Ok(bytes.min(SHARE)),
        }
    }
}

/// Sends what the socket takes, and the end of a body in chunks when its turn has come.
fn send_on(c: &mut Connection, task: &mut Task, share: u64, most_at_once: u64) -> Progress {
    loop {
        match task.output.send(&mut c.socket, share, most_at_once) {
            Progress::Ended => {
                finish(task);
                task.output.end(&task.run.x.sent.trailers);
            }
            progress => return progress,
        }
    }
}

/// Works out the fields behind the body, which has gone out, unless that was done.
fn finish(task: &mut Task) {
    if std::mem::take(&mut task.trailers) {
        task.run.trailers();
    }
}
