//! `expires`: how long an answer may be kept. Knows no setting but its own.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use bytes::Bytes;

use crate::conf::args::parse_seconds;
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::http::date;
use crate::http::response::Response;

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

const TEN_YEARS: i64 = 315_360_000;
const DAY: i64 = 86_400;

/// Reads a value of `expires`; the flag says that it stands behind `modified`.
pub fn parse(value: &[u8], modified: bool) -> Result<Expires, &'static str> {
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

/// Adds `Expires` and `Cache-Control`.
pub fn expire(x: &Exchange, expires: &Expires, now: i64, response: &mut Response) {
    let (at, age) = match expires {
        Expires::Off => return,
        Expires::Computed(text, modified) => match parse(&x.eval(text), *modified) {
            // What a variable holds is the conf's affair at run time: an empty or a wrong value adds nothing.
            Ok(Expires::Computed(..) | Expires::Off) | Err(_) => return,
            Ok(fixed) => return expire(x, &fixed, now, response),
        },
        Expires::Epoch => (1, -1),
        // The last five minutes of what 32 bits can count, as nginx writes it.
        Expires::Max => (2_145_916_555, TEN_YEARS),
        // As in nginx, 0 is now, whatever it counts from.
        Expires::Modified(0) => (now, 0),
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
    response.remove(&["Expires", "Cache-Control"]);
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
            assert_eq!(parse(text.as_bytes(), modified).ok(), expected, "{text} {modified}");
        }
    }

    #[test]
    fn times_of_the_day() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (now, second, expected) in [(0, 7201, 1), (0, 7200, DAY), (0, 0, DAY - 7200), (-7200, 0, DAY - 7200)] {
            assert_eq!(next_time(second, now, &zone), expected, "{now} {second}");
        }
    }
}
