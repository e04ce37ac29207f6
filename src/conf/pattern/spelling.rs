//! How an expression of a conf is written for PCRE2's builder, which takes text, and how its limit comes to hold for
//! a whole match.

use super::Invalid;
use super::older::{self, Agreed};

/// What `(*NAME)` at the beginning may say before `=` and a number, if it takes one.
const OPTIONS: [&str; 22] = [
    "UTF8",
    "UTF",
    "UCP",
    "NOTEMPTY",
    "NOTEMPTY_ATSTART",
    "NO_AUTO_POSSESS",
    "NO_DOTSTAR_ANCHOR",
    "NO_JIT",
    "NO_START_OPT",
    "LIMIT_HEAP",
    "LIMIT_MATCH",
    "LIMIT_DEPTH",
    "LIMIT_RECURSION",
    "CR",
    "LF",
    "CRLF",
    "ANY",
    "NUL",
    "ANYCRLF",
    "BSR_ANYCRLF",
    "BSR_UNICODE",
    "CASELESS_RESTRICT",
];

/// An expression in two parts.
#[derive(Debug, Clone)]
pub struct Spelling {
    /// `(*UTF)` and the like.
    options: String,
    body: String,
    /// Whether signs stand in it that nobody wrote, so that offsets mean nothing to a reader.
    is_respelled: bool,
    /// Braces that are text here, as for nginx, and a quantifier for newer versions of PCRE2.
    braces: Option<String>,
}

impl Spelling {
    /// Takes an expression apart. Bytes that are not UTF-8 are written as escapes, and what means something else to older
    /// versions of PCRE2 as all understand it.
    pub fn new(text: &[u8], caseless: bool) -> Result<Spelling, Invalid> {
        let (options, body) = text.split_at(end_of_options(text));
        let options = String::from_utf8_lossy(options).into_owned();
        let Agreed { text, braces } = older::agreed(&options, body, caseless)?;
        match String::from_utf8(text) {
            Ok(text) => Ok(Spelling { options, is_respelled: text.as_bytes() != body, body: text, braces }),
            Err(_) if options.contains("(*UTF") => {
                Err(Invalid { message: "it begins with `(*UTF)` but is not UTF-8".into(), offset: None })
            }
            Err(error) => Ok(Spelling { options, body: respell(error.as_bytes()), is_respelled: true, braces }),
        }
    }

    /// Braces that newer versions of PCRE2 take for a quantifier.
    pub fn braces(&self) -> Option<&str> {
        self.braces.as_deref()
    }

    /// The expression after a prefix of options.
    pub fn plain(&self, prefix: &str) -> String {
        format!("{prefix}{}{}", self.options, self.body)
    }

    /// The same with a beginning that walks through the text, so that all places where a match may begin count as one match:
    /// PCRE2's own walk gives each place the whole limit. `None` where that would mean something else.
    pub fn at_one_place(&self, prefix: &str) -> Option<String> {
        // Its own walk takes CR LF for one sign where that is a line end.
        let steps_over = ["(*CRLF)", "(*ANY)", "(*ANYCRLF)"].iter().any(|option| self.options.contains(option));
        if steps_over || ["(*", "\\G", "(?R", "(?0", "\\g<0", "\\g'0"].iter().any(|part| self.body.contains(part)) {
            return None;
        }
        Some(format!("{prefix}{}\\A(?s:.*?)\\K(?:{})", self.options, self.body))
    }

    /// Whether a match can begin at the beginning of the text only, as far as a glance tells.
    pub fn is_anchored(&self) -> bool {
        is_anchored(&self.body)
    }

    /// Whether JIT must not be asked: in PCRE2 10.45 and 10.46 it may pass over a match. If it cannot look beyond a counted item
    /// (`\h{2}`, or nearly anything in UTF) while it plans its search, the count sticks to the next branch.
    pub fn misleads_jit(&self) -> bool {
        const ITEMS: [&str; 7] = ["\\R", "\\X", "\\h", "\\H", "\\v", "\\V", "\\C"];
        self.body.contains('{') && (self.options.contains("(*UTF") || ITEMS.iter().any(|item| self.body.contains(item)))
    }

