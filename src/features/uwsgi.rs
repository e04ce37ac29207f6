//! uwsgi: the protocol of the uWSGI server, for applications in Python and others. Rows and step; what all gateways share
//! is the relay's.

use std::sync::Arc;

use bytes::Bytes;

use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;
use crate::gateway::params::{self, Param};
use crate::gateway::passing::Passing;
use crate::gateway::program::{self, Around, Door};
use crate::gateway::relay::{self, Order, Relay};
use crate::gateway::secure::{self, Lack};
use crate::gateway::unframed::Unframed;
use crate::gateway::upstream::finding::Finding;
use crate::gateway::uwsgi::{LONGEST, TooLong, head};
use crate::secure_gateway_rows;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// Where the program listens that answers here.
    pub pass: Option<Door>,
    /// What it is told.
    pub params: Arc<Vec<Param>>,
    /// The two modifiers of a packet.
    pub modifiers: (u8, u8),
    /// What ends the packet.
    pub string: Bytes,
    /// What all gateways share.
    pub relay: Arc<relay::Conf>,
    /// How programs are spoken to in TLS.
    pub secure: Arc<secure::Conf>,
}

impl Conf {
    /// The directive of `uwsgi_ssl_*` that does not go together with the others, and why, where TLS may be spoken.
    pub fn lack(&self) -> Option<Lack> {
        self.pass.as_ref().filter(|door| door.may_be_secure())?;
        self.secure.lack("uwsgi")
    }
}

const fn manual(
    name: &'static str,
    syntax: &'static [&'static str],
    default: Option<&'static str>,
    arity: Arity,
    doc: &'static str,
) -> Manual {
    Manual { name, syntax, default, contexts: Contexts::SCOPES, arity, block: false, doc }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = secure_gateway_rows!(
    "uwsgi",
    "the program",
    "a program behind `suwsgi://`",
    None,
    Conf,
    [
        Directive {
            manual: Manual {
                contexts: Contexts::LOCATION.or(Contexts::IF_LOCATION),
                ..manual(
                    "uwsgi_pass",
                    &["[uwsgi:// | suwsgi://]address"],
                    None,
                    Arity::Words(1, 1),
                    "Lets a program answer that speaks the uwsgi protocol: `host:port`, `unix:/path/of/socket`, or the name of an `upstream`, and \
                     `suwsgi://` before it speaks TLS. It may contain variables. `include uwsgi_params;` tells the program what is usual.",
                )
            },
            repeat: Repeat::Refused,
            inherit: Inherit::IntoIf(|conf| conf.pass = None),
            set: |conf, args| {
                conf.pass = Some(Door::read(args, &[("uwsgi", false), ("suwsgi", true)])?);
                Ok(())
            },
        },
        Directive {
            manual: manual(
                "uwsgi_param",
                &["name value [if_not_empty]"],
                None,
                Arity::Words(2, 3),
                "Something that the program is told. With `if_not_empty` it is left out when the value is empty. One whose name begins with \
                 `HTTP_` takes the place of that field of the request; the field `Proxy` is never passed on. All together may have \
                 65,535 bytes. A block that has its own lines replaces all of those around it.",
            ),
            repeat: Repeat::List { key: "uwsgi_param", clear: |conf| conf.params = Arc::default() },
            inherit: Inherit::Yes,
            set: |conf, args| {
                let param = program::read_param(args)?;
                Arc::make_mut(&mut conf.params).push(param);
                Ok(())
            },
        },
        Directive {
            manual: manual(
                "uwsgi_modifier1",
                &["number"],
                Some("0"),
                Arity::Words(1, 1),
                "The first modifier of the packets: which of its plugins the program is to use.",
            ),
            repeat: Repeat::Refused,
            inherit: Inherit::Yes,
            set: |conf, args| {
                conf.modifiers.0 = args.number(0, 0..=255)? as u8;
                Ok(())
            },
        },
        Directive {
            manual: manual(
                "uwsgi_modifier2",
                &["number"],
                Some("0"),
                Arity::Words(1, 1),
                "The second modifier of the packets, which the plugin reads.",
            ),
            repeat: Repeat::Refused,
            inherit: Inherit::Yes,
            set: |conf, args| {
                conf.modifiers.1 = args.number(0, 0..=255)? as u8;
                Ok(())
            },
        },
        Directive {
            manual: manual(
                "uwsgi_string",
                &["text"],
                None,
                Arity::Words(1, 1),
                "What ends the packets, for modifiers that evaluate it.",
            ),
            repeat: Repeat::Refused,
            inherit: Inherit::Yes,
            set: |conf, args| {
                conf.string = Bytes::copy_from_slice(&args.word(0).text);
                Ok(())
            },
        },
        Directive {
            manual: manual(
                "uwsgi_cache",
                &["off"],
                Some("off"),
                Arity::Words(1, 1),
                "Answers are not cached; `off` says so.",
            ),
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
    if let Some(step) = door.withhold(x, "uwsgi_pass", around, told) {
        return Ok(step);
    }
    if let Some(relay) = state.relay.take() {
        return around.follow(x, relay, "uwsgi_temp", state);
    }
    // The program knows the length of a body by CONTENT_LENGTH alone, so one in chunks has to be read before.
    let may_come = x.head.body_length != crate::http::head::BodyLength::Chunked;
    if let Some(step) = program::ask_body(x, &conf.relay, around, may_come) {
        return Ok(step);
    }
    let (upstream, is_secure) = match door.find(x, around, state)? {
        (Finding::Here(upstream), is_secure) => (upstream, is_secure),
        (Finding::Later(step), _) => return Ok(step),
    };
    let (scheme, secure) = match is_secure {
        true => ("suwsgi://", Some(conf.secure.secure(x, upstream.name.as_bytes(), "uwsgi")?)),
        false => ("uwsgi://", None),
    };
    let pairs = params::pairs(x, &conf.params, conf.relay.pass_request_headers);
    let mut packet = Vec::with_capacity(1024);
    head(&mut packet, conf.modifiers, &pairs, &conf.string).map_err(too_long)?;
    let order = Order {
        secure,
        conf: conf.relay.clone(),
        upstream,
        purpose: "uwsgi".into(),
        protocol: Box::new(Unframed::new(scheme, x.is_head(), conf.relay.buffer_size)),
        method: params::method(x, &pairs),
        upgrades: params::upgrades(&pairs),
        head: packet.into(),
        uri: Bytes::new(),
        body: program::payload(x, &conf.relay),
    };
    let relay = Relay::new(x, order);
    around.follow(x, relay, "uwsgi_temp", state)
}

fn too_long(TooLong(len): TooLong) -> HttpError {
    let text = format!("uwsgi request is too big: {len} bytes of names and values, {LONGEST} is the most");
    HttpError::new(500, "uwsgi-too-big").log(Level::Error, text)
}
