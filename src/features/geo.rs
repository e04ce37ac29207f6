//! `geo`: a variable whose value depends on an address. Networks stand in one hash table for each length that occurs,
//! ranges in one sorted list; a look-up costs at most one probe for each length.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::conf::args::{Args, Fault};
use crate::conf::ast::{Node, Word};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::{VarId, whole_name};
use crate::exchange::Exchange;
use crate::exchange::variables::{Getter, Given, Value, Variable};
use crate::http::forwarded;

/// The settings: the `geo` blocks of the conf, each with the variable it makes.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    blocks: Vec<(VarId, Arc<Geo>)>,
}

/// One block.
#[derive(Debug, Default)]
struct Geo {
    /// The variable that holds the address; none for the client's own.
    source: Option<VarId>,
    nets: Nets,
    /// Instead of networks, once the block says `ranges`.
    ranges: Option<Ranges>,
    /// Whose `X-Forwarded-For` is believed.
    proxies: Vec<IpNet>,
    /// Whether it is believed through several of them.
    recursive: bool,
}

/// Values by network.
#[derive(Debug, Default)]
struct Nets {
    values: HashMap<IpNet, Bytes>,
    /// The lengths that occur among them, for IPv4 and IPv6, longest first.
    lengths: [Vec<u8>; 2],
}

/// Values by ranges of IPv4 addresses: no range crosses a boundary of 65,536 addresses, so that a later line may take
/// part of an earlier one's.
#[derive(Debug, Default)]
struct Ranges {
    /// Start, then end and value.
    pieces: BTreeMap<u32, (u32, Bytes)>,
    default: Option<Bytes>,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "geo",
        syntax: &["[$address] $variable"],
        default: None,
        contexts: Contexts::HTTP,
        arity: Arity::Words(1, 2),
        block: true,
        doc: "Makes a variable from the client's address, or from the one in `$address`: each line of the block is a network and the value; \
              the smallest network counts, `default` is for all else. With `ranges;` first, lines are ranges `first-last` of IPv4 \
              addresses. `delete` takes a network or range out again. `proxy` names a network whose `X-Forwarded-For` field is believed; \
              with `proxy_recursive;` the last address in it that is none of those counts.",
    },
    repeat: Repeat::Allowed,
    inherit: Inherit::Yes,
    set,
}];

/// The variables: none but the conf's own.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let source = match args.len() {
        1 => None,
        _ => Some(args.load.names.refer(&name(args.word(0))?, args.word(0).span)),
    };
    let word = args.word(args.len() - 1);
    let id = args.load.names.declare(&name(word)?, word.span, false);
    let mut geo = Geo { source, ..Geo::default() };
    let node = args.node;
    for line in node.block.as_deref().unwrap_or_default() {
        geo.read_line(line, args)?;
    }
    conf.blocks.push((id, Arc::new(geo)));
    Ok(())
}

/// The name of `$name`, in lower case.
fn name(word: &Word) -> Result<String, Fault> {
    let bad = || {
        Fault::at(word, format!("has an invalid variable name `{}`", word.show()))
            .help("a name is a `$`, then letters, digits and `_`")
    };
    whole_name(&word.text).ok_or_else(bad)
}

impl Geo {
    fn read_line(&mut self, line: &Node, args: &mut Args<'_>) -> Result<(), Fault> {
        let key = &line.name;
        let value = match (line.args.as_slice(), &line.block, key.text.as_slice()) {
            ([], None, b"ranges") if !self.nets.values.is_empty() => {
                return Err(Fault::at(key, "has `ranges` behind a network").help("`ranges` comes first in its block"));
            }
            ([], None, b"ranges") => {
                self.ranges.get_or_insert_default();
                return Ok(());
            }
            ([], None, b"proxy_recursive") => {
                self.recursive = true;
                return Ok(());
            }
            ([value], None, _) => value,
            _ => {
                let help = "a line is a network and its value: `192.0.2.0/24 lan;`";
                return Err(Fault::at(key, format!("has a line that is no pair: `{}`", key.show())).help(help));
            }
        };
        if key.text == b"proxy" {
            let net = network(value, args)?;
            self.proxies.push(net);
            return Ok(());
        }
        match &mut self.ranges {
            Some(ranges) => ranges.read(key, value, args),
            None => self.nets.read(key, value, args),
        }
    }
}

