//! From a URI to a path: root, alias, and the policy by which files are opened here.

use std::borrow::Cow;
use std::sync::Arc;

use super::Exchange;
use super::files::{Opened, Policy, Stat};
use super::symlinks::Symlinks;
use crate::conf::value::{Piece, Text};

/// How URIs become paths in one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// `root`, absolute unless a variable leads it.
    pub root: Text,
    /// `alias`, which takes the place of the location's own prefix.
    pub alias: Option<Alias>,
    /// Whether the block that is being read has set one of the two.
    pub is_set_here: bool,
}

impl Default for Root {
    fn default() -> Self {
        Root { root: Text::literal("html"), alias: None, is_set_here: false }
    }
}

/// `alias` of a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// What stands in the place of the prefix.
    pub text: Text,
    /// How many bytes of the URI the location's prefix takes; none in a regex location, where
    /// the text is the whole path.
    pub prefix: Option<usize>,
}

/// Where files are for the current location.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// How URIs become paths.
    pub root: Arc<Root>,
    /// How files are opened.
    pub policy: Arc<Policy>,
}

impl Exchange {
    /// The path of a URI here, as bytes.
    pub fn path_of(&self, uri: &[u8]) -> Vec<u8> {
        let root = self.place.root.clone();
        let mut path;
        match &root.alias {
            Some(Alias { text, prefix: Some(n) }) => {
                path = self.absolute(self.eval(text).into_owned());
                path.extend_from_slice(uri.get(*n..).unwrap_or(b""));
            }
            Some(Alias { text, prefix: None }) => path = self.absolute(self.eval(text).into_owned()),
            None => {
                path = self.absolute(self.eval(&root.root).into_owned());
                // A variable may make a URI without a slash: `-old/a` is no file of the folder beside `root`.
                if !uri.is_empty() && uri[0] != b'/' && path.last() != Some(&b'/') {
                    path.push(b'/');
                }
                path.extend_from_slice(uri);
            }
        }
        path
    }

    /// Whether the path of this request would lead out of the folder that the conf names. A client's URI holds no
    /// `..` segment any more; one may come from an internal redirect to a variable's value, from a capture in
    /// `alias`, or where an alias with a slash at its end replaces a prefix without one (`/i../x` begins with `/i`).
    pub fn climbs(&self) -> bool {
        if ups(&self.uri) > usize::from(self.course.ups) {
            return true;
        }
        let (text, tail) = match &self.place.root.alias {
            Some(Alias { text, prefix: Some(n) }) => (text, self.uri.get(*n..).unwrap_or_default()),
            Some(Alias { text, prefix: None }) => (text, &b""[..]),
            None => (&self.place.root.root, &b""[..]),
        };
        match text.constant() {
            Some(text) => self.course.ups == 0 && text.ends_with(b"/") && (tail == b".." || tail.starts_with(b"../")),
            None => self.leads_up(text, tail),
        }
    }

    /// How many `..` segments this text of the conf brings, if its variables bring none.
    pub fn own_ups(&self, text: &Text) -> Option<u8> {
        if self.leads_up(text, b"") { None } else { u8::try_from(ups(&self.eval(text))).ok() }
    }

    /// Allows the next internal redirect the `..` segments that this text of the conf brings to what stands before it.
    pub fn allow_ups(&mut self, before: u8, text: &Text) {
        self.course.next_ups = self.own_ups(text).map_or(0, |ups| before.saturating_add(ups));
    }

    /// Whether a text's variables, or what is appended to it, bring a `..` segment that does not stand in the conf.
    pub fn leads_up(&self, text: &Text, tail: &[u8]) -> bool {
        let own = |piece: &Piece| if let Piece::Literal(text) = piece { ups(text) } else { 0 };
        ups(&[&self.eval(text), tail].concat()) > text.pieces.iter().map(own).sum()
    }

    /// The same of a text that names a file beside the request's own. The document root may stand in it, with whatever way up the
    /// conf wrote there.
    pub fn leads_astray(&self, text: &Text) -> bool {
        if text.constant().is_some() || ups(&self.eval(text)) == 0 {
            return false;
        }
        let root = self.document_root();
        let own = |piece: &Piece| match (piece, self.piece(piece)) {
            (Piece::Literal(text), _) => ups(text),
            (_, Some(value)) if value.starts_with(&root) => ups(&root),
            _ => 0,
        };
        self.climbs() || ups(&self.eval(text)) > text.pieces.iter().map(own).sum()
    }

    /// The document root: `root`, or `alias` as far as it is fixed.
    pub fn document_root(&self) -> Cow<'_, [u8]> {
        let root = &self.place.root;
        let text = root.alias.as_ref().map_or(&root.root, |alias| &alias.text);
        match self.eval(text) {
            whole if whole.first() == Some(&b'/') => whole,
            part => Cow::Owned(self.absolute(part.into_owned())),
        }
    }

    /// Opens a file by the policy of this place.
    pub fn open(&self, path: &[u8]) -> std::io::Result<Opened> {
        super::files::open(path, &self.policy(path))
    }

    /// Looks at a file by the policy of this place, without opening it.
    pub fn stat(&self, path: &[u8]) -> std::io::Result<Stat> {
        super::files::stat(path, &self.policy(path))
    }

    /// The rule about symbolic links on the way to a path here.
    pub fn symlinks(&self, path: &[u8]) -> Symlinks {
        self.policy(path).symlinks
    }

    /// The policy for one path: what `from=` trusts depends on it.
    fn policy(&self, path: &[u8]) -> Cow<'_, Policy> {
        let policy = self.place.policy.as_ref();
        let Some(text) = &policy.trusted else { return Cow::Borrowed(policy) };
        let trusted = self.absolute(self.eval(text).into_owned());
        // Whole names only: `/srv/www` is no beginning of `/srv/www2/a`.
        let begins = path.starts_with(&trusted)
            && (trusted.ends_with(b"/") || matches!(path.get(trusted.len()), None | Some(b'/')));
        let from = if begins { trusted.len() } else { 0 };
        Cow::Owned(Policy { symlinks: policy.symlinks.trusting(from), ..policy.clone() })
    }

    fn absolute(&self, path: Vec<u8>) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;
        if path.first() == Some(&b'/') {
            return path;
        }
        let mut whole = self.prefix.as_os_str().as_bytes().to_vec();
        if whole.last() != Some(&b'/') {
            whole.push(b'/');
        }
        whole.extend_from_slice(&path);
        whole
    }
}

/// How many segments of a path are `..`.
fn ups(path: &[u8]) -> usize {
    if !path.windows(2).any(|pair| pair == b"..") {
        return 0;
    }
    path.split(|&b| b == b'/').filter(|segment| *segment == b"..").count()
}
