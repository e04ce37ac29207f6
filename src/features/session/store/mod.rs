//! Where sessions are kept. Each store can look at what is under a key and swap it for something else if nobody was
//! faster; what is asked of a store is made of these two here, so that all of them mean the same.

mod folder;
mod memory;
mod redis;

use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::record::{Change, Entry, Record, now};
use super::ticket::{Key, Keys};
use crate::exchange::engine::Waker;
pub use folder::Folder;
pub use memory::Memory;
pub use redis::Redis;

/// How often a change is tried again when others change the same session meanwhile.
const TRIES: usize = 64;
/// How many times an id that was replaced leads on to the next.
const MOVES: usize = 4;

/// A store.
#[derive(Debug)]
pub enum Store {
    /// In this process.
    Memory(Memory),
    /// Files of a folder.
    Folder(Folder),
    /// A server for several machines.
    Redis(Arc<Redis>),
}

/// What is asked of a store.
#[derive(Debug, Clone)]
pub enum Order {
    /// The session under a key.
    Find(Key),
    /// A new one.
    Create(Key, Record),
    /// Other values.
    Change(Key, Vec<Change>),
    /// Another key; the old one leads there for so many milliseconds.
    Rotate(Key, Key, u64),
    /// Its end.
    Destroy(Key),
}

/// What a store answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// No such session, or no longer.
    Gone,
    /// The session as it is now.
    Found(Found),
    /// It was done.
    Done,
    /// It was not done, since the id was replaced a moment ago.
    Moved,
    /// It would hold more than it may.
    TooLarge,
}

/// A session that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// It.
    pub record: Arc<Record>,
    /// Under which key: another than was asked for when its id was replaced.
    pub key: Key,
    /// Whether it was.
    pub grace: bool,
}

/// An answer, or what is wrong with the store.
pub type Outcome = Result<Reply, String>;

/// An order under way.
pub struct Pending {
    outcome: OnceLock<Outcome>,
    waker: Waker,
    /// When the time for it is up.
    pub deadline: Instant,
}

impl Pending {
    fn new(waker: Waker, deadline: Instant) -> Arc<Pending> {
        Arc::new(Pending { outcome: OnceLock::new(), waker, deadline })
    }

    fn finish(&self, outcome: Outcome) {
        // The first answer counts.
        let _ = self.outcome.set(outcome);
        self.waker.wake();
    }

    /// The answer, if it is there or no longer waited for.
    pub fn poll(&self) -> Poll<Outcome> {
        match self.outcome.get() {
            Some(outcome) => Poll::Ready(outcome.clone()),
            None if Instant::now() >= self.deadline => Poll::Ready(Err("it did not answer in time".into())),
            None => Poll::Pending,
        }
    }
}

impl Store {
    /// Gives an order. A store of this machine answers at once; of another one the waker tells.
    pub fn ask(&self, order: Order, waker: impl FnOnce() -> Waker, deadline: Instant) -> Result<Outcome, Arc<Pending>> {
        match self {
            Store::Memory(memory) => Ok(carry_out(&mut memory.open(), order)),
            Store::Folder(folder) => {
                folder.sweep(now());
                Ok(folder.open().and_then(|mut vault| carry_out(&mut vault, order)))
            }
            Store::Redis(redis) => Err(redis.ask(order, waker(), deadline)),
        }
    }

    /// Keys that the store brings along: those of sessions that only it knows of.
    pub fn keys(&self) -> Result<Option<Keys>, String> {
        match self {
            Store::Memory(memory) => Ok(Some(memory.keys.clone())),
            Store::Folder(folder) => folder.keys().map(Some),
            Store::Redis(_) => Ok(None),
        }
    }
}

/// A store, ready for one order.
trait Vault {
    /// What is under a key and not over yet. It counts as used now.
    fn look(&mut self, key: &Key, now: u64) -> Result<Option<Entry>, String>;

    /// Puts something under a key if what is there is still the old; false if it is not.
    fn swap(&mut self, key: &Key, old: Option<&Entry>, new: &Entry, now: u64) -> Result<bool, String>;

    /// Takes away what is under a key.
    fn remove(&mut self, key: &Key) -> Result<(), String>;
}

/// Follows an order.
fn carry_out(vault: &mut impl Vault, order: Order) -> Outcome {
    let now = now();
    match order {
        Order::Find(key) => find(vault, key, now),
        Order::Create(key, record) => {
            vault.swap(&key, None, &Entry::Live(Arc::new(record)), now)?;
            Ok(Reply::Done)
        }
        Order::Change(key, changes) => change(vault, &key, &changes, now),
        Order::Rotate(from, to, grace) => rotate(vault, &from, to, grace, now),
        Order::Destroy(key) => vault.remove(&key).map(|()| Reply::Done),
    }
}

fn find(vault: &mut impl Vault, asked: Key, now: u64) -> Outcome {
    let mut key = asked;
    for _ in 0..MOVES {
        match vault.look(&key, now)? {
            None => return Ok(Reply::Gone),
            Some(Entry::Live(record)) => return Ok(Reply::Found(Found { record, key, grace: key != asked })),
            Some(Entry::Moved(to, _)) => key = to,
        }
    }
    Ok(Reply::Gone)
}

fn change(vault: &mut impl Vault, asked: &Key, changes: &[Change], now: u64) -> Outcome {
    for _ in 0..TRIES {
        // It may have been given another id since it was found.
        let Reply::Found(Found { record: old, key, grace }) = find(vault, *asked, now)? else { return Ok(Reply::Gone) };
        let mut record = Record::clone(&old);
        if record.change(changes).is_err() {
            return Ok(Reply::TooLarge);
        }
        let record = Arc::new(record);
        if vault.swap(&key, Some(&Entry::Live(old)), &Entry::Live(record.clone()), now)? {
            return Ok(Reply::Found(Found { record, key, grace }));
        }
        // Others were faster; a little chance lets them not meet again.
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..200)));
    }
    Err("too many requests change one session at once".into())
}

fn rotate(vault: &mut impl Vault, from: &Key, to: Key, grace: u64, now: u64) -> Outcome {
    for _ in 0..TRIES {
        let old = match vault.look(from, now)? {
            None => return Ok(Reply::Gone),
            Some(Entry::Moved(..)) => return Ok(Reply::Moved),
            Some(Entry::Live(record)) => record,
        };
        let record = Arc::new(Record { turned: now, ..Record::clone(&old) });
        vault.swap(&to, None, &Entry::Live(record.clone()), now)?;
        let moved = Entry::Moved(to, now.saturating_add(grace));
        if vault.swap(from, Some(&Entry::Live(old)), &moved, now)? {
            return Ok(Reply::Found(Found { record, key: to, grace: false }));
        }
        vault.remove(&to)?;
    }
    Err("too many requests change one session at once".into())
}

#[cfg(test)]
mod tests;
