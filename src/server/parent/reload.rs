//! HUP and USR1 in the parent: a new conf is read and everything it names is opened with root's rights, then the
//! worker takes it, then it is in force in both. Whatever fails on the way leaves the old one as it was.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use super::wire::Word;
use super::{InForce, Parent, Stage, hand_over, log_paths, pack, parcel};
use crate::conf::listening::Address;
use crate::conf::machine::Identity;
use crate::server::control::STOPS;
use crate::server::daemon;
use crate::server::inbox::Fresh;
use crate::server::keeper::{self, Before};
use crate::server::listen::Listener;
use crate::server::logfile::FileSystem;
use crate::server::{events, open};
use crate::settings::Settings;

/// A conf that the worker is reading.
pub struct Pending {
    fresh: Fresh,
    parcel: OwnedFd,
}

impl Parent {
    pub(super) fn reload(&mut self) {
        if self.stage == Stage::Stopping {
            self.verdicts.refuse(STOPS);
            return log::info!("{STOPS}");
        }
        // The conf may have changed after it was read.
        self.reload_again =
            self.pending.is_some() || self.settling || self.worker.as_ref().is_some_and(|worker| !worker.ready);
        if self.reload_again || (self.worker.is_some() && self.stage == Stage::Resting) {
            self.reload_again = true;
            return;
        }
        self.verdicts.begin();
        let outside = Arc::default();
        let open: Vec<&Address> = self.in_force.listeners.iter().map(Listener::address).collect();
        let InForce { logs, zones, .. } = &self.in_force;
        // Nothing that outlives a reload lives here: no request is answered.
        let before = Before { open: &open, logs, settings: None, zones };
        let Some(fresh) = keeper::prepare(&self.request, &outside, &before, &self.verdicts) else {
            return self.verdicts.end(false);
        };
        self.compare_user(&fresh.settings);
        match pack(&self.identity, &self.request, &outside, &fresh.settings, &fresh.logs) {
            Ok(parcel) => self.offer(Pending { fresh, parcel }),
            Err(error) => {
                self.complain(&format!("cannot hand over the conf: {error}"));
                self.verdicts.end(false);
                forget(fresh);
            }
        }
    }

    /// Says what is wrong, in the log and to those who asked for the reload.
    fn complain(&self, text: &str) {
        log::error!(target: "emerg", "{text}");
        self.verdicts.say(text);
    }

    /// Does the reload that was put off.
    pub(super) fn reload_if_asked(&mut self) {
        if self.reload_again && self.stage != Stage::Stopping {
            self.reload();
        }
    }

    /// Has the worker read a conf. Where none runs, the next one begins with it.
    fn offer(&mut self, pending: Pending) {
        let Some(worker) = &self.worker else {
            self.pending = Some(pending);
            self.take_over();
            if self.stage == Stage::Resting {
                self.stage = Stage::Serving;
            }
            self.start_at.get_or_insert_with(std::time::Instant::now);
            return;
        };
        let Fresh { settings, logs, opened } = &pending.fresh;
        let known = |address: &Address| {
            let mut all = self.in_force.listeners.iter().chain(opened);
            all.find(|listener| listener.address() == address)
        };
        let listeners: Vec<&Listener> = settings.sockets.iter().filter_map(|socket| known(&socket.address)).collect();
        let handed = hand_over(worker, Word::Conf, &pending.parcel, &listeners, logs);
        let handed = handed.unwrap_or_else(|error| {
            log::error!(target: "emerg", "cannot hand over the log files: {error}");
            false
        });
        match handed {
            true => self.pending = Some(pending),
            // The worker has just died: the next one is asked once it serves.
            false => {
                forget(pending.fresh);
                self.reload_again = true;
            }
        }
    }

    /// The worker has read the new conf. The listeners that go are closed here first, so that it accepts all that anybody
    /// will ever connect to them.
    pub(super) fn adopt(&mut self) {
        if self.pending.is_some() {
            self.take_over();
            if self.stage != Stage::Stopping {
                self.tell(Word::Go);
                self.settling = true;
            }
            if std::mem::take(&mut self.reopen_again) {
                self.reopen();
            }
        }
    }

    fn take_over(&mut self) {
        let Some(Pending { fresh: Fresh { settings, logs, opened }, parcel }) = self.pending.take() else { return };
        self.tries_again = false;
        if self.stage == Stage::Stopping {
            return forget(Fresh { settings, logs, opened });
        }
        events::follow(&settings, &logs);
        let mut open: Vec<Listener> = self.in_force.listeners.drain(..).chain(opened).collect();
        let mut listeners = Vec::with_capacity(settings.sockets.len());
        for socket in &settings.sockets {
            let found = open.iter().position(|listener| *listener.address() == socket.address);
            listeners.extend(found.map(|at| open.swap_remove(at)));
        }
        self.in_force = InForce { logs, listeners, zones: settings.zones.clone(), parcel };
        let gone: Vec<_> = open.drain(..).filter_map(|listener| listener.file().cloned()).collect();
        open::remove_files(gone.iter());
    }

    /// The new conf is loaded again once another worker serves.
    pub(super) fn try_again(&mut self) {
        if let Some(pending) = self.pending.take() {
            forget(pending.fresh);
            self.reload_again = true;
        }
    }

    /// The new conf does not come into force.
    pub(super) fn give_up(&mut self, why: &str) {
        self.tries_again = false;
        if let Some(pending) = self.pending.take() {
            self.complain(why);
            self.verdicts.end(false);
            forget(pending.fresh);
        }
        self.reload_if_asked();
    }

    /// A worker that has dropped its rights cannot become somebody else.
    fn compare_user(&self, settings: &Settings) {
        let named = &settings.main.process.user;
        let same = match named {
            Some(identity) => *identity == self.identity,
            None => !self.named_user || daemon::nobody().is_ok_and(|nobody: Identity| nobody == self.identity),
        };
        if !same {
            let text = "a changed `user` takes effect when the server is started again";
            log::warn!("{text}");
            self.verdicts.say(text);
        }
    }

    /// Opens the log files again, here and in the worker.
    pub(super) fn reopen(&mut self) {
        self.reopen_again = self.pending.is_some();
        self.in_force.logs.reopen(&FileSystem, |_| true);
        let Some(worker) = &self.worker else { return };
        let paths = log_paths(&self.in_force.logs);
        let packed = parcel::pack_logs(&paths.iter().map(|path| path.as_path()).collect::<Vec<&Path>>());
        let handed = packed.and_then(|packed| hand_over(worker, Word::Logs, &packed, &[], &self.in_force.logs));
        if let Err(error) = handed {
            log::error!(target: "emerg", "cannot hand over the log files: {error}");
        }
    }
}

/// Closes what was opened for a conf that does not come into force.
fn forget(fresh: Fresh) {
    let files: Vec<_> = fresh.opened.iter().filter_map(|open| open.file().cloned()).collect();
    drop(fresh);
    open::remove_files(files.iter());
}
