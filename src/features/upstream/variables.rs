//! `$upstream_*`: what the servers were that a request was passed to, and what they answered. With several of them the values
//! stand in the order they were asked.

use std::borrow::Cow;
use std::time::Duration;

use super::Conf;
use crate::exchange::Exchange;
use crate::exchange::attempts::Attempt;
use crate::exchange::variables::{Value, Variable};
use crate::http::field_list::FieldList;

type Get = for<'a> fn(&'a Exchange, &'a Conf, &str) -> Value<'a>;

const fn one(name: &'static str, doc: &'static str, get: Get) -> Variable<Conf> {
    Variable { name, family: false, doc, get }
}

const fn family(name: &'static str, doc: &'static str, get: Get) -> Variable<Conf> {
    Variable { name, family: true, doc, get }
}

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[
    one(
        "upstream_addr",
        "The addresses of the servers that were asked, separated by commas; a colon stands where an internal redirect led to \
         others. It is the upstream's name if none of its servers could be asked.",
        |x, _, _| all(x, |one| one.address.to_string()),
    ),
    one("upstream_bytes_received", "How many bytes came from each server.", |x, _, _| {
        all(x, |one| one.received.to_string())
    }),
    one("upstream_bytes_sent", "How many bytes were sent to each server.", |x, _, _| {
        all(x, |one| one.sent.to_string())
    }),
    one(
        "upstream_cache_status",
        "Whether the answer came from a cache: nothing here, since there is none.",
        |_, _, _| None,
    ),
    one(
        "upstream_connect_time",
        "How long it took to connect to each server, in seconds with milliseconds.",
        |x, _, _| all(x, |one| time(one.connect_time)),
    ),
    family("upstream_cookie_", "The cookie NAME that the last server sets, without what follows its value.", cookie),
    one("upstream_header_time", "How long each server took until the head of its answer was there.", |x, _, _| {
        all(x, |one| time(one.header_time))
    }),
    family(
        "upstream_http_",
        "The field NAME of the last server's answer, in lower case with `_` for `-`.",
        |x, _, name| join(x.attempts.fields()?, name),
    ),
    one("upstream_response_length", "How long the body of each server's answer was.", |x, _, _| {
        all(x, |one| one.length.to_string())
    }),
    one(
        "upstream_response_time",
        "How long each server took until its answer was there, or its client left; `-` while it is on its way.",
        |x, _, _| all(x, |one| time(one.response_time)),
    ),
    one("upstream_status", "The status of each server's answer; 502 or 504 for one that gave none.", |x, _, _| {
        all(x, |one| if one.status == 0 { "-".into() } else { one.status.to_string() })
    }),
    // Nobody reads them of an answer yet.
    family("upstream_trailer_", "The field NAME behind the body of the last server's answer.", |_, _, _| None),
];

fn all<'a>(x: &'a Exchange, one: impl Fn(&Attempt) -> String) -> Value<'a> {
    Some(Cow::Owned(x.attempts.join(one)?.into_bytes()))
}

fn time(time: Option<Duration>) -> String {
    match time {
        Some(time) => format!("{}.{:03}", time.as_secs(), time.subsec_millis()),
        None => "-".into(),
    }
}

/// Whether a field is the one a variable names: case does not matter, `-` is `_`.
fn is_named(field: &[u8], name: &str) -> bool {
    let fold = |byte: &u8| if *byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    field.len() == name.len() && field.iter().map(fold).eq(name.bytes())
}

fn join<'a>(fields: &'a FieldList, name: &str) -> Value<'a> {
    let mut values = fields.iter().filter(|(field, _)| is_named(field, name)).map(|(_, value)| value);
    let first = values.next()?;
    Some(values.fold(Cow::Borrowed(first), |all, value| Cow::Owned([&all, b", ".as_slice(), value].concat())))
}

fn cookie<'a>(x: &'a Exchange, _: &'a Conf, name: &str) -> Value<'a> {
    let set = x.attempts.fields()?.iter().filter(|(field, _)| field.eq_ignore_ascii_case(b"set-cookie"));
    set.filter_map(|(_, value)| value_of(value, name)).next().map(Cow::Borrowed)
}

/// The value of a `Set-Cookie` field, if it sets the cookie of this name. Case does not matter: names of variables have none. As in nginx
/// blanks around the `=` belong to nobody, and those after the value to the value.
fn value_of<'a>(field: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (start, rest) = field.split_at_checked(name.len())?;
    let value = skip_blanks(rest).strip_prefix(b"=").filter(|_| start.eq_ignore_ascii_case(name.as_bytes()))?;
    skip_blanks(value).split(|b| *b == b';').next()
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|b| **b == b' ').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_one_name_are_joined() {
        let head = b"X-Y1x_y3X-Y2Servers";
        let mut fields = FieldList::of(head, 4);
        for (start, middle, end) in [(0, 3, 4), (4, 7, 8), (8, 11, 12), (12, 18, 19)] {
            fields.push(head, &head[start..middle], &head[middle..end]);
        }
        for (name, want) in [("x_y", Some("1, 3, 2")), ("server", Some("s")), ("x", None)] {
            assert_eq!(join(&fields, name).as_deref(), want.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn a_cookie_is_what_stands_before_its_attributes() {
        for (field, want) in [
            ("a=1; path=/", Some("1")),
            ("A=1", Some("1")),
            ("a=", Some("")),
            ("a==x", Some("=x")),
            ("a = b c ; path=/", Some("b c ")),
            ("a  =  ;", Some("")),
            ("a\t=b", None),
            ("a b=c", None),
            ("ab=c", None),
            (" a=b", None),
            ("b=2; a=1", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(value_of(field.as_bytes(), "a"), want.map(str::as_bytes), "{field}");
        }
    }

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(time(Some(Duration::from_micros(61_007_999))), "61.007");
        assert_eq!(time(None), "-");
    }
}
