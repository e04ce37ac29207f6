//! The pool's queue, a bounded crossbeam channel, and who waits beside it. A few idle workers, as many as there are processors, wait
//! for the kernel's news themselves: whoever hears of something does it, and no thread has to wake another. The others are the
//! reserve and sleep. While nobody watches, an alarm has the acceptor look now and then whether the busy ones get on: if they are
//! stuck in something slow, one of the reserve takes their place. So a burst costs few switches of threads, and nothing waits longer
//! than the alarm while a worker sleeps.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::alarm::Alarm;
use super::news::{Event, News};
use super::pauses::Pauses;
use crate::sync::atomic::{Acquire, AtomicBool, AtomicUsize, Relaxed, Release, SeqCst, fence};
use crate::sync::channel::{self, Receiver, Sender, TrySendError};
use crate::sync::thread::{self, Thread};
use crate::sync::{Arc, Mutex, MutexGuard};

/// How long nobody watches until somebody looks whether the busy ones get on.
const PATIENCE: Duration = Duration::from_millis(1);
/// The same when no worker is left to take their place.
const STARVED: Duration = Duration::from_millis(10);

/// The queue, the kernel's news, and the idle workers.
pub struct Pool<T> {
    sender: Sender<T>,
    receiver: Receiver<T>,
    news: Arc<News>,
    /// How many may watch at once.
    most: usize,
    watching: AtomicUsize,
    reserve: Mutex<Vec<(Thread, Arc<AtomicBool>)>>,
    /// A watcher was woken and has not looked at the queue yet.
    waking: AtomicBool,
    /// Counts how often workers came for more.
    turns: AtomicUsize,
    /// That count when the alarm went off last.
    seen: AtomicUsize,
    /// Nobody asked the kernel for its news since the alarm went off last.
    deaf: AtomicBool,
    /// Counts how often they waited for news.
    rests: AtomicUsize,
    pauses: Pauses,
    alarm: Alarm,
    armed: AtomicBool,
}

impl<T> Pool<T> {
    /// A queue that holds so many jobs. So many workers watch while they are idle.
    pub fn new(most: usize, watchers: usize) -> io::Result<Self> {
        let (sender, receiver) = channel::bounded(most.max(1));
        Ok(Pool {
            sender,
            receiver,
            news: Arc::new(News::new()?),
            most: watchers.max(1),
            watching: AtomicUsize::new(0),
            reserve: Mutex::default(),
            waking: AtomicBool::new(false),
            turns: AtomicUsize::new(0),
            seen: AtomicUsize::new(0),
            rests: AtomicUsize::new(0),
            pauses: Pauses::default(),
            deaf: AtomicBool::new(false),
            alarm: Alarm::new()?,
            armed: AtomicBool::new(false),
        })
    }

    /// Where sockets are registered.
    pub fn news(&self) -> &Arc<News> {
        &self.news
    }

