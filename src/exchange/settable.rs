//! What the lines of a conf may give a value to: a variable of the conf's own, or one of the two built-in ones that may be set. As in
//! nginx these are `$args` and `$limit_rate`.

use super::Exchange;
use super::error::Level;
use super::variables::Given;
use crate::conf::args::{Args, Fault, parse_size};
use crate::conf::ast::Word;
use crate::conf::value::{VarId, whole_name};
use crate::http::escape;

/// What is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settable {
    /// `$args`, the query itself.
    Args,
    /// `$limit_rate`, how fast the answer goes out.
    LimitRate,
    /// A variable of the conf's own.
    Variable(VarId),
}

impl Settable {
    /// Reads `$name` at this place and makes the name known.
    pub fn read(args: &mut Args<'_>, i: usize) -> Result<Settable, Fault> {
        let name = variable_name(args.word(i))?;
        Ok(match name.as_str() {
            "args" => Settable::Args,
            "limit_rate" => Settable::LimitRate,
            _ => Settable::Variable(args.load.names.declare(&name, args.word(i).span, true)),
        })
    }

    /// Gives it a value, for the rest of this request.
    pub fn set(self, x: &mut Exchange, given: Given) {
        let value = |x: &Exchange| x.as_it_is(|| x.choose(&given));
        match self {
            Settable::Args => x.args = Some(value(x).into()),
            Settable::LimitRate => {
                let value = value(x);
                match parse_size(&value) {
                    Some(rate) => x.limit_rate = Some(rate),
                    None => x.report(Level::Error, format!("invalid $limit_rate \"{}\"", escape::error_log(&value))),
                }
            }
            Settable::Variable(id) => x.assign(id, given),
        }
    }
}

/// The name of `$name`, in lower case.
fn variable_name(word: &Word) -> Result<String, Fault> {
    let name = whole_name(&word.text).filter(|name| !name.starts_with(|first: char| first.is_ascii_digit()));
    let bad = || {
        Fault::at(word, format!("has an invalid variable name `{}`", word.show()))
            .help("a name is a `$`, then letters, digits and `_`, and no digit first")
    };
    name.ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_variables() {
        for (word, name) in [
            ("$a", Some("a")),
            ("$A_1", Some("a_1")),
            ("$a-b.c", Some("a-b.c")),
            ("a", None),
            ("$", None),
            ("$1", None),
            ("$a{b}", None),
            ("$a b", None),
        ] {
            let word = Word { text: word.into(), span: Default::default(), quoted: false };
            assert_eq!(variable_name(&word).ok().as_deref(), name, "{}", word.show());
        }
    }
}
