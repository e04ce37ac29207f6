//! How a response is sent over whatever carries it: its head, the pieces of its body as their source has them, its trailers, its pace, and
//! what breaks it off. Knows no framing.

use std::time::Instant;

use super::body::Passed;
use super::driver::{Driver, Next, Served};
use super::slot::NEVER;
use super::source;
use super::task::{Stage, Task};
use super::verbs::Sent;
use crate::exchange::Received;
use crate::exchange::body_reader::BodyReader;
use crate::exchange::error::{Level, Report};
use crate::http::response::{Response, Switch};

/// What one response may send in one turn before others get theirs.
const SHARE: u64 = 4 << 20;

/// How sending ended for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Everything is out.
    Done,
    /// The client takes no more now.
    Blocked,
    /// The share of one turn is used up; others may want to send.
    Yield,
    /// The client has gone.
    Gone,
    /// A stream has nothing now; it is waited for, not the client.
    Starved,
    /// A stream broke off: what was promised cannot be kept.
    Broken,
    /// A file became shorter than its head promised.
    Shrunk,
}

impl Driver<'_> {
    /// Sends a response as far as it is taken.
    pub(super) fn respond(&mut self, mut response: Box<Response>) -> Next {
        #[cfg(test)]
        super::task::panic_if_asked(&self.task.run.x, "engine");
        let (task, down) = (&mut *self.task, &mut self.down);
        if matches!(task.run.x.received, Received::Coming(_)) {
            // Nobody took it, and nobody will.
            task.run.x.received = Received::Passed;
        }
        // The client of an upload that is refused may still be sending when the connection closes.
        task.linger |= response.close && task.run.body.is_some();
        match task.run.discard(down.ahead()) {
            Ok(used) => down.took(used),
            Err(error) => return Next::Act(task.run.refuse_body(error)),
        }
        task.linger |= task.run.has_lost_body;
        task.write_reports();
        let waits_with_body = task.run.body.is_some() && task.run.x.head.expects_continue;
        let may_keep = response.delivery.may_keep && !task.linger && !waits_with_body;
        let framed = down.head(&mut task.run, &response, may_keep);
        task.trailers = response.trailers && framed.has_body;
        task.ends_in_trailers = task.trailers && framed.has_trailers;
        if let Some(Switch(there)) = response.foreign.as_mut().and_then(|foreign| foreign.switch.take()) {
            return Next::Done(Served::Switched(there));
        }
        task.pace = response.delivery.pace.take();
        task.source = source::Source::new(std::mem::take(&mut response.body.chunks));
        if self.give_ready() {
            // Who reads the last byte and asks again at once must find its place free.
            self.task.run.give_back();
        }
        let is_all = self.task.source.is_over() && !self.task.ends_in_trailers;
        match self.down.send_first(!is_all) {
            Sent::Gone => {
                self.task.run.x.report(Level::Info, "client closed connection before the answer was sent");
                return Next::Done(self.break_off());
            }
            Sent::All if is_all && self.down.finish() == Sent::All => {
                self.note_sent();
                return Next::Done(self.answered());
            }
            _ => {}
        }
        self.task.stage = Stage::Sending;
        self.task.taken_by = self.time.after(self.task.run.scope().sending.timeout);
        Next::Done(self.send())
    }

    /// Gives what lies ready of the body; whether that ended a response that goes out at once.
    fn give_ready(&mut self) -> bool {
        let mut is_whole = false;
        while let Some((piece, last)) = self.task.source.ready() {
            is_whole = self.down.piece(piece, last && !self.task.ends_in_trailers);
        }
        is_whole
    }

    /// Sends what is taken.
    pub(super) fn send(&mut self) -> Served {
        self.task.is_early = false;
        if self.pass_on_meanwhile().is_none() {
            return self.break_off();
        }
        let share = match self.share() {
            Ok(share) => share,
            Err(until) => return self.pause(until),
        };
        let task = &mut *self.task;
        let sending = &task.run.scope().sending;
        let most = if sending.max_chunk == 0 { u64::MAX } else { sending.max_chunk };
        let (before, sent_before, timeout) = (self.down.progress(), self.down.sent().0, sending.timeout);
        let resumed = std::mem::take(&mut task.starved) || task.resume_at.take().is_some();
        let progress = self.push(share, most.min(SHARE));
        let got_on = self.down.progress() != before;
        if got_on && !resumed {
            self.down.has_room_again(self.time.now());
        }
        if self.task.run.x.log.notebook.get().is_some() {
            // What a script says while it runs is in the log at once.
            self.task.write_reports();
        }
        self.note_sent();
        match progress {
            Progress::Done => self.answered(),
            Progress::Blocked => {
                // What a client sends meanwhile wakes us too; that is no progress and buys it no time.
                let took = resumed || got_on;
                if took {
                    self.task.taken_by = self.time.after(timeout);
                }
                self.down.is_full(took, self.time.clock().now());
                let limit = self.task.source.limit().map_or(NEVER, |at| self.time.clock().at(at));
                self.task.is_early = limit < self.task.taken_by;
                Served::Wait(self.task.taken_by.min(limit))
            }
            Progress::Starved if self.has_lost_client() => {
                self.cut_off(Level::Info, "client closed connection while the answer was made")
            }
            Progress::Starved => {
                // What TLS kept back for the next piece would wait as long as that.
                self.down.finish();
                // The stream may have made room for more of the body, which brings no edge.
                let Some(more) = self.pass_on_meanwhile() else { return self.break_off() };
                let deadline = self.task.source.deadline().map_or(NEVER, |at| self.time.clock().at(at));
                self.task.starved = true;
                if more { Served::Yield } else { Served::Wait(deadline.min(self.task.body_by)) }
            }
            Progress::Broken => self.cut_off(Level::Error, "the answer broke off: its source ended too early"),
            Progress::Yield => {
                self.task.taken_by = self.time.after(timeout);
                if let Some(pace) = self.task.pace.filter(|_| share < SHARE) {
                    let sent = self.down.sent().0;
                    return self.pause(Instant::now() + pace.rest(sent, sent - sent_before));
                }
                Served::Yield
            }
            Progress::Gone => self.cut_off(Level::Info, "client closed connection while the answer was sent"),
            Progress::Shrunk => self.cut_off(Level::Alert, "the file became shorter while it was sent"),
        }
    }

    /// Sends what is taken, and gives the rest of the body piece by piece: what is made is asked for when all that was made is out.
    fn push(&mut self, share: u64, most_at_once: u64) -> Progress {
        let end = self.down.sent().0.saturating_add(share);
        loop {
            match self.down.send(end, most_at_once) {
                Sent::All => {}
                Sent::Blocked => {
                    self.task.source.gather();
                    return Progress::Blocked;
                }
                Sent::Share => return Progress::Yield,
                Sent::Gone => return Progress::Gone,
                Sent::Shrunk => return Progress::Shrunk,
            }
            if !self.task.source.is_over() && self.down.sent().0 >= end {
                return Progress::Yield;
            }
            match self.task.source.next() {
                source::Next::Piece(piece, last) => {
                    self.down.piece(piece, last && !self.task.ends_in_trailers);
                }
                source::Next::Starved => return Progress::Starved,
                source::Next::Yield => return Progress::Yield,
                source::Next::Broken => return Progress::Broken,
                source::Next::Over if std::mem::take(&mut self.task.ends_in_trailers) => {
                    self.task.work_out_trailers();
                    self.down.trailers(&self.task.run.x.sent.trailers);
                }
                source::Next::Over => {
                    return match self.down.finish() {
                        Sent::All => Progress::Done,
                        Sent::Gone => Progress::Gone,
                        _ => Progress::Blocked,
                    };
                }
            }
        }
    }

    /// A response has begun before the body that is passed on has ended: takes more of it, and says whether there was more.
    /// None if the response is to be cut off, since what makes it waits for a body that will not come.
    fn pass_on_meanwhile(&mut self) -> Option<bool> {
        let is_wanted = self.task.run.body.as_ref().is_some_and(BodyReader::is_wanted);
        let report = match self.pass_on() {
            Passed::More => return Some(true),
            Passed::Nothing => return Some(false),
            Passed::Left => Report::new(Level::Info, "client prematurely closed connection"),
            Passed::Late => Report::new(Level::Info, "client timed out (110: Connection timed out)"),
            Passed::Bad(error) => error.report.map_or_else(|| Report::new(Level::Info, error.reason), |report| *report),
        };
        self.task.run.x.keep(Some(report));
        // Where no body ends that nobody wants, no other request begins.
        self.task.run.body = None;
        self.task.linger = true;
        (!is_wanted).then_some(false)
    }

    fn cut_off(&mut self, level: Level, why: &str) -> Served {
        self.task.run.x.report(level, why);
        self.break_off()
    }

    /// Has a response that has run ahead of its pace wait, unless nobody waits for it any more.
    fn pause(&mut self, until: Instant) -> Served {
        if self.has_lost_client() {
            return self.cut_off(Level::Info, "client closed connection while the answer was sent");
        }
        self.task.resume_at = Some(until);
        Served::Wait(self.time.clock().at(until))
    }

    fn note_sent(&mut self) {
        let sent = &mut self.task.run.x.sent;
        (sent.bytes, sent.body_bytes) = self.down.sent();
    }

    /// Everything is out: the log lines.
    fn answered(&mut self) -> Served {
        self.task.run.x.sent.complete = true;
        self.task.run.give_back();
        self.task.record();
        Served::Answered
    }

    /// How many bytes one turn may send; else when the pace lets some go.
    fn share(&self) -> Result<u64, Instant> {
        let Task { pace: Some(pace), resume_at, .. } = &*self.task else { return Ok(SHARE) };
        let now = Instant::now();
        if let Some(until) = resume_at.filter(|until| *until > now) {
            // The client's news woke us, not the clock.
            return Err(until);
        }
        let sent = self.down.sent().0;
        match pace.allowance(sent, now) {
            0 => Err(now + pace.debt(sent, now)),
            bytes => Ok(bytes.min(SHARE)),
        }
    }
}
