//! The standard input of a script whose body is passed on while it comes: bytes go into the pipe as it takes them, and the
//! pipe is closed behind the last. A script that closes its end wants no more of the body.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ChildStdin;

use bytes::{Buf, Bytes};

use crate::exchange::inflow::Inflow;

/// Bytes taken from the body at a time.
const PIECE: usize = 32 << 10;

/// A standard input that is being written; nothing once it is closed.
pub struct Input(Option<Open>);

struct Open {
    to: ChildStdin,
    from: Inflow,
    /// Taken from the body and not yet written.
    piece: Bytes,
}

impl Input {
    /// The pipe and the body that goes into it; nothing without either.
    pub fn new(to: Option<ChildStdin>, from: Option<Inflow>) -> Self {
        Input(to.zip(from).map(|(to, from)| Open { to, from, piece: Bytes::new() }))
    }

    /// A descriptor that has news when the pipe takes more.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|open| open.to.as_fd())
    }

    /// Writes what has come, as far as the pipe takes it.
    pub fn write(&mut self) {
        if self.0.as_mut().is_some_and(Open::is_over) {
            self.0 = None;
        }
    }
}

impl Open {
    /// Writes what it can; whether there is nothing more to write, ever.
    fn is_over(&mut self) -> bool {
        loop {
            if self.piece.is_empty() {
                self.piece = self.from.take(PIECE);
            }
            if self.piece.is_empty() {
                return self.from.has_ended();
            }
            match self.to.write(&self.piece) {
                Ok(n) => self.piece.advance(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }
}
