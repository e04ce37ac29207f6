//! Slow work that is done once for all requests that asked for the same before it began: a little in each turn, on behalf of one
//! of them; others have their turn in between. Nobody gets what was begun before they asked, so a client finds in it what it has
//! just changed. Work that nobody waits for any more ends. Must not know what is made.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Exchange;
use super::engine::Waker;
use super::error::{HttpError, Level};
use super::queue::{Entry, Permit, Queue, Ticket, Whose};
use super::step::Wait;

/// How long one turn takes.
const TURN: Duration = Duration::from_millis(5);
/// How long others have the worker in between.
const PAUSE: Duration = Duration::from_millis(1);
/// Whoever waits is woken; this wait only has to end some day.
const LONG: Duration = Duration::from_secs(3600);
/// How much work of all desks is under way at once; the rest waits for its turn.
const AT_ONCE: usize = 4;

static FLOOR: LazyLock<Arc<Queue>> = LazyLock::new(Arc::default);

/// Work that is done in turns.
pub trait Work: Send {
    /// What comes of it. All who asked for it get a copy, which should cost little.
    type Made: Clone + Send;

    /// Goes on until this moment: what was made, when all is done.
    fn go_on(&mut self, until: Instant) -> Result<Option<Self::Made>, HttpError>;
}

/// What one turn of a request brings.
pub enum Turn<M> {
    /// It is made.
    Made(M),
    /// It is not: the request waits.
    Wait(Wait),
}

/// Where requests for the same thing find each other. What two of them must have in common is in the key.
pub struct Desk<K, W: Work> {
    places: Mutex<HashMap<K, Weak<Place<W>>>>,
}

/// What is made for one key: one piece of work at a time, and one that is to come.
struct Place<W: Work> {
    queue: Arc<Queue>,
    /// Work that has not begun, so that more requests may share it.
    next: Mutex<Weak<Job<W>>>,
}

struct Job<W: Work> {
    place: Arc<Place<W>>,
    state: Mutex<State<W>>,
}

struct State<W: Work> {
    stage: Stage<W>,
    /// Those who wait, by number. The first of them does the work.
    waiting: Vec<(u64, Waker)>,
    next: u64,
    /// That it is its turn at its place, and then on the floor.
    permits: Vec<Permit>,
}

enum Stage<W: Work> {
    Idle(W),
    /// The first of those who wait has it in hand.
    Taken,
    Done(Result<W::Made, HttpError>),
}

/// One request's share in the work.
pub struct Share<W: Work> {
    job: Arc<Job<W>>,
    number: u64,
    ticket: Option<Ticket>,
}

impl<K, W: Work> Default for Desk<K, W> {
    fn default() -> Self {
        Desk { places: Mutex::default() }
    }
}

impl<K: Hash + Eq, W: Work> Desk<K, W> {
    /// Asks for what the key stands for; `work` makes it, if no work for it is waiting to be begun.
    pub fn ask(&self, key: K, waker: Waker, work: impl FnOnce() -> W) -> Share<W> {
        let place = {
            let mut places = locked(&self.places);
            places.retain(|_, place| place.strong_count() > 0);
            let known = places.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let place = Arc::new(Place { queue: Arc::default(), next: Mutex::default() });
                places.insert(key, Arc::downgrade(&place));
                place
            })
        };
        let mut next = locked(&place.next);
        let job = next.upgrade().unwrap_or_else(|| {
            let state = State { stage: Stage::Idle(work()), waiting: Vec::new(), next: 0, permits: Vec::new() };
            let job = Arc::new(Job { place: place.clone(), state: Mutex::new(state) });
            *next = Arc::downgrade(&job);
            job
        });
        let number = {
            let mut state = locked(&job.state);
            let number = state.next;
            state.next += 1;
            state.waiting.push((number, waker));
            number
        };
        Share { job, number, ticket: None }
    }
}

