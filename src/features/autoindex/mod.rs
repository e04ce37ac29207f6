//! Listings of a folder. `rows` has the settings and the step, `making` reads a folder and writes the page, a little in each turn;
//! `render` knows nginx's four formats byte for byte, `theme` the page that is pleasant to look at. Those two open no file.

mod making;
pub mod render;
pub mod rows;
pub mod theme;

pub use rows::{Around, Conf, DIRECTIVES, State, VARIABLES, step};

use std::sync::LazyLock;

use jiff::tz::TimeZone;

static UTC: TimeZone = TimeZone::UTC;
static LOCAL: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

/// What an entry is, symlinks followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A regular file.
    File,
    /// A socket, a FIFO, a device, or a link that leads nowhere.
    Other,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as the file system holds it.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last changed, in seconds since 1970; earlier times are shown as 1970.
    pub mtime: i64,
}

/// The formats of `autoindex_format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// A page with a preformatted list.
    #[default]
    Html,
    /// An array of objects.
    Json,
    /// The same within a call of the function that the argument `callback` names; JSON without one.
    Jsonp,
    /// A document with one element for each entry.
    Xml,
}

/// How a folder is shown: what two requests have in common that get the same page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Look {
    /// The decoded path of the request, with the slash at its end.
    pub uri: Vec<u8>,
    /// In which format.
    pub style: Style,
    /// Whether sizes are written in full (`autoindex_exact_size`).
    pub exact_size: bool,
    /// Whether HTML pages name times in the server's zone (`autoindex_localtime`) rather than in UTC.
    pub localtime: bool,
    /// Whether names are cut by characters rather than bytes: the answer's charset is UTF-8.
    pub utf8: bool,
}

/// What is made of the entries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Style {
    /// nginx's page.
    Html,
    /// An array of objects; a call of JSONP stands around it.
    Json,
    /// A document with one element for each entry.
    Xml,
    /// The page that is pleasant to look at, sorted so, with this line at its foot.
    Theme(theme::Sort, String),
}

impl Look {
    fn zone(&self) -> &'static TimeZone {
        if self.localtime { &LOCAL } else { &UTC }
    }
}

impl Entry {
    /// The time as the date functions take it.
    fn seconds(&self) -> u64 {
        u64::try_from(self.mtime).unwrap_or(0)
    }

    fn is_dir(&self) -> bool {
        self.kind == Kind::Directory
    }
}

/// Checks the argument `callback` of a JSONP request: an empty one counts as none; one that could be more than a
/// function's name (anything but letters, digits, `_` and `.`) or exceeds 128 bytes is an error (400).
pub fn callback(argument: Option<&[u8]>) -> Result<Option<&[u8]>, &'static str> {
    match argument {
        None | Some([]) => Ok(None),
        Some(name) if name.len() > 128 => Err("callback name is too long"),
        Some(name) if name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')) => Ok(Some(name)),
        Some(_) => Err("callback name holds more than letters, digits, \"_\" and \".\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks() {
        let long = [b'x'; 129];
        for name in [&b"my.cb_1"[..], b"7", &long[..128]] {
            assert_eq!(callback(Some(name)), Ok(Some(name)));
        }
        for none in [None, Some(&b""[..])] {
            assert_eq!(callback(none), Ok(None));
        }
        for refused in [&long[..], b"a(b", b"%41", b"a b", b"\xc3\xa9", b"a\0"] {
            assert!(callback(Some(refused)).is_err(), "{refused:?}");
        }
    }
}
