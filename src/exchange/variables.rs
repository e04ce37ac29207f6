//! Variables: rows like directives, and the evaluation of texts. A getter is evaluated only
//! when its variable is asked for.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::Exchange;
use crate::conf::source::Sources;
use crate::conf::value::{Piece, Text, VarId};

/// A variable's value: none is nginx's "not found", which texts show as nothing and logs as `-`.
pub type Value<'a> = Option<Cow<'a, [u8]>>;

/// One variable of the feature whose settings are `C`.
pub struct Variable<C: 'static> {
    /// The name without `$`; a family ends with `_` and takes any suffix (`http_`).
    pub name: &'static str,
    /// Whether it is a family.
    pub family: bool,
    /// One or two sentences of Markdown.
    pub doc: &'static str,
    /// The value; the last argument is the suffix in a family, else empty.
    pub get: for<'a> fn(&'a Exchange, &'a C, &str) -> Value<'a>,
}

/// A getter with its settings found: what the load made of a row.
pub type Getter = Box<dyn for<'a> Fn(&'a Exchange) -> Value<'a> + Send + Sync>;

/// The variables one conf uses, by index. A name that only a conf defines (`set`, a named
/// capture) has no getter: its value is what the request assigned.
#[derive(Default)]
pub struct Variables {
    /// Name and getter of each index.
    pub entries: Vec<(String, Option<Getter>)>,
    /// The conf's text, for variables that name a line of it.
    pub sources: Arc<Sources>,
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|(name, _)| name)).finish()
    }
}

impl Exchange {
    /// The value of one variable.
    pub fn variable(&self, id: VarId) -> Value<'_> {
        if let Some(value) = self.assigned(id) {
            return Some(Cow::Owned(value.into()));
        }
        self.variables.entries.get(id.0 as usize)?.1.as_ref()?(self)
    }

    /// The value that this request gave to a variable.
    fn assigned(&self, id: VarId) -> Option<Bytes> {
        self.assigned.borrow().iter().find(|(known, _)| *known == id).map(|(_, value)| value.clone())
    }

    /// A text with its variables filled in; what is not found is empty.
    pub fn eval<'a>(&'a self, text: &'a Text) -> Cow<'a, [u8]> {
        if let Some(constant) = text.constant() {
            return Cow::Borrowed(constant);
        }
        if let [piece] = text.pieces.as_slice() {
            return self.piece(piece).unwrap_or_default();
        }
        let mut out = Vec::with_capacity(64);
        for piece in &text.pieces {
            if let Some(value) = self.piece(piece) {
                out.extend_from_slice(&value);
            }
        }
        Cow::Owned(out)
    }

    /// The same as bytes of their own; a constant is shared, not copied.
    pub fn eval_bytes(&self, text: &Text) -> Bytes {
        match text.pieces.as_slice() {
            [Piece::Literal(text)] => text.clone(),
            [Piece::Variable(id)] => match self.assigned(*id) {
                Some(value) => value,
                None => self.eval(text).into_owned().into(),
            },
            _ => self.eval(text).into_owned().into(),
        }
    }

    /// The value of one piece.
    pub fn piece<'a>(&'a self, piece: &'a Piece) -> Value<'a> {
        match piece {
            Piece::Literal(text) => Some(Cow::Borrowed(text)),
            Piece::Variable(id) => self.variable(*id),
            Piece::Capture(n) => {
                let captures = self.captures.borrow();
                captures.groups.get(*n as usize)?.as_ref().map(|bytes| Cow::Owned(bytes.to_vec()))
            }
        }
    }
}
