//! Streams are woken while their carrier works, parks or ends: each that was woken is run, by the carrier's worker alone, and each ends once.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::*};
use loom::thread;

use super::slot::Connection;
use crate::server::ready::{Pushed, Ready};
use crate::server::slot::{Kind, NEVER, Parked, Place, Slot, Slots};

/// A stream in its slot.
struct Stream {
    number: usize,
    connection: Box<Connection>,
}

/// A carrier, its streams, and how often each was woken, run and ended.
struct World<const N: usize> {
    streams: std::sync::Arc<Slots<Stream>>,
    carriers: std::sync::Arc<Slots<Box<Connection>>>,
    places: [Place<Stream>; N],
    carrier: Place<Box<Connection>>,
    ready: Ready<Stream>,
    woken: [AtomicUsize; N],
    run: [AtomicUsize; N],
    ended: [AtomicUsize; N],
}

impl<const N: usize> World<N> {
    /// All streams wait in their slots, and the carrier runs.
    fn new() -> Arc<Self> {
        let (streams, carriers) = (std::sync::Arc::<Slots<Stream>>::default(), std::sync::Arc::<Slots<_>>::default());
        let places = [0; N].map(|_| streams.claim(Kind::Stream));
        for (number, place) in places.iter().enumerate() {
            let stream = Stream { number, connection: Connection::new() };
            assert!(place.slot().park(stream, Parked::Busy, NEVER).is_none());
        }
        let carrier = carriers.claim(Kind::Client);
        let ready = Ready::new(carrier.token());
        let zeros = || [0; N].map(|_| AtomicUsize::new(0));
        Arc::new(World { streams, carriers, places, carrier, ready, woken: zeros(), run: zeros(), ended: zeros() })
    }

    /// Whoever wakes a stream; if that wakes the carrier, it is its worker from then on.
    fn wake(&self, number: usize) {
        self.woken[number].fetch_add(1, AcqRel);
        let Some(stream) = self.streams.find(self.places[number].token()).and_then(Slot::notify) else { return };
        match self.ready.push(stream, &self.carriers) {
            Pushed::Listed => {}
            Pushed::Wakes(carrier) => self.drive(carrier),
            Pushed::Closed(stream) => self.end(stream),
        }
    }

    /// The carrier's worker, until it parks.
    fn drive(&self, mut carrier: Box<Connection>) {
        loop {
            carrier.work();
            let mut list = Vec::new();
            self.ready.take(&mut list);
            while let Some(stream) = list.pop() {
                stream.connection.work();
                let number = stream.number;
                self.run[number].store(self.woken[number].fetch_add(0, AcqRel), Release);
                list.extend(self.places[number].slot().park(stream, Parked::Busy, NEVER));
            }
            match self.carrier.slot().park(carrier, Parked::Busy, NEVER) {
                Some(back) => carrier = back,
                None => return,
            }
        }
    }

    /// The carrier ends, and its streams with it.
    fn die(&self) {
        self.ready.close().into_iter().for_each(|stream| self.end(stream));
        for place in &self.places {
            if let Some(stream) = place.slot().notify() {
                self.end(stream);
            }
        }
    }

    fn end(&self, stream: Stream) {
        stream.connection.work();
        self.ended[stream.number].fetch_add(1, AcqRel);
    }

    fn all_are_run(&self) {
        for number in 0..N {
            assert_eq!(
                self.run[number].load(Acquire),
                self.woken[number].load(Acquire),
                "a stream that was woken waits for nobody"
            );
            assert_eq!(self.places[number].slot().parked(), Some(Parked::Busy));
        }
        assert_eq!(self.carrier.slot().parked(), Some(Parked::Busy));
    }
}

pub fn woken_while_the_carrier_parks() {
    let world = World::<1>::new();
    let other = {
        let world = world.clone();
        thread::spawn(move || world.wake(0))
    };
    world.drive(Connection::new());
    other.join().unwrap();
    world.all_are_run();
}

/// The second finds the first on the list and wakes nobody: it relies on whoever put that there.
pub fn two_are_woken() {
    let world = World::<2>::new();
    let others = [0, 1].map(|number| {
        let world = world.clone();
        thread::spawn(move || world.wake(number))
    });
    world.drive(Connection::new());
    others.into_iter().for_each(|other| other.join().unwrap());
    world.all_are_run();
}

/// A stream is woken again while it runs, and then while it is on the list.
pub fn woken_twice() {
    let world = World::<1>::new();
    let others = [0; 2].map(|_| {
        let world = world.clone();
        thread::spawn(move || world.wake(0))
    });
    world.drive(Connection::new());
    others.into_iter().for_each(|other| other.join().unwrap());
    world.all_are_run();
}

pub fn woken_while_the_carrier_ends() {
    let world = World::<2>::new();
    let others = [0, 1].map(|number| {
        let world = world.clone();
        thread::spawn(move || world.wake(number))
    });
    world.die();
    others.into_iter().for_each(|other| other.join().unwrap());
    for number in 0..2 {
        assert_eq!(world.ended[number].load(Acquire), 1, "a stream ends once");
    }
}
