//! Bells: registrations of sockets that outlive the requests they work for, one after another. A socket is registered once, under
//! the number of its bell; whom its news wakes is a word in memory, so that the next request on it costs no
//! system call. News while it works for nobody is remembered. Knows neither connections nor requests.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use super::chunks::{Chunk, Chunks};
use super::marks::Marks;
use super::news::News;
use super::slot::OURS;
use crate::exchange::engine::Bell;
use crate::sync::atomic::{Acquire, AtomicUsize, Relaxed, Release, SeqCst, fence};
use crate::sync::{Arc, scaled};

/// In the token of an event: it names a bell, not a connection. Connections never get such high numbers.
pub const BELL: usize = OURS | 0x4000_0000;

// Who rings says that there is news, then looks whom it wakes; who takes a kept socket says whom it wakes, then looks for news. Each
// stores one word and loads the other's, so release and acquire would let both miss what the other stored, and a request would
// wait for news that has come: a fence stands between the two on either side.

/// Whom a bell wakes that works for nobody.
const NOBODY: usize = usize::MAX;

const NEWS: u32 = 1;
/// The other end closed: an end of file waits behind the bytes, and no further edge tells of it.
const ENDED: u32 = 2;

const PER_CHUNK: usize = scaled(256, 1);

struct Place {
    wakes: AtomicUsize,
    /// What was heard of the socket of the bell that has this place now.
    marks: Marks,
}

/// All bells.
#[derive(Default)]
pub struct Bells {
    chunks: Chunks<Place, PER_CHUNK>,
}

impl Bells {
    /// Registers a socket; its news wakes this connection until somebody says otherwise.
    pub fn hang(
        self: &Arc<Self>,
        news: &Arc<News>,
        connection: usize,
        socket: BorrowedFd<'_>,
        writes: bool,
    ) -> io::Result<Box<dyn Bell>> {
        let (chunk, index) = self.chunks.claim();
        let hung = Hung { table: self.clone(), news: news.clone(), chunk, index };
        let place = hung.place();
        place.wakes.store(connection, Release);
        news.watch(socket, hung.token(), writes)?;
        Ok(Box::new(hung))
    }

    /// An event of this token came: remembers it, and says whom it wakes.
    pub fn ring(&self, token: usize, ended: bool) -> Option<usize> {
        let place = self.chunks.get(token & u32::MAX as usize & !BELL)?;
        if !place.marks.note((token >> 32) as u32, if ended { NEWS | ENDED } else { NEWS }) {
            return None;
        }
        fence(SeqCst);
        let connection = place.wakes.load(Acquire);
        (connection != NOBODY).then_some(connection)
    }
}

impl Default for Place {
    fn default() -> Self {
        Place { wakes: AtomicUsize::new(NOBODY), marks: Marks::default() }
    }
}

/// A bell that hangs at a socket; its place is free again when it is dropped.
struct Hung {
    table: Arc<Bells>,
    news: Arc<News>,
    chunk: Chunk<Place>,
    index: u32,
}

impl Hung {
    fn place(&self) -> &Place {
        &self.chunk[self.index as usize % PER_CHUNK]
    }

    fn token(&self) -> usize {
        (self.place().marks.generation() as usize) << 32 | BELL | self.index as usize
    }
}

impl Bell for Hung {
    fn wakes(&self, connection: Option<usize>) {
        self.place().wakes.store(connection.unwrap_or(NOBODY), Release);
        fence(SeqCst);
    }

    fn has_news(&self) -> bool {
        self.place().marks.has(NEWS | ENDED)
    }

    fn take_news(&self) -> bool {
        let marks = &self.place().marks;
        marks.take(NEWS) || marks.has(ENDED)
    }

    fn leave_news(&self) {
        let marks = &self.place().marks;
        marks.note(marks.generation(), NEWS);
    }

    fn watch_room(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.news.watch_again(socket, self.token(), true)
    }
}

impl fmt::Debug for Hung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bell({})", self.index)
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        let place = self.place();
        place.wakes.store(NOBODY, Relaxed);
        place.marks.next();
        self.table.chunks.give_back(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    /// The tokens of the events that are there, each with whether the other end closed.
    fn events(news: &News) -> Vec<(usize, bool)> {
        let mut events = Vec::new();
        news.wait(Some(Duration::ZERO), |event| events.push((event.token, event.ended))).unwrap();
        events
    }

    #[test]
    fn one_registration_wakes_one_connection_after_another() {
        let news = Arc::new(News::new().unwrap());
        let bells = Arc::<Bells>::default();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let bell = bells.hang(&news, 7, ours.as_fd(), false).unwrap();
        assert!(events(&news).is_empty() && !bell.take_news());
        for (connection, want) in [(Some(7), Some(7)), (Some(8), Some(8)), (None, None)] {
            bell.wakes(connection);
            theirs.write_all(b"x").unwrap();
            let [(token, ended)] = events(&news)[..] else { panic!("one event") };
            assert_eq!((bells.ring(token, ended), ended), (want, false));
            assert_eq!([bell.take_news(), bell.take_news()], [true, false], "news is taken once");
        }
        bell.leave_news();
        assert!(bell.has_news() && bell.take_news() && !bell.has_news());
        drop(theirs);
        let [(token, ended)] = events(&news)[..] else { panic!("one event") };
        bells.ring(token, ended);
        assert_eq!((ended, [bell.take_news(), bell.take_news()]), (true, [true, true]), "an end stays");
    }

    #[test]
    fn a_late_event_finds_nobody() {
        let news = Arc::new(News::new().unwrap());
        let bells = Arc::<Bells>::default();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let first = bells.hang(&news, 7, ours.as_fd(), false).unwrap();
        let token = BELL;
        assert_eq!(bells.ring(token, false), Some(7));
        drop(first);
        let second = bells.hang(&news, 8, theirs.as_fd(), false).unwrap();
        assert_eq!((bells.ring(token, true), second.has_news()), (None, false));
        assert_eq!(bells.ring(1 << 32 | BELL, false), Some(8));
        let more: Vec<_> = (0..PER_CHUNK).map(|_| UnixStream::pair().unwrap()).collect();
        let hung: Vec<_> = more.iter().map(|(one, _)| bells.hang(&news, 9, one.as_fd(), true).unwrap()).collect();
        assert_eq!(bells.ring(BELL | PER_CHUNK, false), Some(9));
        drop(hung);
    }
}
