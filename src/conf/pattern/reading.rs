//! Regexes as setters read them: the fault points at the sign that PCRE2 stumbled over, and named groups become variables.

use super::{Invalid, Pattern};
use crate::conf::args::{Fault, Load};
use crate::conf::ast::Word;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::value::VarId;

impl Load {
    /// The regex that a word holds, or the part of it that is `text`.
    pub fn pattern(&mut self, word: &Word, text: &[u8], caseless: bool) -> Result<Pattern, Fault> {
        let made = Pattern::new(text, caseless, &self.regex_limit);
        let pattern = made.map_err(|invalid| fault(word, text, &invalid))?;
        if let Some(braces) = pattern.braces() {
            let message = format!(
                "`{braces}` is text here, as in nginx with PCRE2 before 10.43, and a quantifier since; write `\\{braces}` for the \
                 text, or a quantifier without blanks and with its lower bound"
            );
            self.warnings.push(Diagnostic::warning(word.span, message));
        }
        Ok(pattern)
    }

    /// The same with the variables that its named groups set.
    pub fn capturing(
        &mut self,
        word: &Word,
        text: &[u8],
        caseless: bool,
    ) -> Result<(Pattern, Vec<(VarId, usize)>), Fault> {
        let pattern = self.pattern(word, text, caseless)?;
        let names = pattern.names().iter().map(|(name, n)| (self.group(&name.to_ascii_lowercase(), word.span), *n));
        let names = names.collect();
        Ok((pattern, names))
    }

    /// The variable of a named group. As in nginx, no built-in variable may have the name, but for those that can be set.
    fn group(&mut self, name: &str, span: Span) -> VarId {
        match name {
            "args" | "limit_rate" | "invalid_referer" => self.names.define(name),
            _ => self.names.declare(name, span, false),
        }
    }
}

fn fault(word: &Word, text: &[u8], invalid: &Invalid) -> Fault {
    let message = format!("has an invalid regular expression: {}", invalid.message);
    let Some(offset) = invalid.offset else { return Fault::at(word, message) };
    let Span { file, start, end } = word.span;
    // Where the word has no escapes, its bytes are those of the conf.
    let quotes = 2 * usize::from(word.quoted);
    let is_raw = (end - start) as usize == word.text.len() + quotes;
    let cut = word.text.windows(text.len().max(1)).position(|part| part == text);
    match cut.filter(|_| is_raw) {
        Some(cut) => {
            let at = (start + (quotes / 2 + cut + offset) as u32).min(end - 1);
            let span = Span { file, start: at, end: at + 1 };
            Fault { span: Some(span), ..Fault::new(message) }
        }
        None => {
            let rest = String::from_utf8_lossy(&text[offset.min(text.len())..]);
            let place = if rest.is_empty() { "its end".to_owned() } else { format!("`{rest}`") };
            Fault::at(word, format!("{message}, before {place}"))
        }
    }
}
