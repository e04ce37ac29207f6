//! A directive is one row: its name, its manual, where it may stand and how it is read. The
//! rows live with their features; this file only says what a row is.

use super::args::{Args, Fault};

/// A set of places where a directive may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contexts(pub u16);

impl Contexts {
    /// Outside any block.
    pub const MAIN: Contexts = Contexts(1);
    /// `events { }`.
    pub const EVENTS: Contexts = Contexts(1 << 1);
    /// `http { }`.
    pub const HTTP: Contexts = Contexts(1 << 2);
    /// `server { }`.
    pub const SERVER: Contexts = Contexts(1 << 3);
    /// `location { }`.
    pub const LOCATION: Contexts = Contexts(1 << 4);
    /// `if { }` in a server.
    pub const IF_SERVER: Contexts = Contexts(1 << 5);
    /// `if { }` in a location.
    pub const IF_LOCATION: Contexts = Contexts(1 << 6);
    /// `limit_except { }`.
    pub const LIMIT_EXCEPT: Contexts = Contexts(1 << 7);
    /// `upstream { }`.
    pub const UPSTREAM: Contexts = Contexts(1 << 8);
    /// http, server and location.
    pub const SCOPES: Contexts = Contexts(Self::HTTP.0 | Self::SERVER.0 | Self::LOCATION.0);

    /// Both sets.
    pub const fn or(self, other: Contexts) -> Contexts {
        Contexts(self.0 | other.0)
    }

    /// Whether the two sets share a place.
    pub const fn meets(self, other: Contexts) -> bool {
        self.0 & other.0 != 0
    }

    /// The names as nginx's documentation writes them, in its order.
    pub fn names(self) -> Vec<&'static str> {
        const ALL: [&str; 9] = [
            "main",
            "events",
            "http",
            "server",
            "location",
            "if in server",
            "if in location",
            "limit_except",
            "upstream",
        ];
        ALL.iter().enumerate().filter(|(i, _)| self.0 & (1 << i) != 0).map(|(_, name)| *name).collect()
    }
}

/// How many arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// Exactly `on` or `off`.
    Flag,
    /// From the first to the second number of words.
    Words(u8, u8),
    /// At least so many words.
    AtLeast(u8),
}

/// What a second use of the same directive in one block means.
pub enum Repeat<C> {
    /// An error: "is duplicate".
    Refused,
    /// Each use adds or replaces; the setter decides.
    Allowed,
    /// Each use adds to a list that the first use in a block empties of what was inherited.
    /// Directives that name the same key share one list (`allow` and `deny`).
    List {
        /// Names the list within this feature.
        key: &'static str,
        /// Empties it.
        clear: fn(&mut C),
    },
}

/// Whether a block inside gets the value.
pub enum Inherit<C> {
    /// Yes.
    Yes,
    /// Yes, after the function has changed it.
    Changed(fn(&mut C)),
    /// No: the function puts the default back.
    No(fn(&mut C)),
    /// Only an `if` or `limit_except` inside the same location (a content handler).
    IntoIf(fn(&mut C)),
}

/// The part of a row that does not depend on the feature's settings.
#[derive(Debug, Clone, Copy)]
pub struct Manual {
    /// The name.
    pub name: &'static str,
    /// The forms it may take, without name and semicolon: `"on | off"`, `"size"`.
    pub syntax: &'static [&'static str],
    /// The default as it would stand in a conf, without name and semicolon.
    pub default: Option<&'static str>,
    /// Where it may stand.
    pub contexts: Contexts,
    /// How many arguments.
    pub arity: Arity,
    /// Whether it takes a block of plain data (`types { }`).
    pub block: bool,
    /// One to six sentences of Markdown.
    pub doc: &'static str,
}

/// One directive of the feature whose settings are `C`.
pub struct Directive<C: 'static> {
    /// Name, syntax, contexts and text.
    pub manual: Manual,
    /// What a second use means.
    pub repeat: Repeat<C>,
    /// Whether blocks inside get it.
    pub inherit: Inherit<C>,
    /// Reads the arguments into the settings.
    pub set: fn(&mut C, &mut Args<'_>) -> Result<(), Fault>,
}
