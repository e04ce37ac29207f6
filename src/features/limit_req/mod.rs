//! `limit_req`: how many requests a key may send in a time. The decision is made under the locks of all zones that take
//! part, so that no crowd gets in together; a request that is early waits without a worker.

mod table;

use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::conf::zone::{self, Identity, Zone};
use crate::exchange::error::{HttpError, Level};
use crate::exchange::keys;
use crate::exchange::step::{Step, Wait};
use crate::exchange::variables::Variable;
use crate::exchange::{Decided, Exchange};
use crate::http::escape;
use table::{ONE, Table};

/// A zone as its line declares it.
#[derive(Debug)]
pub struct Declared {
    name: String,
    key: Text,
    /// Thousandths of a request for each second.
    rate: u64,
    table: Arc<Mutex<Table>>,
}

/// One `limit_req` line.
#[derive(Debug, Clone)]
pub struct Rule {
    zone: Zone<Declared>,
    /// How far a key may run ahead, in thousandths of a request.
    burst: u64,
    /// From what excess on a request is delayed; none for `nodelay`.
    delay: Option<u64>,
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    rules: Vec<Rule>,
    dry_run: bool,
    status: u16,
    level: Level,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { rules: Vec::new(), dry_run: false, status: 503, level: Level::Error }
    }
}

impl Conf {
    /// Whether anything is limited.
    pub fn is_used(&self) -> bool {
        !self.rules.is_empty()
    }
}

const ZONE: &str = "limit_req_zone";

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: ZONE,
            syntax: &["key zone=name:size rate=rate"],
            default: None,
            contexts: Contexts::HTTP,
            arity: Arity::Words(3, 3),
            block: false,
            doc: "Declares a zone for `limit_req`: what requests are counted by (usually `$binary_remote_addr`), the table's name and size, and \
                  how many requests each key may send, in a second (`rate=10r/s`) or a minute (`rate=30r/m`). A megabyte holds about 8,000 \
                  addresses; the one that was silent longest leaves when the table is full. A request whose key is empty is not counted; \
                  one longer than 255 bytes is counted by its hash. \
                  The table outlives a reload that changes neither name, key nor size.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::Yes,
        set: declare,
    },
    Directive {
        manual: Manual {
            name: "limit_req",
            syntax: &["zone=name [burst=number] [nodelay | delay=number]"],
            default: None,
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 3),
            block: false,
            doc: "Limits requests by a zone of `limit_req_zone`. Requests that come faster than the zone's rate are delayed until they fit, \
                  `burst` of them at once; one more is refused with `limit_req_status`. With `nodelay` the burst is served at once, with \
                  `delay=N` so many of it are. With several lines each must let a request pass, and the longest delay counts. \
                  A block with a line of its own gets none of those further out.",
        },
        repeat: Repeat::List { key: "rules", clear: |conf| conf.rules.clear() },
        inherit: Inherit::Yes,
        set: add,
    },
    Directive {
        manual: Manual {
            name: "limit_req_dry_run",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether `limit_req` only counts and logs what it would do, and lets every request pass at once.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.dry_run = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "limit_req_status",
            syntax: &["code"],
            default: Some("503"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The status of requests that `limit_req` refuses, from 400 to 599. 429 is the one that says so.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.status = args.number(0, 400..=599)? as u16;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "limit_req_log_level",
            syntax: &["info | notice | warn | error"],
            default: Some("error"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The level at which refused requests are logged. Delayed ones are logged one level lower.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.level = args.one_of(0, &LEVELS)?;
            Ok(())
        },
    },
];

/// The levels that a limit may log at.
const LEVELS: [(&str, Level); 4] =
    [("info", Level::Info), ("notice", Level::Notice), ("warn", Level::Warn), ("error", Level::Error)];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[Variable {
    name: "limit_req_status",
    family: false,
    doc: "What `limit_req` did: `PASSED`, `DELAYED`, `REJECTED`, `DELAYED_DRY_RUN` or `REJECTED_DRY_RUN`; nothing if it was not asked.",
    get: |x, _, _| x.limits.requests.map(|decided| decided.name().as_bytes().into()),
}];

fn declare(_: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let key = args.text(0)?;
    let (mut named, mut rate) = (None, ONE);
    for word in &args.words()[1..] {
        match word.text.as_slice() {
            text if text.starts_with(b"zone=") => named = Some((zone::name_and_size(word, &text[5..])?, word)),
            text if text.starts_with(b"rate=") => {
                rate = parse_rate(&text[5..]).ok_or_else(|| {
                    Fault::at(word, format!("takes a rate such as `rate=10r/s` or `rate=30r/m`, not `{}`", word.show()))
                })?;
            }
            _ => return Err(Fault::at(word, format!("has an invalid parameter `{}`", word.show()))),
        }
    }
    let Some(((name, size), word)) = named else {
        return Err(Fault::new("has no zone").help("write `zone=NAME:10m`"));
    };
    let identity = Identity { kind: ZONE, name: name.clone(), key: args.word(0).text.clone(), size };
    args.load.zones.note(identity.clone(), word);
    let table = zone::contents(identity, || Mutex::new(Table::new(size)));
    args.load.zones.declare(ZONE, &name.clone(), word, Declared { name, key, rate, table })
}

/// Thousandths of a request for each second from `10r/s` or `30r/m`.
fn parse_rate(text: &[u8]) -> Option<u64> {
    let (number, scale) = match text.len().checked_sub(3).map(|at| text.split_at(at))? {
        (number, b"r/s") => (number, 1),
        (number, b"r/m") => (number, 60),
        _ => return None,
    };
    let number: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
    (number > 0).then_some(u64::from(number) * ONE / scale)
}

fn add(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let (mut used, mut burst, mut delay) = (None, 0, Some(0));
    for word in args.words() {
        let text = word.show();
        let count = |value: &str, least: u32| {
            let number = value.parse::<u32>().ok().filter(|n| *n >= least && value.bytes().all(|b| b.is_ascii_digit()));
            number
                .map(|n| u64::from(n) * ONE)
                .ok_or_else(|| Fault::at(word, format!("takes a whole number of at least {least} in `{text}`")))
        };
        match text.split_once('=') {
            Some(("zone", name)) => used = Some((args.load.zones.refer(ZONE, name, word)?, word)),
            Some(("burst", number)) => burst = count(number, 1)?,
            Some(("delay", number)) => delay = Some(count(number, 1)?),
            None if text == "nodelay" => delay = None,
            _ => return Err(Fault::at(word, format!("has an invalid parameter `{text}`"))),
        }
    }
    let Some((zone, word)) = used else {
        return Err(Fault::new("names no zone").help("write `zone=NAME`, a zone of `limit_req_zone`"));
    };
    if conf.rules.iter().any(|rule| rule.zone.is(&zone)) {
        return Err(Fault::at(word, "is duplicate: another line of this block has the same zone"));
    }
    conf.rules.push(Rule { zone, burst, delay });
    Ok(())
}

/// What the zones say.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Passes,
    /// So many milliseconds early, by this excess in this zone.
    Waits(u64, u64, usize),
    /// Too far ahead, by this excess in this zone.
    Refused(u64, usize),
}

