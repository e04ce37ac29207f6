//! What other threads tell the acceptor: an unbounded queue, and one wake-up for all that is in it. What they mean is its business.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crossbeam_channel::{Receiver, Sender};
use mio::Waker;

use super::connection::Job;
use super::listen::Listener;
use super::logfile::Logs;
use super::signals::Signal;
use crate::settings::Settings;

/// What other threads tell the acceptor.
pub enum Message {
    /// A signal came.
    Signal(Signal),
    /// A reload has ended: with new settings, or with none since the conf was refused.
    Loaded(Option<Box<Fresh>>),
    /// A parked connection is to be woken at this time, sooner than deadlines are looked at.
    Soon {
        /// Milliseconds on the server's clock.
        at: u64,
        /// The connection's token.
        token: usize,
    },
    /// A connection was woken while the queue was full.
    Overflow(Box<Job>),
}

/// New settings with what they need.
pub struct Fresh {
    /// The settings.
    pub settings: Arc<Settings>,
    /// Their log files.
    pub logs: Arc<Logs>,
    /// Listeners for addresses that were not listened on before.
    pub opened: Vec<Listener>,
}

/// Tells the acceptor something from another thread.
#[derive(Clone)]
pub struct Inbox {
    sender: Sender<Message>,
    waker: Arc<Waker>,
    is_called: Arc<AtomicBool>,
}

/// The acceptor's end.
pub struct Mail {
    receiver: Receiver<Message>,
    /// It was woken and has not looked since.
    is_called: Arc<AtomicBool>,
}

impl Inbox {
    /// Both ends; this wakes the acceptor.
    pub fn new(waker: Arc<Waker>) -> (Inbox, Mail) {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let is_called = Arc::<AtomicBool>::default();
        (Inbox { sender, waker, is_called: is_called.clone() }, Mail { receiver, is_called })
    }

    /// Sends a message and wakes the acceptor. Many at once cost one system call.
    pub fn send(&self, message: Message) {
        // The acceptor is there until the process ends.
        let _ = self.sender.send(message);
        if !self.is_called.swap(true, SeqCst) && self.call().is_err() {
            // Made good by the next message.
            self.is_called.swap(false, SeqCst);
        }
    }

    fn call(&self) -> io::Result<()> {
        self.waker.wake()
    }
}

impl Mail {
    /// To be called before the acceptor takes its messages: what is sent after this wakes it again.
    pub fn open(&self) {
        // A swap, so that whoever found the mark before it has sent its message before what is taken next.
        self.is_called.swap(false, SeqCst);
    }

    /// The next message, if there is one.
    pub fn next(&self) -> Option<Message> {
        self.receiver.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn many_messages_wake_once() {
        let (mut poll, waker) = super::super::acceptor::poll_and_waker().unwrap();
        let (inbox, mail) = Inbox::new(waker);
        let mut events = mio::Events::with_capacity(8);
        for _ in 0..3 {
            (0..1000).for_each(|at| inbox.send(Message::Soon { at, token: 0 }));
            poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            assert_eq!(events.iter().count(), 1);
            poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            assert_eq!(events.iter().count(), 0);
            mail.open();
            assert_eq!(std::iter::from_fn(|| mail.next()).count(), 1000);
        }
    }
}
