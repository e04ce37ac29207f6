//! From the head of another server's answer to ours: which fields are passed on, which are obeyed, which are ours alone. Knows
//! neither connection nor body.

use bytes::Bytes;

use super::conf::Conf;
use super::protocol::Head;
use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::exchange::step::Step;
use crate::gateway::accel::Accel;
use crate::gateway::answer::SINGLE;
use crate::http::fields::Lower;
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

/// Fields that belong to the connection they came by, or are worked out anew.
const FRAMING: [&[u8]; 4] = [b"connection", b"keep-alive", b"content-length", b"transfer-encoding"];

/// Makes an answer of a head. `hidden`: fields, in lower case, that are not passed on unless the conf says so.
pub fn make(
    x: &mut Exchange,
    conf: &Conf,
    hidden: &[&[u8]],
    head: Head,
    rewrite: Rewrite<'_>,
) -> Result<Made, HttpError> {
    let mut response = Response::new(head.status);
    let mut foreign = Foreign { status: head.status, reason: head.reason, ..Foreign::default() };
    response.content_type = ContentType::None;
    response.length = head.length;
    let (mut accel, mut refuses_ranges) = (Accel::default(), false);
    let mut seen = 0u16;
    response.fields.reserve_exact(head.fields.len());
    for (name, value) in head.fields.iter() {
        let lower = Lower::of(name);
        let lower = lower.as_ref();
        if let Some(at) = SINGLE.iter().position(|single| *single == lower) {
            if seen & (1 << at) != 0 {
                continue;
            }
            seen |= 1 << at;
        }
        let passed = conf.pass.iter().any(|pass| pass.eq_ignore_ascii_case(name));
        if is_accel(lower) && !conf.ignored.has(std::str::from_utf8(lower).unwrap_or_default()) {
            accel.take(lower, value);
        }
        if is_hidden(conf, hidden, name, lower, passed) {
            continue;
        }
        let (name, value) = (name.clone(), value.clone());
        match lower {
            b"date" => foreign.date = Some(value),
            b"server" => foreign.server = Some(value),
            b"content-type" if value.is_empty() => {}
            b"content-type" => response.content_type = ContentType::Is(value),
            b"etag" if response.etag.is_none() => response.etag = Some(value),
            b"last-modified" if is_plain_date(&value) => response.last_modified = date::parse(&value),
            b"accept-ranges" => {
                refuses_ranges |= value.eq_ignore_ascii_case(b"none");
                if !conf.force_ranges {
                    response.fields.push((name, value));
                }
            }
            b"location" => match rewrite(x, lower, &value) {
                Some(value) => response.location = Some(value),
                None => response.fields.push((name, value)),
            },
            b"refresh" | b"set-cookie" => {
                let value = rewrite(x, lower, &value).unwrap_or(value);
                response.fields.push((name, value));
            }
            _ => response.fields.push((name, value)),
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
    if let Some(step) = accel.lead(x, kind, refuses_ranges, &response.fields)? {
        return Ok(Made::Elsewhere(Box::new(step)));
    }
    accel.note(x);
    response.foreign = Some(Box::new(foreign));
    if status::is_bodiless(response.status) {
        response.length = None;
    }
    Ok(Made::Here(Box::new(response), accel.buffering))
}

fn is_hidden(conf: &Conf, hidden: &[&[u8]], name: &[u8], lower: &[u8], passed: bool) -> bool {
    let usual = || hidden.contains(&lower) || is_accel(lower);
    FRAMING.contains(&lower) || (!passed && usual()) || conf.hide.iter().any(|hide| hide.eq_ignore_ascii_case(name))
}

fn is_accel(lower: &[u8]) -> bool {
    lower.starts_with(b"x-accel-")
        && matches!(&lower[8..], b"expires" | b"redirect" | b"limit-rate" | b"buffering" | b"charset")
}

/// Whether a date is written as we would write it, so that nothing is lost when we do.
fn is_plain_date(value: &[u8]) -> bool {
    date::parse(value).is_some_and(|seconds| date::imf(seconds).as_bytes() == value)
}

/// An answer that `error_page` takes the place of.
pub fn intercepted(head: Head) -> HttpError {
    let mut error = HttpError::new(head.status, "intercepted");
    if head.status == 401 {
        // RFC 9110 section 15.5.2: a 401 says how to authenticate.
        let asks = |field: &&(Bytes, Bytes)| field.0.eq_ignore_ascii_case(b"www-authenticate");
        error.fields = head.fields.iter().filter(asks).cloned().collect();
    }
    error
}
