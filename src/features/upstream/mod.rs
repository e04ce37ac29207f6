//! `upstream` blocks: what stands in them, read into drafts that become upstreams once all of the conf was read.
//! Who is chosen and what is kept belongs to the gateway.

mod variables;

use std::time::Duration;

use crate::conf::args::{Args, Fault, parse_seconds};
use crate::conf::ast::{Node, Word};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::gateway::resolver::Names;
use crate::gateway::upstream::address::Target;
use crate::gateway::upstream::address::parse;
use crate::gateway::upstream::table::Draft;
use crate::gateway::upstream::{Choose, Keepalive, Line, Resolve};

pub use variables::VARIABLES;

/// The settings: the upstreams of the conf.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    blocks: Vec<Draft>,
    /// The block being read.
    open: Option<Open>,
}

#[derive(Debug, Clone)]
struct Open {
    draft: Draft,
    /// The directive that named the method.
    method: Option<&'static str>,
    /// Whether `keepalive` came.
    keeps: bool,
}

/// The port of a server that names none.
const PORT: u16 = 80;

/// A row of an upstream; all but its text and its setter is the same for each.
const fn row(
    name: &'static str,
    syntax: &'static [&'static str],
    default: Option<&'static str>,
    arity: Arity,
    doc: &'static str,
    set: fn(&mut Conf, &mut Args<'_>) -> Result<(), Fault>,
) -> Directive<Conf> {
    Directive {
        manual: Manual { name, syntax, default, contexts: Contexts::UPSTREAM, arity, block: false, doc },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set,
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        repeat: Repeat::Allowed,
        ..row(
            "server",
            &["address [parameters]"],
            None,
            Arity::AtLeast(1),
            "A server of the upstream: `host[:port]`, an address, or `unix:/path`; a host's name is looked up when the conf is read, and \
             each of its addresses counts as a server. `weight=N` is its share (1), `max_conns=N` how many requests it takes at once \
             (any number). After `max_fails=N` failures (1; 0 never) within `fail_timeout=TIME` (10s) it is left alone for that \
             time; `slow_start=TIME` (0) lets its share grow back within that time once it answers again after it had failed, not where a hash, an address or chance \
             gives each request its server. `backup` is asked only when no other can be, `down` never, and `drain` gets no more requests but finishes \
             those that it has. With `resolve` a host's name is looked up by `resolver` while \
             requests come: servers come and go with its addresses, and what is known of those that stay is kept. `service=NAME` looks up \
             services (SRV) instead: `http` is `_http._tcp.HOST`, a NAME with a dot is `NAME.HOST`; records of the first priority are \
             servers with the weights that the records give, the \
             others backups.",
            set_server,
        )
    },
    row(
        "ip_hash",
        &[""],
        None,
        Arity::Words(0, 0),
        "Sends a client always to the same server, by the first three bytes of its IPv4 address or its whole IPv6 address. The choice is \
         the same as nginx's.",
        |conf, args| conf.open(args)?.choose("ip_hash", Choose::IpHash, args),
    ),
    row(
        "least_conn",
        &[""],
        None,
        Arity::Words(0, 0),
        "Sends a request to the server that has the fewest requests for its weight; among equals they take turns.",
        |conf, args| conf.open(args)?.choose("least_conn", Choose::LeastConn, args),
    ),
    row(
        "hash",
        &["key [consistent]"],
        None,
        Arity::Words(1, 2),
        "Sends requests with the same key, a text with variables, always to the same server. With `consistent` a server more or less moves \
         few keys (ketama). The choice is the same as nginx's. An empty key takes turns.",
        set_hash,
    ),
    row(
        "random",
        &["[two [least_conn]]"],
        None,
        Arity::Words(0, 2),
        "Sends a request to a server at random, by weight. With `two` it is the one of two at random that has the fewer requests for \
         its weight.",
        set_random,
    ),
    row(
        "keepalive",
        &["connections"],
        None,
        Arity::Words(1, 1),
        "How many idle connections to the servers are kept for later requests, all servers together. Without it each request opens \
         its own. Those that are in use are not counted.",
        |conf, args| {
            let connections = args.number(0, 1..=1 << 20)?;
            let open = conf.open(args)?;
            open.draft.keepalive.connections = connections as usize;
            open.keeps = true;
            Ok(())
        },
    ),
    row(
        "keepalive_requests",
        &["number"],
        Some("1000"),
        Arity::Words(1, 1),
        "How many requests one kept connection to a server may carry.",
        |conf, args| {
            conf.open(args)?.draft.keepalive.requests = args.number(0, 0..=u64::MAX)?;
            Ok(())
        },
    ),
    row(
        "keepalive_time",
        &["time"],
        Some("1h"),
        Arity::Words(1, 1),
        "How old a kept connection to a server may grow.",
        |conf, args| {
            conf.open(args)?.draft.keepalive.time = args.time(0)?;
            Ok(())
        },
    ),
    row(
        "keepalive_timeout",
        &["time"],
        Some("60s"),
        Arity::Words(1, 1),
        "How long a kept connection to a server may be idle.",
        |conf, args| {
            conf.open(args)?.draft.keepalive.timeout = args.time(0)?;
            Ok(())
        },
    ),
    row(
        "resolver",
        &["address ... [valid=time] [ipv4=on|off] [ipv6=on|off] [status_zone=zone]"],
        None,
        Arity::AtLeast(1),
        "The name servers that look up the names of this upstream's servers with `resolve`; else those of `resolver` in `http` do. `valid=` is \
         how long an answer holds, instead of what it says itself. No name is looked up more often than once a second.",
        |conf, args| conf.open(args)?.draft.names.set(args),
    ),
    row(
        "resolver_timeout",
        &["time"],
        Some("30s"),
        Arity::Words(1, 1),
        "How long the name servers of this upstream may take for an answer, and a request waits for the first one; else \
         `resolver_timeout` in `http` says it.",
        |conf, args| conf.open(args)?.draft.names.set_timeout(args),
    ),
    row(
        "zone",
        &["name [size]"],
        None,
        Arity::Words(1, 2),
        "Accepted for nginx's sake, whose processes share what they know of servers only with it, and which needs it for `resolve`. Here \
         it is always shared, and a reload keeps it of the servers that stay.",
        |_, args| match args.len() {
            2 => args.size(1).map(|_| ()),
            _ => Ok(()),
        },
    ),
];

