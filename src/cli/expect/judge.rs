//! Whether an answer is what was wanted, and if not, what was wanted and what came.

use std::path::Path;
use std::time::Duration;

use super::answer::Answer;
use super::outgoing;
use super::script::{Check, Content, Status, Test, Wanted};

/// Bytes of a body that a message shows.
const SHOWN: usize = 200;

/// What came of a request.
pub struct Outcome {
    /// The answer; none if the connection was closed without one; else why there is none that can be read.
    pub answer: Result<Option<Answer>, String>,
    /// How long it took, pauses aside.
    pub took: Duration,
    /// Whether the connection was that of the line before.
    pub was_kept: bool,
    /// Whether the connection ended behind the answer, and how many bytes came in between; none if nobody looked.
    pub ends: Option<(bool, usize)>,
}

impl Outcome {
    /// A request that never went out.
    pub fn failed(why: String) -> Outcome {
        Outcome { answer: Err(why), took: Duration::ZERO, was_kept: false, ends: None }
    }
}

/// What is wrong with an answer; nothing if it is what was wanted.
pub fn judge(wanted: &Wanted, outcome: &Outcome, folder: &Path) -> Vec<String> {
    let names = wanted.statuses.iter().map(status_name).collect::<Vec<_>>().join(" or ");
    let mut said = Vec::new();
    let may_close = wanted.statuses.contains(&Status::Closed);
    match &outcome.answer {
        Err(why) => return vec![format!("wanted {names}; {why}")],
        Ok(None) if !may_close && outcome.was_kept => {
            return vec![format!("wanted {names}; the connection of the line before was closed, so no answer came")];
        }
        Ok(None) if !may_close => return vec![format!("wanted {names}; the connection was closed without an answer")],
        Ok(None) => {}
        Ok(Some(answer)) => {
            // Another answer has other fields and another body; to name them all would hide what is wrong.
            match wanted.statuses.iter().any(|status| fits(*status, answer.status)) {
                true => said.extend(wanted.checks.iter().filter_map(|check| fault(check, answer, folder))),
                false => {
                    let remark = if is_script(&answer.body) { ", with the script itself: it was not run" } else { "" };
                    said.push(format!("wanted {names}; {} came{remark}", answer.status));
                }
            }
        }
    }
    match outcome.ends {
        Some((_, extra)) if extra > 0 => said.push(format!("{extra} bytes came behind the end of the answer")),
        Some((false, _)) => {
            said.push("wanted a closed connection behind the answer; it was still open 3 s later".into());
        }
        _ => {}
    }
    let took = outcome.took;
    if let Some(within) = wanted.within.filter(|within| took > *within) {
        said.push(format!("wanted within {within:?}; it took {took:.1?}"));
    }
    said
}

fn status_name(status: &Status) -> String {
    match status {
        Status::Is(code) => code.to_string(),
        Status::Class(class) => format!("{class}xx"),
        Status::Closed => "a closed connection".into(),
    }
}

fn fits(wanted: Status, code: u16) -> bool {
    match wanted {
        Status::Is(wanted) => wanted == code,
        Status::Class(class) => code / 100 == class,
        Status::Closed => false,
    }
}

fn fault(check: &Check, answer: &Answer, folder: &Path) -> Option<String> {
    let is_body = check.of == "body";
    let values: Vec<&[u8]> = if is_body { vec![&answer.body] } else { answer.values(&check.of).collect() };
    let (fits, want) = match &check.test {
        Test::There => (values.iter().any(|value| !is_body || !value.is_empty()), String::new()),
        Test::Matches(regex) => {
            (values.iter().any(|value| regex.is_match(value)), format!(" ~ {}", regex.as_str().replace('\n', "\\n")))
        }
        Test::Is(Content::Size(size)) => (values.iter().any(|value| value.len() == *size), format!(" of {size} bytes")),
        Test::Is(content) => match outgoing::load(content, folder) {
            Ok(text) => {
                let same = |value: &&[u8]| **value == *text || check.of == "location" && leads_to(value, &text);
                (values.iter().any(same), format!(" = {}", shown(&text)))
            }
            Err(why) => return Some(why),
        },
    };
    if fits != check.not {
        return None;
    }
    let came = match values.as_slice() {
        [] => format!("there is no field {}", check.of),
        [body] if is_body && is_script(body) => format!("the script itself came, it was not run: {}", shown(body)),
        [body] if is_body => format!("{} bytes came: {}", body.len(), shown(body)),
        values => format!("{} came", values.iter().map(|value| shown(value)).collect::<Vec<_>>().join(" and ")),
    };
    let not = if check.not { "no " } else { "" };
    Some(format!("wanted {not}{}{want}; {came}", check.of))
}

/// Whether a body is a script's own text, which a client should never see.
fn is_script(body: &[u8]) -> bool {
    body.starts_with(b"#!") || body.starts_with(b"<?php")
}

