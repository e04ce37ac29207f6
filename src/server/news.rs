//! Where the kernel tells what is new on sockets: one epoll instance, on which idle workers wait themselves, so that whoever hears
//! of something does it. Knows tokens, neither connections nor requests.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

/// The token that says "look at the queue".
const WAKE: u64 = u64::MAX;

/// How many events one look takes. What is left wakes the next who waits, so that bursts are shared.
pub const BATCH: usize = 16;

/// The epoll instance.
#[derive(Debug)]
pub struct News {
    epoll: OwnedFd,
    wake: OwnedFd,
}

/// Something new on one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What it was registered under.
    pub token: usize,
    /// There is something to read, an end, or an error; else only room to write.
    pub news: bool,
    /// The other end closed.
    pub ended: bool,
}

impl News {
    /// An instance with nothing in it.
    pub fn new() -> io::Result<News> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN | EventFlags::ET)?;
        Ok(News { epoll, wake })
    }

    /// From now on each change on this descriptor is told once, and at once what it is like now; with `room` also when it takes bytes
    /// again. It ends when the descriptor is closed.
    pub fn watch(&self, descriptor: BorrowedFd<'_>, token: usize, room: bool) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(token as u64), flags(room))?)
    }

    /// The same for one that is watched already.
    pub fn watch_again(&self, descriptor: BorrowedFd<'_>, token: usize, room: bool) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, descriptor, EventData::new_u64(token as u64), flags(room))?)
    }

    /// Wakes one who waits, or the next who will.
    pub fn wake(&self) {
        // Only a full counter could refuse it, and that one is readable.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Waits for events, for ever without a time, and tells each. Answers with whether somebody woke us.
    pub fn wait(&self, time: Option<Duration>, mut tell: impl FnMut(Event)) -> io::Result<bool> {
        let mut buffer = [const { MaybeUninit::uninit() }; BATCH];
        let time = time.map(|time| Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() });
        let (events, _) = match epoll::wait(&self.epoll, &mut buffer, time.as_ref()) {
            Err(Errno::INTR) => return Ok(false),
            done => done?,
        };
        let mut woken = false;
        for event in events {
            let (data, flags) = (event.data, event.flags);
            match data.u64() {
                WAKE => woken = true,
                token => tell(Event {
                    token: token as usize,
                    news: flags.intersects(NEWS),
                    ended: flags.intersects(EventFlags::RDHUP | EventFlags::HUP),
                }),
            }
        }
        Ok(woken)
    }
}

const NEWS: EventFlags =
    EventFlags::IN.union(EventFlags::PRI).union(EventFlags::RDHUP).union(EventFlags::HUP).union(EventFlags::ERR);

fn flags(room: bool) -> EventFlags {
    let both = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
    if room { both | EventFlags::OUT } else { both }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn look(news: &News) -> (Vec<Event>, bool) {
        let mut events = Vec::new();
        let woken = news.wait(Some(Duration::ZERO), |event| events.push(event)).unwrap();
        (events, woken)
    }

    #[test]
    fn each_change_is_told_once() {
        let news = News::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        news.watch(ours.as_fd(), 7, false).unwrap();
        let event = |news, ended| Event { token: 7, news, ended };
        assert_eq!(look(&news), (vec![], false));
        for _ in 0..2 {
            theirs.write_all(b"x").unwrap();
            assert_eq!(look(&news), (vec![event(true, false)], false));
            assert_eq!(look(&news), (vec![], false));
        }
        news.watch_again(ours.as_fd(), 7, true).unwrap();
        assert_eq!(look(&news).0.len(), 1, "what is there is told anew");
        drop(theirs);
        assert_eq!(look(&news), (vec![event(true, true)], false));
        let (fresh, _theirs) = UnixStream::pair().unwrap();
        news.watch(fresh.as_fd(), 7, true).unwrap();
        assert_eq!(look(&news), (vec![event(false, false)], false), "room to write");
    }

    #[test]
    fn a_wake_up_waits_for_who_comes_and_wakes_one() {
        let news = News::new().unwrap();
        for _ in 0..3 {
            news.wake();
            news.wake();
            assert_eq!([look(&news).1, look(&news).1], [true, false]);
        }
    }

    #[test]
    fn more_events_than_one_look_takes_are_left_for_the_next() {
        let news = News::new().unwrap();
        let pairs: Vec<_> = (0..BATCH + 3).map(|_| UnixStream::pair().unwrap()).collect();
        pairs.iter().enumerate().for_each(|(n, (ours, _))| news.watch(ours.as_fd(), n, true).unwrap());
        assert_eq!((look(&news).0.len(), look(&news).0.len()), (BATCH, 3));
    }
}
