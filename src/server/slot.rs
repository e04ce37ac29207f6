//! The hand-over between those who hear of news and those who work: one slot for each connection, with one atomic word. A parked
//! connection lies in its slot; whoever turns the word from parked to running owns it. Parking costs no system
//! call, and no wake-up is lost: an edge that comes while a worker runs leaves its mark, and the
//! worker that tries to park sees it.

use super::chunks::{Chunk, Chunks};
use super::marks::Marks;
use crate::sync::atomic::{AcqRel, Acquire, AtomicU8, AtomicU32, AtomicU64, Relaxed, Release, SeqCst, fence};
use crate::sync::{Arc, Mutex, MutexGuard, scaled};

/// Who has a slot. They are counted apart: only clients count for `worker_connections`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The connection of a client.
    Client = 0,
    /// One of many requests on a client's connection.
    Stream = 1,
    /// A request of our own.
    Errand = 2,
}

impl Kind {
    /// All of them, in their order.
    pub const ALL: [Kind; 3] = [Kind::Client, Kind::Stream, Kind::Errand];
}

/// What a parked connection waits for; told apart for counters and for who may be closed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Parked {
    /// For a request: nothing of it has come.
    Idle = 0,
    /// For the rest of a head.
    Head = 1,
    /// For anything else.
    Busy = 2,
}

const RUNNING: u8 = 3;
/// Running, and an edge came meanwhile.
const NOTIFIED: u8 = 4;
const FREE: u8 = 5;

/// The client has sent something since its socket was looked at last.
const HEARD: u32 = 1;
/// The client closed its end: an end of file waits behind the bytes, and no further edge tells of it.
const ENDED: u32 = 2;

/// In the token of an event: it is news of a descriptor that belongs to the request, not of the client.
pub const OURS: usize = 0x8000_0000;

/// No deadline.
pub const NEVER: u64 = u64::MAX;

const PER_CHUNK: usize = scaled(1024, 1);

/// One connection's place.
pub struct Slot<T> {
    word: AtomicU8,
    kind: AtomicU8,
    /// What was heard of the client of the connection that has this slot now.
    marks: Marks,
    /// Milliseconds on the server's clock.
    deadline: AtomicU64,
    value: Mutex<Option<T>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot {
            word: AtomicU8::new(FREE),
            kind: AtomicU8::new(Kind::Client as u8),
            marks: Marks::default(),
            deadline: AtomicU64::new(NEVER),
            value: Mutex::new(None),
        }
    }
}

impl<T> Slot<T> {
    /// Who has it, or had it last.
    pub fn kind(&self) -> Kind {
        Kind::ALL[usize::from(self.kind.load(Relaxed))]
    }

    fn value(&self) -> MutexGuard<'_, Option<T>> {
        // Nothing that can panic runs under this lock.
        self.value.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Parks a connection that the caller owns. If an edge came since the caller took it, the caller gets it
    /// back and goes on.
    pub fn park(&self, value: T, how: Parked, deadline: u64) -> Option<T> {
        *self.value() = Some(value);
        self.deadline.store(deadline, Relaxed);
        match self.word.compare_exchange(RUNNING, how as u8, AcqRel, Acquire) {
            Ok(_) => None,
            Err(_) => {
                // An edge that finds the old mark leaves none of its own: it relies on us to see what it noted before. Each of us
                // stores one word and loads the other's, so a fence stands between the two here and in `notify`: one of us sees the other.
                self.word.swap(RUNNING, AcqRel);
                fence(SeqCst);
                self.value().take()
            }
        }
    }

    /// Notes that the client sent something, or closed its end as well; before [`Slot::notify`] tells of the edge. Nothing is noted
    /// if the connection that the token names has gone. News of what a request waits for leaves no such mark, so that its worker
    /// need not ask the client's socket.
    pub fn note(&self, token: usize, ended: bool) {
        self.marks.note((token >> 32) as u32, if ended { HEARD | ENDED } else { HEARD });
    }

