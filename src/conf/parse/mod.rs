//! Reads the text of one source into a tree of directives. Owns the lexical rules of the language
//! (the grammar) and every message about shapes: braces, quotes, semicolons. Must not know any
//! directive: whether a word is a directive's name is asked of the caller.
//!
//! The text is parsed in windows of some statements, so memory stays bounded by the longest
//! statement, and the tree is built with an explicit stack, so depth cannot exhaust ours.

use pest::Parser as _;
use pest::iterators::Pair;

use super::ast::{Node, Word};
use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::odd;
use super::source::{Sources, Span};
use shapes::{Rule, Shapes};

/// Blocks within blocks; more is refused.
const MAX_DEPTH: usize = 100;
/// So many errors of one source are reported, then reading stops.
const MAX_ERRORS: usize = 50;
/// Words of one directive; more is refused, since the grammar needs memory for each.
const MAX_WORDS: usize = 200_000;
/// Bytes that are given to the grammar at once, unless one statement is longer.
const WINDOW: usize = 64 * 1024;

mod blocks;
mod braces;
mod shapes {
    //! What the grammar generates.
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/conf.pest"]
    pub struct Shapes;
}

/// Parses source `file`. What nginx would refuse is reported to `out` and left out of the tree or
/// fixed (a missing `;` ends the directive all the same), so that one run finds all errors.
/// `known` tells whether a word is the name of a directive; it is only asked where a `;` may be
/// missing.
pub fn parse(sources: &Sources, file: u32, known: &dyn Fn(&[u8]) -> bool, out: &mut Vec<Diagnostic>) -> Vec<Node> {
    let Some(source) = sources.files.get(file as usize) else { return Vec::new() };
    let text: &[u8] = &source.text;
    if text.len() > u32::MAX as usize {
        out.push(Diagnostic::error(Span { file, start: 0, end: 0 }, "is larger than 4 GiB").code(Code::TooLarge));
        return Vec::new();
    }
    let mut reader = Reader { text, file, known, out, errors: 0, open: Vec::new(), root: Vec::new(), hint: None };
    let start = reader.skip_bom();
    reader.read(start);
    reader.finish()
}

/// A block whose `}` has not come yet.
struct Open {
    /// The directive; none for a `{` without one, whose contents are dropped.
    head: Option<(Word, Vec<Word>)>,
    span: Span,
    children: Vec<Node>,
}

struct Reader<'a> {
    text: &'a [u8],
    file: u32,
    known: &'a dyn Fn(&[u8]) -> bool,
    out: &'a mut Vec<Diagnostic>,
    errors: usize,
    open: Vec<Open>,
    root: Vec<Node>,
    /// The first block whose `}` stands at another indentation than its opener, and that `}`: where braces do not add up at
    /// the end, this is the likely place.
    hint: Option<blocks::Askew>,
}

