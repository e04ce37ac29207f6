//! `health_check`: requests of our own that find out whether the servers of an upstream do well; `match`: what a response must be for
//! that. Knows what is asked and how a response is judged, not when, and not what comes of it.

mod tests_of_match;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::conf::args::{Args, Fault, parse_time};
use crate::conf::ast::Word;
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::source::Span;
use crate::conf::suggest;
use crate::exchange::Exchange;
use crate::exchange::variables::Variable;
use crate::http::escape;
pub use tests_of_match::{Answer, Match};

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// The check that this location asks for.
    pub check: Option<Arc<Check>>,
    /// The `match` blocks by name.
    matches: Arc<BTreeMap<String, Arc<Match>>>,
}

/// One `health_check`.
#[derive(Debug, Clone)]
pub struct Check {
    /// How long it takes from the beginning of one check to the next.
    pub interval: Duration,
    /// By how much each is put off at random at most.
    pub jitter: Duration,
    /// So many failures in a row take a server out.
    pub fails: u32,
    /// So many successes in a row bring it back.
    pub passes: u32,
    /// The path and query that are asked for.
    pub uri: Bytes,
    /// Whether a server is used only once it has passed.
    pub mandatory: bool,
    /// Whether it is used at once after a reload if it did well before.
    pub persistent: bool,
    /// What a response must be, and the name of the block that says so; `None` if its status alone counts.
    pub test: Option<(String, Arc<Match>)>,
    /// The port that is asked instead of the server's own.
    pub port: Option<u16>,
    /// How long one connection may serve checks; `None` if each check opens its own.
    pub keepalive: Option<Duration>,
}

impl Default for Check {
    fn default() -> Self {
        Check {
            interval: Duration::from_secs(5),
            jitter: Duration::ZERO,
            fails: 1,
            passes: 1,
            uri: Bytes::from_static(b"/"),
            mandatory: false,
            persistent: false,
            test: None,
            port: None,
            keepalive: None,
        }
    }
}

