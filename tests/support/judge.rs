//! Decides whether an answer is what a case expects, and whether two servers answered alike.
//! Works on values only: it sends and reads nothing.

use super::case::{BodyCheck, Expected, Matcher};
use super::server::{Place, matches};
use super::wire::{Answer, End};
use regex::bytes::{Captures, Regex};
use std::fmt::Write as _;

/// What `answer` lacks of `expected`.
pub fn check(expected: &Expected, answer: &Answer, place: &Place) -> Result<(), String> {
    if expected.alert.is_some() && expected.alert != answer.alert {
        return Err(format!("alert {:?}, wanted {:?}", answer.alert, expected.alert));
    }
    if expected.short != answer.short {
        return Err(format!("the body is {}whole", if answer.short { "not " } else { "" }));
    }
    if expected.nothing {
        return if answer.body.is_empty() { Ok(()) } else { Err("bytes where none were expected".into()) };
    }
    if !expected.bare {
        if answer.status != expected.status {
            return Err(format!("status {}, wanted {}", answer.status, expected.status));
        }
        if expected.reason.as_ref().is_some_and(|reason| *reason != answer.reason) {
            return Err(format!("reason `{}`, wanted {:?}", answer.reason, expected.reason));
        }
        let hints: Vec<_> = expected.hints.iter().map(|hint| place.fill_str(hint)).collect();
        if answer.hints != hints {
            return Err(format!("hints {:?}, wanted {hints:?}", answer.hints));
        }
        check_shape(answer)?;
    }
    for (name, matcher) in &expected.headers {
        let mut values = answer.values(name).peekable();
        if values.peek().is_none() {
            return Err(format!("no header {name}"));
        }
        let found = match matcher {
            Matcher::Exact(wanted) => values.any(|value| place.fill(wanted.as_bytes()) == value),
            Matcher::Pattern(pattern) => {
                let pattern = format!("^(?:{pattern})$");
                let hits: Result<Vec<bool>, _> = values.map(|value| matches(place, &pattern, value)).collect();
                hits?.contains(&true)
            }
        };
        if !found {
            return Err(format!("header {name} is not {matcher:?}"));
        }
    }
    if let Some(name) = expected.absent.iter().find(|name| answer.header(name).is_some()) {
        return Err(format!("header {name} should be absent"));
    }
    for body in &expected.bodies {
        check_body(body, &answer.body, place)?;
    }
    Ok(())
}

/// Rules for every answer of every server.
fn check_shape(answer: &Answer) -> Result<(), String> {
    let single = ["Date", "Server", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "ETag"];
    if let Some(name) = single.iter().find(|name| answer.values(name).count() > 1) {
        return Err(format!("header {name} comes more than once"));
    }
    // RFC 9112, section 6.2: never both.
    if answer.header("Content-Length").is_some() && answer.header("Transfer-Encoding").is_some() {
        return Err("Content-Length beside Transfer-Encoding".into());
    }
    if answer.status >= 200 {
        let date = answer.header("Date").and_then(|d| std::str::from_utf8(d).ok());
        if date.is_none_or(|date| httpdate::parse_http_date(date).is_err()) {
            return Err("no valid Date".into());
        }
    }
    Ok(())
}

fn check_body(check: &BodyCheck, body: &[u8], place: &Place) -> Result<(), String> {
    match check {
        BodyCheck::Exact(wanted) if place.fill(wanted) != body => {
            Err(format!("body is not {:?}", String::from_utf8_lossy(wanted)))
        }
        BodyCheck::Pattern(pattern) if !matches(place, pattern, body)? => Err(format!("body lacks /{pattern}/")),
        BodyCheck::NoPattern(pattern) if matches(place, pattern, body)? => Err(format!("body holds /{pattern}/")),
        BodyCheck::Size(size) if body.len() != *size => Err(format!("body has {} bytes, wanted {size}", body.len())),
        BodyCheck::File(path) if place.log(path) != body => Err(format!("body is not the file {path}")),
        _ => Ok(()),
    }
}

/// Checks how the connection ended. nginx may reset where Longshore must not.
pub fn check_end(expected: &Expected, answer: &Answer, extra: Option<&[u8]>, lenient: bool) -> Result<(), String> {
    if let Some(extra) = extra {
        return Err(format!("bytes after the last answer: {:?}", String::from_utf8_lossy(extra)));
    }
    match &answer.end {
        End::Reset if expected.reset => Ok(()),
        _ if expected.reset => Err("the connection was not reset".into()),
        End::Closed => Ok(()),
        End::Reset | End::Cut if lenient => Ok(()),
        End::Cut => Err("the connection was closed without the goodbye of TLS".into()),
        End::Reset => Err("the connection was reset".into()),
        _ if expected.closed || expected.nothing => Err("the connection was not closed".into()),
        _ => Ok(()),
    }
}

