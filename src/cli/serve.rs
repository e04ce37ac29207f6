//! Running a server: everything a conf names is opened, rights are dropped, then the engine runs. What can
//! fail fails here, before the first connection, and all of it is said in one run.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use super::options::Options;
use super::{check, say};
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::render::{Format, render};
use crate::exchange::error::system_words;
use crate::features::listen::Address;
use crate::features::process::Identity;
use crate::server::daemon::{self, PidFile};
use crate::server::listen::Listener;
use crate::server::logfile::Logs;
use crate::server::shared::Current;
use crate::server::{Fresh, Server, events, open, signals};
use crate::settings::Settings;
use crate::settings::load::{self, Loaded, Request};

/// Runs the server of this conf until it is told to stop.
pub fn run(request: &Request, options: &Options) -> ExitCode {
    let Ok(settings) = ready(request, options) else { return ExitCode::FAILURE };
    let opened = match open_all(&settings) {
        Ok(opened) => opened,
        Err(diagnostics) => {
            check::show_all(&diagnostics, &settings.sources, options, false);
            return ExitCode::FAILURE;
        }
    };
    let addresses: Vec<Address> = settings.sockets.iter().map(|socket| socket.address.clone()).collect();
    let ended = serve(request, options, settings, opened);
    if let Err((what, error)) = &ended {
        let text = format!("{what}: {}", system_words(error));
        say(&format!("longshore: [emerg] {text}"));
        log::error!(target: "emerg", "{text}");
        open::remove_files(addresses.iter());
    }
    if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The settings, once all that is to say about the conf is said.
fn ready(request: &Request, options: &Options) -> Result<Arc<Settings>, ()> {
    let Loaded { settings, diagnostics, sources, level, .. } = load::load(request);
    check::show_all(&diagnostics, &sources, options, false);
    let refused = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    match (settings, check::inside(level)) {
        (Some(settings), _) => Ok(Arc::new(settings)),
        (None, Some(place)) if !refused => {
            let file = request.file.display();
            say(&format!(
                "longshore: [emerg] {file} is no whole conf: it stands inside {place}; `-t` tests it as it is"
            ));
            Err(())
        }
        (None, _) => Err(()),
    }
}

struct Opened {
    logs: Arc<Logs>,
    listeners: Vec<Listener>,
}

fn open_all(settings: &Settings) -> Result<Opened, Vec<Diagnostic>> {
    if let Err(error) = daemon::raise_descriptors(settings.main.process.nofile) {
        let text = format!("cannot set the number of descriptors: {}", system_words(&error));
        let span = settings.main.places.of("worker_rlimit_nofile").unwrap_or_default();
        return Err(vec![Diagnostic::error(span, text)]);
    }
    events::start();
    let logs = open::logs(settings, None)?;
    events::follow(settings, &logs);
    match open::listeners(&settings.sockets, |_| false) {
        Ok(listeners) => Ok(Opened { logs, listeners }),
        Err(diagnostics) => {
            report(settings, &diagnostics);
            Err(diagnostics)
        }
    }
}

/// A part of the start that failed, and how.
type Failure = (&'static str, io::Error);

fn serve(request: &Request, options: &Options, settings: Arc<Settings>, opened: Opened) -> Result<(), Failure> {
    let process = &settings.main.process;
    let Opened { logs, listeners } = opened;
    let said = start_lines(&settings, options);
    let mut pid_file = match writes_pid(&settings, options) {
        false => None,
        true => Some(PidFile::open(&pid_path(&settings)).map_err(|error| ("cannot open the pid file", error))?),
    };
    // What fails behind this line is seen in the error log only.
    if process.daemon && !options.rootless {
        daemon::go_to_background().map_err(|error| ("cannot go to the background", error))?;
    }
    let signals = signals::take().map_err(|error| ("cannot take over signals", error))?;
    if let Some(file) = &mut pid_file {
        file.write().map_err(|error| ("cannot write the pid file", error))?;
    }
    drop_rights(&settings, &logs, options)?;
    let unix = Arc::new(Mutex::new(unix_addresses(&settings)));
    let reload = reloader(request.clone(), unix.clone());
    let server = Server::new(settings.clone(), logs.clone(), listeners, Arc::new(reload));
    let server = server.map_err(|error| ("cannot set up the server", error))?;
    signals::watch(signals, server.inbox()).map_err(|error| ("cannot watch for signals", error))?;
    log::info!("longshore/{} started with {} threads", env!("CARGO_PKG_VERSION"), process.pool.threads);
    said.iter().for_each(|line| say(line));
    let ended = server.run().map_err(|error| ("cannot start the threads", error));
    open::remove_files(unix.lock().unwrap_or_else(PoisonError::into_inner).iter());
    logs.flush();
    log::info!("exit");
    drop(pid_file);
    ended.map(drop)
}

// --- rights and the pid file ---

/// Root becomes the conf's user, or nobody; its log files go with it.
fn drop_rights(settings: &Settings, logs: &Logs, options: &Options) -> Result<(), Failure> {
    if !nix::unistd::geteuid().is_root() || options.rootless {
        return Ok(());
    }
    let identity = match &settings.main.process.user {
        Some(identity) => identity.clone(),
        None => daemon::nobody().map_err(|error| ("cannot become nobody", error))?,
    };
    if identity.uid == 0 && identity.gid == 0 {
        return Ok(());
    }
    if let Err((path, error)) = logs.give_to(identity.uid, identity.gid) {
        log::warn!("cannot give {} to {}: {}", path.display(), identity.name, system_words(&error));
    }
    if let Some(text) = closed_root(settings, &identity) {
        say(&format!("longshore: {text}"));
        log::warn!("{text}");
    }
    daemon::become_user(&identity).map_err(|error| ("cannot become the user of the conf", error))
}

/// What is said of a root that the user cannot reach.
fn closed_root(settings: &Settings, identity: &Identity) -> Option<String> {
    use crate::conf::args::bytes_to_path;
    let scopes = settings.scopes();
    let roots = scopes.iter().filter_map(|scope| {
        let root = &scope.root;
        root.alias.as_ref().map_or(&root.root, |alias| &alias.text).constant().map(<[u8]>::to_vec)
    });
    roots.collect::<BTreeSet<_>>().iter().find_map(|root| {
        let root = bytes_to_path(root);
        let folder = daemon::closed_folder(root, identity)?;
        let (user, folder, root) = (&identity.name, folder.display(), root.display());
        Some(format!("user {user} cannot enter {folder}, so no file under {root} can be served: open the folder or name another `user`"))
    })
}

fn writes_pid(settings: &Settings, options: &Options) -> bool {
    let process = &settings.main.process;
    !options.rootless && (process.pid.is_some() || process.daemon || options.prefix.is_some())
}

/// Where the pid file of a conf is.
pub fn pid_path(settings: &Settings) -> PathBuf {
    let in_prefix = |prefix: &Path| match prefix.join("logs").is_dir() {
        true => prefix.join("logs/longshore.pid"),
        false => prefix.join("longshore.pid"),
    };
    settings.main.process.pid.clone().unwrap_or_else(|| in_prefix(&settings.prefix))
}

// --- reloading ---

/// What loads the conf again, on a thread of its own: new settings with all they name open, or none and the
/// reasons in the log.
fn reloader(request: Request, unix: Arc<Mutex<Vec<Address>>>) -> impl Fn(&Current) -> Option<Fresh> + Send + Sync {
    move |current| {
        let Loaded { settings, diagnostics, sources, .. } = load::load(&request);
        for diagnostic in &diagnostics {
            say_in_log(&sources, diagnostic);
        }
        let mut settings = settings?;
        settings.upstreams.inherit(&current.settings.upstreams);
        let settings = Arc::new(settings);
        if settings.sockets.is_empty() && current.entries.iter().any(|entry| !entry.gone) {
            // An editor that is about to write the file has emptied it first.
            log::error!(target: "emerg", "the new conf listens nowhere: it is taken for one that is not whole yet");
            return None;
        }
        let is_open =
            |address: &Address| current.entries.iter().any(|entry| !entry.gone && entry.socket.address == *address);
        let logs = open::logs(&settings, Some(&current.logs));
        let opened = open::listeners(&settings.sockets, is_open);
        match (logs, opened) {
            (Ok(logs), Ok(opened)) => {
                events::follow(&settings, &logs);
                let mut unix = unix.lock().unwrap_or_else(PoisonError::into_inner);
                let more: Vec<_> =
                    unix_addresses(&settings).into_iter().filter(|address| !unix.contains(address)).collect();
                unix.extend(more);
                Some(Fresh { settings, logs, opened })
            }
            (logs, opened) => {
                report(&settings, &logs.err().unwrap_or_default());
                match opened {
                    Ok(opened) => open::remove_files(opened.iter().map(Listener::address)),
                    Err(diagnostics) => report(&settings, &diagnostics),
                }
                None
            }
        }
    }
}

fn unix_addresses(settings: &Settings) -> Vec<Address> {
    let addresses = settings.sockets.iter().map(|socket| &socket.address);
    addresses.filter(|address| matches!(address, Address::Unix(_))).cloned().collect()
}

fn report(settings: &Settings, diagnostics: &[Diagnostic]) {
    diagnostics.iter().for_each(|diagnostic| say_in_log(&settings.sources, diagnostic));
}

fn say_in_log(sources: &crate::conf::source::Sources, diagnostic: &Diagnostic) {
    let text = render(sources, diagnostic, Format::Short, false);
    let text = text.trim_end();
    match diagnostic.severity {
        Severity::Error => log::error!(target: "emerg", "{text}"),
        Severity::Warning => log::warn!("{text}"),
        Severity::Note => log::info!("{text}"),
    }
}

// --- what is said at the start ---

fn start_lines(settings: &Settings, options: &Options) -> Vec<String> {
    let mut lines = Vec::new();
    if options.rootless {
        lines.push(
            "rootless: ports below 1024 are moved up by 8000, logs go to stderr, `pid` and `user` are ignored".into(),
        );
    }
    for socket in &settings.sockets {
        for group in &socket.groups {
            let Address::Ip(ip) = &group.address else {
                lines.push(group.address.to_string());
                continue;
            };
            let host = if ip.ip().is_unspecified() { "localhost".to_string() } else { bracketed(ip) };
            lines.push(url(&host, ip.port()));
            for server in &settings.servers {
                let here = server.scope.listen.listens.iter().any(|listen| listen.address == group.address);
                let names = server.scope.server_name.names.iter().filter(|_| here);
                lines.extend(names.filter_map(|(name, _)| host_of(name)).map(|name| url(&name, ip.port())));
            }
        }
    }
    if settings.sockets.is_empty() {
        lines.push("longshore: note: the conf has no `server`, so nothing listens".into());
    }
    let mut seen = BTreeSet::new();
    lines.retain(|line| seen.insert(line.clone()));
    lines
}

/// A name that can be typed into a browser.
fn host_of(name: &crate::features::server_name::Name) -> Option<String> {
    match name {
        crate::features::server_name::Name::Exact(name) if !name.is_empty() && name != b"_" => {
            Some(String::from_utf8_lossy(name).into_owned())
        }
        _ => None,
    }
}

fn bracketed(ip: &std::net::SocketAddr) -> String {
    match ip {
        std::net::SocketAddr::V4(ip) => ip.ip().to_string(),
        std::net::SocketAddr::V6(ip) => format!("[{}]", ip.ip()),
    }
}

fn url(host: &str, port: u16) -> String {
    match port {
        80 => format!("http://{host}/"),
        _ => format!("http://{host}:{port}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::server_name::Name;

    #[test]
    fn addresses_to_click() {
        assert_eq!(url("localhost", 80), "http://localhost/");
        assert_eq!(url(&bracketed(&"[::1]:8080".parse().unwrap()), 8080), "http://[::1]:8080/");
        for (name, want) in [
            (Name::Exact(b"a.localhost".to_vec()), Some("a.localhost")),
            (Name::Exact(b"_".to_vec()), None),
            (Name::Exact(Vec::new()), None),
            (Name::Leading(b".example.com".to_vec()), None),
        ] {
            assert_eq!(host_of(&name).as_deref(), want);
        }
    }
}
