//! Who loads confs, opens log files and removes the files of Unix sockets while the server runs: this process
//! by its own rights, or, for a server that root started, its parent. Knows how a reload is prepared, not how the engine
//! takes it over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::current::Current;
use super::inbox::Fresh;
use super::listen::Listener;
use super::logfile::{FileSystem, Logs};
use super::socket_file::SocketFile;
use super::verdicts::Verdicts;
use super::{events, open};
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::listening::Address;
use crate::conf::outside::Outside;
use crate::conf::render::{Format, render};
use crate::conf::source::{Sources, Span};
use crate::conf::zone::{self, Identity};
use crate::settings::Settings;
use crate::settings::load::{self, Loaded, Request};

/// What the engine asks for, each on a thread that may wait.
pub trait Keeper: Send + Sync {
    /// Loads the conf again: new settings with all they name open, or none and the reasons in the log.
    fn load(&self, current: &Current) -> Option<Fresh>;
    /// Opens the log files again.
    fn reopen(&self, current: &Current);
    /// Removes the files of Unix sockets that closed.
    fn remove(&self, closed: &[Address]);
    /// Is told, by the acceptor and so in a moment, that new settings are in force and the listeners that went are closed.
    fn in_force(&self) {}
    /// Is told, in a moment too, that a reload which was asked for is not done, and why.
    fn refused(&self, _why: &str) {}
}

/// This process by its own rights.
pub struct Own {
    request: Request,
    /// Those who wait to hear how a reload went.
    verdicts: Arc<Verdicts>,
    /// Files of sockets that are to go when the server ends, or when their address does.
    files: Mutex<Vec<(Address, Arc<SocketFile>)>>,
}

impl Own {
    /// Keeps the server of these listeners.
    pub fn new(request: Request, listeners: &[Listener]) -> Self {
        Own { request, verdicts: Arc::default(), files: Mutex::new(files_of(listeners)) }
    }

    /// Those who wait to hear how a reload went.
    pub fn verdicts(&self) -> &Arc<Verdicts> {
        &self.verdicts
    }

    /// Removes the files of all Unix sockets: the server has ended.
    pub fn clear(&self) {
        open::remove_files(self.files().drain(..).map(|(_, file)| file).collect::<Vec<_>>().iter());
    }

    fn files(&self) -> MutexGuard<'_, Vec<(Address, Arc<SocketFile>)>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper for Own {
    fn load(&self, current: &Current) -> Option<Fresh> {
        self.verdicts.begin();
        let refusal = Refusal(&self.verdicts);
        let open: Vec<&Address> =
            current.entries.iter().filter(|entry| !entry.gone).map(|entry| &entry.socket.address).collect();
        let before = Before { open: &open, logs: &current.logs, settings: Some(&current.settings), zones: &[] };
        let fresh = prepare(&self.request, &Arc::default(), &before, &self.verdicts)?;
        std::mem::forget(refusal);
        events::follow(&fresh.settings, &fresh.logs);
        self.files().extend(files_of(&fresh.opened));
        Some(fresh)
    }

    fn reopen(&self, current: &Current) {
        current.logs.reopen(&FileSystem, |_| true);
        // Requests of a listener that went still write to the logs of their day.
        current.entries.iter().filter(|entry| entry.gone).for_each(|entry| entry.logs.reopen(&FileSystem, |_| true));
    }

    fn remove(&self, closed: &[Address]) {
        let gone: Vec<_> = self.files().extract_if(.., |(address, _)| closed.contains(address)).collect();
        open::remove_files(gone.iter().map(|(_, file)| file));
    }

    fn in_force(&self) {
        self.verdicts.end(true);
    }

    fn refused(&self, why: &str) {
        self.verdicts.refuse(why);
    }
}

/// A conf that is not in force unless this is forgotten: a load may end in many ways.
struct Refusal<'a>(&'a Verdicts);

impl Drop for Refusal<'_> {
    fn drop(&mut self) {
        self.0.end(false);
    }
}

fn files_of(listeners: &[Listener]) -> Vec<(Address, Arc<SocketFile>)> {
    let with_file = |open: &Listener| Some((open.address().clone(), open.file()?.clone()));
    listeners.iter().filter_map(with_file).collect()
}

/// What holds while a conf is loaded that is to follow it.
pub struct Before<'a> {
    /// The addresses that are listened on.
    pub open: &'a [&'a Address],
    /// The log files that are open.
    pub logs: &'a Logs,
    /// What leaves the new conf what outlives a reload; none where that lives in another process.
    pub settings: Option<&'a Settings>,
    /// The zones whose key must not change, where the settings do not say it.
    pub zones: &'a [(Identity, Span)],
}

/// Loads a conf that is to follow another, and opens what it names beyond what is open. When anything fails, all of it is in
/// the log and told to those who asked, and nothing stays open.
pub fn prepare(request: &Request, outside: &Arc<Outside>, before: &Before<'_>, verdicts: &Verdicts) -> Option<Fresh> {
    let report = |sources: &Sources, diagnostics: &[Diagnostic]| {
        report(sources, diagnostics, |text| verdicts.say(text));
    };
    let Loaded { settings, diagnostics, sources, .. } = load::load_from(request, outside);
    report(&sources, &diagnostics);
    let mut settings = settings?;
    let mut conflicts = zone::conflicts(before.zones, &settings.zones);
    conflicts.extend(before.settings.map(|before| settings.conflicts(before)).into_iter().flatten());
    if !conflicts.is_empty() {
        report(&sources, &conflicts);
        return None;
    }
    if let Some(before) = before.settings {
        settings.inherit(before);
    }
    let settings = Arc::new(settings);
    if settings.sockets.is_empty() && !before.open.is_empty() {
        // An editor that is about to write the file has emptied it first.
        let text = "the new conf listens nowhere: it is taken for one that is not whole yet";
        log::error!(target: "emerg", "{text}");
        verdicts.say(text);
        return None;
    }
    let logs = open::logs(&settings, Some(before.logs), &FileSystem);
    let opened = open::listeners(&settings.sockets, |address| before.open.contains(&address));
    match (logs, opened) {
        (Ok(logs), Ok(opened)) => Some(Fresh { settings, logs, opened }),
        (logs, opened) => {
            report(&settings.sources, &logs.err().unwrap_or_default());
            match opened {
                Ok(opened) => open::remove_files(opened.iter().filter_map(Listener::file)),
                Err(diagnostics) => report(&settings.sources, &diagnostics),
            }
            None
        }
    }
}

/// Puts messages about a conf into the error log, and tells each.
pub fn report(sources: &Sources, diagnostics: &[Diagnostic], tell: impl Fn(&str)) {
    for diagnostic in diagnostics {
        let text = render(sources, diagnostic, Format::Short, false);
        let text = text.trim_end();
        tell(text);
        match diagnostic.severity {
            Severity::Error => log::error!(target: "emerg", "{text}"),
            Severity::Warning => log::warn!("{text}"),
            Severity::Note => log::info!("{text}"),
        }
    }
}
