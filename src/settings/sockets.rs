//! From the `listen` lines of all servers to sockets: who listens where, and whose requests come in.
//! As in nginx, a wildcard takes the place of the single addresses on its port, and the connection's
//! own local address says which of them was meant.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::listening::{Address, Options};
use crate::conf::source::Span;
use crate::features::listen::Listen;
use crate::route::{Hosts, Server};

/// The servers of one address.
pub struct Group {
    /// The address.
    pub address: Address,
    /// Whether TLS is spoken there.
    pub tls: bool,
    /// Whether a server there finds its certificates in each handshake.
    pub finds_late: bool,
    /// Whether a proxy announces its client there.
    pub proxy_protocol: bool,
    /// The server for unknown names.
    pub default: Arc<Server>,
    /// The servers by name.
    pub hosts: Hosts,
}

/// What a client's first message of TLS comes to.
pub struct Greeted {
    /// The server that it named: the connection is that one's then, not the default's.
    pub named: Option<Arc<Server>>,
    /// Whose certificate it gets.
    pub certified: Arc<Server>,
}

impl Group {
    /// The servers that a handshake is for that asks for this name.
    pub fn greet(&self, name: Option<&[u8]>) -> Greeted {
        // A name that is too hard for a regex is one that no server has; the request that follows says so.
        let named = name.and_then(|name| self.hosts.find(name).ok()?).map(|found| found.server);
        // As in nginx, a server without a certificate of its own uses that of the address's default.
        let own = named.as_ref().filter(|server| server.tls.is_some());
        let certified = own.unwrap_or(&self.default).clone();
        Greeted { named, certified }
    }
}

/// One socket to listen on.
pub struct Socket {
    /// Where it is bound.
    pub address: Address,
    /// Its options.
    pub options: Options,
    /// The addresses that come in here: the bound one last, single ones before it.
    pub groups: Vec<Arc<Group>>,
    /// The first line that asked for it.
    pub span: Span,
}

impl Socket {
    /// Whether the connection's own local address is needed to tell the groups apart.
    pub fn is_shared(&self) -> bool {
        self.groups.len() > 1
    }

    /// The servers for a connection that came to this local address.
    pub fn group(&self, local: Option<SocketAddr>) -> &Arc<Group> {
        let meant = local.map(Address::Ip);
        let own = |group: &&Arc<Group>| Some(&group.address) == meant.as_ref();
        self.groups.iter().find(own).unwrap_or_else(|| &self.groups[self.groups.len() - 1])
    }
}

struct Draft {
    listens: Vec<(Listen, Arc<Server>)>,
}

/// Groups all servers by address. Conflicts become diagnostics.
pub fn build(servers: &[Arc<Server>], diagnostics: &mut Vec<Diagnostic>) -> Vec<Arc<Socket>> {
    let mut order: Vec<Address> = Vec::new();
    let mut drafts: BTreeMap<Address, Draft> = BTreeMap::new();
    for server in servers {
        for listen in &server.scope.listen.listens {
            let draft = drafts.entry(listen.address.clone()).or_insert_with(|| {
                order.push(listen.address.clone());
                Draft { listens: Vec::new() }
            });
            draft.listens.push((listen.clone(), server.clone()));
        }
    }
    let mut groups: BTreeMap<Address, (Arc<Group>, Options, Span)> = BTreeMap::new();
    for address in &order {
        let draft = &drafts[address];
        let options = options(address, draft, diagnostics);
        let group = Arc::new(group(address, draft, diagnostics));
        groups.insert(address.clone(), (group, options, draft.listens[0].0.span));
    }
    let mut sockets = Vec::new();
    for address in &order {
        let (group, options, span) = &groups[address];
        let over = wildcard_over(address).filter(|wildcard| groups.contains_key(wildcard) && !options.bind);
        if over.is_some() {
            continue;
        }
        let mut all: Vec<Arc<Group>> = Vec::new();
        if address.is_wildcard() {
            let under = |other: &&Address| wildcard_over(other).as_ref() == Some(address) && !groups[*other].1.bind;
            all.extend(order.iter().filter(under).map(|other| groups[other].0.clone()));
        }
        all.push(group.clone());
        sockets.push(Arc::new(Socket { address: address.clone(), options: options.clone(), groups: all, span: *span }));
    }
    sockets
}

