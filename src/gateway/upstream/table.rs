//! The upstreams of a conf: those that blocks make, found by name, and those that lines make which name a host themselves
//! (`proxy_pass http://127.0.0.1:8080`). Built once all of the conf was read, since a block may stand behind its users.

use std::collections::HashMap;
use std::sync::Arc;

use super::address::{Address, Target, parse};
use super::probes::Expected;
use super::{Choose, Keepalive, Line, Upstream};
use crate::conf::args::Destination;
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::outside::Outside;
use crate::conf::source::Span;
use crate::conf::suggest;
use crate::gateway::resolver::Names;

/// An `upstream` block as it was read.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// Its servers, their names looked up.
    pub lines: Vec<Line>,
    /// Its method.
    pub choose: Choose,
    /// What it keeps.
    pub keepalive: Keepalive,
    /// Who looks its names up, if it says that itself.
    pub names: Names,
}

/// The upstreams of a conf.
#[derive(Debug, Default)]
pub struct Upstreams {
    /// By name in lower case.
    named: HashMap<String, Arc<Upstream>>,
    /// By host and port.
    hosts: HashMap<(String, u16), Arc<Upstream>>,
    /// By the index of the destination.
    destinations: Vec<Arc<Upstream>>,
}

impl Upstreams {
    /// The table of these blocks and destinations. A destination that names neither an upstream nor a host that is found
    /// becomes a diagnostic.
    pub fn build(
        blocks: Vec<Draft>,
        checks: &HashMap<String, Vec<Expected>>,
        names: &Names,
        destinations: &[Destination],
        outside: &Outside,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Upstreams {
        let mut table = Upstreams::default();
        for mut block in blocks {
            let key = block.name.to_ascii_lowercase();
            if let Some(checks) = checks.get(&key) {
                let checks: Arc<[Expected]> = checks.as_slice().into();
                block.lines.iter_mut().for_each(|line| line.checks = checks.clone());
            }
            let mut upstream = block.make(names, diagnostics);
            upstream.is_named = true;
            table.named.insert(key, Arc::new(upstream));
        }
        for destination in destinations {
            match table.of(destination, outside) {
                Ok(upstream) => table.destinations.push(upstream),
                Err(message) => {
                    let near = table.near(&destination.text);
                    let help = "the name is looked up when the conf is read; where a variable stands in it, it is looked up for \
                                each request by the servers that `resolver` names";
                    let lost = Diagnostic::error(destination.span, message).code(Code::UnknownUpstream);
                    diagnostics.push(match (lost.message.contains("host not found"), near) {
                        (true, Some(help)) => lost.help(help),
                        (true, None) => lost.help(help),
                        (false, _) => lost,
                    });
                    // Every index keeps its place; with an error the table is never used.
                    table.destinations.push(Arc::new(Upstream::of_host("", Vec::new())));
                }
            }
        }
        table
    }

    /// Begins to look up the names of servers that are looked up while requests come.
    pub fn begin(&self) {
        self.named.values().for_each(|upstream| upstream.begin());
    }

    /// The upstream of the destination with this index, which a setter was given by the load.
    pub fn at(&self, index: usize) -> Option<&Arc<Upstream>> {
        self.destinations.get(index)
    }

    /// The upstream of a block, or of a host that some line names with this port: what a text with variables may have meant.
    pub fn named(&self, name: &[u8], port: Option<u16>, default_port: u16) -> Option<&Arc<Upstream>> {
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        let block = self.named.get(&name).filter(|_| port.is_none());
        block.or_else(|| self.hosts.get(&(name, port.unwrap_or(default_port))))
    }

    /// Goes on with what the upstreams of the same names knew before a reload.
    pub fn inherit(&mut self, before: &Upstreams) {
        fn join<K: std::hash::Hash + Eq>(
            table: &mut HashMap<K, Arc<Upstream>>,
            before: &HashMap<K, Arc<Upstream>>,
            destinations: &mut [Arc<Upstream>],
        ) {
            for (key, upstream) in table {
                let Some(other) = before.get(key) else { continue };
                let old = upstream.clone();
                let mut new = (**upstream).clone();
                new.inherit(other);
                *upstream = Arc::new(new);
                for destination in destinations.iter_mut().filter(|known| Arc::ptr_eq(known, &old)) {
                    *destination = upstream.clone();
                }
            }
        }
        join(&mut self.named, &before.named, &mut self.destinations);
        join(&mut self.hosts, &before.hosts, &mut self.destinations);
    }

    /// What to write for a name without dots, which is hardly a host's.
    fn near(&self, text: &[u8]) -> Option<String> {
        let name = std::str::from_utf8(text).ok().filter(|name| !name.contains(['.', ':', '/', '[']))?;
        Some(match suggest::closest(name, self.named.keys().map(String::as_str)) {
            Some(near) => format!("did you mean the upstream `{near}`?"),
            None => format!(
                "no `upstream {name}` is declared and no host has this name: write `upstream {name} {{ server 127.0.0.1:8000; }}` into `http`"
            ),
        })
    }

    fn of(&mut self, destination: &Destination, outside: &Outside) -> Result<Arc<Upstream>, String> {
        let Destination { directive, text, default_port, .. } = destination;
        let fault = |what: String| format!("`{directive}` {what}");
        if let Some(known) = std::str::from_utf8(text).ok().and_then(|name| self.named.get(&name.to_ascii_lowercase()))
        {
            return Ok(known.clone());
        }
        let target = parse(text, *default_port).map_err(fault)?;
        let (name, port): (String, u16) = match &target {
            Target::Host { name, has_port: true, port } if self.named.contains_key(&name.to_ascii_lowercase()) => {
                return Err(fault(format!("gives the upstream `{name}` a port ({port}): its servers have their own")));
            }
            Target::Host { name, port, .. } => (name.clone(), *port),
            Target::Address(Address::Tcp(address)) => (address.ip().to_string(), address.port()),
            Target::Address(Address::Unix(_)) => (target_text(text), 0),
        };
        if *default_port == 0 && port == 0 && !matches!(target, Target::Address(Address::Unix(_))) {
            return Err(fault(format!("names no port in upstream \"{name}\": write `{name}:9000`, say")));
        }
        let key = (name.to_ascii_lowercase(), port);
        if let Some(known) = self.hosts.get(&key) {
            return Ok(known.clone());
        }
        let addresses = target.addresses(outside);
        if addresses.is_empty() {
            return Err(fault(format!("names a host not found in upstream \"{name}\"")));
        }
        let upstream = Arc::new(Upstream::of_host(name, addresses));
        self.hosts.insert(key, upstream.clone());
        Ok(upstream)
    }
}

impl Draft {
    /// The upstream of a block; `names` is who looks names up for blocks that say nothing of it.
    fn make(self, names: &Names, diagnostics: &mut Vec<Diagnostic>) -> Upstream {
        let is_fixed = self.lines.iter().all(|line| line.resolve.is_none());
        let resolver = self.names.resolver.or_else(|| names.resolver.clone());
        match resolver {
            _ if is_fixed => Upstream::new(self.name, &self.lines, self.choose, self.keepalive),
            Some(resolver) => {
                let by = (resolver, self.names.timeout.unwrap_or(names.timeout()));
                Upstream::resolving(self.name, self.lines, self.choose, self.keepalive, by)
            }
            None => {
                let text = format!("no resolver is defined to resolve names at run time in upstream \"{}\"", self.name);
                let lost = Diagnostic::error(self.span, text).code(Code::UnknownUpstream);
                diagnostics.push(lost.help("write `resolver 127.0.0.53;` in the block or in `http`"));
                Upstream::of_host("", Vec::new())
            }
        }
    }
}

fn target_text(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
