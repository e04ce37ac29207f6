//! What a step may ask of the engine while its request waits: to be woken when a descriptor has news, or when
//! another thread says so. The step that waits is entered again at each wake-up, early ones included. An engine may
//! look on while a program works for a request.

use std::io;
use std::os::fd::BorrowedFd;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use super::Exchange;

/// What a program does that works for a request.
#[derive(Debug, Clone, Copy)]
pub enum Sight<'a> {
    /// It was started so: command line, folder and environment.
    Starts(&'a Command),
    /// It wrote this to its standard output.
    Writes(&'a [u8]),
    /// It wrote this line to its standard error.
    Says(&'a str),
    /// It ended and was reaped; none if nobody knows how.
    Ends(Option<ExitStatus>),
}

/// The engine as a request sees it.
pub trait Engine: Send + Sync {
    /// From now on news of a non-blocking descriptor (readable, writable, hang-up) wakes this connection. It ends when the descriptor is closed.
    fn watch(&self, connection: usize, descriptor: BorrowedFd<'_>) -> io::Result<()>;

    /// The same for a socket that may work for others later: its readable bytes and its end are news, and with `writes` room for more
    /// as well. None if it can only ever wake this connection.
    fn hang(&self, connection: usize, socket: BorrowedFd<'_>, _writes: bool) -> io::Result<Option<Box<dyn Bell>>> {
        self.watch(connection, socket).map(|()| None)
    }

    /// Wakes this connection.
    fn wake(&self, connection: usize);

    /// The same for one of many: what comes of it may wait for [`Engine::tell`].
    fn rouse(&self, connection: usize) {
        self.wake(connection);
    }

    /// All of many were roused.
    fn tell(&self) {}

    /// Sees what the process of this number does. A server has no use for it.
    fn see(&self, _process: u32, _sight: Sight<'_>) {}
}

/// What tells of a socket's news for as long as the socket lives, to whomever it works for at the time. News is what came since it
/// was taken last; who takes it before each read, and finds none where the last read emptied the socket, need not read.
pub trait Bell: Send + Sync + std::fmt::Debug {
    /// Whom news wakes from now on.
    fn wakes(&self, connection: Option<usize>);

    /// Whether there is news, or the other end has closed.
    fn has_news(&self) -> bool;

    /// The same; the news is taken then. A close is news for ever.
    fn take_news(&self) -> bool;

    /// Says that there may be something to read which no news will tell of.
    fn leave_news(&self);

    /// From now on room to write is news too.
    fn watch_room(&self, socket: BorrowedFd<'_>) -> io::Result<()>;
}

/// Wakes one connection from any thread; harmless when it is gone.
#[derive(Clone)]
pub struct Waker {
    engine: Option<Arc<dyn Engine>>,
    connection: usize,
}

impl Waker {
    /// A handle on a connection of this engine; one that does nothing without an engine.
    pub fn new(engine: Option<Arc<dyn Engine>>, connection: usize) -> Self {
        Waker { engine, connection }
    }

    /// Whether there is an engine behind it.
    pub fn is_live(&self) -> bool {
        self.engine.is_some()
    }

    /// Wakes it.
    pub fn wake(&self) {
        if let Some(engine) = &self.engine {
            engine.wake(self.connection);
        }
    }

    /// Wakes many, at the cost of one.
    pub fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
        let mut last: Option<Arc<dyn Engine>> = None;
        for Waker { engine, connection } in wakers {
            let Some(engine) = engine else { continue };
            engine.rouse(connection);
            if let Some(before) = last.replace(engine)
                && last.as_ref().is_some_and(|engine| !Arc::ptr_eq(engine, &before))
            {
                before.tell();
            }
        }
        last.inspect(|engine| engine.tell());
    }

    /// News of a socket wakes it from now on; see [`Engine::hang`].
    pub fn hang(&self, socket: BorrowedFd<'_>, writes: bool) -> io::Result<Option<Box<dyn Bell>>> {
        match &self.engine {
            Some(engine) => engine.hang(self.connection, socket, writes),
            None => Ok(None),
        }
    }

    /// It is woken by this bell from now on.
    pub fn answers(&self, bell: &dyn Bell) {
        bell.wakes(Some(self.connection));
    }

    /// Shows what the process of this number does.
    pub fn show(&self, process: u32, sight: Sight<'_>) {
        if let Some(engine) = &self.engine {
            engine.see(process, sight);
        }
    }
}

impl Exchange {
    /// News of a non-blocking descriptor wakes this request from now on.
    pub fn watch(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        match &self.origin.waker {
            Waker { engine: Some(engine), connection } => engine.watch(*connection, descriptor),
            Waker { engine: None, .. } => Ok(()),
        }
    }

    /// A handle that wakes this request.
    pub fn waker(&self) -> Waker {
        self.origin.waker.clone()
    }
}

/// An engine for tests that only notes whom it was to wake.
#[cfg(test)]
#[derive(Default)]
pub struct Woken(std::sync::Mutex<Vec<usize>>);

#[cfg(test)]
impl Engine for Woken {
    fn watch(&self, _: usize, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    fn wake(&self, connection: usize) {
        self.0.lock().unwrap().push(connection);
    }
}

#[cfg(test)]
impl Woken {
    /// What wakes this connection.
    pub fn waker(self: &Arc<Self>, connection: usize) -> Waker {
        Waker::new(Some(self.clone()), connection)
    }

    /// Whom it was to wake since it was asked last, in order.
    pub fn take(&self) -> Vec<usize> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}
