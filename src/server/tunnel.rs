//! A connection that has switched protocols (RFC 9110 section 7.8): bytes go both ways as they come, a bounded number of them
//! lies in between, and while nothing moves it is parked like any other. What the bytes mean is nobody's business here.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use super::connection::{Connection, Phase, Task};
use super::slot::Parked;
use super::transport::Io;
use super::worker::{BUFFER, Turn, Worker};
use crate::exchange::error::Level;
use crate::http::response::Tunnel;

/// What one connection may move in one turn before others get theirs.
const SHARE: usize = 1 << 20;

/// What lies between the two ends.
pub struct Pipes {
    /// The other end.
    pub there: Arc<Mutex<dyn Tunnel>>,
    /// From the client, not yet taken there.
    pub up: Vec<u8>,
    /// From there, not yet taken by the client.
    pub down: Vec<u8>,
    /// Whether the client will send nothing more, and whether that was told there.
    pub up_ended: End,
    /// The same the other way round.
    pub down_ended: End,
}

/// How one direction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// More may come.
    Open,
    /// Nothing more comes, and what came is still to be handed over.
    Closing,
    /// The other side knows.
    Closed,
}

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
    pub(super) fn tunnel(&mut self, c: &mut Connection, mut task: Box<Task>, mut pipes: Box<Pipes>) -> Turn {
        // A reload may come while this runs, which wakes it: it looks again then.
        self.take_current();
        let end = self.current.end_of(&task.run.settings);
        if end <= self.now() {
            self.end_tunnel(task);
            return Turn::Close;
        }
        let mut total = 0;
        let (mut up, mut down);
        loop {
            let before = total;
            up = self.move_up(c, &mut pipes, &mut total);
            down = self.move_down(c, &mut task, &mut pipes, &mut total);
            let over = pipes.up_ended == End::Closed && pipes.down_ended == End::Closed;
            if over || up == Moved::Gone || down == Moved::Gone {
                task.run.x.sent.complete = over;
                self.record(&mut task);
                return Turn::Close;
            }
            if total > before {
                c.deadline = 0;
            }
            if total >= SHARE {
                c.phase = Phase::Tunnel(task, pipes);
                return Turn::Yield;
            }
            if up != Moved::Some && down != Moved::Some {
                break;
            }
        }
        if c.deadline == 0 || c.deadline == super::slot::NEVER {
            // Something moved since it was parked last.
            let (silence, sending) = lock(&pipes.there).patience();
            let time = match (up, down) {
                (Moved::Blocked, _) => sending,
                (_, Moved::Blocked) => task.run.scope().sending.timeout,
                _ => silence,
            };
            c.deadline = self.after(time);
        }
        let deadline = c.deadline.min(end);
        c.phase = Phase::Tunnel(task, pipes);
        Turn::Park(Parked::Busy, deadline)
    }

    /// Nothing moved for too long, or its settings left too long ago.
    pub(super) fn end_tunnel(&mut self, mut task: Box<Task>) {
        let text = match self.current.end_of(&task.run.settings) <= self.now() {
            true => "worker_shutdown_timeout is over while proxying upgraded connection",
            false => "upstream timed out (110: Connection timed out) while proxying upgraded connection",
        };
        task.run.x.report(Level::Info, text);
        self.record(&mut task);
    }

    fn move_up(&mut self, c: &mut Connection, pipes: &mut Pipes, total: &mut usize) -> Moved {
        let mut there = lock(&pipes.there);
        if pipes.up.is_empty() && pipes.up_ended == End::Open {
            match c.socket.read(&mut self.buffer[..BUFFER]) {
                Io::Bytes(n) => {
                    *total += n;
                    match there.write(&self.buffer[..n]) {
                        Ok(sent) if sent == n => return Moved::Some,
                        Ok(sent) => pipes.up.extend_from_slice(&self.buffer[sent..n]),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            pipes.up.extend_from_slice(&self.buffer[..n]);
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

    fn move_down(&mut self, c: &mut Connection, task: &mut Task, pipes: &mut Pipes, total: &mut usize) -> Moved {
        let head_len = task.head_len;
        let sent = &mut task.run.x.sent;
        sent.body_bytes = sent.bytes.saturating_sub(head_len);
        if pipes.down.is_empty() && pipes.down_ended == End::Open {
            match lock(&pipes.there).read(&mut self.buffer[..BUFFER]) {
                Ok(0) => pipes.down_ended = End::Closing,
                Ok(n) => {
                    *total += n;
                    match c.socket.write(&self.buffer[..n]) {
                        Io::Bytes(taken) => {
                            sent.bytes += taken as u64;
                            pipes.down.extend_from_slice(&self.buffer[taken..n]);
                        }
                        Io::Blocked => pipes.down.extend_from_slice(&self.buffer[..n]),
                        Io::End | Io::Gone => return Moved::Gone,
                    }
                    if pipes.down.is_empty() {
                        return if c.socket.flush() == Io::Gone { Moved::Gone } else { Moved::Some };
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.flush_down(c),
                Err(_) => return Moved::Gone,
            }
        }
        if !pipes.down.is_empty() {
            return match c.socket.write(&pipes.down) {
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
            if c.socket.flush() == Io::Blocked {
                return Moved::Blocked;
            }
            c.socket.finish();
            pipes.down_ended = End::Closed;
        }
        self.flush_down(c)
    }

    fn flush_down(&mut self, c: &mut Connection) -> Moved {
        match c.socket.flush() {
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