impl<W: Work> Share<W> {
    /// Does a turn of the work, if it falls to this request and the work may go on; what was made, when all is done.
    pub fn turn(&mut self, x: &Exchange) -> Result<Turn<W::Made>, HttpError> {
        self.advance(!x.origin.waker.is_live(), || x.waker())
    }

    /// The same; `is_alone` where nobody else is there who could wait.
    fn advance(&mut self, is_alone: bool, waker: impl Fn() -> Waker) -> Result<Turn<W::Made>, HttpError> {
        let job = self.job.clone();
        let mut state = locked(&job.state);
        if let Stage::Done(made) = &state.stage {
            return made.clone().map(Turn::Made);
        }
        let is_first = state.waiting.first().is_some_and(|(number, _)| *number == self.number);
        if !is_first || !self.may_go_on(&mut state, waker)? {
            return Ok(Turn::Wait(Wait::News(Instant::now() + LONG)));
        }
        let Stage::Idle(mut work) = std::mem::replace(&mut state.stage, Stage::Taken) else {
            return Err(broken());
        };
        drop(state);
        job.close();
        let done = if is_alone { to_end(&mut work).map(Some) } else { work.go_on(Instant::now() + TURN) };
        let mut state = locked(&job.state);
        match done.transpose() {
            None => {
                state.stage = Stage::Idle(work);
                Ok(Turn::Wait(Wait::Until(Instant::now() + PAUSE)))
            }
            Some(made) => {
                state.end(made.clone());
                drop(state);
                made.map(Turn::Made)
            }
        }
    }

    /// Whether the work has its place, asked for in order.
    fn may_go_on(&mut self, state: &mut State<W>, waker: impl Fn() -> Waker) -> Result<bool, HttpError> {
        loop {
            let (queue, most) = match state.permits.len() {
                0 => (&self.job.place.queue, 1),
                1 => (&*FLOOR, AT_ONCE),
                _ => return Ok(true),
            };
            let entry = match self.ticket.take() {
                Some(ticket) => ticket.redeem().map_or_else(Entry::Later, Entry::Now),
                None => queue.enter(most, usize::MAX, Whose::default(), waker()),
            };
            match entry {
                Entry::Now(permit) => state.permits.push(permit),
                Entry::Later(ticket) => {
                    self.ticket = Some(ticket);
                    return Ok(false);
                }
                Entry::Full => return Err(broken()),
            }
        }
    }
}

impl<W: Work> Drop for Share<W> {
    fn drop(&mut self) {
        let mut state = locked(&self.job.state);
        let was_first = state.waiting.first().is_some_and(|(number, _)| *number == self.number);
        state.waiting.retain(|(number, _)| *number != self.number);
        if !was_first {
            return;
        }
        match state.stage {
            // It panicked with the work in hand.
            Stage::Taken => state.end(Err(broken())),
            Stage::Idle(_) => state.waiting.iter().take(1).for_each(|(_, waker)| waker.wake()),
            Stage::Done(_) => {}
        }
    }
}

impl<W: Work> Job<W> {
    /// It has begun: who asks from now on gets the next.
    fn close(self: &Arc<Self>) {
        let mut next = locked(&self.place.next);
        if next.ptr_eq(&Arc::downgrade(self)) {
            *next = Weak::new();
        }
    }
}

impl<W: Work> State<W> {
    /// All who wait are told.
    fn end(&mut self, made: Result<W::Made, HttpError>) {
        self.stage = Stage::Done(made);
        self.permits.clear();
        Waker::wake_all(self.waiting.iter().map(|(_, waker)| waker.clone()));
    }
}

/// Does all of it at once.
fn to_end<W: Work>(work: &mut W) -> Result<W::Made, HttpError> {
    loop {
        if let Some(made) = work.go_on(Instant::now() + LONG)? {
            return Ok(made);
        }
    }
}

fn broken() -> HttpError {
    HttpError::new(500, "panic").log(Level::Alert, "what several requests waited for was not made")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is held under these locks is whole at any moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
