//! From what was typed to a request, and the request through the pipeline with nothing done for it. Knows the engine's part of
//! a request, not what the answer is shown as.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::url::Parts;
use crate::cli::offline;
use crate::cli::options::Explain;
use crate::conf::listening::Address;
use crate::exchange::tls::{Security, Session};
use crate::exchange::trace::Trace;
use crate::http::escape;
use crate::http::framing;
use crate::http::head::{Head, Refusal};
use crate::http::response::Response;
use crate::http::scanner::Scanner;
use crate::pipeline::{Drive, End, Run};
use crate::server::request::{refuse, resolve};
use crate::settings::Settings;
use crate::settings::sockets::{Greeted, Group, Socket};

/// A request and the address it comes to.
pub struct Question {
    pub(super) socket: Arc<Socket>,
    pub(super) group: Arc<Group>,
    pub(super) url: String,
    text: Vec<u8>,
    head: Head,
    refused: Option<Refusal>,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    security: Security,
    is_own: bool,
}

/// What came of it.
pub struct Answer {
    pub(super) run: Run,
    pub(super) socket: Arc<Socket>,
    pub(super) group: Arc<Group>,
    pub(super) url: String,
    /// None if the connection would be closed, or something would be done that is not done here.
    pub(super) response: Option<Response>,
    /// The fields of the answer as they would be sent, but for Date and those of the connection.
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the request would wait for something that does not come here.
    pub(super) waits: bool,
    /// Whether this machine asks, as `longshore expect` does.
    pub(super) is_own: bool,
    /// The request as it came.
    pub(super) asked: Asked,
}

