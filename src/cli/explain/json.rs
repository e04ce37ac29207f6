//! What was found, for programs: one object, whose members stand in docs/explain.md. New members may come; those there are
//! keep their meaning.

use std::os::unix::ffi::OsStrExt;

use super::finding::{End, Finding, Line, Setting};
use crate::exchange::trace::{Act, Peer, Peers, Told};
use crate::http::escape;

/// The object, and a line end.
pub fn object(found: &Finding) -> String {
    let mut members = vec![
        ("method", text(&found.method)),
        ("url", text(&found.url)),
        ("client", text(&found.client)),
        ("status", status(found)),
        ("end", text(end(&found.end))),
        ("presumed", list(found.presumed.iter().map(|what| text(what)))),
        ("reason", or_null(found.reason.as_deref())),
        ("redirect", or_null(found.redirect.as_deref())),
        ("request", fields(&found.asked.fields)),
        ("answer", fields(&found.answer)),
        ("filters", list(found.filters.iter().map(|name| text(name)))),
        ("listener", listener(found)),
        ("server", place(chosen(found))),
        ("servers", list(found.servers.iter().map(server))),
        ("location", place(found.location.as_ref())),
        ("steps", list(found.decisions.iter().map(step))),
        ("handler", text(found.step)),
        ("path", text(&found.path)),
        ("file", text(&found.file)),
        ("user", text(&found.user)),
        ("walk", list(found.walk.iter().map(stage))),
        ("limits", list(found.limits.iter().map(setting))),
        ("settings", list(found.settings.iter().map(setting))),
    ];
    match &found.end {
        End::Act(Act::Run { command, folder, variables }) => {
            let members_of = |(name, value): &(Vec<u8>, Vec<u8>)| format!("{}:{}", bytes(name), bytes(value));
            let variables = variables.iter().map(members_of).collect::<Vec<_>>().join(",");
            members.push((
                "run",
                join(&[
                    ("command", list(command.iter().map(|word| bytes(word)))),
                    ("folder", bytes(folder.as_os_str().as_bytes())),
                    ("environment", format!("{{{variables}}}")),
                ]),
            ));
        }
        End::Act(Act::Pass { by, to, peers, told }) => {
            let list_of = |peers: &Peers| list(peers.list.iter().map(peer));
            let told = match told {
                Told::Head(head) => ("head", list(lines(head).map(bytes))),
                Told::Values(values) => ("values", fields(values)),
            };
            let members_of = [
                ("by", text(by)),
                ("to", bytes(to)),
                ("how", peers.as_ref().map_or("null".into(), |peers| text(&peers.how))),
                ("peers", peers.as_ref().map_or("null".into(), list_of)),
                told,
            ];
            members.push(("pass", join(&members_of)));
        }
        End::Act(Act::Change { what, path }) => {
            members.push(("change", join(&[("what", text(what)), ("path", bytes(path))])));
        }
        End::Answer(_) | End::Close | End::Wait => {}
    }
    format!("{}\n", join(&members))
}

fn chosen(found: &Finding) -> Option<&Line> {
    found.servers.iter().find(|server| server.is_chosen).and_then(|server| server.line.as_ref())
}

/// The status, if it is sure.
fn status(found: &Finding) -> String {
    match &found.end {
        End::Answer(status) if found.presumed.is_empty() => status.to_string(),
        End::Answer(_) | End::Close | End::Act(_) | End::Wait => "null".into(),
    }
}

fn end(end: &End) -> &'static str {
    match end {
        End::Answer(_) => "answer",
        End::Close => "close",
        End::Act(Act::Run { .. }) => "run",
        End::Act(Act::Pass { .. }) => "pass",
        End::Act(Act::Change { .. }) => "change",
        End::Wait => "wait",
    }
}

fn listener(found: &Finding) -> String {
    let members = [
        ("address", text(&found.listener)),
        ("tls", found.is_tls.to_string()),
        ("line", place(found.listen_line.as_ref())),
    ];
    join(&members)
}

fn server(server: &super::finding::Candidate) -> String {
    join(&[
        ("names", list(server.names.iter().map(|name| text(name)))),
        ("chosen", server.is_chosen.to_string()),
        ("why", text(&server.verdict)),
        ("line", place(server.line.as_ref())),
    ])
}

fn step(step: &super::finding::Decision) -> String {
    join(&[("about", text(step.about)), ("what", text(&step.text)), ("line", place(step.line.as_ref()))])
}

fn peer(peer: &Peer) -> String {
    join(&[
        ("server", text(&peer.server)),
        ("address", text(&peer.address)),
        ("note", text(&peer.note)),
        ("first", peer.is_first.to_string()),
    ])
}

/// Names and values in their order: a name may stand there twice.
fn fields(fields: &[(Vec<u8>, Vec<u8>)]) -> String {
    list(fields.iter().map(|(name, value)| join(&[("name", bytes(name)), ("value", bytes(value))])))
}

/// The lines of a head.
pub fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
}

fn stage(stage: &super::walk::Stage) -> String {
    join(&[
        ("path", bytes(stage.path.as_os_str().as_bytes())),
        ("kind", text(&stage.kind)),
        ("owner", text(&stage.owner)),
        ("group", text(&stage.group)),
        ("mode", text(&stage.mode)),
        ("open", stage.is_open.to_string()),
        ("target", stage.is_target.to_string()),
    ])
}

fn setting(setting: &Setting) -> String {
    join(&[("name", text(setting.name)), ("text", text(&setting.text)), ("line", place(setting.line.as_ref()))])
}

/// A line of the conf; `null` where there is none.
fn place(line: Option<&Line>) -> String {
    let Some(line) = line else { return "null".into() };
    join(&[("file", text(&line.file)), ("line", line.number.to_string()), ("text", text(&line.text))])
}

fn join(members: &[(&str, String)]) -> String {
    let members = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect::<Vec<_>>();
    format!("{{{}}}", members.join(","))
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn or_null(value: Option<&str>) -> String {
    value.map_or("null".into(), text)
}

fn text(value: &str) -> String {
    bytes(value.as_bytes())
}

/// Bytes that are no UTF-8 are shown as U+FFFD: JSON has no word for them.
fn bytes(value: &[u8]) -> String {
    let mut out = vec![b'"'];
    escape::json(&mut out, String::from_utf8_lossy(value).as_bytes());
    out.push(b'"');
    String::from_utf8_lossy(&out).into_owned()
}
