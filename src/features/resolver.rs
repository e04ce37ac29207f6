//! `resolver`: the name servers that are asked where a name is known only once a request is there. The asking belongs to the
//! gateway.

use std::net::SocketAddr;
use std::time::Duration;

use crate::conf::args::{Args, Fault, parse_seconds};
use crate::conf::ast::Word;
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::outside::Outside;
use crate::exchange::variables::Variable;
use crate::gateway::resolver::{Plan, Resolver};
use crate::gateway::upstream::address::{Address, parse};

/// The settings.
pub use crate::gateway::resolver::Names as Conf;

/// The port of name servers.
const PORT: u16 = 53;

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "resolver",
            syntax: &["address ... [valid=time] [ipv4=on|off] [ipv6=on|off] [status_zone=zone]"],
            default: None,
            contexts: Contexts::SCOPES,
            arity: Arity::AtLeast(1),
            block: false,
            doc: "The name servers, with port 53 unless they name another, that look names up while requests come: those that a text with \
                  variables gives, as in `proxy_pass http://$backend;`. They are asked in turn. An answer is kept as long as it says itself, \
                  or for the time of `valid=`. Addresses of both kinds are asked for unless one is switched off. No thread waits for \
                  an answer but the resolver's own.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_resolver,
    },
    Directive {
        manual: Manual {
            name: "resolver_timeout",
            syntax: &["time"],
            default: Some("30s"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How long a request waits for a name to be looked up.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.timeout = args.time(0)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set_resolver(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let mut plan = Plan { servers: Vec::new(), valid: None, v4: true, v6: true };
    for word in args.words() {
        let text = word.show();
        match text.split_once('=') {
            Some(("valid", time)) => {
                let time: Option<Duration> = parse_seconds(time.as_bytes());
                let bad = || Fault::at(word, format!("takes a time such as `30s` in `{text}`"));
                plan.valid = Some(time.ok_or_else(bad)?);
            }
            Some(("ipv4", value)) => plan.v4 = flag(word, value)?,
            Some(("ipv6", value)) => plan.v6 = flag(word, value)?,
            Some(("status_zone", _)) => {}
            _ => plan.servers.extend(servers(word, &args.load.outside)?),
        }
    }
    if !plan.v4 && !plan.v6 {
        return Err(Fault::new("has both `ipv4` and `ipv6` switched off").help("no address would be left to ask for"));
    }
    if plan.servers.is_empty() {
        return Err(Fault::new("names no name server").help("write `resolver 127.0.0.53;`"));
    }
    conf.resolver = Some(Resolver::of(plan));
    Ok(())
}

fn flag(word: &Word, value: &str) -> Result<bool, Fault> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Fault::at(word, format!("takes `on` or `off` in `{}`", word.show()))),
    }
}

fn servers(word: &Word, outside: &Outside) -> Result<Vec<SocketAddr>, Fault> {
    let target = parse(&word.text, PORT).map_err(|what| Fault::at(word, what))?;
    let tcp = |address| match address {
        Address::Tcp(address) => Some(address),
        Address::Unix(_) => None,
    };
    let servers: Vec<_> = target.addresses(outside).into_iter().filter_map(tcp).collect();
    if servers.is_empty() {
        return Err(Fault::at(word, format!("has a name server whose host is not found: `{}`", word.show())));
    }
    Ok(servers)
}
