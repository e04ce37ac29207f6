//! All that is known of one request once it went through, as values: what both forms of the answer are made from. Decides
//! nothing: it reads what the pipeline told, and where the conf says so.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::asking::{Answer, Asked};
use super::walk::{self, Stage};
use crate::conf::args::bytes_to_path;
use crate::conf::source::{Sources, Span};
use crate::exchange::Failure;
use crate::exchange::trace::{Act, Remark};
use crate::features::server_name::Name;
use crate::http::escape;
use crate::http::head::{BodyLength, Version};
use crate::pipeline;
use crate::route::{Hosts, Server};
use crate::settings::{ROWS, Scope, in_force};

/// A line of the conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The file's name.
    pub file: String,
    /// From 1.
    pub number: usize,
    /// What stands there.
    pub text: String,
}

/// A server of the address, and why it took the request or did not.
pub struct Candidate {
    /// Its names as they stand.
    pub names: Vec<String>,
    /// Where it begins.
    pub line: Option<Line>,
    /// Whether it took the request.
    pub is_chosen: bool,
    /// Why.
    pub verdict: String,
}

/// A decision.
pub struct Decision {
    /// The directive or block.
    pub about: &'static str,
    /// The line that decided, if it was one.
    pub line: Option<Line>,
    /// What was decided.
    pub text: String,
}

/// A directive in force.
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Where it is set; none for a default.
    pub line: Option<Line>,
    /// The line's text, or what the default is.
    pub text: String,
}

/// How the request ends.
pub enum End {
    /// With an answer of this status.
    Answer(u16),
    /// The connection is closed without one.
    Close,
    /// With something that is not done here.
    Act(Act),
    /// It waits for something that does not come here.
    Wait,
}

/// All about one request.
pub struct Finding {
    /// `GET`.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The request as it came.
    pub asked: Asked,
    /// Its version.
    pub version: Version,
    /// What it asks for, as its first line says it.
    pub target: Vec<u8>,
    /// How long the body is.
    pub body: BodyLength,
    /// Who asks.
    pub client: String,
    /// Whether that is this machine.
    pub is_own: bool,
    /// The address that takes the connection.
    pub listener: String,
    /// Whether TLS is spoken there.
    pub is_tls: bool,
    /// Whether a proxy announces its client there.
    pub is_announced: bool,
    /// The first `listen` line of it; none if no line says so.
    pub listen_line: Option<Line>,
    /// The servers there, as they stand.
    pub servers: Vec<Candidate>,
    /// The location at the end.
    pub location: Option<Line>,
    /// What was decided, in order.
    pub decisions: Vec<Decision>,
    /// The step that ended it, as the pipeline names it.
    pub step: &'static str,
    /// How it ends.
    pub end: End,
    /// What was not asked, and is taken to let the request in; then the end is not sure.
    pub presumed: Vec<String>,
    /// The stable reason of an error.
    pub reason: Option<String>,
    /// Where the client is sent.
    pub redirect: Option<String>,
    /// The fields of the answer, but for Date and those of the connection.
    pub answer: Vec<(Vec<u8>, Vec<u8>)>,
    /// The filters that the response passes, in order; none without a response.
    pub filters: Vec<&'static str>,
    /// The path at the end, as the conf's lines made it.
    pub path: String,
    /// What the path is on disk.
    pub file: String,
    /// The way to it, where files matter.
    pub walk: Vec<Stage>,
    /// As whom files were looked at.
    pub user: String,
    /// What is in force.
    pub settings: Vec<Setting>,
    /// The limits, defaults too.
    pub limits: Vec<Setting>,
}

/// Limits that concern every request.
const LIMITS: [&str; 9] = [
    "client_max_body_size",
    "client_body_timeout",
    "large_client_header_buffers",
    "limit_req",
    "limit_conn",
    "limit_rate",
    "allow_methods",
    "send_timeout",
    "keepalive_timeout",
];

/// Steps whose answers are files.
const FILES: [&str; 5] = ["file", "index", "autoindex", "cgi", "try_files"];

