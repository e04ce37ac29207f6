//! The queue between acceptor and workers: a bounded crossbeam channel, and who sleeps beside it. A worker that
//! finds the channel empty sleeps at once instead of spinning in `recv`, and a new job wakes at most one
//! worker at a time; that one wakes the next if there is more to do than it can take. So a burst of jobs
//! costs few switches, and no job waits while a worker sleeps.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*, fence};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::Thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError};

/// Both ends of the queue, and its sleepers.
pub struct Pool<T> {
    sender: Sender<T>,
    receiver: Receiver<T>,
    sleepers: Mutex<Vec<(Thread, Arc<AtomicBool>)>>,
    sleeping: AtomicUsize,
    /// A worker was woken and has not looked at the queue yet.
    waking: AtomicBool,
}

impl<T> Pool<T> {
    /// A queue that holds so many jobs.
    pub fn new(most: usize) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(most.max(1));
        Pool {
            sender,
            receiver,
            sleepers: Mutex::default(),
            sleeping: AtomicUsize::new(0),
            waking: AtomicBool::new(false),
        }
    }

    /// Queues a job; it comes back if the queue is full.
    pub fn send(&self, job: T) -> Result<(), T> {
        match self.sender.try_send(job) {
            Ok(()) => {
                self.wake();
                Ok(())
            }
            // Both ends live in this value, so the channel is never disconnected.
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => Err(job),
        }
    }

    /// Whether nobody waits in the queue.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// The next job, for as long as it takes.
    pub fn receive(&self, woken: &Arc<AtomicBool>) -> T {
        loop {
            match self.receiver.try_recv() {
                Ok(job) => {
                    if !self.receiver.is_empty() {
                        self.wake();
                    }
                    return job;
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => self.sleep(woken),
            }
        }
    }

    /// Sleeps until woken, unless a job came between the look at the queue and the sleep.
    fn sleep(&self, woken: &Arc<AtomicBool>) {
        woken.store(false, Relaxed);
        let mut sleepers = self.sleepers();
        sleepers.push((std::thread::current(), woken.clone()));
        self.sleeping.store(sleepers.len(), SeqCst);
        drop(sleepers);
        // Pairs with the fence in `wake`: either we see the job, or its sender sees us.
        fence(SeqCst);
        if !self.receiver.is_empty() {
            let mut sleepers = self.sleepers();
            let own = sleepers.iter().position(|(_, flag)| Arc::ptr_eq(flag, woken));
            if let Some(own) = own {
                sleepers.swap_remove(own);
                self.sleeping.store(sleepers.len(), SeqCst);
                return;
            }
        }
        while !woken.load(Acquire) {
            std::thread::park();
        }
        self.waking.store(false, SeqCst);
        fence(SeqCst);
    }

    /// Wakes the worker that fell asleep last, whose memory is warmest; none if one is on its way already: it
    /// looks at the queue after it cleared the mark, so it sees what was sent before.
    fn wake(&self) {
        loop {
            fence(SeqCst);
            if self.sleeping.load(SeqCst) == 0 || self.waking.swap(true, SeqCst) {
                return;
            }
            let mut sleepers = self.sleepers();
            let last = sleepers.pop();
            self.sleeping.store(sleepers.len(), SeqCst);
            drop(sleepers);
            if let Some((thread, flag)) = last {
                flag.store(true, Release);
                return thread.unpark();
            }
            self.waking.store(false, SeqCst);
            fence(SeqCst);
            // Who sent a job while the mark stood relied on us, and a worker may have gone to sleep just before.
            if self.receiver.is_empty() {
                return;
            }
        }
    }

    fn sleepers(&self) -> MutexGuard<'_, Vec<(Thread, Arc<AtomicBool>)>> {
        // Nothing that can panic runs under this lock.
        self.sleepers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Senders and workers race; a job that nobody is woken for would hang this test.
    #[test]
    fn every_job_is_done() {
        const JOBS: usize = 100_000;
        let pool: Arc<Pool<usize>> = Arc::new(Pool::new(16));
        let done = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let (pool, done) = (pool.clone(), done.clone());
                std::thread::spawn(move || {
                    let woken = Arc::default();
                    while pool.receive(&woken) != 0 {
                        done.fetch_add(1, Relaxed);
                    }
                })
            })
            .collect();
        let send = |job| {
            let mut job = job;
            while let Err(back) = pool.send(job) {
                job = back;
                std::thread::yield_now();
            }
        };
        for n in 1..=JOBS {
            send(n);
            if n % 64 == 0 {
                // Let the workers fall asleep now and then.
                while done.load(Relaxed) < n {
                    std::thread::yield_now();
                }
            }
        }
        for _ in &workers {
            send(0);
        }
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(done.load(Relaxed), JOBS);
    }

    /// Two senders, so that one relies on the other's wake-up. The last job of each burst is waited for: nothing
    /// comes after it that could wake a worker by chance.
    #[test]
    fn no_job_is_left_behind_a_burst() {
        const BURSTS: usize = 20_000;
        let pool: Arc<Pool<bool>> = Arc::new(Pool::new(64));
        let done = Arc::new(AtomicUsize::new(0));
        let go = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let (pool, done) = (pool.clone(), done.clone());
                std::thread::spawn(move || {
                    let woken = Arc::default();
                    while pool.receive(&woken) {
                        done.fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        let other = {
            let (pool, go) = (pool.clone(), go.clone());
            std::thread::spawn(move || {
                for burst in 1..=BURSTS {
                    while go.load(SeqCst) < burst {
                        std::thread::yield_now();
                    }
                    assert!(pool.send(true).is_ok());
                }
            })
        };
        for burst in 1..=BURSTS {
            go.store(burst, SeqCst);
            assert!(pool.send(true).is_ok());
            while done.load(SeqCst) < burst * 2 {
                std::thread::yield_now();
            }
        }
        other.join().unwrap();
        for _ in &workers {
            assert!(pool.send(false).is_ok());
        }
        for worker in workers {
            worker.join().unwrap();
        }
    }

    #[test]
    fn a_full_queue_gives_the_job_back() {
        let pool = Pool::new(1);
        assert_eq!(pool.send(1), Ok(()));
        assert_eq!(pool.send(2), Err(2));
    }
}
