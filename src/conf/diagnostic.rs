//! What is wrong with a conf: values first, text later.

use super::codes::Code;
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
    /// What kind of thing is wrong: `longshore help CODE` explains it.
    pub code: Code,
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
    /// An error at a place: a value that cannot be taken, unless another code is given.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            code: Code::WrongValue,
            message: message.into(),
            span: Some(span),
            also: None,
            help: None,
        }
    }

    /// A warning at a place: a value that is hardly meant, unless another code is given.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, code: Code::OddValue, ..Self::error(span, message) }
    }

    /// A note at a place: something was left out or put in its place, unless another code is given.
    pub fn note(span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Note, code: Code::LeftOut, ..Self::error(span, message) }
    }

    /// The same of another kind.
    pub fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
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