impl Conf {
    /// The upstreams that were read.
    pub fn blocks(&self) -> Vec<Draft> {
        self.blocks.clone()
    }

    /// Begins a block.
    pub fn begin(&mut self, node: &Node) {
        let name = node.args.first().map(Word::show).unwrap_or_default();
        let (choose, keepalive) = (Choose::default(), Keepalive::default());
        let draft = Draft { name, span: node.span, lines: Vec::new(), choose, keepalive, names: Names::default() };
        self.open = Some(Open { draft, method: None, keeps: false });
    }

    /// Takes in the block that `inside` has read.
    pub fn end(&mut self, node: &Node, inside: &Conf) -> Result<(), Fault> {
        let Some(Open { draft, .. }) = &inside.open else { return Ok(()) };
        if let Some(first) = self.blocks.iter().find(|known| known.name.eq_ignore_ascii_case(&draft.name)) {
            let fault = Fault { span: node.args.first().map(|word| word.span), ..Fault::new("") };
            let also = Some((first.span, "the first one is here".to_string()));
            return Err(Fault { message: format!("`{}` is duplicate", draft.name), also, ..fault });
        }
        let usable = draft.lines.iter().any(|line| !line.backup);
        let servers = node.block.iter().flatten().filter(|line| line.name.text == b"server").count();
        self.blocks.push(draft.clone());
        // What is wrong with its lines was said.
        if !usable && servers == draft.lines.len() {
            let message = format!("`{}` has no servers", draft.name);
            return Err(Fault::new(message).help("write `server HOST:PORT;`; one of them at least is no backup"));
        }
        Ok(())
    }

    fn open(&mut self, args: &Args<'_>) -> Result<&mut Open, Fault> {
        // The row's contexts vouch for the block; should it be missing, that is said and nothing else happens.
        self.open
            .as_mut()
            .ok_or_else(|| Fault { span: Some(args.node.name.span), ..Fault::new("stands in no upstream") })
    }
}

impl Open {
    fn choose(&mut self, name: &'static str, choose: Choose, args: &mut Args<'_>) -> Result<(), Fault> {
        if let Some(before) = self.method.replace(name) {
            args.warn(None, format!("`{name}` takes the place of `{before}`: an upstream has one method"));
        }
        if self.keeps {
            args.warn(
                None,
                format!("`{name}` stands behind `keepalive`: nginx would keep no connections; put it before"),
            );
        }
        self.draft.choose = choose;
        Ok(())
    }

    /// Whether backup servers make sense with the method named so far.
    fn refuses_backup(&self) -> Option<&'static str> {
        self.method.filter(|method| *method != "least_conn")
    }
}

fn set_hash(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let key = args.text(0)?;
    if args.len() == 2 {
        args.one_of(1, &[("consistent", ())])?;
    }
    let consistent = args.len() == 2;
    conf.open(args)?.choose("hash", Choose::Hash(key, consistent), args)
}

