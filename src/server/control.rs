//! What the acceptor is told: signals, a finished reload, a wake-up that found the queue full. How it takes over new settings, and how it
//! sends the health checks that are due.

use std::cmp::Reverse;
use std::sync::{Arc, Weak};

use super::acceptor::{Acceptor, Ended};
use super::connection::Job;
use super::current::{Current, Entry};
use super::errands;
use super::inbox::{Fresh, Message};
use super::listen::Listener;
use super::signals::Signal;
use super::slot::{Kind, Parked};
use crate::conf::listening::Address;
use crate::settings::Settings;

/// Why a reload is not done.
pub(super) const STOPS: &str = "a reload is asked for while the server stops: not done";

impl Acceptor {
    pub(super) fn message(&mut self, message: Message) -> Option<Ended> {
        match message {
            Message::Signal(Signal::Stop) => return Some(Ended::AtOnce),
            Message::Signal(Signal::Quit) if self.shared.is_stopping() => return Some(Ended::AtOnce),
            Message::Signal(Signal::Quit) => self.stop(),
            Message::Signal(Signal::Reload) if self.shared.is_stopping() => {
                self.refuse_reload();
            }
            // The conf may have changed after it was read.
            Message::Signal(Signal::Reload) if self.loading => self.reload_again = true,
            Message::Signal(Signal::Reload) => {
                self.loading = true;
                self.reloader.start();
            }
            // There is one process, which has nobody to let rest.
            Message::Signal(Signal::Rest) => {}
            Message::Signal(Signal::Reopen) => self.reloader.reopen(self.shared.current()),
            Message::Soon { at, token } => self.soon.push(Reverse((at, token))),
            Message::Overflow(job) => self.overflow(*job),
            Message::Loaded(fresh) => {
                self.loading = false;
                match fresh {
                    Some(_) if self.shared.is_stopping() => self.refuse_reload(),
                    Some(fresh) => self.adopt(*fresh),
                    None => {}
                }
                if std::mem::take(&mut self.reload_again) {
                    return self.message(Message::Signal(Signal::Reload));
                }
            }
        }
        None
    }

    fn refuse_reload(&self) {
        log::info!("{STOPS}");
        self.reloader.keeper.refused(STOPS);
    }

    /// Sends the health checks that are due.
    pub(super) fn check_servers(&mut self, now: u64) {
        if now < self.checks.next() || self.shared.is_stopping() {
            return;
        }
        let link = Some(self.checks.link());
        for (run, logs) in self.checks.due(now) {
            if let Some(job) = errands::make(&self.shared, &link, run, logs, now) {
                self.dispatch(job);
            }
        }
    }

    /// Ends all checks: nobody waits for what they find any more.
    pub(super) fn end_checks(&mut self) {
        self.checks.end();
        let slots = self.shared.slots.clone();
        for slot in slots.all().filter(|slot| slot.kind() == Kind::Errand) {
            if let Some(carrier) = slot.notify() {
                self.dispatch(Job::ready(carrier));
            }
        }
    }

    /// Takes over new settings: listeners that stay are not touched, new ones are added, the others go.
    fn adopt(&mut self, fresh: Fresh) {
        let Fresh { settings, logs, mut opened } = fresh;
        self.empty_queues_of_leaving(&settings);
        let mut entries = self.shared.current().entries.clone();
        for entry in &mut entries {
            entry.gone = true;
        }
        for socket in &settings.sockets {
            let entry = Entry { socket: socket.clone(), settings: settings.clone(), logs: logs.clone(), gone: false };
            // A number stays with its address, so that coming and going adds none.
            let known = entries.iter().position(|known| known.socket.address == socket.address);
            let number = known.unwrap_or(entries.len());
            let open = self.listeners.get(number).is_some_and(Option::is_some);
            if !open {
                let found = opened.iter().position(|listener| *listener.address() == socket.address);
                let Some(found) = found else { continue };
                if let Err(error) = self.listen(number, opened.swap_remove(found)) {
                    log::error!("cannot listen on {}: {error}", socket.address);
                }
            }
            match known {
                Some(number) => entries[number] = entry,
                None => entries.push(entry),
            }
        }
        let closed = self.close_gone(&entries);
        if settings.main.process.pool != self.shared.current().settings.main.process.pool {
            log::warn!("a changed thread_pool takes effect when the server is started again");
        }
        let past = self.end_tunnels();
        let bounds_tunnels = !past.is_empty();
        let current = Current { settings, entries, logs, past };
        self.take_limits(&current);
        self.shared.replace(current);
        self.checks.take(&self.shared.current());
        if bounds_tunnels {
            self.wake_busy();
        }
        log::info!("the new configuration is in force");
        self.reloader.keeper.in_force();
        if closed.iter().any(|address| matches!(address, Address::Unix(_))) {
            // No other reload may open them again meanwhile.
            self.loading = true;
            self.reloader.remove_files(closed);
        }
    }

    /// The settings that leave and those that left before, each with the end of its tunnels (`worker_shutdown_timeout`). A request
    /// ends by itself; a tunnel may never do, and holds what the reload took away.
    fn end_tunnels(&self) -> Vec<(Weak<Settings>, u64)> {
        let current = self.shared.current();
        let end = self.shutdown_timeout.map(|time| self.shared.clock.now() + time.as_millis() as u64);
        let left = end.map(|end| (Arc::downgrade(&current.settings), end));
        current.past.iter().filter(|(past, _)| past.strong_count() > 0).cloned().chain(left).collect()
    }

    /// Lets all that is neither idle nor in a head look at the settings anew. One that runs finds the mark when it would park.
    fn wake_busy(&mut self) {
        let slots = self.shared.slots.clone();
        for slot in slots.all().filter(|slot| !matches!(slot.parked(), Some(Parked::Idle | Parked::Head))) {
            if let Some(carrier) = slot.notify() {
                self.dispatch(Job::ready(carrier));
            }
        }
    }

    /// What the kernel accepted for an address that goes is still ours to answer.
    fn empty_queues_of_leaving(&mut self, settings: &Settings) {
        for number in 0..self.listeners.len() {
            let stays = |known: &Listener| settings.sockets.iter().any(|socket| socket.address == *known.address());
            if self.listeners[number].as_ref().is_some_and(|known| !stays(known)) {
                self.accept_rest(number);
            }
        }
    }

    /// Closes the listeners that went; their addresses.
    fn close_gone(&mut self, entries: &[Entry]) -> Vec<Address> {
        let mut closed = Vec::new();
        for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.gone) {
            if let Some(mut listener) = self.listeners[number].take() {
                // Closing it would do as well; this only tidies up.
                let _ = self.poll.registry().deregister(listener.source());
                log::info!("no longer listening on {}", entry.socket.address);
                closed.push(entry.socket.address.clone());
            }
        }
        closed
    }

    pub(super) fn take_limits(&mut self, current: &Current) {
        let main = &current.settings.main;
        self.most =
            u32::try_from(main.events.worker_connections.saturating_mul(main.process.workers)).unwrap_or(u32::MAX);
        self.shutdown_timeout = main.process.shutdown_timeout;
    }
}
