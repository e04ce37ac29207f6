//! Who loads confs, opens log files and removes the files of Unix sockets while the server runs: this process
//! by its own rights, or, for a server that root started, its parent. Knows how a reload is prepared, not how the engine
//! takes it over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::listen::Listener;
use super::logfile::{FileSystem, Logs, Source};
use super::shared::Current;
use super::socket_file::SocketFile;
use super::{Fresh, events, open};
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::outside::Outside;
use crate::conf::render::{Format, render};
use crate::conf::source::Sources;
use crate::features::listen::Address;
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
}

/// This process by its own rights.
pub struct Own {
    request: Request,
    /// Files of sockets that are to go when the server ends, or when their address does.
    files: Mutex<Vec<(Address, Arc<SocketFile>)>>,
}

impl Own {
    /// Keeps the server of these listeners.
    pub fn new(request: Request, listeners: &[Listener]) -> Self {
        Own { request, files: Mutex::new(files_of(listeners)) }
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
        let open: Vec<&Address> =
            current.entries.iter().filter(|entry| !entry.gone).map(|entry| &entry.socket.address).collect();
        let fresh =
            prepare(&self.request, &Arc::default(), &open, (Some(&current.settings), &current.logs), &FileSystem)?;
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
}

fn files_of(listeners: &[Listener]) -> Vec<(Address, Arc<SocketFile>)> {
    let with_file = |open: &Listener| Some((open.address().clone(), open.file()?.clone()));
    listeners.iter().filter_map(with_file).collect()
}

/// Loads a conf while a server listens on the addresses `open`, and opens what it names beyond those and beyond the
/// logs of before; settings of before leave it what outlives a reload. When anything fails, all of it is in the log and nothing stays open.
pub fn prepare(
    request: &Request,
    outside: &Arc<Outside>,
    open: &[&Address],
    before: (Option<&Settings>, &Logs),
    source: &dyn Source,
) -> Option<Fresh> {
    let Loaded { settings, diagnostics, sources, .. } = load::load_from(request, outside);
    report(&sources, &diagnostics);
    let mut settings = settings?;
    if let Some(before) = before.0 {
        let conflicts = settings.conflicts(before);
        if !conflicts.is_empty() {
            report(&sources, &conflicts);
            return None;
        }
        settings.inherit(before);
    }
    let settings = Arc::new(settings);
    if settings.sockets.is_empty() && !open.is_empty() {
        // An editor that is about to write the file has emptied it first.
        log::error!(target: "emerg", "the new conf listens nowhere: it is taken for one that is not whole yet");
        return None;
    }
    let logs = open::logs(&settings, Some(before.1), source);
    let opened = open::listeners(&settings.sockets, |address| open.contains(&address));
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

/// Puts messages about a conf into the error log.
pub fn report(sources: &Sources, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        let text = render(sources, diagnostic, Format::Short, false);
        let text = text.trim_end();
        match diagnostic.severity {
            Severity::Error => log::error!(target: "emerg", "{text}"),
            Severity::Warning => log::warn!("{text}"),
            Severity::Note => log::info!("{text}"),
        }
    }
}
