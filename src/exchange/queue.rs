//! Who may do something costly now (run a script, work out a password's hash) and who waits: a count with a bounded
//! queue in the order of arrival. A request that waits costs memory and no thread; it is woken when its turn has come.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::engine::Waker;

/// One cap's count and queue.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    next: u64,
    waiting: VecDeque<(u64, Waker)>,
}

/// What asking for a place brings.
pub enum Entry {
    /// A place.
    Now(Permit),
    /// A place in the queue.
    Later(Ticket),
    /// The queue is full.
    Full,
}

/// A place among the running; given back when dropped.
pub struct Permit {
    queue: Arc<Queue>,
}

/// A place in the queue; left when dropped.
pub struct Ticket {
    queue: Arc<Queue>,
    number: u64,
    used: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        write!(f, "Queue({} running, {} waiting)", state.running, state.waiting.len())
    }
}

/// The queues that a place of the conf finds again after a reload.
static KEPT: Mutex<Option<HashMap<String, Weak<Queue>>>> = Mutex::new(None);

impl Queue {
    /// The queue of this name, as long as anybody has it; else a new one.
    pub fn named(name: String) -> Arc<Queue> {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_or_insert_default();
        kept.retain(|_, queue| queue.strong_count() > 0);
        let queue = kept.get(&name).and_then(Weak::upgrade).unwrap_or_default();
        kept.insert(name, Arc::downgrade(&queue));
        queue
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under this lock.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Asks for a place among `most` running ones, with at most `longest` waiting. The waker is called when the
    /// turn has come.
    pub fn enter(self: &Arc<Self>, most: usize, longest: usize, waker: Waker) -> Entry {
        let mut state = self.state();
        if state.running < most {
            state.running += 1;
            return Entry::Now(Permit { queue: self.clone() });
        }
        if state.waiting.len() >= longest {
            return Entry::Full;
        }
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, waker));
        Entry::Later(Ticket { queue: self.clone(), number, used: false })
    }

    /// A running one ended: its place goes to the first that waits.
    fn leave(&self) {
        let mut state = self.state();
        match state.waiting.pop_front() {
            // The place stays taken: whoever is no longer in the queue has it.
            Some((_, waker)) => {
                drop(state);
                waker.wake();
            }
            None => state.running -= 1,
        }
    }

    fn is_waiting(&self, number: u64) -> bool {
        self.state().waiting.iter().any(|(other, _)| *other == number)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.queue.leave();
    }
}

impl Ticket {
    /// The place, if the turn has come; else the ticket again.
    pub fn redeem(mut self) -> Result<Permit, Ticket> {
        if self.queue.is_waiting(self.number) {
            return Err(self);
        }
        self.used = true;
        Ok(Permit { queue: self.queue.clone() })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.used {
            return;
        }
        let mut state = self.queue.state();
        let before = state.waiting.len();
        state.waiting.retain(|(number, _)| *number != self.number);
        let had_a_turn = state.waiting.len() == before;
        drop(state);
        if had_a_turn {
            self.queue.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::engine::Woken;

    fn ask(queue: &Arc<Queue>, woken: &Arc<Woken>, who: usize) -> Entry {
        queue.enter(1, 2, woken.waker(who))
    }

    #[test]
    fn first_come_first_served() {
        let (queue, woken) = (Arc::<Queue>::default(), Arc::<Woken>::default());
        let Entry::Now(first) = ask(&queue, &woken, 1) else { panic!("the place was free") };
        let Entry::Later(second) = ask(&queue, &woken, 2) else { panic!("the queue was empty") };
        let Entry::Later(third) = ask(&queue, &woken, 3) else { panic!("the queue had room") };
        assert!(matches!(ask(&queue, &woken, 4), Entry::Full));
        let Err(second) = second.redeem() else { panic!("it is not the turn of the second") };
        drop(first);
        let Ok(second) = second.redeem() else { panic!("it is the turn of the second") };
        let Err(third) = third.redeem() else { panic!("it is not the turn of the third") };
        drop(second);
        // Whoever leaves with the turn passes it on.
        drop(third);
        assert_eq!(woken.take(), [2, 3]);
        assert!(matches!(ask(&queue, &woken, 5), Entry::Now(_)));
        assert_eq!(format!("{queue:?}"), "Queue(0 running, 0 waiting)");
    }

    #[test]
    fn a_name_finds_its_queue_as_long_as_somebody_has_it() {
        let name = |text: &str| Queue::named(format!("of this test: {text}"));
        let (first, other) = (name("a"), name("b"));
        assert!(Arc::ptr_eq(&first, &name("a")) && !Arc::ptr_eq(&first, &other));
        let woken = Arc::<Woken>::default();
        let Entry::Now(permit) = ask(&first, &woken, 1) else { panic!("the place was free") };
        drop(first);
        assert!(matches!(ask(&name("a"), &woken, 2), Entry::Later(_)));
        drop(permit);
        assert_eq!(format!("{:?}", name("a")), "Queue(0 running, 0 waiting)");
    }

    #[test]
    fn whoever_leaves_the_queue_makes_room() {
        let (queue, woken) = (Arc::<Queue>::default(), Arc::<Woken>::default());
        let Entry::Now(first) = ask(&queue, &woken, 1) else { panic!("the place was free") };
        let Entry::Later(second) = ask(&queue, &woken, 2) else { panic!("the queue was empty") };
        drop(second);
        drop(first);
        assert!(woken.take().is_empty());
        assert!(matches!(ask(&queue, &woken, 3), Entry::Now(_)));
    }
}
