//! `limit_rate`: how fast an answer goes out. Here is only how fast; the engine paces, by parking the connection.

use std::time::{Duration, Instant};

use crate::conf::args::{Args, Fault, parse_size};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::Level;
use crate::exchange::variables::Variable;
use crate::http::escape;

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// Bytes for each second; 0 for no limit.
    rate: Text,
    /// Bytes that go out before the limit holds.
    after: Text,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { rate: Text::literal("0"), after: Text::literal("0") }
    }
}

const PLACES: Contexts = Contexts::SCOPES.or(Contexts::IF_LOCATION);

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "limit_rate",
            syntax: &["rate"],
            default: Some("0"),
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How many bytes of one answer are sent in a second, `0` for no limit. It holds for each request: a client with two \
                  connections gets twice as much, which `limit_conn` prevents. The value may hold variables; `set $limit_rate` and \
                  `X-Accel-Limit-Rate` of a program behind us come before it.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.rate = read(args)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "limit_rate_after",
            syntax: &["size"],
            default: Some("0"),
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How much of an answer goes out at full speed before `limit_rate` holds: the beginning of a film, say.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.after = read(args)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[Variable {
    name: "limit_rate",
    family: false,
    doc: "The limit on the answer's speed in bytes for each second, as far as it is known: `set` or a program behind us may give one, and when \
          the answer goes out it is the one in force. 0 is none.",
    get: |x, _, _| Some(x.limit_rate.unwrap_or(0).to_string().into_bytes().into()),
}];

fn read(args: &mut Args<'_>) -> Result<Text, Fault> {
    let text = args.text(0)?;
    if text.constant().is_some() {
        args.size(0)?;
    }
    Ok(text)
}

/// How fast one answer goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes for each second.
    rate: u64,
    /// Bytes before that.
    after: u64,
    /// When the request began.
    since: Instant,
}

/// The pace of an answer that is about to go out; none for full speed.
pub fn pace(x: &mut Exchange, conf: &Conf) -> Option<Pace> {
    let rate = x.limit_rate.unwrap_or_else(|| size(x, &conf.rate));
    x.limit_rate = Some(rate);
    (rate > 0).then(|| Pace { rate, after: size(x, &conf.after), since: x.started })
}

fn size(x: &Exchange, text: &Text) -> u64 {
    if let Some(b"0") = text.constant() {
        return 0;
    }
    let value = x.eval(text);
    parse_size(&value).unwrap_or_else(|| {
        x.report(Level::Error, format!("invalid size \"{}\"", escape::error_log(&value)));
        0
    })
}

impl Pace {
    /// How many bytes may go out now, as so many did: the first second's at once.
    pub fn allowance(&self, sent: u64, now: Instant) -> u64 {
        let time = now.saturating_duration_since(self.since).as_millis() + 1000;
        let all = u128::from(self.rate).saturating_mul(time) / 1000 + u128::from(self.after);
        u64::try_from(all).unwrap_or(u64::MAX).saturating_sub(sent)
    }

    /// How long to wait when `sent` bytes are out, the last so many of them in one go.
    pub fn rest(&self, sent: u64, last: u64) -> Duration {
        let beyond = last.min(sent.saturating_sub(self.after));
        Duration::from_millis((u128::from(beyond) * 1000 / u128::from(self.rate)).try_into().unwrap_or(u64::MAX).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_second_goes_out_at_once() {
        let since = Instant::now();
        let pace = Pace { rate: 1000, after: 500, since };
        for (sent, millis, allowed) in
            [(0, 0, 1500), (1500, 0, 0), (1500, 1, 1), (1500, 1000, 1000), (100, 250, 1650), (9000, 1000, 0)]
        {
            assert_eq!(pace.allowance(sent, since + Duration::from_millis(millis)), allowed, "{sent} at {millis}");
        }
        for (sent, last, millis) in [(1500, 1500, 1000), (2500, 1000, 1000), (400, 400, 1), (1500, 100, 100)] {
            assert_eq!(pace.rest(sent, last), Duration::from_millis(millis), "{last} of {sent}");
        }
        let fast = Pace { rate: u64::MAX, after: u64::MAX, since };
        assert_eq!(fast.allowance(7, since), u64::MAX - 7);
    }
}