/// Reads all of it from a request that went through.
pub fn read(answer: Answer, user: &str) -> Finding {
    let Answer { run, socket, group, url, response, fields, waits, is_own, asked } = answer;
    let sources = &run.settings.sources;
    let trace = run.x.trace.as_deref();
    let act = trace.and_then(|trace| trace.act.borrow().clone());
    let end = match (&response, act) {
        (Some(response), _) => End::Answer(response.status),
        (None, Some(act)) => End::Act(act),
        (None, None) if waits => End::Wait,
        (None, None) => End::Close,
    };
    let file = match &end {
        End::Act(Act::Run { command, variables, .. }) => script(command, variables),
        _ => run.x.path_of(&run.x.uri),
    };
    let walk = match (&end, FILES.contains(&run.at())) {
        (End::Act(Act::Change { path, .. }), _) => walk::down_to_write(bytes_to_path(path)),
        (End::Answer(_) | End::Act(Act::Run { .. }), true) => walk::down(bytes_to_path(&file)),
        _ => Vec::new(),
    };
    let host = run.x.head.host().unwrap_or_default().to_vec();
    let servers = run.settings.servers.iter().filter(|server| {
        let here = |listen: &crate::features::listen::Listen| listen.address == group.address;
        server.scope.listen.listens.iter().any(here)
    });
    let candidate = |server: &Arc<Server>| Candidate {
        names: server.scope.server_name.names.iter().map(|(_, word)| word.show()).collect(),
        line: line(sources, server.span),
        is_chosen: Arc::ptr_eq(server, &run.server),
        verdict: verdict(server, &run.server, &group.default, &host),
    };
    let decisions = trace.map(|trace| {
        let remarks = trace.remarks.borrow();
        remarks.iter().map(|remark| decision(sources, remark)).collect()
    });
    let is_within = run.location.as_ref().is_some_and(|location| !Arc::ptr_eq(&location.scope, run.scope()));
    let settings: Vec<Setting> = in_force::lines(run.scope(), is_within)
        .into_iter()
        .filter_map(|(name, span)| {
            let line = line(sources, span)?;
            Some(Setting { name, text: line.text.clone(), line: Some(line) })
        })
        .collect();
    Finding {
        method: String::from_utf8_lossy(run.x.head.method_text()).into_owned(),
        asked,
        version: run.x.head.version,
        target: run.x.head.target().to_vec(),
        body: run.x.head.body_length,
        client: run.x.client.peer.map_or("unix:".into(), |peer: SocketAddr| peer.ip().to_string()),
        is_own,
        listener: group.address.to_string(),
        is_tls: group.tls,
        is_announced: group.proxy_protocol,
        listen_line: line(sources, socket.span),
        servers: servers.map(candidate).collect(),
        location: run.x.blocks.1.and_then(|span| line(sources, span)),
        decisions: decisions.unwrap_or_default(),
        step: run.at(),
        presumed: trace.map(|trace| trace.presumed.borrow().clone()).unwrap_or_default(),
        reason: run.x.failure.as_deref().and_then(Failure::why),
        redirect: fields.iter().find(|(name, _)| name == b"Location").map(|(_, value)| show(value)),
        answer: fields,
        filters: if response.is_some() { pipeline::filters_in_force(run.scope()).collect() } else { Vec::new() },
        path: show(&run.x.uri),
        file: show(&file),
        limits: limits(&settings, &end, run.at()),
        walk,
        user: user.into(),
        settings,
        url,
        end,
    }
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The file of a script: what it is told, else the program itself.
fn script(command: &[Vec<u8>], variables: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let told = variables.iter().find(|(name, _)| name == b"SCRIPT_FILENAME").map(|(_, value)| value);
    told.or(command.last()).cloned().unwrap_or_default()
}

/// A line of the conf, without what stands inside a block.
fn line(sources: &Sources, span: Span) -> Option<Line> {
    let source = sources.files.get(span.file as usize).filter(|_| span.end > span.start)?;
    let text = source.text.get(span.start as usize..span.end as usize)?;
    let head = text.split(|&b| b == b'{').next().filter(|_| text.ends_with(b"{")).unwrap_or(text);
    let words: Vec<String> = head.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(show).collect();
    let file: PathBuf = source.name.clone();
    Some(Line { file: file.display().to_string(), number: sources.position(span).0, text: words.join(" ") })
}

fn decision(sources: &Sources, remark: &Remark) -> Decision {
    let scope = remark.scope.downcast_ref::<Scope>();
    let place = remark.place.or_else(|| scope?.places.of(remark.about));
    Decision { about: remark.about, line: place.and_then(|span| line(sources, span)), text: remark.text.clone() }
}

/// Why a server took the request, or why it did not. Each name is asked alone, by the table that serves.
fn verdict(server: &Arc<Server>, chosen: &Arc<Server>, default: &Arc<Server>, host: &[u8]) -> String {
    let fits = |name: &Name| {
        let mut alone = Hosts::default();
        alone.add(name, server);
        alone.find(host).is_ok_and(|found| found.is_some())
    };
    let found = server.scope.server_name.names.iter().find(|(name, _)| fits(name));
    let host = escape::error_log(host);
    match (Arc::ptr_eq(server, chosen), found) {
        (true, Some((_, word))) => format!("its name `{}` fits `{host}`", word.show()),
        (true, None) if Arc::ptr_eq(server, default) => {
            format!("no server here has the name `{host}`, and this one is the default of the address")
        }
        (true, None) => "it takes requests without a host".into(),
        (false, Some((_, word))) => {
            format!("its name `{}` fits too; exact names come first, then `*.x`, then `x.*`, then regexes", word.show())
        }
        (false, None) if Arc::ptr_eq(server, default) => "it is the default, for names that no server here has".into(),
        (false, None) if server.scope.server_name.names.is_empty() => "it has no name, and is not the default".into(),
        (false, None) => format!("no name of its is `{host}`"),
    }
}

fn limits(settings: &[Setting], end: &End, step: &str) -> Vec<Setting> {
    let mut names: Vec<&'static str> = LIMITS.to_vec();
    match end {
        End::Act(Act::Run { .. }) => names.extend(["cgi_timeout", "cgi_limit", "cgi_max_procs"]),
        End::Act(Act::Pass { by, .. }) => {
            let family = by.strip_suffix("pass").unwrap_or(by);
            let wanted = ["connect_timeout", "read_timeout", "send_timeout", "next_upstream"];
            let rows = ROWS.iter().map(|row| row.manual.name);
            names.extend(rows.filter(|name| name.strip_prefix(family).is_some_and(|rest| wanted.contains(&rest))));
        }
        _ => {}
    }
    match step {
        "upload" => names.extend([
            "upload_max_file_size",
            "upload_max_files",
            "upload_types",
            "upload_quota",
            "upload_on_conflict",
        ]),
        "dav" => names.extend(["create_full_put_path", "min_delete_depth"]),
        _ => {}
    }
    let mut limits = Vec::new();
    for name in names {
        let set = settings.iter().filter(|setting| setting.name == name);
        let before = limits.len();
        limits.extend(set.map(|set| Setting { name, line: set.line.clone(), text: set.text.clone() }));
        let row = ROWS.iter().find(|row| row.manual.name == name);
        if let Some(default) = row.and_then(|row| row.manual.default).filter(|_| limits.len() == before) {
            limits.push(Setting { name, line: None, text: format!("{name} {default};") });
        }
    }
    limits
}
