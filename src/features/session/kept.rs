//! What is kept of a session for the length of one request: what is to be done with the store, and what is under way.
//! Knows nothing of fields and cookies.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::conf::{Cookie, Declared, Ordered};
use super::record::{Change, Record, now};
use super::store::{Found, Order, Outcome, Pending, Reply};
use super::ticket::{Id, Key, Keys, reference};
use crate::conf::zone::Zone;
use crate::exchange::engine::Waker;
use crate::exchange::session::{Session, State};

/// How long one request waits for a store, in all.
const DEADLINE: Duration = Duration::from_millis(250);

/// What is to be done with a session.
#[derive(Debug)]
pub enum Job {
    /// Look for it.
    Find(Key),
    /// Change its values; without a session, and with a value to keep, begin one.
    Change(Vec<Change>),
    /// Give it another id, if it has had its own for so many milliseconds.
    Rotate(u64),
    /// End it.
    Destroy,
}

/// What the cookie is to say.
#[derive(Debug, Clone, Copy)]
pub enum Say {
    /// This id.
    Id(Id),
    /// That there is no session any more.
    Nothing,
}

/// What went wrong.
#[derive(Debug)]
pub enum Trouble {
    /// The store fails.
    Store(String),
    /// The session would be too large.
    TooLarge,
}

/// What is under way.
enum Doing {
    Find,
    Create(Id, Record),
    Change(Vec<Change>),
    Rotate(Id),
    Destroy,
}

/// What the conf says of sessions where this one was asked for.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The cookie.
    pub cookie: Arc<Cookie>,
    /// How long a new one lives without a request, in milliseconds.
    pub idle: u64,
    /// How long it lives at most.
    pub absolute: u64,
    /// How long an id is good that was replaced.
    pub grace: u64,
}

/// What is kept.
pub struct Kept {
    /// Its zone.
    pub zone: Zone<Declared>,
    /// What signs its cookie; none if there is trouble.
    pub keys: Option<Keys>,
    /// Whether the request had a cookie of the session's name.
    pub named: bool,
    /// What is wrong before anything was asked.
    pub trouble: Option<String>,
    /// What is to be done.
    pub todo: VecDeque<Job>,
    /// What holds for it.
    pub terms: Terms,
    /// Whether the conf has ended it already.
    pub ended: bool,
    /// Whether the conf has given it another id already.
    pub rotated: bool,
    /// What else the conf has ordered already.
    pub applied: Vec<Arc<Vec<Ordered>>>,
    /// What the cookie is to say; none if it stays.
    pub say: Option<Say>,
    key: Key,
    turned: u64,
    doing: Option<(Doing, Arc<Pending>)>,
    left: Duration,
}

impl Kept {
    /// Before anything is known.
    pub fn new(zone: Zone<Declared>, terms: Terms) -> Kept {
        Kept {
            zone,
            terms,
            ended: false,
            rotated: false,
            keys: None,
            named: false,
            trouble: None,
            todo: VecDeque::new(),
            applied: Vec::new(),
            say: None,
            key: [0; 32],
            turned: 0,
            doing: None,
            left: DEADLINE,
        }
    }

    /// Whether there is something to do.
    pub fn is_busy(&self) -> bool {
        self.doing.is_some() || !self.todo.is_empty()
    }

    /// Goes on with what is to be done: until when to wait for news, or none when all is done. After trouble nothing is.
    pub fn drive(&mut self, session: &mut Session, waker: impl Fn() -> Waker) -> Result<Option<Instant>, Trouble> {
        if session.state == State::Failed {
            self.todo.clear();
            return Ok(None);
        }
        let driven = match self.trouble.take() {
            Some(why) => Err(Trouble::Store(why)),
            None => self.go_on(session, waker),
        };
        if driven.is_err() {
            self.todo.clear();
            self.say = None;
        }
        driven
    }

