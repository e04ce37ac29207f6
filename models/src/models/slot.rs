//! A connection is parked, woken by edges, expired and closed to make room: nobody loses it, nobody has it twice.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::*};
use loom::thread;

use crate::server::slot::{Kind, NEVER, Parked, Place, Slot, Slots};

/// A connection that notices when two have it.
pub struct Connection(loom::cell::UnsafeCell<usize>);

impl Connection {
    pub fn new() -> Box<Connection> {
        Box::new(Connection(loom::cell::UnsafeCell::new(0)))
    }

    /// Works on it: the checker sees if another does as well, or did without handing it over.
    pub fn work(&self) {
        self.0.with_mut(|_| ());
    }
}

/// The slots of a model.
pub type Table = std::sync::Arc<Slots<Box<Connection>>>;

pub fn claim() -> (Table, Arc<Place<Box<Connection>>>) {
    let table = Table::default();
    let place = Arc::new(table.claim(Kind::Client));
    (table, place)
}

/// What came, and how much of it was read: a socket, whose bytes every thread sees at once.
#[derive(Default)]
pub struct Socket {
    came: AtomicUsize,
    read: AtomicUsize,
}

impl Socket {
    pub fn send(&self) {
        self.came.fetch_add(1, AcqRel);
    }

    pub fn read(&self) {
        self.read.store(self.came.fetch_add(0, AcqRel), Release);
    }

    pub fn is_read(&self) -> bool {
        self.came.load(Acquire) == self.read.load(Acquire)
    }
}

/// A worker: reads if it heard of something, parks, and goes on if it gets the connection back.
pub fn drive(slot: &Slot<Box<Connection>>, socket: &Socket, mut connection: Box<Connection>) {
    loop {
        connection.work();
        if slot.take_heard() {
            socket.read();
        }
        match slot.park(connection, Parked::Busy, NEVER) {
            Some(back) => connection = back,
            None => return,
        }
    }
}

/// Who hears of an edge.
pub fn edge(place: &Place<Box<Connection>>, socket: &Socket) {
    let slot = place.slot();
    socket.send();
    slot.note(place.token(), false);
    if let Some(connection) = slot.notify() {
        drive(slot, socket, connection);
    }
}

pub fn edge_against_park() {
    let (_table, place) = claim();
    let socket = Arc::new(Socket::default());
    let other = {
        let (place, socket) = (place.clone(), socket.clone());
        thread::spawn(move || edge(&place, &socket))
    };
    drive(place.slot(), &socket, Connection::new());
    other.join().unwrap();
    assert!(socket.is_read() && place.slot().parked() == Some(Parked::Busy));
}

pub fn two_edges() {
    let (_table, place) = claim();
    let socket = Arc::new(Socket::default());
    let others = [0; 2].map(|_| {
        let (place, socket) = (place.clone(), socket.clone());
        thread::spawn(move || edge(&place, &socket))
    });
    drive(place.slot(), &socket, Connection::new());
    others.into_iter().for_each(|other| other.join().unwrap());
    assert!(socket.is_read() && place.slot().parked() == Some(Parked::Busy));
}

pub fn one_owner() {
    let (_table, place) = claim();
    assert!(place.slot().park(Connection::new(), Parked::Idle, 5).is_none());
    let taken = Arc::new(AtomicUsize::new(0));
    let ways: [fn(&Slot<Box<Connection>>) -> Option<Box<Connection>>; 3] =
        [|slot| slot.notify(), |slot| slot.expire(5), |slot| slot.take_parked(Parked::Idle)];
    let others = ways.map(|way| {
        let (place, taken) = (place.clone(), taken.clone());
        thread::spawn(move || {
            if let Some(connection) = way(place.slot()) {
                connection.work();
                taken.fetch_add(1, AcqRel);
            }
        })
    });
    others.into_iter().for_each(|other| other.join().unwrap());
    assert_eq!((taken.load(Acquire), place.slot().parked()), (1, None));
}

/// The mark of an earlier edge stands already: the second leaves none, and its note must be seen all the same.
pub fn note_behind_an_old_mark() {
    let (_table, place) = claim();
    let socket = Arc::new(Socket::default());
    assert!(place.slot().notify().is_none());
    let other = {
        let (place, socket) = (place.clone(), socket.clone());
        thread::spawn(move || edge(&place, &socket))
    };
    drive(place.slot(), &socket, Connection::new());
    other.join().unwrap();
    assert!(socket.is_read());
}

/// An event of a connection that goes is heard while another gets its slot: the other is woken at most, and is not taken for one
/// whose client has left.
pub fn late_edge() {
    let table = Table::default();
    let place = table.claim(Kind::Client);
    let token = place.token();
    let other = {
        let table = table.clone();
        thread::spawn(move || {
            let slot = table.find(token)?;
            slot.note(token, true);
            slot.notify().inspect(|connection| connection.work())
        })
    };
    drop(place);
    let next = table.claim(Kind::Client);
    let back = next.slot().park(Connection::new(), Parked::Busy, NEVER);
    let woken = other.join().unwrap();
    assert!(!(back.is_some() && woken.is_some()), "two have it");
    assert!(!next.slot().has_ended() && !next.slot().take_heard(), "the end of one is taken for another's");
    if let Some(connection) = back.or(woken).or_else(|| next.slot().notify()) {
        connection.work();
    }
    assert_eq!((next.slot().parked(), table.used(Kind::Client)), (None, 1));
}

/// One gives its slot back while another claims: the claimed one is nobody else's, whichever it is.
pub fn given_back_and_claimed() {
    let table = Table::default();
    let place = table.claim(Kind::Client);
    let other = thread::spawn(move || drop(place));
    let next = table.claim(Kind::Client);
    assert!(
        next.slot().park(Connection::new(), Parked::Idle, NEVER).is_none(),
        "nothing came, and it does not stay parked"
    );
    other.join().unwrap();
    let connection = table.find(next.token()).and_then(Slot::notify);
    connection.expect("it waits in the slot that its token names").work();
    assert_eq!(table.used(Kind::Client), 1);
}

/// One claims in a new chunk and parks while another looks at deadlines: a look after that finds it, however many chunks there were when
/// the other looked first.
pub fn a_new_chunk_is_swept() {
    let table = Table::default();
    let first = table.claim(Kind::Client);
    let other = {
        let table = table.clone();
        thread::spawn(move || {
            let place = table.claim(Kind::Errand);
            assert!(place.slot().park(Connection::new(), Parked::Busy, 5).is_none());
            place
        })
    };
    let sweep = || table.all().filter_map(|slot| slot.expire(5)).inspect(|connection| connection.work()).count();
    let early = sweep();
    let place = other.join().unwrap();
    assert_eq!((early + sweep(), place.slot().parked()), (1, None), "its deadline is looked at once");
    drop((first, place));
    assert!(table.is_empty());
}
