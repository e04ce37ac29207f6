//! `real_ip_header`: behind a proxy, the client is who the proxy says. It stands before everything that asks for an
//! address: rules, limits, logs, `geo`.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;
use crate::http::forwarded;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// Whose word is taken.
    from: Vec<From>,
    source: Source,
    recursive: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    Unix,
    Net(IpNet),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Source {
    /// A field, in lower case; of several the first counts.
    Field(Vec<u8>),
    #[default]
    RealIp,
    /// All of them, as one list.
    ForwardedFor,
    /// What the PROXY protocol says.
    Protocol,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "set_real_ip_from",
            syntax: &["address | CIDR | unix: | name"],
            default: None,
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "A proxy whose word is taken for who the client is: an address, a network, a host name, or `unix:` for everybody on a Unix \
                  socket. Without it `real_ip_header` does nothing. Name no network in which somebody else may stand: who is \
                  believed can pass as anybody. A block with a line of its own gets none of those further out.",
        },
        repeat: Repeat::List { key: "from", clear: |conf| conf.from.clear() },
        inherit: Inherit::Yes,
        set: add,
    },
    Directive {
        manual: Manual {
            name: "real_ip_header",
            syntax: &["field | X-Real-IP | X-Forwarded-For | proxy_protocol"],
            default: Some("X-Real-IP"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Where a proxy of `set_real_ip_from` names the client's address, and perhaps its port. The address then stands in \
                  `$remote_addr`, in the logs, and wherever else clients are told apart. A list is read from its end.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            let name = args.word(0).text.to_ascii_lowercase();
            conf.source = match name.as_slice() {
                b"x-real-ip" => Source::RealIp,
                b"x-forwarded-for" => Source::ForwardedFor,
                b"proxy_protocol" => Source::Protocol,
                _ => Source::Field(name),
            };
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "real_ip_recursive",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether a list is followed further back as long as its last address is a proxy of `set_real_ip_from` too; off, the last \
                  address of the list is taken.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.recursive = args.flag(0)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[
    Variable {
        name: "realip_remote_addr",
        family: false,
        doc: "The address that the connection itself came from, whatever `real_ip_header` made of it.",
        get: |x, _, _| {
            let text = original(x).map_or_else(|| "unix:".to_string(), |peer| peer.ip().to_string());
            Some(text.into_bytes().into())
        },
    },
    Variable {
        name: "realip_remote_port",
        family: false,
        doc: "The port that the connection itself came from.",
        get: |x, _, _| {
            let text = original(x).map_or_else(String::new, |peer| peer.port().to_string());
            Some(text.into_bytes().into())
        },
    },
];

fn original(x: &Exchange) -> Option<SocketAddr> {
    x.client.replaced.as_deref().copied().unwrap_or(x.client.peer)
}

fn add(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    let text = word.show();
    if text == "unix:" {
        conf.from.push(From::Unix);
        return Ok(());
    }
    if let Some(net) = parse(&text) {
        if net.trunc() != net {
            args.warn(Some(0), format!("ignores the low address bits of `{text}`"));
        }
        conf.from.push(From::Net(net.trunc()));
        return Ok(());
    }
    if text.contains('/') {
        return Err(Fault::at(
            word,
            format!("takes an address, a network such as `192.0.2.0/24`, `unix:` or a host name, not `{text}`"),
        ));
    }
    let found = args.load.outside.addresses_of(&text);
    if found.is_empty() {
        return Err(Fault::at(word, format!("names a host that is not found: `{text}`")));
    }
    conf.from.extend(found.into_iter().map(|address| From::Net(address.into())));
    Ok(())
}

fn parse(text: &str) -> Option<IpNet> {
    match text.split_once('/') {
        None => Some(text.parse::<IpAddr>().ok()?.into()),
        Some((address, length)) => match length.parse() {
            Ok(length) => IpNet::new(address.parse().ok()?, length).ok(),
            Err(_) => IpNet::with_netmask(address.parse().ok()?, length.parse().ok()?).ok(),
        },
    }
}

/// Puts the client's address in the place of the proxy's, once for each request.
pub fn step(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    if conf.from.is_empty() || x.client.replaced.is_some() {
        return Ok(Step::Next);
    }
    let field = |name: &[u8]| x.head.fields_named(name).next().map(<[u8]>::to_vec);
    let (list, port) = match &conf.source {
        Source::Field(name) => (field(name), None),
        Source::RealIp => (field(b"x-real-ip"), None),
        Source::ForwardedFor => {
            let all = x.head.fields_named(b"x-forwarded-for").collect::<Vec<_>>();
            ((!all.is_empty()).then(|| all.join(&b", "[..])), None)
        }
        Source::Protocol => match &x.client.announced {
            Some(announced) => (Some(announced.source.ip().to_string().into_bytes()), Some(announced.source.port())),
            None => (None, None),
        },
    };
    let believes = |peer: Option<SocketAddr>| conf.believes(peer);
    let Some(list) = list else { return Ok(Step::Next) };
    let Some(mut origin) = forwarded::origin(x.client.peer, &list, conf.recursive, believes) else {
        return Ok(Step::Next);
    };
    if let Some(port) = port {
        origin.set_port(port);
    }
    x.client.replaced = Some(Box::new(x.client.peer.replace(origin)));
    Ok(Step::Next)
}

/// The same for a request whose head never became whole, or is malformed: before it only the PROXY protocol can have named the client.
pub fn without_head(x: &mut Exchange, conf: &Conf) {
    if conf.source == Source::Protocol {
        // It refuses nobody.
        let _ = step(x, conf);
    }
}

impl Conf {
    /// Whether anybody's word is taken.
    pub fn is_used(&self) -> bool {
        !self.from.is_empty()
    }

    fn believes(&self, peer: Option<SocketAddr>) -> bool {
        let address = peer.map(|peer| peer.ip().to_canonical());
        self.from.iter().any(|from| match (from, &address) {
            (From::Unix, None) => true,
            (From::Net(net), Some(address)) => net.contains(address),
            _ => false,
        })
    }
}
