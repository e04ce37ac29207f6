//! One exchange in the hands of what drives it: the request, what carries it, and the time. `body` reads the request's body, `answer` sends
//! the response, and `drive` is the loop above both. None of them knows a socket or a thread.

use std::sync::{Arc, Mutex};

use super::clock::Time;
use super::downstream::Downstream;
use super::task::Task;
use crate::http::response::Tunnel;
use crate::pipeline::Outcome;

/// What drives one exchange.
pub struct Driver<'d> {
    /// The request and its response.
    pub task: &'d mut Task,
    /// What carries them.
    pub down: Downstream<'d>,
    /// The worker's time.
    pub time: &'d mut Time,
}

/// How work on an exchange ended for now.
pub enum Served {
    /// Something has to be waited for, until this moment.
    Wait(u64),
    /// Others get their turn first.
    Yield,
    /// The response is out, and the log lines are written.
    Answered,
    /// The connection switches protocols: the head of the response was taken, and not sent.
    Switched(Arc<Mutex<dyn Tunnel>>),
    /// It broke off, and the log lines are written.
    BrokenOff,
}

/// What is to be done next.
pub(super) enum Next {
    /// Let the pipeline go on.
    Advance,
    /// Do what the pipeline says.
    Act(Outcome),
    /// Read the body.
    Body,
    /// Go on after a wait.
    Resume,
    /// Nothing now.
    Done(Served),
}

impl Driver<'_> {
    /// It broke off: the log lines.
    pub(super) fn break_off(&mut self) -> Served {
        self.task.record();
        Served::BrokenOff
    }

    /// Breaks off without a word, where the settings say so.
    pub(super) fn reset_if_asked(&mut self) {
        if self.task.run.scope().sending.reset_timedout {
            self.down.reset();
        }
    }

    /// Whether there is no reason to wait any longer, since the client has left.
    pub(super) fn has_lost_client(&mut self) -> bool {
        if self.task.run.x.outlives_client || self.task.awaits_body() || self.down.is_served() {
            return false;
        }
        self.is_forsaken() || self.down.has_left()
    }

    /// The same by what is known, without a look. What still lies in a socket is for nobody, unless it is of a body that is being
    /// passed on.
    pub(super) fn is_forsaken(&self) -> bool {
        !self.task.run.x.outlives_client && !self.task.is_fed() && self.down.is_known_to_have_left()
    }
}
