//! `resolver` and `resolver_timeout` as they stand in a conf, wherever they may.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Names, Plan, Resolver};
use crate::conf::args::{Args, Fault, parse_seconds};
use crate::conf::ast::Word;
use crate::conf::outside::Outside;
use crate::gateway::upstream::address::{Address, parse};

/// The port of name servers.
const PORT: u16 = 53;

impl Names {
    /// Reads `resolver`.
    pub fn set(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        let read = plan(args);
        // One that is wrong was named all the same: nobody is told that it is missing as well.
        let nobody = Plan { servers: Vec::new(), valid: None, v4: true, v6: true };
        self.resolver = Some(Resolver::of(read.as_ref().map_or(nobody, Clone::clone)));
        read.map(drop)
    }

    /// Reads `resolver_timeout`.
    pub fn set_timeout(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.timeout = Some(args.time(0)?);
        Ok(())
    }
}

fn plan(args: &Args<'_>) -> Result<Plan, Fault> {
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
    Ok(plan)
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