/// Lets a request pass, wait or fail. It is asked once for each request. `until` is the moment that a delayed one waits for.
pub fn step(x: &mut Exchange, conf: &Conf, until: &mut Option<Instant>) -> Result<Step, HttpError> {
    if conf.rules.is_empty() && x.limits.requests.is_none() {
        return Ok(Step::Next);
    }
    if x.limits.requests.is_some() {
        return Ok(match until.take() {
            Some(moment) if moment > Instant::now() => wait(moment, until),
            _ => Step::Next,
        });
    }
    let asked: Vec<(&Rule, &Declared, Vec<u8>)> = conf
        .rules
        .iter()
        .filter_map(|rule| rule.zone.get().map(|zone| (rule, zone)))
        .map(|(rule, zone)| (rule, zone, keys::of(x.eval(&zone.key))))
        .filter(|(.., key)| !key.is_empty())
        .collect();
    if asked.is_empty() {
        return Ok(Step::Next);
    }
    if !x.may_act() {
        for (rule, zone, _) in &asked {
            x.tell("limit_req", None, || {
                let value = x.eval(&zone.key);
                let (name, key, burst) = (&zone.name, escape::error_log(&value), rule.burst / ONE);
                format!("would be counted in the zone `{name}` under `{key}`; more than {burst} ahead of its rate are refused")
            });
        }
        x.limits.requests = Some(Decided::Passed);
        return Ok(Step::Next);
    }
    let decision = decide(&asked, now());
    let text = |doing: &str, excess: u64, comma: &str, zone: usize| {
        let (dry, name) = (if conf.dry_run { ", dry run" } else { "" }, &asked[zone].1.name);
        format!("{doing}{dry}, excess: {}.{:03}{comma} by zone \"{name}\"", excess / ONE, excess % ONE)
    };
    match decision {
        Decision::Passes => x.limits.requests = Some(Decided::Passed),
        Decision::Waits(time, excess, zone) => {
            let level = if conf.level == Level::Info { Level::Info } else { lower(conf.level) };
            x.report(level, text("delaying request", excess, ",", zone));
            x.limits.requests = Some(if conf.dry_run { Decided::DelayedDryRun } else { Decided::Delayed });
            if !conf.dry_run {
                return Ok(wait(Instant::now() + Duration::from_millis(time), until));
            }
        }
        Decision::Refused(excess, zone) => {
            let line = text("limiting requests", excess, "", zone);
            if conf.dry_run {
                x.report(conf.level, line);
                x.limits.requests = Some(Decided::RejectedDryRun);
            } else {
                x.limits.requests = Some(Decided::Rejected);
                return Err(HttpError::new(conf.status, "limit-req").log(conf.level, line));
            }
        }
    }
    Ok(Step::Next)
}

