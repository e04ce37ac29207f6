//! The pool's queue, a bounded crossbeam channel, and who waits beside it. A few idle workers, as many as there are processors, wait
//! for the kernel's news themselves: whoever hears of something does it, and no thread has to wake another. The others are the
//! reserve and sleep. While nobody watches, an alarm has the acceptor look now and then whether the busy ones get on: if they are
//! stuck in something slow, one of the reserve takes their place. So a burst costs few switches of threads, and nothing waits longer
//! than the alarm while a worker sleeps.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*, fence};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::Thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::news::{Event, News};
use super::pauses::Pauses;

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
    alarm: OwnedFd,
    armed: AtomicBool,
}

impl<T> Pool<T> {
    /// A queue that holds so many jobs. So many workers watch while they are idle.
    pub fn new(most: usize, watchers: usize) -> io::Result<Self> {
        let (sender, receiver) = crossbeam_channel::bounded(most.max(1));
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
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
            alarm: rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?,
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
        // Pairs with the fence in `rest`: either we see the watcher, or it sees the job.
        fence(SeqCst);
        match self.watching.load(SeqCst) {
            0 => self.arm(PATIENCE),
            _ => self.wake(),
        }
        Ok(())
    }

    /// Queues a job that the caller itself will do soon, unless another is free sooner; it comes back if the queue is full.
    pub fn put(&self, job: T) -> Result<(), T> {
        self.push(job)?;
        fence(SeqCst);
        self.arm(PATIENCE);
        Ok(())
    }

    fn push(&self, job: T) -> Result<(), T> {
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
                self.waking.store(false, SeqCst);
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
        self.reserve().push((std::thread::current(), woken.clone()));
        while !woken.load(Acquire) {
            std::thread::park();
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
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once =
            Itimerspec { it_interval: never, it_value: Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() } };
        // It fails for no descriptor and no time of ours.
        let _ = rustix::time::timerfd_settime(&self.alarm, TimerfdTimerFlags::empty(), &once);
    }

    /// The alarm went off: sees to it that somebody watches, or does what waits. Whether the caller has to [`Pool::look`] for the
    /// workers: all are busy and none gets on, or they get on with a queue that never becomes empty. So what is new gets its turn
    /// behind what waits, and the queue fills and is refused what it cannot hold.
    pub fn look_after(&self) -> bool {
        // Who stops watching behind this sets the alarm again; who stopped before is seen below.
        self.armed.store(false, SeqCst);
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

    fn reserve(&self) -> MutexGuard<'_, Vec<(Thread, Arc<AtomicBool>)>> {
        // Nothing that can panic runs under this lock.
        self.reserve.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    /// Looks after a pool as the acceptor does, until it is dropped.
    struct Acceptor {
        end: Arc<AtomicBool>,
        starved: Arc<AtomicUsize>,
    }

    impl Acceptor {
        fn of<T: Send + 'static>(pool: &Arc<Pool<T>>) -> Acceptor {
            let acceptor = Acceptor { end: Arc::default(), starved: Arc::default() };
            let (pool, end, starved) = (pool.clone(), acceptor.end.clone(), acceptor.starved.clone());
            std::thread::spawn(move || {
                while !end.load(SeqCst) {
                    let time = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                    let mut fds = [PollFd::from_borrowed_fd(pool.alarm(), PollFlags::IN)];
                    if poll(&mut fds, Some(&time)) == Ok(1) {
                        let _ = rustix::io::read(pool.alarm(), &mut [0; 8]);
                        starved.fetch_add(usize::from(pool.look_after()), SeqCst);
                    }
                }
            });
            acceptor
        }
    }

    impl Drop for Acceptor {
        fn drop(&mut self) {
            self.end.store(true, SeqCst);
        }
    }

    fn next<T>(pool: &Pool<T>, woken: &Arc<AtomicBool>) -> T {
        let mut events = Vec::new();
        loop {
            if let Some(job) = pool.take() {
                return job;
            }
            pool.rest(woken, &mut events);
        }
    }

