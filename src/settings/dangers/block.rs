//! A block as the rules see it: what stands in it, and in which blocks it stands. Knows no rule.

use crate::conf::ast::{Node, Word};

/// What kind of block it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The file itself.
    Main,
    /// `http`, or what was read as its inside.
    Http,
    /// `server`.
    Server,
    /// `location`.
    Location,
    /// `if`.
    If,
    /// `limit_except`.
    LimitExcept,
}

/// One block.
#[derive(Debug, Clone, Copy)]
pub struct Block<'b> {
    /// What kind it is.
    pub place: Place,
    /// The directive that opened it; none for a file.
    pub node: Option<&'b Node>,
    /// What stands in it.
    pub children: &'b [Node],
    /// The block around it.
    pub around: Option<&'b Block<'b>>,
}

/// How a location is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matching {
    /// `=`.
    Exact,
    /// None, or `^~`.
    Prefix { is_final: bool },
    /// `~` or `~*`.
    Regex { caseless: bool },
    /// `@name`.
    Named,
}

impl<'b> Block<'b> {
    /// The blocks inside that hold directives.
    pub fn blocks(&'b self) -> impl Iterator<Item = Block<'b>> {
        self.children.iter().filter_map(|node| {
            let place = match node.name.text.as_slice() {
                b"http" => Place::Http,
                b"server" if self.place != Place::Main || !self.has("http") => Place::Server,
                b"location" => Place::Location,
                b"if" => Place::If,
                b"limit_except" => Place::LimitExcept,
                _ => return None,
            };
            Some(Block { place, node: Some(node), children: node.block.as_deref()?, around: Some(self) })
        })
    }

    /// The locations inside, in order.
    pub fn locations(&'b self) -> impl Iterator<Item = Block<'b>> {
        self.blocks().filter(|block| block.place == Place::Location)
    }

    /// The directives of these names that stand here, in order.
    pub fn own(&self, names: &[&str]) -> impl Iterator<Item = &'b Node> {
        self.children.iter().filter(move |node| names.iter().any(|name| node.name.text == name.as_bytes()))
    }

    /// Whether a directive of this name stands here.
    pub fn has(&self, name: &str) -> bool {
        self.own(&[name]).next().is_some()
    }

    /// This block and those around it.
    pub fn outward(&self) -> impl Iterator<Item = Block<'b>> {
        std::iter::successors(Some(*self), |block| block.around.copied())
    }

    /// The innermost block, this one or one around it, in which one of these stands: what is in force here.
    pub fn nearest(&self, names: &[&str]) -> Option<Block<'b>> {
        self.outward().find(|block| block.own(names).next().is_some())
    }

    /// The directive of this name that is in force here.
    pub fn in_force(&self, name: &str) -> Option<&'b Node> {
        self.nearest(&[name])?.own(&[name]).last()
    }

    /// Whether the flag or word of this name is in force as `value`.
    pub fn is_set(&self, name: &str, value: &str) -> bool {
        self.in_force(name).is_some_and(|node| node.args.first().is_some_and(|word| is(word, value)))
    }

    /// The server this stands in.
    pub fn server(&self) -> Option<Block<'b>> {
        self.outward().find(|block| block.place == Place::Server)
    }

    /// How a location is found, and by what text; none for another block.
    pub fn matching(&self) -> Option<(Matching, &'b [u8])> {
        let node = self.node.filter(|_| self.place == Place::Location)?;
        let (modifier, text): (&[u8], &[u8]) = match node.args.as_slice() {
            [modifier, path] => (&modifier.text, &path.text),
            [path] => {
                let glued = ["~*", "^~", "~", "="].iter().map(|mark| mark.as_bytes());
                let mut split = glued.filter_map(|mark| Some((mark, path.text.strip_prefix(mark)?)));
                split.next().unwrap_or((b"", &path.text))
            }
            _ => return None,
        };
        let matching = match modifier {
            b"=" => Matching::Exact,
            b"~" => Matching::Regex { caseless: false },
            b"~*" => Matching::Regex { caseless: true },
            b"" if text.starts_with(b"@") => Matching::Named,
            modifier => Matching::Prefix { is_final: modifier == b"^~" },
        };
        Some((matching, text))
    }
}

/// Whether a word is this one, in any case.
pub fn is(word: &Word, value: &str) -> bool {
    word.text.eq_ignore_ascii_case(value.as_bytes())
}

/// A word of the conf as text, if it holds no variable.
pub fn literal(word: &Word) -> Option<&str> {
    std::str::from_utf8(&word.text).ok().filter(|text| !text.contains('$'))
}
