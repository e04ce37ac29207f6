//! An upstream as somebody is shown it who asks where a request would go: who may get it, who is asked first, and by what rule.
//! Asks nobody.

use std::sync::Arc;
use std::time::Instant;

use super::balance::Method;
use super::peers::Peer;
use super::{Tried, Upstream};
use crate::exchange::Exchange;
use crate::exchange::trace;
use crate::http::escape;

impl Upstream {
    /// What it is called: a block by its name, a host by its port too.
    pub fn title(&self) -> String {
        let mut peers = self.groups.iter().flat_map(|group| &group.peers);
        match (self.is_named, peers.next(), peers.next()) {
            (false, Some(only), None) => only.address.to_string(),
            _ => self.name.to_string(),
        }
    }

    /// Its servers, and which of them a server that has just started would ask first for this request.
    pub fn show(self: &Arc<Self>, x: &Exchange) -> trace::Peers {
        let first = match self.method {
            // Nobody can say.
            Method::Random | Method::RandomTwo => None,
            _ => self.choose(x, &mut Tried::at_most(0), Instant::now()).map(|choice| (choice.group, choice.peer)),
        };
        let mut list = Vec::new();
        for (group, peers) in self.groups.iter().enumerate() {
            for (number, peer) in peers.peers.iter().enumerate() {
                list.push(trace::Peer {
                    server: peer.server.to_string(),
                    address: peer.address.to_string(),
                    note: note(peer, group > 0),
                    is_first: first == Some((group, number)),
                });
            }
        }
        let how = if list.len() < 2 { String::new() } else { self.rule(x) };
        trace::Peers { how, list }
    }

    fn rule(&self, x: &Exchange) -> String {
        let key = self.key.as_ref().map(|key| x.eval(key)).unwrap_or_default();
        let key = escape::error_log(&key);
        match &self.method {
            Method::RoundRobin => "in turn, by weight: the first is that of a server that has just started".into(),
            Method::LeastConn => {
                "the one with the fewest requests for its weight: the first is that of an idle server".into()
            }
            Method::IpHash => "by the client's address".into(),
            Method::Hash => format!("by the key `{key}`"),
            Method::Consistent(_) => format!("by the key `{key}`, on a ring"),
            Method::Random => "at random".into(),
            Method::RandomTwo => "the one with fewer requests of two at random".into(),
        }
    }
}

fn note(peer: &Peer, is_backup: bool) -> String {
    let words = [
        (peer.weight != 1).then(|| format!("weight={}", peer.weight)),
        (peer.max_conns > 0).then(|| format!("max_conns={}", peer.max_conns)),
        is_backup.then(|| "backup".into()),
        peer.down.then(|| "down".into()),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_conf_says_of_a_server() {
        let mut peer = Peer {
            address: crate::gateway::upstream::address::tcp([127, 0, 0, 1].into(), 80),
            shown: "127.0.0.1:80".into(),
            server: "a".into(),
            weight: 1,
            max_conns: 0,
            max_fails: 1,
            fail_timeout: 10,
            down: false,
        };
        assert_eq!(note(&peer, false), "");
        (peer.weight, peer.max_conns, peer.down) = (2, 3, true);
        assert_eq!(note(&peer, true), "weight=2 max_conns=3 backup down");
    }
}
