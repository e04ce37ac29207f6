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
        name: "upstream",
        syntax: "name",
        contexts: Contexts::HTTP,
        inside: Contexts::UPSTREAM,
        arity: (1, 1),
        doc: "Servers that requests are passed to under one name, such as that of `proxy_pass http://name;`. Each `server` line is one; \
              they take turns unless another method is named. A server that fails is left alone for a while, and the request \
              goes to the next.",
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

/// The rows by name, but for those of upstreams.
pub(super) static INDEX: LazyLock<HashMap<&'static str, &'static Row>> =
    LazyLock::new(|| ROWS.iter().filter(|row| !is_of_upstream(row)).map(|row| (row.manual.name, row)).collect());

/// The rows of upstreams by name. Some names mean another thing there than elsewhere (`server`, `keepalive_timeout`).
pub(super) static IN_UPSTREAM: LazyLock<HashMap<&'static str, &'static Row>> =
    LazyLock::new(|| ROWS.iter().filter(|row| is_of_upstream(row)).map(|row| (row.manual.name, row)).collect());

fn is_of_upstream(row: &Row) -> bool {
    row.manual.contexts == Contexts::UPSTREAM
}

/// Whether a word is the name of a directive, ours or one of nginx's.
pub fn is_known(name: &[u8]) -> bool {
    contexts_of(name).is_some()
}

/// Where a directive of this name may stand; none for a name nobody knows.
pub fn contexts_of(name: &[u8]) -> Option<Contexts> {
    let name = std::str::from_utf8(name).ok()?;
    let rows = [&INDEX, &IN_UPSTREAM].map(|index| index.get(name).map(|row| row.manual.contexts));
    let block = BLOCKS.iter().find(|block| block.name == name).map(|block| block.contexts);
    let ours = rows.into_iter().chain([block]).flatten().reduce(Contexts::or);
    ours.or_else(|| reference::lookup(name).map(|known| known.contexts))
}

/// The row of a simple directive of ours: the one that means something here, else the one of that name.
pub(super) fn row(name: &[u8], context: Contexts) -> Option<&'static Row> {
    let name = std::str::from_utf8(name).ok()?;
    let (inside, outside) = (IN_UPSTREAM.get(name).copied(), INDEX.get(name).copied());
    if context == Contexts::UPSTREAM { inside.or(outside) } else { outside.or(inside) }
}

/// The row of a block directive of ours. In an upstream `server` is none.
pub(super) fn block(name: &[u8], context: Contexts) -> Option<&'static BlockRow> {
    let is_simple = context == Contexts::UPSTREAM && row(name, context).is_some();
    BLOCKS.iter().find(|block| block.name.as_bytes() == name && !is_simple)
}
