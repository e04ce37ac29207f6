//! From what was typed to a request, and the request through the pipeline with nothing done for it. Knows the engine's part of
//! a request, not what the answer is shown as.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::url::Parts;
use crate::cli::offline;
use crate::cli::options::Explain;
use crate::exchange::Received;
use crate::exchange::step::{Sink, Wait};
use crate::exchange::tls::Security;
use crate::exchange::trace::Trace;
use crate::features::listen::Address;
use crate::http::head::{Head, HeadError};
use crate::http::response::Response;
use crate::http::scanner::Scanner;
use crate::pipeline::{Outcome, Run};
use crate::server::request::{bad_head, resolve};
use crate::settings::Settings;
use crate::settings::sockets::{Group, Socket};

/// A request and the address it comes to.
pub struct Question {
    pub(super) socket: Arc<Socket>,
    pub(super) group: Arc<Group>,
    pub(super) url: String,
    head: Head,
    refused: Option<HeadError>,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    secure: bool,
}

/// What came of it.
pub struct Answer {
    pub(super) run: Run,
    pub(super) socket: Arc<Socket>,
    pub(super) group: Arc<Group>,
    pub(super) url: String,
    /// None if the connection would be closed, or something would be done that is not done here.
    pub(super) response: Option<Response>,
    /// Whether the request would wait for something that does not come here.
    pub(super) waits: bool,
}

/// The request that the options describe.
pub fn question(asked: &Explain, settings: &Settings) -> Result<Question, String> {
    let parts = Parts::parse(&asked.url)?;
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
    let peer = match asked.client {
        // A port from the range that clients have.
        Some(ip) => Some(SocketAddr::new(ip, 49152)),
        None => local.map(|local| match local.ip() {
            IpAddr::V4(_) => SocketAddr::from(([127, 0, 0, 1], 49152)),
            IpAddr::V6(_) => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), 49152),
        }),
    };
    let secure = parts.secure || parts.authority.is_empty() && group.tls;
    let url = format!("{}://{host}{}", if secure { "https" } else { "http" }, parts.target);
    Ok(Question { socket, group, url, head, refused, local, peer, secure })
}

/// Reads a head as the server reads it: by the buffers of the address's default server.
fn read_head(text: &[u8], group: &Group) -> Result<(Head, Option<HeadError>), String> {
    let (mut head, limits) = (Head::default(), &group.default.scope.request_head.limits);
    let refused = match Scanner::default().scan(text, limits) {
        Ok(Some(len)) => head.parse(&text[..len], limits).err(),
        Ok(None) => return Err("the head does not end: an empty line has to stand behind its fields".into()),
        Err(error) => {
            head.note_line(text);
            Some(error)
        }
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
        (Address::Ip(at), None) if at.ip().is_unspecified() => Some(match at {
            SocketAddr::V4(_) => SocketAddr::from(([127, 0, 0, 1], at.port())),
            SocketAddr::V6(_) => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), at.port()),
        }),
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
    if !given("User-Agent") {
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
pub fn ask(settings: Arc<Settings>, question: Question) -> Result<Answer, String> {
    let Question { socket, group, url, head, refused, local, peer, secure } = question;
    let mut arrival = offline::arrival(&group, head, None);
    arrival.client.peer = peer;
    arrival.client.local = local;
    arrival.client.security = match (group.tls, secure) {
        (false, _) => Security::Plain,
        (true, false) => Security::Missing,
        (true, true) => Security::Tls(Arc::default()),
    };
    let mut run = Run::new(arrival, settings, group.default.clone());
    run.x.trace = Some(Box::new(Trace::default()));
    let refused = match refused {
        Some(error) => Some(bad_head(&error)),
        None => resolve(&mut run, &group),
    };
    let mut outcome = match refused {
        Some(error) => run.refuse(error),
        None => run.advance(),
    };
    let (mut response, mut waits, mut tries) = (None, false, 0);
    loop {
        outcome = match outcome {
            Outcome::Respond(answer) => {
                response = Some(*answer);
                break;
            }
            Outcome::Close => break,
            Outcome::Wait(Wait::Until(_) | Wait::News(_)) if tries == TRIES => {
                waits = true;
                break;
            }
            Outcome::Wait(Wait::Until(moment) | Wait::News(moment)) => {
                tries += 1;
                let left = moment.saturating_duration_since(Instant::now());
                std::thread::sleep(left.min(Duration::from_millis(10)));
                run.advance()
            }
            // There is no body: what matters of it, its length, stands in the head.
            Outcome::NeedBody(Sink::Spool { .. } | Sink::Live { .. }) => {
                run.x.received = Received::Memory(Vec::new());
                run.advance()
            }
        };
    }
    Ok(Answer { run, socket, group, url, response, waits })
}
