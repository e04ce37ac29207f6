//! Who a request came from, as proxies on its way say (`X-Forwarded-For` and its like): a list of addresses, the nearest
//! last. Whom to believe is the caller's to say.

use std::net::{IpAddr, SocketAddr};

/// Follows a chain of proxies back from `peer`: its last named address, if the peer is believed, and with `recursive`
/// further as long as the address before is believed too. None on a Unix socket is an address like others. None if
/// nothing is believed or nothing can be read.
pub fn origin(
    peer: Option<SocketAddr>,
    list: &[u8],
    recursive: bool,
    believes: impl Fn(Option<SocketAddr>) -> bool,
) -> Option<SocketAddr> {
    let mut found = None;
    let named = list.split(|b| matches!(b, b',' | b' ')).filter(|text| !text.is_empty());
    for text in named.rev() {
        // As in nginx, a separator is looked for after the first byte: `,192.0.2.1` is no address.
        let is_behind_the_first = text.as_ptr() == list[1..].as_ptr();
        if !believes(found.or(peer)) || is_behind_the_first {
            break;
        }
        let Some(next) = parse(text) else { break };
        found = Some(next);
        if !recursive {
            break;
        }
    }
    found
}

/// An address, perhaps with a port; without one it is 0. Brackets stand only where a port follows, as in nginx.
pub fn parse(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let alone = text.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, 0));
    alone.or_else(|| text.parse().ok().filter(|address: &SocketAddr| address.port() != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1:0")),
            ("192.0.2.1:80", Some("192.0.2.1:80")),
            ("192.0.2.1:0", None),
            ("192.0.2.1:65536", None),
            ("[::1]:80", Some("[::1]:80")),
            ("[::1]", None),
            ("::1", Some("[::1]:0")),
            ("unix:", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()), expected.map(|text| text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn proxies_are_believed_one_by_one() {
        let believes = |address: Option<SocketAddr>| address.is_none_or(|at| at.ip().to_string().starts_with("10."));
        for (peer, list, once, recursive) in [
            ("1.1.1.1:1", "2.2.2.2", None, None),
            ("10.0.0.1:1", "", None, None),
            ("10.0.0.1:1", "2.2.2.2, 3.3.3.3", Some("3.3.3.3"), Some("3.3.3.3")),
            ("10.0.0.1:1", "2.2.2.2, 10.0.0.2", Some("10.0.0.2"), Some("2.2.2.2")),
            ("10.0.0.1:1", "x, 10.0.0.2,,", Some("10.0.0.2"), Some("10.0.0.2")),
            ("10.0.0.1:1", "10.0.0.3", Some("10.0.0.3"), Some("10.0.0.3")),
            ("10.0.0.1:1", "x", None, None),
            ("10.0.0.1:1", ",2.2.2.2", None, None),
            ("10.0.0.1:1", ",,2.2.2.2", Some("2.2.2.2"), Some("2.2.2.2")),
            ("10.0.0.1:1", ",2.2.2.2,10.0.0.2", Some("10.0.0.2"), Some("10.0.0.2")),
            ("unix", "2.2.2.2", Some("2.2.2.2"), Some("2.2.2.2")),
        ] {
            for (recursive, expected) in [(false, once), (true, recursive)] {
                let found = origin(peer.parse().ok(), list.as_bytes(), recursive, believes);
                assert_eq!(found.map(|at| at.ip().to_string()).as_deref(), expected, "{peer} {list} {recursive}");
            }
        }
    }
}
