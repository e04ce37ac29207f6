//! A conf as a tree of directives: names, words and blocks, with their places. No meaning yet.

use super::source::Span;

/// One word as nginx reads it: quotes gone, escapes undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its bytes; a conf need not be UTF-8.
    pub text: Vec<u8>,
    /// Where it stands, quotes included.
    pub span: Span,
    /// Whether it stood in quotes.
    pub quoted: bool,
}

impl Word {
    /// The word as text for messages; bytes that are not UTF-8 are replaced.
    pub fn show(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

/// One directive: `name args;` or `name args { block }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The first word.
    pub name: Word,
    /// The words after it.
    pub args: Vec<Word>,
    /// What stands between its braces; none if it ended with `;`.
    pub block: Option<Vec<Node>>,
    /// From the first word to the `;` or the `{`.
    pub span: Span,
    /// The closing brace, for a block.
    pub close: Option<Span>,
}
