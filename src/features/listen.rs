//! `listen`: the addresses of a server and the options of their sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::conf::args::{Args, Fault, bytes_to_path, parse_seconds, parse_size};
use crate::conf::ast::Word;
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::listening::{Address, MOVED_UP, Options, TcpKeepalive};
use crate::conf::outside::Outside;
use crate::conf::source::Span;
use crate::exchange::variables::Variable;

/// One `listen` line for one address.
#[derive(Debug, Clone)]
pub struct Listen {
    /// The address.
    pub address: Address,
    /// Whether its server is the default there.
    pub default_server: bool,
    /// Whether TLS is spoken there.
    pub tls: bool,
    /// Whether a proxy announces its client there by the PROXY protocol.
    pub proxy_protocol: bool,
    /// The socket's options, as far as this line sets any.
    pub options: Options,
    /// Where it stands.
    pub span: Span,
}

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// The addresses in the order they stand.
    pub listens: Vec<Listen>,
    /// Whether there is any line, if only one that was refused or left out: then the default port is not meant.
    pub is_named: bool,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "listen",
        syntax: &[
            "address[:port] [default_server] [ssl] [options]",
            "port [default_server] [ssl] [options]",
            "unix:path [default_server] [ssl] [options]",
        ],
        default: Some("*:80 | *:8000"),
        contexts: Contexts::SERVER,
        arity: Arity::AtLeast(1),
        block: false,
        doc: "An address the server takes requests on: a port, `address:port`, `[ipv6]:port`, a host name, or \
              `unix:/path`. `default_server` makes the server the one for unknown host names there; without it the first server of an \
              address is. `ssl` makes the port speak TLS, for all servers on it; `proxy_protocol` expects the PROXY protocol (versions 1 and 2) of a proxy in front; `http2` and `quic` bring a warning, for HTTP/1.1 is what is spoken. Socket options: `backlog=N`, `rcvbuf=SIZE`, `sndbuf=SIZE`, `reuseport`, `deferred`, `fastopen=N`, \
              `ipv6only=on|off`, `so_keepalive=on|off|[idle]:[interval]:[count]`, `bind`; `deferred` and `fastopen` have no effect. Without any `listen` a server \
              listens on port 80, or on 8000 when not started by root.",
    },
    repeat: Repeat::Allowed,
    inherit: Inherit::No(|conf| *conf = Conf::default()),
    set,
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

const HTTP2: &str = "`listen`: HTTP/2 is not built; the port speaks HTTP/1.1, which every browser knows";
const QUIC: &str = "`listen`: HTTP/3 is not built, so this line is left out; browsers use the port that speaks TLS";

fn set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.is_named = true;
    let rootless = args.load.rootless;
    let addresses = read_address(args.word(0), &args.load.outside)?.into_iter().map(|address| match address {
        Address::Ip(mut ip) if rootless && ip.port() < 1024 => {
            ip.set_port(ip.port() + MOVED_UP);
            Address::Ip(ip)
        }
        address => address,
    });
    let (mut options, mut default_server, mut tls, mut proxy_protocol) = (Options::default(), false, false, false);
    for word in &args.node.args[1..] {
        match word.text.as_slice() {
            b"default_server" | b"default" => default_server = true,
            b"ssl" => tls = true,
            b"proxy_protocol" => proxy_protocol = true,
            b"http2" | b"spdy" => args.warn_left_out(word, HTTP2),
            b"quic" => {
                args.warn_left_out(word, QUIC);
                return Ok(());
            }
            _ => read_option(word, &mut options)?,
        }
    }
    for address in addresses {
        if let Some(first) = conf.listens.iter().find(|listen| listen.address == address) {
            let mut fault = Fault::at(args.word(0), format!("is duplicate: {address} is named twice in one server"));
            fault.also = Some((first.span, "first named here".into()));
            return Err(fault.help("keep one of the two lines"));
        }
        if matches!(address, Address::Unix(_)) && options.ipv6only.is_some() {
            return Err(Fault::at(args.word(0), "is a Unix socket, which has no `ipv6only`"));
        }
        conf.listens.push(Listen {
            address,
            default_server,
            tls,
            proxy_protocol,
            options: options.clone(),
            span: args.node.span,
        });
    }
    Ok(())
}

fn read_address(word: &Word, outside: &Outside) -> Result<Vec<Address>, Fault> {
    let bad = |what: &str| Fault::at(word, format!("has {what} in `{}`", word.show()));
    if let Some(path) = word.text.strip_prefix(b"unix:") {
        if path.is_empty() {
            return Err(bad("no path after `unix:`"));
        }
        if path.len() > 107 {
            return Err(bad("a path longer than the 107 bytes a Unix socket allows"));
        }
        return Ok(vec![Address::Unix(bytes_to_path(path).to_path_buf())]);
    }
    let text = std::str::from_utf8(&word.text).map_err(|_| bad("bytes that are no address"))?;
    let port_of = |digits: &str| {
        ports(digits).ok_or_else(|| {
            bad("an invalid port").help("a port is a number from 1 to 65535; a range is written `8080-8082`")
        })
    };
    let at = |ip: IpAddr, ports: RangeInclusive<u16>| ports.map(|port| Address::Ip((ip, port).into())).collect();
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']').ok_or_else(|| bad("a `[` that no `]` closes"))?;
        let ip: Ipv6Addr = ip.parse().map_err(|_| bad("an invalid IPv6 address"))?;
        return match rest.strip_prefix(':') {
            Some(digits) => Ok(at(ip.into(), port_of(digits)?)),
            None if rest.is_empty() => Ok(at(ip.into(), 80..=80)),
            None => Err(bad("something after the `]`")),
        };
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return Ok(at(Ipv4Addr::UNSPECIFIED.into(), port_of(text)?));
    }
    let (host, ports) = match text.rsplit_once(':') {
        Some((host, digits)) => (host, port_of(digits)?),
        None => (text, 80..=80),
    };
    match host {
        "" if text.len() > 1 => Err(bad("no host").help(format!("write `listen {};` for all addresses", &text[1..]))),
        "" => Err(bad("no host")),
        "*" => Ok(at(Ipv4Addr::UNSPECIFIED.into(), ports)),
        _ => match host.parse::<IpAddr>() {
            Ok(ip) => Ok(at(ip, ports)),
            Err(_) => ports
                .map(|port| resolve(outside, host, port))
                .collect::<Option<Vec<_>>>()
                .map(|found| found.concat())
                .ok_or_else(|| bad("a host that is not found")),
        },
    }
}

