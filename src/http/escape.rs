//! Text that goes where some bytes have a meaning: HTML, addresses, log lines. Which bytes are escaped follows
//! nginx, so that pages, redirects and logs can be compared byte by byte. Every function takes any bytes.

use std::borrow::Cow;
use std::fmt::Write;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};

/// What is escaped in a path that is sent as a redirect: what would end it, and what no address may hold.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What is escaped in one component: all but RFC 3986's unreserved characters.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What stands for bytes that a format cannot hold.
const REPLACEMENT: &str = "\u{fffd}";

/// How a log format escapes what variables hold (`escape=`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogEscape {
    /// `"`, `\`, controls and bytes from 127 on as `\xHH`.
    #[default]
    Default,
    /// As a JSON string's inside. Bytes that are not UTF-8 become U+FFFD.
    Json,
    /// Not at all.
    None,
}

/// Escapes `&`, `<`, `>` and `"`.
pub fn html(text: &[u8]) -> Cow<'_, [u8]> {
    replace(text, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'"' => Some("&quot;"),
        _ => None,
    })
}

/// A decoded path as it may stand in a Location field.
pub fn path(path: &[u8]) -> Cow<'_, str> {
    percent_encode(path, PATH).into()
}

/// One component of a path or query, in which nothing keeps a meaning.
pub fn component(text: &[u8]) -> Cow<'_, str> {
    percent_encode(text, COMPONENT).into()
}

/// Decodes `%HH` once. What is no escape stays as it is.
pub fn percent_decode(text: &[u8]) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode(text).into()
}

/// Appends a variable's value to an access log line.
pub fn log(line: &mut Vec<u8>, text: &[u8], escape: LogEscape) {
    match escape {
        LogEscape::None => line.extend_from_slice(text),
        LogEscape::Json => json(line, text),
        LogEscape::Default => {
            for &byte in text {
                if matches!(byte, b'"' | b'\\' | 0..0x20 | 0x7f..) {
                    push_hex(line, b"\\x", byte);
                } else {
                    line.push(byte);
                }
            }
        }
    }
}

/// Appends text as it stands inside a JSON string (RFC 8259 7). JSON is UTF-8 (8.1): each sequence that is not becomes U+FFFD.
pub fn json(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'"' | b'\\' => out.extend([b'\\', byte]),
                b'\n' => out.extend(b"\\n"),
                b'\r' => out.extend(b"\\r"),
                b'\t' => out.extend(b"\\t"),
                0x08 => out.extend(b"\\b"),
                0x0c => out.extend(b"\\f"),
                0..0x20 => push_hex(out, b"\\u00", byte),
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend(REPLACEMENT.as_bytes());
        }
    }
}

/// Appends text as it stands inside an element of XML 1.0 in UTF-8. What no document may hold, not even as a reference
/// (section 2.2), becomes U+FFFD; a carriage return, which a parser would take for a line feed, becomes a reference.
pub fn xml(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '&' => out.extend(b"&amp;"),
                '<' => out.extend(b"&lt;"),
                '>' => out.extend(b"&gt;"),
                '"' => out.extend(b"&quot;"),
                '\r' => out.extend(b"&#13;"),
                '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => {
                    out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => out.extend(REPLACEMENT.as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend(REPLACEMENT.as_bytes());
        }
    }
}

/// A word for a shell that stands for this text.
pub fn shell(text: impl std::fmt::Display) -> String {
    let text = text.to_string();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(&b);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A client's text for the error log: one line, no terminal control, nothing that could close the quotes around
/// it. Readable text of any language stays readable.
pub fn error_log(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || matches!(c, '"' | '\\') {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().for_each(|byte| push_hex_text(&mut out, byte));
            } else {
                out.push(c);
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_hex_text(&mut out, byte));
    }
    out
}

fn push_hex_text(out: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\x{byte:02X}");
}