fn wait(moment: Instant, until: &mut Option<Instant>) -> Step {
    *until = Some(moment);
    Step::Wait(Wait::Until(moment))
}

/// Asks all zones as one: nobody else counts meanwhile, and a request that one refuses is counted in none.
fn decide(asked: &[(&Rule, &Declared, Vec<u8>)], now: u64) -> Decision {
    let mut order: Vec<usize> = (0..asked.len()).collect();
    // All take the locks in one order, or two could wait for each other.
    order.sort_by_key(|i| Arc::as_ptr(&asked[*i].1.table) as usize);
    let mut tables: Vec<Option<MutexGuard<'_, Table>>> = asked.iter().map(|_| None).collect();
    for i in order {
        // Nothing that can panic runs under these locks.
        tables[i] = Some(asked[i].1.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    }
    let mut longest = Decision::Passes;
    for (i, (rule, zone, key)) in asked.iter().enumerate() {
        let Some(table) = &mut tables[i] else { continue };
        let excess = table.excess(key, zone.rate, now);
        if excess > rule.burst {
            return Decision::Refused(excess, i);
        }
        let Some(early) = rule.delay.map(|delay| excess.saturating_sub(delay)).filter(|early| *early > 0) else {
            continue;
        };
        let time = early * 1000 / zone.rate.max(1);
        if !matches!(longest, Decision::Waits(most, ..) if most >= time) {
            longest = Decision::Waits(time, excess, i);
        }
    }
    for (i, (_, zone, key)) in asked.iter().enumerate() {
        if let Some(table) = &mut tables[i] {
            table.count(key, zone.rate, now);
        }
    }
    longest
}

fn lower(level: Level) -> Level {
    match level {
        Level::Error => Level::Warn,
        Level::Warn => Level::Notice,
        _ => Level::Info,
    }
}

/// Milliseconds on a clock that starts with the process and outlives reloads, as the tables do.
fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, rate) in [
            ("1r/s", Some(1000)),
            ("30r/m", Some(500)),
            ("1r/m", Some(16)),
            ("0r/s", None),
            ("1", None),
            ("r/s", None),
            ("-1r/s", None),
            ("1r/h", None),
        ] {
            assert_eq!(parse_rate(text.as_bytes()), rate, "{text}");
        }
    }

    fn declared(name: &str, rate: u64) -> Declared {
        let table = Arc::new(Mutex::new(Table::new(1 << 20)));
        Declared { name: name.into(), key: Text::literal("k"), rate, table }
    }

    fn rule(burst: u64, delay: Option<u64>) -> Rule {
        let mut zones = zone::Zones::default();
        let word = crate::conf::ast::Word { text: b"z".to_vec(), span: Default::default(), quoted: false };
        Rule { zone: zones.refer(ZONE, "z", &word).unwrap(), burst: burst * ONE, delay: delay.map(|n| n * ONE) }
    }

    #[test]
    fn a_burst_is_delayed_and_what_is_beyond_it_refused() {
        let (zone, rule) = (declared("one", 10 * ONE), rule(3, Some(1)));
        let asked = [(&rule, &zone, b"k".to_vec())];
        for (now, want) in [
            (0, Decision::Passes),
            (0, Decision::Passes),
            (0, Decision::Waits(100, 2000, 0)),
            (0, Decision::Waits(200, 3000, 0)),
            (0, Decision::Refused(4000, 0)),
            (100, Decision::Waits(200, 3000, 0)),
        ] {
            assert_eq!(decide(&asked, now), want, "at {now}");
        }
    }

    #[test]
    fn of_several_zones_the_longest_delay_counts_and_a_refusal_counts_nowhere() {
        let (fast, slow) = (declared("fast", 10 * ONE), declared("slow", 2 * ONE));
        let (wide, tight) = (rule(9, Some(0)), rule(1, Some(0)));
        let asked = [(&wide, &fast, b"k".to_vec()), (&tight, &slow, b"k".to_vec())];
        assert_eq!(decide(&asked, 0), Decision::Passes);
        assert_eq!(decide(&asked, 0), Decision::Waits(500, 1000, 1));
        assert_eq!(decide(&asked, 0), Decision::Refused(2000, 1));
        assert_eq!(decide(&asked[..1], 0), Decision::Waits(200, 2000, 0));
    }

    #[test]
    fn a_crowd_gets_in_by_the_number() {
        let (one, two) = (declared("one", ONE), declared("two", ONE));
        let (wide, tight) = (rule(60, None), rule(40, None));
        let passed = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (one, two, wide, tight, passed) = (&one, &two, &wide, &tight, &passed);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let asked = [(wide, one, b"k".to_vec()), (tight, two, b"k".to_vec())];
                        let turned = [(tight, two, b"k".to_vec()), (wide, one, b"k".to_vec())];
                        if decide(if n % 2 == 0 { &asked } else { &turned }, 7) == Decision::Passes {
                            passed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 41);
    }
}
