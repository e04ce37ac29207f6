//! A toy carrier with a thousand streams that wait, are woken, time out, panic and begin at random, on several workers, while one
//! carrier after another dies: no stream is lost, none runs twice at once, and each ends once.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::*;
use crate::server::slot::{Kind, NEVER, Parked, Place};
use crate::sync::Arc;

const STREAMS: usize = 1000;
const CARRIERS: usize = 5;
/// So many streams of one carrier are open at once.
const OPEN: usize = 120;

/// What is known of one stream.
#[derive(Default)]
struct Record {
    is_running: AtomicBool,
    /// What it waits for has come.
    is_posted: AtomicBool,
    ended: AtomicU32,
}

/// What a stream waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Waits {
    ForNothing,
    ForPost,
    Until(u64),
}

struct Stream {
    place: Place<Stream>,
    ready: Arc<Ready<Stream>>,
    number: usize,
    waits: Waits,
    steps: u32,
    random: Random,
}

struct Carrier {
    place: Place<Box<Carrier>>,
    ready: Arc<Ready<Stream>>,
    /// The tokens of its streams.
    open: BTreeSet<usize>,
    /// How many it opens yet.
    to_come: usize,
    /// It dies in so many turns.
    dies_in: Option<u32>,
}

/// What the pool's queue holds: carriers, and streams that outlived theirs.
enum Job {
    Carrier(Box<Carrier>),
    Orphan(Stream),
}

/// How a step of a stream ended.
enum Step {
    Waits(Waits),
    Again,
    Ends,
}

struct World {
    streams: Arc<Slots<Stream>>,
    carriers: Arc<Slots<Box<Carrier>>>,
    records: Vec<Record>,
    begun: AtomicUsize,
    panicked: AtomicUsize,
    /// Streams that a carrier took with it when it died.
    broken: AtomicUsize,
    now: AtomicU64,
    jobs: Sender<Job>,
    posts: Sender<(usize, usize)>,
}

/// A small generator (xorshift): a seed makes the same run, as far as threads let it.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

impl World {
    fn ended(&self) -> usize {
        self.records.iter().map(|record| record.ended.load(SeqCst) as usize).sum()
    }

    fn end(&self, stream: Stream) {
        self.records[stream.number].ended.fetch_add(1, SeqCst);
    }

    /// What a waker, an event or a deadline does with a stream that it took out of its slot.
    fn deliver(&self, stream: Stream) {
        let ready = stream.ready.clone();
        let job = match ready.push(stream, &self.carriers) {
            Pushed::Listed => return,
            Pushed::Wakes(carrier) => Job::Carrier(carrier),
            Pushed::Closed(stream) => Job::Orphan(stream),
        };
        self.jobs.send(job).unwrap();
    }

    fn wake(&self, token: usize) {
        if let Some(stream) = self.streams.find(token).and_then(Slot::notify) {
            self.deliver(stream);
        }
    }

    /// A stream of this carrier begins, if there is one yet.
    fn open(&self, carrier: &mut Carrier, random: &mut Random) -> Option<Stream> {
        carrier.to_come = carrier.to_come.checked_sub(1)?;
        let place = self.streams.claim(Kind::Stream);
        carrier.open.insert(place.token());
        let (number, steps) = (self.begun.fetch_add(1, SeqCst), random.below(12) as u32);
        let (ready, random) = (carrier.ready.clone(), Random(random.below(u64::MAX - 1) + 1));
        Some(Stream { place, ready, number, waits: Waits::ForNothing, steps, random })
    }

    fn step(&self, stream: &mut Stream) -> Step {
        let record = &self.records[stream.number];
        match stream.waits {
            // Woken too early: it waits for the same.
            Waits::ForPost if !record.is_posted.swap(false, SeqCst) => return Step::Waits(stream.waits),
            Waits::Until(moment) if self.now.load(SeqCst) < moment => return Step::Waits(stream.waits),
            _ => {}
        }
        let Some(steps) = stream.steps.checked_sub(1) else { return Step::Ends };
        stream.steps = steps;
        match stream.random.below(40) {
            0 => panic!("a stream panics on purpose"),
            1..20 => {
                // It may come before the stream is parked.
                self.posts.send((stream.number, stream.place.token())).unwrap();
                Step::Waits(Waits::ForPost)
            }
            20..30 => Step::Waits(Waits::Until(self.now.load(SeqCst) + stream.random.below(4))),
            _ => Step::Again,
        }
    }

