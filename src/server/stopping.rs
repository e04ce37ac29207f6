//! How the acceptor stops gracefully: who is still answered, how long each is waited for, and what is broken off when that time is over.

use std::sync::atomic::Ordering::Relaxed;

use super::acceptor::Acceptor;
use super::connection::{Carrier, Job, Why};
use super::errand;
use super::slot::{Kind, Parked};

/// How long a connection that sent nothing yet is waited for in a graceful stop, in milliseconds.
const GRACE: u64 = 2000;
/// How long requests that a stop breaks off have for their log lines, in milliseconds.
const CUT: u64 = 5000;

impl Acceptor {
    /// A graceful stop: no new connections, idle ones are closed, the others are answered.
    pub(super) fn stop(&mut self) {
        for number in 0..self.listeners.len() {
            self.accept_rest(number);
        }
        self.shared.stopping.store(true, Relaxed);
        self.hungry.clear();
        self.listeners.clear();
        self.end_checks();
        let now = self.shared.clock.now();
        self.stop_by = self.shutdown_timeout.map(|time| now + time.as_millis() as u64);
        self.close_idle(now);
    }

    /// Looks a last time whether a request has come on the idle connections; a worker closes those without one.
    pub(super) fn close_idle(&mut self, now: u64) {
        let slots = self.shared.slots.clone();
        for slot in slots.all() {
            let Some(mut connection) = slot.take_parked(Parked::Idle).and_then(Carrier::client) else { continue };
            if connection.requests > 0 {
                // Its edge may stand behind the signal's.
                slot.note(connection.place.token(), false);
                self.dispatch(Job::ready(Carrier::Client(connection)));
                continue;
            }
            connection.deadline = connection.deadline.min(now + GRACE);
            let deadline = connection.deadline;
            if let Some(carrier) = slot.park(Carrier::Client(connection), Parked::Idle, deadline) {
                self.dispatch(Job::ready(carrier));
            }
        }
    }

    /// Whether all clients were answered, and the errands have ended or had their time.
    pub(super) fn is_answered(&mut self, now: u64) -> bool {
        let slots = &self.shared.slots;
        if slots.used(Kind::Client) + slots.used(Kind::Stream) > 0 || !self.closer.is_done() {
            return false;
        }
        let (left, by) = (slots.used(Kind::Errand), *self.errands_by.get_or_insert(now + errand::GRACE));
        left == 0 || now >= by && self.has_cut_short(now, || log::warn!("{left} requests of our own are cut short"))
    }

    /// Whether the time of a graceful stop is over, and all that was under way has ended or had a moment to leave its log lines.
    pub(super) fn is_over(&mut self, now: u64) -> bool {
        let say = || log::warn!("worker_shutdown_timeout is over; open connections are closed");
        self.stop_by.is_some_and(|by| now >= by) && self.has_cut_short(now, say)
    }

    /// Ends what is under way; at the first time it says so.
    fn has_cut_short(&mut self, now: u64, say: impl FnOnce()) -> bool {
        if self.cut_by.is_none() {
            say();
        }
        let by = *self.cut_by.get_or_insert(now + CUT);
        let slots = self.shared.slots.clone();
        for how in [Parked::Busy, Parked::Head, Parked::Idle] {
            for carrier in slots.all().filter_map(|slot| slot.take_parked(how)) {
                self.dispatch(Job { carrier, why: Why::Cut });
            }
        }
        slots.is_empty() || now >= by
    }
}
