//! Where blocks end, and what is said when their braces do not add up: one message, at the place where the indentation says that it
//! went wrong.

use super::Reader;
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;

/// A block whose `}` stands at another indentation than the line that opened it.
pub(super) struct Askew {
    opener: Span,
    close: Span,
    /// The first line inside that stands no deeper than the opener: the block should have ended before it.
    outside: Option<Span>,
}

impl Reader<'_> {
    pub(super) fn close(&mut self, at: usize) {
        let span = self.span(at, at + 1);
        let Some(open) = self.open.last() else { return self.stray(span) };
        let opener = open.span;
        let depth = self.line_indentation(opener.start as usize);
        if self.hint.is_none() && self.indentation(at).is_some_and(|deep| deep != depth) {
            let mut inside = open.children.iter().map(|child| child.span);
            let outside = inside.find(|child| self.indentation(child.start as usize).is_some_and(|deep| deep <= depth));
            self.hint = Some(Askew { opener, close: span, outside });
        }
        self.pop(Some(span));
    }

    /// A `}` that closes nothing. An earlier one that does not stand below its opener is the likely cause.
    fn stray(&mut self, span: Span) {
        let error = match self.hint.take().filter(|askew| askew.outside.is_none()) {
            Some(Askew { opener, close, .. }) => {
                Diagnostic::error(close, "one `}` too many: this one ends a block that stands at another indentation")
                    .also(opener, "it ends this block")
                    .help("remove this `}` if the block goes on after it")
            }
            None => Diagnostic::error(span, "unexpected `}`: no block is open here").help("remove it"),
        };
        self.error(error.code(Code::StrayBrace));
    }

    /// Says once that blocks are still open: at the block whose `}` is missing by its indentation, else at the innermost.
    pub(super) fn unclosed(&mut self) {
        let Some(innermost) = self.open.last().map(|open| open.span) else { return };
        let missing = match self.open.len() {
            1 => "a `}` is missing".to_string(),
            n => format!("{n} `}}` are missing"),
        };
        let error =
            |span| Diagnostic::error(span, format!("this block is never closed: {missing}")).code(Code::UnclosedBlock);
        let error = match self.hint.take() {
            Some(Askew { opener, outside: Some(outside), .. }) => {
                error(opener).also(outside, "write the `}` before this line, which stands outside by its indentation")
            }
            Some(Askew { opener, close, .. }) if opener != innermost => {
                error(opener).also(close, "write a `}` before this one, which stands at another indentation")
            }
            _ => error(innermost),
        };
        self.error(error);
    }
}