fn push_hex(out: &mut Vec<u8>, prefix: &[u8], byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(prefix);
    out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

/// Copies only if there is something to replace.
fn replace(text: &[u8], by: impl Fn(u8) -> Option<&'static str>) -> Cow<'_, [u8]> {
    let Some(first) = text.iter().position(|&byte| by(byte).is_some()) else { return Cow::Borrowed(text) };
    let mut out = Vec::with_capacity(text.len() + 16);
    out.extend_from_slice(&text[..first]);
    for &byte in &text[first..] {
        match by(byte) {
            Some(entity) => out.extend_from_slice(entity.as_bytes()),
            None => out.push(byte),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_text() {
        for (text, expected) in [("a", "a"), ("<a&b>\"'", "&lt;a&amp;b&gt;&quot;'"), ("", ""), ("é", "é")] {
            assert_eq!(&html(text.as_bytes())[..], expected.as_bytes());
        }
    }

    #[test]
    fn words_of_a_shell() {
        for (text, want) in [
            ("/a/b-1.c", "/a/b-1.c"),
            ("my files", "'my files'"),
            ("it's", "'it'\\''s'"),
            ("", "''"),
            ("$(a)", "'$(a)'"),
        ] {
            assert_eq!(shell(text), want);
        }
    }

    #[test]
    fn addresses() {
        let all: Vec<u8> = (0..=255).collect();
        let kept = |escaped: &str| {
            let kept: Vec<u8> = all.iter().copied().filter(|b| !escaped.contains(&format!("%{b:02X}"))).collect();
            String::from_utf8(kept).unwrap()
        };
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let small = "abcdefghijklmnopqrstuvwxyz";
        assert_eq!(kept(&path(&all)), format!("!$&'()*+,-./0123456789:;=@{letters}[]_{small}~"));
        assert_eq!(kept(&component(&all)), format!("-.0123456789{letters}_{small}~"));
        assert_eq!(&percent_decode(b"%41%zz%4%%2f%00")[..], b"A%zz%4%/\0");
    }

    #[test]
    fn log_lines() {
        let text = b"a\"b\\c\n\x1f\x7f\xc3\xa9/\x08\t";
        let table: [(LogEscape, &[u8]); 3] = [
            (LogEscape::Default, br"a\x22b\x5Cc\x0A\x1F\x7F\xC3\xA9/\x08\x09"),
            (LogEscape::Json, b"a\\\"b\\\\c\\n\\u001F\x7f\xc3\xa9/\\b\\t"),
            (LogEscape::None, text),
        ];
        for (escape, expected) in table {
            let mut line = Vec::new();
            log(&mut line, text, escape);
            assert_eq!(line, expected, "{escape:?}");
        }
    }

    #[test]
    fn what_no_format_may_hold_is_replaced() {
        let table: [(&[u8], &str, &str); 7] = [
            (b"a\xffb", "a\u{fffd}b", "a\u{fffd}b"),
            // Half a letter at the end, and one cut in the middle.
            (b"\xc3", "\u{fffd}", "\u{fffd}"),
            (b"\xe2\x82\xe2\x82\xac", "\u{fffd}\u{20ac}", "\u{fffd}\u{20ac}"),
            // Too long a form, and half of a pair of UTF-16.
            (b"\xc0\xaf", "\u{fffd}\u{fffd}", "\u{fffd}\u{fffd}"),
            (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"\x01\x0b\xef\xbf\xbe", "\\u0001\\u000B\u{fffe}", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"<&>\"\r\n\t", "<&>\\\"\\r\\n\\t", "&lt;&amp;&gt;&quot;&#13;\n\t"),
        ];
        for (text, as_json, as_xml) in table {
            let (mut json, mut xml) = (Vec::new(), Vec::new());
            super::json(&mut json, text);
            super::xml(&mut xml, text);
            assert_eq!(
                (String::from_utf8(json).unwrap(), String::from_utf8(xml).unwrap()),
                (as_json.into(), as_xml.into())
            );
        }
    }

    #[test]
    fn error_log_text() {
        let table: [(&[u8], &str); 5] = [
            (b"GET /a HTTP/1.1", "GET /a HTTP/1.1"),
            ("/é日".as_bytes(), "/é日"),
            (b"a\r\nb\x1b[31m\"\\", r"a\x0D\x0Ab\x1B[31m\x22\x5C"),
            (b"\xff\xc3x", r"\xFF\xC3x"),
            ("\u{9b}".as_bytes(), r"\xC2\x9B"),
        ];
        for (text, expected) in table {
            assert_eq!(error_log(text), expected);
        }
    }
}
