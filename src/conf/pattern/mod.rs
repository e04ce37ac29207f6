//! Regexes of a conf. nginx's language is PCRE, so they are PCRE2's: on bytes, with its JIT where the system lets programs
//! make code, else with its interpreter. What one match may cost is bounded. Must not know what is matched.

mod effort;
mod older;
mod reading;
mod spelling;

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

pub use effort::spent;
use effort::{Debt, processor};
use pcre2::bytes::{Regex, RegexBuilder};
use spelling::Spelling;

/// Steps of the first try, from each place of the text: nearly every match of a conf needs fewer.
const FIRST_TRY: u32 = 64;

/// Of the steps of a match, each place has at least so many where they cannot be counted for all places together.
const SMALLEST_SHARE: u32 = 2 * FIRST_TRY;

/// Kibibytes for what the interpreter must remember on its way.
const MEMORY: u32 = 20_000;

/// The steps that one match may take, the same for all regexes of a conf. It may be set after they were read.
#[derive(Debug, Clone)]
pub struct Limit(Arc<AtomicU32>);

impl Limit {
    /// Unless the conf says otherwise: less than a millisecond with JIT.
    pub const DEFAULT: u32 = 100_000;

    /// Sets it, before the first match.
    pub fn set(&self, steps: u32) {
        self.0.store(steps, Relaxed);
    }
}

impl Default for Limit {
    fn default() -> Self {
        Limit(Arc::new(AtomicU32::new(Limit::DEFAULT)))
    }
}

/// A compiled expression.
#[derive(Clone)]
pub struct Pattern(Arc<Compiled>);

struct Compiled {
    spelling: Spelling,
    caseless: bool,
    names: Vec<(String, usize)>,
    limit: Limit,
    /// For the first try.
    quick: Regex,
    /// For what the first try leaves: all the steps that a match may take, from wherever it begins. `None` where that cannot
    /// be had.
    whole: OnceLock<Option<Regex>>,
    /// The same by the interpreter, for what needs more of a stack than JIT has.
    deep: OnceLock<Option<Regex>>,
    /// What texts that were too hard have cost.
    debt: Debt,
}

/// What each group matched, group 0 first; `None` for a group that took no part.
pub type Groups = Vec<Option<Range<usize>>>;

/// The groups of a match as ranges of the text; group 0 is the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captures {
    /// A group that took no part has none.
    pub groups: Groups,
}

/// Why it is not known whether an expression matches a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The text needs more steps than one match may take.
    TooHard,
    /// The expression begins with `(*UTF)` and the text is not UTF-8.
    NotUtf8,
}

/// Why an expression does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What PCRE2 says.
    pub message: String,
    /// The byte of the expression that it looked at last.
    pub offset: Option<usize>,
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pattern({:?})", self.0.spelling)
    }
}

impl Pattern {
    /// Compiles an expression.
    pub fn new(text: &[u8], caseless: bool, limit: &Limit) -> Result<Pattern, Invalid> {
        let spelling = Spelling::new(text, caseless)?;
        let prefix = format!("(*LIMIT_MATCH={FIRST_TRY})");
        let quick = compile(&spelling.plain(&prefix), caseless, !spelling.misleads_jit()).map_err(|error| Invalid {
            message: message_of(&error),
            offset: error.offset().and_then(|offset| spelling.offset(offset.checked_sub(prefix.len())?)),
        })?;
        let names = names_of(&quick);
        let (whole, deep, debt) = Default::default();
        Ok(Pattern(Arc::new(Compiled { spelling, caseless, names, limit: limit.clone(), quick, whole, deep, debt })))
    }

    /// Whether the expression matches somewhere in the text.
    pub fn is_match(&self, text: &[u8]) -> Result<bool, Failure> {
        self.0.ask(text, |regex| regex.is_match(text))
    }

    /// The groups of the first match.
    pub fn captures(&self, text: &[u8]) -> Result<Option<Captures>, Failure> {
        self.0.ask(text, |regex| {
            // Most texts do not match, and to learn that costs no memory of its own.
            let Some(found) = regex.find(text)? else { return Ok(None) };
            if self.groups() == 1 {
                return Ok(Some(Captures { groups: vec![Some(found.start()..found.end())] }));
            }
            let mut places = regex.capture_locations();
            regex.captures_read(&mut places, text)?;
            let group = |n| places.get(n).map(|(start, end)| start..end);
            Ok(Some(Captures { groups: (0..places.len()).map(group).collect() }))
        })
    }

    /// Braces that are text here, as for nginx, and a quantifier for versions of PCRE2 since 10.43.
    pub fn braces(&self) -> Option<&str> {
        self.0.spelling.braces()
    }

    /// How many groups there are, the whole counted too.
    pub fn groups(&self) -> usize {
        self.0.quick.captures_len()
    }