    /// Runs one stream; it comes back if it is to be run again.
    fn run(&self, carrier: &mut Carrier, mut stream: Stream) -> Option<Stream> {
        let record = &self.records[stream.number];
        assert!(!record.is_running.swap(true, SeqCst), "a stream runs twice at once");
        let step = catch_unwind(AssertUnwindSafe(|| self.step(&mut stream)));
        record.is_running.store(false, SeqCst);
        let step = step.unwrap_or_else(|_| {
            self.panicked.fetch_add(1, SeqCst);
            Step::Ends
        });
        match step {
            Step::Again => {
                stream.waits = Waits::ForNothing;
                Some(stream)
            }
            Step::Waits(waits) => {
                stream.waits = waits;
                let deadline = if let Waits::Until(moment) = waits { moment } else { NEVER };
                self.streams.of(stream.place.token()).park(stream, Parked::Busy, deadline)
            }
            Step::Ends => {
                carrier.open.remove(&stream.place.token());
                self.end(stream);
                None
            }
        }
    }

    /// A carrier's turns until it parks or ends.
    fn drive(&self, mut carrier: Box<Carrier>, random: &mut Random) {
        let mut list = Vec::new();
        loop {
            carrier.ready.take(&mut list);
            while carrier.open.len() < OPEN
                && let Some(stream) = self.open(&mut carrier, random)
            {
                list.push(stream);
            }
            let again: Vec<_> = list.drain(..).filter_map(|stream| self.run(&mut carrier, stream)).collect();
            list = again;
            carrier.dies_in = carrier.dies_in.map(|turns| turns.saturating_sub(1));
            if carrier.dies_in == Some(0) {
                return self.die(*carrier, list);
            }
            if carrier.open.is_empty() && carrier.to_come == 0 {
                assert!(carrier.ready.close().is_empty() && list.is_empty());
                return;
            }
            if !list.is_empty() || carrier.open.len() < OPEN && carrier.to_come > 0 {
                continue;
            }
            match self.carriers.of(carrier.place.token()).park(carrier, Parked::Busy, NEVER) {
                Some(back) => carrier = back,
                None => return,
            }
        }
    }

    /// The connection broke: all of its streams end here, but those that another thread has in its hands.
    fn die(&self, carrier: Carrier, list: Vec<Stream>) {
        // What it would have opened goes to nobody: it is counted as ended.
        for _ in 0..carrier.to_come {
            self.records[self.begun.fetch_add(1, SeqCst)].ended.fetch_add(1, SeqCst);
        }
        self.broken.fetch_add(carrier.open.len(), SeqCst);
        list.into_iter().chain(carrier.ready.close()).for_each(|stream| self.end(stream));
        for token in &carrier.open {
            match self.streams.find(*token).and_then(Slot::notify) {
                Some(stream) if Arc::ptr_eq(&stream.ready, &carrier.ready) => self.end(stream),
                // Its stream has ended in other hands, and another's has the slot: woken once for nothing.
                Some(stranger) => self.deliver(stranger),
                None => {}
            }
        }
    }

    fn work(&self, jobs: &Receiver<Job>, mut random: Random) {
        while self.ended() < STREAMS {
            match jobs.recv_timeout(Duration::from_millis(1)) {
                Ok(Job::Carrier(carrier)) => self.drive(carrier, &mut random),
                Ok(Job::Orphan(stream)) => self.end(stream),
                Err(_) => {}
            }
        }
    }

    /// Who makes what streams wait for, and sometimes wakes one for nothing.
    fn post(&self, posts: &Receiver<(usize, usize)>, mut random: Random) {
        while self.ended() < STREAMS {
            let Ok((number, token)) = posts.recv_timeout(Duration::from_millis(1)) else { continue };
            self.records[number].is_posted.store(true, SeqCst);
            self.wake(token);
            if random.below(3) == 0 {
                self.wake(token);
            }
        }
    }

