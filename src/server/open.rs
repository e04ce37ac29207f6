//! Opening everything a conf names before it comes into force: log files and listeners. All that fails is
//! named in one run, and what was opened in vain is closed again.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::listen::{Listener, holder};
use super::logfile::{Logs, Source};
use super::socket_file::SocketFile;
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::listening::{Address, MOVED_UP};
use crate::conf::way;
use crate::exchange::error::system_words;
use crate::settings::Settings;
use crate::settings::sockets::Socket;

/// Opens the log files of a conf; what `before` has open under the same path is taken over.
pub fn logs(settings: &Settings, before: Option<&Logs>, source: &dyn Source) -> Result<Arc<Logs>, Vec<Diagnostic>> {
    let wanted = settings.used_logs();
    let opened = Logs::open(&settings.logs, |number| wanted.contains(&number), before, source);
    opened.map(Arc::new).map_err(|failures| failures.iter().map(log_failure).collect())
}

/// Whether each log file could be opened, without making any.
pub fn check_logs(settings: &Settings) -> Vec<Diagnostic> {
    let wanted = settings.used_logs();
    let paths = settings.logs.iter().enumerate().filter(|(number, _)| wanted.contains(number)).map(|(_, path)| path);
    // What is a device or a descriptor of this process may be another thing for the server.
    let paths = paths.filter(|path| !path.starts_with("/dev"));
    let failures = paths.filter_map(|path| way::may_append(path).err().map(|error| (path.clone(), error)));
    failures.map(|failure| log_failure(&failure)).collect()
}

fn log_failure((path, error): &(PathBuf, io::Error)) -> Diagnostic {
    let message = format!("cannot open the log file `{}`: {}", path.display(), system_words(error));
    Diagnostic { span: None, ..Diagnostic::error(Default::default(), message).code(Code::CannotOpen) }
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
            Err(error) => {
                failures.push(Diagnostic::error(socket.span, explain(&socket.address, &error)).code(Code::CannotListen))
            }
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
