//! What is noted of the try that is under way, for variables and logs: what was counted, how it went, how long it took.

use std::time::Duration;

use super::link::Link;
use crate::exchange::Exchange;

/// Brings what the link counted to the request.
pub fn record(x: &mut Exchange, link: &Link) {
    if let Some(last) = x.attempts.last() {
        last.connect_time = link.connected;
        last.sent = link.out.written;
        last.received = link.received;
    }
}

/// The try that is under way is answered with this status.
pub fn note(x: &mut Exchange, status: u16) {
    if let Some(last) = x.attempts.last() {
        last.status = status;
    }
}

/// The try that is under way failed, which this status stands for.
pub fn fail(x: &mut Exchange, status: u16) {
    note(x, status);
    if let Some(last) = x.attempts.last() {
        last.response_time.get_or_insert_default();
    }
}

/// The try that is under way is over for this request.
pub fn end(x: &mut Exchange, took: Duration) {
    if let Some(last) = x.attempts.last() {
        last.response_time = Some(took);
    }
}

/// All of its answer came with the head; what makes the client's head must not see yet how long it took, as in nginx.
pub fn whole(x: &mut Exchange, link: &Link) {
    if let Some(last) = x.attempts.last() {
        last.ended = Some(link.took());
    }
}
