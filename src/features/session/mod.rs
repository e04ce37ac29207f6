//! Sessions: values that the server keeps for a client between its requests. This file is the steps: finding the
//! session that a request names, asking for one, changing it, and sending its cookie. Stores and signatures are below.

mod conf;
mod fields;
mod kept;
pub mod record;
mod rows;
mod setters;
mod store;
mod ticket;
mod zone;

pub use conf::Conf;
pub use rows::{DIRECTIVES, VARIABLES};

use std::sync::Arc;

use bytes::Bytes;

use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::session::{FIELDS, Session, State};
use crate::exchange::step::{Step, Wait};
use crate::http::cookie;
use crate::http::escape;
use crate::http::response::Response;
use crate::http::set_cookie;
use conf::{Action, OnError, Require};
use kept::{Job, Kept, Say, Terms, Trouble};
use record::Change;

/// Cookies of the session's name that are looked at; a client has one.
const MOST_COOKIES: usize = 8;

/// Finds the session that a request names.
pub fn find(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    let Some(zone) = &conf.zone else { return Ok(Step::Next) };
    let is_known = x.session.as_ref().and_then(|session| kept_of(session)).is_some_and(|kept| kept.zone.is(zone));
    if !is_known {
        // Programs trust these fields and this name, so a client's own must not reach them.
        x.head.forget(|name| is_ours(name) || name.eq_ignore_ascii_case(b"session"));
        if !x.may_ask() {
            x.tell("session", None, || "no store is asked here: the client counts as one without a session".into());
            return Ok(Step::Next);
        }
        let Some(declared) = zone.get() else { return Ok(Step::Next) };
        let mut session = Box::<Session>::default();
        let terms = Terms { cookie: conf.cookie.clone(), idle: conf.idle, absolute: conf.absolute, grace: conf.grace };
        let mut kept = Kept::new(zone.clone(), terms);
        let keys = conf.keys.clone().map_or_else(|| declared.contents.store.keys(), |keys| Ok(Some(keys)));
        match keys {
            Ok(Some(keys)) => {
                let https = x.client.security.session().is_some();
                session.state = name_session(x, &mut kept, &keys, conf.cookie.name(https), &declared.name);
                kept.keys = Some(keys);
            }
            Ok(None) => kept.trouble = Some("no key signs its cookies".into()),
            Err(why) => kept.trouble = Some(why),
        }
        session.kept = Some(Box::new(kept));
        x.session = Some(session);
    }
    proceed(x)
}

/// The first look at the cookie: what can be said without the store.
fn name_session(x: &Exchange, kept: &mut Kept, keys: &ticket::Keys, name: &[u8], zone: &str) -> State {
    let (mut known, mut differ) = (None, false);
    let cookies = x.head.fields_named(b"cookie").flat_map(|field| cookie::values(field, name));
    for value in cookies.take(MOST_COOKIES) {
        kept.named = true;
        if let Some(id) = keys.verify(zone, value) {
            differ |= known.is_some_and(|known| known != id);
            known = Some(id);
        }
    }
    match known {
        Some(id) if !differ => {
            kept.todo.push_back(Job::Find(id.key()));
            State::None
        }
        None if kept.named => {
            x.report(Level::Info, "client sent a session cookie that was not given out here");
            State::Forged
        }
        None => State::None,
        // Somebody planted one beside the other: which of them the client means nobody can say.
        Some(_) => {
            x.report(Level::Warn, "client sent several session cookies, and none is believed");
            State::Repeated
        }
    }
}

fn kept_of(session: &Session) -> Option<&Kept> {
    session.kept.as_ref()?.downcast_ref()
}

fn kept_in(x: &mut Exchange) -> Option<&mut Kept> {
    x.session.as_mut()?.kept.as_mut()?.downcast_mut()
}

