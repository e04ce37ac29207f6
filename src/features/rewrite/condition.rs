//! The test of an `if`: a variable alone, compared, or matched, or a look at a file.

use crate::conf::args::{Args, Fault};
use crate::conf::value::{Text, VarId, whole_name};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::files::Kind;

use super::replacement::Writer;
use super::search::Search;

/// What an `if` asks.
#[derive(Debug, Clone)]
pub enum Test {
    /// Whether a variable is neither empty nor `0`.
    Given(VarId),
    /// Whether a variable has a value.
    Equal(VarId, Text),
    /// Whether a regex matches a variable.
    Match(VarId, Search),
    /// Whether there is such a file.
    File(Text, What),
}

/// What kind of file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// `-f`: a regular file.
    File,
    /// `-d`: a folder.
    Folder,
    /// `-e`: one of the two.
    Either,
    /// `-x`: one that its owner may execute.
    Executable,
}

/// A test, and whether it is meant the other way round.
#[derive(Debug, Clone)]
pub struct Condition {
    test: Test,
    negated: bool,
}

const FORMS: &str = "write `($variable)`, `($variable = text)`, `($variable ~ regex)` or `(-f path)`; `!` before the sign turns it round";

/// Reads the words of an `if`.
pub fn read(args: &mut Args<'_>) -> Result<Condition, Fault> {
    let (first, words) = inside(args)?;
    let bad = |args: &Args<'_>, i: usize| {
        let word = args.word((first + i).min(args.len() - 1));
        Fault::at(word, format!("has an invalid condition `{}`", word.show())).help(FORMS)
    };
    let show = |i: usize| words[i].as_slice();
    match (show(0), words.len()) {
        (text @ [b'$', _, ..], 1 | 3) => {
            let id = variable(args, first, text)?;
            match words.len() {
                1 => Ok(Condition { test: Test::Given(id), negated: false }),
                _ => compare(args, first, id, show(1), show(2)),
            }
        }
        (flag, 2) => match flag.strip_prefix(b"!").unwrap_or(flag) {
            [b'-', letter @ (b'f' | b'd' | b'e' | b'x')] => {
                let what = match letter {
                    b'f' => What::File,
                    b'd' => What::Folder,
                    b'e' => What::Either,
                    _ => What::Executable,
                };
                let path = args.text_of(first + 1, show(1))?;
                Ok(Condition { test: Test::File(path, what), negated: flag[0] == b'!' })
            }
            _ => Err(bad(args, 0)),
        },
        _ => Err(bad(args, 0)),
    }
}

/// The words without the parentheses around them, and the number of the first.
fn inside(args: &Args<'_>) -> Result<(usize, Vec<Vec<u8>>), Fault> {
    let bad = |i: usize| {
        let word = args.word(i);
        Fault::at(word, format!("has an invalid condition `{}`", word.show())).help("put the condition in parentheses")
    };
    let mut words: Vec<Vec<u8>> = args.words().iter().map(|word| word.text.clone()).collect();
    let last = words.len() - 1;
    words[0] = words[0].strip_prefix(b"(").ok_or_else(|| bad(0))?.to_vec();
    words[last] = words[last].strip_suffix(b")").ok_or_else(|| bad(last))?.to_vec();
    // A parenthesis may stand alone.
    let first = usize::from(words[0].is_empty() && words.len() > 1);
    if words.len() > first + 1 && words[last].is_empty() && !args.word(last).quoted && args.word(last).text == b")" {
        words.pop();
    }
    words.drain(..first);
    Ok((first, words))
}

fn variable(args: &mut Args<'_>, i: usize, text: &[u8]) -> Result<VarId, Fault> {
    let word = args.word(i);
    let name = whole_name(text).ok_or_else(|| {
        Fault::at(word, format!("has an invalid variable in `{}`", word.show())).help(
            "one variable stands on the left, without braces and with nothing around it; `set` can put a text together",
        )
    })?;
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::at(word, format!("cannot test the capture `{}` itself", word.show()))
            .help(format!("give it to a variable first: `set $name ${name};`")));
    }
    Ok(args.load.names.refer(&name, word.span))
}

fn compare(args: &mut Args<'_>, first: usize, id: VarId, sign: &[u8], text: &[u8]) -> Result<Condition, Fault> {
    let word = args.word(first + 2);
    let (test, negated) = match sign {
        b"=" | b"!=" => (Test::Equal(id, args.text_of(first + 2, text)?), sign[0] == b'!'),
        b"~" | b"~*" | b"!~" | b"!~*" => {
            let search = Search::new(args, word, text, sign.ends_with(b"*"))?;
            (Test::Match(id, search), sign[0] == b'!')
        }
        _ => {
            let word = args.word(first + 1);
            return Err(Fault::at(word, format!("has an unexpected `{}` in its condition", word.show()))
                .help("the signs are `=`, `!=`, `~`, `~*`, `!~` and `!~*`, each with a space on both sides"));
        }
    };
    Ok(Condition { test, negated })
}

impl Condition {
    /// Whether it holds now.
    pub fn holds(&self, x: &Exchange, writer: &Writer, log: bool) -> Result<bool, HttpError> {
        let value = |id: &VarId| x.variable(*id).unwrap_or_default();
        let holds = match &self.test {
            Test::Given(id) => !matches!(value(id).as_ref(), b"" | b"0"),
            Test::Equal(id, text) => *value(id) == *writer.text(x, text),
            Test::Match(id, search) => search.run(x, &value(id), log)?,
            Test::File(path, what) => exists(x, &writer.text(x, path), *what),
        };
        Ok(holds != self.negated)
    }
}

fn exists(x: &Exchange, path: &[u8], what: What) -> bool {
    match x.stat(path) {
        Ok(stat) => match what {
            What::File => stat.kind == Kind::File,
            What::Folder => stat.kind == Kind::Folder,
            What::Either => stat.kind != Kind::Other,
            What::Executable => stat.mode & 0o100 != 0,
        },
        Err(error) => {
            let failed = HttpError::file("stat()", path, &error);
            if failed.status != 404
                && let Some(report) = failed.report
            {
                x.report(Level::Crit, report.text);
            }
            false
        }
    }
}
