//! `-s`: a signal for the server whose pid file the conf names; for a reload, its verdict too.

use std::io::ErrorKind;
use std::process::ExitCode;

use nix::sys::signal::{Signal as Number, kill};
use nix::unistd::Pid;

use super::options::{Options, Signal};
use super::{check, say, serve};
use crate::exchange::error::system_words;
use crate::server::control_socket::{self, Verdict};
use crate::server::pid_file::PidFile;
use crate::settings::load::{self, Request};

/// Sends the signal.
pub fn send(signal: Signal, request: &Request, options: &Options) -> ExitCode {
    let loaded = load::load(request);
    let Some(settings) = &loaded.settings else {
        check::show(&loaded, options, true);
        return ExitCode::FAILURE;
    };
    let path = serve::pid_path(settings);
    let pid = match PidFile::read(&path) {
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
        && let Some(verdict) = control_socket::reload(&path, pid.as_raw(), |text| say(&format!("longshore: {text}")))
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

/// What became of a reload, in words and as an exit code.
fn after(verdict: &Verdict, options: &Options) -> ExitCode {
    let text = match verdict {
        Verdict::InForce if options.quiet => return ExitCode::SUCCESS,
        Verdict::InForce => "longshore: the new configuration is in force",
        Verdict::Refused => "longshore: [emerg] the new configuration was refused, the old one stays in force",
        Verdict::Gone => "longshore: [emerg] the server ended before it had taken the new configuration",
        Verdict::Unknown => {
            "longshore: [error] the server has not said within 10 seconds what became of the new configuration; its error log will"
        }
    };
    say(text);
    if *verdict == Verdict::InForce { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