    fn go_on(&mut self, session: &mut Session, waker: impl Fn() -> Waker) -> Result<Option<Instant>, Trouble> {
        loop {
            if let Some((doing, pending)) = self.doing.take() {
                match pending.poll() {
                    Poll::Pending => {
                        let until = pending.deadline;
                        self.doing = Some((doing, pending));
                        return Ok(Some(until));
                    }
                    Poll::Ready(outcome) => {
                        self.left = pending.deadline.saturating_duration_since(Instant::now());
                        self.take(session, doing, outcome)?;
                    }
                }
            }
            let Some(job) = self.todo.pop_front() else { return Ok(None) };
            let Some((doing, order)) = self.order(session, job)? else { continue };
            // A zone that is used is declared, or the conf would not be in force.
            let Some(declared) = self.zone.get() else { return Ok(None) };
            match declared.contents.store.ask(order, &waker, Instant::now() + self.left) {
                Ok(outcome) => self.take(session, doing, outcome)?,
                Err(pending) => self.doing = Some((doing, pending)),
            }
        }
    }

    /// What a job means now; none if there is nothing to do.
    fn order(&mut self, session: &mut Session, job: Job) -> Result<Option<(Doing, Order)>, Trouble> {
        let is_there = session.state.is_there();
        let random = || Id::random().ok_or_else(no_randomness);
        Ok(match job {
            Job::Find(key) => {
                self.key = key;
                Some((Doing::Find, Order::Find(key)))
            }
            Job::Change(changes) if is_there => {
                Some((Doing::Change(changes.clone()), Order::Change(self.key, changes)))
            }
            Job::Change(changes) => {
                if changes.iter().all(|change| matches!(change, Change::Unset(_))) {
                    return Ok(None);
                }
                let mut record = Record::new(self.terms.idle, self.terms.absolute, now()).ok_or_else(no_randomness)?;
                record.change(&changes).map_err(|_| Trouble::TooLarge)?;
                // An id of the client's own is never adopted.
                let id = random()?;
                Some((Doing::Create(id, record.clone()), Order::Create(id.key(), record)))
            }
            // One that was just begun or given has an id that nobody else knows.
            Job::Rotate(age) if session.state == State::Live && now() >= self.turned.saturating_add(age) => {
                let id = random()?;
                Some((Doing::Rotate(id), Order::Rotate(self.key, id.key(), self.terms.grace)))
            }
            Job::Rotate(_) => None,
            Job::Destroy if is_there => Some((Doing::Destroy, Order::Destroy(self.key))),
            Job::Destroy => {
                self.say = self.named.then_some(Say::Nothing);
                None
            }
        })
    }

    fn take(&mut self, session: &mut Session, doing: Doing, outcome: Outcome) -> Result<(), Trouble> {
        let reply = outcome.map_err(Trouble::Store)?;
        match (doing, reply) {
            (_, Reply::TooLarge) => return Err(Trouble::TooLarge),
            (Doing::Create(id, record), _) => {
                session.state = State::New;
                self.say = Some(Say::Id(id));
                self.hold(session, Found { record: Arc::new(record), key: id.key(), grace: false });
            }
            (Doing::Rotate(id), Reply::Found(found)) => {
                self.say = Some(Say::Id(id));
                self.hold(session, found);
            }
            (Doing::Rotate(_), Reply::Moved) => session.state = State::Grace,
            (Doing::Find, Reply::Found(found)) => {
                session.state = if found.grace { State::Grace } else { State::Live };
                self.hold(session, found);
            }
            (Doing::Change(_), Reply::Found(found)) => self.hold(session, found),
            (Doing::Destroy, _) => {
                session.state = State::Destroyed;
                session.values.clear();
                self.say = Some(Say::Nothing);
            }
            (doing, _) => {
                session.state = State::Expired;
                session.values.clear();
                if let Doing::Change(changes) = doing {
                    // It ended a moment ago: what is to be kept begins another.
                    self.todo.push_front(Job::Change(changes));
                }
            }
        }
        Ok(())
    }

    fn hold(&mut self, session: &mut Session, found: Found) {
        self.key = found.key;
        self.turned = found.record.turned;
        session.values.clone_from(&found.record.values);
        session.csrf = found.record.csrf.clone();
        session.reference = reference(&found.key);
    }
}

fn no_randomness() -> Trouble {
    Trouble::Store("the system has no randomness".into())
}
