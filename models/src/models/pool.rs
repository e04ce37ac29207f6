//! Jobs are sent while workers rest, hear of sockets, fall asleep: each job is done without a further one having to come.

use std::time::Duration;

use loom::sync::atomic::{AtomicUsize, Ordering::*};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::server::alarm::Alarm;
use crate::server::pool::Pool;
use crate::sync::atomic::AtomicBool;

type Jobs = Pool<bool>;

/// A worker: takes what there is, else rests, and counts what it did, until a job says that it was the last.
fn work(pool: &Jobs, done: &AtomicUsize) {
    let woken = std::sync::Arc::new(AtomicBool::new(false));
    let mut events = Vec::new();
    loop {
        while let Some(is_last) = pool.take() {
            done.fetch_add(1, AcqRel);
            if is_last {
                return;
            }
        }
        pool.rest(&woken, &mut events);
        done.fetch_add(events.drain(..).count(), AcqRel);
    }
}

fn pool(most: usize, watchers: usize) -> (Arc<Jobs>, Arc<AtomicUsize>) {
    (Arc::new(Pool::new(most, watchers).unwrap()), Arc::new(AtomicUsize::new(0)))
}

fn hire(pool: &Arc<Jobs>, done: &Arc<AtomicUsize>) -> thread::JoinHandle<()> {
    let (pool, done) = (pool.clone(), done.clone());
    thread::spawn(move || work(&pool, &done))
}

pub fn send_against_rest() {
    let (pool, done) = pool(2, 1);
    let worker = hire(&pool, &done);
    assert!(pool.send(false).is_ok() && pool.send(true).is_ok());
    worker.join().unwrap();
    assert_eq!(done.load(Acquire), 2);
}

pub fn two_watchers() {
    let (pool, done) = pool(2, 2);
    let workers = [0; 2].map(|_| hire(&pool, &done));
    assert!(pool.send(true).is_ok() && pool.send(true).is_ok());
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert_eq!(done.load(Acquire), 2);
}

pub fn told_once() {
    let (pool, done) = pool(2, 2);
    let workers = [0; 2].map(|_| hire(&pool, &done));
    assert!(pool.push(true).is_ok() && pool.push(true).is_ok());
    pool.tell();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert_eq!(done.load(Acquire), 2);
}

/// Whether the job was done, for who waits for that.
#[derive(Default)]
struct Done {
    is_done: Mutex<bool>,
    changed: Condvar,
}

impl Done {
    fn tell(&self) {
        *self.is_done.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let mut is_done = self.is_done.lock().unwrap();
        while !*is_done {
            is_done = self.changed.wait(is_done).unwrap();
        }
    }

    fn is_done(&self) -> bool {
        *self.is_done.lock().unwrap()
    }
}

/// A worker that hears of a socket and works on that until the job is done, which is for another.
fn work_on_news(pool: &Jobs, done: &Done) {
    let woken = std::sync::Arc::new(AtomicBool::new(false));
    let mut events = Vec::new();
    loop {
        if pool.take().is_some() {
            done.tell();
            return;
        }
        pool.rest(&woken, &mut events);
        if events.drain(..).count() > 0 {
            done.wait();
            return;
        }
    }
}

/// A socket has news and a job is sent: each is for one of two workers.
pub fn job_beside_news() {
    let (pool, done) = (pool(1, 2).0, Arc::new(Done::default()));
    let workers = [0; 2].map(|_| {
        let (pool, done) = (pool.clone(), done.clone());
        thread::spawn(move || work_on_news(&pool, &done))
    });
    pool.news().tell(7);
    assert!(pool.send(true).is_ok());
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert!(done.is_done());
}

/// The same where one watches and one sleeps: who hears of both leaves the job, and the alarm brings the other.
pub fn job_of_the_reserve() {
    let (pool, done) = (pool(1, 1).0, Arc::new(Done::default()));
    let (alarm, left) = (Alarm::last(), Arc::new(AtomicUsize::new(0)));
    let workers = [0; 2].map(|_| {
        let (pool, done, alarm, left) = (pool.clone(), done.clone(), alarm.clone(), left.clone());
        thread::spawn(move || {
            work_on_news(&pool, &done);
            left.fetch_add(1, AcqRel);
            alarm.set(Duration::ZERO);
        })
    });
    pool.news().tell(7);
    assert!(pool.send(true).is_ok());
    look_after(&pool, &alarm, || {
        // The one that is left watches or is called from the reserve, and is not needed any more.
        if done.is_done() {
            pool.news().tell(7);
        }
        left.load(Acquire) == 2
    });
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert!(done.is_done());
}

/// The last watcher leaves while the alarm goes off that was set before: it is set again by one of the two.
pub fn leave_against_alarm() {
    let pool = pool(1, 1).0;
    let alarm = Alarm::last();
    assert!(pool.put(false).is_ok() && pool.take().is_some());
    pool.news().tell(7);
    let acceptor = {
        let (pool, alarm) = (pool.clone(), alarm.clone());
        thread::spawn(move || {
            alarm.go_off();
            pool.look_after();
        })
    };
    pool.rest(&std::sync::Arc::new(AtomicBool::new(false)), &mut Vec::new());
    acceptor.join().unwrap();
    assert!(alarm.is_set(), "nobody watches, and nobody looks after that");
}

/// The acceptor, as far as it looks after a pool.
fn look_after(pool: &Jobs, alarm: &Alarm, is_over: impl Fn() -> bool) {
    let mut events = Vec::new();
    while !is_over() {
        alarm.go_off();
        if pool.look_after() {
            pool.look(&mut events);
            events.drain(..).for_each(|event| pool.news().tell(event.token));
        }
        // An alarm is a time: the workers get on before the next.
        thread::yield_now();
    }
}

/// Each of two workers does one job and is stuck then. Whichever sleeps in the reserve is called, since the alarm is set whenever
/// nobody watches; the acceptor does nothing but look after the pool.
pub fn reserve() {
    let (pool, done) = pool(2, 1);
    let alarm = Alarm::last();
    let workers = [0; 2].map(|_| {
        let (pool, done, alarm) = (pool.clone(), done.clone(), alarm.clone());
        thread::spawn(move || {
            work(&pool, &done);
            // Lets the acceptor see that it is over.
            alarm.set(Duration::ZERO);
        })
    });
    assert!(pool.send(true).is_ok() && pool.send(true).is_ok());
    look_after(&pool, &alarm, || done.load(Acquire) == 2);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}
