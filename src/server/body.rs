//! How a request's body is read for the request, which says where it goes: before the response, or beside it. Nobody waits here for a
//! client, and no body has its limit here.

use super::driver::{Driver, Next, Served};
use super::slot::NEVER;
use super::task::Stage;
use super::verbs::Fed;
use crate::exchange::error::{HttpError, Level};
use crate::pipeline::left;

/// How often one turn looks for more of a body: each look brings 64 KiB at most.
const LOOKS: usize = 16;

/// What became of a body that is passed on.
pub(super) enum Passed {
    /// There was more of it, or its end.
    More,
    /// There is nothing now, no room for it, or no such body.
    Nothing,
    /// The client left.
    Left,
    /// The client was silent for too long.
    Late,
    /// It is no body, or too large a one.
    Bad(HttpError),
}

impl Driver<'_> {
    /// Takes what the client has sent of a body that is passed on, as far as there is room.
    pub(super) fn pass_on(&mut self) -> Passed {
        let task = &mut *self.task;
        let Some(body) = task.run.body.as_ref().filter(|body| body.passes_on() && body.room() > 0) else {
            task.body_by = NEVER;
            return Passed::Nothing;
        };
        let (is_wanted, room, timeout) = (body.is_wanted(), body.room(), task.run.scope().request_body.timeout);
        match self.down.body(room, |bytes| task.run.feed(bytes)) {
            Fed::More => {
                task.body_by = if is_wanted { self.time.after(timeout) } else { NEVER };
                Passed::More
            }
            Fed::Nothing if !is_wanted => {
                task.body_by = NEVER;
                Passed::Nothing
            }
            Fed::Nothing => {
                if task.body_by == NEVER {
                    task.body_by = self.time.after(timeout);
                }
                if task.body_by <= self.time.now() { Passed::Late } else { Passed::Nothing }
            }
            Fed::Whole => {
                task.body_by = NEVER;
                Passed::More
            }
            Fed::Left => Passed::Left,
            Fed::Bad(error) => Passed::Bad(error),
        }
    }

    /// Ends a request whose body, passed on before the response began, did not come whole.
    pub(super) fn lose_body(&mut self, how: Passed) -> Next {
        let error = match how {
            Passed::Bad(error) => return Next::Act(self.task.run.refuse_body(error)),
            Passed::Late => late_body(),
            _ => left(),
        };
        if error.status == 408 {
            self.reset_if_asked();
        }
        self.task.give_up(error);
        Next::Done(Served::BrokenOff)
    }

    /// Feeds the request its body; once that is whole the pipeline goes on.
    pub(super) fn read_body(&mut self) -> Next {
        self.task.stage = Stage::Body;
        for _ in 0..LOOKS {
            let run = &mut self.task.run;
            let Some(room) = run.room() else { return Next::Advance };
            match self.down.body(room, |bytes| run.feed(bytes)) {
                Fed::More => {}
                Fed::Nothing => return Next::Done(Served::Wait(self.time.after(run.scope().request_body.timeout))),
                Fed::Whole => return Next::Advance,
                Fed::Left => {
                    self.task.give_up(left());
                    return Next::Done(Served::BrokenOff);
                }
                Fed::Bad(error) => return Next::Act(run.refuse_body(error)),
            }
        }
        Next::Done(Served::Yield)
    }
}

/// A client whose body was not complete in time.
pub(super) fn late_body() -> HttpError {
    HttpError::new(408, "body-timeout").log(Level::Info, "client timed out (110: Connection timed out)")
}