    /// Readable when [`Pool::look_after`] is to be called.
    pub fn alarm(&self) -> BorrowedFd<'_> {
        self.alarm.as_fd()
    }

    /// Queues a job and wakes an idle worker; it comes back if the queue is full.
    pub fn send(&self, job: T) -> Result<(), T> {
        self.push(job)?;
        self.tell();
        Ok(())
    }

    /// Wakes an idle worker for all that was queued by [`Pool::push`]. It wakes another if there is more than it takes.
    pub fn tell(&self) {
        // Pairs with the fence in `rest`: either we see the watcher, or it sees the job.
        fence(SeqCst);
        match self.watching.load(SeqCst) {
            0 => self.arm(PATIENCE),
            _ => self.wake(),
        }
    }

    /// Queues a job that the caller itself will do soon, unless another is free sooner; it comes back if the queue is full.
    pub fn put(&self, job: T) -> Result<(), T> {
        self.push(job)?;
        fence(SeqCst);
        self.arm(PATIENCE);
        Ok(())
    }

    /// Queues a job of which nobody is told before [`Pool::tell`]; it comes back if the queue is full.
    pub fn push(&self, job: T) -> Result<(), T> {
        // Both ends live in this value, so the channel is never disconnected.
        self.sender.try_send(job).map_err(|(TrySendError::Full(job) | TrySendError::Disconnected(job))| job)
    }

    /// Whether nobody waits in the queue.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// The next job, if there is one.
    pub fn take(&self) -> Option<T> {
        self.turns.fetch_add(1, Relaxed);
        self.receiver.try_recv().ok()
    }

    /// Waits until there is something to do: what the kernel tells is added to `events`, and the queue may hold jobs. `woken` is the
    /// worker's own.
    pub fn rest(&self, woken: &Arc<AtomicBool>, events: &mut Vec<Event>) {
        let watch = |watching| (watching < self.most).then_some(watching + 1);
        if self.watching.fetch_update(SeqCst, SeqCst, watch).is_err() {
            return self.sleep(woken);
        }
        fence(SeqCst);
        if self.receiver.is_empty() {
            self.rests.fetch_add(1, Relaxed);
            self.hear(None, events);
        }
        if self.watching.fetch_sub(1, SeqCst) == 1 {
            self.arm(PATIENCE);
        }
    }

    /// Adds what the kernel has to tell now.
    pub fn look(&self, events: &mut Vec<Event>) {
        self.hear(Some(Duration::ZERO), events);
    }

    fn hear(&self, time: Option<Duration>, events: &mut Vec<Event>) {
        self.deaf.store(false, Relaxed);
        match self.news.wait(time, |event| events.push(event)) {
            Ok(false) => {}
            Ok(true) => {
                // A swap and no store: the checker would let a store pass a swap before it.
                self.waking.swap(false, SeqCst);
                fence(SeqCst);
                // Who watched looks at the queue next, so it sees what was sent before; unless it heard of other work, or only looked
                // in the middle of some. What it cannot do at once is for another watcher.
                let watched = time.is_none();
                let takes = usize::from(watched && events.is_empty());
                if self.receiver.len() > takes && self.watching.load(SeqCst) > usize::from(watched) {
                    self.wake();
                }
            }
            Err(error) => log::error!("epoll_wait() failed: {error}"),
        }
    }

    /// Sleeps until the reserve is needed.
    fn sleep(&self, woken: &Arc<AtomicBool>) {
        woken.store(false, Relaxed);
        self.reserve().push((thread::current(), woken.clone()));
        while !woken.load(Acquire) {
            thread::park();
        }
    }

    /// Wakes a watcher, unless one is on its way already.
    fn wake(&self) {
        if !self.waking.swap(true, SeqCst) {
            self.news.wake();
        }
    }

    fn arm(&self, time: Duration) {
        if self.armed.load(SeqCst) || self.armed.swap(true, SeqCst) {
            return;
        }
        self.alarm.set(time);
    }

    /// The alarm went off: sees to it that somebody watches, or does what waits. Whether the caller has to [`Pool::look`] for the
    /// workers: all are busy and none gets on, or they get on with a queue that never becomes empty. So what is new gets its turn
    /// behind what waits, and the queue fills and is refused what it cannot hold.
    pub fn look_after(&self) -> bool {
        // Who stops watching after this sets the alarm again; who stopped before is seen below.
        self.armed.swap(false, SeqCst);
        if self.watching.load(SeqCst) > 0 {
            if !self.receiver.is_empty() {
                self.wake();
                self.arm(PATIENCE);
            }
            return false;
        }
        let turns = self.turns.load(Relaxed);
        let stuck = self.seen.swap(turns, Relaxed) == turns;
        let blocked = self.pauses.are_frequent(turns, self.rests.load(Relaxed)) && !self.receiver.is_empty();
        if (stuck || blocked) && self.call_reserve() {
            // It listens next, or does what waits.
            self.deaf.store(false, Relaxed);
            self.arm(PATIENCE);
            return false;
        }
        let deaf = self.deaf.swap(true, Relaxed);
        self.arm(if stuck { STARVED } else { PATIENCE });
        stuck || deaf
    }

    /// Wakes the one that fell asleep last, whose memory is warmest; false if none sleeps.
    fn call_reserve(&self) -> bool {
        let last = self.reserve().pop();
        let Some((thread, woken)) = last else { return false };
        woken.store(true, Release);
        thread.unpark();
        true
    }

    /// Who waits how, for a test that waits in vain.
    #[cfg(test)]
    pub fn state(&self) -> String {
        let (watching, waking, armed) = (&self.watching, &self.waking, &self.armed);
        let (asleep, turns) = (self.reserve().len(), &self.turns);
        format!("watching: {watching:?}, asleep: {asleep}, waking: {waking:?}, alarm set: {armed:?}, turns: {turns:?}")
    }

    fn reserve(&self) -> MutexGuard<'_, Vec<(Thread, Arc<AtomicBool>)>> {
        // Nothing that can panic runs under this lock.
        self.reserve.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests;
