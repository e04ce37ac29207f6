//! Running a server: everything a conf names is opened, then the engine runs, in this process or, for root, in a worker
//! process without rights. What can fail fails here, before the first connection, and all of it is said in one run.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use signal_hook::iterator::Signals;

use super::options::{Command, Options};
use super::{check, paths, say, serve_folder};
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::listening::Address;
use crate::conf::machine::{self, Identity};
use crate::conf::outside::Outside;
use crate::exchange::children;
use crate::exchange::error::system_words;
use crate::server::control_socket::ControlSocket;
use crate::server::daemon;
use crate::server::keeper::{self, Own};
use crate::server::listen::Listener;
use crate::server::logfile::{FileSystem, Logs};
use crate::server::parent::{self, Failure, Start};
use crate::server::pid_file::PidFile;
use crate::server::{Message, Server, events, open, signals};
use crate::settings::Settings;
use crate::settings::load::{self, Loaded, Request};

/// Runs the server of this conf until it is told to stop.
pub fn run(request: &Request, options: &Options) -> ExitCode {
    let outside = Arc::default();
    let Ok(settings) = ready(request, options, &outside) else { return ExitCode::FAILURE };
    let role = role(&settings, options);
    let opened = match open_all(&settings, options) {
        Ok(opened) => opened,
        Err(diagnostics) => {
            check::show_all(&diagnostics, &settings.sources, options, false);
            return ExitCode::FAILURE;
        }
    };
    let files: Vec<_> = opened.listeners.iter().filter_map(|open| open.file().cloned()).collect();
    let ended = serve(request, options, settings, outside, opened, role);
    if let Err((what, error)) = &ended {
        let text = format!("{what}: {}", system_words(error));
        say(&format!("longshore: [emerg] {text}"));
        log::error!(target: "emerg", "{text}");
        open::remove_files(files.iter());
    }
    if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The settings, once all that is to say about the conf is said.
fn ready(request: &Request, options: &Options, outside: &Arc<Outside>) -> Result<Arc<Settings>, ()> {
    let Loaded { settings, diagnostics, sources, level, .. } = load::load_from(request, outside);
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

fn open_all(settings: &Settings, options: &Options) -> Result<Opened, Vec<Diagnostic>> {
    if let Err(error) = daemon::raise_descriptors(settings.main.process.nofile) {
        let text = format!("cannot set the number of descriptors: {}", system_words(&error));
        let span = settings.main.places.of("worker_rlimit_nofile").unwrap_or_default();
        return Err(vec![Diagnostic::error(span, text)]);
    }
    events::start();
    let logs = open::logs(settings, None, &FileSystem)?;
    events::follow(settings, &logs);
    if !options.rootless {
        let unmade: Vec<_> = open::check_pid(settings).into_iter().chain(open::check_temporary(settings)).collect();
        if !unmade.is_empty() {
            return Err(unmade);
        }
    }
    match open::listeners(&settings.sockets, |_| false) {
        Ok(listeners) => Ok(Opened { logs, listeners }),
        Err(diagnostics) => {
            // Whoever reads standard error reads it there already.
            if !open::logs_to_stderr(settings) {
                keeper::report(&settings.sources, &diagnostics, |_| {});
            }
            Err(diagnostics)
        }
    }
}

fn serve(
    request: &Request,
    options: &Options,
    settings: Arc<Settings>,
    outside: Arc<Outside>,
    opened: Opened,
    role: io::Result<Role>,
) -> Result<(), Failure> {
    let Opened { logs, listeners } = opened;
    let said = start_lines(&settings, options);
    let role = role.map_err(|error| ("cannot become nobody", error))?;
    let background = goes_to_background(&settings, options);
    let pid_path = pid_path(&settings, request);
    let mut pid_file = match writes_pid(&settings, options, background) {
        false => None,
        true => Some(PidFile::open(&pid_path).map_err(|error| ("cannot open the pid file", error))?),
    };
    if let Role::Parent(identity) = &role {
        warn_of_closed_roots(&settings, identity);
    }
    // What fails behind this line is seen in the error log only.
    if background {
        daemon::go_to_background().map_err(|error| ("cannot go to the background", error))?;
    }
    let signals = signals::take().map_err(|error| ("cannot take over signals", error))?;
    if children::is_first() {
        children::reap_orphans().map_err(|error| ("cannot reap what others leave behind", error))?;
    }
    let control = pid_file.as_ref().and_then(|_| control_socket(&pid_path));
    match role {
        Role::Parent(identity) => {
            let request = request.clone();
            let start = Start { request, outside, settings, logs, listeners, identity, pid_file, control, background };
            parent::run(start, signals, || said.iter().for_each(|line| say(line)))
        }
        Role::Alone(group) => {
            drop(outside);
            if let Some(file) = &mut pid_file {
                file.write().map_err(|error| ("cannot write the pid file", error))?;
            }
            if let Some(identity) = group {
                daemon::become_user(&identity).map_err(|error| ("cannot become the user of the conf", error))?;
            }
            alone(request, settings, Opened { logs, listeners }, signals, control, &said)
        }
    }
}

/// The socket beside a pid file; without one `-s reload` sends its signal and hears nothing.
fn control_socket(pid_file: &Path) -> Option<ControlSocket> {
    let opened = ControlSocket::open(pid_file);
    opened.map_err(|error| log::warn!("no control socket beside {}: {error}", pid_file.display())).ok()
}

/// Runs the engine in this process.
fn alone(
    request: &Request,
    settings: Arc<Settings>,
    opened: Opened,
    signals: Signals,
    mut control: Option<ControlSocket>,
    said: &[String],
) -> Result<(), Failure> {
    let Opened { logs, listeners } = opened;
    let keeper = Arc::new(Own::new(request.clone(), &listeners));
    let server = Server::new(settings.clone(), logs.clone(), listeners, keeper.clone());
    let server = server.map_err(|error| ("cannot set up the server", error))?;
    let inbox = server.inbox();
    if let Some(control) = &mut control {
        let inbox = inbox.clone();
        let answered = control.answer(keeper.verdicts().clone(), move |signal| inbox.send(Message::Signal(signal)));
        answered.map_err(|error| ("cannot answer at the control socket", error))?;
    }
    let pass = move |signal| inbox.send(Message::Signal(signal));
    signals::watch(signals, pass).map_err(|error| ("cannot watch for signals", error))?;
    let threads = settings.main.process.pool.threads;
    drop(settings);
    let started = || {
        log::info!("longshore/{} started with {threads} threads", env!("CARGO_PKG_VERSION"));
        said.iter().for_each(|line| say(line));
    };
    let ended = server.run(started).map_err(|error| ("cannot start the threads", error));
    keeper.clear();
    logs.flush();
    log::info!("exit");
    ended.map(drop)
}

// --- rights and the pid file ---

/// What this process is going to be.
enum Role {
    /// The whole server. Root that stays root may still change its group.
    Alone(Option<Identity>),
    /// The parent of a worker process that becomes this user.
    Parent(Identity),
}

/// Root gets a worker process that becomes the conf's user, or nobody.
fn role(settings: &Settings, options: &Options) -> io::Result<Role> {
    if !nix::unistd::geteuid().is_root() || options.rootless {
        return Ok(Role::Alone(None));
    }
    match &settings.main.process.user {
        Some(root) if root.uid == 0 => Ok(Role::Alone((root.gid != 0).then(|| root.clone()))),
        Some(identity) => Ok(Role::Parent(identity.clone())),
        None => daemon::nobody().map(Role::Parent),
    }
}

fn warn_of_closed_roots(settings: &Settings, identity: &Identity) {
    if let Some(text) = closed_root(settings, identity) {
        say(&format!("longshore: {text}"));
        log::warn!("{text}");
    }
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
        let folder = machine::closed_folder(root, identity)?;
        let (user, folder, root) = (&identity.name, folder.display(), root.display());
        Some(format!("user {user} cannot enter {folder}, so no file under {root} can be served: open the folder or name another `user`"))
    })
}