/// The first thing in which two servers' answers differ, after masking.
pub fn compare(ours: &[Answer], theirs: &[Answer], masks: &[String]) -> Result<(), String> {
    for (index, (our, their)) in ours.iter().zip(theirs).enumerate() {
        let at = |what: String| format!("answer {}: {what}", index + 1);
        if (our.status, &our.reason) != (their.status, &their.reason) {
            return Err(at(format!("{} {} here, {} {} there", our.status, our.reason, their.status, their.reason)));
        }
        let (our_headers, their_headers) = (comparable(our, their, masks)?, comparable(their, our, masks)?);
        if our_headers != their_headers {
            let only = |a: &[String], b: &[String]| {
                a.iter().filter(|line| !b.contains(line)).fold(String::new(), |mut all, line| {
                    let _ = write!(all, "\n    {line}");
                    all
                })
            };
            let (here, there) = (only(&our_headers, &their_headers), only(&their_headers, &our_headers));
            return Err(at(format!("headers differ\n  only here:{here}\n  only there:{there}")));
        }
        let (our_body, their_body) = (masked_body(our, masks)?, masked_body(their, masks)?);
        if our_body != their_body {
            let show = |body: &[u8]| String::from_utf8_lossy(&body[..body.len().min(2000)]).into_owned();
            return Err(at(format!("bodies differ\n  here:\n{}\n  there:\n{}", show(&our_body), show(&their_body))));
        }
    }
    Ok(())
}

/// Header lines that both servers must agree on, sorted.
fn comparable(answer: &Answer, other: &Answer, masks: &[String]) -> Result<Vec<String>, String> {
    let masked = |a: &Answer| -> Result<bool, String> { Ok(masked_body(a, masks)? != a.body) };
    // The length of a built-in page depends on the product's name, HEAD shows it without the page.
    let sized = masked(answer)? || masked(other)? || (answer.status >= 300 && answer.body.is_empty());
    let framing = answer.header("Content-Length").is_some() != other.header("Content-Length").is_some();
    let mut lines = Vec::new();
    for (name, value) in &answer.headers {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "date" | "transfer-encoding" => continue,
            "content-length" if sized || framing => continue,
            // The tag of what was stored, which nginx does not tell.
            "etag" if matches!(answer.status, 201 | 204) && other.header("ETag").is_none() => continue,
            _ => {}
        }
        let mut value = mask(value, masks)?;
        if name == "server" {
            value = if value.contains(&b'/') { b"NAME/VERSION".to_vec() } else { b"NAME".to_vec() };
        }
        if let Some(boundary) = boundary(answer) {
            value = super::server::replace(&value, &boundary, b"BOUNDARY");
        }
        lines.push(format!("{name}: {}", String::from_utf8_lossy(&value)));
    }
    lines.sort();
    Ok(lines)
}

fn masked_body(answer: &Answer, masks: &[String]) -> Result<Vec<u8>, String> {
    let mut body = mask(&answer.body, masks)?;
    if let Some(boundary) = boundary(answer) {
        body = super::server::replace(&body, &boundary, b"BOUNDARY");
    }
    // The foot of built-in pages: with or without a version must agree, the product's name need not.
    let foot = Regex::new(r"<hr><center>[A-Za-z]+(/[^<]*)?</center>").map_err(|e| e.to_string())?;
    let named = foot.replace(&body, |found: &Captures| {
        let kept: &[u8] =
            if found.get(1).is_some() { b"<hr><center>NAME/VERSION</center>" } else { b"<hr><center>NAME</center>" };
        kept.to_vec()
    });
    Ok(named.into_owned())
}

fn mask(text: &[u8], masks: &[String]) -> Result<Vec<u8>, String> {
    let mut text = text.to_vec();
    for pattern in masks {
        let pattern = Regex::new(&format!("(?-u){pattern}")).map_err(|e| e.to_string())?;
        text = pattern.replace_all(&text, b"MASKED".as_slice()).into_owned();
    }
    Ok(text)
}

fn boundary(answer: &Answer) -> Option<Vec<u8>> {
    let value = answer.header("Content-Type")?.strip_prefix(b"multipart/byteranges; boundary=")?;
    Some(value.to_vec())
}
