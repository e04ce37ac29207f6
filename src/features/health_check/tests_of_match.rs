//! A `match` block: the tests that a response to a health check must pass. Pure: it sees a response as values.

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::ast::{Node, Word};
use crate::conf::pattern::Pattern;
use crate::conf::value::{Text, compile};
use crate::http::escape;
use crate::http::field_list::FieldList;

/// The tests of one block.
#[derive(Debug, Default)]
pub struct Match {
    tests: Vec<Test>,
}

#[derive(Debug)]
enum Test {
    /// One of these ranges of statuses, or none of them.
    Status { is_not: bool, ranges: Vec<(u16, u16)> },
    /// A field of this name is there, or is not.
    Field { is_not: bool, name: Bytes },
    /// A field of this name is there, and one of them has a value that fits, or none has.
    Value { is_not: bool, name: Bytes, want: Want },
    /// The body fits, or does not.
    Body { is_not: bool, pattern: Pattern },
    /// Each is neither empty nor `0`.
    Require(Vec<Text>),
}

#[derive(Debug)]
enum Want {
    Text(Bytes),
    Pattern(Pattern),
}

/// A response as it is judged.
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its header fields.
    pub fields: &'a FieldList,
    /// What came of its body.
    pub body: &'a [u8],
    /// Whether the text of a variable is neither empty nor `0`.
    pub holds: &'a dyn Fn(&Text) -> bool,
}

impl Match {
    /// Reads the lines of a block.
    pub fn read(lines: &[Node], args: &mut Args<'_>) -> Result<Match, Fault> {
        let tests = lines.iter().map(|line| read_line(line, args)).collect::<Result<Vec<_>, _>>()?;
        if tests.is_empty() {
            return Err(Fault::new("has no tests").help("write `status 200;`, say"));
        }
        Ok(Match { tests })
    }

    /// Whether the body is looked at.
    pub fn wants_body(&self) -> bool {
        self.tests.iter().any(|test| matches!(test, Test::Body { .. }))
    }

    /// Judges a response; an error says which test it fails.
    pub fn judge(&self, answer: &Answer<'_>) -> Result<(), String> {
        self.tests.iter().try_for_each(|test| test.judge(answer))
    }
}

impl Test {
    fn judge(&self, answer: &Answer<'_>) -> Result<(), String> {
        let fits = |pattern: &Pattern, text: &[u8]| {
            pattern.is_match(text).map_err(|_| "a regex of its `match` gives up".to_string())
        };
        let shown = |name: &[u8]| escape::error_log(name).to_string();
        match self {
            Test::Status { is_not, ranges } => {
                let is_one = ranges.iter().any(|(first, last)| (*first..=*last).contains(&answer.status));
                if is_one == *is_not { Err(format!("the status is {}", answer.status)) } else { Ok(()) }
            }
            Test::Field { is_not, name } => match (values(answer, name).next().is_some(), is_not) {
                (true, true) => Err(format!("there is a field \"{}\"", shown(name))),
                (false, false) => Err(format!("there is no field \"{}\"", shown(name))),
                _ => Ok(()),
            },
            Test::Value { is_not, name, want } => {
                let mut is_there = false;
                let mut is_one = false;
                for value in values(answer, name) {
                    is_there = true;
                    is_one |= match want {
                        Want::Text(text) => value == text,
                        Want::Pattern(pattern) => fits(pattern, value)?,
                    };
                }
                match () {
                    () if !is_there => Err(format!("there is no field \"{}\"", shown(name))),
                    () if is_one == *is_not => Err(format!("the value of the field \"{}\" is another", shown(name))),
                    () => Ok(()),
                }
            }
            Test::Body { is_not, pattern } => match (fits(pattern, answer.body)?, is_not) {
                (true, true) => Err("the body has what it must not have".into()),
                (false, false) => Err("the body has not what it must have".into()),
                _ => Ok(()),
            },
            Test::Require(texts) => match texts.iter().all(|text| (answer.holds)(text)) {
                true => Ok(()),
                false => Err("a variable that `require` names is empty or 0".into()),
            },
        }
    }
}

fn values<'a>(answer: &'a Answer<'_>, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    answer.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn read_line(line: &Node, args: &mut Args<'_>) -> Result<Test, Fault> {
    let at = |word: &Word, text: String| Fault::at(word, text);
    match (line.name.text.as_slice(), line.args.as_slice()) {
        _ if line.block.is_some() => Err(at(&line.name, format!("has a block `{}` inside", line.name.show()))),
        (b"status", [not, rest @ ..]) if not.text == b"!" && !rest.is_empty() => Ok(Test::Status { is_not: true, ranges: ranges(rest)? }),
        (b"status", words @ [_, ..]) => Ok(Test::Status { is_not: false, ranges: ranges(words)? }),
        (b"header", [not, name]) if not.text == b"!" => Ok(Test::Field { is_not: true, name: name.text.clone().into() }),
        (b"header", [name]) => Ok(Test::Field { is_not: false, name: name.text.clone().into() }),
        (b"header", [name, how, value]) => {
            let (is_not, want) = match how.text.as_slice() {
                b"=" => (false, Want::Text(value.text.clone().into())),
                b"!=" => (true, Want::Text(value.text.clone().into())),
                _ => {
                    let (is_not, pattern) = pattern(how, value, args)?;
                    (is_not, Want::Pattern(pattern))
                }
            };
            Ok(Test::Value { is_not, name: name.text.clone().into(), want })
        }
        (b"body", [how, value]) => {
            let (is_not, pattern) = pattern(how, value, args)?;
            Ok(Test::Body { is_not, pattern })
        }
        (b"require", words @ [_, ..]) => {
            let text = |word: &Word| {
                if !word.text.starts_with(b"$") {
                    return Err(at(word, format!("takes variables in `require`, not `{}`", word.show())));
                }
                compile(&word.text, word.span, args.load.names.as_mut()).map_err(|message| Fault::at(word, message))
            };
            Ok(Test::Require(words.iter().map(text).collect::<Result<_, _>>()?))
        }
        _ => Err(at(&line.name, format!("has a test `{}` that it does not know in this form", line.name.show()))
            .help("the tests are `status [!] CODE ...`, `header [!] NAME`, `header NAME = TEXT` (or `!=`, `~`, `~*`, `!~`, `!~*`), `body ~ REGEX` and `require $VARIABLE ...`")),
    }
}

fn pattern(how: &Word, value: &Word, args: &mut Args<'_>) -> Result<(bool, Pattern), Fault> {
    let (is_not, caseless) = match how.text.as_slice() {
        b"~" => (false, false),
        b"~*" => (false, true),
        b"!~" => (true, false),
        b"!~*" => (true, true),
        _ => {
            return Err(Fault::at(
                how,
                format!("compares by `~`, `~*`, `!~` or `!~*`, fields also by `=` or `!=`, not by `{}`", how.show()),
            ));
        }
    };
    Ok((is_not, args.load.pattern(value, &value.text, caseless)?))
}

/// Statuses as `200` and `300-399`.
fn ranges(words: &[Word]) -> Result<Vec<(u16, u16)>, Fault> {
    let range = |word: &Word| {
        let text = word.show();
        let code = |text: &str| text.parse().ok().filter(|code| text.len() == 3 && (100..=599).contains(code));
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let range = code(first).zip(code(last)).filter(|(first, last): &(u16, u16)| first <= last);
        range.ok_or_else(|| Fault::at(word, format!("takes statuses such as `200` or `300-399`, not `{text}`")))
    };
    words.iter().map(range).collect()
}
