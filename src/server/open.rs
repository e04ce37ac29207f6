//! Opening everything a conf names before it comes into force: log files and listeners. All that fails is
//! named in one run, and what was opened in vain is closed again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Access;

use super::listen::{Listener, holder};
use super::logfile::{Logs, Source};
use super::socket_file::SocketFile;
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::listening::{Address, MOVED_UP};
use crate::conf::source::Span;
use crate::conf::way;
use crate::exchange::error::system_words;
use crate::exchange::logging;
use crate::http::escape;
use crate::settings::Settings;
use crate::settings::sockets::Socket;

/// Opens the log files of a conf; what `before` has open under the same path is taken over.
pub fn logs(settings: &Settings, before: Option<&Logs>, source: &dyn Source) -> Result<Arc<Logs>, Vec<Diagnostic>> {
    let wanted = settings.used_logs();
    let opened = Logs::open(&settings.logs, |number| wanted.contains(&number), before, source);
    opened.map(Arc::new).map_err(|failures| failures.iter().map(|failure| log_failure(settings, failure)).collect())
}

/// Whether each log file could be opened, without making any.
pub fn check_logs(settings: &Settings) -> Vec<Diagnostic> {
    let wanted = settings.used_logs();
    let paths = settings.logs.iter().enumerate().filter(|(number, _)| wanted.contains(number)).map(|(_, path)| path);
    // What is a device or a descriptor of this process may be another thing for the server.
    let paths = paths.filter(|path| !path.starts_with("/dev"));
    let failures = paths.filter_map(|path| way::may_append(path).err().map(|error| (path.clone(), error)));
    failures.map(|failure| log_failure(settings, &failure)).collect()
}

/// Whether the pid file that a line names could be written, without making it.
pub fn check_pid(settings: &Settings) -> Option<Diagnostic> {
    let path = settings.main.process.pid.as_ref().filter(|path| path.symlink_metadata().is_err())?;
    let made = path.parent().map_or(Ok(()), |above| rustix::fs::access(above, Access::WRITE_OK | Access::EXEC_OK));
    let error = way::may_append(path).err().or(made.err().map(io::Error::from))?;
    let instead = "name a file that you may write, such as `pid /tmp/longshore.pid;`";
    Some(failure(settings, &["pid"], "write the pid file", path, &error, instead))
}

/// Folders for temporary files that could not be made: those above them are not there. Each one is the same to all who name it.
pub fn check_temporary(settings: &Settings) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    for (name, span) in lines(settings).filter(|(name, _)| name.ends_with("_temp_path")) {
        let Some((_, path)) = words(settings, span).nth(1) else { continue };
        let path = settings.prefix.join(path);
        let above = path.parent().filter(|_| !path.exists()).map(std::fs::metadata);
        if let Some(Err(error)) = above {
            let failure =
                failure(settings, &[name], "make the folder", &path, &error, "name a folder that you may make");
            if !found.iter().any(|known| known.message == failure.message) {
                found.push(failure);
            }
        }
    }
    found
}

/// Whether what goes to the error log of the whole server is shown on standard error.
pub fn logs_to_stderr(settings: &Settings) -> bool {
    settings.main.error_log.targets.iter().any(|target| match target.place {
        logging::Place::Log(number) => settings.logs.get(number).is_some_and(|path| path == Path::new("/dev/stderr")),
        logging::Place::Syslog(_) => false,
    })
}

fn log_failure(settings: &Settings, (path, error): &(PathBuf, io::Error)) -> Diagnostic {
    let names = ["error_log", "access_log"];
    let instead = "name a file that you may write, or write `error_log stderr;` and `access_log /dev/stdout;`";
    failure(settings, &names, "open the log file", path, error, instead)
}

/// What is said of a path that cannot be had: its place in the conf, the cause, and what to do.
fn failure(
    settings: &Settings,
    names: &[&str],
    what: &str,
    path: &Path,
    error: &io::Error,
    instead: &str,
) -> Diagnostic {
    let message = format!("cannot {what} `{}`: {}", path.display(), system_words(error));
    let above = path.parent().filter(|_| error.kind() == io::ErrorKind::NotFound);
    let help = match above.filter(|above| !above.exists()) {
        Some(above) => format!("the folder is missing: `mkdir -p {}`", escape::shell(above.display())),
        None => instead.to_string(),
    };
    let span = line_of(settings, names, path);
    Diagnostic { span, ..Diagnostic::error(Span::default(), message).code(Code::CannotOpen).help(help) }
}

/// All lines of the conf that a row took, with the names of their directives.
fn lines(settings: &Settings) -> impl Iterator<Item = (&'static str, Span)> {
    let scopes = [&settings.main, &settings.http].into_iter().chain(settings.scopes());
    scopes.flat_map(|scope| scope.places.set.iter().copied())
}

/// The word that names a path; `None` if it is a default.
fn line_of(settings: &Settings, names: &[&str], path: &Path) -> Option<Span> {
    let mut lines = lines(settings).filter(|(name, _)| names.contains(name));
    lines.find_map(|(_, span)| {
        let mut words = words(settings, span);
        words.find(|(_, word)| settings.prefix.join(word) == *path).map(|(place, _)| place)
    })
}