/// A request as it came.
pub struct Asked {
    /// Its head, byte by byte.
    pub head: Vec<u8>,
    /// Whether the head can be understood.
    pub is_read: bool,
    /// Its fields.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The request that the options describe.
pub fn question(asked: &Explain, url: &str, settings: &Settings) -> Result<Question, String> {
    let parts = Parts::parse(url)?;
    let (socket, group, local) = listener(settings, &parts)?;
    if parts.secure && !group.tls {
        return Err(format!("{} speaks plain HTTP: ask with http://, or write `listen ... ssl`", group.address));
    }
    let host = match (parts.authority.is_empty(), local) {
        (false, _) => parts.authority.clone(),
        (true, Some(local)) if local.port() != 80 => format!("localhost:{}", local.port()),
        (true, _) => "localhost".into(),
    };
    let text = match &asked.head {
        Some(file) => std::fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?,
        None => head_text(asked, &parts, &host)?,
    };
    let (head, refused) = read_head(&text, &group)?;
    let own = local.map(|local| loopback(local.ip()));
    // A port from the range that clients have.
    let peer = asked.client.or(own).map(|ip| SocketAddr::new(ip, 49152));
    let secure = parts.secure || parts.authority.is_empty() && group.tls;
    let security = match (group.tls, secure) {
        (false, _) => Security::Plain,
        (true, false) => Security::Missing,
        (true, true) => Security::Tls(Arc::new(handshake(&parts.host, &group))),
    };
    // A head of its own may ask for another path than the URL does.
    let target = std::str::from_utf8(head.target()).ok().filter(|target| target.starts_with('/'));
    let url = format!("{}://{host}{}", if secure { "https" } else { "http" }, target.unwrap_or(&parts.target));
    let is_own = own.is_some() && asked.client.is_none_or(|client| Some(client) == own);
    Ok(Question { socket, group, url, text, head, refused, local, peer, security, is_own })
}

/// This machine, as a client of its own sees it.
fn loopback(local: IpAddr) -> IpAddr {
    match local {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// The handshake of a client that asks for the URL's host; an address is no name to ask for (RFC 6066 section 3).
fn handshake(host: &str, group: &Group) -> Session {
    let name = (!host.is_empty() && host.parse::<IpAddr>().is_err())
        .then(|| Bytes::from(host.trim_end_matches('.').to_ascii_lowercase()));
    let is_bound = group.greet(name.as_deref()).named.is_some();
    Session::asking(name, is_bound)
}

/// Reads a head as the server reads it: by the buffers of the address's default server.
fn read_head(text: &[u8], group: &Group) -> Result<(Head, Option<Refusal>), String> {
    let (mut head, limits) = (Head::default(), &group.default.scope.request_head.limits);
    let mut scanner = Scanner::default();
    let refused = match scanner.scan(text, limits) {
        Ok(Some(len)) => head.read(&text[..len], limits),
        Ok(None) => return Err("the head does not end: an empty line has to stand behind its fields".into()),
        Err(error) => Some(head.retrace(text, limits, error, Some(scanner.stop(limits)))),
    };
    Ok((head, refused))
}

type Place = (Arc<Socket>, Arc<Group>, Option<SocketAddr>);

/// The address that the URL leads to: the one it names, else one that takes all, else the first on its port.
fn listener(settings: &Settings, parts: &Parts) -> Result<Place, String> {
    let sockets = &settings.sockets;
    if sockets.is_empty() {
        return Err("the conf has no `server`, so nothing listens".into());
    }
    let named: Option<IpAddr> = parts.host.parse().ok();
    let fits = |socket: &&Arc<Socket>| match &socket.address {
        Address::Unix(_) => parts.authority.is_empty(),
        Address::Ip(at) => parts.authority.is_empty() || at.port() == parts.port(),
    };
    let rank = |socket: &&Arc<Socket>| match &socket.address {
        // Such a socket takes IPv4 too.
        Address::Ip(at) if at.ip().is_unspecified() && socket.options.ipv6only == Some(false) => 1,
        Address::Ip(at) if Some(at.ip()) == named => 0,
        Address::Ip(at) if at.ip().is_unspecified() && named.is_none_or(|ip| ip.is_ipv4() == at.is_ipv4()) => 1,
        Address::Ip(at) if named.is_none() && at.ip().is_loopback() => 2,
        Address::Ip(_) if named.is_none() => 3,
        _ => 4,
    };
    let best = match parts.authority.is_empty() {
        // A path alone is for the first server of the conf.
        true => sockets.first(),
        false => sockets.iter().filter(fits).min_by_key(rank).filter(|socket| rank(socket) < 4),
    };
    let Some(socket) = best else {
        let addresses = sockets.iter().flat_map(|socket| &socket.groups).map(|group| group.address.to_string());
        let listens = addresses.collect::<Vec<_>>().join(", ");
        let what = match named {
            Some(ip) => format!("on {} for {ip}", parts.port()),
            None => format!("on port {}", parts.port()),
        };
        return Err(format!("no server of the conf listens {what}; it listens on {listens}"));
    };
    let local = match (&socket.address, named) {
        (Address::Unix(_), _) => None,
        (Address::Ip(at), Some(ip)) => Some(SocketAddr::new(ip, at.port())),
        (Address::Ip(at), None) if at.ip().is_unspecified() => Some(SocketAddr::new(loopback(at.ip()), at.port())),
        (Address::Ip(at), None) => Some(*at),
    };
    Ok((socket.clone(), socket.group(local).clone(), local))
}

/// The head as a client would send it.
fn head_text(asked: &Explain, parts: &Parts, host: &str) -> Result<Vec<u8>, String> {
    let given = |name: &str| {
        let begins = |field: &String| field.split(':').next().is_some_and(|given| given.eq_ignore_ascii_case(name));
        asked.fields.iter().any(begins)
    };
    if let Some(bad) = asked.fields.iter().find(|field| !field.contains(':') || field.contains(['\r', '\n'])) {
        return Err(format!("\"{bad}\" is no field: write -H 'Name: value'"));
    }
    let method = asked.method.as_deref().unwrap_or(if asked.body_size.is_some() { "POST" } else { "GET" });
    let mut text = format!("{method} {} HTTP/1.1\r\n", parts.target);
    let mut add = |name: &str, value: &str| text.push_str(&format!("{name}: {value}\r\n"));
    if !given("Host") {
        add("Host", host);
    }
    if asked.as_expect && !given("Connection") {
        // The request that `longshore expect` will send.
        add("Connection", "close");
    }
    if !asked.as_expect && !given("User-Agent") {
        add("User-Agent", concat!("longshore/", env!("CARGO_PKG_VERSION")));
    }
    if let Some(size) = asked.body_size {
        add("Content-Length", &size.to_string());
    }
    asked.fields.iter().for_each(|field| text.push_str(&format!("{field}\r\n")));
    text.push_str("\r\n");
    Ok(text.into_bytes())
}

/// Waits of the pipeline that are tried again; more are left.
const TRIES: usize = 50;

/// Takes the request as far as it goes with nothing done for it.
pub fn ask(settings: Arc<Settings>, question: Question) -> Answer {
    let Question { socket, group, url, text, head, refused, local, peer, security, is_own } = question;
    let of_head = head.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    let asked = Asked { head: text, is_read: refused.is_none(), fields: of_head };
    let greeted = security.session().map(|session| group.greet(session.name.as_deref()));
    let mut arrival = offline::arrival(&group, head, None);
    arrival.client.peer = peer;
    arrival.client.local = local;
    arrival.client.security = security;
    // The connection belongs to the server that its handshake named.
    let home = greeted.as_ref().and_then(|greeted| greeted.named.clone()).unwrap_or_else(|| group.default.clone());
    let mut run = Run::new(arrival, settings, home);
    run.x.trace = Some(Box::new(Trace::default()));
    let is_shaken = greeted.is_none_or(|greeted| shake(&run, &greeted));
    let refused = match refused {
        Some(refused) => Some(refuse(&mut run, &group, refused)),
        None if is_shaken => resolve(&mut run, &group),
        None => None,
    };
    // There is no body: what matters of it, its length, stands in the head.
    let mut drive = Drive::new(run, &[]);
    let end = match is_shaken {
        true => drive.to_end(refused, &mut nap()).unwrap_or(End::Waits),
        false => End::Closed,
    };
    let waits = matches!(end, End::Waits);
    let response = match end {
        End::Response(response) => Some(*response),
        End::Closed | End::Waits => None,
    };
    let mut run = drive.run;
    run.note_end();
    let fields = response.as_ref().map_or(Vec::new(), |response| fields(&run, response));
    Answer { run, socket, group, url, response, fields, waits, is_own, asked }
}

/// Tells whose certificate the client gets; false if it gets none.
fn shake(run: &Run, greeted: &Greeted) -> bool {
    let name = run.x.client.security.session().and_then(|session| session.name.clone());
    let asks = match &name {
        Some(name) => format!("the handshake asks for `{}`", escape::error_log(name)),
        None => "the handshake names no server".into(),
    };
    let is_open = greeted.certified.tls.as_ref().is_some_and(|context| context.config.is_some());
    let line = if is_open { "ssl_certificate" } else { "ssl_reject_handshake" };
    let place = greeted.certified.scope.places.nearest(&[line]).unwrap_or(greeted.certified.span);
    run.x.tell("tls", Some(place), || match is_open {
        true => format!("{asks}, and gets this certificate"),
        false => format!("{asks}, and is refused"),
    });
    is_open
}

/// Waits a little, as long as there is hope.
fn nap() -> impl FnMut(Instant) -> io::Result<bool> {
    let mut tries = 0;
    move |moment| {
        let is_hopeful = tries < TRIES;
        if is_hopeful {
            tries += 1;
            std::thread::sleep(moment.saturating_duration_since(Instant::now()).min(Duration::from_millis(10)));
        }
        Ok(is_hopeful)
    }
}

/// The header fields as the server sends them. Those of the connection depend on more than the request, and the date on the day.
fn fields(run: &Run, response: &Response) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields = Vec::new();
    let framing = framing::of(response, run.x.head.version, run.x.head.method, true);
    framing::each_field(response, &framing, b"", |name, value| {
        if ![&b"Date"[..], b"Connection", b"Keep-Alive"].contains(&name) {
            fields.push((name.to_vec(), value.to_vec()));
        }
    });
    fields
}
