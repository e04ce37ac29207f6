//! FastCGI: programs that run already and answer one request after the other. This file is the step: it puts the request
//! into words for the program and hands it to the relay, which brings the answer back. No worker is ever held.

mod rows;
mod split;

pub use rows::{Conf, DIRECTIVES};
pub use split::VARIABLES;

use bytes::Bytes;

use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::exchange::step::Step;
use crate::gateway::passing::Passing;
use crate::gateway::program::{self, Around};
use crate::gateway::relay::{Order, Relay};
use crate::gateway::responder::Responder;
use crate::gateway::upstream::finding::Finding;
use crate::gateway::{fastcgi, params};

/// Answers with what a program answers.
pub fn step(x: &mut Exchange, conf: &Conf, around: &Around<'_>, state: &mut Passing) -> Result<Step, HttpError> {
    let Some(door) = &conf.pass else { return Ok(Step::Next) };
    let told = (&conf.params[..], conf.relay.pass_request_headers);
    if let Some(step) = door.withhold(x, "fastcgi_pass", around, told) {
        return Ok(step);
    }
    if let Some(relay) = state.relay.take() {
        return around.follow(x, relay, "fastcgi_temp", state);
    }
    if let Some(step) = program::ask_body(x, &conf.relay, around, true) {
        return Ok(step);
    }
    let upstream = match door.find(x, around, state)? {
        (Finding::Here(upstream), _) => upstream,
        (Finding::Later(step), _) => return Ok(step),
    };
    let mut head = Vec::with_capacity(1024);
    let pairs = params::pairs(x, &conf.params, conf.relay.pass_request_headers);
    fastcgi::begin(&mut head, conf.keep_conn, &pairs);
    let protocol = Responder::new(conf.keep_conn, x.is_head(), conf.relay.buffer_size, conf.catch.clone());
    let order = Order {
        secure: None,
        conf: conf.relay.clone(),
        upstream,
        purpose: "fastcgi".into(),
        protocol: Box::new(protocol),
        method: params::method(x, &pairs),
        upgrades: false,
        head: head.into(),
        uri: Bytes::new(),
        body: program::payload(x, &conf.relay),
    };
    let relay = Relay::new(x, order);
    around.follow(x, relay, "fastcgi_temp", state)
}
