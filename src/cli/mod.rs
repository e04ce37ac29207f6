//! The command line: nginx's options and what they do before a server runs. Knows how a conf is loaded and
//! told about, not what stands in one.

mod cert;
mod cgi;
mod check;
mod compat;
pub mod expect;
mod explain;
pub mod explained;
pub mod man;
pub mod manual;
mod offline;
mod options;
mod paths;
mod script_url;
mod serve;
mod serve_conf;
mod serve_folder;
mod signal;
mod version;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::server::parent;
use crate::settings::load::Request;
use options::{Asked, Options};
use paths::{Home, Paths, plain};

/// For a start without a word where there is no conf.
const WHAT_IT_CAN_DO: &str = "
  longshore serve [folder]                serve a folder at once
  longshore -c site.conf                  serve what a conf says
  longshore -t -c site.conf               test a conf
  longshore explain -c site.conf /path    say what would become of a request, and why
  longshore help 502                      explain a status, a message or a directive
  longshore --help                        all options and commands";

/// Runs the program with its own arguments.
pub fn main() -> ExitCode {
    if parent::is_worker() {
        return parent::led::main();
    }
    let options = match options::read(std::env::args_os()) {
        Ok(Asked::Run(options)) => *options,
        Ok(Asked::Help(text)) => {
            say(&text);
            return ExitCode::SUCCESS;
        }
        Err(refused) => {
            say(&refused.text);
            return ExitCode::from(refused.code);
        }
    };
    if options.version || options.build {
        say_version(&options);
        if !(options.test || options.dump) {
            return ExitCode::SUCCESS;
        }
    }
    match &options.command {
        Some(options::Command::Cgi(options::Cgi::Run(script))) => return cgi::run(script),
        Some(options::Command::Cert(options::Cert::SelfSigned(asked))) => return cert::run(asked),
        Some(options::Command::Compat(asked)) => return compat::run(asked),
        Some(options::Command::Expect(asked)) => return expect::run(asked, &options),
        Some(options::Command::Serve(asked)) => return serve_folder::run(asked, &options),
        Some(options::Command::Explain(asked)) => return explain::run(asked),
        Some(options::Command::Help(about)) => return explained::run(&about.what),
        Some(options::Command::Completions(asked)) => return man::completions(asked.shell),
        None => {}
    }
    let request = match request(&options) {
        Ok(request) => request,
        Err(text) => {
            say(&format!("longshore: {text}"));
            if std::env::args_os().len() == 1 {
                say(WHAT_IT_CAN_DO);
            }
            return ExitCode::FAILURE;
        }
    };
    match &options.signal {
        Some(signal) => signal::send(*signal, &request, &options),
        None if options.test || options.dump => check::run(&request, &options),
        None => serve::run(&request, &options),
    }
}

/// What the options ask to be loaded.
fn request(options: &Options) -> Result<Request, String> {
    let Home { prefix, file } = paths::home(options, &here()?).map_err(|(_, text)| text)?;
    let error_log = options.error_log.as_ref().map(|path| match path.to_str() {
        Some("stderr") => PathBuf::from("/dev/stderr"),
        _ => prefix.join(path),
    });
    Ok(Request {
        file,
        prefix,
        globals: options.globals.clone(),
        partial: options.partial,
        error_log,
        rootless: options.rootless,
    })
}

fn here() -> Result<PathBuf, String> {
    std::env::current_dir().map_err(|error| format!("the current folder cannot be entered: {error}"))
}

/// What the program is, and for `-V` where it looks for things and what is built in.
fn say_version(options: &Options) {
    if !options.build {
        return say(&version::short(paths::called_nginx()));
    }
    // A folder that is gone is no reason to say nothing.
    let here = here().unwrap_or_else(|_| PathBuf::from("/"));
    let home = paths::home(options, &here).unwrap_or_else(|(home, _)| home);
    say(&version::long(&Paths::of(home)));
}

/// Writes a line to standard error, where nginx writes all it says; under nginx's name the line begins with it, since tools look
/// for that.
fn say(text: &str) {
    let text = text.trim_end_matches('\n');
    let own = text.strip_prefix("longshore: ").filter(|_| paths::called_nginx());
    // Where standard error is gone, there is nobody to tell.
    let _ = match own {
        Some(text) => writeln!(std::io::stderr(), "nginx: {text}"),
        None => writeln!(std::io::stderr(), "{text}"),
    };
}