    /// The names of groups and their numbers, in PCRE2's order: where several groups set one variable, the last of them
    /// counts, as in nginx.
    pub fn names(&self) -> &[(String, usize)] {
        &self.0.names
    }
}

impl Compiled {
    /// Asks at first with few steps, then with all, at last the interpreter.
    fn ask<T>(&self, text: &[u8], ask: impl Fn(&Regex) -> Result<T, pcre2::Error>) -> Result<T, Failure> {
        match ask(&self.quick) {
            Ok(answer) => Ok(answer),
            Err(error) => self.ask_again(text, Stop::of(&error), ask),
        }
    }

    /// What the first try has left. Asks by copies: the scratch memory, which may have grown, goes with them.
    #[cold]
    fn ask_again<T>(
        &self,
        text: &[u8],
        mut stop: Stop,
        ask: impl Fn(&Regex) -> Result<T, pcre2::Error>,
    ) -> Result<T, Failure> {
        let begun = processor();
        for (when, kept, jit) in
            [(Stop::Steps, &self.whole, !self.spelling.misleads_jit()), (Stop::Stack, &self.deep, false)]
        {
            if stop != when {
                continue;
            }
            if !self.debt.allows() {
                return Err(Failure::TooHard);
            }
            let kept = kept.get_or_init(|| self.compile_whole(jit)).clone();
            match ask(&kept.unwrap_or_else(|| self.compile_for(text, jit))) {
                Ok(answer) => {
                    self.debt.add(begun, false);
                    return Ok(answer);
                }
                Err(error) => stop = Stop::of(&error),
            }
        }
        if stop == Stop::NotUtf8 {
            return Err(Failure::NotUtf8);
        }
        self.debt.add(begun, true);
        Err(Failure::TooHard)
    }

    /// With all the steps, for all places together; `None` where they cannot be counted so.
    fn compile_whole(&self, jit: bool) -> Option<Regex> {
        let prefix = prefix(self.limit.0.load(Relaxed));
        if self.spelling.is_anchored() {
            return compile(&self.spelling.plain(&prefix), self.caseless, jit).ok();
        }
        let made = compile(&self.spelling.at_one_place(&prefix)?, self.caseless, jit).ok();
        made.filter(|regex| regex.captures_len() == self.quick.captures_len())
    }

    /// With a share of the steps for each place of a text.
    fn compile_for(&self, text: &[u8], jit: bool) -> Regex {
        let steps = self.limit.0.load(Relaxed);
        let share = (steps / (text.len() as u32 + 1)).max(SMALLEST_SHARE);
        // What has compiled once compiles again.
        compile(&self.spelling.plain(&prefix(share)), self.caseless, jit).unwrap_or_else(|_| self.quick.clone())
    }
}

/// What an expression begins with that may take so many steps.
fn prefix(steps: u32) -> String {
    format!("(*LIMIT_MATCH={steps})(*LIMIT_HEAP={MEMORY})")
}

/// What ended a match early.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Steps,
    Stack,
    NotUtf8,
}

impl Stop {
    fn of(error: &pcre2::Error) -> Stop {
        // PCRE2_ERROR_JIT_STACKLIMIT, and PCRE2_ERROR_UTF8_ERR1 to _ERR21.
        match error.code() {
            -46 => Stop::Stack,
            -23..=-3 => Stop::NotUtf8,
            _ => Stop::Steps,
        }
    }
}

fn compile(text: &str, caseless: bool, jit: bool) -> Result<Regex, pcre2::Error> {
    RegexBuilder::new().caseless(caseless).jit_if_available(jit).build(text)
}

fn message_of(error: &pcre2::Error) -> String {
    let text = error.to_string();
    let words = text.split_once(": ").and_then(|(_, rest)| rest.split_once(": "));
    words.map_or(text.as_str(), |(_, words)| words).to_owned()
}

