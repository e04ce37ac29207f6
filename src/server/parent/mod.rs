//! The process that root started. It keeps root's rights and does only what needs them: it reads the conf, opens listeners
//! and logs, writes the pid file, and hands all that to one worker process that has none. It follows signals and
//! starts another worker when one dies. It takes no connection, and no path or text from the worker.

mod child;
pub mod led;
mod parcel;
mod reload;
mod wire;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use signal_hook::iterator::Signals;

use super::control::STOPS;
use super::control_socket::ControlSocket;
use super::listen::Listener;
use super::logfile::Logs;
use super::open;
use super::pid_file::PidFile;
use super::signals::{self, Signal};
use super::verdicts::Verdicts;
use crate::conf::listening::Address;
use crate::conf::machine::Identity;
use crate::conf::outside::Outside;
use crate::conf::source::Span;
use crate::conf::zone;
use crate::settings::Settings;
use crate::settings::load::Request;
use child::Worker;
use reload::Pending;
use wire::Word;

/// What `ps` shows of a worker process. As the only word of a command line it is also how one knows what it is.
pub const TITLE: &str = "longshore: worker process";
/// How long a worker may take to end at once before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);
/// A worker that lived shorter than this is followed by a pause as long.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// A part of the work that failed, and how.
pub type Failure = (&'static str, io::Error);

/// What the parent hears.
enum News {
    /// A signal.
    Signal(Signal),
    /// A word of the worker with this number.
    Said(u64, Word),
    /// That worker has ended; how is not known when the system does not tell.
    Ended(u64, Option<ExitStatus>),
}

/// What a parent begins with: a conf and all that it names, open.
pub struct Start {
    /// What was loaded.
    pub request: Request,
    /// What the load learned from outside.
    pub outside: Arc<Outside>,
    /// The settings.
    pub settings: Arc<Settings>,
    /// The log files.
    pub logs: Arc<Logs>,
    /// The listeners, in the order of the settings' sockets.
    pub listeners: Vec<Listener>,
    /// Who the worker becomes.
    pub identity: Identity,
    /// The pid file.
    pub pid_file: Option<PidFile>,
    /// The socket beside it.
    pub control: Option<ControlSocket>,
    /// Whether the server is in the background.
    pub background: bool,
}

/// What is in force.
struct InForce {
    logs: Arc<Logs>,
    listeners: Vec<Listener>,
    /// The zones whose contents are the worker's, and whose key must not change.
    zones: Vec<(zone::Identity, Span)>,
    /// The names of the descriptors' owners, packed with the conf.
    parcel: OwnedFd,
}

/// How far the parent's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No worker has served yet.
    Starting,
    /// A worker serves, or is about to again.
    Serving,
    /// The worker was sent to rest; a reload starts another.
    Resting,
    /// Everything ends.
    Stopping,
}

/// The parent of one worker process.
pub struct Parent {
    request: Request,
    identity: Identity,
    named_user: bool,
    background: bool,
    in_force: InForce,
    pending: Option<Pending>,
    /// The worker is about to put a conf in force that is in force here. Until then it may hold ports that are free to
    /// the eye of this process.
    settling: bool,
    /// A worker has died over the conf that is under way.
    tries_again: bool,
    /// Another reload was asked for while one was under way.
    reload_again: bool,
    /// Logs were to be opened again while a conf was under way: its own may have been opened before they were moved.
    reopen_again: bool,
    stage: Stage,
    verdicts: Arc<Verdicts>,
    worker: Option<Worker>,
    workers: u64,
    /// When the next worker is started.
    start_at: Option<Instant>,
    /// When the worker is killed.
    kill_at: Option<Instant>,
    sender: Sender<News>,
    news: Receiver<News>,
}

/// Whether this process was started to be a worker.
pub fn is_worker() -> bool {
    let mut words = std::env::args_os();
    words.next().is_some_and(|word| word == TITLE) && words.next().is_none()
}

