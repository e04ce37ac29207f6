//! The worker process: it becomes the conf's user before anything else, loads the conf that its parent read, and serves
//! with the listeners and logs it was given. It opens none itself; who led it here leads it to its end.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender};

use super::Failure;
use super::parcel::{self, Parcel};
use super::wire::{self, Wire, Word};
use crate::conf::diagnostic::Severity;
use crate::conf::listening::Address;
use crate::exchange::error::system_words;
use crate::server::current::Current;
use crate::server::engine::Server;
use crate::server::inbox::{Fresh, Inbox, Message};
use crate::server::keeper::Keeper;
use crate::server::listen::Listener;
use crate::server::logfile::{Logs, Source};
use crate::server::signals::{self, Signal};
use crate::server::{daemon, events, open};
use crate::settings::load;

/// Serves as a parent says, until it says otherwise or is gone.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err((what, error)) => {
            let text = format!("{what}: {}", system_words(&error));
            // Where standard error is gone, the log remains, and the other way round.
            let _ = writeln!(io::stderr(), "longshore: [emerg] {text}");
            log::error!(target: "emerg", "{text}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Failure> {
    const NO_PARENT: &str = "the worker process is started by its parent only";
    let signals = signals::take().map_err(|error| ("cannot take over signals", error))?;
    let wire = wire_from_parent().map_err(|error| (NO_PARENT, error))?;
    let first = wire.receive().map_err(|error| (NO_PARENT, error))?;
    // The parent has changed its mind, or has gone.
    let Some(first) = first.filter(|message| message.word == Word::Conf) else { return Ok(()) };
    let (parcel, given) = unwrap(first).map_err(|error| ("cannot take the conf from the parent", error))?;
    daemon::become_user(&parcel.identity).map_err(|error| ("cannot become the user of the conf", error))?;
    // What `ps -e` and `top` show.
    let _ = rustix::thread::set_name(c"longshore");
    events::start();
    let fresh = fresh(parcel, given, None).map_err(|error| ("cannot load the conf that the parent read", error))?;
    let Fresh { settings, logs, opened } = fresh;
    events::follow(&settings, &logs);
    let (go, gone_on) = crossbeam_channel::unbounded();
    let answers = wire.again().map_err(|error| ("cannot answer the parent", error))?;
    let led = Arc::new(Led {
        wire: answers,
        conf: Mutex::default(),
        logs: Mutex::default(),
        coming: Mutex::default(),
        go: gone_on,
    });
    let server = Server::new(settings.clone(), logs.clone(), opened, led.clone());
    let server = server.map_err(|error| ("cannot set up the server", error))?;
    let inbox = server.inbox();
    let ear = led.clone();
    let obey = std::thread::Builder::new().name("parent".into()).spawn(move || obey(&wire, &ear, &go, &inbox));
    obey.map_err(|error| ("cannot listen to the parent", error))?;
    signals::leave_to_parent(signals).map_err(|error| ("cannot watch for signals", error))?;
    let threads = settings.main.process.pool.threads;
    drop(settings);
    let started = || {
        log::info!("longshore/{} started with {threads} threads", env!("CARGO_PKG_VERSION"));
        led.answer(Word::Ready);
    };
    let ended = server.run(started).map_err(|error| ("cannot start the threads", error));
    logs.flush();
    ended.map(drop)
}

/// The socket to the parent, which stands in for the standard input.
fn wire_from_parent() -> io::Result<Wire> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(Wire::over(socket))
}

/// What a parcel came with, by the names in it.
#[derive(Default)]
struct Given {
    sockets: HashMap<Address, OwnedFd>,
    logs: HashMap<PathBuf, File>,
}

impl Source for Given {
    fn open(&self, path: &Path) -> io::Result<File> {
        self.logs.get(path).ok_or(io::ErrorKind::NotFound)?.try_clone()
    }
}

fn unwrap(message: wire::Message) -> io::Result<(Parcel, Given)> {
    let mut descriptors = checked(message)?;
    let parcel = Parcel::open(descriptors.next().ok_or(io::ErrorKind::InvalidData)?)?;
    let sockets = parcel.sockets.iter().cloned().zip(descriptors.by_ref()).collect();
    let logs = parcel.logs.iter().cloned().zip(descriptors.map(File::from)).collect();
    Ok((parcel, Given { sockets, logs }))
}

fn unwrap_logs(message: wire::Message) -> io::Result<Given> {
    let mut descriptors = checked(message)?;
    let paths = parcel::open_logs(descriptors.next().ok_or(io::ErrorKind::InvalidData)?)?;
    Ok(Given { logs: paths.into_iter().zip(descriptors.map(File::from)).collect(), ..Given::default() })
}

fn checked(message: wire::Message) -> io::Result<impl Iterator<Item = OwnedFd>> {
    match message.whole {
        true => Ok(message.descriptors.into_iter()),
        // The kernel leaves out what would be too many.
        false => Err(io::Error::from_raw_os_error(nix::libc::EMFILE)),
    }
}