    /// What was heard of the client, for whoever reads it.
    pub fn heard(&self) -> Heard<'_> {
        Heard(&self.marks)
    }

    /// Whether the client closed its end.
    pub fn has_ended(&self) -> bool {
        self.heard().has_ended()
    }

    /// Whether the client was heard of since this was asked last.
    pub fn take_heard(&self) -> bool {
        self.marks.take(HEARD)
    }

    /// An edge came: takes the connection if it is parked, else leaves the mark for its worker.
    pub fn notify(&self) -> Option<T> {
        // Between what was noted before and the look at the word, see `park`.
        fence(SeqCst);
        loop {
            let word = self.word.load(Acquire);
            match word {
                RUNNING => {
                    if self.word.compare_exchange(RUNNING, NOTIFIED, AcqRel, Acquire).is_ok() {
                        return None;
                    }
                }
                NOTIFIED | FREE => return None,
                _ => {
                    if let Some(value) = self.take(word) {
                        return Some(value);
                    }
                }
            }
        }
    }

    /// Takes the connection if it is parked and its deadline has passed.
    pub fn expire(&self, now: u64) -> Option<T> {
        let word = self.word.load(Acquire);
        match word < RUNNING && self.deadline.load(Relaxed) <= now {
            true => self.take(word),
            false => None,
        }
    }

    /// Takes the connection if it is parked in this way.
    pub fn take_parked(&self, how: Parked) -> Option<T> {
        self.take(how as u8)
    }

    /// How the connection is parked; none if it runs or the slot is free.
    pub fn parked(&self) -> Option<Parked> {
        match self.word.load(Acquire) {
            0 => Some(Parked::Idle),
            1 => Some(Parked::Head),
            2 => Some(Parked::Busy),
            _ => None,
        }
    }

    /// The deadline it was parked with.
    pub fn deadline(&self) -> u64 {
        self.deadline.load(Relaxed)
    }

    fn take(&self, word: u8) -> Option<T> {
        self.word.compare_exchange(word, RUNNING, AcqRel, Acquire).ok()?;
        self.value().take()
    }
}

/// What was heard of a client, without its slot.
#[derive(Clone, Copy)]
pub struct Heard<'s>(&'s Marks);

impl Heard<'_> {
    /// Whether the client closed its end.
    pub fn has_ended(self) -> bool {
        self.0.has(ENDED)
    }
}

/// A connection's handle on its slot; the slot is free again when it is dropped.
pub struct Place<T> {
    table: Arc<Slots<T>>,
    chunk: Chunk<Slot<T>>,
    index: u32,
}

impl<T> Place<T> {
    /// The slot.
    pub fn slot(&self) -> &Slot<T> {
        &self.chunk[self.index as usize % PER_CHUNK]
    }

    /// The token that events carry: index and generation.
    pub fn token(&self) -> usize {
        (self.slot().marks.generation() as usize) << 32 | self.index as usize
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        let slot = self.slot();
        let kind = slot.kind();
        slot.marks.next();
        slot.word.store(FREE, Release);
        self.table.chunks.give_back(self.index);
        self.table.used[kind as usize].fetch_sub(1, AcqRel);
    }
}

/// All slots.
pub struct Slots<T> {
    chunks: Chunks<Slot<T>, PER_CHUNK>,
    used: [AtomicU32; Kind::ALL.len()],
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { chunks: Chunks::default(), used: Kind::ALL.map(|_| AtomicU32::new(0)) }
    }
}

impl<T> Slots<T> {
    /// How many of this kind are in use.
    pub fn used(&self, kind: Kind) -> u32 {
        self.used[kind as usize].load(Acquire)
    }

    /// Whether none is in use.
    pub fn is_empty(&self) -> bool {
        Kind::ALL.iter().all(|kind| self.used(*kind) == 0)
    }

    /// All slots there are, whoever claimed them.
    pub fn all(&self) -> impl Iterator<Item = &Slot<T>> {
        self.chunks.all()
    }

