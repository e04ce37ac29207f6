//! Values that a conf can hold beyond numbers: text with variables, compiled at load.

use std::borrow::Cow;

/// A variable's index, given out at load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VarId(pub u32);

/// One piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes as they stand.
    Literal(bytes::Bytes),
    /// The value of a variable.
    Variable(VarId),
    /// A capture of the last regex that matched: `$1` to `$9`.
    Capture(u8),
}

/// Text with variables, compiled to pieces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// The pieces in order; a constant has one or none.
    pub pieces: Vec<Piece>,
    /// Whether it is the value of a field: a line break of the conf's own text is a space then, in this text and in the
    /// variables that stand in it.
    pub is_field: bool,
}

/// A text of the conf as a field can hold it: each of its line breaks is a space.
pub fn on_one_line(text: &[u8]) -> Cow<'_, [u8]> {
    match text.contains(&b'\n') {
        false => Cow::Borrowed(text),
        true => text.iter().filter(|&&b| b != b'\r').map(|&b| if b == b'\n' { b' ' } else { b }).collect(),
    }
}

impl Text {
    /// A text without variables.
    pub fn literal(text: impl Into<bytes::Bytes>) -> Self {
        Text { pieces: vec![Piece::Literal(text.into())], is_field: false }
    }

    /// The bytes, if no variable stands in the text.
    pub fn constant(&self) -> Option<&[u8]> {
        match self.pieces.as_slice() {
            [] => Some(b""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

/// Gives out variable indices while a conf is loaded. Whether each name exists is checked at the
/// end, since a later line may define it (`set`, `map`, a named capture).
pub trait Names {
    /// The index of a name that is used at `span`.
    fn refer(&mut self, name: &str, span: super::source::Span) -> VarId;
    /// The index of a name that this conf defines.
    fn define(&mut self, name: &str) -> VarId;
    /// The index of a name that a directive at `span` gives values to. No built-in variable may have it. `warns`: reading
    /// it before it has a value is worth a warning.
    fn declare(&mut self, name: &str, span: super::source::Span, warns: bool) -> VarId;
}

/// The name, in lower case, of a variable that a whole word names: `$name`. Within a text a name ends at the first byte that
/// is no letter, digit or `_`; here all of the word is the name, as in nginx, so that `if ($arg_go-get)` asks for the
/// argument `go-get`. What would be a brace or a quote gone astray is none.
pub fn whole_name(word: &[u8]) -> Option<String> {
    let is_letter = |b: &u8| b.is_ascii_graphic() && !b"{}()\"'`$;\\".contains(b);
    let name = word.strip_prefix(b"$").filter(|name| !name.is_empty() && name.iter().all(is_letter))?;
    Some(String::from_utf8_lossy(name).to_ascii_lowercase())
}

/// Compiles a text. A lone `$`, or one before a character that no name may begin with, is an
/// error, as in nginx ("invalid variable name").
pub fn compile(text: &[u8], span: super::source::Span, names: &mut dyn Names) -> Result<Text, String> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&b| b == b'$') {
        literal.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let braced = rest.first() == Some(&b'{');
        let name_at = &rest[usize::from(braced)..];
        let len = match name_at.first() {
            Some(b'1'..=b'9') => 1,
            _ => name_at.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count(),
        };
        if len == 0 {
            return Err("has a `$` that no variable name follows".into());
        }
        if braced && name_at.get(len) != Some(&b'}') {
            return Err("has a `${` that no `}` closes".into());
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
        }
        let name = std::str::from_utf8(&name_at[..len]).expect("a name is ASCII");
        pieces.push(match name.as_bytes() {
            [digit @ b'1'..=b'9'] => Piece::Capture(digit - b'0'),
            _ => Piece::Variable(names.refer(&name.to_ascii_lowercase(), span)),
        });
        rest = &name_at[len + usize::from(braced)..];
    }
    literal.extend_from_slice(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    Ok(Text { pieces, is_field: false })
}
