//! `allow`, `deny`, `satisfy`: who may, by address.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Everybody.
    All,
    /// Who comes over a Unix socket.
    Unix,
    /// The addresses of a network.
    Net(IpNet),
}

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    /// The rules in order: whom, and whether they may.
    pub rules: Vec<(Who, bool)>,
    /// Whether one kind of permission is enough (`satisfy any`).
    pub any: bool,
}

const PLACES: Contexts = Contexts::SCOPES.or(Contexts::LIMIT_EXCEPT);

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "allow",
            syntax: &["address | CIDR | unix: | all"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Lets these clients in. The rules of `allow` and `deny` are asked in the order they stand, and the first that fits decides; \
                  without one that fits the client may. A block with a rule of its own gets none of those further out.",
        },
        repeat: Repeat::List { key: "rules", clear: |conf| conf.rules.clear() },
        inherit: Inherit::Yes,
        set: |conf, args| add(conf, args, true),
    },
    Directive {
        manual: Manual {
            name: "deny",
            syntax: &["address | CIDR | unix: | all"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Answers these clients 403. It shares one list of rules with `allow`; `deny all;` usually ends it.",
        },
        repeat: Repeat::List { key: "rules", clear: |conf| conf.rules.clear() },
        inherit: Inherit::Yes,
        set: |conf, args| add(conf, args, false),
    },
    Directive {
        manual: Manual {
            name: "satisfy",
            syntax: &["all | any"],
            default: Some("all"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Whether a client needs every kind of permission that is configured, by address and by password (`all`), or one of them (`any`).",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.any = args.one_of(0, &[("all", false), ("any", true)])?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn add(conf: &mut Conf, args: &mut Args<'_>, may: bool) -> Result<(), Fault> {
    let word = args.word(0);
    let Some((who, is_exact)) = parse(&word.show()) else {
        return Err(Fault::at(
            word,
            format!("takes an address, a network such as `192.0.2.0/24`, `unix:` or `all`, not `{}`", word.show()),
        ));
    };
    if !is_exact {
        args.warn(Some(0), format!("ignores the low address bits of `{}`", word.show()));
    }
    conf.rules.push((who, may));
    Ok(())
}

/// The flag says whether no bit is set beyond the network's length.
fn parse(text: &str) -> Option<(Who, bool)> {
    match text {
        "all" => return Some((Who::All, true)),
        "unix:" => return Some((Who::Unix, true)),
        _ => {}
    }
    let net: IpNet = match text.split_once('/') {
        None => text.parse::<IpAddr>().ok()?.into(),
        Some((address, length)) => match length.parse() {
            Ok(length) => IpNet::new(address.parse().ok()?, length).ok()?,
            Err(_) => IpNet::with_netmask(address.parse().ok()?, length.parse().ok()?).ok()?,
        },
    };
    Some((Who::Net(net.trunc()), net.trunc() == net))
}

/// Refuses whom the rules refuse.
pub fn step(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    match verdict(&conf.rules, x.client.peer) {
        Some(false) => Err(HttpError::new(403, "denied").log(Level::Error, "access forbidden by rule")),
        _ => Ok(Step::Next),
    }
}

/// What the first rule that fits says; none when none does. No peer is a Unix socket.
fn verdict(rules: &[(Who, bool)], peer: Option<SocketAddr>) -> Option<bool> {
    let address = peer.map(|peer| peer.ip().to_canonical());
    let fits = |who: &Who| match (who, &address) {
        (Who::All, _) | (Who::Unix, None) => true,
        (Who::Net(net), Some(address)) => net.contains(address),
        _ => false,
    };
    rules.iter().find(|(who, _)| fits(who)).map(|(_, may)| *may)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, exact) in [
            ("all", Some(true)),
            ("unix:", Some(true)),
            ("192.0.2.1", Some(true)),
            ("192.0.2.0/24", Some(true)),
            ("192.0.2.1/24", Some(false)),
            ("192.0.2.0/255.255.255.0", Some(true)),
            ("2001:db8::/32", Some(true)),
            ("192.0.2.0/33", None),
            ("192.0.2", None),
            ("", None),
        ] {
            assert_eq!(parse(text).map(|(_, exact)| exact), exact, "{text}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules: Vec<_> = [("192.0.2.7", false), ("192.0.2.0/24", true), ("2001:db8::/32", true), ("all", false)]
            .map(|(text, may)| (parse(text).unwrap().0, may))
            .into();
        for (peer, may) in [
            ("192.0.2.7:1", false),
            ("192.0.2.8:1", true),
            ("[::ffff:192.0.2.8]:1", true),
            ("[2001:db8::1]:1", true),
            ("[::1]:1", false),
        ] {
            assert_eq!(verdict(&rules, peer.parse().ok()), Some(may), "{peer}");
        }
        assert_eq!(verdict(&rules, None), Some(false));
        assert_eq!(verdict(&rules[..1], None), None);
        assert_eq!(verdict(&[(Who::Unix, true)], None), Some(true));
    }
}
