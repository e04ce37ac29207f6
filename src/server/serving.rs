//! The phases of a socket around an exchange that it carries: it lends what carries one to the driver, and then is kept, drained, lingered
//! on, or given to a tunnel.

use super::connection::{Carried, Connection, Phase, Rest};
use super::downstream::Downstream;
use super::driver::{Driver, Served};
use super::h1::{Age, H1};
use super::pipes::{End, Pipes};
use super::slot::Parked;
use super::socket::Io;
use super::verbs::Fed;
use super::worker::{Turn, Worker};
use crate::exchange::error::HttpError;

/// How often one turn looks for more of what is thrown away: each look brings 64 KiB at most.
const LOOKS: usize = 16;

impl Worker {
    /// Begins a request that has come on a connection; `refused` says why it has no way through the pipeline, if it has none.
    pub(super) fn begin_exchange(
        &mut self,
        c: &mut Connection,
        mut carried: Box<Carried>,
        refused: Option<HttpError>,
    ) -> Turn {
        let served = self.driver(c, &mut carried).begin(refused);
        self.start_errands(&mut carried.task);
        self.serve(c, carried, served)
    }

    /// Goes on with a request.
    pub(super) fn go_on(&mut self, c: &mut Connection, mut carried: Box<Carried>) -> Turn {
        let served = self.driver(c, &mut carried).go_on();
        self.start_errands(&mut carried.task);
        self.serve(c, carried, served)
    }

    /// The client of a request let its time pass.
    pub(super) fn expire_exchange(&mut self, c: &mut Connection, mut carried: Box<Carried>) {
        self.driver(c, &mut carried).expire();
        self.start_errands(&mut carried.task);
    }

    /// The server ends before the request does.
    pub(super) fn cut_exchange(&mut self, c: &mut Connection, mut carried: Box<Carried>) {
        self.driver(c, &mut carried).cut();
    }

    /// What drives the exchange that this connection carries.
    fn driver<'d>(&'d mut self, c: &'d mut Connection, carried: &'d mut Carried) -> Driver<'d> {
        let Worker { shared, current, scratch, time, .. } = self;
        let Carried { task, sending } = carried;
        let age = Age {
            requests: c.requests,
            lived: time.now().saturating_sub(time.clock().at(c.connected)),
            is_last: shared.is_stopping() || current.entries[c.listener as usize].gone,
        };
        let h1 = H1 { endpoint: &mut c.endpoint, heard: c.place.slot().heard(), sending, scratch, age };
        Driver { task, down: Downstream::H1(h1), time }
    }

    /// What becomes of the connection after work on its exchange.
    fn serve(&mut self, c: &mut Connection, carried: Box<Carried>, served: Served) -> Turn {
        match served {
            Served::Wait(until) => {
                c.phase = Phase::Exchange(carried);
                Turn::Park(Parked::Busy, until)
            }
            Served::Yield => {
                c.phase = Phase::Exchange(carried);
                Turn::Yield
            }
            Served::Answered => self.answered(c, carried),
            Served::Switched(there) => {
                let (up, down) = (std::mem::take(&mut c.endpoint.input), std::mem::take(&mut self.scratch.out));
                let pipes = Pipes { there, up, down, up_ended: End::Open, down_ended: End::Open };
                c.deadline = 0;
                c.phase = Phase::Tunnel(carried, Box::new(pipes));
                Turn::Go
            }
            Served::BrokenOff => Turn::Close,
        }
    }

    /// The response is out: whether another request may follow, and how what is left of this one is thrown away.
    fn answered(&mut self, c: &mut Connection, mut carried: Box<Carried>) -> Turn {
        let Carried { task, sending } = &mut *carried;
        let lingering = task.run.scope().lingering.clone();
        let keep = task.run.scope().keepalive.timeout;
        // The next request on this thread uses the head's memory again.
        self.spare = std::mem::take(&mut task.run.x.head);
        let (body, linger) = (task.run.body.take(), task.linger);
        let is_kept = sending.keeps() && !linger;
        drop(carried);
        if is_kept {
            let Some(body) = body else {
                c.phase = Phase::Idle;
                c.deadline = self.time.after(keep);
                return Turn::Go;
            };
            let (silence, until) = (lingering.timeout.as_millis() as u64, self.time.after(lingering.time));
            let keep = keep.as_millis() as u64;
            c.phase = Phase::Draining(Box::new(Rest { body, until, silence, keep }));
            return Turn::Go;
        }
        if !lingering.is_wanted(linger || body.is_some() || !c.endpoint.input.is_empty()) {
            return Turn::Close;
        }
        c.endpoint.socket.finish();
        let silence = lingering.timeout.as_millis() as u64;
        c.phase = Phase::Lingering { until: self.time.after(lingering.time), silence };
        Turn::Go
    }

    /// Throws away the rest of a request's body, then the connection is idle.
    pub(super) fn drain(&mut self, c: &mut Connection, mut rest: Box<Rest>) -> Turn {
        let now = self.time.now();
        for _ in 0..LOOKS {
            let (room, heard) = (rest.body.room(), c.place.slot().heard());
            match c.endpoint.feed(room, &mut self.scratch.buffer, heard, |bytes| rest.body.take(bytes)) {
                Fed::More if rest.until > now => {}
                Fed::Nothing => {
                    let deadline = rest.until.min(now.saturating_add(rest.silence));
                    c.phase = Phase::Draining(rest);
                    return Turn::Park(Parked::Busy, deadline);
                }
                Fed::Whole => {
                    c.deadline = now.saturating_add(rest.keep);
                    c.phase = Phase::Idle;
                    return Turn::Go;
                }
                Fed::More | Fed::Left => return Turn::Close,
                Fed::Bad(_) => {
                    // The response is out; a close would become a reset that might eat it.
                    c.endpoint.socket.finish();
                    c.phase = Phase::Lingering { until: rest.until, silence: rest.silence };
                    return Turn::Go;
                }
            }
        }
        c.phase = Phase::Draining(rest);
        Turn::Yield
    }

    /// Our end is closed; throws away what the client still sends, so that the close does not become a reset
    /// that would eat our response.
    pub(super) fn linger(&mut self, c: &mut Connection, until: u64, silence: u64) -> Turn {
        c.endpoint.input = Vec::new();
        for _ in 0..LOOKS {
            let now = self.time.now();
            if now >= until {
                return Turn::Close;
            }
            match c.endpoint.socket.read(&mut self.scratch.buffer) {
                Io::Bytes(_) => {}
                Io::Blocked => {
                    c.phase = Phase::Lingering { until, silence };
                    return Turn::Park(Parked::Busy, until.min(now.saturating_add(silence)));
                }
                Io::End | Io::Gone => return Turn::Close,
            }
        }
        c.phase = Phase::Lingering { until, silence };
        Turn::Yield
    }
}