/// The words of a line as they are written, without quotes.
fn words(settings: &Settings, line: Span) -> impl Iterator<Item = (Span, &str)> {
    let source = settings.sources.files.get(line.file as usize);
    let text = source.and_then(|source| source.text.get(line.start as usize..line.end as usize));
    let text = text.and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
    let words = text.split([' ', '\t', '\r', '\n', ';', '"', '\'']).filter(|word| !word.is_empty());
    words.map(move |word| {
        let start = line.start + (word.as_ptr() as usize - text.as_ptr() as usize) as u32;
        (Span { start, end: start + word.len() as u32, ..line }, word)
    })
}

/// Opens the sockets that nobody listens on yet, in their order. When one fails, none stays open.
pub fn listeners(
    sockets: &[Arc<Socket>],
    is_open: impl Fn(&Address) -> bool,
) -> Result<Vec<Listener>, Vec<Diagnostic>> {
    let (mut opened, mut failures) = (Vec::new(), Vec::new());
    for socket in sockets.iter().filter(|socket| !is_open(&socket.address)) {
        match Listener::open(&socket.address, &socket.options) {
            Ok(listener) => opened.push(listener),
            Err(error) => failures.push(
                Diagnostic::error(socket.span, explain(&socket.address, &error))
                    .code(Code::CannotListen)
                    .help(remedy(&socket.address, &error)),
            ),
        }
    }
    if failures.is_empty() {
        return Ok(opened);
    }
    remove_files(opened.iter().filter_map(Listener::file));
    Err(failures)
}

/// Removes the files of Unix sockets that are no longer listened on.
pub fn remove_files<'a>(files: impl Iterator<Item = &'a Arc<SocketFile>>) {
    for file in files {
        if let Err(error) = file.remove() {
            log::error!("cannot remove {}: {}", file.path().display(), system_words(&error));
        }
    }
}

/// Why a socket cannot be opened, in words that help.
fn explain(address: &Address, error: &io::Error) -> String {
    match (error.kind(), address) {
        (io::ErrorKind::AddrInUse, Address::Ip(ip)) => match holder(ip.port()) {
            Some((name, pid)) => format!("port {} is already in use by {name} (pid {pid})", ip.port()),
            None => format!("port {} is already in use by another program", ip.port()),
        },
        (io::ErrorKind::AddrInUse, Address::Unix(path)) => format!("a server listens on `{}` already", path.display()),
        (io::ErrorKind::PermissionDenied, Address::Ip(ip)) if ip.port() < 1024 => {
            let (port, other) = (ip.port(), ip.port() + MOVED_UP);
            format!("port {port} may only be opened by root; with `--rootless` it is port {other}")
        }
        (io::ErrorKind::AddrNotAvailable, _) => format!("{address} is no address of this machine"),
        _ => format!("cannot listen on {address}: {}", system_words(error)),
    }
}

/// What to do about it.
fn remedy(address: &Address, error: &io::Error) -> String {
    match (error.kind(), address) {
        (io::ErrorKind::AddrInUse, Address::Ip(ip)) => {
            let other = ip.port().checked_add(1).unwrap_or(8080);
            format!(
                "stop that program (`ss -ltnp` shows who listens where), or write another port, such as `listen {other};`"
            )
        }
        (io::ErrorKind::AddrInUse, Address::Unix(_)) => "stop that server, or name another file".into(),
        (io::ErrorKind::PermissionDenied, Address::Ip(_)) => {
            "start it as root (`user` names who answers), or write a port from 1024 on".into()
        }
        (io::ErrorKind::AddrNotAvailable, Address::Ip(ip)) => {
            format!("`ip address` lists those it has; `listen {};` takes any", ip.port())
        }
        (io::ErrorKind::NotFound, Address::Unix(path)) => {
            let above = path.parent().unwrap_or(path);
            format!("the folder is missing: `mkdir -p {}`", escape::shell(above.display()))
        }
        (io::ErrorKind::PermissionDenied, Address::Unix(_)) => "name a file in a folder that you may write in".into(),
        _ => "name another address".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_apart() {
        use io::ErrorKind as Kind;
        let low = Address::Ip(([0, 0, 0, 0], 80).into());
        let unix = Address::Unix("/run/s".into());
        for (address, kind, want) in [
            (&low, Kind::PermissionDenied, "port 80 may only be opened by root; with `--rootless` it is port 8080"),
            (&low, Kind::AddrNotAvailable, "0.0.0.0:80 is no address of this machine"),
            (&unix, Kind::AddrInUse, "a server listens on `/run/s` already"),
            (&unix, Kind::NotFound, "cannot listen on unix:/run/s: entity not found"),
        ] {
            assert_eq!(explain(address, &kind.into()), want);
        }
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Ip(taken.local_addr().unwrap());
        let message = explain(&address, &Kind::AddrInUse.into());
        assert!(message.ends_with(&format!("(pid {})", std::process::id())), "{message}");
    }
}
