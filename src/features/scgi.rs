//! SCGI: programs that run already and are told of each request in one netstring. Rows and step; what all gateways share is
//! the relay's.

use std::sync::Arc;

use bytes::Bytes;

use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;
use crate::gateway::params::{self, Param};
use crate::gateway::passing::Passing;
use crate::gateway::program::{self, Around, Door};
use crate::gateway::relay::{self, Order, Relay};
use crate::gateway::unframed::Unframed;
use crate::gateway::upstream::finding::Finding;
use crate::gateway_rows;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// Where the program listens that answers here.
    pub pass: Option<Door>,
    /// What it is told.
    pub params: Arc<Vec<Param>>,
    /// What all gateways share.
    pub relay: Arc<relay::Conf>,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = gateway_rows!(
    "scgi",
    "the program",
    Conf,
    [
        Directive {
            manual: Manual {
                name: "scgi_pass",
                syntax: &["address"],
                default: None,
                contexts: Contexts::LOCATION.or(Contexts::IF_LOCATION),
                arity: Arity::Words(1, 1),
                block: false,
                doc: "Lets an SCGI program answer: `host:port`, `unix:/path/of/socket`, or the name of an `upstream`. It may contain \
                      variables. `include scgi_params;` tells the program what is usual.",
            },
            repeat: Repeat::Refused,
            inherit: Inherit::IntoIf(|conf| conf.pass = None),
            set: |conf, args| {
                conf.pass = Some(Door::read(args, &[])?);
                Ok(())
            },
        },
        Directive {
            manual: Manual {
                name: "scgi_param",
                syntax: &["name value [if_not_empty]"],
                default: None,
                contexts: Contexts::SCOPES,
                arity: Arity::Words(2, 3),
                block: false,
                doc: "Something that the program is told. With `if_not_empty` it is left out when the value is empty. One whose name begins \
                      with `HTTP_` takes the place of that field of the request; the field `Proxy` is never passed on. CONTENT_LENGTH \
                      comes first of itself. A block that has its own lines replaces all of those around it.",
            },
            repeat: Repeat::List { key: "scgi_param", clear: |conf| conf.params = Arc::default() },
            inherit: Inherit::Yes,
            set: |conf, args| {
                let param = program::read_param(args)?;
                Arc::make_mut(&mut conf.params).push(param);
                Ok(())
            },
        },
        Directive {
            manual: Manual {
                name: "scgi_cache",
                syntax: &["off"],
                default: Some("off"),
                contexts: Contexts::SCOPES,
                arity: Arity::Words(1, 1),
                block: false,
                doc: "Answers are not cached; `off` says so.",
            },
            repeat: Repeat::Refused,
            inherit: Inherit::Yes,
            set: |_, args| program::read_cache(args),
        },
    ]
);

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

/// Answers with what a program answers.
pub fn step(x: &mut Exchange, conf: &Conf, around: &Around<'_>, state: &mut Passing) -> Result<Step, HttpError> {
    let Some(door) = &conf.pass else { return Ok(Step::Next) };
    let told = (&conf.params[..], conf.relay.pass_request_headers);
    if let Some(step) = door.withhold(x, "scgi_pass", around, told) {
        return Ok(step);
    }
    if let Some(relay) = state.relay.take() {
        return around.follow(x, relay, "scgi_temp", state);
    }
    // The length of the body comes first, so one in chunks has to be read before.
    let may_come = x.head.body_length != crate::http::head::BodyLength::Chunked;
    if let Some(step) = program::ask_body(x, &conf.relay, around, may_come) {
        return Ok(step);
    }
    let upstream = match door.find(x, around, state)? {
        (Finding::Here(upstream), _) => upstream,
        (Finding::Later(step), _) => return Ok(step),
    };
    let pairs = params::pairs(x, &conf.params, conf.relay.pass_request_headers);
    let mut head = Vec::with_capacity(1024);
    crate::gateway::scgi::head(&mut head, program::length(x, &conf.relay), &pairs);
    let order = Order {
        secure: None,
        conf: conf.relay.clone(),
        upstream,
        purpose: "scgi".into(),
        protocol: Box::new(Unframed::new("scgi://", x.is_head(), conf.relay.buffer_size)),
        method: params::method(x, &pairs),
        upgrades: params::upgrades(&pairs),
        head: head.into(),
        uri: Bytes::new(),
        body: program::payload(x, &conf.relay),
    };
    let relay = Relay::new(x, order);
    around.follow(x, relay, "scgi_temp", state)
}
