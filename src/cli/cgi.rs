//! `longshore cgi run`: a script is run without a server, and everything about it is shown: how it was started, what it
//! was told, what it wrote, how it ended, and the answer that a client would get. What happens is decided by the
//! pipeline alone; this file makes the request and shows what came of it.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use super::offline::{self, Answer, Seen};
use super::options::{Form, Options, RunScript};
use super::script_url::{self, Way};
use super::{check, plain, say};
use crate::exchange::Failure;
use crate::exchange::error::Level;
use crate::gateway::head;
use crate::http::framing;
use crate::http::head::Head;
use crate::http::response::Response;
use crate::http::{date, escape};
use crate::settings::Settings;
use crate::settings::load::{self, Request};

/// Runs a script; the exit code is that of failure if no script ran or the answer is an error of the server.
pub fn run(asked: &RunScript) -> ExitCode {
    match answer(asked) {
        Ok(answer) => {
            let code = answer.response.as_ref().map_or(500, |response| response.status);
            // A reader that closed its end wants no more.
            let _ = show(&answer, &mut std::io::stdout().lock());
            if answer.scripts.is_empty() || code >= 500 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(text) => {
            if !text.is_empty() {
                say(&format!("longshore: {text}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// The answer; an error is the text to show, and empty if all is said.
fn answer(asked: &RunScript) -> Result<Answer, String> {
    let here = std::env::current_dir().map_err(|error| format!("the current folder cannot be entered: {error}"))?;
    let script = plain(&here.join(&asked.script));
    if !script.is_file() {
        return Err(format!("there is no script {}", script.display()));
    }
    let settings = Arc::new(settings(asked, &here, &script)?);
    let way = script_url::find(&settings, &script, asked.url.as_deref())?;
    let body = asked.body.as_deref().map(read_body).transpose()?;
    let text = head_text(asked, &way, body.as_deref());
    let mut head = Head::default();
    head.parse(&text, &way.group.default.scope.request_head.limits)
        .map_err(|error| format!("this is no request that a client could send: {}", error.log()))?;
    if asked.conf.is_some() && nix::unistd::geteuid().is_root() {
        say(
            "longshore: note: the script runs as root here; a server runs it as the `user` of the conf, else as nobody",
        );
    }
    let answer = offline::ask(settings, &way.group, head, body.unwrap_or_default())
        .map_err(|error| format!("the system has no room to run a script: {error}"))?;
    let meant = |seen: &Seen| seen.command.iter().any(|word| plain(Path::new(word)) == script);
    let fails = |failure: &Failure| failure.reason.starts_with("cgi-") && failure.reason != "cgi-no-script";
    if !answer.run.x.failure.as_deref().is_some_and(fails) && !answer.scripts.iter().any(meant) {
        say(&format!("longshore: note: {} does not lead to {}", way.url, script.display()));
    }
    Ok(answer)
}

/// The settings of the conf, or of one in which every file of the script's folder is a script.
fn settings(asked: &RunScript, here: &Path, script: &Path) -> Result<Settings, String> {
    let prefix = asked.prefix.as_ref().map_or(here.to_path_buf(), |prefix| here.join(prefix));
    let (file, globals) = match &asked.conf {
        Some(file) => (prefix.join(file), None),
        None => (PathBuf::from("/dev/null"), Some(default_conf(script)?)),
    };
    let request = Request { file: plain(&file), prefix: plain(&prefix), globals, ..Request::default() };
    let mut loaded = load::load(&request);
    check::show(&loaded, &Options { format: Form::Long, ..Options::default() }, true);
    match (loaded.settings.take(), check::inside(loaded.level)) {
        (Some(settings), _) => Ok(settings),
        (None, Some(place)) if !loaded.has_errors() => {
            Err(format!("{} is no whole conf: it stands inside {place}", file.display()))
        }
        (None, _) => Err(String::new()),
    }
}

fn default_conf(script: &Path) -> Result<String, String> {
    let quoted = |path: &Path| match path.to_str() {
        Some(text) if !text.contains('$') => Ok(text.replace('\\', "\\\\").replace('"', "\\\"")),
        _ => Err(format!("no conf can name {}: name one with -c in which a folder above it is meant", path.display())),
    };
    let folder = quoted(script.parent().unwrap_or(Path::new("/")))?;
    let temporary = quoted(&std::env::temp_dir())?;
    Ok(format!(
        "events {{}} http {{ client_body_temp_path \"{temporary}\"; client_max_body_size 0; \
         server {{ listen 127.0.0.1:8080; server_name localhost; location / {{ root \"{folder}\"; cgi on; }} }} }}"
    ))
}

fn read_body(file: &Path) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let read = match file == Path::new("-") {
        true => std::io::stdin().read_to_end(&mut body).map(drop),
        false => std::fs::read(file).map(|bytes| body = bytes),
    };
    read.map(|()| body).map_err(|error| format!("the body {} cannot be read: {error}", file.display()))
}

/// The head as a client would send it.
fn head_text(asked: &RunScript, way: &Way, body: Option<&[u8]>) -> Vec<u8> {
    let given = |name: &str| {
        let begins = |field: &String| field.split(':').next().is_some_and(|given| given.eq_ignore_ascii_case(name));
        asked.fields.iter().any(begins)
    };
    let method = asked.method.as_deref().unwrap_or(if body.is_some() { "POST" } else { "GET" });
    let mut text = format!("{method} {} HTTP/1.1\r\n", way.url);
    let mut add = |name: &str, value: &str| text.push_str(&format!("{name}: {value}\r\n"));
    if !given("Host") {
        add("Host", &way.host);
    }
    if !given("User-Agent") {
        add("User-Agent", concat!("longshore/", env!("CARGO_PKG_VERSION")));
    }
    if let Some(body) = body {
        add("Content-Length", &body.len().to_string());
        if !given("Content-Type") {
            // What a browser's form sends where it says nothing else.
            add("Content-Type", "application/x-www-form-urlencoded");
        }
    }
    asked.fields.iter().for_each(|field| text.push_str(&format!("{field}\r\n")));
    text.push_str("\r\n");
    text.into_bytes()
}

// --- what is shown ---

fn show(answer: &Answer, out: &mut dyn Write) -> std::io::Result<()> {
    for seen in &answer.scripts {
        show_script(seen, out)?;
    }
    title(out, "log")?;
    // The lines that the script itself wrote there end in the request's id, and were shown above.
    let own = format!(", id: {}", answer.run.x.request_id());
    let reports = answer.run.x.log.reports.borrow();
    for report in reports.iter().filter(|report| report.level <= Level::Warn && !report.text.ends_with(&own)) {
        writeln!(out, "[{}] {}", report.level.name(), report.text)?;
    }
    if let Some(failure) = &answer.run.x.failure {
        writeln!(out, "reason: {}", failure.reason)?;
    }
    title(out, "answer")?;
    let Some(response) = &answer.response else { return writeln!(out, "none: the connection would be closed") };
    out.write_all(&head_of(answer, response))?;
    let last = answer.scripts.last().map(body_of).unwrap_or_default();
    match (answer.body.len(), answer.body == last) {
        (0, _) => writeln!(out, "(no body)")?,
        (n, true) => writeln!(out, "(the body above, {n} bytes)")?,
        (_, false) => put(out, &answer.body)?,
    }
    if answer.broken {
        writeln!(out, "(here it breaks off)")?;
    }
    Ok(())
}

fn show_script(seen: &Seen, out: &mut dyn Write) -> std::io::Result<()> {
    title(out, "command")?;
    let words = seen.command.iter().map(|word| escape::error_log(word.as_bytes()));
    writeln!(out, "{}", words.collect::<Vec<_>>().join(" "))?;
    writeln!(out, "in {}", seen.folder.display())?;
    title(out, "environment")?;
    for (name, value) in &seen.variables {
        let (name, value) = (escape::error_log(name.as_bytes()), escape::error_log(value.as_bytes()));
        writeln!(out, "{name}={value}")?;
    }
    title(out, "standard output: head")?;
    let body = body_of(seen);
    put(out, &seen.output[..seen.output.len() - body.len()])?;
    title(out, "standard output: body")?;
    put(out, body)?;
    if seen.written > seen.output.len() as u64 {
        writeln!(out, "(and {} bytes more)", seen.written - seen.output.len() as u64)?;
    }
    title(out, "standard error")?;
    seen.lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    title(out, "end")?;
    // All of them have ended when they are shown.
    let Some((time, status)) = seen.ended else { return Ok(()) };
    let how = status.map_or("it ended".to_string(), |status| status.to_string());
    writeln!(out, "{how}, after {:.1} ms", time.as_secs_f64() * 1e3)
}

/// What stands behind the empty line; nothing while there is none.
fn body_of(seen: &Seen) -> &[u8] {
    let end = head::end(&seen.output, 0).ok().flatten().unwrap_or(seen.output.len());
    &seen.output[end..]
}

/// The head of the answer as it would go out.
fn head_of(answer: &Answer, response: &Response) -> Vec<u8> {
    let x = &answer.run.x;
    let length = response.length.or_else(|| (!answer.streams).then(|| response.body.len()).filter(|_| !x.is_head()));
    let chunks = response.delivery.chunks;
    let framing = framing::decide(x.head.version, x.head.method, response.status, length, chunks, x.head.keep_alive);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut text = Vec::new();
    framing::write_head(&mut text, response, &framing, date::imf(now.as_secs()).as_bytes());
    text
}

fn title(out: &mut dyn Write, text: &str) -> std::io::Result<()> {
    writeln!(out, "== {text}")
}

/// Bytes as they are, and a line end behind them.
fn put(out: &mut dyn Write, bytes: &[u8]) -> std::io::Result<()> {
    out.write_all(bytes)?;
    if bytes.is_empty() || bytes.ends_with(b"\n") { Ok(()) } else { writeln!(out) }
}
