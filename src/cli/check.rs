//! `-t` and `-T`: a conf is tested, and everything there is to say about it is said in one run.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use super::options::{Form, Options};
use super::say;
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::render::render;
use crate::conf::source::Sources;
use crate::server::open;
use crate::settings::load::{self, Level, Loaded, Request};

/// Tests a conf and ends with nginx's two lines, and nginx's exit code.
pub fn run(request: &Request, options: &Options) -> ExitCode {
    let mut loaded = load::load(request);
    if let Some(settings) = &loaded.settings {
        loaded.diagnostics.extend(open::check_logs(settings));
    }
    show(&loaded, options, options.quiet);
    let file = request.file.display();
    if loaded.has_errors() {
        say(&format!("longshore: configuration file {file} test failed"));
        return ExitCode::FAILURE;
    }
    if !options.quiet {
        if let Some(place) = inside(loaded.level) {
            say(&format!("longshore: note: {file} was taken for what stands inside {place}"));
        }
        let without: Vec<&str> = loaded.without_effect.iter().map(|(name, _)| name.as_str()).collect();
        if !without.is_empty() {
            say(&format!("longshore: note: without effect here: {}", without.join(", ")));
        }
        say(&format!("longshore: the configuration file {file} syntax is ok"));
        say(&format!("longshore: configuration file {file} test is successful"));
    }
    if options.dump {
        dump(&loaded);
    }
    ExitCode::SUCCESS
}

/// Shows what a load found: errors only, or everything.
pub fn show(loaded: &Loaded, options: &Options, errors_only: bool) {
    show_all(&loaded.diagnostics, &loaded.sources, options, errors_only);
}

/// Shows diagnostics in the form that was asked for: JSON on standard output, else text on standard error.
pub fn show_all(diagnostics: &[Diagnostic], sources: &Sources, options: &Options, errors_only: bool) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    for diagnostic in diagnostics {
        if errors_only && diagnostic.severity != Severity::Error {
            continue;
        }
        let text = render(sources, diagnostic, options.format.into(), colour);
        match options.format {
            // A reader that closed its end wants no more.
            Form::Json => drop(std::io::stdout().write_all(text.as_bytes())),
            _ => say(&text),
        }
    }
}

/// The block that a fragment was taken for the inside of; none for a whole conf.
pub fn inside(level: Level) -> Option<&'static str> {
    match level {
        Level::Main => None,
        Level::Http => Some("`http`"),
        Level::Server => Some("`server`"),
        Level::Location => Some("`location`"),
    }
}

/// Every file once, behind its name.
fn dump(loaded: &Loaded) {
    let mut out = std::io::stdout().lock();
    for source in loaded.files.iter().filter_map(|file| loaded.sources.files.get(*file as usize)) {
        // A reader that closed its end wants no more.
        let _ = writeln!(out, "# configuration file {}:", source.name.display());
        let _ = out.write_all(&source.text);
        let _ = writeln!(out);
    }
}