/// The wildcard address that would take this one's connections.
fn wildcard_over(address: &Address) -> Option<Address> {
    let Address::Ip(ip) = address else { return None };
    let wildcard: SocketAddr = match ip {
        SocketAddr::V4(_) => ([0, 0, 0, 0], ip.port()).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, ip.port()).into(),
    };
    (!ip.ip().is_unspecified()).then_some(Address::Ip(wildcard))
}

fn options(address: &Address, draft: &Draft, diagnostics: &mut Vec<Diagnostic>) -> Options {
    let mut chosen: Option<&Listen> = None;
    for (listen, _) in draft.listens.iter().filter(|(listen, _)| listen.options != Options::default()) {
        match chosen {
            Some(first) => diagnostics.push(
                Diagnostic::error(listen.span, format!("duplicate listen options for {address}"))
                    .code(Code::ListenConflict)
                    .also(first.span, "options are set here")
                    .help("give the socket's options on one of the lines only"),
            ),
            None => chosen = Some(listen),
        }
    }
    chosen.map(|listen| listen.options.clone()).unwrap_or_default()
}

fn group(address: &Address, draft: &Draft, diagnostics: &mut Vec<Diagnostic>) -> Group {
    let mut default: Option<&(Listen, Arc<Server>)> = None;
    let mut hosts = Hosts::default();
    for entry in &draft.listens {
        let (listen, server) = entry;
        if listen.default_server {
            match default {
                Some((first, _)) => diagnostics.push(
                    Diagnostic::error(listen.span, format!("a duplicate default server for {address}"))
                        .code(Code::ListenConflict)
                        .also(first.span, "the first default server is here")
                        .help("keep `default_server` on one of them"),
                ),
                None => default = Some(entry),
            }
        }
        for (name, word) in &server.scope.server_name.names {
            if !hosts.add(name, server) {
                diagnostics.push(
                    Diagnostic::warning(
                        word.span,
                        format!("conflicting server name \"{}\" on {address}, ignored", word.show()),
                    )
                    .code(Code::ServerNameTaken)
                    .help("the first server with that name takes its requests"),
                );
            }
        }
        if server.scope.server_name.names.is_empty() {
            let unnamed = crate::features::server_name::Name::Exact(Vec::new());
            if !hosts.add(&unnamed, server) {
                diagnostics.push(
                    Diagnostic::warning(server.span, format!("conflicting server name \"\" on {address}, ignored"))
                        .code(Code::ServerNameTaken)
                        .help("give the server a `server_name`; what names no server goes to the `default_server`, else to the first"),
                );
            }
        }
    }
    let default = default.unwrap_or(&draft.listens[0]).1.clone();
    let speaks = |(listen, server): &&(Listen, Arc<Server>)| listen.tls || server.scope.ssl.on;
    let tls = draft.listens.iter().find(speaks);
    if let Some((listen, _)) = tls {
        check_certificates(&draft.listens, &default, listen, diagnostics);
    }
    let proxy_protocol = draft.listens.iter().any(|(listen, _)| listen.proxy_protocol);
    let finds_late =
        draft.listens.iter().any(|(_, server)| server.tls.as_ref().is_some_and(|context| context.is_late()));
    Group { address: address.clone(), tls: tls.is_some(), finds_late, proxy_protocol, default, hosts }
}

/// The default server needs a certificate, for clients that ask for no name or an unknown one; where it refuses all handshakes
/// the others need theirs.
fn check_certificates(
    listens: &[(Listen, Arc<Server>)],
    default: &Arc<Server>,
    listen: &Listen,
    diagnostics: &mut Vec<Diagnostic>,
) {
    // A line that names one wrongly has a message of its own.
    let names_one = |server: &Server| server.scope.places.of("ssl_certificate").is_some();
    let lacks = |server: &Server| server.tls.is_none() && !names_one(server);
    let rejects = default.tls.as_ref().is_some_and(|context| context.config.is_none());
    let lacking = match lacks(default) {
        true => Some(listen.span),
        false if rejects => listens.iter().find(|(_, server)| lacks(server)).map(|(listen, _)| listen.span),
        false => None,
    };
    let Some(span) = lacking else { return };
    let message = "`listen` has `ssl`, and the server has no `ssl_certificate`";
    let diagnostic = Diagnostic::error(span, message).code(Code::Certificate).help(
        "write `ssl_certificate FILE;` and `ssl_certificate_key FILE;` into the server; `longshore cert self-signed NAME` makes both files",
    );
    if !diagnostics.contains(&diagnostic) {
        diagnostics.push(diagnostic);
    }
}