    /// The acceptor: time passes, and deadlines with it.
    fn sweep(&self) {
        while self.ended() < STREAMS {
            let now = self.now.fetch_add(1, SeqCst) + 1;
            self.streams.all().filter_map(|slot| slot.expire(now)).for_each(|stream| self.deliver(stream));
            std::thread::yield_now();
        }
    }
}

/// How many streams broke off with their carrier.
fn play(seed: u64) -> usize {
    let ((jobs, queue), (posts, posted)) = (unbounded(), unbounded());
    let world = World {
        streams: Default::default(),
        carriers: Default::default(),
        records: (0..STREAMS).map(|_| Record::default()).collect(),
        begun: AtomicUsize::new(0),
        panicked: AtomicUsize::new(0),
        broken: AtomicUsize::new(0),
        now: AtomicU64::new(0),
        jobs,
        posts,
    };
    let mut random = Random(seed);
    for number in 0..CARRIERS {
        let place = world.carriers.claim(Kind::Client);
        let ready = Arc::new(Ready::new(place.token()));
        let dies_in = (number % 2 == 1).then(|| 3 + random.below(40) as u32);
        let carrier = Carrier { place, ready, open: BTreeSet::new(), to_come: STREAMS / CARRIERS, dies_in };
        world.jobs.send(Job::Carrier(Box::new(carrier))).unwrap();
    }
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (world, queue, posted) = (&world, queue.clone(), posted.clone());
            let (mine, other) = (Random(seed + 7 * number + 1), Random(seed + 11 * number + 5));
            scope.spawn(move || world.work(&queue, mine));
            scope.spawn(move || world.post(&posted, other));
        }
        scope.spawn(|| world.sweep());
        while world.ended() < STREAMS {
            if begun.elapsed() > Duration::from_secs(60) {
                let ended = world.ended();
                // Lets the threads go, so that the test can fail.
                world.records[0].ended.fetch_add(STREAMS as u32, SeqCst);
                panic!("seed {seed}: {ended} of {STREAMS} streams ended, the others wait for nobody");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    // What lies in the queue still may be a carrier whose streams have ended.
    drop(queue.try_iter().collect::<Vec<_>>());
    let twice = world.records.iter().filter(|record| record.ended.load(SeqCst) != 1).count();
    assert_eq!((twice, world.begun.load(SeqCst)), (0, STREAMS), "seed {seed}: each ends once");
    assert!(world.panicked.load(SeqCst) > 0, "seed {seed}: some panicked");
    assert_eq!(world.streams.used(Kind::Stream), 0, "seed {seed}: no stream keeps its slot");
    world.broken.load(SeqCst)
}

#[test]
fn a_thousand_streams_are_neither_lost_nor_run_twice() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().downcast_ref::<&str>().is_some_and(|text| text.contains("on purpose")) {
            before(info);
        }
    }));
    let broken: usize = (1..=20).map(play).sum();
    assert!(broken > 0, "some carriers died in the middle");
}

#[test]
fn many_that_are_woken_at_once_wake_their_carrier_once() {
    let carriers: Arc<Slots<&str>> = Arc::default();
    let place = carriers.claim(Kind::Client);
    let ready = Ready::new(place.token());
    assert_eq!(ready.push(1, &carriers), Pushed::Listed, "the carrier runs");
    assert_eq!(place.slot().park("carrier", Parked::Idle, NEVER), Some("carrier"), "the mark gives it back");
    let mut streams = Vec::new();
    ready.take(&mut streams);
    assert_eq!(place.slot().park("carrier", Parked::Idle, NEVER), None);
    assert_eq!(ready.push(2, &carriers), Pushed::Wakes("carrier"));
    assert_eq!(ready.push(3, &carriers), Pushed::Listed);
    assert_eq!(ready.push(4, &carriers), Pushed::Listed);
    ready.take(&mut streams);
    assert_eq!(streams, [1, 2, 3, 4]);
    assert_eq!(ready.push(5, &carriers), Pushed::Listed);
    assert_eq!(ready.close(), [5]);
    assert_eq!(ready.push(6, &carriers), Pushed::Closed(6));
    ready.take(&mut streams);
    assert_eq!(streams.len(), 4, "nothing comes after the end");
}