/// Does what is to be done with the store, as far as that goes without waiting.
fn proceed(x: &mut Exchange) -> Result<Step, HttpError> {
    let Some(mut session) = x.session.take() else { return Ok(Step::Next) };
    let Some(mut kept) = session.kept.take().and_then(|kept| kept.downcast::<Kept>().ok()) else {
        return Ok(Step::Next);
    };
    let driven = kept.drive(&mut session, || x.waker());
    let trouble = match driven {
        Ok(until) => {
            session.kept = Some(kept);
            x.session = Some(session);
            return Ok(until.map_or(Step::Next, |until| Step::Wait(Wait::News(until))));
        }
        Err(trouble) => trouble,
    };
    let on_error = kept.zone.get().map_or(OnError::Fail, |declared| declared.on_error);
    let name = kept.zone.get().map(|declared| declared.name.clone()).unwrap_or_default();
    session.kept = Some(kept);
    session.state = State::Failed;
    session.values.clear();
    x.session = Some(session);
    match trouble {
        Trouble::TooLarge => {
            let text = format!(
                "a session of the zone \"{name}\" would hold more than it may: 64 values, 4 KiB each, 16 KiB in all"
            );
            Err(HttpError::new(500, "session-too-large").log(Level::Error, text))
        }
        Trouble::Store(why) => {
            let text = format!("the store of the sessions \"{name}\" fails: {why}");
            match on_error {
                OnError::Fail => {
                    Err(HttpError::new(503, "session-store").field("Retry-After", "1").log(Level::Error, text))
                }
                OnError::Ignore => {
                    x.report(Level::Error, text);
                    Ok(Step::Next)
                }
            }
        }
    }
}

/// Asks for a session, and for values in it.
pub fn admit(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    let (Some(_), Some(require)) = (&conf.zone, &conf.require) else { return Ok(Step::Next) };
    let state = x.session.as_ref().map_or(State::None, |session| session.state);
    if state == State::Failed {
        let text = "nobody comes in while the store of the sessions fails";
        return Err(HttpError::new(503, "session-store").field("Retry-After", "1").log(Level::Error, text));
    }
    let has = |name: &Bytes| {
        let value = x.session.as_ref().and_then(|session| session.value(name));
        value.is_some_and(|value| !value.is_empty())
    };
    if state.is_there() && require.names.iter().all(has) {
        return Ok(Step::Next);
    }
    x.tell("session_require", None, || {
        let names: Vec<_> = require.names.iter().map(|name| format!("`{}`", escape::error_log(name))).collect();
        let with = if names.is_empty() { String::new() } else { format!(" with a value for {}", names.join(" and ")) };
        format!("only for clients that have a session{with}")
    });
    Err(turn_away(x, require))
}

fn turn_away(x: &Exchange, require: &Require) -> HttpError {
    let Some(login) = &require.login else {
        let text = "no session that session_require asks for";
        // RFC 9110 section 11.6.1: a 401 says what would do.
        return HttpError::new(401, "no-session").field("WWW-Authenticate", "Session").log(Level::Info, text);
    };
    // What was to be sent is not sent to the login page.
    let status = if matches!(x.head.method_text(), b"GET" | b"HEAD") { 302 } else { 303 };
    HttpError::new(status, "no-session").field("Location", x.eval_bytes(login))
}

/// Makes the changes that the conf orders.
pub fn change(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    if conf.zone.is_some() && !x.may_act() {
        tell_changes(x, conf);
        return Ok(Step::Next);
    }
    if conf.zone.is_some() && order_changes(x, conf) {
        return proceed(x);
    }
    match x.session.as_ref().and_then(|session| kept_of(session)).is_some_and(Kept::is_busy) {
        true => proceed(x),
        false => Ok(Step::Next),
    }
}

fn tell_changes(x: &Exchange, conf: &Conf) {
    if conf.destroy {
        x.tell("session_destroy", None, || "would end the client's session, if it has one".into());
    }
    if conf.rotate.is_some() {
        x.tell("session_rotate", None, || "would give the client's session another name".into());
    }
    let is_on = |text| !matches!(x.eval(text).as_ref(), b"" | b"0");
    for ordered in conf.actions.iter() {
        let may = match ordered.condition.as_ref().is_none_or(is_on) {
            true => "would",
            false => "its `if` is false: would not",
        };
        let shown = |text: &[u8]| escape::error_log(text).to_string();
        match &ordered.action {
            Action::Set(name, value) => {
                x.tell("session_set", None, || format!("{may} set `{}` to `{}`", shown(name), shown(&x.eval(value))))
            }
            Action::Add(name, number) => {
                x.tell("session_incr", None, || format!("{may} add {number} to `{}`", shown(name)));
            }
            Action::Unset(name) => x.tell("session_unset", None, || format!("{may} take `{}` away", shown(name))),
        }
    }
}

