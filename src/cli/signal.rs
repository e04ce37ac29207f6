//! `-s`: a signal for the server whose pid file the conf names.

use std::io::ErrorKind;
use std::process::ExitCode;

use nix::sys::signal::{Signal as Number, kill};
use nix::unistd::Pid;

use super::options::{Options, Signal};
use super::{check, say, serve};
use crate::exchange::error::system_words;
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
