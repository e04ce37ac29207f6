//! A regex of the rewrite family at work: it keeps what it captured, and says in the log what it met when
//! `rewrite_log` asks for that.

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::ast::Word;
use crate::conf::pattern::Pattern;
use crate::conf::value::VarId;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::http::escape;

/// A regex with the variables that its named groups set.
#[derive(Debug, Clone)]
pub struct Search {
    pattern: Pattern,
    names: Vec<(VarId, usize)>,
    /// As it stands in the conf.
    source: Vec<u8>,
}

impl Search {
    /// Compiles a regex that stands in a word.
    pub fn new(args: &mut Args<'_>, word: &Word, text: &[u8], caseless: bool) -> Result<Search, Fault> {
        let (pattern, names) = args.load.capturing(word, text, caseless)?;
        Ok(Search { pattern, names, source: text.to_vec() })
    }

    /// Whether it matches. A match keeps its captures; a miss forgets those of the match before, as in nginx.
    pub fn run(&self, x: &Exchange, subject: &[u8], log: bool) -> Result<bool, HttpError> {
        let found =
            self.pattern.captures(subject).map_err(|why| HttpError::regex(why, "a rewrite regex", "this text"))?;
        if log {
            let verb = if found.is_some() { "matches" } else { "does not match" };
            let (source, subject) = (String::from_utf8_lossy(&self.source), escape::error_log(subject));
            x.report(Level::Notice, format!("\"{source}\" {verb} \"{subject}\""));
        }
        match &found {
            Some(found) => x.capture(&Bytes::copy_from_slice(subject), &found.groups, &self.names),
            None => x.forget_captures(),
        }
        Ok(found.is_some())
    }
}