fn set_random(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    if !args.is_empty() {
        args.one_of(0, &[("two", ())])?;
    }
    if args.len() == 2 {
        args.one_of(1, &[("least_conn", ())])?;
    }
    let two = !args.is_empty();
    conf.open(args)?.choose("random", Choose::Random(two), args)
}

fn set_server(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    let target = parse(&word.text, PORT).map_err(|what| Fault::at(word, what))?;
    let mut line = Line::new(word.show(), Vec::new());
    let resolves = args.words()[1..].iter().any(|word| word.text == b"resolve");
    if !resolves || matches!(target, Target::Address(_)) {
        line.addresses = target.addresses(&args.load.outside);
    }
    line.resolve = resolve(&target, args)?;
    let open = conf.open(args)?;
    for word in &args.words()[1..] {
        set_parameter(&mut line, word, open)?;
    }
    if line.addresses.is_empty() && line.resolve.is_none() {
        let fault = Fault::at(word, format!("names a host not found in upstream \"{}\"", word.show()));
        return Err(
            fault.help("the name is looked up when the conf is read: is it right, and does the name service answer?")
        );
    }
    open.draft.lines.push(line);
    Ok(())
}

/// What of a server is looked up while requests come. An address is known already.
fn resolve(target: &Target, args: &Args<'_>) -> Result<Option<Resolve>, Fault> {
    let words = &args.words()[1..];
    let resolves = words.iter().any(|word| word.text == b"resolve");
    let service = words.iter().find_map(|word| Some((word, word.text.strip_prefix(b"service=")?)));
    let Some((word, service)) = service else {
        return Ok(match target {
            Target::Host { name, port, .. } if resolves => Some(Resolve::Host(name.clone(), *port)),
            _ => None,
        });
    };
    let service = std::str::from_utf8(service).ok().filter(|service| !service.is_empty());
    let Some(service) = service else { return Err(Fault::at(word, "names no service in `service=`")) };
    match target {
        _ if !resolves => Err(Fault::at(word, "has `service=` without `resolve`").help("write `resolve` behind it")),
        Target::Host { has_port: true, .. } => {
            Err(Fault::at(args.word(0), "has a port beside `service=`").help("the service's records say the ports"))
        }
        Target::Address(_) => Err(Fault::at(args.word(0), "has `service=` for an address: only a name has services")),
        Target::Host { name, .. } => Ok(Some(Resolve::service(service, name))),
    }
}

fn set_parameter(line: &mut Line, word: &Word, open: &Open) -> Result<(), Fault> {
    let text = word.show();
    let (name, value) = text.split_once('=').map_or((text.as_str(), None), |(name, value)| (name, Some(value)));
    let number = |least: u32| {
        let digits = value.filter(|value| !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()));
        let number =
            digits.and_then(|value| value.parse::<u32>().ok()).filter(|n| *n >= least && *n <= i32::MAX as u32);
        number.ok_or_else(|| Fault::at(word, format!("takes a whole number of at least {least} in `{text}`")))
    };
    match (name, value) {
        ("weight", Some(_)) => line.weight = number(1)?,
        ("max_conns", Some(_)) => line.max_conns = number(0)?,
        ("max_fails", Some(_)) => line.max_fails = number(0)?,
        ("fail_timeout", Some(value)) => {
            let time: Option<Duration> = parse_seconds(value.as_bytes());
            line.fail_timeout =
                time.ok_or_else(|| Fault::at(word, format!("takes a time such as `10s` in `{text}`")))?;
        }
        ("backup", None) => match open.refuses_backup() {
            Some(method) => {
                return Err(Fault::at(word, format!("cannot be a `backup` with `{method}`"))
                    .help("`least_conn` can have backups"));
            }
            None => line.backup = true,
        },
        // No client is bound to a server here, so one that drains gets no requests any more, and ends those that it has.
        ("down" | "drain", None) => line.down = true,
        ("slow_start", Some(value)) => {
            if let Some(method) = open.refuses_backup() {
                let fault = Fault::at(
                    word,
                    format!("cannot start slowly with `{method}`, which gives each request its server"),
                );
                return Err(fault.help("`least_conn`, or no method, can have `slow_start=`"));
            }
            let time: Option<Duration> = parse_seconds(value.as_bytes());
            line.slow_start = time.ok_or_else(|| Fault::at(word, format!("takes a time such as `30s` in `{text}`")))?;
        }
        ("resolve", None) | ("service", Some(_)) => {}
        ("route", Some(_)) => {
            return Err(Fault::at(word, format!("has the parameter `{name}`, which is not built")));
        }
        _ => {
            let help = "the parameters are weight=, max_conns=, max_fails=, fail_timeout=, slow_start=, backup, down, drain, resolve and service=";
            return Err(Fault::at(word, format!("has an unknown parameter `{text}`")).help(help));
        }
    }
    Ok(())
}
