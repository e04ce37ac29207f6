//! A kept socket gets news while a request takes it: the request sees the news, or is woken by it.

use std::os::fd::AsFd;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::*};
use loom::thread;

use super::slot::{Connection, Table, claim};
use crate::exchange::engine::Bell;
use crate::server::bells::{BELL, Bells};
use crate::server::news::News;
use crate::server::slot::{NEVER, Parked, Slot};

/// What the other end has sent, and how much of it a request has seen.
#[derive(Default)]
struct Sent {
    came: AtomicUsize,
    seen: AtomicUsize,
}

fn hang(bells: &std::sync::Arc<Bells>) -> std::sync::Arc<dyn Bell> {
    let news = std::sync::Arc::new(News::new().unwrap());
    let bell = bells.hang(&news, usize::MAX, std::io::stdin().as_fd(), false).unwrap();
    bell.wakes(None);
    bell.into()
}

/// A request that waits for news of the socket.
fn wait(slot: &Slot<Box<Connection>>, bell: &dyn Bell, sent: &Sent, mut connection: Box<Connection>) {
    loop {
        connection.work();
        if bell.take_news() {
            sent.seen.store(sent.came.fetch_add(0, AcqRel), Release);
        }
        match slot.park(connection, Parked::Busy, NEVER) {
            Some(back) => connection = back,
            None => return,
        }
    }
}

/// Something comes, and who hears of it wakes whom the bell names.
fn ring(bells: &Bells, table: &Table, bell: &dyn Bell, sent: &Sent) {
    sent.came.fetch_add(1, AcqRel);
    let Some(token) = bells.ring(BELL, false) else { return };
    let slot = table.find(token).unwrap();
    if let Some(connection) = slot.notify() {
        wait(slot, bell, sent, connection);
    }
}

fn race(ringers: usize) {
    let (table, place) = claim();
    let bells = std::sync::Arc::<Bells>::default();
    let (bell, sent) = (hang(&bells), Arc::new(Sent::default()));
    let others: Vec<_> = (0..ringers)
        .map(|_| {
            let (table, bells, bell, sent) = (table.clone(), bells.clone(), bell.clone(), sent.clone());
            thread::spawn(move || ring(&bells, &table, &*bell, &sent))
        })
        .collect();
    bell.wakes(Some(place.token()));
    wait(place.slot(), &*bell, &sent, Connection::new());
    others.into_iter().for_each(|other| other.join().unwrap());
    assert_eq!(sent.came.load(Acquire), sent.seen.load(Acquire), "a request waits for news that has come");
    assert!(place.slot().parked() == Some(Parked::Busy) && !bell.has_news());
}

/// An event of a bell that goes is heard while another gets its place.
pub fn late_ring() {
    let bells = std::sync::Arc::<Bells>::default();
    let first = hang(&bells);
    let other = {
        let bells = bells.clone();
        thread::spawn(move || bells.ring(BELL, true))
    };
    drop(first);
    let second = hang(&bells);
    assert_eq!(other.join().unwrap(), None, "both work for nobody");
    assert!(!second.has_news(), "the end of one is taken for another's");
}

pub fn taken_and_rung() {
    race(1);
}

pub fn two_ringers() {
    race(2);
}
