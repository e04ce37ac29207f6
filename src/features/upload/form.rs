//! The page's own small form: `delete=NAME`, for browsers without scripts. Must not know uploads.

use std::borrow::Cow;

use super::{Conf, open, remove};
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::exchange::{Exchange, Received};
use crate::http::escape;
use crate::http::head::Known;

/// What such a form is sent as.
pub const TYPE: &[u8] = b"application/x-www-form-urlencoded";

/// Removes the file that the form names, and leads back to the page.
pub fn answer(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    refuse_strangers(x)?;
    let Received::Memory(body) = x.received.take() else {
        return Err(bad("a form that asks for a removal is too large"));
    };
    let name = body.split(|&b| b == b'&').find_map(|field| field.strip_prefix(b"delete=")).map(decode);
    let Some(name) = name else { return Err(bad("a form names no file to delete")) };
    let Some(store) = &conf.store else { return Ok(Step::Next) };
    remove(&open(store)?, &name)?;
    Err(HttpError::redirect(303, escape::path(&x.uri).into_owned()))
}

/// A form on another site could send this with the visitor's credentials; browsers say so where they send it from.
pub fn refuse_strangers(x: &Exchange) -> Result<(), HttpError> {
    let is_strange = match (x.head.field(b"sec-fetch-site"), x.head.field(b"origin")) {
        (Some(site), _) => !matches!(site, b"same-origin" | b"none"),
        (None, Some(origin)) => {
            let host = x.head.fields().find(|(name, _)| crate::http::fields::recognise(name) == Some(Known::Host));
            let at = origin.windows(3).position(|part| part == b"://").map_or(0, |at| at + 3);
            !host.is_some_and(|(_, host)| host.eq_ignore_ascii_case(&origin[at..]))
        }
        (None, None) => false,
    };
    match is_strange {
        true => {
            Err(HttpError::new(403, "other-site").log(Level::Error, "a page of another site asks to delete a file"))
        }
        false => Ok(()),
    }
}

fn bad(text: &str) -> HttpError {
    HttpError::new(400, "bad-form").log(Level::Info, text)
}

fn decode(value: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = value.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
    match escape::percent_decode(&spaced) {
        Cow::Borrowed(_) => spaced,
        Cow::Owned(decoded) => decoded,
    }
}