/// Whether an absolute address leads to this path: servers may write the one or the other (RFC 9110, section 10.2.2).
fn leads_to(value: &[u8], path: &[u8]) -> bool {
    let Some(at) = value.windows(3).position(|three| three == b"://").filter(|_| path.starts_with(b"/")) else {
        return false;
    };
    let rest = &value[at + 3..];
    let start = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    &rest[start..] == path
}

fn shown(text: &[u8]) -> String {
    let more = if text.len() > SHOWN { " ..." } else { "" };
    let text = text[..text.len().min(SHOWN)].escape_ascii().to_string();
    format!("\"{}\"{more}", text.replace("\\'", "'"))
}

#[cfg(test)]
mod tests {
    use super::super::script::{Line, Variables, read};
    use super::*;

    fn wanted(wanted: &str) -> Wanted {
        let (lines, faults) = read(format!("GET / -> {wanted}").as_bytes(), &mut Variables::default());
        assert!(faults.is_empty(), "{faults:?}");
        let [Line::Check(exchange)] = lines.as_slice() else { panic!("one line is one check") };
        exchange.wanted.clone()
    }

    fn said(text: &str) -> Vec<String> {
        let field = |name: &str, value: &str| (name.to_string(), value.as_bytes().to_vec());
        let fields = vec![field("location", "http://a.test:81/new"), field("allow", "GET, HEAD")];
        let answer = Answer { status: 301, fields, body: b"hello".to_vec() };
        let took = Duration::from_millis(20);
        let outcome = Outcome { answer: Ok(Some(answer)), took, was_kept: false, ends: Some((true, 0)) };
        judge(&wanted(text), &outcome, Path::new(""))
    }

    #[test]
    fn answers_are_judged() {
        for fine in [
            "301",
            "3xx",
            "200|301",
            "301 location=/new",
            "301 location=http://a.test:81/new",
            "301 allow~GET allow",
            "301 !x-other !allow~POST",
            "301 body=hello body=5b body~^h !body~x",
            "301 within 1s",
        ] {
            assert_eq!(said(fine), [""; 0], "{fine}");
        }
        for (wrong, want) in [
            ("200", "wanted 200; 301 came"),
            ("closed", "wanted a closed connection; 301 came"),
            ("301 location=/old", "wanted location = \"/old\"; \"http://a.test:81/new\" came"),
            ("301 x-other=1", "wanted x-other = \"1\"; there is no field x-other"),
            ("301 !allow", "wanted no allow; \"GET, HEAD\" came"),
            ("301 body=4b", "wanted body of 4 bytes; 5 bytes came: \"hello\""),
            ("301 body~x", "wanted body ~ x; 5 bytes came: \"hello\""),
            ("301 body~\"^x\\nb\"", "wanted body ~ ^x\\nb; 5 bytes came: \"hello\""),
            ("200 body=x location=/old within 1s", "wanted 200; 301 came"),
            ("301 within 10ms", "wanted within 10ms; it took 20.0ms"),
        ] {
            assert_eq!(said(wrong), [want], "{wrong}");
        }
    }

    #[test]
    fn a_script_that_was_not_run_is_told() {
        let body = b"#!/bin/sh\necho 'hello'\n".to_vec();
        let answer = Answer { status: 200, fields: Vec::new(), body };
        let outcome = Outcome { answer: Ok(Some(answer)), took: Duration::ZERO, was_kept: false, ends: None };
        for (text, want) in [
            ("500", "wanted 500; 200 came, with the script itself: it was not run"),
            (
                "200 body=hello",
                "wanted body = \"hello\"; the script itself came, it was not run: \"#!/bin/sh\\necho 'hello'\\n\"",
            ),
        ] {
            assert_eq!(judge(&wanted(text), &outcome, Path::new("")), [want]);
        }
    }

    #[test]
    fn ends_of_connections_are_judged() {
        let judged = |text: &str, came: bool, was_kept: bool, ends: Option<(bool, usize)>| {
            let answer = Ok(came.then(|| Answer { status: 400, ..Answer::default() }));
            let outcome = Outcome { answer, took: Duration::ZERO, was_kept, ends };
            judge(&wanted(text), &outcome, Path::new("")).join("; ")
        };
        for (text, came, was_kept, ends, want) in [
            ("closed", false, false, None, ""),
            ("408|closed", false, false, None, ""),
            ("408|closed", true, false, None, "wanted 408 or a closed connection; 400 came"),
            ("400", false, false, None, "the connection was closed without an answer"),
            ("400", false, true, None, "the connection of the line before was closed"),
            ("400 closed", true, false, Some((true, 0)), ""),
            ("400 closed", true, false, Some((false, 0)), "still open"),
            ("400 closed", true, false, Some((true, 7)), "7 bytes came behind"),
        ] {
            let said = judged(text, came, was_kept, ends);
            assert!(said.is_empty() == want.is_empty() && said.contains(want), "{text}: {said}");
        }
    }
}
