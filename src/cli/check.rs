//! `-t` and `-T`: a conf is tested, and everything there is to say about it is said in one run.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use super::options::{Form, Options};
use super::say;
use crate::conf::codes::Code;
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::machine::Identity;
use crate::conf::render::{Format, render};
use crate::conf::source::Sources;
use crate::server::{daemon, open};
use crate::settings::Settings;
use crate::settings::dangers;
use crate::settings::load::{self, Level, Loaded, Request};

/// Who a server started now would answer as; none if that is whoever tests.
fn user(settings: &Settings) -> Option<Identity> {
    let named = settings.main.process.user.clone();
    nix::unistd::geteuid().is_root().then(|| named.or_else(|| daemon::nobody().ok())).flatten()
}

/// Tests a conf and ends with nginx's two lines, and nginx's exit code.
pub fn run(request: &Request, options: &Options) -> ExitCode {
    let mut loaded = load::load(request);
    if let Some(settings) = &loaded.settings {
        loaded.diagnostics.extend(open::check_logs(settings));
        if !options.rootless {
            loaded.diagnostics.extend(open::check_pid(settings));
            loaded.diagnostics.extend(open::check_temporary(settings));
        }
        let user = user(settings);
        if !loaded.has_errors() && !options.quiet {
            loaded.diagnostics.extend(dangers::find(&loaded, &request.prefix, user));
        }
    }
    show(&loaded, options, options.quiet);
    let file = request.file.display();
    if let Some(counts) = counts(&loaded.diagnostics, &loaded.sources).filter(|_| !options.quiet) {
        say(&format!("longshore: {counts}"));
    }
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
    let mut shown: Vec<(&Diagnostic, Vec<&Diagnostic>)> = Vec::new();
    for diagnostic in
        ordered(diagnostics, sources).into_iter().filter(|one| !errors_only || one.severity == Severity::Error)
    {
        match options.format {
            // What is the same in many lines is shown to people once, with a list of the others.
            Form::Long => match shown.iter().position(|(first, _)| same(first, diagnostic)) {
                Some(at) => shown[at].1.push(diagnostic),
                None if shown.len() < MOST => shown.push((diagnostic, Vec::new())),
                None => {}
            },
            Form::Short => say(&render(sources, diagnostic, Format::Short, colour)),
            // A reader that closed its end wants no more.
            Form::Json => {
                drop(std::io::stdout().write_all(render(sources, diagnostic, Format::Json, colour).as_bytes()))
            }
        }
    }
    for (first, others) in &mut shown {
        others.sort_by_key(|other| other.span.map(|span| (span.file, span.start)));
        say(&render(sources, first, Format::Long, colour));
        if !others.is_empty() {
            say(&format!("  = the same at {}", places(sources, others)));
        }
    }
    let told: usize = shown.iter().map(|(_, others)| 1 + others.len()).sum();
    if shown.len() == MOST && told < diagnostics.len() {
        say(&format!("longshore: {MOST} messages are shown; `--format short` shows all"));
    }
}

/// Errors first, as they are why the conf is refused; a character that looks like a quote is the cause of an error in its line,
/// and comes before it.
fn ordered<'d>(diagnostics: &'d [Diagnostic], sources: &Sources) -> Vec<&'d Diagnostic> {
    let line = |one: &Diagnostic| one.span.map(|span| (span.file, sources.position(span).0));
    let errors = diagnostics.iter().filter(|one| one.severity == Severity::Error);
    let has_odd = diagnostics.iter().any(|one| one.code == Code::OddCharacter);
    let lines: HashSet<_> = errors.filter(|_| has_odd).filter_map(line).collect();
    let is_cause = |one: &Diagnostic| one.code == Code::OddCharacter && line(one).is_some_and(|at| lines.contains(&at));
    let mut ordered: Vec<&Diagnostic> = diagnostics.iter().collect();
    ordered.sort_by_cached_key(|one| Reverse(if is_cause(one) { Severity::Error } else { one.severity }));
    ordered
}

/// How many errors and warnings there are, and how to learn more of one.
fn counts(diagnostics: &[Diagnostic], sources: &Sources) -> Option<String> {
    let number = |severity, word: &str| {
        let n = diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
        (n > 0).then(|| format!("{n} {word}{}", if n == 1 { "" } else { "s" }))
    };
    let parts = [number(Severity::Error, "error"), number(Severity::Warning, "warning")];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let first = *ordered(diagnostics, sources).first()?;
    (!text.is_empty()).then(|| format!("{text}; `longshore help {}` explains the first", first.code))
}

/// More different messages than this are not shown at length.
const MOST: usize = 1000;

/// Whether two messages say the same of two places.
fn same(a: &Diagnostic, b: &Diagnostic) -> bool {
    a.message == b.message && a.help == b.help && a.also.is_none() && b.also.is_none()
}

/// Where the others stand: each file once, with its lines, as many as one likes to read.
fn places(sources: &Sources, others: &[&Diagnostic]) -> String {
    let mut files: Vec<(String, Vec<String>)> = Vec::new();
    for span in others.iter().take(50).filter_map(|other| other.span) {
        let Some(source) = sources.files.get(span.file as usize) else { continue };
        let (name, line) = (source.name.display().to_string(), sources.position(span).0.to_string());
        match files.iter_mut().find(|(file, _)| *file == name) {
            Some((_, lines)) if lines.contains(&line) => {}
            Some((_, lines)) => lines.push(line),
            None => files.push((name, vec![line])),
        }
    }
    let one = |(name, lines): &(String, Vec<String>)| format!("{name}:{}", lines.join(","));
    let text = files.iter().map(one).collect::<Vec<_>>().join(" ");
    match others.len() {
        more @ 51.. => format!("{text} and {} more places", more - 50),
        _ => text,
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
