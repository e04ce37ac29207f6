//! Requests that share work: who does it, who gets it, and what becomes of it when they leave or panic.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::exchange::engine::Woken;

/// Three turns, and what was true when it began. Another number panics or fails.
struct Steps {
    left: usize,
    truth: &'static AtomicUsize,
    seen: Option<usize>,
}

impl Work for Steps {
    type Made = usize;

    fn go_on(&mut self, _: Instant) -> Result<Option<usize>, HttpError> {
        let seen = *self.seen.get_or_insert_with(|| self.truth.load(SeqCst));
        assert!(self.left < 10, "told to panic");
        self.left -= 1;
        Ok((self.left == 0).then_some(seen))
    }
}

fn steps(left: usize, truth: &'static AtomicUsize) -> impl FnOnce() -> Steps {
    move || Steps { left, truth, seen: None }
}

fn turn(share: &mut Share<Steps>, waker: Waker) -> Option<usize> {
    match share.advance(false, || waker.clone()).unwrap() {
        Turn::Made(made) => Some(made),
        Turn::Wait(_) => None,
    }
}

#[test]
fn those_who_asked_before_it_began_share_it_and_others_share_the_next() {
    static TRUTH: AtomicUsize = AtomicUsize::new(1);
    let (desk, woken) = (Desk::<&str, Steps>::default(), Arc::<Woken>::default());
    let waker = |who| woken.waker(who);
    let ask = |who| desk.ask("a", waker(who), steps(3, &TRUTH));
    let (mut first, mut second) = (ask(1), ask(2));
    // It is not the second's to do.
    assert_eq!(turn(&mut second, waker(2)), None);
    assert_eq!(turn(&mut first, waker(1)), None);
    // From here on somebody knows of a change that is not in it.
    TRUTH.store(2, SeqCst);
    let (mut third, mut fourth) = (ask(3), ask(4));
    assert_eq!([turn(&mut third, waker(3)), turn(&mut fourth, waker(4))], [None, None]);
    assert_eq!(turn(&mut first, waker(1)), None);
    assert_eq!(turn(&mut first, waker(1)), Some(1));
    assert!(woken.take().contains(&2) && turn(&mut second, waker(2)) == Some(1));
    drop((first, second));
    assert_eq!([turn(&mut third, waker(3)), turn(&mut third, waker(3))], [None, None]);
    assert_eq!([turn(&mut third, waker(3)), turn(&mut fourth, waker(4))], [Some(2), Some(2)]);
    // Of another key nothing is shared.
    let mut other = desk.ask("b", waker(5), steps(1, &TRUTH));
    assert_eq!(turn(&mut other, waker(5)), Some(2));
    drop((third, fourth, other));
    assert!(desk.places.lock().unwrap().values().all(|place| place.strong_count() == 0));
}

#[test]
fn whoever_leaves_hands_the_work_on_and_the_last_one_ends_it() {
    static TRUTH: AtomicUsize = AtomicUsize::new(7);
    let (desk, woken) = (Desk::<(), Steps>::default(), Arc::<Woken>::default());
    let waker = |who| woken.waker(who);
    let ask = |who| desk.ask((), waker(who), steps(3, &TRUTH));
    let (mut first, mut second, third) = (ask(1), ask(2), ask(3));
    assert_eq!(turn(&mut first, waker(1)), None);
    drop(third);
    assert!(woken.take().is_empty(), "one that only waits leaves alone");
    drop(first);
    assert_eq!(woken.take(), [2]);
    assert_eq!([turn(&mut second, waker(2)), turn(&mut second, waker(2))], [None, Some(7)]);
    let mut alone = ask(4);
    assert_eq!(turn(&mut alone, waker(4)), None);
    let job = Arc::downgrade(&alone.job);
    drop(alone);
    assert!(job.upgrade().is_none());
}

#[test]
fn one_that_panics_takes_nobody_along() {
    static TRUTH: AtomicUsize = AtomicUsize::new(0);
    let (desk, woken) = (Desk::<(), Steps>::default(), Arc::<Woken>::default());
    let waker = |who| woken.waker(who);
    let mut first = desk.ask((), waker(1), steps(10, &TRUTH));
    let mut second = desk.ask((), waker(2), steps(3, &TRUTH));
    let hands = std::thread::spawn({
        let waker = waker(1);
        move || turn(&mut first, waker)
    });
    assert!(hands.join().is_err());
    assert_eq!(woken.take(), [2]);
    let told = second.advance(false, || waker(2)).err().expect("there is nothing to share");
    assert_eq!((told.status, told.reason), (500, "panic"));
    drop(second);
    let mut third = desk.ask((), waker(3), steps(1, &TRUTH));
    assert_eq!(turn(&mut third, waker(3)), Some(0));
}

#[test]
fn without_an_engine_all_is_done_at_once() {
    static TRUTH: AtomicUsize = AtomicUsize::new(5);
    let desk = Desk::<(), Steps>::default();
    let mut share = desk.ask((), Waker::new(None, 0), steps(9, &TRUTH));
    let made = share.advance(true, || Waker::new(None, 0)).unwrap();
    assert!(matches!(made, Turn::Made(5)));
}
