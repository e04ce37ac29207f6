//! A request and its response on their way, whatever carries them: the run through the pipeline, what is left of the body, and what is waited
//! for. Knows no socket.

use std::sync::Arc;
use std::time::Instant;

use super::logfile::Logs;
use super::slot::NEVER;
use super::source::Source;
use crate::exchange::body_reader::BodyReader;
use crate::exchange::error::HttpError;
use crate::http::pace::Pace;
use crate::pipeline::Run;

/// A request and its response.
pub struct Task {
    /// The request on its way through the pipeline.
    pub run: Run,
    /// The log files of its settings.
    pub logs: Arc<Logs>,
    /// Where it stands.
    pub stage: Stage,
    /// When the client must have sent more of a body that is passed on, in milliseconds on the server's clock.
    pub body_by: u64,
    /// When the client must have taken more of the response.
    pub taken_by: u64,
    /// Whether the response is to be woken before that, for its source.
    pub is_early: bool,
    /// Whether the response's source is waited for, not the client.
    pub starved: bool,
    /// How fast the response goes out; `None` if at full speed.
    pub pace: Option<Pace>,
    /// When the pace lets more go out.
    pub resume_at: Option<Instant>,
    /// When the acceptor was told to wake the request, the last time it was.
    pub alarm: u64,
    /// What is left of the response's body.
    pub source: Source,
    /// Whether trailers are still to be worked out.
    pub trailers: bool,
    /// Whether trailers end the body that goes out, and not its last piece.
    pub ends_in_trailers: bool,
    /// Whether the client may still be sending when the response is out, so that nothing can follow it.
    pub linger: bool,
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its body is coming in.
    Body,
    /// It waits for a moment, or for news.
    Waiting,
    /// Its response is going out.
    Sending,
}

impl Task {
    /// A request that has not begun yet.
    #[inline(always)]
    pub fn new(run: Run, logs: Arc<Logs>) -> Self {
        Task {
            run,
            logs,
            stage: Stage::Waiting,
            body_by: NEVER,
            taken_by: NEVER,
            is_early: false,
            starved: false,
            pace: None,
            resume_at: None,
            alarm: 0,
            source: Source::default(),
            trailers: false,
            ends_in_trailers: false,
            linger: false,
        }
    }

    /// Whether something of ours is waited for, not the client: the deadline is a wake-up.
    pub fn waits_for_us(&self) -> bool {
        match self.stage {
            Stage::Waiting => true,
            Stage::Sending => self.starved || self.resume_at.is_some() || self.is_early,
            Stage::Body => false,
        }
    }

    /// Whether a body is on its way that is read at once. Then reading tells that the client left, and nothing else does: it is
    /// told of in the same words whenever it comes.
    pub fn awaits_body(&self) -> bool {
        self.run.body.as_ref().is_some_and(|body| body.is_wanted() && body.room() > 0)
    }

    /// Works out the trailers of a body that has gone out, unless that was done.
    pub fn work_out_trailers(&mut self) {
        if std::mem::take(&mut self.trailers) {
            self.run.trailers();
        }
    }

    /// Writes the lines a request leaves in the logs, after its last byte.
    pub fn record(&mut self) {
        self.run.x.attempts.settle();
        if self.run.x.sent.complete {
            // A client that was sent none of them has them in its log line all the same, as in nginx.
            self.work_out_trailers();
        }
        self.write_reports();
        if self.run.is_logged() {
            let logs = &self.logs;
            self.run.access_lines(&mut |log, how, line| logs.write(log, how, line));
        }
        // A variable of the line may have had something to say.
        self.write_reports();
        self.run.note_end();
    }

    /// Writes what the request has to say to the error log, and the lines of what was asked for it.
    pub fn write_reports(&mut self) {
        if self.run.is_check() {
            // What it finds is judged, and one line tells of what that changes.
            return self.run.keep_reports();
        }
        if !self.run.has_lines() {
            return;
        }
        let (lines, logs) = (self.run.take_lines(), &self.logs);
        lines.errors.iter().for_each(|(log, line)| logs.write_error(*log, line));
        lines.accesses.iter().for_each(|(log, how, line)| logs.write(*log, *how, line));
    }

    /// Ends it without a response.
    pub fn give_up(&mut self, error: HttpError) {
        self.run.give_up(error);
        self.record();
    }

    /// Whether a body is being passed on that somebody wants.
    pub fn is_fed(&self) -> bool {
        self.run.body.as_ref().is_some_and(BodyReader::is_wanted)
    }
}

/// Panics if the request asks for it in this place.
#[cfg(test)]
pub fn panic_if_asked(x: &crate::exchange::Exchange, place: &str) {
    assert!(x.head.field(b"x-panic") != Some(place.as_bytes()), "asked for by the request");
}
