//! The fields by which a program changes the session: `X-Session-Set: user=ann&theme=dark`, `X-Session-Unset: theme`,
//! `X-Session-Rotate: on`, `X-Session-Destroy: on`. They are taken from its answer and never sent on.

use std::borrow::Cow;

use bytes::Bytes;

use super::kept::Job;
use super::record::{Change, is_name};
use crate::exchange::session::FIELDS;
use crate::http::escape;
use crate::http::response::Response;

/// Takes the fields from an answer: what they order, or a phrase about what is wrong with one. The fields are gone in
/// either case.
pub fn take(response: &mut Response) -> Result<Vec<Job>, String> {
    if !response.fields.iter().any(|(name, _)| super::is_ours(name)) {
        return Ok(Vec::new());
    }
    let (ours, others): (Vec<_>, _) = response.fields.drain(..).partition(|(name, _)| super::is_ours(name));
    response.fields = others;
    let (mut destroys, mut rotates, mut changes) = (false, false, Vec::new());
    for (name, value) in &ours {
        match name.to_ascii_lowercase().get(FIELDS.len()..).unwrap_or_default() {
            b"set" => changes.extend(pairs(value)?),
            b"unset" => changes.extend(names(value)?),
            b"rotate" => rotates |= is_on(value)?,
            b"destroy" => destroys |= is_on(value)?,
            _ => return Err(format!("there is no field \"{}\"", escape::error_log(name))),
        }
    }
    let mut jobs = Vec::new();
    jobs.extend(destroys.then_some(Job::Destroy));
    jobs.extend(rotates.then_some(Job::Rotate(0)));
    jobs.extend((!changes.is_empty()).then_some(Job::Change(changes)));
    Ok(jobs)
}

/// Names and values as in a form.
fn pairs(value: &[u8]) -> Result<Vec<Change>, String> {
    let pairs = value.split(|&b| b == b'&').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let at = pair.iter().position(|&b| b == b'=').ok_or_else(|| wrong(pair))?;
            Ok(Change::Set(name(&pair[..at])?, plain(&pair[at + 1..])))
        })
        .collect()
}

fn names(value: &[u8]) -> Result<Vec<Change>, String> {
    let names = value.split(|b| b",& ".contains(b)).filter(|name| !name.is_empty());
    names.map(|text| name(text).map(Change::Unset)).collect()
}

fn name(text: &[u8]) -> Result<Bytes, String> {
    let name = text.trim_ascii().to_ascii_lowercase();
    match is_name(&name) {
        true => Ok(name.into()),
        false => Err(wrong(text)),
    }
}

fn wrong(text: &[u8]) -> String {
    format!("\"{}\" names no value (letters, digits and `_`, 64 at most)", escape::error_log(text))
}

fn plain(text: &[u8]) -> Bytes {
    let spaced: Cow<'_, [u8]> = match text.contains(&b'+') {
        true => text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect::<Vec<_>>().into(),
        false => text.into(),
    };
    escape::percent_decode(&spaced).into_owned().into()
}

fn is_on(value: &[u8]) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_slice() {
        b"on" | b"1" | b"yes" | b"true" => Ok(true),
        b"off" | b"0" | b"no" | b"false" | b"" => Ok(false),
        _ => Err(format!("\"{}\" is neither `on` nor `off`", escape::error_log(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(fields: &[(&'static str, &'static str)]) -> Result<(String, usize), String> {
        let mut response = Response::new(200);
        response.fields = fields.iter().map(|(name, value)| (Bytes::from(*name), Bytes::from(*value))).collect();
        let jobs = take(&mut response);
        Ok((format!("{:?}", jobs?), response.fields.len()))
    }

    #[test]
    fn what_programs_say() {
        for (fields, want, left) in [
            (&[("X-Other", "1")][..], "[]", 1),
            (&[("X-Session-Destroy", "off")], "[]", 0),
            (&[("x-session-rotate", "1"), ("X-SESSION-DESTROY", "on")], "[Destroy, Rotate(0)]", 0),
            (
                &[("X-Session-Set", "a=b+c%21&D=&"), ("Z", ""), ("X-Session-Unset", "e, f&g")],
                r#"[Change([Set(b"a", b"b c!"), Set(b"d", b""), Unset(b"e"), Unset(b"f"), Unset(b"g")])]"#,
                1,
            ),
        ] {
            assert_eq!(taken(fields), Ok((want.to_string(), left)));
        }
        for (name, value) in [
            ("X-Session-Set", "a"),
            ("X-Session-Set", "a-b=1"),
            ("X-Session-Set", "=1"),
            ("X-Session-Unset", "csrf"),
            ("X-Session-Rotate", "perhaps"),
            ("X-Session-Colour", "red"),
        ] {
            assert!(taken(&[(name, value)]).is_err(), "{name}: {value}");
        }
    }
}