/// A network in a word; bits beyond its length are ignored with a warning.
fn network(word: &Word, args: &mut Args<'_>) -> Result<IpNet, Fault> {
    let text = word.show();
    let net = match text.split_once('/') {
        None => text.parse::<IpAddr>().ok().map(IpNet::from),
        Some(_) => text.parse::<IpNet>().ok(),
    };
    let bad = || Fault::at(word, format!("takes a network such as `192.0.2.0/24` or `2001:db8::/32`, not `{text}`"));
    let net = net.ok_or_else(bad)?;
    if net.trunc() != net {
        args.warn_at(word, format!("`geo` ignores the low address bits of `{text}`"));
    }
    Ok(net.trunc())
}

fn quote(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

impl Nets {
    fn read(&mut self, key: &Word, value: &Word, args: &mut Args<'_>) -> Result<(), Fault> {
        match key.text.as_slice() {
            b"default" => {
                for all in [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())] {
                    self.add(all, key, value, args);
                }
            }
            b"delete" => {
                let net = network(value, args)?;
                if self.values.remove(&net).is_none() {
                    args.warn_at(value, format!("`geo` has no network `{}` to delete", value.show()));
                }
            }
            _ => {
                let net = network(key, args)?;
                self.add(net, key, value, args);
            }
        }
        Ok(())
    }

    fn add(&mut self, net: IpNet, key: &Word, value: &Word, args: &mut Args<'_>) {
        let lengths = &mut self.lengths[usize::from(matches!(net, IpNet::V6(_)))];
        if let Err(at) = lengths.binary_search_by(|length| net.prefix_len().cmp(length)) {
            lengths.insert(at, net.prefix_len());
        }
        if let Some(before) = self.values.insert(net, Bytes::copy_from_slice(&value.text)) {
            let (key, value, before) = (key.show(), value.show(), quote(&before));
            args.warn(None, format!("duplicate network `{key}` in `geo`: its value was `{before}`, now `{value}`"));
        }
    }

    fn find(&self, address: IpAddr) -> Option<&Bytes> {
        let lengths = &self.lengths[usize::from(address.is_ipv6())];
        lengths.iter().find_map(|length| self.values.get(&IpNet::new(address, *length).ok()?.trunc()))
    }
}

impl Ranges {
    fn read(&mut self, key: &Word, value: &Word, args: &mut Args<'_>) -> Result<(), Fault> {
        if key.text == b"default" {
            if let Some(before) = self.default.replace(Bytes::copy_from_slice(&value.text)) {
                args.warn_at(key, format!("duplicate default of `geo` ranges: it was `{}`", quote(&before)));
            }
            return Ok(());
        }
        let (word, deletes) = if key.text == b"delete" { (value, true) } else { (key, false) };
        let bad = || Fault::at(word, format!("takes a range such as `192.0.2.1-192.0.2.9`, not `{}`", word.show()));
        let text = word.show();
        let (start, end) = text.split_once('-').ok_or_else(bad)?;
        let address = |text: &str| text.parse::<Ipv4Addr>().ok().map(u32::from);
        let (start, end) = address(start).zip(address(end)).filter(|(start, end)| start <= end).ok_or_else(bad)?;
        let mut found = true;
        for high in start >> 16..=end >> 16 {
            let (start, end) = (start.max(high << 16), end.min(high << 16 | 0xffff));
            match deletes {
                true => found &= self.remove(start, end),
                false => self.add(start, end, key, value, args)?,
            }
        }
        if !found {
            args.warn_at(word, format!("`geo` has no address range `{text}` to delete"));
        }
        Ok(())
    }

