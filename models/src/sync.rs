//! The checker's side of src/sync.rs: words, locks and sleeping threads whose every order it tries.

// Who shares a table does so without a hand-over of its own; the checker has nothing to find there.
pub use std::sync::{Arc, PoisonError};

pub use loom::sync::{Mutex, MutexGuard};

pub mod atomic {
    pub use loom::sync::atomic::{
        AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
        fence,
    };
}

/// A value that is set once: who sees it sees what was done before.
pub struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    is_set: atomic::AtomicBool,
}

impl<T> OnceLock<T> {
    pub fn new() -> OnceLock<T> {
        OnceLock { value: std::sync::OnceLock::new(), is_set: atomic::AtomicBool::new(false) }
    }

    pub fn get(&self) -> Option<&T> {
        self.is_set.load(atomic::Acquire).then(|| self.value.get()).flatten()
    }

    /// Two never do this at once where it is used: it has a lock around it.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        let value = self.value.get_or_init(make);
        self.is_set.store(true, atomic::Release);
        value
    }
}

pub mod thread {
    pub use loom::thread::{Thread, current, park};
}

/// A queue like the crossbeam channel, of which no more is taken for granted than that a job is handed over with what was done before.
pub mod channel {
    use std::sync::Arc;

    use super::Mutex;
    use super::atomic::{AcqRel, Acquire, AtomicUsize};

    struct Queue<T> {
        jobs: Mutex<std::collections::VecDeque<T>>,
        len: AtomicUsize,
        most: usize,
    }

    pub struct Sender<T>(Arc<Queue<T>>);
    pub struct Receiver<T>(Arc<Queue<T>>);

    pub enum TrySendError<T> {
        Full(T),
        #[allow(dead_code)]
        Disconnected(T),
    }

    pub fn bounded<T>(most: usize) -> (Sender<T>, Receiver<T>) {
        let queue = Arc::new(Queue { jobs: Mutex::default(), len: AtomicUsize::new(0), most });
        (Sender(queue.clone()), Receiver(queue))
    }

    impl<T> Sender<T> {
        pub fn try_send(&self, job: T) -> Result<(), TrySendError<T>> {
            let mut jobs = self.0.jobs.lock().unwrap();
            if jobs.len() == self.0.most {
                return Err(TrySendError::Full(job));
            }
            jobs.push_back(job);
            drop(jobs);
            self.0.len.fetch_add(1, AcqRel);
            Ok(())
        }
    }

    impl<T> Receiver<T> {
        pub fn try_recv(&self) -> Result<T, ()> {
            // A job counts once it is whole.
            if self.0.len.fetch_update(AcqRel, Acquire, |len| len.checked_sub(1)).is_err() {
                return Err(());
            }
            self.0.jobs.lock().unwrap().pop_front().ok_or(())
        }

        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }

        pub fn len(&self) -> usize {
            self.0.len.load(Acquire)
        }
    }
}

/// So few that the second claim makes another chunk.
pub const fn scaled(_: usize, in_models: usize) -> usize {
    in_models
}
