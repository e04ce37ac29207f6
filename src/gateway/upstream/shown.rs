//! An upstream as somebody is shown it who asks where a request would go: who may get it, who is asked first, and by what rule.
//! Asks nobody.

use std::sync::Arc;
use std::time::Instant;

use super::balance::Method;
use super::{Tried, Upstream};
use crate::exchange::Exchange;
use crate::exchange::trace;
use crate::http::escape;

impl Upstream {
    /// What it is called: a block by its name, a host by its port too.
    pub fn title(&self) -> String {
        let servers = self.servers();
        let mut peers = servers.peers();
        match (self.is_named, peers.next(), peers.next()) {
            (false, Some(only), None) => only.address.to_string(),
            _ => self.name.to_string(),
        }
    }

    /// Its servers, and which of them a server that has just started would ask first for this request.
    pub fn show(self: &Arc<Self>, x: &Exchange) -> trace::Peers {
        let servers = self.servers();
        let first = match servers.method {
            // Nobody can say.
            Method::Random | Method::RandomTwo => None,
            _ => self.choose(x, &mut Tried::at_most(0), Instant::now()).map(|choice| (choice.group, choice.peer)),
        };
        let mut list = Vec::new();
        for (group, peers) in servers.groups.iter().enumerate() {
            for (number, peer) in peers.peers.iter().enumerate() {
                list.push(trace::Peer {
                    server: peer.server.to_string(),
                    address: peer.address.to_string(),
                    note: note(peer.weight, peer.max_conns, group > 0, peer.down),
                    is_first: first == Some((group, number)),
                });
            }
        }
        let live = self.live.iter().flat_map(|live| live.unknown());
        list.extend(live.map(|line| trace::Peer {
            server: line.name.to_string(),
            address: "looked up while requests come".into(),
            note: note(line.weight.into(), line.max_conns, line.backup, line.down),
            is_first: false,
        }));
        let how = if list.len() < 2 { String::new() } else { self.rule(x) };
        trace::Peers { how, list }
    }

    fn rule(&self, x: &Exchange) -> String {
        let key = self.key.as_ref().map(|key| x.eval(key)).unwrap_or_default();
        let key = escape::error_log(&key);
        match &self.servers().method {
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

fn note(weight: i64, max_conns: u32, is_backup: bool, is_down: bool) -> String {
    let words = [
        (weight != 1).then(|| format!("weight={weight}")),
        (max_conns > 0).then(|| format!("max_conns={max_conns}")),
        is_backup.then(|| "backup".into()),
        is_down.then(|| "down".into()),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_conf_says_of_a_server() {
        assert_eq!(note(1, 0, false, false), "");
        assert_eq!(note(2, 3, true, true), "weight=2 max_conns=3 backup down");
    }
}
