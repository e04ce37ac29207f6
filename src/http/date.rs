//! Moments as text: HTTP dates (RFC 9110 5.6.7) both ways, and the forms logs and listings use. A moment is a
//! count of seconds since 1970 in UTC. Knows no clock: whoever asks brings the second and the zone, and may keep
//! the text for as long as the second lasts.

use std::io::Write;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The last second that every form here can write (in December 9999); later ones are written as this one.
const LAST: u64 = 253_402_207_199;

/// The fixed length of an IMF date: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const IMF_LEN: usize = 29;

/// The date in the form that is sent: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn imf(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LAST)))
}

/// The same without an allocation, into room for just this form.
pub fn write_imf(room: &mut [u8; IMF_LEN], seconds: u64) -> &[u8] {
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LAST));
    // The form has a fixed length, so that it fits.
    let _ = write!(&mut room[..], "{}", httpdate::HttpDate::from(moment));
    room
}

/// Reads a date in any of the three forms of RFC 9110 5.6.7. As lenient as nginx: the day's name and whatever
/// follows the time (the zone) are not looked at. `None` for anything else and for days before 1970.
pub fn parse(text: &[u8]) -> Option<u64> {
    match text.iter().position(|&b| b == b',') {
        Some(comma) => parse_after_comma(text[comma + 1..].trim_ascii_start()),
        None => parse_asctime(text),
    }
}

/// `06 Nov 1994 08:49:37` or `06-Nov-94 08:49:37`.
fn parse_after_comma(text: &[u8]) -> Option<u64> {
    let separator = *text.get(2)?;
    let (year, time_at) = match separator {
        b' ' => (number(text.get(7..11)?)?, 12),
        b'-' => {
            let short = number(text.get(7..9)?)?;
            (if short < 70 { 2000 + short } else { 1900 + short }, 10)
        }
        _ => return None,
    };
    if text[6] != separator || text.get(time_at - 1) != Some(&b' ') {
        return None;
    }
    moment(year, month(&text[3..6])?, number(&text[..2])?, text.get(time_at..time_at + 8)?)
}

/// `Sun Nov  6 08:49:37 1994`.
fn parse_asctime(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start().get(..24)?;
    let day = if text[8] == b' ' { number(&text[9..10])? } else { number(&text[8..10])? };
    moment(number(&text[20..24])?, month(&text[4..7])?, day, &text[11..19])
}

fn moment(year: u16, month: u8, day: u16, time: &[u8]) -> Option<u64> {
    if time[2] != b':' || time[5] != b':' {
        return None;
    }
    let part = |at: usize| i8::try_from(number(&time[at..at + 2])?).ok();
    let date = jiff::civil::Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()?;
    let time = jiff::civil::Time::new(part(0)?, part(3)?, part(6)?, 0).ok()?;
    date.to_datetime(time).to_zoned(TimeZone::UTC).ok()?.timestamp().as_second().try_into().ok()
}

fn month(name: &[u8]) -> Option<u8> {
    const NAMES: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    (1..=12).zip(NAMES).find(|(_, known)| name == *known).map(|(number, _)| number)
}

/// One to four digits and nothing else.
fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u16::from(b - b'0')))
}

/// The access log's form: `10/Oct/2026:13:55:36 +0000`.
pub fn common_log(seconds: u64, zone: &TimeZone) -> String {
    written(seconds, zone, "%d/%b/%Y:%H:%M:%S %z")
}

/// ISO 8601: `2026-10-10T13:55:36+00:00`.
pub fn iso8601(seconds: u64, zone: &TimeZone) -> String {
    written(seconds, zone, "%Y-%m-%dT%H:%M:%S%:z")
}

/// The error log's form: `2026/11/22 23:47:46`.
pub fn error_log(seconds: u64, zone: &TimeZone) -> String {
    written(seconds, zone, "%Y/%m/%d %H:%M:%S")
}

/// By a strftime format, English names, in this zone. The format is a constant of ours, never a client's.
pub fn written(seconds: u64, zone: &TimeZone, format: &'static str) -> String {
    // LAST lies in the range of a Timestamp; the fallback is never reached, and is no panic if it were.
    let timestamp = i64::try_from(seconds.min(LAST)).ok().and_then(|s| Timestamp::from_second(s).ok());
    timestamp.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone()).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_772_600_767;

    #[test]
    fn dates_are_read_in_three_forms_and_no_other() {
        let table: [(&str, Option<u64>); 22] = [
            ("Wed, 04 Mar 2026 05:06:07 GMT", Some(SECOND)),
            ("Wednesday, 04-Mar-26 05:06:07 GMT", Some(SECOND)),
            ("Wed Mar  4 05:06:07 2026", Some(SECOND)),
            ("Mon, 04 Mar 2026 05:06:07 CET", Some(SECOND)),
            (",04 Mar 2026 05:06:07", Some(SECOND)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Wed, 4 Mar 2026 05:06:07 GMT", None),
            ("Wed, 04-Mar-2026 05:06:07 GMT", None),
            ("Wed, 04 mar 2026 05:06:07 GMT", None),
            ("Wed, 30 Feb 2026 05:06:07 GMT", None),
            ("Wed, 04 Mar 2026 24:06:07 GMT", None),
            ("Wed, 04 Mar 2026 05:06:61 GMT", None),
            ("Wed, 04 Mar 2026 05:06", None),
            ("04 Mar 2026 05:06:07", None),
            ("Wed, 04 Mar 2026 05.06.07", None),
            ("Wed, ", None),
            (",", None),
            ("", None),
            ("junk", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
        for (text, shortest) in [
            (&b"Wed, 04 Mar 2026 05:06:07 GMT"[..], 25),
            (b"Wed Mar  4 05:06:07 2026", 24),
            (b"Wednesday, 04-Mar-26 05:06:07 GMT", 29),
        ] {
            for cut in 0..=text.len() {
                assert_eq!(parse(&text[..cut]).is_some(), cut >= shortest, "{cut} bytes of {text:?}");
            }
        }
    }

    #[test]
    fn dates_are_written_and_read_back() {
        for second in [0, SECOND, 951_782_400, 4_102_444_799, LAST] {
            assert_eq!(imf(second).len(), IMF_LEN);
            assert_eq!(parse(imf(second).as_bytes()), Some(second));
        }
        assert_eq!(imf(u64::MAX), imf(LAST));
        assert_eq!(write_imf(&mut [0; IMF_LEN], 784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn log_forms() {
        let east = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(common_log(SECOND, &TimeZone::UTC), "04/Mar/2026:05:06:07 +0000");
        assert_eq!(common_log(SECOND, &east), "04/Mar/2026:07:06:07 +0200");
        assert_eq!(iso8601(SECOND, &east), "2026-03-04T07:06:07+02:00");
        assert_eq!(iso8601(SECOND, &TimeZone::UTC), "2026-03-04T05:06:07+00:00");
        assert_eq!(error_log(SECOND, &TimeZone::UTC), "2026/03/04 05:06:07");
        assert_eq!(error_log(u64::MAX, &TimeZone::UTC), error_log(LAST, &TimeZone::UTC));
    }
}