impl Reader<'_> {
    fn skip_bom(&mut self) -> usize {
        if !self.text.starts_with(b"\xEF\xBB\xBF") {
            return 0;
        }
        let at = self.span(0, 3);
        self.error(
            Diagnostic::error(at, "the file begins with a byte order mark, which would be part of the first word")
                .code(Code::ByteOrderMark)
                .help("save it as UTF-8 without a byte order mark (BOM)"),
        );
        3
    }

    fn read(&mut self, mut at: usize) {
        let mut size = WINDOW;
        while at < self.text.len() && self.errors < MAX_ERRORS {
            let end = self.text.len().min(at.saturating_add(size));
            let next = self.window(at, end, end == self.text.len());
            // A statement or comment longer than the window comes back untouched: take a larger one.
            size = if next == at { size * 2 } else { WINDOW };
            at = next;
        }
    }

    /// Reads the window's statements and returns where to go on.
    fn window(&mut self, at: usize, end: usize, last: bool) -> usize {
        let ascii = braces::for_grammar(self.text, at, end);
        let Ok(pairs) = Shapes::parse(Rule::window, &ascii) else {
            // Each part of the rule may be empty, so it matches every text.
            self.error(Diagnostic::error(self.span(at, end), "cannot be read").code(Code::TooLarge));
            return self.text.len();
        };
        for pair in pairs {
            if self.errors >= MAX_ERRORS {
                return end;
            }
            let (start, stop) = (at + pair.as_span().start(), at + pair.as_span().end());
            match pair.as_rule() {
                Rule::statement => {
                    if let Some(resume) = self.statement(at, pair, start, stop) {
                        return resume;
                    }
                }
                Rule::close => self.close(start),
                Rule::empty_statement => self.empty_statement(start),
                Rule::nameless_block => self.nameless_block(start),
                Rule::rest if last => return self.unfinished(at, pair),
                Rule::rest if pair.into_inner().count() > MAX_WORDS => return self.endless(start),
                Rule::rest => return start,
                Rule::comment if stop == end && !last => return start,
                _ => {}
            }
        }
        end
    }

    /// One directive with its end. Returns where to go on if its quotes are astray.
    fn statement(&mut self, at: usize, pair: Pair<'_, Rule>, start: usize, stop: usize) -> Option<usize> {
        let (mut words, mut block, mut brace, mut end, mut broken) = (Vec::new(), false, stop, false, false);
        for part in pair.into_inner() {
            let span = self.span(at + part.as_span().start(), at + part.as_span().end());
            match part.as_rule() {
                Rule::double | Rule::single | Rule::bare => words.push(self.word(part.as_rule(), span)),
                Rule::glued => {
                    broken = true;
                    if let Some(resume) = words.last().and_then(|quoted| self.astray(quoted)) {
                        return Some(resume);
                    }
                    self.glued(span);
                }
                Rule::end => end = true,
                Rule::open => (block, brace) = (true, span.start as usize),
                _ => {}
            }
        }
        let closed = end || block;
        self.directives(words, start, if block { brace + 1 } else { stop }, block, closed, broken);
        None
    }

    /// A closing quote that something is glued to, of a word over several lines: it is likely the
    /// opening quote of another word, and the first one was never closed. Reports that and returns
    /// where the next line begins.
    fn astray(&mut self, quoted: &Word) -> Option<usize> {
        let start = quoted.span.start as usize;
        let line = self.text[start..quoted.span.end as usize].iter().position(|&b| b == b'\n')?;
        self.error(
            Diagnostic::error(self.span(start, start + 1), "this quote is not closed on its line")
                .code(Code::UnclosedQuote)
                .also(self.span(quoted.span.end as usize - 1, quoted.span.end as usize), "it would end only here"),
        );
        Some(start + line + 1)
    }

    fn glued(&mut self, span: Span) {
        let first = self.span(span.start as usize, span.start as usize + 1);
        self.error(
            Diagnostic::error(first, "only a space, `;`, `{` or `)` may follow a closing quote")
                .code(Code::GluedToQuote)
                .help("put the whole word in quotes, or write `\\` before a quote that belongs to it"),
        );
    }

    /// What the text never finishes: words without an end, or a quote that is never closed.
    fn unfinished(&mut self, at: usize, pair: Pair<'_, Rule>) -> usize {
        let (mut words, mut quote) = (Vec::new(), None);
        for part in pair.into_inner() {
            let span = self.span(at + part.as_span().start(), at + part.as_span().end());
            match part.as_rule() {
                Rule::double | Rule::single | Rule::bare => words.push(self.word(part.as_rule(), span)),
                Rule::glued => {
                    if let Some(resume) = words.last().and_then(|quoted| self.astray(quoted)) {
                        return resume;
                    }
                    self.glued(span);
                }
                Rule::opening_quote => quote = Some(span),
                _ => {}
            }
        }
        if let Some(quote) = quote {
            self.error(Diagnostic::error(quote, "this quote is never closed").code(Code::UnclosedQuote));
            let rest = &self.text[quote.start as usize..];
            return rest.iter().position(|&b| b == b'\n').map_or(self.text.len(), |i| quote.start as usize + i + 1);
        }
        if let (Some(first), Some(last)) = (words.first(), words.last()) {
            let (start, stop) = (first.span.start as usize, last.span.end as usize);
            self.directives(words, start, stop, false, false, false);
        }
        self.text.len()
    }

    /// Stops at a directive that is too long to be meant.
    fn endless(&mut self, start: usize) -> usize {
        let message = format!("more than {MAX_WORDS} words without a `;`");
        self.error(Diagnostic::error(self.span(start, start + 1), message).code(Code::TooLarge));
        self.errors = MAX_ERRORS;
        self.text.len()
    }

    /// Adds the directive that the words make; two or more where a `;` is missing between them.
    fn directives(&mut self, words: Vec<Word>, start: usize, stop: usize, block: bool, closed: bool, broken: bool) {
        let (mut start, mut current) = (start, Vec::with_capacity(words.len()));
        for word in words {
            if !current.is_empty() && self.begins_anew(start, &word) {
                let end = self.missing_semicolon(&current);
                self.add(std::mem::take(&mut current), start, end, false, broken);
                start = word.span.start as usize;
            }
            current.push(word);
        }
        if !closed {
            self.missing_semicolon(&current);
        }
        self.add(current, start, stop, block, broken);
    }

    /// Whether a word looks like the beginning of a directive though none ended before it: it is
    /// the first of its line, not indented deeper than the line of `start`, and a directive's name.
    fn begins_anew(&self, start: usize, word: &Word) -> bool {
        let at = word.span.start as usize;
        !word.quoted
            && self.indentation(at).is_some_and(|deep| deep <= self.line_indentation(start))
            && (self.known)(&word.text)
    }

    /// How many blanks stand before `at` on its line; none if anything else does.
    fn indentation(&self, at: usize) -> Option<usize> {
        let blanks = self.text[..at].iter().rev().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let before = self.text[..at - blanks].last();
        (before.is_none() || before == Some(&b'\n')).then_some(blanks)
    }

    /// How many blanks stand at the beginning of the line of `at`.
    fn line_indentation(&self, at: usize) -> usize {
        let line = self.text[..at].iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        self.text[line..at].iter().take_while(|b| matches!(b, b' ' | b'\t')).count()
    }

    /// Reports a missing `;` behind the last of the words and returns that place.
    fn missing_semicolon(&mut self, words: &[Word]) -> usize {
        let end = words.last().map_or(self.text.len(), |word| word.span.end as usize);
        let name = words.first().map(Word::show).unwrap_or_default();
        if name.starts_with("//") || name.starts_with("/*") || name.starts_with('<') {
            // It is no directive, and that is said of it.
            return end;
        }
        self.error(
            Diagnostic::error(self.span(end, end), format!("missing `;` at the end of `{}`", shorten(&name)))
                .code(Code::MissingSemicolon),
        );
        end
    }

    fn add(&mut self, words: Vec<Word>, start: usize, stop: usize, block: bool, broken: bool) {
        let span = self.span(start, stop);
        let mut words = words.into_iter();
        let Some(name) = words.next() else { return };
        let args = words.collect();
        if block {
            self.push_open(Open { head: Some((name, args)), span, children: Vec::new() });
        } else if !broken {
            self.siblings().push(Node { name, args, block: None, span, close: None });
        }
    }

    fn push_open(&mut self, open: Open) {
        if self.open.len() >= MAX_DEPTH {
            self.error(
                Diagnostic::error(open.span, format!("more than {MAX_DEPTH} blocks within one another"))
                    .code(Code::TooLarge),
            );
            // What follows cannot be placed.
            self.errors = MAX_ERRORS;
            return;
        }
        self.open.push(open);
    }

    fn siblings(&mut self) -> &mut Vec<Node> {
        self.open.last_mut().map_or(&mut self.root, |open| &mut open.children)
    }

    /// Ends the innermost block.
    fn pop(&mut self, close: Option<Span>) {
        if let Some(Open { head: Some((name, args)), span, children }) = self.open.pop() {
            self.siblings().push(Node { name, args, block: Some(children), span, close });
        }
    }

    fn empty_statement(&mut self, at: usize) {
        let before = self.text[..at].trim_ascii_end().last();
        let help = match before {
            Some(b'}') => "a block ends with its `}`; remove this `;`",
            _ => "remove it",
        };
        self.error(Diagnostic::error(self.span(at, at + 1), "unexpected `;`").code(Code::StraySemicolon).help(help));
    }

    fn nameless_block(&mut self, at: usize) {
        let span = self.span(at, at + 1);
        self.error(Diagnostic::error(span, "unexpected `{`: no directive stands before it").code(Code::NamelessBlock));
        self.push_open(Open { head: None, span, children: Vec::new() });
    }

    /// Reports the blocks that are still open and returns the tree.
    fn finish(mut self) -> Vec<Node> {
        if self.errors >= MAX_ERRORS {
            let place = self.out.iter().rev().find_map(|error| error.span).unwrap_or_default();
            self.out.push(Diagnostic::note(place, "reading stopped here; more errors may follow"));
        } else {
            self.unclosed();
        }
        while !self.open.is_empty() {
            self.pop(None);
        }
        self.root
    }

    fn word(&mut self, rule: Rule, span: Span) -> Word {
        let raw = &self.text[span.start as usize..span.end as usize];
        let quoted = rule != Rule::bare;
        let inner = if quoted { &raw[1..raw.len() - 1] } else { raw };
        if !quoted && !raw.is_ascii() {
            self.out.extend(odd::hint(raw, span));
        }
        if !quoted && let Some(error) = braces::fault(raw, span) {
            self.error(error);
        }
        Word { text: unescape(inner), span, quoted }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { file: self.file, start: start as u32, end: end as u32 }
    }

    fn error(&mut self, error: Diagnostic) {
        self.errors += 1;
        if self.errors <= MAX_ERRORS {
            self.out.push(error);
        }
    }
}

/// A name for a message, cut if somebody wrote a book into it.
fn shorten(name: &str) -> String {
    match name.char_indices().nth(40) {
        Some((at, _)) => format!("{}...", &name[..at]),
        None => name.to_owned(),
    }
}

/// Undoes the escapes that nginx undoes, in quotes or not; another backslash stays.
fn unescape(raw: &[u8]) -> Vec<u8> {
    if !raw.contains(&b'\\') {
        return raw.to_vec();
    }
    let (mut text, mut rest) = (Vec::with_capacity(raw.len()), raw);
    while let Some((&byte, tail)) = rest.split_first() {
        let plain = match (byte, tail.first()) {
            (b'\\', Some(&next @ (b'"' | b'\'' | b'\\'))) => Some(next),
            (b'\\', Some(b't')) => Some(b'\t'),
            (b'\\', Some(b'r')) => Some(b'\r'),
            (b'\\', Some(b'n')) => Some(b'\n'),
            _ => None,
        };
        text.push(plain.unwrap_or(byte));
        rest = &tail[usize::from(plain.is_some())..];
    }
    text
}

#[cfg(test)]
mod tests;
