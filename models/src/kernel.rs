//! What the kernel does for the pool and for bells, as far as hand-overs depend on it: a wake-up that one waiter takes, and a timer
//! that goes off when the model says so.

pub mod news {
    use std::io;
    use std::os::fd::BorrowedFd;
    use std::time::Duration;

    use loom::sync::{Condvar, Mutex};

    #[derive(Debug, Clone, Copy)]
    #[allow(dead_code)]
    pub struct Event {
        pub token: usize,
    }

    /// What is new: a wake-up, and events that the model adds.
    #[derive(Debug, Default)]
    pub struct News {
        state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Debug, Default)]
    struct State {
        woken: bool,
        tokens: Vec<usize>,
    }

    impl News {
        pub fn new() -> io::Result<News> {
            Ok(News::default())
        }

        pub fn watch(&self, _: BorrowedFd<'_>, _: usize, _: bool) -> io::Result<()> {
            Ok(())
        }

        pub fn watch_again(&self, _: BorrowedFd<'_>, _: usize, _: bool) -> io::Result<()> {
            Ok(())
        }

        pub fn wake(&self) {
            self.state.lock().unwrap().woken = true;
            self.changed.notify_one();
        }

        /// A socket has news.
        pub fn tell(&self, token: usize) {
            self.state.lock().unwrap().tokens.push(token);
            self.changed.notify_one();
        }

        pub fn wait(&self, time: Option<Duration>, mut tell: impl FnMut(Event)) -> io::Result<bool> {
            let mut state = self.state.lock().unwrap();
            while time.is_none() && !state.woken && state.tokens.is_empty() {
                state = self.changed.wait(state).unwrap();
            }
            let woken = std::mem::take(&mut state.woken);
            state.tokens.drain(..).for_each(|token| tell(Event { token }));
            Ok(woken)
        }
    }
}

pub mod alarm {
    use std::cell::RefCell;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::sync::Arc;
    use std::time::Duration;

    use loom::sync::{Condvar, Mutex};

    #[derive(Debug, Clone, Default)]
    pub struct Alarm(Arc<State>);

    #[derive(Debug, Default)]
    struct State {
        set: Mutex<bool>,
        changed: Condvar,
    }

    thread_local! {
        /// The alarm of the pool that was made last: all threads of a model are one to the system.
        static LAST: RefCell<Option<Alarm>> = const { RefCell::new(None) };
    }

    impl Alarm {
        pub fn new() -> io::Result<Alarm> {
            let alarm = Alarm::default();
            LAST.set(Some(alarm.clone()));
            Ok(alarm)
        }

        pub fn last() -> Alarm {
            LAST.take().unwrap()
        }

        pub fn set(&self, _: Duration) {
            *self.0.set.lock().unwrap() = true;
            self.0.changed.notify_one();
        }

        pub fn is_set(&self) -> bool {
            *self.0.set.lock().unwrap()
        }

        /// Waits until it is set, and lets it go off.
        pub fn go_off(&self) {
            let mut set = self.0.set.lock().unwrap();
            while !*set {
                set = self.0.changed.wait(set).unwrap();
            }
            *set = false;
        }
    }

    impl AsFd for Alarm {
        fn as_fd(&self) -> BorrowedFd<'_> {
            unreachable!("a model waits for the alarm itself")
        }
    }
}

pub mod pauses {
    /// Nobody waits for a slow disk here.
    #[derive(Default)]
    pub struct Pauses;

    impl Pauses {
        pub fn are_frequent(&self, _: usize, _: usize) -> bool {
            false
        }
    }
}