/// The shortest time between two checks of a server.
const SHORTEST: Duration = Duration::from_millis(10);

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "health_check",
            syntax: &[
                "[interval=time] [jitter=time] [fails=number] [passes=number] [uri=uri] [mandatory [persistent]] [match=name] \
                       [port=number] [keepalive_time=time]",
            ],
            default: None,
            contexts: Contexts::LOCATION,
            arity: Arity::AtLeast(0),
            block: false,
            doc: "Asks each server of the upstream that `proxy_pass` names every `interval` (5s), put off by up to `jitter` (0), for `uri` (/) on \
                  its own port or `port`, with the location's `proxy_` settings. A server that fails `fails` times in a row (1) gets no requests \
                  until it passes `passes` times in a row (1), and `slow_start` of its `server` line applies then. A response of 2xx or 3xx \
                  passes, or one that fits the `match` block named. With `mandatory` a server gets no requests before it has passed once, \
                  also after a reload, unless `persistent` keeps what was known of it. `keepalive_time` lets one connection serve checks for that \
                  long. The checks are among the `errands` of `thread_pool`, and `log_subrequest` logs them.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::No(|conf| conf.check = None),
        set: set_check,
    },
    Directive {
        manual: Manual {
            name: "match",
            syntax: &["name"],
            default: None,
            contexts: Contexts::HTTP,
            arity: Arity::Words(1, 1),
            block: true,
            doc: "What a response to `health_check match=name` must be: each line of the block must hold. `status` takes numbers and ranges \
                  (`200 204 300-399`), after `!` those that it must not be. `header NAME` wants a field, `header ! NAME` none; after the name `=`, \
                  `!=`, `~` (a regex), `~*`, `!~` and `!~*` compare its value. `body` takes `~`, `~*`, `!~` or `!~*` and a regex, and sees the first \
                  256 KiB. `require` wants variables to be neither empty nor `0`.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::Yes,
        set: set_match,
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

/// Tells whoever looks on that the servers are checked.
pub fn tell(x: &Exchange, conf: &Conf, place: Option<Span>) {
    let Some(check) = &conf.check else { return };
    x.tell("health_check", place, || {
        let (uri, time) = (escape::error_log(&check.uri), check.interval.as_secs_f64());
        format!("each server of the upstream is asked for `{uri}` every {time} s, and gets requests only while it does well: how it does now is not asked here")
    });
}

fn set_match(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let (word, node) = (args.word(0), args.node);
    let name = word.show();
    if conf.matches.contains_key(&name) {
        return Err(
            Fault::at(word, format!("`{name}` is duplicate")).help("join the two blocks, or give one another name")
        );
    }
    let made = Match::read(node.block.as_deref().unwrap_or_default(), args)?;
    Arc::make_mut(&mut conf.matches).insert(name, Arc::new(made));
    Ok(())
}

fn set_check(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let mut check = Check::default();
    for word in args.words() {
        set_parameter(&mut check, word, &conf.matches)?;
    }
    if check.persistent && !check.mandatory {
        let word = args.words().iter().find(|word| word.text == b"persistent");
        let fault = word.map_or_else(
            || Fault::new("has no `mandatory`"),
            |word| Fault::at(word, "has `persistent` without `mandatory`"),
        );
        return Err(fault.help("write `mandatory persistent`: without `mandatory` a reload keeps what is known anyway"));
    }
    conf.check = Some(Arc::new(check));
    Ok(())
}

fn set_parameter(check: &mut Check, word: &Word, matches: &BTreeMap<String, Arc<Match>>) -> Result<(), Fault> {
    let text = word.show();
    let (name, value) = text.split_once('=').map_or((text.as_str(), None), |(name, value)| (name, Some(value)));
    let time = |least: Duration| {
        let time = value.and_then(|value| parse_time(value.as_bytes())).filter(|time| *time >= least);
        time.ok_or_else(|| {
            Fault::at(word, format!("takes a time such as `5s` of at least {} ms in `{text}`", least.as_millis()))
        })
    };
    let number = |most: u32| {
        let digits = value.filter(|value| !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()));
        let number = digits.and_then(|value| value.parse::<u32>().ok()).filter(|n| (1..=most).contains(n));
        number.ok_or_else(|| Fault::at(word, format!("takes a whole number from 1 to {most} in `{text}`")))
    };
    match name {
        "interval" => check.interval = time(SHORTEST)?,
        "jitter" => check.jitter = time(Duration::ZERO)?,
        "keepalive_time" => check.keepalive = Some(time(Duration::ZERO)?).filter(|time| !time.is_zero()),
        "fails" => check.fails = number(i32::MAX as u32)?,
        "passes" => check.passes = number(i32::MAX as u32)?,
        "port" => check.port = u16::try_from(number(u16::MAX.into())?).ok(),
        "uri" => check.uri = uri(word)?,
        "mandatory" if value.is_none() => check.mandatory = true,
        "persistent" if value.is_none() => check.persistent = true,
        "match" => {
            let wanted = value.unwrap_or_default();
            let Some(found) = matches.get(wanted) else {
                let near = suggest::closest(wanted, matches.keys().map(String::as_str));
                let help = near.map_or_else(
                    || format!("write `match {wanted} {{ status 200; }}` into `http`"),
                    |near| format!("did you mean `match={near}`?"),
                );
                return Err(Fault::at(word, format!("names no `match` block in `{text}`")).help(help));
            };
            check.test = Some((wanted.to_string(), found.clone()));
        }
        _ => {
            let help = "the parameters are interval=, jitter=, fails=, passes=, uri=, mandatory, persistent, match=, port= and keepalive_time=";
            return Err(Fault::at(word, format!("has an unknown parameter `{text}`")).help(help));
        }
    }
    Ok(())
}

/// A path with its query as it may stand in a request line.
fn uri(word: &Word) -> Result<Bytes, Fault> {
    let uri = word.text.strip_prefix(b"uri=").unwrap_or_default();
    let is_plain = uri.starts_with(b"/") && uri.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    if !is_plain {
        return Err(Fault::at(word, format!("takes a path such as `/health` in `{}`", word.show()))
            .help("it begins with `/`; a blank or another odd byte is written as `%20` there"));
    }
    Ok(Bytes::copy_from_slice(uri))
}
