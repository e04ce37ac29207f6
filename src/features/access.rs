//! `allow`, `deny`: who may, by address; `satisfy`: whether one kind of permission is enough, or all are needed;
//! `auth_delay`: how long a 401 is held back, whichever kind it comes of. Of the kinds it knows its own alone.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::source::Span;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Step, Verdict, Wait};
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
    /// The rules in order: whom, whether they may, and where the line stands.
    pub rules: Vec<(Who, bool, Span)>,
    /// Whether one kind of permission is enough (`satisfy any`).
    pub any: bool,
    /// How long a 401 is held back.
    pub delay: Duration,
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
            doc: "Whether a client needs every kind of permission that is configured, by address, by password and by `auth_request` (`all`), or one of them (`any`).",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.any = args.one_of(0, &[("all", false), ("any", true)])?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "auth_delay",
            syntax: &["time"],
            default: Some("0s"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How long an answer 401 is held back, so that passwords cannot be tried quickly and the time tells less of why one was \
                  refused. Nobody else waits for it.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.delay = args.time(0)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn add(conf: &mut Conf, args: &mut Args<'_>, may: bool) -> Result<(), Fault> {
    let word = args.word(0);
    let Some((who, is_exact)) = parse(&word.show()) else {
        let text =
            format!("takes an address, a network such as `192.0.2.0/24`, `unix:` or `all`, not `{}`", word.show());
        let fault = Fault::at(word, text);
        // Other servers' confs name methods so.
        return Err(match word.text.len() >= 3 && word.text.iter().all(u8::is_ascii_uppercase) {
            true => fault.help(format!("for methods write `allow_methods {};`", word.show())),
            false => fault,
        });
    };
    if !is_exact {
        args.warn(Some(0), format!("ignores the low address bits of `{}`", word.show()));
    }
    conf.rules.push((who, may, args.node.span));
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

/// One kind of permission.
pub type Way<'w> = &'w mut dyn FnMut(&mut Exchange) -> Result<Verdict, HttpError>;

/// A refusal that is held back until a moment.
pub struct Held {
    error: HttpError,
    until: Instant,
}

/// Asks each kind of permission in turn: all must agree, or one must with `satisfy any`.
pub fn step(
    x: &mut Exchange,
    conf: &Conf,
    ways: &mut [Way<'_>],
    state: &mut Option<Box<Held>>,
) -> Result<Step, HttpError> {
    if let Some(held) = state.take() {
        return release(held, state);
    }
    let mut refusal: Option<HttpError> = None;
    for way in ways {
        match way(x) {
            Ok(Verdict::Granted) if conf.any => {
                x.tell("satisfy", None, || "one kind of permission is enough, and this is one".into());
                return Ok(Step::Next);
            }
            Ok(Verdict::Granted | Verdict::Silent) => {}
            Ok(Verdict::Wait(wait)) => return Ok(Step::Wait(wait)),
            Err(error) if conf.any && matches!(error.status, 401 | 403) => {
                // Who has no password is told so, since one would do.
                if refusal.as_ref().is_none_or(|before| before.status != 401) {
                    refusal = Some(error);
                }
            }
            Err(error) => return hold(x, conf, error, state),
        }
    }
    let Some(error) = refusal else { return Ok(Step::Next) };
    x.tell("satisfy", None, || "one kind of permission would be enough, and there is none".into());
    hold(x, conf, error, state)
}

/// Gives out a refusal, or keeps it for a while.
fn hold(x: &Exchange, conf: &Conf, error: HttpError, state: &mut Option<Box<Held>>) -> Result<Step, HttpError> {
    if error.status != 401 || conf.delay.is_zero() || !x.may_ask() {
        return Err(error);
    }
    x.report(Level::Info, "delaying unauthorized request");
    let until = Instant::now() + conf.delay;
    *state = Some(Box::new(Held { error, until }));
    Ok(Step::Wait(Wait::Until(until)))
}

fn release(held: Box<Held>, state: &mut Option<Box<Held>>) -> Result<Step, HttpError> {
    let until = held.until;
    if until <= Instant::now() {
        return Err(held.error);
    }
    *state = Some(held);
    Ok(Step::Wait(Wait::Until(until)))
}

/// What the address says.
pub fn ask(x: &mut Exchange, conf: &Conf) -> Result<Verdict, HttpError> {
    let verdict = verdict(&conf.rules, x.client.peer);
    if !conf.rules.is_empty() {
        x.tell(if matches!(verdict, Some((false, _))) { "deny" } else { "allow" }, None, || {
            let who =
                x.client.peer.map_or("a client of a Unix socket".into(), |peer| peer.ip().to_canonical().to_string());
            let verdict = match verdict {
                Some((true, _)) => "may come in",
                Some((false, _)) => "may not come in",
                None => "is named by no rule",
            };
            format!("{who} {verdict}")
        });
    }
    match verdict {
        Some((true, _)) => Ok(Verdict::Granted),
        Some((false, line)) => {
            Err(HttpError::new(403, "denied").at(line).log(Level::Error, "access forbidden by rule"))
        }
        None => Ok(Verdict::Silent),
    }
}

/// What the first rule that fits says, and where it stands; none when none does. No peer is a Unix socket.
fn verdict(rules: &[(Who, bool, Span)], peer: Option<SocketAddr>) -> Option<(bool, Span)> {
    let address = peer.map(|peer| peer.ip().to_canonical());
    let fits = |who: &Who| match (who, &address) {
        (Who::All, _) | (Who::Unix, None) => true,
        (Who::Net(net), Some(address)) => net.contains(address),
        _ => false,
    };
    rules.iter().find(|(who, ..)| fits(who)).map(|(_, may, line)| (*may, *line))
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
            .map(|(text, may)| (parse(text).unwrap().0, may, Span::default()))
            .into();
        for (peer, may) in [
            ("192.0.2.7:1", false),
            ("192.0.2.8:1", true),
            ("[::ffff:192.0.2.8]:1", true),
            ("[2001:db8::1]:1", true),
            ("[::1]:1", false),
        ] {
            assert_eq!(verdict(&rules, peer.parse().ok()), Some((may, Span::default())), "{peer}");
        }
        assert_eq!(verdict(&rules, None), Some((false, Span::default())));
        assert_eq!(verdict(&rules[..1], None), None);
        assert_eq!(verdict(&[(Who::Unix, true, Span::default())], None), Some((true, Span::default())));
    }
}
