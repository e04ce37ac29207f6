//! Rules about what is open to clients and was hardly meant to be.

use std::path::{Path, PathBuf};

use super::block::{Block, Matching, Place, is, literal};
use super::{Conf, danger, guards, headers, router};
use crate::conf::ast::Node;
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;

pub fn status_open(conf: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let (Some(node), Some(server)) = (block.own(&["stub_status"]).next(), block.server()) else { return };
    if !conf.is_whole || guards::is_guarded(block) || is_local(&server) {
        return;
    }
    let message = "everybody can see the status page";
    found.push(danger(Code::StatusOpen, node.span, message, "write `allow 127.0.0.1; deny all;` beside it"));
}

/// Whether only this machine reaches the server.
fn is_local(server: &Block<'_>) -> bool {
    let mut listens = server.own(&["listen"]).filter_map(|node| node.args.first()).peekable();
    let local = ["127.", "localhost", "[::1]", "unix:"];
    listens.peek().is_some() && listens.all(|word| local.iter().any(|start| word.text.starts_with(start.as_bytes())))
}

/// Folders of the system's that hold more than anybody should see.
const SYSTEM: [&str; 12] = [
    "/",
    "/boot",
    "/dev",
    "/etc",
    "/etc/letsencrypt",
    "/etc/nginx",
    "/etc/ssl",
    "/home",
    "/proc",
    "/root",
    "/sys",
    "/var",
];

pub fn root_holds_secrets(conf: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let Some(word) = block.own(&["root", "alias"]).next().and_then(|node| node.args.first()) else { return };
    let (Some(server), Some(text)) = (block.server().filter(|_| conf.is_whole), literal(word)) else { return };
    let Some(folder) = served(block, router::absolute(conf.prefix, text)) else { return };
    if guards::is_guarded(block) {
        return;
    }
    let message = if SYSTEM.iter().any(|path| folder == Path::new(path)) {
        format!("`{}` is the system's own folder, and clients can ask for every file in it", folder.display())
    } else if let Some(secret) = secret_below(conf, &server, &folder) {
        format!("clients can ask for `{}`, which lies below this folder", secret.display())
    } else {
        return;
    };
    found.push(danger(Code::RootHoldsSecrets, word.span, message, "serve from a folder that holds nothing else"));
}

/// The folder whose files a block serves by its own `root` or `alias`; none where it is not sure.
fn served(block: &Block<'_>, path: PathBuf) -> Option<PathBuf> {
    let is_alias = block.has("alias");
    match (block.place, block.matching()) {
        (Place::Location, Some((Matching::Prefix { .. }, _))) if is_alias => Some(path),
        (Place::Location, Some((Matching::Prefix { .. }, prefix))) => {
            let prefix = std::str::from_utf8(prefix).ok()?.trim_matches('/');
            Some(if prefix.is_empty() { path } else { path.join(prefix) })
        }
        (Place::Server, _) => {
            let is_rest = |location: &Block<'_>| matches!(location.matching(), Some((Matching::Prefix { .. }, b"/")));
            let rest = block.locations().find(is_rest);
            let leads_on = rest.is_some_and(|rest| {
                let names = [
                    "root",
                    "alias",
                    "return",
                    "proxy_pass",
                    "fastcgi_pass",
                    "uwsgi_pass",
                    "scgi_pass",
                    "grpc_pass",
                    "deny",
                ];
                rest.own(&names).next().is_some()
            });
            (!leads_on && guards::always_returns(block).is_none()).then_some(path)
        }
        _ => None,
    }
}

/// A conf file or a key below a folder that a request would really get.
fn secret_below(conf: &Conf<'_>, server: &Block<'_>, folder: &Path) -> Option<PathBuf> {
    let mut keys = Vec::new();
    collect_keys(conf, &conf.top, &mut keys);
    let files = conf.files.iter().map(|file| file.to_path_buf());
    files.chain(keys).find(|secret| {
        let Ok(rest) = secret.strip_prefix(folder) else { return false };
        let mut is_served = false;
        router::file_of(server, conf.prefix, &format!("/{}", rest.display()), &mut |block, root, _| {
            is_served = root == folder && !guards::is_guarded(block);
        });
        is_served
    })
}

