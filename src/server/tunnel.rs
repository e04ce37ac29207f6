//! A connection that has switched protocols (RFC 9110 section 7.8): bytes go both ways as they come, a bounded number of them
//! lies in between, and while nothing moves it is parked like any other. What the bytes mean is nobody's business here.

use std::io::ErrorKind;
use std::sync::{Mutex, PoisonError};

use super::connection::{Carried, Connection, Phase};
use super::pipes::{End, Pipes};
use super::slot::{NEVER, Parked};
use super::socket::Io;
use super::task::Task;
use super::worker::{Turn, Worker};
use crate::exchange::error::Level;
use crate::http::response::Tunnel;

/// What one connection may move in one turn before others get theirs.
const SHARE: usize = 1 << 20;

/// How moving bytes one way ended for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    /// Bytes moved.
    Some,
    /// Nothing is there.
    Nothing,
    /// The receiver takes no more now.
    Blocked,
    /// One side is gone.
    Gone,
}

impl Worker {
    /// Moves what there is, both ways.
    pub(super) fn tunnel(&mut self, c: &mut Connection, mut carried: Box<Carried>, mut pipes: Box<Pipes>) -> Turn {
        // A reload may come while this runs, which wakes it: it looks again then.
        self.take_current();
        let end = self.current.end_of(&carried.task.run.settings);
        if end <= self.time.now() {
            self.end_tunnel(&mut carried.task);
            return Turn::Close;
        }
        let mut total = 0;
        let (mut up, mut down);
        loop {
            let before = total;
            up = self.move_up(c, &mut pipes, &mut total);
            down = self.move_down(c, &mut carried, &mut pipes, &mut total);
            let over = pipes.up_ended == End::Closed && pipes.down_ended == End::Closed;
            if over || up == Moved::Gone || down == Moved::Gone {
                carried.task.run.x.sent.complete = over;
                carried.task.record();
                self.start_errands(&mut carried.task);
                return Turn::Close;
            }
            if total > before {
                c.deadline = 0;
            }
            if total >= SHARE {
                c.phase = Phase::Tunnel(carried, pipes);
                return Turn::Yield;
            }
            if up != Moved::Some && down != Moved::Some {
                break;
            }
        }
        if c.deadline == 0 || c.deadline == NEVER {
            // Something moved since it was parked last.
            let (silence, sending) = lock(&pipes.there).patience();
            let time = match (up, down) {
                (Moved::Blocked, _) => sending,
                (_, Moved::Blocked) => carried.task.run.scope().sending.timeout,
                _ => silence,
            };
            c.deadline = self.time.after(time);
        }
        let deadline = c.deadline.min(end);
        c.phase = Phase::Tunnel(carried, pipes);
        Turn::Park(Parked::Busy, deadline)
    }

    /// Nothing moved for too long, or its settings left too long ago.
    pub(super) fn end_tunnel(&mut self, task: &mut Task) {
        let text = match self.current.end_of(&task.run.settings) <= self.time.now() {
            true => "worker_shutdown_timeout is over while proxying upgraded connection",
            false => "upstream timed out (110: Connection timed out) while proxying upgraded connection",
        };
        task.run.x.report(Level::Info, text);
        task.record();
        self.start_errands(task);
    }

    fn move_up(&mut self, c: &mut Connection, pipes: &mut Pipes, total: &mut usize) -> Moved {
        let mut there = lock(&pipes.there);
        if pipes.up.is_empty() && pipes.up_ended == End::Open {
            match c.endpoint.socket.read(&mut self.scratch.buffer) {
                Io::Bytes(n) => {
                    *total += n;
                    match there.write(&self.scratch.buffer[..n]) {
                        Ok(sent) if sent == n => return Moved::Some,
                        Ok(sent) => pipes.up.extend_from_slice(&self.scratch.buffer[sent..n]),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            pipes.up.extend_from_slice(&self.scratch.buffer[..n]);
                            return Moved::Blocked;
                        }
                        Err(_) => return Moved::Gone,
                    }
                }
                Io::Blocked => return Moved::Nothing,
                Io::End => pipes.up_ended = End::Closing,
                Io::Gone => return Moved::Gone,
            }
        }
        if !pipes.up.is_empty() {
            match there.write(&pipes.up) {
                Ok(n) => {
                    *total += n;
                    drop_front(&mut pipes.up, n);
                    return Moved::Some;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Moved::Blocked,
                Err(_) => return Moved::Gone,
            }
        }
        if pipes.up_ended == End::Closing {
            there.finish();
            pipes.up_ended = End::Closed;
        }
        Moved::Nothing
    }

    fn move_down(&mut self, c: &mut Connection, carried: &mut Carried, pipes: &mut Pipes, total: &mut usize) -> Moved {
        let head_len = carried.sending.head_len();
        let sent = &mut carried.task.run.x.sent;
        sent.body_bytes = sent.bytes.saturating_sub(head_len);
        if pipes.down.is_empty() && pipes.down_ended == End::Open {
            match lock(&pipes.there).read(&mut self.scratch.buffer) {
                Ok(0) => pipes.down_ended = End::Closing,
                Ok(n) => {
                    *total += n;
                    match c.endpoint.socket.write(&self.scratch.buffer[..n]) {
                        Io::Bytes(taken) => {
                            sent.bytes += taken as u64;
                            pipes.down.extend_from_slice(&self.scratch.buffer[taken..n]);
                        }
                        Io::Blocked => pipes.down.extend_from_slice(&self.scratch.buffer[..n]),
                        Io::End | Io::Gone => return Moved::Gone,
                    }
                    if pipes.down.is_empty() {
                        return if c.endpoint.socket.flush() == Io::Gone { Moved::Gone } else { Moved::Some };
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.flush_down(c),
                Err(_) => return Moved::Gone,
            }
        }
        if !pipes.down.is_empty() {
            return match c.endpoint.socket.write(&pipes.down) {
                Io::Bytes(n) => {
                    *total += n;
                    sent.bytes += n as u64;
                    drop_front(&mut pipes.down, n);
                    Moved::Some
                }
                Io::Blocked => Moved::Blocked,
                Io::End | Io::Gone => Moved::Gone,
            };
        }
        if pipes.down_ended == End::Closing {
            if c.endpoint.socket.flush() == Io::Blocked {
                return Moved::Blocked;
            }
            c.endpoint.socket.finish();
            pipes.down_ended = End::Closed;
        }
        self.flush_down(c)
    }

    fn flush_down(&mut self, c: &mut Connection) -> Moved {
        match c.endpoint.socket.flush() {
            Io::Bytes(_) => Moved::Nothing,
            Io::Blocked => Moved::Blocked,
            Io::End | Io::Gone => Moved::Gone,
        }
    }
}

/// Removes what was taken; an empty buffer keeps no memory.
fn drop_front(bytes: &mut Vec<u8>, n: usize) {
    match n == bytes.len() {
        true => *bytes = Vec::new(),
        false => drop(bytes.drain(..n)),
    }
}

fn lock<'t>(there: &'t Mutex<dyn Tunnel + 'static>) -> std::sync::MutexGuard<'t, dyn Tunnel + 'static> {
    // A tunnel that panicked is asked again and breaks off by itself at worst.
    there.lock().unwrap_or_else(PoisonError::into_inner)
}
