//! Regular expressions of a conf: nginx's are PCRE on bytes. The linear-time engine takes what it
//! can; what needs look-around or backreferences goes to a backtracking one with a limit. Must
//! not know what is matched.

use std::ops::Range;

/// Steps that the backtracking engine may take for one text.
const BACKTRACK_LIMIT: usize = 1_000_000;

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Pattern {
    engine: Engine,
    names: Vec<(String, usize)>,
}

#[derive(Debug, Clone)]
enum Engine {
    Linear(regex::bytes::Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

/// What each group matched, group 0 first; none for a group that took no part.
pub type Groups = Vec<Option<Range<usize>>>;

/// The groups of a match as ranges of the text; group 0 is the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captures {
    /// A group that took no part has none.
    pub groups: Groups,
}

/// The text needed more steps than one match may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooHard;

impl std::fmt::Display for TooHard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the regular expression took more than {BACKTRACK_LIMIT} steps")
    }
}

impl std::error::Error for TooHard {}

impl Pattern {
    /// Compiles an expression; the error is a phrase that names what is wrong with it.
    pub fn new(text: &[u8], caseless: bool) -> Result<Pattern, String> {
        let text = std::str::from_utf8(text).map_err(|_| "has a regular expression that is not UTF-8".to_owned())?;
        let (text, unicode) = match text.strip_prefix("(*UTF8)").or_else(|| text.strip_prefix("(*UTF)")) {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let spelled = respell(text);
        let linear = regex::bytes::RegexBuilder::new(&spelled).case_insensitive(caseless).unicode(unicode).build();
        let engine = match linear {
            Ok(regex) => Engine::Linear(regex),
            Err(refusal) => Engine::Backtracking(Box::new(backtracking(&spelled, caseless, unicode, &refusal)?)),
        };
        let names = match &engine {
            Engine::Linear(regex) => named(regex.capture_names()),
            Engine::Backtracking(regex) => named(regex.capture_names()),
        };
        Ok(Pattern { engine, names })
    }

    /// Whether the expression matches somewhere in the text.
    pub fn is_match(&self, text: &[u8]) -> Result<bool, TooHard> {
        match &self.engine {
            Engine::Linear(regex) => Ok(regex.is_match(text)),
            Engine::Backtracking(regex) => regex.is_match(&Letters::new(text).text).map_err(|_| TooHard),
        }
    }

    /// The groups of the first match.
    pub fn captures(&self, text: &[u8]) -> Result<Option<Captures>, TooHard> {
        match &self.engine {
            Engine::Linear(regex) => Ok(regex.captures(text).map(|found| Captures {
                groups: found.iter().map(|group| group.map(|group| group.range())).collect(),
            })),
            Engine::Backtracking(regex) => {
                let letters = Letters::new(text);
                let found = regex.captures(&letters.text).map_err(|_| TooHard)?;
                Ok(found.map(|found| Captures {
                    groups: found.iter().map(|group| group.map(|group| letters.bytes(group.range()))).collect(),
                }))
            }
        }
    }

    /// How many groups there are, the whole counted too.
    pub fn groups(&self) -> usize {
        match &self.engine {
            Engine::Linear(regex) => regex.captures_len(),
            Engine::Backtracking(regex) => regex.captures_len(),
        }
    }

    /// The names of groups and their numbers.
    pub fn names(&self) -> &[(String, usize)] {
        &self.names
    }
}

fn named<'a>(names: impl Iterator<Item = Option<&'a str>>) -> Vec<(String, usize)> {
    names.enumerate().filter_map(|(group, name)| Some((name?.to_owned(), group))).collect()
}

/// The expression for the backtracking engine, which reads each byte as one letter.
fn backtracking(
    text: &str,
    caseless: bool,
    unicode: bool,
    refusal: &regex::Error,
) -> Result<fancy_regex::Regex, String> {
    // That engine reads text: each byte of an expression without (*UTF8) becomes the letter of its number.
    let text = if unicode { text.to_owned() } else { Letters::new(text.as_bytes()).text };
    let text = if caseless { format!("(?i){text}") } else { text };
    fancy_regex::RegexBuilder::new(&text).backtrack_limit(BACKTRACK_LIMIT).build().map_err(|error| match error {
        fancy_regex::Error::CompileError(_) | fancy_regex::Error::ParseError(..) if !needs_backtracking(&text) => {
            format!("has an invalid regular expression: {}", last_line(&refusal.to_string()))
        }
        error => format!("has an invalid regular expression: {}", last_line(&error.to_string())),
    })
}

