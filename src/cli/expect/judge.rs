//! Whether an answer is what was wanted, and if not, what was wanted and what came.

use std::path::Path;
use std::time::Duration;

use super::client::{self, Answer};
use super::script::{Check, Content, Status, Test, Wanted};

/// Bytes of a body that a message shows.
const SHOWN: usize = 200;

/// What is wrong with an answer; nothing if it is what was wanted.
pub fn judge(wanted: &Wanted, answer: &Result<Option<Answer>, String>, took: Duration, folder: &Path) -> Vec<String> {
    let names: Vec<String> = wanted.statuses.iter().map(status_name).collect();
    let names = if names.is_empty() { "a closed connection".into() } else { names.join(" or ") };
    let answer = match answer {
        Err(why) => return vec![format!("wanted {names}; {why}")],
        Ok(None) if wanted.statuses.is_empty() => return Vec::new(),
        Ok(None) => return vec![format!("wanted {names}; the connection was closed without an answer")],
        Ok(Some(answer)) => answer,
    };
    let mut said = Vec::new();
    if !wanted.statuses.iter().any(|status| fits(*status, answer.status)) {
        said.push(format!("wanted {names}; {} came", answer.status));
    }
    said.extend(wanted.checks.iter().filter_map(|check| fault(check, answer, folder)));
    if let Some(within) = wanted.within.filter(|within| took > *within) {
        said.push(format!("wanted within {within:?}; it took {took:.1?}"));
    }
    said
}

fn status_name(status: &Status) -> String {
    match status {
        Status::Is(code) => code.to_string(),
        Status::Class(class) => format!("{class}xx"),
    }
}

fn fits(wanted: Status, code: u16) -> bool {
    match wanted {
        Status::Is(wanted) => wanted == code,
        Status::Class(class) => code / 100 == class,
    }
}

fn fault(check: &Check, answer: &Answer, folder: &Path) -> Option<String> {
    let is_body = check.of == "body";
    let values: Vec<&[u8]> = if is_body { vec![&answer.body] } else { answer.values(&check.of).collect() };
    let (fits, want) = match &check.test {
        Test::There => (values.iter().any(|value| !is_body || !value.is_empty()), String::new()),
        Test::Matches(regex) => (values.iter().any(|value| regex.is_match(value)), format!(" ~ {regex}")),
        Test::Is(Content::Size(size)) => (values.iter().any(|value| value.len() == *size), format!(" of {size} bytes")),
        Test::Is(content) => match client::load(content, folder) {
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
        [body] if is_body => format!("{} bytes came: {}", body.len(), shown(body)),
        values => format!("{} came", values.iter().map(|value| shown(value)).collect::<Vec<_>>().join(" and ")),
    };
    let not = if check.not { "no " } else { "" };
    Some(format!("wanted {not}{}{want}; {came}", check.of))
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
    format!("\"{}\"{more}", text[..text.len().min(SHOWN)].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::super::script::{Line, read};
    use super::*;

    fn said(wanted: &str) -> Vec<String> {
        let (lines, faults) = read(format!("GET / -> {wanted}").as_bytes());
        assert!(faults.is_empty(), "{faults:?}");
        let [Line::Check { wanted, .. }] = lines.as_slice() else { panic!("one line is one check") };
        let field = |name: &str, value: &str| (name.to_string(), value.as_bytes().to_vec());
        let fields = vec![field("location", "http://a.test:81/new"), field("allow", "GET, HEAD")];
        let answer = Answer { status: 301, fields, body: b"hello".to_vec() };
        judge(wanted, &Ok(Some(answer)), Duration::from_millis(20), Path::new(""))
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
            ("301 within 10ms", "wanted within 10ms; it took 20.0ms"),
        ] {
            assert_eq!(said(wrong), [want], "{wrong}");
        }
    }
}