/// Process 1 of a container never goes: the container would end with it.
fn goes_to_background(settings: &Settings, options: &Options) -> bool {
    let wanted = settings.main.process.daemon.unwrap_or_else(paths::called_nginx) && !options.rootless;
    if wanted && children::is_first() {
        log::info!("as process 1 the server stays in the foreground");
    }
    wanted && !children::is_first()
}

fn writes_pid(settings: &Settings, options: &Options, background: bool) -> bool {
    let is_expected = background || options.prefix.is_some() || paths::called_nginx();
    !options.rootless && (settings.main.process.pid.is_some() || is_expected)
}

/// Where the pid file of a conf is.
pub fn pid_path(settings: &Settings, request: &Request) -> PathBuf {
    let named = settings.main.process.pid.clone();
    named.unwrap_or_else(|| paths::default_pid(&request.file, &request.prefix))
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
            lines.push(url(group.tls, &host, ip.port()));
            if ip.ip().is_unspecified() && matches!(options.command, Some(Command::Serve(_))) {
                // Who lets others in wants to tell them where.
                let own = serve_folder::own_addresses().into_iter().filter(|own| own.is_ipv4() == ip.is_ipv4());
                lines.extend(own.map(|own| url(group.tls, &bracketed(&(own, 0).into()), ip.port())));
            }
            for server in &settings.servers {
                let here = server.scope.listen.listens.iter().any(|listen| listen.address == group.address);
                let names = server.scope.server_name.names.iter().filter(|_| here);
                lines.extend(names.filter_map(|(name, _)| host_of(name)).map(|name| url(group.tls, &name, ip.port())));
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

fn url(tls: bool, host: &str, port: u16) -> String {
    let (scheme, default) = if tls { ("https", 443) } else { ("http", 80) };
    match port {
        _ if port == default => format!("{scheme}://{host}/"),
        _ => format!("{scheme}://{host}:{port}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::server_name::Name;

    #[test]
    fn addresses_to_click() {
        assert_eq!(url(false, "localhost", 80), "http://localhost/");
        assert_eq!(url(true, "localhost", 443), "https://localhost/");
        assert_eq!(url(true, "localhost", 80), "https://localhost:80/");
        assert_eq!(url(false, &bracketed(&"[::1]:8080".parse().unwrap()), 8080), "http://[::1]:8080/");
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
