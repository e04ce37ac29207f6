//! What was found, as a line for `longshore expect`: the same request, and of its answer the status and the fields that a conf
//! decides. Where no such line can hold, a remark says why. Knows the language of those lines, not how they are run.

use super::finding::{End, Finding};
use super::text;
use crate::cli::expect::script;
use crate::http::authority;
use crate::http::head::{BodyLength, Version};

/// Fields of answers that are the same whenever the request comes.
const STEADY: [&str; 6] =
    ["location", "allow", "www-authenticate", "content-type", "content-encoding", "content-range"];
/// Words in front of `=` that are no fields.
const ORDERS: [&str; 4] = ["body", "times", "at-once", "chunked"];
/// Bytes of a body that a line with a whole request may hold.
const SHORT: u64 = 1024;

/// The line, and a line end.
pub fn line(found: &Finding) -> String {
    let request = match request(found) {
        Ok(request) => request,
        Err(why) => return format!("# {} {}: {why}\n", found.method, found.url),
    };
    let answer = match &found.end {
        End::Answer(_) if !found.presumed.is_empty() => {
            return format!("# {request} -> ?  {}, if it is let in\n", text::ending(found));
        }
        End::Answer(status) => [vec![status.to_string()], checks(found)].concat().join(" "),
        End::Close => "closed".into(),
        End::Act(_) | End::Wait => return format!("# {request} -> ?  {}\n", text::ending(found)),
    };
    let reason = found.reason.as_ref().map_or(String::new(), |reason| format!("  # {reason}"));
    let line = format!("{request} -> {answer}{reason}\n");
    match script::read(line.as_bytes(), &mut script::Variables::default()).1.first() {
        None => line,
        Some(fault) => format!("# {request} -> {answer}: {}\n", fault.message),
    }
}

/// What is asked; an error says why no line can ask it.
fn request(found: &Finding) -> Result<String, String> {
    if !found.is_own {
        return Err("`longshore expect` asks from this machine, over TCP".into());
    }
    if found.is_announced {
        return Err("a proxy has to announce its client at this address, which `longshore expect` does not do".into());
    }
    if found.asked.is_read && found.version == Version::Http09 {
        return Err("an answer of HTTP/0.9 has no head that could be looked at".into());
    }
    if let Some(words) = in_words(found) {
        return Ok(words);
    }
    let mut bytes = found.asked.head.clone();
    match found.body {
        _ if !found.asked.is_read => {}
        BodyLength::None => {}
        BodyLength::Length(size) if size <= SHORT => bytes.resize(bytes.len() + size as usize, b'x'),
        BodyLength::Length(_) => return Err("its body is too long for a line".into()),
        BodyLength::Chunked => bytes.extend(b"0\r\n\r\n"),
    }
    Ok(format!("RAW {} {}", word(found.url.as_bytes()), quoted(&bytes)))
}

/// The request by method, URL and fields, if it is a plain one.
fn in_words(found: &Finding) -> Option<String> {
    let is_plain = found.asked.is_read && found.version == Version::Http11 && found.target.starts_with(b"/");
    let hosts = found.asked.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"host"));
    if !is_plain || hosts.count() != 1 {
        return None;
    }
    let url = script::url(found.url.as_bytes()).ok();
    let url_host = url.and_then(|url| url.authority());
    let url_host =
        url_host.or_else(|| authority::of_absolute(found.url.as_bytes()).map(|range| found.url[range].into()));
    let mut words = vec![found.method.clone(), word(found.url.as_bytes())];
    for (name, value) in &found.asked.fields {
        let name = String::from_utf8(name.to_ascii_lowercase()).ok()?;
        match name.as_str() {
            "host" if url_host.as_ref().is_some_and(|host| host.as_bytes() == value) => {}
            "connection" if value == b"close" => {}
            "content-length" => {}
            "transfer-encoding" if value.eq_ignore_ascii_case(b"chunked") => {}
            "transfer-encoding" => return None,
            name if ORDERS.contains(&name) => return None,
            name => words.push(format!("{name}={}", word(value))),
        }
    }
    match found.body {
        BodyLength::None => {}
        BodyLength::Length(size) => words.push(format!("body={size}b")),
        BodyLength::Chunked => words.extend(["body=0b".into(), "chunked".into()]),
    }
    Some(words.join(" "))
}

/// What is said of the answer beside its status.
fn checks(found: &Finding) -> Vec<String> {
    let of = |name: &&str| {
        let (_, value) = found.answer.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))?;
        match value.split(|&byte| byte == b';').next() {
            // Its boundary is another each time.
            Some(kind @ b"multipart/byteranges") => Some(format!("{name}~^{}", String::from_utf8_lossy(kind))),
            _ => Some(format!("{name}={}", word(value))),
        }
    };
    STEADY.iter().filter_map(of).collect()
}

/// A word, in quotes where it needs them.
fn word(text: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'$');
    match text.iter().all(is_plain) && text.first() != Some(&b'#') {
        true => String::from_utf8_lossy(text).into_owned(),
        false => quoted(text),
    }
}

fn quoted(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in text {
        match byte {
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'"' | b'\\' | b'$' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_were_meant() {
        for text in [&b"plain"[..], b"a b", b"#x", b"say \"hi\"", b"a\\b", b"\xff\0\r\n\t", b"{}", b"${x}"] {
            let line = format!("GET / x={} -> 200", word(text));
            let (lines, faults) = script::read(line.as_bytes(), &mut script::Variables::default());
            match (text.contains(&b'\r'), lines.first()) {
                // No field can hold these, and the line says so.
                (true, _) => assert_eq!(faults.len(), 1, "{line}"),
                (false, Some(script::Line::Check(one))) => assert_eq!(one.request.fields[0].1, text, "{line}"),
                (false, _) => panic!("{line}: {faults:?}"),
            }
        }
    }
}
