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
mod script_url;
mod serve;
mod serve_conf;
mod serve_folder;
mod signal;
mod version;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::server::parent;
use crate::settings::load::Request;
use options::{Asked, Options};

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
        say(&version::text(options.build));
        return ExitCode::SUCCESS;
    }
    match &options.command {
        Some(options::Command::Cgi(options::Cgi::Run(script))) => return cgi::run(script),
        Some(options::Command::Cert(options::Cert::SelfSigned(asked))) => return cert::run(asked),
        Some(options::Command::Compat(asked)) => return compat::run(asked),
        Some(options::Command::Expect(asked)) => return expect::run(asked, &options),
        Some(options::Command::Serve(asked)) => return serve_folder::run(asked, &options),
        Some(options::Command::Explain(asked)) => return explain::run(asked),
        Some(options::Command::Help(about)) => return explained::run(about.what.as_deref()),
        Some(options::Command::Completions(asked)) => return man::completions(asked.shell),
        None => {}
    }
    let request = match request(&options) {
        Ok(request) => request,
        Err(text) => {
            say(&format!("longshore: {text}"));
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
    let here = std::env::current_dir().map_err(|error| format!("the current folder cannot be entered: {error}"))?;
    let prefix = options.prefix.as_ref().map_or(here.clone(), |prefix| here.join(prefix));
    let prefix = plain(&prefix);
    let file = match &options.conf {
        Some(file) => prefix.join(file),
        None => default_conf(&prefix)?,
    };
    let error_log = options.error_log.as_ref().map(|path| match path.to_str() {
        Some("stderr") => PathBuf::from("/dev/stderr"),
        _ => prefix.join(path),
    });
    Ok(Request {
        file: plain(&file),
        prefix,
        globals: options.globals.clone(),
        partial: options.partial,
        error_log,
        rootless: options.rootless,
    })
}

/// The conf that is meant when none is named.
fn default_conf(prefix: &Path) -> Result<PathBuf, String> {
    let names = ["conf/nginx.conf", "conf/longshore.conf"];
    let found = names.iter().map(|name| prefix.join(name)).find(|path| path.exists());
    found.ok_or_else(|| {
        format!("there is no {} and no {} under {}; name a conf with -c", names[0], names[1], prefix.display())
    })
}

/// A path without its `.` parts, as people would write it.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Writes a line to standard error, where nginx writes all it says.
fn say(text: &str) {
    // Where standard error is gone, there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end_matches('\n'));
}