    /// Where an offset lies in the expression as it stands in the conf.
    pub fn offset(&self, offset: usize) -> Option<usize> {
        (!self.is_respelled).then_some(offset)
    }
}

/// The end of the options at the beginning.
fn end_of_options(text: &[u8]) -> usize {
    let mut end = 0;
    while let Some(rest) = text[end..].strip_prefix(b"(*") {
        let Some(close) = rest.iter().position(|&b| b == b')') else { break };
        let name = rest[..close].split(|&b| b == b'=').next().unwrap_or_default();
        if !OPTIONS.iter().any(|option| option.as_bytes() == name) {
            break;
        }
        end += 2 + close + 1;
    }
    end
}

/// Writes bytes above 0x7f as `\xHH`.
fn respell(body: &[u8]) -> String {
    let (mut out, mut is_literal, mut at) = (String::with_capacity(body.len() * 2), false, 0);
    while let Some(&byte) = body.get(at) {
        let next = body.get(at + 1).copied();
        at += 1;
        match (byte, next) {
            (b'\\', Some(b'E')) if is_literal => {
                (is_literal, at) = (false, at + 1);
                out.push_str("\\E");
            }
            // Before such a byte a backslash means nothing.
            (b'\\', Some(0x80..)) if !is_literal => {}
            (b'\\', Some(next)) if !is_literal => {
                (is_literal, at) = (next == b'Q', at + 1);
                out.extend(['\\', char::from(next)]);
            }
            (0x80.., _) if is_literal => out.push_str(&format!("\\E\\x{byte:02x}\\Q")),
            (0x80.., _) => out.push_str(&format!("\\x{byte:02x}")),
            _ => out.push(char::from(byte)),
        }
    }
    out
}

/// Whether a match can begin at the beginning of the text only, as far as a glance tells.
fn is_anchored(body: &str) -> bool {
    let Some(rest) = body.strip_prefix('^').or_else(|| body.strip_prefix("\\A")) else { return false };
    if rest.contains("\\Q") || sets_multiline(rest) {
        return false;
    }
    let (mut depth, mut bytes) = (0, rest.bytes().peekable());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'[' => {
                bytes.next_if_eq(&b'^');
                bytes.next_if_eq(&b']');
                while let Some(inside) = bytes.next() {
                    match inside {
                        b'\\' => drop(bytes.next()),
                        b']' => break,
                        _ => {}
                    }
                }
            }
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'|' if depth == 0 => return false,
            _ => {}
        }
    }
    true
}

/// Whether `^` may come to mean the beginning of a line.
fn sets_multiline(body: &str) -> bool {
    body.split("(?").skip(1).any(|rest| rest.chars().take_while(|c| c.is_ascii_alphabetic()).any(|c| c == 'm'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_at_the_beginning() {
        for (text, want) in
            [("(*UTF8)(*LIMIT_MATCH=10)a", 24), ("(*UTF)(*COMMIT)a", 6), ("(*ACCEPT)", 0), ("(*UTF", 0), ("a(*UTF)", 0)]
        {
            assert_eq!(end_of_options(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn bytes_become_escapes() {
        for (body, want) in [
            (&b"a\xfc+"[..], "a\\xfc+"),
            (b"[\xe0-\xff]", "[\\xe0-\\xff]"),
            (b"\\\xfc\\\\\xfc", "\\xfc\\\\\\xfc"),
            (b"\\Qa\\b\xfc\\E\xfc", "\\Qa\\b\\E\\xfc\\Q\\E\\xfc"),
        ] {
            assert_eq!(respell(body), want);
        }
    }

    #[test]
    fn what_begins_at_the_beginning() {
        for anchored in ["^/a", "^/(a|b)$", "^[|(]x", "^a\\|b", "^[]|]", "\\A(a|b)", "^[^]|]"] {
            assert!(is_anchored(anchored), "{anchored}");
        }
        for free in ["/a", "^a|b", "(^a)", "^(?m)a\n^b", "^\\Q(\\E|b", "^(a)|b", "a^"] {
            assert!(!is_anchored(free), "{free}");
        }
    }
}