    /// So many workers, each of which does the same for every job.
    fn hire<T: Send + 'static>(pool: &Arc<Pool<T>>, count: usize, work: impl Fn() + Clone + Send + 'static) {
        for _ in 0..count {
            let (pool, work) = (pool.clone(), work.clone());
            std::thread::spawn(move || {
                let woken = Arc::default();
                loop {
                    next(&pool, &woken);
                    work();
                }
            });
        }
    }

    /// A counter, and what counts by it.
    fn counter() -> (Arc<AtomicUsize>, impl Fn() + Clone + Send + 'static) {
        let done = Arc::new(AtomicUsize::new(0));
        let counted = done.clone();
        let count = move || {
            counted.fetch_add(1, SeqCst);
        };
        (done, count)
    }

    fn wait_for(what: &str, done: impl Fn() -> bool) {
        let start = std::time::Instant::now();
        while !done() {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::yield_now();
        }
    }

    /// Senders and workers race; a job that nobody is woken for would hang this test.
    #[test]
    fn every_job_is_done() {
        const JOBS: usize = 100_000;
        let pool: Arc<Pool<usize>> = Arc::new(Pool::new(16, 2).unwrap());
        let _acceptor = Acceptor::of(&pool);
        let (done, count) = counter();
        hire(&pool, 4, count);
        for n in 1..=JOBS {
            while pool.send(n).is_err() {
                std::thread::yield_now();
            }
            if n % 64 == 0 {
                // Let the workers fall asleep now and then.
                wait_for("the workers get on", || done.load(Relaxed) >= n);
            }
        }
        wait_for("all is done", || done.load(Relaxed) == JOBS);
    }

    /// Two senders, so that one relies on the other's wake-up. The last job of each burst is waited for: nothing
    /// comes after it that could wake a worker by chance.
    #[test]
    fn no_job_is_left_behind_a_burst() {
        const BURSTS: usize = 20_000;
        let pool: Arc<Pool<()>> = Arc::new(Pool::new(64, 2).unwrap());
        let _acceptor = Acceptor::of(&pool);
        let (done, count) = counter();
        hire(&pool, 3, count);
        let go = Arc::new(AtomicUsize::new(0));
        let other = {
            let (pool, go) = (pool.clone(), go.clone());
            std::thread::spawn(move || {
                for burst in 1..=BURSTS {
                    wait_for("the other sender gets on", || go.load(SeqCst) >= burst);
                    assert!(pool.send(()).is_ok());
                }
            })
        };
        for burst in 1..=BURSTS {
            go.store(burst, SeqCst);
            assert!(pool.send(()).is_ok());
            wait_for("the burst is done", || done.load(SeqCst) >= burst * 2);
        }
        other.join().unwrap();
    }

    /// One is stuck, and the one that watched gets stuck as well: the next of the reserve watches, until none is left.
    #[test]
    fn the_reserve_takes_the_place_of_the_stuck() {
        let pool: Arc<Pool<usize>> = Arc::new(Pool::new(16, 2).unwrap());
        let acceptor = Acceptor::of(&pool);
        let ((stuck, count), go) = (counter(), Arc::new(AtomicBool::new(false)));
        let end = go.clone();
        hire(&pool, 5, move || {
            count();
            // Who is stuck leaves the processors to the others.
            while !end.load(SeqCst) {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        });
        wait_for("all rest", || pool.watching.load(SeqCst) == 2 && pool.reserve().len() == 3);
        for n in 1..=5 {
            assert_eq!((pool.send(n), acceptor.starved.load(SeqCst)), (Ok(()), 0));
            wait_for("somebody does it", || stuck.load(SeqCst) == n);
        }
        wait_for("nobody is left", || acceptor.starved.load(SeqCst) > 0);
        go.store(true, SeqCst);
        wait_for("all rest again", || pool.watching.load(SeqCst) == 2 && pool.reserve().len() == 3);
    }

    /// A socket has news and a job is sent: one worker hears of both and does what the socket tells, so the job is for another.
    #[test]
    fn a_job_does_not_wait_for_who_heard_of_other_work_with_it() {
        use std::io::Write;
        let pool: Pool<usize> = Pool::new(16, 2).unwrap();
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        pool.news().watch(ours.as_fd(), 7, false).unwrap();
        pool.watching.store(2, SeqCst);
        let is_waking = |events: &mut Vec<Event>| {
            pool.waking.load(SeqCst) && pool.news().wait(Some(Duration::ZERO), |event| events.push(event)).unwrap()
        };
        assert_eq!(pool.send(1), Ok(()));
        pool.hear(None, &mut Vec::new());
        assert!(!is_waking(&mut Vec::new()), "who hears of the job alone does it");
        pool.take();
        let mut events = Vec::new();
        theirs.write_all(b"x").unwrap();
        assert_eq!(pool.send(2), Ok(()));
        pool.hear(None, &mut events);
        assert_eq!((events.len(), is_waking(&mut events)), (1, true), "another watcher is woken");
    }

    /// What is put into the queue without pause, say by new connections, does not keep the others' news from being heard.
    #[test]
    fn news_is_heard_while_the_queue_never_becomes_empty() {
        let pool: Pool<usize> = Pool::new(16, 2).unwrap();
        let gets_on = || {
            assert!(pool.put(1).is_ok() && pool.put(2).is_ok());
            pool.take();
            pool.look_after()
        };
        gets_on();
        assert!([gets_on(), gets_on()] == [true, true], "nobody listens");
        pool.look(&mut Vec::new());
        assert_eq!([gets_on(), gets_on()], [false, true], "a worker listened");
    }

    /// A worker that looks in the middle of its work, and goes on with that, leaves the wake-up to those who watch.
    #[test]
    fn a_look_takes_no_wake_up_from_who_watches() {
        let pool: Pool<usize> = Pool::new(1, 2).unwrap();
        pool.watching.store(1, SeqCst);
        assert_eq!(pool.send(1), Ok(()));
        let mut events = Vec::new();
        pool.look(&mut events);
        assert!(pool.waking.load(SeqCst) && pool.news().wait(Some(Duration::ZERO), |_| {}).unwrap());
    }

    /// They come for more all the time, and yet the processors have nothing to do.
    #[test]
    fn the_reserve_helps_those_who_wait_for_something_slow() {
        let pool: Arc<Pool<()>> = Arc::new(Pool::new(10_000, 2).unwrap());
        let _acceptor = Acceptor::of(&pool);
        let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = most.clone();
        hire(&pool, 8, move || {
            seen.fetch_max(at_once.fetch_add(1, SeqCst) + 1, SeqCst);
            // As long as a slow disk takes.
            std::thread::sleep(Duration::from_micros(500));
            at_once.fetch_sub(1, SeqCst);
        });
        // Who waits here must not keep a processor busy.
        wait_for("many work at once", || {
            for _ in 0..16 {
                // It may be full.
                let _ = pool.send(());
            }
            std::thread::sleep(Duration::from_millis(1));
            most.load(SeqCst) > 4
        });
    }

    #[test]
    fn a_full_queue_gives_the_job_back() {
        let pool = Pool::new(1, 1).unwrap();
        assert_eq!(pool.send(1), Ok(()));
        assert_eq!([pool.send(2), pool.put(3)], [Err(2), Err(3)]);
    }
}
