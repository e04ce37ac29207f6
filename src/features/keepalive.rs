//! `keepalive_*`: how long and for how many requests a connection is kept.

use std::time::Duration;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::variables::Variable;
use crate::http::head::Known;
use crate::http::method::Method;

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// How long an idle connection is kept; zero closes after each answer.
    pub timeout: Duration,
    /// What `Keep-Alive: timeout=` says; none sends no such field.
    pub header_timeout: Option<Duration>,
    /// An idle connection is kept at least so long when the server stops or runs out of connections.
    pub min_timeout: Duration,
    /// How many requests one connection may bring.
    pub requests: u64,
    /// How old a connection may grow.
    pub time: Duration,
    /// Whether old versions of MSIE lose the connection after a POST.
    pub not_for_msie6: bool,
    /// Whether Safari on macOS gets a connection for each request.
    pub not_for_safari: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Conf {
            timeout: Duration::from_secs(75),
            header_timeout: None,
            min_timeout: Duration::ZERO,
            requests: 1000,
            time: Duration::from_secs(3600),
            not_for_msie6: true,
            not_for_safari: false,
        }
    }
}

/// Whether client, response and settings let the connection be kept; its age and the number of its requests aside.
pub fn allows(x: &Exchange, conf: &Conf, closes: bool) -> bool {
    x.head.keep_alive && !closes && !conf.timeout.is_zero() && !is_disabled(x, conf)
}

/// Whether the client's browser is one that gets no kept connection here.
fn is_disabled(x: &Exchange, conf: &Conf) -> bool {
    let doubtful = conf.not_for_safari || conf.not_for_msie6 && x.head.method == Method::Post;
    doubtful && x.head.known(Known::UserAgent).is_some_and(|agent| conf.refuses(agent, x.head.method))
}

impl Conf {
    fn refuses(&self, agent: &[u8], method: Method) -> bool {
        let has = |name: &[u8]| agent.windows(name.len()).any(|part| part == name);
        let msie6 = || !has(b"Opera") && [&b"MSIE 4."[..], b"MSIE 5.", b"MSIE 6."].into_iter().any(has);
        let safari = || !has(b"MSIE ") && !has(b"Opera") && !has(b"Chrome/") && has(b"Safari/") && has(b"Mac OS X");
        self.not_for_msie6 && method == Method::Post && msie6() || self.not_for_safari && safari()
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "keepalive_timeout",
            syntax: &["timeout [header_timeout]"],
            default: Some("75s"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 2),
            block: false,
            doc: "How long a connection is kept open while no request comes; `0` closes it after each answer. A second \
                  time is told to the client in the field `Keep-Alive: timeout=`. An idle connection costs no thread \
                  and little memory.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_timeout,
    },
    Directive {
        manual: Manual {
            name: "keepalive_min_timeout",
            syntax: &["timeout"],
            default: Some("0"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How long an idle connection is left open at least, even when its place is wanted or the server stops \
                  gracefully.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.min_timeout = args.time(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "keepalive_requests",
            syntax: &["number"],
            default: Some("1000"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How many requests one connection may bring; the last answer says `Connection: close`.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.requests = args.number(0, 0..=u64::MAX)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "keepalive_time",
            syntax: &["time"],
            default: Some("1h"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How old a connection may grow. The first answer after that says `Connection: close`.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.time = args.time(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "keepalive_disable",
            syntax: &["none | browser ..."],
            default: Some("msie6"),
            contexts: Contexts::SCOPES,
            arity: Arity::AtLeast(1),
            block: false,
            doc: "Browsers that get no kept connection: `msie6` for MSIE up to 6 after a POST, `safari` for Safari on \
                  macOS. `none` makes no exception.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_disable,
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set_timeout(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.timeout = args.time(0)?;
    conf.header_timeout = match args.len() {
        2 => Some(args.seconds(1)?).filter(|time| !time.is_zero()),
        _ => None,
    };
    Ok(())
}

fn set_disable(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let (mut msie6, mut safari) = (false, false);
    for i in 0..args.len() {
        match args.one_of(i, &[("none", 0), ("msie6", 1), ("safari", 2)])? {
            // Beside a browser's name it adds nothing.
            0 => {}
            1 => msie6 = true,
            _ => safari = true,
        }
    }
    (conf.not_for_msie6, conf.not_for_safari) = (msie6, safari);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers() {
        let msie6 = Conf::default();
        let safari = Conf { not_for_msie6: false, not_for_safari: true, ..Conf::default() };
        let old = "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)";
        let opera = "Mozilla/4.0 (compatible; MSIE 6.0; X11) Opera 7";
        let mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605 Version/17 Safari/605";
        let chrome = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605 Chrome/120 Safari/605";
        for (conf, agent, method, refused) in [
            (&msie6, old, Method::Post, true),
            (&msie6, old, Method::Get, false),
            (&msie6, opera, Method::Post, false),
            (&msie6, "MSIE 7.0", Method::Post, false),
            (&msie6, mac, Method::Post, false),
            (&safari, mac, Method::Get, true),
            (&safari, chrome, Method::Get, false),
            (&safari, old, Method::Post, false),
        ] {
            assert_eq!(conf.refuses(agent.as_bytes(), method), refused, "{agent} {method:?}");
        }
    }
}
