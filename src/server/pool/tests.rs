//! The pool under work that waits, that panics and that holds its workers.

use super::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

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
        assert_eq!(pool.send(n), Ok(()));
        wait_for("somebody does it", || stuck.load(SeqCst) == n);
    }
    wait_for("nobody is left", || acceptor.starved.load(SeqCst) > 0);
    go.store(true, SeqCst);
    wait_for("all rest again", || pool.watching.load(SeqCst) == 2 && pool.reserve().len() == 3);
}

/// Whoever sleeps is called before the acceptor looks in the place of the stuck.
#[test]
fn the_reserve_is_called_before_the_acceptor_looks() {
    let pool: Pool<usize> = Pool::new(16, 2).unwrap();
    assert_eq!(pool.send(1), Ok(()));
    let sleeping: Vec<Arc<AtomicBool>> = (0..2).map(|_| Arc::default()).collect();
    pool.reserve().extend(sleeping.iter().map(|woken| (thread::current(), woken.clone())));
    let called = || sleeping.iter().filter(|woken| woken.load(SeqCst)).count();
    assert_eq!((pool.look_after(), called()), (false, 1));
    assert_eq!((pool.look_after(), called()), (false, 2));
    assert!(pool.look_after(), "nobody is left");
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
