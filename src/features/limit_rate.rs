//! `limit_rate`: how fast an answer goes out. Here is only how fast; whoever sends it keeps the pace.

use crate::conf::args::{Args, Fault, parse_size};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::Level;
use crate::exchange::variables::Variable;
use crate::http::escape;
use crate::http::pace::Pace;

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

/// The pace of a response that is about to go out; `None` for full speed.
pub fn pace(x: &mut Exchange, conf: &Conf) -> Option<Pace> {
    let rate = x.limit_rate.unwrap_or_else(|| size(x, &conf.rate));
    x.limit_rate = Some(rate);
    (rate > 0).then(|| Pace { rate, after: size(x, &conf.after), since: x.origin.started })
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
