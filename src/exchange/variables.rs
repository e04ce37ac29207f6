//! Variables: rows like directives, and the evaluation of texts. A getter is evaluated only
//! when its variable is asked for.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::Exchange;
use crate::conf::source::Sources;
use crate::conf::value::{Piece, Text, VarId, on_one_line};

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

/// A value that a request gave to a variable.
#[derive(Debug, Clone, Default)]
pub struct Given {
    value: Bytes,
    /// The same on one line, for fields; `None` if no line break of the conf's own text stands in it.
    line: Option<Bytes>,
}

impl Given {
    /// A value that is put together; `on_one_line` does so for a field, where it is worth the while.
    pub fn new(value: Bytes, on_one_line: impl FnOnce() -> Bytes) -> Given {
        let line = value.contains(&b'\n').then(on_one_line).filter(|line| *line != value);
        Given { value, line }
    }

    /// A value that is the conf's text.
    pub fn of_conf(text: Bytes) -> Given {
        let line = text.clone();
        Given::new(text, || on_one_line(&line).into_owned().into())
    }
}

impl<T: Into<Bytes>> From<T> for Given {
    fn from(value: T) -> Given {
        Given { value: value.into(), line: None }
    }
}

impl Exchange {
    /// Evaluates for a field: line breaks of the conf's own text are spaces, whatever variables they come through. Those that
    /// came with the request stay what they are, and no field is made of them.
    pub fn as_field<T>(&self, evaluate: impl FnOnce() -> T) -> T {
        self.in_mode(true, evaluate)
    }

    /// Evaluates what is compared or kept, for a variable that may be part of a field.
    pub fn as_it_is<T>(&self, evaluate: impl FnOnce() -> T) -> T {
        self.in_mode(false, evaluate)
    }

    fn in_mode<T>(&self, makes_field: bool, evaluate: impl FnOnce() -> T) -> T {
        let before = self.values.makes_field.replace(makes_field);
        let value = evaluate();
        self.values.makes_field.set(before);
        value
    }

    /// A text of the conf as it is to be here.
    pub fn own_text<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if self.makes_field() { on_one_line(text) } else { Cow::Borrowed(text) }
    }

    /// A value that was given to a variable, as it is to be here.
    pub fn choose(&self, given: &Given) -> Bytes {
        let line = given.line.as_ref().filter(|_| self.makes_field());
        line.unwrap_or(&given.value).clone()
    }

    /// A text with its variables filled in, to be kept for a variable.
    pub fn eval_given(&self, text: &Text) -> Given {
        let value = self.as_it_is(|| self.eval_bytes(text));
        Given::new(value, || self.as_field(|| self.eval_bytes(text)))
    }

    /// The value of one variable.
    pub fn variable(&self, id: VarId) -> Value<'_> {
        if let Some(value) = self.assigned(id) {
            return Some(Cow::Owned(value.into()));
        }
        self.values.known.entries.get(id.0 as usize)?.1.as_ref()?(self)
    }

    /// The value that this request gave to a variable.
    fn assigned(&self, id: VarId) -> Option<Bytes> {
        self.values.assigned.borrow().iter().find(|(known, _)| *known == id).map(|(_, given)| self.choose(given))
    }

    /// A text with its variables filled in; what is not found is empty.
    pub fn eval<'a>(&'a self, text: &'a Text) -> Cow<'a, [u8]> {
        if let Some(constant) = text.constant() {
            return self.own_text(constant);
        }
        if text.is_field && !self.makes_field() {
            return self.as_field(|| self.eval(text));
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
        if text.is_field && !self.makes_field() && text.constant().is_none() {
            return self.as_field(|| self.eval_bytes(text));
        }
        match text.pieces.as_slice() {
            [Piece::Literal(text)] => match self.own_text(text) {
                Cow::Borrowed(_) => text.clone(),
                Cow::Owned(line) => line.into(),
            },
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
            Piece::Literal(text) => Some(self.own_text(text)),
            Piece::Variable(id) => self.variable(*id),
            Piece::Capture(n) => {
                let captures = self.values.captures.borrow();
                captures.groups.get(*n as usize)?.as_ref().map(|bytes| Cow::Owned(bytes.to_vec()))
            }
        }
    }
}
