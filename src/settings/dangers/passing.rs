//! Rules about requests that are passed on: what the other server gets, and who chooses that.

use std::net::IpAddr;

use super::block::{Block, Matching, is, literal};
use super::headers::names_variable;
use super::{Conf, danger};
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;

pub fn proxy_pass_slash(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let Some((Matching::Prefix { .. }, path)) = block.matching() else { return };
    let path = String::from_utf8_lossy(path);
    for word in block.own(&["proxy_pass"]).filter_map(|node| node.args.first()) {
        let Some((scheme, rest)) = literal(word).and_then(|text| text.split_once("://")) else { continue };
        let Some((host, uri)) = rest.split_once('/').filter(|_| !rest.starts_with("unix:")) else { continue };
        // What ends a query, or is one, takes more behind it.
        if uri.contains('?') || path == "/" && uri.is_empty() {
            continue;
        }
        let uri = format!("/{uri}");
        let (passed, help) = match (path.ends_with('/'), uri.ends_with('/')) {
            (true, false) => {
                (format!("`{path}a` is passed on as `{uri}a`"), format!("write `{scheme}://{host}{uri}/`"))
            }
            (false, true) => (format!("`{path}/a` is passed on as `{uri}/a`"), format!("write `location {path}/`")),
            _ => continue,
        };
        let ends = "the location and the URI do not both end with a slash";
        found.push(danger(Code::ProxyPassSlash, word.span, format!("{passed}: {ends}"), help));
    }
}

pub fn proxy_pass_decoded(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    for word in block.own(&["proxy_pass"]).filter_map(|node| node.args.first()) {
        if let Some(name) = ["uri", "document_uri"].into_iter().find(|name| names_variable(&word.text, name)) {
            let message = format!("`${name}` is decoded: another path is passed on than the client asked for");
            found.push(danger(Code::ProxyPassDecoded, word.span, message, "write `$request_uri`, or no URI at all"));
        }
    }
}

pub fn host_spoofing(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    for node in block.own(&["proxy_set_header"]) {
        let [name, value, ..] = node.args.as_slice() else { continue };
        let text = value.show();
        if is(name, "host") && (names_variable(&value.text, "http_host") || text.contains("$arg_")) {
            let message =
                format!("`{text}` is what the client wrote: the application sees any Host that a client likes");
            found.push(danger(Code::HostSpoofing, value.span, message, "write `proxy_set_header Host $host;`"));
        }
    }
}

pub fn public_resolver(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    for word in block.own(&["resolver"]).flat_map(|node| node.args.iter()) {
        let Some(text) = literal(word) else { continue };
        let host = text.strip_prefix('[').and_then(|rest| rest.split(']').next());
        let host = host.unwrap_or_else(|| text.split(':').next().unwrap_or_default());
        if host.parse().is_ok_and(is_public) {
            let message =
                format!("`{host}` is a name server out on the Internet: its answers can be forged on the way");
            let help = "name one of this machine or its network, such as `resolver 127.0.0.53;`";
            found.push(danger(Code::PublicResolver, word.span, message, help));
        }
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            let is_own = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified();
            !(is_own || is_shared || ip.is_documentation() || ip.is_multicast())
        }
        IpAddr::V6(ip) => {
            ip.segments()[0] & 0xe000 == 0x2000 && !(ip.segments()[0] == 0x2001 && ip.segments()[1] == 0xdb8)
        }
    }
}

pub fn hints_without_http11(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let (Some(hints), Some(pass)) = (block.in_force("early_hints"), block.own(&["proxy_pass"]).next()) else { return };
    if hints.args.iter().all(|word| is(word, "0") || word.text.is_empty()) || block.is_set("proxy_http_version", "1.1")
    {
        return;
    }
    let message = "the server here is asked in HTTP/1.0, which has no early hints";
    let danger = danger(Code::HintsWithoutHttp11, hints.span, message, "write `proxy_http_version 1.1;`");
    found.push(danger.also(pass.span, "the server that is asked"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_public() {
        for (ip, want) in [
            ("8.8.8.8", true),
            ("1.1.1.1", true),
            ("10.0.0.2", false),
            ("100.100.100.100", false),
            ("127.0.0.53", false),
            ("169.254.169.253", false),
            ("192.0.2.1", false),
            ("2606:4700:4700::1111", true),
            ("fd00::1", false),
            ("::1", false),
            ("2001:db8::1", false),
            ("::ffff:8.8.8.8", true),
        ] {
            assert_eq!(is_public(ip.parse().unwrap()), want, "{ip}");
        }
    }
}
