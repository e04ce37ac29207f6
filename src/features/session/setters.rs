//! How the directives of sessions are read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::conf::{self, Action, Conf, Cookie, Ordered, Require};
use super::record::is_name;
use super::ticket::{self, Keys};
use super::zone;
use crate::conf::args::{Args, Fault, parse_seconds};
use crate::conf::ast::Word;
use crate::conf::cookie;
use crate::conf::value::Text;
use crate::http::set_cookie::SameSite;

/// A file of keys is no larger.
const KEY_FILE: u64 = 64 << 10;

pub fn turn_on(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    conf.zone = match word.text.as_slice() {
        b"off" => None,
        _ => Some(args.load.zones.refer(zone::ZONE, &word.show(), word)?),
    };
    Ok(())
}

pub fn read_keys(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let (word, path) = (args.word(0), args.conf_path(0));
    let text = args.load.outside.read(&path, KEY_FILE);
    let text = text.map_err(|why| Fault::at(word, format!("cannot read `{}`: {why}", path.display())))?;
    args.warn_if_loose(word, &path);
    let help = "a line of `openssl rand -hex 32` is a key";
    let secrets = ticket::secrets(&text)
        .map_err(|why| Fault::at(word, format!("names `{}`, which {why}", path.display())).help(help))?;
    conf.keys = Keys::new(secrets);
    Ok(())
}

pub fn set_cookie(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let name = cookie::name(args.word(0))?;
    let mut attributes = conf::attributes();
    for word in &args.words()[1..] {
        if !cookie::attribute(&mut attributes, word)? {
            return Err(Fault::at(word, format!("has an unknown attribute `{}`", word.show()))
                .help("attributes are `Path=`, `Domain=`, `Max-Age=`, `Secure=`, `SameSite=` and `Partitioned`"));
        }
        if attributes.same_site == Some(SameSite::None) {
            return Err(Fault::at(word, "takes no `SameSite=None`: every site could act in a session's name")
                .help("write `SameSite=Lax` or `SameSite=Strict`"));
        }
        if attributes.max_age == Some(0) {
            return Err(Fault::at(
                word,
                "takes a `Max-Age` of at least a second: with 0 no browser would keep the cookie",
            ));
        }
    }
    cookie::check(&name, &attributes)?;
    conf.cookie = Arc::new(Cookie::new(name, attributes));
    Ok(())
}

pub fn set_timeout(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let idle = milliseconds(args.seconds(0)?);
    let absolute = if args.len() == 2 { milliseconds(args.seconds(1)?) } else { Conf::default().absolute.max(idle) };
    if idle == 0 {
        return Err(Fault::at(args.word(0), "takes at least a second"));
    }
    if absolute < idle {
        return Err(Fault::at(args.word(1), "has a longest time that is shorter than the time without a request"));
    }
    (conf.idle, conf.absolute) = (idle, absolute);
    Ok(())
}

pub fn require(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let (mut names, mut login, mut on) = (Vec::new(), None, false);
    for i in 0..args.len() {
        let word = args.word(i);
        match word.text.as_slice() {
            b"off" if args.len() == 1 => {
                conf.require = None;
                return Ok(());
            }
            b"on" if i == 0 => on = true,
            text if text.starts_with(b"login=") => login = Some(args.text_of(i, &text[b"login=".len()..])?),
            _ => names.push(value_name(word)?),
        }
    }
    if names.is_empty() && !on {
        return Err(Fault::new("names no value").help("write `session_require on login=URL;` if any session will do"));
    }
    conf.require = Some(Arc::new(Require { names, login }));
    Ok(())
}

pub fn add_set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let name = value_name(args.word(0))?;
    let value = args.text(1)?;
    let condition = if args.len() == 3 { Some(condition(args, 2)?) } else { None };
    push(conf, Action::Set(name, value), condition)
}

pub fn add_incr(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let name = value_name(args.word(0))?;
    let (mut number, mut when) = (1, None);
    for i in 1..args.len() {
        let word = args.word(i);
        match std::str::from_utf8(&word.text).ok().and_then(|text| text.parse::<i64>().ok()) {
            Some(value) if i == 1 => number = value,
            _ if i == 1 && !word.text.starts_with(b"if=") => {
                return Err(Fault::at(word, format!("takes a whole number, not `{}`", word.show())));
            }
            _ => when = Some(condition(args, i)?),
        }
    }
    push(conf, Action::Add(name, number), when)
}

pub fn add_unset(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let name = value_name(args.word(0))?;
    let condition = if args.len() == 2 { Some(condition(args, 1)?) } else { None };
    push(conf, Action::Unset(name), condition)
}

fn push(conf: &mut Conf, action: Action, condition: Option<Text>) -> Result<(), Fault> {
    Arc::make_mut(&mut conf.actions).push(Ordered { action, condition });
    Ok(())
}

pub fn set_rotation(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    conf.rotate = match word.text.as_slice() {
        b"on" => Some(0),
        b"off" => None,
        text => Some(parse_seconds(text).map(milliseconds).ok_or_else(|| {
            Fault::at(word, format!("takes `on`, `off` or a time such as `15m`, not `{}`", word.show()))
        })?),
    };
    if args.len() == 2 {
        let word = args.word(1);
        let grace = word.text.strip_prefix(b"grace=").and_then(parse_seconds);
        let grace = grace.ok_or_else(|| Fault::at(word, format!("takes `grace=TIME`, not `{}`", word.show())))?;
        conf.grace = milliseconds(grace);
    }
    Ok(())
}

fn condition(args: &mut Args<'_>, i: usize) -> Result<Text, Fault> {
    let word = args.word(i);
    match word.text.strip_prefix(b"if=") {
        Some(text) => args.text_of(i, text),
        None => Err(Fault::at(word, format!("takes `if=CONDITION`, not `{}`", word.show()))),
    }
}

fn value_name(word: &Word) -> Result<Bytes, Fault> {
    if is_name(&word.text) {
        return Ok(Bytes::copy_from_slice(&word.text));
    }
    Err(Fault::at(word, format!("takes the name of a value, not `{}`", word.show())).help(
        "a name has at most 64 lower-case letters, digits and `_`; `state`, `csrf` and `ref` mean something else",
    ))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