    /// Takes out a piece; a range that is only part of another, or more than one, stays.
    fn remove(&mut self, start: u32, end: u32) -> bool {
        let is_it = self.pieces.get(&start).is_some_and(|(last, _)| *last == end);
        is_it && self.pieces.remove(&start).is_some()
    }

    /// Adds a piece: it may stand for itself, or take the whole or a part of one that is there.
    fn add(&mut self, start: u32, end: u32, key: &Word, value: &Word, args: &mut Args<'_>) -> Result<(), Fault> {
        let new = (end, Bytes::copy_from_slice(&value.text));
        let touched: Vec<u32> = self
            .pieces
            .range(..=end)
            .rev()
            .take_while(|(_, (last, _))| *last >= start)
            .map(|(first, _)| *first)
            .collect();
        match touched.as_slice() {
            [] => {}
            [first] if *first <= start && self.pieces[first].0 >= end => {
                let (last, old) = self.pieces[first].clone();
                if (*first, last) == (start, end) {
                    let (key, value, old) = (key.show(), value.show(), quote(&old));
                    args.warn(None, format!("duplicate range `{key}` in `geo`: its value was `{old}`, now `{value}`"));
                }
                if *first < start {
                    self.pieces.insert(*first, (start - 1, old.clone()));
                }
                if end < last {
                    self.pieces.insert(end + 1, (last, old));
                }
            }
            [first, ..] => {
                let other = format!("{}-{}", Ipv4Addr::from(*first), Ipv4Addr::from(self.pieces[first].0));
                return Err(Fault::at(key, format!("has a range `{}` that overlaps `{other}`", key.show()))
                    .help("the wider range comes first; a later one may take a part of it"));
            }
        }
        self.pieces.insert(start, new);
        Ok(())
    }

    fn find(&self, address: u32) -> Option<&Bytes> {
        let before = self.pieces.range(..=address).next_back();
        let holds = before.and_then(|(_, (last, value))| (*last >= address).then_some(value));
        holds.or(self.default.as_ref())
    }
}

/// The getters of the variables that `geo` blocks make.
pub fn getters(conf: &Conf) -> Vec<(VarId, Getter)> {
    let getter = |(id, geo): &(VarId, Arc<Geo>)| -> (VarId, Getter) {
        let (id, geo) = (*id, geo.clone());
        (id, Box::new(move |x| value(x, &geo, id)))
    };
    conf.blocks.iter().map(getter).collect()
}

fn value<'x>(x: &'x Exchange, geo: &Geo, id: VarId) -> Value<'x> {
    // As in nginx, no address is the last one there is.
    let address = x.as_it_is(|| geo.address(x)).unwrap_or(Ipv4Addr::BROADCAST.into());
    let given = geo.find(address).cloned().map_or(Given::default(), Given::of_conf);
    let value = x.choose(&given);
    x.assign(id, given);
    Some(Cow::Owned(value.into()))
}

impl Geo {
    fn find(&self, address: IpAddr) -> Option<&Bytes> {
        match (&self.ranges, address) {
            (Some(ranges), IpAddr::V4(address)) => ranges.find(address.into()),
            (Some(ranges), IpAddr::V6(_)) => ranges.find(Ipv4Addr::BROADCAST.into()),
            (None, address) => self.nets.find(address),
        }
    }

    /// The address that counts.
    fn address(&self, x: &Exchange) -> Option<IpAddr> {
        let address = match self.source {
            None => x.client.peer?.ip(),
            Some(id) => std::str::from_utf8(&x.variable(id)?).ok()?.parse().ok()?,
        };
        if self.proxies.is_empty() {
            return Some(address.to_canonical());
        }
        let fields = x.head.fields_named(b"x-forwarded-for").collect::<Vec<_>>().join(&b", "[..]);
        let believes = |at: Option<SocketAddr>| {
            at.is_some_and(|at| self.proxies.iter().any(|net| net.contains(&at.ip().to_canonical())))
        };
        let origin = forwarded::origin(Some((address, 0).into()), &fields, self.recursive, believes);
        Some(origin.map_or(address, |origin| origin.ip()).to_canonical())
    }
}