/// A port, or a range of them: `8080`, `8080-8082`.
fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    let port = |digits: &str| {
        let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|port| *port > 0 && all_digits)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = port(first)?..=port(last)?;
    (!range.is_empty()).then_some(range)
}

fn resolve(outside: &Outside, host: &str, port: u16) -> Option<Vec<Address>> {
    let mut found: Vec<_> = outside.addresses_of(host).into_iter().map(|ip| Address::Ip((ip, port).into())).collect();
    found.sort();
    found.dedup();
    (!found.is_empty()).then_some(found)
}

fn read_option(word: &Word, options: &mut Options) -> Result<(), Fault> {
    let text = word.show();
    let (name, value) = text.split_once('=').map_or((text.as_str(), None), |(name, value)| (name, Some(value)));
    let bad = || Fault::at(word, format!("has an invalid value in `{text}`"));
    let number = || value.and_then(|v| v.parse::<u32>().ok()).ok_or_else(bad);
    let size = || value.and_then(|v| parse_size(v.as_bytes())).map(|n| n as usize).ok_or_else(bad);
    match name {
        "bind" if value.is_none() => options.bind = true,
        "reuseport" if value.is_none() => options.reuseport = true,
        "deferred" if value.is_none() => options.deferred = true,
        "backlog" => options.backlog = Some(i32::try_from(number()?).ok().filter(|n| *n > 0).ok_or_else(bad)?),
        "rcvbuf" => options.rcvbuf = Some(size()?),
        "sndbuf" => options.sndbuf = Some(size()?),
        "fastopen" => options.fastopen = Some(number()?),
        "ipv6only" => {
            options.ipv6only = Some(match value {
                Some("on") => true,
                Some("off") => false,
                _ => return Err(bad()),
            })
        }
        "so_keepalive" => options.keepalive = Some(read_keepalive(value.unwrap_or("")).ok_or_else(bad)?),
        "setfib" | "accept_filter" => {
            return Err(Fault::at(word, format!("has `{name}`, which FreeBSD knows and Linux does not")));
        }
        _ => {
            let fault = Fault::at(word, format!("has an invalid parameter `{text}`"));
            // Who writes two ports means two.
            return Err(match ports(&text).is_some() || text.contains(':') {
                true => fault.help(format!("one line, one address: write `listen {text};` below")),
                false => fault.help(
                    "the options are default_server, ssl, http2, quic, proxy_protocol, reuseport, backlog=, rcvbuf=, sndbuf=, deferred, fastopen=, \
                     ipv6only=, so_keepalive= and bind",
                ),
            });
        }
    }
    Ok(())
}

fn read_keepalive(value: &str) -> Option<TcpKeepalive> {
    let mut all = TcpKeepalive { on: true, idle: None, interval: None, count: None };
    match value {
        "on" => return Some(all),
        "off" => return Some(TcpKeepalive { on: false, ..all }),
        _ => {}
    }
    let parts: Vec<&str> = value.split(':').collect();
    let [idle, interval, count] = parts.as_slice() else { return None };
    let time = |text: &str| match text {
        "" => Some(None),
        _ => parse_seconds(text.as_bytes()).map(Some),
    };
    all.idle = time(idle)?;
    all.interval = time(interval)?;
    all.count = if count.is_empty() { None } else { Some(count.parse().ok()?) };
    (value != "::").then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        Word { text: text.into(), span: Span::default(), quoted: false }
    }

    #[test]
    fn addresses() {
        for (text, want) in [
            ("8080", Some("0.0.0.0:8080")),
            ("*:81", Some("0.0.0.0:81")),
            ("127.0.0.1", Some("127.0.0.1:80")),
            ("127.0.0.1:8000", Some("127.0.0.1:8000")),
            ("[::1]:82", Some("[::1]:82")),
            ("[::]", Some("[::]:80")),
            ("unix:/run/a.sock", Some("unix:/run/a.sock")),
            ("0", None),
            ("65535", Some("0.0.0.0:65535")),
            ("65536", None),
            ("1.2.3.4:", None),
            ("[::1", None),
            ("unix:", None),
            (":80", None),
        ] {
            let got = read_address(&word(text), &Outside::default()).ok().map(|all| all[0].to_string());
            assert_eq!(got.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn options_of_sockets() {
        for (text, fine) in [
            ("backlog=511", true),
            ("backlog=0", false),
            ("reuseport", true),
            ("reuseport=1", false),
            ("so_keepalive=30m::10", true),
            ("so_keepalive=::", false),
            ("so_keepalive=on", true),
            ("ipv6only=maybe", false),
            ("rcvbuf=8k", true),
            ("proxy_protocol", false),
            ("odd", false),
        ] {
            assert_eq!(read_option(&word(text), &mut Options::default()).is_ok(), fine, "{text}");
        }
    }
}
