//! The page's own small form: `delete=NAME`, for browsers without scripts. Must not know uploads.

use std::borrow::Cow;

use super::{Conf, Kept, Stage, State, find, guard_of, open, remove};
use crate::exchange::admission::Admit;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::exchange::{Exchange, Received};
use crate::http::escape;

/// What such a form is sent as.
pub const TYPE: &[u8] = b"application/x-www-form-urlencoded";

/// Removes the file that the form names, and leads back to the page. Whoever sent it was let in before.
pub fn answer(x: &mut Exchange, conf: &Conf, admit: Admit<'_>, state: &mut Kept) -> Result<Step, HttpError> {
    let Received::Memory(body) = x.received.take() else {
        return Err(bad("a form that asks for a removal is too large"));
    };
    let name = body.split(|&b| b == b'&').find_map(|field| field.strip_prefix(b"delete=")).map(decode);
    let Some(name) = name else { return Err(bad("a form names no file to delete")) };
    let Some(store) = &conf.store else { return Ok(Step::Next) };
    let folder = open(store)?;
    find(&folder, &name)?;
    if let Some(wait) = guard_of(x, conf, &name, admit)? {
        x.received = Received::Memory(body);
        *state = Some(Box::new(State(Stage::Form)));
        return Ok(Step::Wait(wait));
    }
    remove(&folder, &name)?;
    Err(HttpError::redirect(303, escape::path(&x.uri).into_owned()))
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
