//! `add_header`, `add_header_inherit`, `expires`: fields that the conf adds to answers. Knows nothing of
//! where an answer came from.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::conf::args::{Args, Fault, parse_seconds};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::variables::Variable;
use crate::http::date;
use crate::http::response::{ContentType, Response};

/// One `add_header`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The field's name.
    pub name: Bytes,
    /// Its value; an empty one adds nothing.
    pub value: Text,
    /// Whether it is added to every answer rather than to successes and redirects.
    pub always: bool,
}

/// What a block does with the fields of the block around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Inheritance {
    /// It takes them where it has none of its own.
    #[default]
    On,
    /// It never takes them.
    Off,
    /// It adds them after its own.
    Merge,
}

/// `expires`. Times are in seconds and may be negative.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expires {
    /// No fields.
    #[default]
    Off,
    /// The first second of 1970.
    Epoch,
    /// Ten years.
    Max,
    /// So long after the request.
    Access(i64),
    /// So long after the last change.
    Modified(i64),
    /// At this second of the day.
    Daily(i64),
    /// What a text says when the answer is there; the flag is `modified`.
    Computed(Text, bool),
}

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    own: Vec<Added>,
    outer: Vec<Added>,
    inheritance: Inheritance,
    expires: Expires,
}

impl Conf {
    /// The fields in force.
    fn fields(&self) -> impl Iterator<Item = &Added> {
        let outer = match self.inheritance {
            Inheritance::On => self.own.is_empty(),
            Inheritance::Off => false,
            Inheritance::Merge => true,
        };
        self.own.iter().chain(self.outer.iter().filter(move |_| outer))
    }

    /// Begins a block's own list: what was in force becomes what is around it.
    fn begin(&mut self) {
        self.outer = self.fields().cloned().collect();
        self.own.clear();
    }

    /// Begins a block inside: with `off` it gets nothing.
    fn descend(&mut self) {
        if self.inheritance == Inheritance::Off {
            self.own.clear();
            self.outer.clear();
        }
    }
}