/// Loads a conf as the parent did, and finds for it what was given; `current` is what runs already.
fn fresh(parcel: Parcel, mut given: Given, current: Option<&Current>) -> io::Result<Fresh> {
    let loaded = load::load_from(&parcel.request, &Arc::new(parcel.outside));
    let first = loaded.diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
    let first = first.map(|diagnostic| diagnostic.message.clone());
    let mut settings = loaded.settings.ok_or_else(|| io::Error::other(first.unwrap_or_default()))?;
    if let Some(current) = current {
        if let Some(conflict) = settings.conflicts(&current.settings).into_iter().next() {
            return Err(io::Error::other(conflict.message));
        }
        settings.inherit(&current.settings);
    }
    let missing = |name: String| io::Error::other(format!("{name} did not come with it"));
    let mut opened = Vec::new();
    for socket in &settings.sockets {
        let is_open = |current: &Current| {
            current.entries.iter().any(|entry| !entry.gone && entry.socket.address == socket.address)
        };
        match given.sockets.remove(&socket.address) {
            _ if current.is_some_and(is_open) => {}
            Some(descriptor) => opened.push(Listener::received(socket.address.clone(), descriptor)),
            None => return Err(missing(format!("the listener of {}", socket.address))),
        }
    }
    let logs = open::logs(&settings, current.map(|current| &*current.logs), &given);
    let logs = logs.map_err(|_| missing("a log file".into()))?;
    Ok(Fresh { settings: Arc::new(settings), logs, opened })
}

/// What the parent says until it is gone.
fn obey(wire: &Wire, led: &Led, go: &Sender<()>, inbox: &Inbox) {
    loop {
        match wire.receive() {
            Ok(Some(message)) => match message.word {
                Word::Conf => {
                    keep(&led.conf, unwrap(message));
                    inbox.send(Message::Signal(Signal::Reload));
                }
                Word::Logs => {
                    keep(&led.logs, unwrap_logs(message));
                    inbox.send(Message::Signal(Signal::Reopen));
                }
                // The loader waits for it, or is not there any more.
                Word::Go => drop(go.send(())),
                Word::Stop => inbox.send(Message::Signal(Signal::Stop)),
                Word::Quit => inbox.send(Message::Signal(Signal::Quit)),
                // These are ours to say.
                Word::Ready | Word::Taken | Word::Refused | Word::InForce => {}
            },
            Ok(None) => {
                log::error!(target: "alert", "the parent process is gone: exiting");
                return inbox.send(Message::Signal(Signal::Stop));
            }
            Err(error) => {
                log::error!(target: "alert", "the parent process cannot be understood: {error}: exiting");
                return inbox.send(Message::Signal(Signal::Stop));
            }
        }
    }
}

fn keep<T>(place: &Mutex<Option<T>>, come: io::Result<T>) {
    let come = come.map_err(|error| log::error!("cannot take what the parent hands over: {error}"));
    *place.lock().unwrap_or_else(PoisonError::into_inner) = come.ok();
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The keeper of an engine whose parent opens everything.
struct Led {
    wire: Wire,
    conf: Mutex<Option<(Parcel, Given)>>,
    logs: Mutex<Option<Given>>,
    /// The log files of the conf loaded last, which may be about to come into force.
    coming: Mutex<Option<Arc<Logs>>>,
    go: Receiver<()>,
}

impl Led {
    fn answer(&self, word: Word) {
        // A parent that is gone is heard of elsewhere.
        let _ = self.wire.send(word, &[]);
    }
}

/// The answer to a new conf. It is given however the load ends, since the parent waits for it.
struct Answer<'a> {
    led: &'a Led,
    word: Word,
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.led.answer(self.word);
    }
}

impl Keeper for Led {
    fn load(&self, current: &Current) -> Option<Fresh> {
        let mut answer = Answer { led: self, word: Word::Refused };
        let (parcel, given) = take(&self.conf)?;
        let fresh = fresh(parcel, given, Some(current));
        let fresh = fresh.map_err(|error| log::error!("cannot load the conf that the parent read: {error}")).ok()?;
        *self.coming.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.logs.clone());
        answer.word = Word::Taken;
        drop(answer);
        self.go.recv().ok()?;
        events::follow(&fresh.settings, &fresh.logs);
        Some(fresh)
    }

    fn reopen(&self, current: &Current) {
        let Some(given) = take(&self.logs) else { return };
        let came = |path: &Path| given.logs.contains_key(path);
        let coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner).clone();
        coming.iter().chain([&current.logs]).for_each(|logs| logs.reopen(&given, came));
        // Requests of a listener that went still write to the logs of their day.
        current.entries.iter().filter(|entry| entry.gone).for_each(|entry| entry.logs.reopen(&given, came));
    }

    fn remove(&self, _: &[Address]) {
        // The parent has done so when it closed its own copies.
    }

    fn in_force(&self) {
        self.answer(Word::InForce);
    }
}