/// Runs the parent of a server until it is told to stop; `ready` is called once the first worker serves.
pub fn run(start: Start, signals: Signals, ready: impl FnOnce()) -> Result<(), Failure> {
    let Start { request, outside, settings, logs, listeners, identity, mut pid_file, mut control, background } = start;
    let (sender, news) = crossbeam_channel::unbounded();
    let verdicts = Arc::<Verdicts>::default();
    if let Some(control) = &mut control {
        let told = sender.clone();
        let answered = control.answer(verdicts.clone(), move |signal| drop(told.send(News::Signal(signal))));
        answered.map_err(|error| ("cannot answer at the control socket", error))?;
    }
    let told = sender.clone();
    // The parent takes news for as long as it lives.
    let watched = signals::watch(signals, move |signal| drop(told.send(News::Signal(signal))));
    watched.map_err(|error| ("cannot watch for signals", error))?;
    let parcel = pack(&identity, &request, &outside, &settings, &logs);
    let parcel = parcel.map_err(|error| ("cannot hand over the conf", error))?;
    let mut parent = Parent {
        request,
        identity,
        named_user: settings.main.process.user.is_some(),
        background,
        in_force: InForce { logs, listeners, zones: settings.zones.clone(), parcel },
        pending: None,
        settling: false,
        tries_again: false,
        reload_again: false,
        reopen_again: false,
        stage: Stage::Starting,
        verdicts,
        worker: None,
        workers: 0,
        start_at: None,
        kill_at: None,
        sender,
        news,
    };
    drop((settings, outside));
    let ended = parent.serve(pid_file.as_mut(), ready);
    parent.close();
    parent.in_force.logs.flush();
    log::info!("exit");
    ended
}

impl Parent {
    fn serve(&mut self, mut pid_file: Option<&mut PidFile>, ready: impl FnOnce()) -> Result<(), Failure> {
        let mut ready = Some(ready);
        if self.background {
            // Whoever started it may ask at once for the process that stays; every port listens already.
            pid_file.take().map_or(Ok(()), PidFile::write).map_err(|error| ("cannot write the pid file", error))?;
        }
        self.start_worker().map_err(|error| ("cannot start the worker process", error))?;
        loop {
            match self.next() {
                None => self.on_time(),
                Some(News::Signal(signal)) => self.signal(signal),
                Some(News::Said(number, word)) if self.is_current(number) => {
                    self.said(word);
                    if self.stage == Stage::Serving
                        && let Some(ready) = ready.take()
                    {
                        if let Some(file) = &mut pid_file {
                            file.write().map_err(|error| ("cannot write the pid file", error))?;
                        }
                        ready();
                    }
                }
                Some(News::Ended(number, status)) if self.is_current(number) => self.worker_ended(status)?,
                Some(_) => {}
            }
            if self.stage == Stage::Stopping && self.worker.is_none() {
                return Ok(());
            }
        }
    }

    /// The next news; none when a time has come.
    fn next(&self) -> Option<News> {
        match [self.start_at, self.kill_at].into_iter().flatten().min() {
            Some(at) => self.news.recv_deadline(at).ok(),
            // This value holds a sender, so there is always one.
            None => self.news.recv().ok(),
        }
    }

