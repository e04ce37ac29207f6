//! What a carrier of many streams has to do: the streams that were woken, handed over by whichever thread woke them. A stream waits in a
//! slot of its own; whoever takes it out of there, by an event, a waker or a deadline, puts it on its carrier's list and wakes the carrier, whose
//! worker alone runs it. So the pool's queue holds carriers only, and streams need no lock against each other.

use super::slot::{Slot, Slots};
use crate::sync::{Mutex, MutexGuard};

/// So many places are kept by a list that is empty.
const KEPT: usize = 16;

/// A carrier's list of streams that are to be run.
pub struct Ready<S> {
    /// The token of the carrier's slot.
    carrier: usize,
    list: Mutex<List<S>>,
}

struct List<S> {
    streams: Vec<S>,
    is_closed: bool,
}

/// What a push came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<S, C> {
    /// The carrier runs, or has been woken already: it will find the stream.
    Listed,
    /// The carrier was parked and is the caller's now, who queues it.
    Wakes(C),
    /// The carrier has ended. Nobody else knows of the stream: the caller ends it, or lets it go on without its client.
    Closed(S),
}

impl<S> Ready<S> {
    /// The list of the carrier whose slot this token names.
    pub fn new(carrier: usize) -> Self {
        Ready { carrier, list: Mutex::new(List { streams: Vec::new(), is_closed: false }) }
    }

    fn list(&self) -> MutexGuard<'_, List<S>> {
        // Nothing that can panic runs under this lock, and nobody holds it while anything is waited for.
        self.list.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Hands over a stream that the caller has taken out of its slot. Any thread may; many streams that are woken at once wake their carrier
    /// once. `carriers` is the table that the carrier's slot is in.
    pub fn push<C>(&self, stream: S, carriers: &Slots<C>) -> Pushed<S, C> {
        let mut list = self.list();
        if list.is_closed {
            return Pushed::Closed(stream);
        }
        let is_first = list.streams.is_empty();
        list.streams.push(stream);
        drop(list);
        // Whoever put the first one there wakes the carrier after that, and the carrier takes the whole list at once.
        let woken = if is_first { carriers.find(self.carrier).and_then(Slot::notify) } else { None };
        woken.map_or(Pushed::Listed, Pushed::Wakes)
    }

    /// Moves what is on the list, in the order in which it came. Only the worker that has the carrier may, before it parks it: what is pushed
    /// after this leaves the mark in the carrier's slot by which `park` gives it back.
    pub fn take(&self, streams: &mut Vec<S>) {
        let mut list = self.list();
        streams.append(&mut list.streams);
        list.streams.shrink_to(KEPT);
    }

    /// The carrier ends: what is on the list is its worker's, and nothing comes after that. The streams that wait in their slots have to be
    /// taken from there next. One that is in neither place is in the hands of a thread that is about to push it, and learns there that it is
    /// closed. So each stream has one who ends it.
    pub fn close(&self) -> Vec<S> {
        let mut list = self.list();
        list.is_closed = true;
        std::mem::take(&mut list.streams)
    }
}

#[cfg(test)]
mod tests;
