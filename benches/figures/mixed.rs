//! A mix of what real clients do: files, missing files, ranges, POSTs, downloads broken off half-way, some connections
//! kept and some not. It must not know which server answers, only what each answer has to be.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use crate::client;
use crate::site::{self, LARGE, MEDIUM, SMALL};

/// What the clients did and got.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub files: u64,
    pub missing: u64,
    pub ranges: u64,
    pub posts: u64,
    pub aborted: u64,
    /// Answers with another status or length than they had to have, and connections that failed.
    pub wrong: u64,
}

impl Tally {
    /// All answers that were as they had to be.
    pub fn answers(&self) -> u64 {
        self.files + self.missing + self.ranges + self.posts
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.files += other.files;
        self.missing += other.missing;
        self.ranges += other.ranges;
        self.posts += other.posts;
        self.aborted += other.aborted;
        self.wrong += other.wrong;
    }
}

/// Runs `clients` clients for `length` and adds up what they met.
pub fn run(target: SocketAddr, clients: usize, length: Duration) -> io::Result<Tally> {
    let end = Instant::now() + length;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|number| scope.spawn(move || one_client(target, number, end))).collect();
        threads.into_iter().try_fold(Tally::default(), |mut sum, thread| {
            sum += thread.join().map_err(|_| io::Error::other("a client panicked"))?;
            Ok(sum)
        })
    })
}

/// Takes up one kind of request after another. Every kept connection serves a dozen, so that closing is part of the mix.
fn one_client(target: SocketAddr, number: usize, end: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut kept: Option<TcpStream> = None;
    for turn in number.. {
        if Instant::now() >= end {
            break;
        }
        if turn % 12 == 0 {
            kept = None;
        }
        let result = match kept.take() {
            Some(stream) => Ok(stream),
            None => client::connect(target, number),
        };
        match result.and_then(|stream| request(stream, turn, &mut tally)) {
            Ok(stream) => kept = stream,
            Err(_) => {
                tally.wrong += 1;
                // A server that is gone would otherwise be counted a million times.
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
    tally
}

/// One request of the kind whose turn it is; the connection, when it can be used again.
fn request(mut stream: TcpStream, turn: usize, tally: &mut Tally) -> io::Result<Option<TcpStream>> {
    match turn % 7 {
        0 | 1 => {
            let path = if turn.is_multiple_of(2) { SMALL } else { MEDIUM };
            client::send(&mut stream, "GET", path, "")?;
            expect(stream, 200, Some(site::size(path)), &mut tally.files)
        }
        2 => {
            client::send(&mut stream, "GET", "/no/such/file", "")?;
            expect(stream, 404, None, &mut tally.missing)
        }
        3 => {
            client::send(&mut stream, "GET", MEDIUM, "Range: bytes=1000-1999\r\n")?;
            expect(stream, 206, Some(1000), &mut tally.ranges)
        }
        4 => {
            client::send(&mut stream, "GET", LARGE, "Range: bytes=-5000\r\n")?;
            expect(stream, 206, Some(5000), &mut tally.ranges)
        }
        5 => {
            client::send(&mut stream, "POST", SMALL, "Content-Length: 4096\r\n")?;
            stream.write_all(&[b'x'; 4096])?;
            // A static file takes no POST.
            expect(stream, 405, None, &mut tally.posts)
        }
        _ => {
            client::send(&mut stream, "GET", LARGE, "")?;
            stream.read_exact(&mut [0; 4096])?;
            tally.aborted += 1;
            Ok(None)
        }
    }
}

fn expect(mut stream: TcpStream, status: u16, length: Option<usize>, count: &mut u64) -> io::Result<Option<TcpStream>> {
    let answer = client::receive(&mut stream)?;
    if answer.status != status || length.is_some_and(|length| length != answer.body.len()) {
        return Err(io::Error::other("not the answer that was asked for"));
    }
    *count += 1;
    Ok((!answer.closes).then_some(stream))
}
