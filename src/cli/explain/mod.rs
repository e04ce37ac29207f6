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
use crate::conf::machine::Identity;
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
                Shape::Text if asked.short => text::short,
                Shape::Text => text::page,
                Shape::Json => json::object,
            };
            let between = if asked.as_expect || asked.short || asked.format == Shape::Json { "" } else { "\n" };
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const CONF: &str = "upstream app { hash $uri; server 127.0.0.1:9001; server 127.0.0.1:9002 weight=2; }
        server {
            listen 127.0.0.1:8080; server_name a.test; root .;
            location / { add_header X-A 'b c'; expires 1h; }
            location /private/ { satisfy any; deny all; auth_basic x; auth_basic_user_file none; }
            location /old { rewrite ^/old(.*) /new$1 permanent; }
            location /app/ { proxy_pass http://app/v1/; }
            location /cgi/ { cgi on; }
            location /dav/ { dav_methods PUT; alias ./; }
        }
        server { listen 127.0.0.1:8080; server_name b.test; return 444; }";

    /// What is only in one of the forms, on purpose: names for programs, what the person who asks has written, and a path on disk
    /// that does not matter to an answer without a file.
    const FOR_PROGRAMS: [&str; 9] = ["end", "handler", "about", "request", "path", "file", "first", "kind", "user"];

    fn leaves(value: &Value, name: &str, out: &mut Vec<String>) {
        match value {
            _ if FOR_PROGRAMS.contains(&name) => {}
            Value::Object(members) => members.iter().for_each(|(name, value)| leaves(value, name, out)),
            Value::Array(items) => items.iter().for_each(|item| leaves(item, name, out)),
            Value::String(text) => out.push(text.clone()),
            Value::Number(number) => out.push(number.to_string()),
            Value::Bool(_) | Value::Null => {}
        }
    }

    #[test]
    fn both_forms_tell_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("cgi")).unwrap();
        std::fs::write(at("a.txt"), "hello").unwrap();
        std::fs::write(at("cgi/a"), "#!/bin/sh\necho\n").unwrap();
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(at("cgi/a"), everybody).unwrap();
        std::fs::write(at("site.conf"), CONF).unwrap();
        let request = load::Request { file: at("site.conf"), prefix: folder.path().into(), ..load::Request::default() };
        let settings = Arc::new(load::load(&request).settings.expect("the conf is right"));
        for (url, method, end) in [
            ("http://a.test:8080/a.txt", "GET", "answer"),
            ("http://a.test:8080/none", "GET", "answer"),
            ("http://a.test:8080/private/x", "GET", "answer"),
            ("http://a.test:8080/old/x", "GET", "answer"),
            ("http://a.test:8080/app/x?y", "GET", "pass"),
            ("http://a.test:8080/cgi/a/b", "GET", "run"),
            ("http://a.test:8080/dav/new", "PUT", "change"),
            ("http://b.test:8080/", "GET", "close"),
        ] {
            let words = ["longshore", "explain", "-X", method, url];
            let asked = <Explain as clap::FromArgMatches>::from_arg_matches(
                &<Explain as clap::Args>::augment_args(clap::Command::new("explain").disable_help_flag(true))
                    .get_matches_from(&words[1..]),
            );
            let asked = asked.expect("the words are right");
            let question = asking::question(&asked, url, &settings).expect("somebody listens");
            let found = finding::read(asking::ask(settings.clone(), question), "nobody");
            let value: Value = serde_json::from_str(&json::object(&found)).expect("JSON");
            assert_eq!(value["end"], end, "{url}");
            // Long lines are broken where a blank stands, and places of one line stand there once.
            let page = text::page(&found).split_whitespace().collect::<Vec<_>>().join(" ");
            let mut told = Vec::new();
            leaves(&value, "", &mut told);
            assert!(told.len() > 20, "{url}");
            for leaf in told {
                let leaf = leaf.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(page.contains(&leaf), "{url}: `{leaf}` is not in\n{}", text::page(&found));
            }
        }
    }
}