    fn is_current(&self, number: u64) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.number == number)
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            if let Some(worker) = &self.worker {
                log::warn!("the worker process {} does not end and is killed", worker.pid);
                worker.kill();
            }
        }
        if self.start_at.is_some_and(|at| at <= now) {
            self.start_at = None;
            if let Err(error) = self.start_worker() {
                log::error!(target: "alert", "cannot start the worker process: {error}");
                self.start_at = Some(now + SHORT_LIFE);
            }
        }
    }

    // --- the worker ---

    /// Starts a worker with what is in force. The listeners stay open meanwhile, so clients wait and are not refused.
    fn start_worker(&mut self) -> io::Result<()> {
        self.workers += 1;
        let worker = Worker::start(self.workers, &self.sender)?;
        log::info!("start worker process {}", worker.pid);
        let InForce { logs, listeners, parcel, .. } = &self.in_force;
        hand_over(&worker, Word::Conf, parcel, &listeners.iter().collect::<Vec<_>>(), logs)?;
        self.worker = Some(worker);
        Ok(())
    }

    fn said(&mut self, word: Word) {
        match word {
            Word::Ready => {
                if let Some(worker) = &mut self.worker {
                    worker.ready = true;
                }
                if self.stage == Stage::Starting {
                    self.stage = Stage::Serving;
                }
                if self.pending.is_none() && !self.reload_again {
                    // It began with a conf that no worker was there to take.
                    self.verdicts.end(true);
                }
                self.reload_if_asked();
            }
            Word::Taken => self.adopt(),
            Word::InForce => {
                self.settling = false;
                self.verdicts.end(true);
                self.reload_if_asked();
            }
            Word::Refused => self.give_up("the worker process did not take the new conf, the old one stays"),
            // It says no others; should it, they mean nothing.
            _ => {}
        }
    }

    fn worker_ended(&mut self, status: Option<ExitStatus>) -> Result<(), Failure> {
        let Some(worker) = self.worker.take() else { return Ok(()) };
        self.kill_at = None;
        self.settling = false;
        let how = status.map_or_else(|| "in a way that is not known".into(), how);
        let in_peace = status.is_some_and(|status| status.success());
        if self.pending.is_some() {
            // It may have died of something else, so the conf gets a second chance; not a third.
            match std::mem::replace(&mut self.tries_again, true) {
                false => self.try_again(),
                true => self.give_up("the worker process ended twice while it read the new conf, the old one stays"),
            }
        }
        match self.stage {
            Stage::Starting => return Err(("the worker process ended as it started", io::Error::other(how))),
            Stage::Stopping | Stage::Resting if in_peace => {
                log::info!("worker process {} {how}", worker.pid);
            }
            _ => log::error!(target: "alert", "worker process {} {how}", worker.pid),
        }
        if self.stage == Stage::Serving {
            let now = Instant::now();
            self.start_at = Some(match worker.started.elapsed() < SHORT_LIFE {
                true => now + SHORT_LIFE,
                false => now,
            });
        }
        if self.stage == Stage::Resting {
            self.reload_if_asked();
        }
        Ok(())
    }

    // --- signals ---

    fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Stop => self.stop(Word::Stop),
            Signal::Quit => self.stop(Word::Quit),
            Signal::Reload => self.reload(),
            Signal::Reopen => self.reopen(),
            Signal::Rest if self.background && self.stage == Stage::Serving => {
                log::info!("the worker process is sent to rest; HUP starts another");
                self.stage = Stage::Resting;
                self.start_at = None;
                self.tell(Word::Quit);
            }
            Signal::Rest => {}
        }
    }

    /// Ends: the listeners close here first, so that what the worker finds accepted is all there is.
    fn stop(&mut self, how: Word) {
        self.stage = Stage::Stopping;
        self.start_at = None;
        self.close();
        self.verdicts.refuse(STOPS);
        self.tell(how);
        if how == Word::Stop {
            self.kill_at = Some(Instant::now() + PATIENCE);
        }
    }

    fn tell(&self, word: Word) {
        if let Some(worker) = &self.worker
            && !worker.tell(word, &[])
            && self.stage == Stage::Stopping
        {
            worker.kill();
        }
    }

    /// Closes the listeners and removes the files of Unix sockets.
    fn close(&mut self) {
        let files: Vec<_> = self.in_force.listeners.drain(..).filter_map(|open| open.file().cloned()).collect();
        open::remove_files(files.iter());
    }
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("exited on signal {signal}"),
        (None, None) => "ended".into(),
    }
}

/// Packs a conf with the names of what is open for it.
fn pack(
    identity: &Identity,
    request: &Request,
    outside: &Outside,
    settings: &Settings,
    logs: &Logs,
) -> io::Result<OwnedFd> {
    let sockets: Vec<&Address> = settings.sockets.iter().map(|socket| &socket.address).collect();
    let paths: Vec<_> = logs.open_files().map(|file| file.path()).collect();
    parcel::pack(identity, request, outside, &sockets, &paths)
}

/// Says a word with a parcel, listeners and log files beside it, in the order of the parcel's names.
fn hand_over(worker: &Worker, word: Word, parcel: &OwnedFd, listeners: &[&Listener], logs: &Logs) -> io::Result<bool> {
    let files = logs.open_files().map(|file| file.descriptor()).collect::<io::Result<Vec<OwnedFd>>>()?;
    let mut all: Vec<BorrowedFd<'_>> = vec![parcel.as_fd()];
    all.extend(listeners.iter().map(|listener| listener.descriptor()));
    all.extend(files.iter().map(AsFd::as_fd));
    Ok(worker.tell(word, &all))
}

/// The paths of log files that are open.
fn log_paths(logs: &Logs) -> Vec<PathBuf> {
    logs.open_files().map(|file| file.path().to_path_buf()).collect()
}
