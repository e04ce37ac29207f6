//! The loop that drives an exchange: it does what the outcomes of the pipeline say, until the exchange is over or something has to be
//! waited for. Which thread does it, and over what, it does not know.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::body::{Passed, late_body};
use super::driver::{Driver, Next, Served};
use super::task::Stage;
use crate::exchange::error::{HttpError, Level, Report};
use crate::exchange::step::Wait;
use crate::http::interim::Interim;
use crate::pipeline::{Feeding, Outcome};

impl Driver<'_> {
    /// Begins a request; `refused` says why it has no way through the pipeline, if it has none.
    pub fn begin(&mut self, refused: Option<HttpError>) -> Served {
        match refused {
            None => self.run(Next::Advance),
            Some(error) => {
                let outcome = self.task.run.refuse(error);
                self.run(Next::Act(outcome))
            }
        }
    }

    /// Goes on with one that had to wait.
    pub fn go_on(&mut self) -> Served {
        match self.task.stage {
            Stage::Body => self.run(Next::Body),
            Stage::Waiting => self.run(Next::Resume),
            Stage::Sending => self.send(),
        }
    }

    fn run(&mut self, mut next: Next) -> Served {
        loop {
            next = match next {
                Next::Advance => Next::Act(self.advance()),
                Next::Act(outcome) => self.act(outcome),
                Next::Body => self.read_body(),
                Next::Resume => self.resume(),
                Next::Done(served) => return served,
            };
        }
    }

    /// Lets the pipeline go on. A panic in a handler costs the request: 500, and nothing follows it.
    fn advance(&mut self) -> Outcome {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            super::task::panic_if_asked(&self.task.run.x, "handler");
            self.task.run.advance(self.down.ahead())
        }));
        outcome.unwrap_or_else(|_| {
            let mut error = HttpError::new(500, "panic").log(Level::Alert, "a handler panicked");
            error.close = true;
            self.task.run.refuse_plainly(error)
        })
    }

    fn act(&mut self, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Respond(response) => self.respond(response),
            Outcome::Wait(Wait::Until(moment) | Wait::News(moment)) => {
                let deadline = self.time.clock().at(moment);
                // What a script says while it runs is in the log at once.
                self.task.write_reports();
                self.task.stage = Stage::Waiting;
                match self.pass_on() {
                    Passed::Nothing => {}
                    Passed::More => return Next::Done(Served::Yield),
                    how => return self.lose_body(how),
                }
                let deadline = deadline.min(self.task.body_by);
                // No further edge would tell of a client that left together with its request.
                if deadline <= self.time.now() || self.is_forsaken() {
                    self.time.begin_turn();
                    return Next::Resume;
                }
                Next::Done(Served::Wait(deadline))
            }
            Outcome::Body(feeding) => {
                self.time.begin_turn();
                match feeding {
                    Feeding::Whole => Next::Body,
                    Feeding::Beside => Next::Resume,
                }
            }
            Outcome::Interim(interim) => {
                self.say(&interim);
                Next::Advance
            }
            Outcome::Close => {
                let sent = &mut self.task.run.x.sent;
                if sent.status == 0 {
                    sent.status = 444;
                }
                if sent.status == 444 {
                    self.reset_if_asked();
                }
                Next::Done(self.break_off())
            }
        }
    }

    fn say(&mut self, interim: &Interim) {
        match interim.status {
            100 => self.down.go_ahead(),
            _ => self.down.interim(interim),
        }
        self.task.run.x.sent.bytes = self.down.sent().0;
    }

    /// Goes on with a request that waited, unless its client has left meanwhile.
    fn resume(&mut self) -> Next {
        match self.pass_on() {
            Passed::More | Passed::Nothing => {}
            how => return self.lose_body(how),
        }
        if self.has_lost_client() {
            let text = "client closed connection while its request waited";
            self.task.give_up(HttpError::new(499, "client-left").log(Level::Info, text));
            return Next::Done(Served::BrokenOff);
        }
        Next::Advance
    }

    /// The server ends before it does: its log lines.
    pub fn cut(&mut self) {
        let last = Report::new(Level::Info, "worker_shutdown_timeout is over while the request was under way");
        match self.task.stage {
            Stage::Sending => self.task.run.x.keep(Some(last)),
            Stage::Body | Stage::Waiting => self.task.run.abandon(Some(last)),
        }
        self.task.record();
    }

    /// The client let its time pass.
    pub fn expire(&mut self) {
        match self.task.stage {
            Stage::Waiting => {}
            Stage::Body => {
                self.task.run.give_up(late_body());
                self.reset_if_asked();
                self.task.record();
            }
            Stage::Sending => {
                self.task.run.x.report(Level::Info, "client timed out (110: Connection timed out)");
                self.reset_if_asked();
                self.task.record();
            }
        }
    }
}
