//! Which names there are: the small table of block directives, and the look-up of any name, ours or nginx's.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::ROWS;
use super::rows::Row;
use crate::conf::directive::Contexts;
use crate::conf::reference;

/// A block directive.
pub struct BlockRow {
    /// Its name.
    pub name: &'static str,
    /// Its arguments.
    pub syntax: &'static str,
    /// Where it may stand.
    pub contexts: Contexts,
    /// What stands inside it.
    pub inside: Contexts,
    /// How many words it takes.
    pub arity: (usize, usize),
    /// Its text.
    pub doc: &'static str,
}

/// The block directives: the second, small table.
pub const BLOCKS: &[BlockRow] = &[
    BlockRow {
        name: "events",
        syntax: "",
        contexts: Contexts::MAIN,
        inside: Contexts::EVENTS,
        arity: (0, 0),
        doc: "Holds what concerns connections as such. It may be left out.",
    },
    BlockRow {
        name: "http",
        syntax: "",
        contexts: Contexts::MAIN,
        inside: Contexts::HTTP,
        arity: (0, 0),
        doc: "Holds the servers and what they share. A conf without it may hold `server` blocks at top level.",
    },
    BlockRow {
        name: "server",
        syntax: "",
        contexts: Contexts::HTTP,
        inside: Contexts::SERVER,
        arity: (0, 0),
        doc: "One server: its addresses by `listen`, its host names by `server_name`, and its locations.",
    },
    BlockRow {
        name: "location",
        syntax: "[= | ~ | ~* | ^~] uri | @name",
        contexts: Contexts::SERVER.or(Contexts::LOCATION),
        inside: Contexts::LOCATION,
        arity: (1, 2),
        doc: "Settings for a part of the URIs. An exact location (`=`) is taken at once; else the longest prefix is \
              remembered and the regexes (`~`, or `~*` without regard to case) are asked in the order they stand, unless the prefix \
              has `^~`; the first that matches is taken, else the prefix. `@name` is reached only from inside.",
    },
    BlockRow {
        name: "if",
        syntax: "(condition)",
        contexts: Contexts::SERVER.or(Contexts::LOCATION),
        inside: Contexts::IF_SERVER.or(Contexts::IF_LOCATION),
        arity: (1, usize::MAX),
        doc: "What stands inside holds if the condition does: a variable that is neither empty nor `0`; a variable compared by `=` or \
              `!=`; one matched with a regex by `~`, `~*` (without regard to case), `!~` or `!~*`; a file that is there by `-f`, a \
              folder by `-d`, one of both by `-e`, one to execute by `-x`, each also with `!` before it. Its `set`, `rewrite`, `return` \
              and `break` run in order with those around it. In a location it may hold other settings too: those of \
              the last `if` that was true are in force.",
    },
    BlockRow {
        name: "limit_except",
        syntax: "method ...",
        contexts: Contexts::LOCATION,
        inside: Contexts::LIMIT_EXCEPT,
        arity: (1, 16),
        doc: "Settings for all methods but these; `GET` includes `HEAD`. Usually it holds `deny all;`.",
    },
];

/// The rows by name.
pub(super) static INDEX: LazyLock<HashMap<&'static str, &'static Row>> =
    LazyLock::new(|| ROWS.iter().map(|row| (row.manual.name, row)).collect());

/// Whether a word is the name of a directive, ours or one of nginx's.
pub fn is_known(name: &[u8]) -> bool {
    contexts_of(name).is_some()
}

/// Where a directive of this name may stand; none for a name nobody knows.
pub fn contexts_of(name: &[u8]) -> Option<Contexts> {
    let name = std::str::from_utf8(name).ok()?;
    let row = INDEX.get(name).map(|row| row.manual.contexts);
    let block = BLOCKS.iter().find(|block| block.name == name).map(|block| block.contexts);
    row.or(block).or_else(|| reference::lookup(name).map(|known| known.contexts))
}

/// The row of a simple directive of ours.
pub(super) fn row(name: &[u8]) -> Option<&'static Row> {
    std::str::from_utf8(name).ok().and_then(|name| INDEX.get(name).copied())
}