fn names_of(regex: &Regex) -> Vec<(String, usize)> {
    let names = regex.capture_names().iter().enumerate();
    let mut names: Vec<_> = names.filter_map(|(group, name)| Some((name.clone()?, group))).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(pattern: &str) -> Pattern {
        Pattern::new(pattern.as_bytes(), false, &Limit::default())
            .unwrap_or_else(|error| panic!("{pattern}: {error:?}"))
    }

    #[test]
    fn groups_are_ranges_of_bytes() {
        let cases: &[(&str, &[u8], Option<Groups>)] = &[
            ("^/(a|b)(c)?", b"/a", Some(vec![Some(0..2), Some(1..2), None])),
            (r"\.php$", b"/x.php", Some(vec![Some(2..6)])),
            (r"\.php$", b"/x.php\n", Some(vec![Some(2..6)])),
            (r"\.php$", b"/x.phps", None),
            (r"\.php\z", b"/x.php\n", None),
            ("^.$", b"\xff", Some(vec![Some(0..1)])),
            ("^.$", b"\n", None),
            ("^(?!/a)(.*)$", "/\u{fc}".as_bytes(), Some(vec![Some(0..3), Some(0..3)])),
            (r"^(.)\1$", b"\xff\xff", Some(vec![Some(0..2), Some(0..1)])),
            (r"^\/a\/(?'n'\d+)$", b"/a/12", Some(vec![Some(0..5), Some(3..5)])),
            ("(*UTF8)^.$", "\u{fc}".as_bytes(), Some(vec![Some(0..2)])),
            ("^[ab]++b", b"ab", None),
            (r"a\Kb", b"xab", Some(vec![Some(2..3)])),
            // What JIT of 10.46 passes over.
            (r"ab\R{2}|bc", b"bc", Some(vec![Some(0..2)])),
            (r"ab\h{2}|bc", b"xbc", Some(vec![Some(1..3)])),
            ("(*UTF)ab.{2}|bc", b"bc", Some(vec![Some(0..2)])),
            ("a{,2}", b"aa", None),
            ("a{,2}", b"a{,2}", Some(vec![Some(0..5)])),
            ("", b"", Some(vec![Some(0..0)])),
        ];
        for (pattern, text, want) in cases {
            let found = compiled(pattern).captures(text).expect("it is easy").map(|captures| captures.groups);
            assert_eq!(found, *want, "{pattern}");
        }
    }

    #[test]
    fn names_are_in_the_order_in_which_they_set_variables() {
        for pattern in ["(a)(?<n>b)", "(a)(?P<n>b)", "(a)(?'n'b)", "(?=a)(a)(?<n>b)"] {
            let pattern = Pattern::new(pattern.as_bytes(), true, &Limit::default()).expect(pattern);
            assert_eq!(pattern.names(), [("n".to_owned(), 2)]);
            assert_eq!(pattern.is_match(b"AB"), Ok(true));
        }
        let name = |name: &str, group| (name.to_owned(), group);
        assert_eq!(compiled("(?J)(?<n>a)|(?<m>b)|(?<n>c)").names(), [name("m", 2), name("n", 1), name("n", 3)]);
        assert_eq!(compiled("(?<n>a)(?<N>b)").names(), [name("N", 2), name("n", 1)]);
        assert_eq!(compiled("(?|(?<n>a)|(?<n>b))").names(), [name("n", 1)]);
    }

    #[test]
    fn what_does_not_compile_is_said() {
        for (pattern, message, offset) in [
            ("(", "missing closing parenthesis", Some(1)),
            ("[z-a]", "range out of order in character class", Some(3)),
            ("a)", "unmatched closing parenthesis", Some(1)),
            ("(*UTF8)a)", "unmatched closing parenthesis", Some(8)),
        ] {
            let invalid = Pattern::new(pattern.as_bytes(), false, &Limit::default()).expect_err(pattern);
            assert_eq!((invalid.message.as_str(), invalid.offset), (message, offset), "{pattern}");
        }
        assert!(Pattern::new(b"(*UTF)\xff", false, &Limit::default()).is_err());
    }

    #[test]
    fn the_limit_is_for_the_whole_text() {
        let limit = Limit::default();
        let ask = |pattern: &str, text: &[u8]| Pattern::new(pattern.as_bytes(), false, &limit).unwrap().is_match(text);
        let hard = [[b'a'; 60].as_slice(), b"c"].concat();
        for pattern in ["^(a|a)+(?!b)$", "(a|a)+(?!b)$", "^(a+)+$", "(a+)+\\.php$|x", "(*NO_JIT)^(a+)+$"] {
            assert_eq!(ask(pattern, &hard), Err(Failure::TooHard), "{pattern}");
        }
        // Each place alone is easy: PCRE2's own limit would let them all pass.
        let long = [vec![b'a'; 5000], b"c".to_vec()].concat();
        assert_eq!(ask("a.*a.*c$x?d|e", &long), Err(Failure::TooHard));
        limit.set(10_000_000);
        assert_eq!(ask("a.*a.*c", &long), Ok(true));
    }

    #[test]
    fn what_needs_a_deep_stack_gets_it() {
        let long = [vec![b'a'; 8000], b"c".to_vec()].concat();
        for (pattern, want) in [("^(?:a|b)*c$", true), ("^(a|b)*c$", true), ("^(a|b)*d$", false)] {
            assert_eq!(compiled(pattern).is_match(&long), Ok(want), "{pattern}");
        }
    }

    #[test]
    fn bytes_that_are_no_text() {
        let latin =
            |pattern: &[u8], text: &[u8]| Pattern::new(pattern, true, &Limit::default()).unwrap().is_match(text);
        assert_eq!(latin(b"^/\xfc[\xe0-\xe9]+$", b"/\xfc\xe5\xe6"), Ok(true));
        assert_eq!(latin(b"^/\xfc$", "/\u{fc}".as_bytes()), Ok(false));
        assert_eq!(compiled("(*UTF8)^/.$").is_match(b"/\xfc"), Err(Failure::NotUtf8));
    }
}