/// Queues the changes of a block, each line once for a request; false if there are none.
fn order_changes(x: &mut Exchange, conf: &Conf) -> bool {
    let Some(kept) = x.session.as_ref().and_then(|session| kept_of(session)) else { return false };
    let ends = conf.destroy && !kept.ended;
    let age = conf.rotate.filter(|_| !kept.rotated);
    let acts = !conf.actions.is_empty() && !kept.applied.iter().any(|applied| Arc::ptr_eq(applied, &conf.actions));
    if !ends && age.is_none() && !acts {
        return false;
    }
    let is_on = |text| !matches!(x.eval(text).as_ref(), b"" | b"0");
    let actions = conf.actions.iter().filter(|_| acts);
    let changes: Vec<Change> = actions
        .filter(|ordered| ordered.condition.as_ref().is_none_or(is_on))
        .map(|ordered| match &ordered.action {
            Action::Set(name, value) => Change::Set(name.clone(), x.eval_bytes(value)),
            Action::Add(name, number) => Change::Add(name.clone(), *number),
            Action::Unset(name) => Change::Unset(name.clone()),
        })
        .collect();
    let Some(kept) = kept_in(x) else { return false };
    kept.ended |= ends;
    kept.rotated |= age.is_some();
    kept.todo.extend(ends.then_some(Job::Destroy));
    kept.todo.extend(age.map(Job::Rotate));
    if acts {
        kept.applied.push(conf.actions.clone());
    }
    kept.todo.extend((!changes.is_empty()).then_some(Job::Change(changes)));
    true
}

/// Reads what a program says of the session in its answer, does it, and sends the cookie. The answer waits meanwhile:
/// a client that has it finds the session as it should be.
pub fn close(x: &mut Exchange, response: &mut Response) -> Result<Option<Wait>, HttpError> {
    if x.session.is_none() {
        return Ok(None);
    }
    let ordered = fields::take(response).map_err(|fault| {
        let text = format!("a program's answer has a wrong field about the session: {fault}");
        HttpError::new(502, "session-bad-field").log(Level::Error, text)
    })?;
    if let Some(kept) = kept_in(x) {
        kept.todo.extend(ordered);
    }
    match proceed(x)? {
        Step::Wait(wait) => return Ok(Some(wait)),
        _ => send_cookie(x, response),
    }
    Ok(None)
}

fn send_cookie(x: &mut Exchange, response: &mut Response) {
    let https = x.client.security.session().is_some();
    let Some(kept) = kept_in(x) else { return };
    let Some(declared) = kept.zone.get() else { return };
    let cookie = kept.terms.cookie.clone();
    let (name, mut attributes) = (cookie.name(https), cookie.attributes.clone());
    let value = match (kept.say.take(), &kept.keys) {
        (Some(Say::Id(id)), Some(keys)) => keys.sign(&declared.name, id),
        (Some(Say::Nothing), _) => {
            attributes.max_age = Some(0);
            String::new()
        }
        _ => return,
    };
    response.push("Set-Cookie", set_cookie::write(name, value.as_bytes(), &attributes, https));
    if response.field("Cache-Control").is_none() {
        // RFC 9111 section 7.3: a shared cache would hand it to others.
        response.push("Cache-Control", Bytes::from_static(b"private"));
    }
}

/// Whether a field is one of those by which programs change the session.
fn is_ours(name: &[u8]) -> bool {
    name.len() > FIELDS.len()
        && name.iter().zip(FIELDS).all(|(a, b)| (if *a == b'_' { b'-' } else { a.to_ascii_lowercase() }) == *b)
}
