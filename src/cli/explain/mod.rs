//! `longshore explain`: what would become of a request, and which line of the conf decides each step. The pipeline that serves
//! decides here too, with nothing done for the request; this room asks it and shows what it told.

mod asking;
mod expectation;
mod finding;
mod json;
mod text;
mod url;
mod walk;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use super::options::{Explain, Form, Options, Shape};
use super::{check, say};
use crate::features::process::Identity;
use crate::server::daemon;
use crate::settings::Settings;
use crate::settings::load;
use finding::Finding;

/// Explains a request; the exit code is that of failure if there is nothing to explain.
pub fn run(asked: &Explain) -> ExitCode {
    match explain(asked) {
        Ok(findings) => {
            let form = match asked.format {
                _ if asked.as_expect => expectation::line,
                Shape::Text => text::page,
                Shape::Json => json::object,
            };
            let between = if asked.as_expect || asked.format == Shape::Json { "" } else { "\n" };
            let out = findings.iter().map(form).collect::<Vec<_>>().join(between);
            // A reader that closed its end wants no more.
            let _ = std::io::stdout().lock().write_all(out.as_bytes());
            ExitCode::SUCCESS
        }
        Err(said) => {
            if !said.is_empty() {
                say(&format!("longshore: {said}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// An error is the text to show, and empty if all is said.
fn explain(asked: &Explain) -> Result<Vec<Finding>, String> {
    let settings = Arc::new(settings(asked)?);
    let questions = asked.urls.iter().map(|url| asking::question(asked, url, &settings));
    let questions = questions.collect::<Result<Vec<_>, _>>()?;
    let user = take_rights(&settings)?;
    Ok(questions.into_iter().map(|question| finding::read(asking::ask(settings.clone(), question), &user)).collect())
}

fn settings(asked: &Explain) -> Result<Settings, String> {
    let options = Options {
        conf: asked.conf.clone(),
        prefix: asked.prefix.clone(),
        globals: asked.globals.clone(),
        partial: asked.partial,
        rootless: asked.rootless,
        format: Form::Long,
        ..Options::default()
    };
    let request = super::request(&options)?;
    let mut loaded = load::load(&request);
    check::show(&loaded, &options, true);
    match (loaded.settings.take(), check::inside(loaded.level)) {
        (Some(settings), _) => Ok(settings),
        (None, Some(place)) if !loaded.has_errors() => {
            Err(format!("{} is no whole conf: it stands inside {place}", request.file.display()))
        }
        (None, _) => Err(format!("the conf {} has errors: `longshore -t` says the same", request.file.display())),
    }
}

/// Looks at files as the server would: root becomes the user that the server runs as. Somebody else cannot, and looks as
/// themselves.
fn take_rights(settings: &Settings) -> Result<String, String> {
    if !nix::unistd::geteuid().is_root() {
        let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        return Ok(me.map_or_else(|| nix::unistd::geteuid().to_string(), |user| user.name));
    }
    let identity: Identity = match &settings.main.process.user {
        Some(identity) => identity.clone(),
        None => daemon::nobody().map_err(|error| error.to_string())?,
    };
    if identity.uid != 0 {
        daemon::become_user(&identity).map_err(|error| format!("cannot become user {}: {error}", identity.name))?;
    }
    Ok(identity.name)
}
