//! Who may do something costly now (run a script, work out a password's hash) and who waits: a count with a bounded
//! queue. Clients take turns in it, names of one client too, and requests of one come in order. A request that waits costs memory
//! and no thread; it is woken when its turn has come.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

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
    waiting: Vec<Waiting>,
    /// Turns so far, and the last of each client and of each name of a client, as long as one of it waits.
    turns: u64,
    clients: HashMap<u64, u64>,
    names: HashMap<Whose, u64>,
}

struct Waiting {
    number: u64,
    whose: Whose,
    waker: Waker,
}

/// For whom a place is asked. Those for whom it is the same are served in order of arrival.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Whose {
    client: u64,
    name: u64,
}

impl Whose {
    /// A name that a client gives itself.
    pub fn of(client: impl Hash, name: impl Hash) -> Whose {
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Whose { client: KEYS.hash_one(client), name: KEYS.hash_one(name) }
    }
}

impl State {
    /// Takes out who comes next: of the client that had its turn longest ago the name that had, and of that one the first.
    fn take_next(&mut self) -> Option<Waker> {
        let turn = |waiting: &Waiting| {
            let client = self.clients.get(&waiting.whose.client).copied();
            (client, self.names.get(&waiting.whose).copied(), waiting.number)
        };
        let at = (0..self.waiting.len()).min_by_key(|&at| turn(&self.waiting[at]))?;
        let Waiting { whose, waker, .. } = self.waiting.remove(at);
        self.turns += 1;
        self.clients.insert(whose.client, self.turns);
        self.names.insert(whose, self.turns);
        self.forget();
        Some(waker)
    }

    /// Forgets the turns of those of whom nobody waits.
    fn forget(&mut self) {
        let State { waiting, clients, names, .. } = self;
        clients.retain(|client, _| waiting.iter().any(|one| one.whose.client == *client));
        names.retain(|whose, _| waiting.iter().any(|one| one.whose == *whose));
    }
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
    pub fn enter(self: &Arc<Self>, most: usize, longest: usize, whose: Whose, waker: Waker) -> Entry {
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
        state.waiting.push(Waiting { number, whose, waker });
        Entry::Later(Ticket { queue: self.clone(), number, used: false })
    }

    /// A running one ended: its place goes to the next that waits.
    fn leave(&self) {
        let mut state = self.state();
        match state.take_next() {
            // The place stays taken: whoever is no longer in the queue has it.
            Some(waker) => {
                drop(state);
                waker.wake();
            }
            None => state.running -= 1,
        }
    }

    fn is_waiting(&self, number: u64) -> bool {
        self.state().waiting.iter().any(|other| other.number == number)
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
        state.waiting.retain(|other| other.number != self.number);
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
        queue.enter(1, 2, Whose::default(), woken.waker(who))
    }

    #[test]
    fn clients_take_turns_and_so_do_names() {
        let (queue, woken) = (Arc::<Queue>::default(), Arc::<Woken>::default());
        let ask = |client: &str, name: &str, who| queue.enter(1, 99, Whose::of(client, name), woken.waker(who));
        let Entry::Now(mut permit) = ask("flood", "alice", 0) else { panic!("the place was free") };
        let asked = [
            ("flood", "alice", 1),
            ("flood", "alice", 2),
            ("flood", "alice", 3),
            ("flood", "bob", 4),
            ("home", "alice", 5),
            ("home", "alice", 6),
            ("away", "alice", 7),
        ];
        let tickets: Vec<_> = asked
            .map(|(client, name, who)| match ask(client, name, who) {
                Entry::Later(ticket) => Some(ticket),
                _ => panic!("the queue had room"),
            })
            .into();
        let (mut tickets, mut order) = (tickets, Vec::new());
        while order.len() < asked.len() {
            drop(permit);
            let [who] = woken.take()[..] else { panic!("one is woken at a time") };
            order.push(who);
            permit = tickets[who - 1].take().unwrap().redeem().unwrap_or_else(|_| panic!("it is the turn of {who}"));
        }
        assert_eq!(order, [1, 5, 7, 4, 6, 2, 3]);
        drop(permit);
        let state = queue.state();
        assert!(state.running == 0 && state.clients.is_empty() && state.names.is_empty());
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
