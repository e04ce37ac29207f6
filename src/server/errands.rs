//! How errands start and how a worker drives them: through the pipeline by the same driver as a client's request. They are bounded in number and
//! in time, so that what they ask may hang.

use std::sync::Arc;

use super::connection::{Carrier, Job};
use super::downstream::Downstream;
use super::driver::{Driver, Served};
use super::errand::Errand;
use super::inbox::Message;
use super::logfile::Logs;
use super::nowhere::Nowhere;
use super::shared::Shared;
use super::slot::{Kind, Parked, Place};
use super::task::{Stage, Task};
use super::turns::SOON;
use super::worker::Worker;
use crate::exchange::counters;
use crate::exchange::engine::{Engine, Waker};
use crate::pipeline::{Ending, Run};

/// How long an errand may take, in milliseconds.
const LONGEST: u64 = 600_000;
/// How long the body of its response may take to come, so that the connection that brings it can be kept, in milliseconds.
const PATIENCE: u64 = 1000;

/// One that was started.
type Sent = Errand<Place<Carrier>>;

/// An errand in a slot of its own, ready to be driven; `None` if there are too many.
pub(super) fn make(
    shared: &Shared,
    link: &Option<Arc<dyn Engine>>,
    mut run: Run,
    logs: Arc<Logs>,
    now: u64,
) -> Option<Job> {
    let place = shared.slots.claim(Kind::Errand);
    if shared.slots.used(Kind::Errand) > shared.errands.most {
        shared.errands.note_unsent();
        counters::errand_unsent();
        return None;
    }
    counters::errand();
    run.x.origin.waker = Waker::new(link.clone(), place.token());
    let there = if run.judges_body() { Nowhere::keeping() } else { Nowhere::default() };
    let longest = run.longest_check().map_or(LONGEST, |longest| longest.as_millis().min(LONGEST.into()) as u64);
    let errand = Errand { place, task: Task::new(run, logs), there, has_begun: false, end: now + longest };
    Some(Job::ready(Carrier::Errand(Box::new(errand))))
}

impl Worker {
    /// Starts the errands that a request has led to. They wait for their turn in the queue, and the request waits for none.
    pub(super) fn start_errands(&mut self, task: &mut Task) {
        for run in task.run.take_errands() {
            let now = self.time.clock().now();
            let Some(job) = make(&self.shared, &self.link, run, task.logs.clone(), now) else { continue };
            if let Err(job) = self.shared.jobs.send(job) {
                self.inbox.send(Message::Overflow(Box::new(job)));
            }
        }
    }

    /// Drives an errand as far as it goes.
    pub(super) fn run_errand(&mut self, mut errand: Box<Sent>) {
        loop {
            self.time.begin_turn();
            if errand.task.run.is_check() && self.shared.is_stopping() {
                // Nobody waits for what it finds.
                return;
            }
            if errand.end <= self.time.now() {
                return errand.give_up("it took too long");
            }
            let stage = errand.task.stage;
            let deadline = match self.go_on_errand(&mut errand) {
                Served::Wait(until) => until,
                Served::Yield if !errand.there.has_enough() => {
                    match self.requeue(Carrier::Errand(errand)) {
                        Some(Carrier::Errand(back)) => errand = back,
                        _ => return,
                    }
                    continue;
                }
                Served::Answered => return errand.end(Ending::Whole),
                Served::BrokenOff => return errand.end(Ending::Broken),
                // Nobody is there for another protocol, nor for the rest of a long response.
                Served::Switched(_) | Served::Yield => {
                    errand.task.record();
                    return errand.end(Ending::Whole);
                }
            };
            if stage != Stage::Sending && errand.task.stage == Stage::Sending && !errand.task.run.judges_body() {
                errand.end = errand.end.min(self.time.now() + PATIENCE);
            }
            match self.park_errand(errand, deadline) {
                Some(back) => errand = back,
                None => return,
            }
        }
    }

    fn go_on_errand(&mut self, errand: &mut Sent) -> Served {
        let Errand { task, there, has_begun, .. } = errand;
        let mut driver = Driver { task, down: Downstream::Nowhere(there), time: &mut self.time };
        if std::mem::replace(has_begun, true) { driver.go_on() } else { driver.begin(None) }
    }

    /// Parks an errand; it comes back at once if it had news meanwhile.
    fn park_errand(&mut self, mut errand: Box<Sent>, deadline: u64) -> Option<Box<Sent>> {
        let (deadline, token) = (deadline.min(errand.end), errand.place.token());
        let is_soon = deadline.saturating_sub(self.time.clock().now()) < SOON;
        if is_soon && std::mem::replace(&mut errand.task.alarm, deadline) != deadline {
            self.inbox.send(Message::Soon { at: deadline, token });
        }
        match self.shared.slots.of(token).park(Carrier::Errand(errand), Parked::Busy, deadline)? {
            Carrier::Errand(back) => Some(back),
            Carrier::Client(_) => None,
        }
    }
}
