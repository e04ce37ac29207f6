//! `proxy_pass`: requests that are passed to another HTTP server. This file is the step; how a request is put stands in
//! `request` and `uri`, what an answer is made of in `wire`, what is rewritten on the way back in `redirect` and `cookies`.
//! The course of it all is the relay's.

mod cookies;
mod pass;
mod redirect;
mod request;
mod rows;
mod uri;
pub mod wire;

pub use rows::{Conf, DIRECTIVES, VARIABLES};

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::exchange::error::HttpError;
use crate::exchange::step::{Sink, Spool, Step};
use crate::exchange::trace::{Act, Told};
use crate::exchange::{Exchange, Received};
use crate::gateway::passing::Passing;
use crate::gateway::relay::{self, Order, Payload, Relay};
use crate::gateway::resolver::Names;
use crate::gateway::upstream::{Upstream, Upstreams};
use crate::http::head::BodyLength;
use pass::{Found, There};

/// What the step must know of the settings of others.
pub struct Around<'a> {
    /// The upstreams of the conf.
    pub upstreams: &'a Upstreams,
    /// Who looks up names that are known only now.
    pub names: &'a Names,
    /// Whether `error_page` names a status.
    pub catches: &'a dyn Fn(u16) -> bool,
    /// Whether the client hears the server's 103 (Early Hints) responses.
    pub hints: &'a dyn Fn(&Exchange) -> bool,
    /// Where a request's body is kept.
    pub spool: Spool<'a>,
    /// The upstream that a health check goes to: one server alone, which is asked for the path of the check as it stands.
    pub checked: Option<&'a Arc<Upstream>>,
}

/// How far ahead of the upstream a body is read that is passed on as it comes.
const AHEAD: usize = 64 << 10;

/// Passes the request on, where the conf says so.
pub fn step(x: &mut Exchange, conf: &Arc<Conf>, around: &Around<'_>, state: &mut Passing) -> Result<Step, HttpError> {
    let Some(pass) = &conf.pass else { return Ok(Step::Next) };
    if !x.may_act() {
        // What the conf makes of the URL may be none: that is found out as it is for a real request.
        if let Some(parts) = pass.parts(x)
            && let Some(step) = x.withhold(|| would_pass(x, conf, pass, &parts, around.upstreams))
        {
            return Ok(step);
        }
    }
    let relay = match state.relay.take() {
        Some(relay) => relay,
        None => {
            // One that is not passed on is read all the same: it may be refused, and what is passed on may be made of it.
            if relay::expects_body(x, &around.spool) {
                return Ok(Step::Body(sink(x, conf, around)));
            }
            match pass.find(x, (around.upstreams, around.names), state)? {
                Found::Here(mut there) => {
                    if let Some(checked) = around.checked {
                        there.upstream = checked.clone();
                        there.parts.uri = Bytes::new();
                    }
                    begin(x, conf, pass, there)?
                }
                Found::Later(step) => return Ok(step),
            }
        }
    };
    let beside = relay::Around { catches: around.catches, hints: around.hints, folder: Path::new("proxy_temp") };
    let rewrite = |x: &Exchange, name: &[u8], value: &Bytes| match name {
        b"location" | b"refresh" => redirect::rewrite(x, conf, name, value),
        _ => cookies::rewrite(x, conf, value),
    };
    relay.advance(x, &beside, &rewrite, state)
}

/// Whom a request would go to, and what would be sent.
fn would_pass(x: &Exchange, conf: &Conf, pass: &pass::Pass, parts: &pass::Parts, upstreams: &Upstreams) -> Act {
    let length = match (&conf.body, x.head.body_length) {
        (Some(text), _) => request::Length::Bytes(x.eval(text).len() as u64),
        (None, BodyLength::Length(length)) if conf.relay.pass_request_body => request::Length::Bytes(length),
        (None, BodyLength::Chunked) if conf.relay.pass_request_body && !conf.relay.request_buffering => {
            request::Length::Unknown
        }
        _ => request::Length::None,
    };
    let head = request::head(x, conf, pass, parts, &length);
    Act::Pass {
        by: "proxy_pass",
        to: [&parts.base(), &head.bytes[head.uri.clone()]].concat(),
        peers: pass.known(parts, upstreams).map(|upstream| upstream.show(x)),
        told: Told::Head(head.bytes),
    }
}

/// Where the request's body goes. What has no length can be passed on as it comes only to who understands chunks.
fn sink(x: &Exchange, conf: &Conf, around: &Around<'_>) -> Sink {
    let is_passed = conf.body.is_none() && conf.relay.pass_request_body && !conf.relay.request_buffering;
    let live = is_passed && (conf.http11 || x.head.body_length != BodyLength::Chunked);
    if live { Sink::Live { most: AHEAD } } else { around.spool.sink(&x.prefix) }
}

fn begin(x: &mut Exchange, conf: &Arc<Conf>, pass: &pass::Pass, there: There) -> Result<Box<Relay>, HttpError> {
    let body = match &conf.body {
        Some(text) => Payload::Own(x.eval_bytes(text)),
        None if conf.relay.pass_request_body => Payload::Received,
        None => Payload::Nothing,
    };
    let length = match (&body, &x.received) {
        (Payload::Own(bytes), _) => request::Length::Bytes(bytes.len() as u64),
        (Payload::Received, Received::Memory(bytes)) => request::Length::Bytes(bytes.len() as u64),
        (Payload::Received, Received::File(_, len)) => request::Length::Bytes(*len),
        (Payload::Received, Received::Coming(_)) => match x.head.body_length {
            BodyLength::Length(length) => request::Length::Bytes(length),
            _ => request::Length::Unknown,
        },
        (Payload::Nothing, _) => request::Length::None,
        // A body that another server had as it came is gone, and so is one that was refused.
        (Payload::Received, Received::Nothing | Received::Passed) => match x.head.body_length {
            BodyLength::None => request::Length::None,
            _ => request::Length::Bytes(0),
        },
    };
    let request::Head { bytes: head, uri, upgrades } = request::head(x, conf, pass, &there.parts, &length);
    let method = request::method(x, conf);
    let secure = match there.parts.secure {
        true => Some(conf.secure.secure(x, there.parts.host(), "proxy")?),
        false => None,
    };
    let purpose = secure.as_ref().map_or("http".into(), |secure| secure.purpose("https").into());
    let protocol = Box::new(wire::Http::new(&method, there.parts.secure, length == request::Length::Unknown));
    let head = Bytes::from(head);
    let uri = head.slice(uri);
    let order = Order {
        conf: conf.relay.clone(),
        upstream: there.upstream,
        purpose,
        secure,
        protocol,
        method: Bytes::copy_from_slice(&method),
        upgrades,
        head,
        uri,
        body,
    };
    Ok(Relay::new(x, order))
}
