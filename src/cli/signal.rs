//! `-s`: a signal for the server whose pid file the conf names; for a reload, its verdict too.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal as Number, kill};
use nix::unistd::Pid;

use super::options::{Options, Signal};
use super::{check, say, serve};
use crate::exchange::error::system_words;
use crate::server::control_client::{self, Verdict};
use crate::server::pid_file::PidFile;
use crate::settings::load::{self, Request};

/// How long a server is waited for that has made its pid file and not written it yet, and how often it is looked at.
const TO_START: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(20);

/// Sends the signal.
pub fn send(signal: Signal, request: &Request, options: &Options) -> ExitCode {
    let loaded = load::load(request);
    let Some(settings) = &loaded.settings else {
        check::show(&loaded, options, true);
        return ExitCode::FAILURE;
    };
    let path = serve::pid_path(settings, request);
    let pid = match pid_in(&path) {
        Ok(pid) => Pid::from_raw(pid),
        Err(error) => {
            let words = system_words(&error);
            say(&format!("longshore: [error] cannot read the pid file \"{}\": {words}", path.display()));
            if error.kind() == ErrorKind::NotFound {
                say(match settings.main.process.pid {
                    Some(_) => "longshore: no server of this conf runs, or it was started with another `pid` line",
                    None => {
                        "longshore: a server writes it if its conf has a `pid` line, or with `-p`; or send the signal by `kill`"
                    }
                });
            }
            return ExitCode::FAILURE;
        }
    };
    if matches!(signal, Signal::Reload)
        && let Some(verdict) = ask(&path, pid)
    {
        return after(&verdict, options);
    }
    let number = match signal {
        Signal::Stop => Number::SIGTERM,
        Signal::Quit => Number::SIGQUIT,
        Signal::Reopen => Number::SIGUSR1,
        Signal::Reload => Number::SIGHUP,
    };
    match kill(pid, number) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("longshore: [error] cannot send {number} to process {pid}: {}", error.desc()));
            ExitCode::FAILURE
        }
    }
}

/// The process of a pid file. An empty one is that of a server that is about to write it: what started it has come back already.
fn pid_in(path: &Path) -> io::Result<i32> {
    let until = Instant::now() + TO_START;
    let is_empty = || path.metadata().is_ok_and(|found| found.is_file() && found.len() == 0);
    loop {
        match PidFile::read(path) {
            Err(_) if is_empty() && Instant::now() < until => std::thread::sleep(GLANCE),
            read => return read,
        }
    }
}

/// Asks for a reload over the control socket; none if the server does not answer there.
fn ask(pid_file: &Path, pid: Pid) -> Option<Verdict> {
    match control_client::reload(pid_file, pid.as_raw(), |text| say(&format!("longshore: {text}"))) {
        Ok(verdict) => return Some(verdict),
        // A server whose folder takes no socket has none.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            let (socket, words) = (control_client::beside(pid_file), system_words(&error));
            say(&format!(
                "longshore: note: process {pid} does not answer at {}: {words}; it gets a signal, and its error log tells the rest",
                socket.display()
            ));
        }
    }
    None
}

/// What became of a reload, in words and as an exit code.
fn after(verdict: &Verdict, options: &Options) -> ExitCode {
    let text = match verdict {
        Verdict::InForce if options.quiet => return ExitCode::SUCCESS,
        Verdict::InForce => "longshore: the new configuration is in force",
        Verdict::Refused => "longshore: [emerg] the new configuration was refused, the old one stays in force",
        Verdict::Gone => "longshore: [emerg] the server ended, or hung up, before it had taken the new configuration",
        Verdict::Busy => {
            "longshore: [error] too many wait already to hear what became of a reload; it is done, and the error log tells the rest"
        }
        Verdict::Unknown => {
            "longshore: [error] the server has not said within 10 seconds what became of the new configuration; its error log will"
        }
    };
    say(text);
    if *verdict == Verdict::InForce { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