fn collect_keys(conf: &Conf<'_>, block: &Block<'_>, keys: &mut Vec<PathBuf>) {
    let named = block.own(&["ssl_certificate_key"]).filter_map(|node| literal(node.args.first()?));
    let folder = conf.files.first().and_then(|file| file.parent()).unwrap_or(conf.prefix);
    keys.extend(named.map(|path| router::absolute(folder, path)));
    block.blocks().for_each(|inner| collect_keys(conf, &inner, keys));
}

pub fn upload_runs_scripts(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    // What `upload_store` takes is never run by its own location; a store in another's tree is found once all are read.
    let takes_files =
        |node: &&Node| node.args.iter().any(|word| ["PUT", "COPY", "MOVE"].into_iter().any(|method| is(word, method)));
    let stores = block.in_force("dav_methods").filter(takes_files);
    let (Some(store), Some(scripts)) = (stores, block.in_force("cgi").filter(|_| block.is_set("cgi", "on"))) else {
        return;
    };
    // Said once, where the two come together.
    let is_own = |node: &Node| block.children.iter().any(|own| std::ptr::eq(own, node));
    if is_own(store) || is_own(scripts) {
        let message = "files that clients store here are run as scripts";
        let help = "store them in a location of its own, with `cgi off;`";
        found.push(danger(Code::UploadRunsScripts, store.span, message, help).also(scripts.span, "runs them"));
    }
}

pub fn certificate_unused(conf: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let Some(node) = block.own(&["ssl_certificate"]).next() else { return };
    if !conf.is_whole || block.place != Place::Server || !block.has("listen") || block.is_set("ssl", "on") {
        return;
    }
    // One line with `ssl` makes the port speak TLS for all servers on it.
    let secure = secure_ports(&conf.top);
    if block.own(&["listen"]).any(|listen| secure.contains(&port(listen))) {
        return;
    }
    let message = "a certificate, and no `listen` line of this server has `ssl`: nothing is encrypted";
    found.push(danger(Code::CertificateUnused, node.span, message, "write `listen 443 ssl;`"));
}

fn secure_ports(block: &Block<'_>) -> Vec<String> {
    let speaks = |node: &&Node| node.args.iter().skip(1).any(|word| is(word, "ssl") || is(word, "quic"));
    let own = block.own(&["listen"]).filter(speaks).map(port).collect::<Vec<_>>();
    let inner: Vec<String> = block.blocks().flat_map(|inner| secure_ports(&inner)).collect();
    own.into_iter().chain(inner).collect()
}

/// What stands behind the last colon of the address.
fn port(listen: &Node) -> String {
    let text = listen.args.first().map(|word| word.show()).unwrap_or_default();
    text.rsplit(':').next().unwrap_or_default().to_string()
}

/// Whether the host of this URL comes from what a client wrote.
fn is_host_chosen(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    // A request's target begins with a slash, so it ends a name that stands before it.
    let before = ["$request_uri", "${request_uri}"].iter().find_map(|path| Some(host.split_once(path)?.0));
    let host = before.filter(|name| !name.is_empty()).unwrap_or(host);
    let named = ["host", "request_uri", "args", "query_string"];
    let chosen = ["$arg_", "${arg_", "$http_", "${http_", "$cookie_", "${cookie_"];
    named.iter().any(|name| headers::names_variable(host.as_bytes(), name))
        || chosen.iter().any(|start| host.contains(start))
}

pub fn open_proxy(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    for word in block.own(&["proxy_pass"]).filter_map(|node| node.args.first()) {
        if is_host_chosen(&word.show()) {
            let message = "clients choose the server that their requests are passed to";
            found.push(danger(Code::OpenProxy, word.span, message, "choose among known servers with a `map`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_clients_choose() {
        for url in [
            "http://$arg_to",
            "https://$host$request_uri",
            "http://$request_uri",
            "http://h$args",
            "http://a.${http_b}:80/",
        ] {
            assert!(is_host_chosen(url), "{url}");
        }
        for url in [
            "http://next$request_uri",
            "http://127.0.0.1:9000${request_uri}?$args",
            "http://$backend",
            "http://a/$arg_b",
        ] {
            assert!(!is_host_chosen(url), "{url}");
        }
    }
}
