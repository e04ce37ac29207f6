//! Sets of media types, as `gzip_types` and its like name them: what an answer's Content-Type is compared with.

/// A set of media types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaTypes {
    all: bool,
    /// In lower case.
    types: Vec<Box<[u8]>>,
}

impl MediaTypes {
    /// The set of these, written in lower case.
    pub fn of(types: &[&str]) -> Self {
        MediaTypes { all: false, types: types.iter().map(|kind| kind.as_bytes().into()).collect() }
    }

    /// Adds a type, or all by `*`; false if it was there before.
    pub fn add(&mut self, kind: &[u8]) -> bool {
        if kind == b"*" {
            return !std::mem::replace(&mut self.all, true);
        }
        let kind = kind.to_ascii_lowercase().into_boxed_slice();
        let is_new = !self.types.contains(&kind);
        self.types.extend(is_new.then_some(kind));
        is_new
    }

    /// Whether it is all of them.
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// Whether the type that a Content-Type begins with is in the set. Its parameters do not count. The set of all holds what has no
    /// type as well.
    pub fn has(&self, content_type: &[u8]) -> bool {
        let kind = content_type.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
        self.all || (!kind.is_empty() && self.types.iter().any(|known| known.eq_ignore_ascii_case(kind)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        let mut set = MediaTypes::of(&["text/html"]);
        assert!(set.add(b"Text/CSS") && !set.add(b"text/css") && !set.add(b"text/html"));
        for (kind, want) in [
            ("text/html", true),
            ("TEXT/css ; charset=x", true),
            ("text/html;charset=utf-8", true),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(set.has(kind.as_bytes()), want, "{kind}");
        }
        assert!(set.add(b"*") && !set.add(b"*"));
        assert!(set.has(b"a/b") && set.has(b""));
    }
}
