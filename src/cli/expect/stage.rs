//! The real engine in this process, without a port: each address of the conf is a Unix socket in a folder of our own. Acceptor,
//! workers, heads, framing and limits are those of a server; its logs go nowhere.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::script::Url;
use super::wire::Place;
use crate::cli::options::Options;
use crate::cli::{check, say};
use crate::conf::listening::Address;
use crate::server::current::Current;
use crate::server::keeper::Keeper;
use crate::server::listen::Listener;
use crate::server::logfile::Source;
use crate::server::signals::Signal;
use crate::server::{Fresh, Inbox, Message, Server, open};
use crate::settings::Settings;
use crate::settings::load::{self, Request};

/// An engine that runs until this is dropped.
pub struct Stage {
    folder: tempfile::TempDir,
    /// The address of each socket, in the order of their files; whether it speaks TLS.
    addresses: Vec<(Address, bool)>,
    inbox: Inbox,
    engine: Option<JoinHandle<()>>,
}

impl Stage {
    /// Loads the conf and starts the engine.
    pub fn open(file: PathBuf, prefix: PathBuf, partial: bool, options: &Options) -> Result<Stage, String> {
        let request = Request { file, prefix, rootless: true, partial, ..Request::default() };
        let mut loaded = load::load(&request);
        check::show(&loaded, options, true);
        let settings = match (loaded.settings.take(), check::inside(loaded.level)) {
            (Some(settings), _) => Arc::new(settings),
            (None, Some(place)) if !loaded.has_errors() => {
                return Err(format!("{} is no whole conf: it stands inside {place}", request.file.display()));
            }
            (None, _) => return Err(String::new()),
        };
        if nix::unistd::geteuid().is_root() {
            say(
                "longshore: note: files are read and scripts run as root here; a server does it as the `user` of the conf",
            );
        }
        start(settings).map_err(|error| format!("the engine cannot be started: {error}"))
    }

    /// Where a URL leads, and whether TLS is spoken there.
    pub fn place(&self, url: &Url) -> Result<(Place, bool), String> {
        let has = |wanted: u16| {
            // What is below 1024 was moved, as `--rootless` moves it.
            let ports = [wanted, wanted.saturating_add(8000)];
            let ports = if wanted < 1024 { &ports[..] } else { &ports[..1] };
            let is = |(address, _): &(Address, bool)| matches!(address, Address::Ip(ip) if ports.contains(&ip.port()));
            self.addresses.iter().position(is)
        };
        // Without a port it is the scheme's, else the first that speaks so; without a scheme the first of all.
        let first = |tls| self.addresses.iter().position(|(_, speaks)| *speaks == tls);
        let number = match (url.port, url.tls) {
            (Some(port), _) => has(port).ok_or_else(|| format!("the conf has no `listen` for port {port}"))?,
            (None, Some(true)) => has(443).or_else(|| first(true)).ok_or("no `listen` of the conf speaks TLS")?,
            (None, Some(false)) => has(80).or_else(|| first(false)).ok_or("every `listen` of the conf speaks TLS")?,
            (None, None) => has(80).unwrap_or(0),
        };
        let (_, speaks) = self.addresses.get(number).ok_or("the conf has no `server`, so there is nobody to ask")?;
        Ok((Place::Unix(socket(self.folder.path(), number)), url.tls.unwrap_or(*speaks)))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.inbox.send(Message::Signal(Signal::Stop));
        if let Some(engine) = self.engine.take() {
            // A panic of the acceptor was told by itself.
            let _ = engine.join();
        }
    }
}

fn start(settings: Arc<Settings>) -> io::Result<Stage> {
    let folder = tempfile::Builder::new().prefix("longshore-expect-").tempdir()?;
    let mut listeners = Vec::new();
    for (number, wanted) in settings.sockets.iter().enumerate() {
        listeners.push(Listener::standing_in(wanted.address.clone(), &socket(folder.path(), number))?);
    }
    let logs = open::logs(&settings, None, &Nowhere).map_err(|_| io::Error::other("the logs cannot be left out"))?;
    let tls = |wanted: &crate::settings::sockets::Socket| wanted.groups.iter().any(|group| group.tls);
    let addresses = settings.sockets.iter().map(|wanted| (wanted.address.clone(), tls(wanted))).collect();
    let server = Server::new(settings, logs, listeners, Arc::new(Nobody))?;
    let inbox = server.inbox();
    let run = move || {
        if let Err(error) = server.run(|| {}) {
            say(&format!("longshore: the engine cannot be started: {error}"));
        }
    };
    let engine = std::thread::Builder::new().name("acceptor".into()).spawn(run)?;
    Ok(Stage { folder, addresses, inbox, engine: Some(engine) })
}

fn socket(folder: &Path, number: usize) -> std::path::PathBuf {
    folder.join(number.to_string())
}

/// Where the logs go: what is tried out is no traffic.
struct Nowhere;

impl Source for Nowhere {
    fn open(&self, _: &Path) -> io::Result<File> {
        File::options().append(true).open("/dev/null")
    }
}

/// Nobody keeps this engine: it is never reloaded.
struct Nobody;

impl Keeper for Nobody {
    fn load(&self, _: &Current) -> Option<Fresh> {
        None
    }

    fn reopen(&self, _: &Current) {}

    fn remove(&self, _: &[Address]) {}
}