/// Whether an expression holds what only the backtracking engine knows, so that its message counts.
fn needs_backtracking(text: &str) -> bool {
    ["(?=", "(?!", "(?<=", "(?<!", "(?>", "\\1", "\\2", "\\k", "++", "*+", "?+"].iter().any(|part| text.contains(part))
}

fn last_line(message: &str) -> &str {
    let line = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(message).trim();
    line.strip_prefix("error: ").unwrap_or(line)
}

/// Writes PCRE's spellings that both engines lack in one that they know: `(?'name'...)`, `\h`,
/// and `\/`, `\"` and the like, where PCRE takes a backslash before any sign.
fn respell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let quoted_name = rest.strip_prefix("(?'").and_then(|tail| tail.split_once('\''));
        let escaped = rest.strip_prefix('\\').and_then(|tail| tail.chars().next());
        rest = match (quoted_name, escaped) {
            (Some((name, tail)), _) => {
                out.push_str(&format!("(?<{name}>"));
                tail
            }
            (None, Some('h')) => {
                out.push_str("[ \\t]");
                &rest[2..]
            }
            (None, Some(sign)) => {
                let plain = !sign.is_ascii()
                    || matches!(sign, '"' | '\'' | ' ' | '/' | ',' | '=' | ':' | '@' | '%' | ';' | '!' | '`' | '_');
                if !plain {
                    out.push('\\');
                }
                out.push(sign);
                &rest[1 + sign.len_utf8()..]
            }
            (None, None) => {
                out.push(c);
                &rest[c.len_utf8()..]
            }
        };
    }
    out
}

/// Bytes as text, each byte the letter of its number, for the engine that reads text.
struct Letters {
    text: String,
}

impl Letters {
    fn new(bytes: &[u8]) -> Self {
        Letters { text: bytes.iter().map(|&byte| char::from(byte)).collect() }
    }

    /// A range of the text as a range of the bytes.
    fn bytes(&self, range: Range<usize>) -> Range<usize> {
        let start = self.text[..range.start].chars().count();
        start..start + self.text[range].chars().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &[u8]) -> Option<Vec<Option<Range<usize>>>> {
        let pattern = Pattern::new(pattern.as_bytes(), false).unwrap_or_else(|error| panic!("{error}"));
        pattern.captures(text).expect("it is easy").map(|captures| captures.groups)
    }

    #[test]
    fn groups_are_ranges_of_bytes() {
        let cases: &[(&str, &[u8], Option<Groups>)] = &[
            ("^/(a|b)(c)?", b"/a", Some(vec![Some(0..2), Some(1..2), None])),
            (r"\.php$", b"/x.php", Some(vec![Some(2..6)])),
            (r"\.php$", b"/x.phps", None),
            ("^.$", b"\xff", Some(vec![Some(0..1)])),
            ("^.$", b"\n", None),
            ("^(?!/a)(.*)$", "/\u{fc}".as_bytes(), Some(vec![Some(0..3), Some(0..3)])),
            (r"^(.)\1$", b"\xff\xff", Some(vec![Some(0..2), Some(0..1)])),
            (r"^\/a\/(?'n'\d+)$", b"/a/12", Some(vec![Some(0..5), Some(3..5)])),
            ("(*UTF8)^.$", "\u{fc}".as_bytes(), Some(vec![Some(0..2)])),
        ];
        for (pattern, text, want) in cases {
            assert_eq!(found(pattern, text), *want, "{pattern}");
        }
    }

    #[test]
    fn names_of_groups() {
        for pattern in ["(a)(?<n>b)", "(a)(?P<n>b)", "(a)(?'n'b)", "(?=a)(a)(?<n>b)"] {
            let pattern = Pattern::new(pattern.as_bytes(), true).expect(pattern);
            assert_eq!(pattern.names(), [("n".to_owned(), 2)]);
            assert_eq!(pattern.is_match(b"AB"), Ok(true));
        }
    }

    #[test]
    fn what_cannot_be_matched_is_said() {
        for pattern in ["(", "a{2,1}", "[z-a]", "(?<=a", "\\"] {
            assert!(Pattern::new(pattern.as_bytes(), false).is_err_and(|error| error.len() < 200), "{pattern}");
        }
        let hard = Pattern::new(b"^(a|a)+(?!b)$", false).expect("it compiles");
        assert_eq!(hard.is_match(&[[b'a'; 60].as_slice(), b"c"].concat()), Err(TooHard));
    }
}
