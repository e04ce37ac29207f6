//! What is wrong with a conf: values first, text later.

use super::source::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Said once, changes nothing.
    Note,
    /// Suspicious; the conf is still taken.
    Warning,
    /// The conf is refused.
    Error,
}

/// One message: where, what, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in the conf's own words: one phrase without a full stop.
    pub message: String,
    /// Where; none when it is about the whole conf.
    pub span: Option<Span>,
    /// A second place with a word on it ("first set here").
    pub also: Option<(Span, String)>,
    /// What to write instead, or what to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Error, message: message.into(), span: Some(span), also: None, help: None }
    }

    /// A warning at a place.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// The same with a remedy.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with a second place.
    pub fn also(mut self, span: Span, word: impl Into<String>) -> Self {
        self.also = Some((span, word.into()));
        self
    }
}