    /// Claims a free slot; its word says "running", for the caller owns it.
    pub fn claim(self: &Arc<Self>, kind: Kind) -> Place<T> {
        let (chunk, index) = self.chunks.claim();
        self.used[kind as usize].fetch_add(1, AcqRel);
        let place = Place { table: self.clone(), chunk, index };
        place.slot().kind.store(kind as u8, Relaxed);
        place.slot().word.store(RUNNING, Release);
        place
    }

    /// The slot of a place that the caller has.
    pub fn of(&self, token: usize) -> &Slot<T> {
        self.find(token).expect("a token that is in use names its slot")
    }

    /// The slot that an event's token names, if the connection it was meant for is still there.
    pub fn find(&self, token: usize) -> Option<&Slot<T>> {
        let slot = self.chunks.get(token & u32::MAX as usize & !OURS)?;
        (slot.marks.generation() as usize == token >> 32).then_some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::atomic::AtomicUsize;

    #[test]
    fn an_edge_while_running_gives_the_value_back() {
        let slots: Arc<Slots<u32>> = Arc::default();
        let place = slots.claim(Kind::Client);
        let slot = place.slot();
        assert_eq!(slot.notify(), None);
        assert_eq!(slot.park(7, Parked::Busy, NEVER), Some(7));
        assert_eq!(slot.park(7, Parked::Busy, NEVER), None);
        assert_eq!(slot.notify(), Some(7));
    }

    #[test]
    fn a_late_event_finds_nobody() {
        let slots: Arc<Slots<u32>> = Arc::default();
        let place = slots.claim(Kind::Client);
        let token = place.token();
        assert!(slots.find(token).is_some() && slots.find(token | OURS).is_some());
        drop(place);
        let again = slots.claim(Kind::Client);
        assert_ne!(again.token(), token);
        assert!(slots.find(token).is_none());
        assert_eq!(slots.used(Kind::Client), 1);
    }

    #[test]
    fn each_kind_is_counted_apart() {
        let slots: Arc<Slots<u32>> = Arc::default();
        let count = |slots: &Slots<u32>| Kind::ALL.map(|kind| slots.used(kind));
        let places = [Kind::Client, Kind::Errand, Kind::Stream, Kind::Errand].map(|kind| slots.claim(kind));
        assert_eq!((count(&slots), places[2].slot().kind(), slots.is_empty()), ([1, 1, 2], Kind::Stream, false));
        drop(places);
        assert_eq!((count(&slots), slots.is_empty()), ([0; 3], true));
        let again = slots.claim(Kind::Client);
        assert_eq!(again.slot().kind(), Kind::Client, "another kind had the slot before");
    }

    /// Many edges against many parkings: every edge must be seen by somebody, so the count of work done
    /// after the last edge is never behind. Lost wake-ups would hang this test.
    #[test]
    fn no_wake_up_is_lost() {
        const EDGES: usize = 200_000;
        let slots: Arc<Slots<Box<u32>>> = Arc::default();
        let place = Arc::new(slots.claim(Kind::Client));
        let (sender, receiver) = crossbeam_channel::bounded(64);
        let (posted, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        sender.send(Box::new(0)).unwrap();
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (place, receiver, posted, seen) = (place.clone(), receiver.clone(), posted.clone(), seen.clone());
                std::thread::spawn(move || {
                    while let Ok(value) = receiver.recv() {
                        let mut value: Box<u32> = value;
                        loop {
                            // "Read the socket": see everything that was posted before now.
                            seen.store(posted.load(SeqCst), SeqCst);
                            match place.slot().park(value, Parked::Busy, NEVER) {
                                Some(back) => value = back,
                                None => break,
                            }
                        }
                    }
                })
            })
            .collect();
        for _ in 0..EDGES {
            posted.fetch_add(1, SeqCst);
            if let Some(value) = place.slot().notify() {
                sender.send(value).unwrap();
            }
        }
        while seen.load(SeqCst) != EDGES || place.slot().parked().is_none() {
            std::thread::yield_now();
        }
        drop(sender);
        for worker in workers {
            worker.join().unwrap();
        }
    }
}
