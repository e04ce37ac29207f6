//! From the head of another server's answer to ours: which fields are passed on, which are obeyed, which are ours alone. Knows
//! neither connection nor body.

use bytes::Bytes;

use super::conf::Conf;
use super::protocol::Head;
use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::exchange::step::Step;
use crate::gateway::accel::Accel;
use crate::gateway::names::Name;
use crate::http::field_list::FieldList;
use crate::http::fields::Lower;
use crate::http::interim::Interim;
use crate::http::response::{ContentType, Foreign, Response};
use crate::http::{date, status};

/// What a gateway makes of a field's value (Location, Refresh, Set-Cookie); the name is in lower case. None leaves it as it is.
pub type Rewrite<'a> = &'a dyn Fn(&Exchange, &[u8], &Bytes) -> Option<Bytes>;

/// What became of a head.
pub enum Made {
    /// An answer without its body, and whether the answer itself says how it is to be buffered.
    Here(Box<Response>, Option<bool>),
    /// The request is led elsewhere.
    Elsewhere(Box<Step>),
}

/// Makes an answer of a head, whose fields the request knows by now. `hidden`: fields, in lower case, that are not passed on
/// unless the conf says so.
pub fn make(
    x: &mut Exchange,
    conf: &Conf,
    hidden: &[&[u8]],
    head: Head,
    rewrite: Rewrite<'_>,
) -> Result<Made, HttpError> {
    let mut response = Box::new(Response::new(head.status));
    let mut foreign =
        Box::new(Foreign { status: head.status, is_judged: true, reason: head.reason, ..Foreign::default() });
    response.content_type = ContentType::None;
    response.length = head.length;
    let (mut accel, mut accept_ranges) = (Accel::default(), None);
    let (mut seen, none) = (0, FieldList::default());
    let fields = x.attempts.fields().unwrap_or(&none);
    for (name, value) in fields.iter() {
        let known = Name::of(name);
        if seen & known.single() != 0 {
            continue;
        }
        seen |= known.single();
        if known.is_accel() {
            let lower = Lower::of(name);
            if !conf.ignored.has(std::str::from_utf8(lower.as_ref()).unwrap_or_default()) {
                accel.take(lower.as_ref(), &fields.share(value));
            }
        }
        if known.is_framing(head.status) || is_hidden(conf, hidden, name, known) {
            continue;
        }
        let value = fields.share(value);
        let field = |value: Bytes| (fields.share(name), value);
        match known {
            Name::Date => foreign.date = Some(value),
            Name::Server => foreign.server = Some(value),
            Name::ContentType if value.is_empty() => {}
            Name::ContentType => response.content_type = ContentType::Is(value),
            Name::Etag => response.etag = Some(value),
            Name::LastModified if is_plain_date(&value) => response.last_modified = date::parse(&value),
            Name::AcceptRanges => {
                if !conf.force_ranges {
                    accept_ranges = Some(value.clone());
                    response.fields.push(field(value));
                }
            }
            Name::Location => match rewrite(x, b"location", &value) {
                Some(value) => response.location = Some(value),
                None => response.fields.push(field(value)),
            },
            Name::Refresh | Name::SetCookie => {
                let lower: &[u8] = if known == Name::Refresh { b"refresh" } else { b"set-cookie" };
                response.fields.push(field(rewrite(x, lower, &value).unwrap_or(value)));
            }
            _ => response.fields.push(field(value)),
        }
    }
    let kind = match &response.content_type {
        ContentType::Is(kind) => Some(kind),
        _ => None,
    };
    let passes =
        |field: &[u8]| hidden.contains(&field) && conf.pass.iter().any(|pass| pass.eq_ignore_ascii_case(field));
    if foreign.server.is_none() && passes(b"server") {
        // What another server says of itself takes the place of what we say, also when it says nothing.
        foreign.server = Some(Bytes::new());
    }
    if let Some(step) = accel.lead(x, kind, accept_ranges.as_ref(), &response.fields)? {
        return Ok(Made::Elsewhere(Box::new(step)));
    }
    accel.note(x);
    response.foreign = Some(foreign);
    if status::is_bodiless(response.status) {
        response.length = None;
    }
    Ok(Made::Here(response, accel.buffering))
}

/// Makes an interim response of the fields of a 103 answer: those that its server means for us or for the connection stay here, and what is
/// rewritten in an answer is rewritten in this one.
pub fn hint(x: &Exchange, conf: &Conf, hidden: &[&[u8]], fields: &FieldList, rewrite: Rewrite<'_>) -> Interim {
    // RFC 9110 section 7.6.1: Connection names others that belong to the connection.
    let of_connection = |name: &[u8]| {
        let lists = fields.iter().filter(|(name, _)| Name::of(name) == Name::Connection);
        lists.flat_map(|(_, value)| value.split(|&b| b == b',')).any(|one| one.trim_ascii().eq_ignore_ascii_case(name))
    };
    let is_ours =
        |name: &[u8]| [&b"te"[..], b"proxy-authenticate", b"status"].iter().any(|ours| ours.eq_ignore_ascii_case(name));
    let passed = fields.iter().filter(|(name, _)| {
        let known = Name::of(name);
        !known.is_framing(103) && !is_hidden(conf, hidden, name, known) && !is_ours(name) && !of_connection(name)
    });
    let made = passed.map(|(name, value)| {
        let (lower, value) = (Lower::of(name), fields.share(value));
        let is_rewritten = matches!(Name::of(name), Name::Location | Name::Refresh | Name::SetCookie);
        let other = if is_rewritten { rewrite(x, lower.as_ref(), &value) } else { None };
        (fields.share(name), other.unwrap_or(value))
    });
    Interim { status: 103, fields: made.collect() }
}

fn is_hidden(conf: &Conf, hidden: &[&[u8]], name: &[u8], known: Name) -> bool {
    let is_one = |of: &[u8]| of.eq_ignore_ascii_case(name);
    let usual = || known.is_accel() || hidden.iter().any(|hide| is_one(hide));
    (usual() && !conf.pass.iter().any(|pass| is_one(pass))) || conf.hide.iter().any(|hide| is_one(hide))
}

/// Whether a date is written as we would write it, so that nothing is lost when we do.
fn is_plain_date(value: &[u8]) -> bool {
    date::parse(value).is_some_and(|seconds| date::imf(seconds).as_bytes() == value)
}

/// An answer of this status that `error_page` takes the place of.
pub fn intercepted(x: &Exchange, status: u16) -> HttpError {
    let mut error = HttpError::new(status, "intercepted");
    if let Some(fields) = x.attempts.fields().filter(|_| status == 401) {
        // RFC 9110 section 15.5.2: a 401 says how to authenticate.
        let asks = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"www-authenticate"));
        error.fields = asks.map(|(name, value)| (fields.share(name), fields.share(value))).collect();
    }
    error
}