const PLACES: Contexts = Contexts::SCOPES.or(Contexts::IF_LOCATION);

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "add_header",
            syntax: &["name value [always]"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(2, 3),
            block: false,
            doc: "Adds a field to answers with the status 200, 201, 204, 206, 301, 302, 303, 304, 307 or 308, with `always` to all \
                  answers. The value may contain variables; an empty one adds nothing. `ETag` and `Last-Modified` take the place of \
                  the answer's own. A block with an `add_header` of its own gets none of those further out, unless \
                  `add_header_inherit merge` is set.",
        },
        repeat: Repeat::List { key: "add_header", clear: Conf::begin },
        inherit: Inherit::Changed(Conf::descend),
        set: set_header,
    },
    Directive {
        manual: Manual {
            name: "add_header_inherit",
            syntax: &["on | off | merge"],
            default: Some("on"),
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "What a block does with the `add_header` lines further out: takes them if it has none of its own (`on`), never (`off`), \
                  or adds them after its own (`merge`).",
        },
        repeat: Repeat::List { key: "add_header", clear: Conf::begin },
        inherit: Inherit::Changed(Conf::descend),
        set: set_inheritance,
    },
    Directive {
        manual: Manual {
            name: "expires",
            syntax: &["[modified] time", "epoch | max | off"],
            default: Some("off"),
            contexts: PLACES,
            arity: Arity::Words(1, 2),
            block: false,
            doc: "Adds `Expires` and `Cache-Control` to successes and redirects: a time from now, with `modified` from the file's last \
                  change, `@15h30m` for a time of the day. A negative time, and `epoch`, say `no-cache`; `max` says ten years. The value \
                  may come from a variable.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_expires,
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

const TEN_YEARS: i64 = 315_360_000;
const DAY: i64 = 86_400;

fn set_header(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let always = args.len() == 3;
    if always && args.word(2).text != b"always" {
        return Err(Fault::at(args.word(2), format!("takes `always` after its value, not `{}`", args.word(2).show())));
    }
    let name = args.word(0);
    if [b"content-length".as_slice(), b"transfer-encoding"].iter().any(|own| own.eq_ignore_ascii_case(&name.text)) {
        // A second opinion on where the body ends would let answers be smuggled (RFC 9112 section 6.3).
        args.warn(Some(0), format!("names the field `{}`, which the server alone decides, ignored", name.show()));
        return Ok(());
    }
    conf.own.push(Added { name: Bytes::copy_from_slice(&name.text), value: args.text(1)?, always });
    Ok(())
}

fn set_inheritance(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let choices = [("on", Inheritance::On), ("off", Inheritance::Off), ("merge", Inheritance::Merge)];
    conf.inheritance = args.one_of(0, &choices)?;
    Ok(())
}

fn set_expires(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let modified = args.len() == 2;
    if modified && args.word(0).text != b"modified" {
        return Err(Fault::at(args.word(0), format!("takes `modified` before a time, not `{}`", args.word(0).show())));
    }
    let at = args.len() - 1;
    let text = args.text(at)?;
    conf.expires = match text.constant() {
        None => Expires::Computed(text, modified),
        Some(value) => parse_expires(value, modified).map_err(|message| Fault::at(args.word(at), message))?,
    };
    Ok(())
}

fn parse_expires(value: &[u8], modified: bool) -> Result<Expires, &'static str> {
    match value {
        b"epoch" if !modified => return Ok(Expires::Epoch),
        b"max" if !modified => return Ok(Expires::Max),
        b"off" if !modified => return Ok(Expires::Off),
        _ => {}
    }
    let bad = "takes a time such as `1h`, `-1` or `@15h30m`, or `epoch`, `max`, `off`";
    let seconds = |text| parse_seconds(text).and_then(|time| i64::try_from(time.as_secs()).ok()).ok_or(bad);
    match value {
        [b'@', ..] if modified => Err("takes no time of the day after `modified`"),
        [b'@', time @ ..] => match seconds(time)? {
            time if time > DAY => Err("takes a time of the day of less than 24 hours"),
            time => Ok(Expires::Daily(time)),
        },
        [sign @ (b'+' | b'-'), time @ ..] => {
            let seconds = if *sign == b'-' { -seconds(time)? } else { seconds(time)? };
            Ok(if modified { Expires::Modified(seconds) } else { Expires::Access(seconds) })
        }
        time if modified => Ok(Expires::Modified(seconds(time)?)),
        time => Ok(Expires::Access(seconds(time)?)),
    }
}

/// Adds the conf's fields to an answer.
pub fn filter(x: &mut Exchange, conf: &Conf, response: &mut Response) {
    if conf.expires == Expires::Off && conf.own.is_empty() && conf.outer.is_empty() {
        return;
    }
    // Texts may name fields of this very answer (`$sent_http_content_type`).
    x.sent_fields = known_so_far(response);
    let safe = matches!(response.status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308);
    if safe {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
        expire(x, &conf.expires, now, response);
    }
    for added in conf.fields().filter(|added| safe || added.always) {
        add(response, &added.name, x.eval_bytes(&added.value));
    }
}

fn known_so_far(response: &Response) -> Vec<(Bytes, Bytes)> {
    let mut fields = response.fields.clone();
    let mut push = |name: &'static str, value: Bytes| fields.push((Bytes::from_static(name.as_bytes()), value));
    if let ContentType::Is(kind) = &response.content_type {
        push("Content-Type", kind.clone());
    }
    if let Some(seconds) = response.last_modified {
        push("Last-Modified", date::imf(seconds).into());
    }
    if let Some(location) = &response.location {
        push("Location", location.clone());
    }
    if let Some(etag) = &response.etag {
        push("ETag", etag.clone());
    }
    fields
}

fn add(response: &mut Response, name: &Bytes, value: Bytes) {
    let some = (!value.is_empty()).then(|| value.clone());
    if name.eq_ignore_ascii_case(b"etag") {
        response.etag = some;
        return;
    }
    if name.eq_ignore_ascii_case(b"last-modified") {
        response.last_modified = date::parse(&value);
        if response.last_modified.is_some() {
            return;
        }
    }
    if let Some(value) = some {
        response.fields.push((name.clone(), value));
    }
}

fn expire(x: &Exchange, expires: &Expires, now: i64, response: &mut Response) {
    let (at, age) = match expires {
        Expires::Off => return,
        Expires::Computed(text, modified) => match parse_expires(&x.eval(text), *modified) {
            // What a variable holds is the conf's affair at run time: an empty or a wrong value adds nothing.
            Ok(Expires::Computed(..) | Expires::Off) | Err(_) => return,
            Ok(fixed) => return expire(x, &fixed, now, response),
        },
        Expires::Epoch => (1, -1),
        // The last five minutes of what 32 bits can count, as nginx writes it.
        Expires::Max => (2_145_916_555, TEN_YEARS),
        Expires::Access(seconds) => (now.saturating_add(*seconds), *seconds),
        Expires::Daily(second) => {
            let at = next_time(*second, now, &TimeZone::system());
            (at, at - now)
        }
        Expires::Modified(seconds) => {
            let from = response.last_modified.map_or(now, |changed| changed as i64);
            let at = from.saturating_add(*seconds);
            (at, if *seconds < 0 { -1 } else { at - now })
        }
    };
    response
        .fields
        .retain(|(name, _)| !name.eq_ignore_ascii_case(b"expires") && !name.eq_ignore_ascii_case(b"cache-control"));
    response.push("Expires", date::imf(at.max(0) as u64));
    match age {
        ..0 => response.push("Cache-Control", Bytes::from_static(b"no-cache")),
        age => response.push("Cache-Control", format!("max-age={age}")),
    }
}

/// The next moment at which the clock shows this second of the day.
fn next_time(second: i64, now: i64, zone: &TimeZone) -> i64 {
    let fallback = now.saturating_add(DAY);
    let Ok(here) = Timestamp::from_second(now).map(|now| now.to_zoned(zone.clone())) else { return fallback };
    let Ok(midnight) = here.start_of_day() else { return fallback };
    let today = midnight.timestamp().as_second() + second;
    if today > now {
        return today;
    }
    let tomorrow = here.checked_add(SignedDuration::from_hours(24)).and_then(|day| day.start_of_day());
    tomorrow.map_or(fallback, |midnight| midnight.timestamp().as_second() + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_expires() {
        for (text, modified, expected) in [
            ("1h", false, Some(Expires::Access(3600))),
            ("-1", false, Some(Expires::Access(-1))),
            ("+5m", true, Some(Expires::Modified(300))),
            ("@15h30m", false, Some(Expires::Daily(55_800))),
            ("@25h", false, None),
            ("@1h", true, None),
            ("epoch", false, Some(Expires::Epoch)),
            ("epoch", true, None),
            ("max", false, Some(Expires::Max)),
            ("off", false, Some(Expires::Off)),
            ("", false, None),
            ("-", false, None),
            ("soon", false, None),
        ] {
            assert_eq!(parse_expires(text.as_bytes(), modified).ok(), expected, "{text} {modified}");
        }
    }

    #[test]
    fn times_of_the_day() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (now, second, expected) in [(0, 7201, 1), (0, 7200, DAY), (0, 0, DAY - 7200), (-7200, 0, DAY - 7200)] {
            assert_eq!(next_time(second, now, &zone), expected, "{now} {second}");
        }
    }

    #[test]
    fn fields_of_a_block_inside() {
        let added = |name: &'static str| Added {
            name: Bytes::from_static(name.as_bytes()),
            value: Text::literal("1"),
            always: false,
        };
        let names = |conf: &Conf| conf.fields().map(|a| a.name[0] as char).collect::<String>();
        for (inheritance, own, expected) in [
            (Inheritance::On, true, "B"),
            (Inheritance::On, false, "A"),
            (Inheritance::Off, true, "B"),
            (Inheritance::Off, false, ""),
            (Inheritance::Merge, true, "BA"),
            (Inheritance::Merge, false, "A"),
        ] {
            let mut conf = Conf { own: vec![added("A")], ..Conf::default() };
            conf.begin();
            conf.inheritance = inheritance;
            conf.own.extend(own.then(|| added("B")));
            assert_eq!(names(&conf), expected, "{inheritance:?}");
        }
    }

    #[test]
    fn validators_are_replaced() {
        let mut response = Response::new(200);
        response.etag = Some(Bytes::from_static(b"\"a\""));
        response.last_modified = Some(1);
        add(&mut response, &Bytes::from_static(b"ETag"), Bytes::new());
        add(&mut response, &Bytes::from_static(b"last-modified"), Bytes::from_static(b"Thu, 01 Jan 1970 00:00:02 GMT"));
        add(&mut response, &Bytes::from_static(b"X"), Bytes::new());
        assert_eq!((response.etag, response.last_modified, response.fields.len()), (None, Some(2), 0));
    }
}
