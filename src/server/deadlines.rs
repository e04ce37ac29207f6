//! Deadlines of connections whose slots lie in a chunk that the acceptor did not make.

use std::time::Instant;

use super::connection::{Carrier, Connection, Partial, Phase, Why};
use super::panics::server;
use super::slot::{Kind, Parked};
use super::socket::Socket;
use super::transport::Transport;

#[test]
fn a_slot_that_a_worker_claims_in_a_new_chunk_has_a_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mut server) = server(folder.path());
    let shared = server.shared.clone();
    // The acceptor looks at what there is, then another thread fills the first chunk.
    server.acceptor.sweep(0);
    let claim = move || (0..1025).map(|_| shared.slots.claim(Kind::Errand)).collect::<Vec<_>>();
    let mut places = std::thread::spawn(claim).join().unwrap();
    let place = places.pop().unwrap();
    let token = place.token();
    let (socket, _other) = mio::net::UnixStream::pair().unwrap();
    let mut connection = Box::new(Connection::new(place, Transport::Plain(Socket::Unix(socket)), 0, 1, None));
    let partial = Partial { scanner: Default::default(), started: Instant::now(), deadline: 5 };
    connection.phase = Phase::Head(Box::new(partial));
    assert!(server.shared.slots.of(token).park(Carrier::Client(connection), Parked::Head, 5).is_none());
    server.acceptor.sweep(4);
    assert!(server.shared.jobs.is_empty());
    server.acceptor.sweep(5);
    let job = server.shared.jobs.take().expect("its deadline has passed");
    let connection = job.carrier.client().unwrap();
    assert_eq!((connection.place.token(), job.why), (token, Why::Expired));
}
