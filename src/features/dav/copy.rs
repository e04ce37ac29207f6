//! COPY and MOVE: where they lead, what may stand in the way, and what must not be copied. How it is done stands in `work.rs`.

use std::io::{self, ErrorKind};

use super::put::make_way;
use super::tree::Reach;
use super::work::{Order, Work};
use super::{
    Begun, Conf, Counted, Depth, Destination, Spot, accounts, bad_depth, depth, exists, failed, refuse_body, withhold,
};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::store::Found;
use crate::exchange::symlinks::Symlinks;
use crate::http::method::Method;
use crate::http::{escape, target};

/// What the head of a request to copy or move says.
pub struct Asked {
    /// Where it leads.
    pub to: Destination,
    moves: bool,
    depth: Depth,
    overwrites: bool,
}

impl Asked {
    /// Reads it; what makes no sense is refused before anything is looked at.
    pub fn read(x: &Exchange) -> Result<Asked, HttpError> {
        refuse_body(x, "COPY and MOVE with body are unsupported")?;
        let moves = x.method() == Method::Move;
        let to = destination(x)?;
        if x.uri.ends_with(b"/") != to.path.ends_with(b"/") {
            let (from, to) = (escape::error_log(&x.uri), escape::error_log(&to.path));
            let text = format!(
                "both URI \"{from}\" and \"Destination\" URI \"{to}\" should be either collections or non-collections"
            );
            return Err(HttpError::new(409, "mixed-destination").log(Level::Error, text));
        }
        let depth = depth(x, Depth::Infinity)?;
        match depth {
            Depth::Zero if moves => return Err(bad_depth("\"Depth\" header must be infinity")),
            Depth::One => return Err(bad_depth("\"Depth\" header must be 0 or infinity")),
            Depth::Zero | Depth::Infinity => {}
        }
        Ok(Asked { to, moves, depth, overwrites: overwrite(x)? })
    }
}

/// Begins to copy or move what the path names to where the Destination field says.
pub fn begin(x: &Exchange, conf: &Conf, tags: bool, asked: &Asked) -> Result<Begun, HttpError> {
    let Asked { to: Destination { path: uri, .. }, moves, depth, overwrites } = asked;
    let (moves, depth, overwrites) = (*moves, *depth, *overwrites);
    let (from_path, to_path) = (x.path_of(&x.uri), x.path_of(uri));
    let from = Spot::find(x, &from_path);
    let to = match Spot::find(x, &to_path) {
        Err(error) if error.kind() == ErrorKind::NotFound && moves && !uri.ends_with(b"/") && from.is_ok() => {
            if let Some(step) = withhold(x, "makes the folders on the way and moves the file to", &to_path) {
                return Ok(Begun::Not(step));
            }
            // As nginx: the way to a file that is moved is made.
            make_way(x, conf, &to_path)?;
            Spot::find(x, &to_path)
        }
        found => found,
    };
    let way = if uri.ends_with(b"/") { 404 } else { 409 };
    let to = to.map_err(|error| failed("open()", &to_path, &error, if is_below_file(&error) { 404 } else { way }))?;
    let there = match to.folder.find(&to.name) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed("lstat()", &to_path, &error, 404)),
    };
    if there == Some(Found::Folder) && !uri.ends_with(b"/") {
        let (own, other) = (escape::error_log(&x.uri), escape::error_log(uri));
        let text = format!("\"{own}\" could not be {}ed to collection \"{other}\"", x.method().as_str());
        return Err(HttpError::new(409, "is-folder").log(Level::Error, text));
    }
    if there.is_some() && !overwrites {
        return Err(exists(&to_path));
    }
    let from = from.map_err(|error| failed("lstat()", &from_path, &error, 404))?;
    let found = from.folder.find(&from.name).map_err(|error| failed("lstat()", &from_path, &error, 404))?;
    let is_folder = leads_to_folder(x, &from, found)?;
    match (is_folder, x.uri.ends_with(b"/")) {
        (true, false) => {
            let text = format!("\"{}\" is collection", escape::error_log(&x.uri));
            return Err(HttpError::new(400, "is-folder").log(Level::Error, text));
        }
        (false, true) => return Err(failed("lstat()", &from_path, &ErrorKind::NotADirectory.into(), 404)),
        _ => {}
    }
    refuse_itself(x, &from, &to)?;
    let accounts = match accounts(x, &to.folder, &to_path)? {
        Counted::Known(accounts) => accounts,
        Counted::Later(step) => return Ok(Begun::Not(step)),
    };
    let what = match (moves, is_folder) {
        (true, true) => "moves the folder to",
        (true, false) => "moves the file to",
        (false, true) => "copies the folder to",
        (false, false) => "copies the file to",
    };
    let failed = |error| failed("stat()", &to_path, &error, 404);
    let _alone = from.folder.alone_with(&to.folder).map_err(failed)?;
    x.may_change(&from.folder, &from.name, tags)?;
    if let Some(step) = withhold(x, what, &to_path) {
        return Ok(Begun::Not(step));
    }
    let replaces = to.folder.find(&to.name).is_ok();
    if replaces && !overwrites {
        return Err(exists(&to_path));
    }
    let rule = x.symlinks(&from.path);
    let follows = rule == Symlinks::Followed;
    let reach = if depth == Depth::Zero { Reach::Itself } else { Reach::All { follows } };
    let reach = is_folder.then_some(reach);
    let order = Order { from, to, moves, replaces, overwrites, rule, reach, accounts };
    Work::carry(order).map(|work| Begun::Work(Box::new(work)))
}

fn is_below_file(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotADirectory
}

/// Whether the source is a folder; a link counts as what it leads to.
fn leads_to_folder(x: &Exchange, from: &Spot, found: Found) -> Result<bool, HttpError> {
    let path = from.path.strip_suffix(b"/").unwrap_or(&from.path);
    match found {
        Found::Folder => Ok(true),
        Found::File(_) => Ok(false),
        Found::Other => {
            let stat = x.stat(path).map_err(|error| failed("stat()", path, &error, 404))?;
            match stat.kind {
                crate::exchange::files::Kind::Folder => Ok(true),
                crate::exchange::files::Kind::File => Ok(false),
                crate::exchange::files::Kind::Other => {
                    let text = format!("\"{}\" is not a regular file", escape::error_log(path));
                    Err(HttpError::new(403, "no-regular-file").log(Level::Error, text))
                }
            }
        }
    }
}

/// RFC 4918 sections 9.8.5 and 9.9.4: nothing is copied or moved onto itself. Neither goes a folder into itself, nor onto one
/// that it stands in, which would be removed first.
fn refuse_itself(x: &Exchange, from: &Spot, to: &Spot) -> Result<(), HttpError> {
    let inside = |path: &[u8], of: &[u8]| path.starts_with(of) && path.get(of.len()) == Some(&b'/');
    let true_path = |spot: &Spot| {
        use std::os::unix::ffi::OsStrExt;
        let folder = std::fs::canonicalize(spot.folder.path_of(b""));
        folder.map(|folder| {
            let folder = folder.as_os_str().as_bytes();
            [folder.strip_suffix(b"/").unwrap_or(folder), b"/", &spot.name].concat()
        })
    };
    let paths = true_path(from).and_then(|from| true_path(to).map(|to| (from, to)));
    let (own, other) = paths.map_err(|error| failed("realpath()", &to.path, &error, 404))?;
    if own != other && !inside(&own, &other) && !inside(&other, &own) {
        return Ok(());
    }
    let (uri, other) = (escape::error_log(&x.uri), escape::error_log(&to.path));
    let text = format!("\"{uri}\" and its destination \"{other}\" are the same, or one stands in the other");
    Err(HttpError::new(403, "onto-itself").log(Level::Error, text))
}

/// RFC 4918 section 10.6.
fn overwrite(x: &Exchange) -> Result<bool, HttpError> {
    match x.head.field(b"overwrite") {
        None | Some(b"T" | b"t") => Ok(true),
        Some(b"F" | b"f") => Ok(false),
        Some(other) => {
            let text = format!("client sent invalid \"Overwrite\" header: \"{}\"", escape::error_log(other));
            Err(HttpError::new(400, "bad-overwrite").log(Level::Error, text))
        }
    }
}

/// The path that the Destination field names (RFC 4918 section 10.3): on this host, decoded, and without a way up.
fn destination(x: &Exchange) -> Result<Destination, HttpError> {
    let Some(field) = x.head.field(b"destination") else {
        return Err(HttpError::new(400, "no-destination").log(Level::Error, "client sent no \"Destination\" header"));
    };
    let shown = escape::error_log(field);
    let invalid = || {
        let text = format!("client sent invalid \"Destination\" header: \"{shown}\"");
        HttpError::new(400, "bad-destination").log(Level::Error, text)
    };
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| field.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let raw = match scheme {
        None => field,
        Some(scheme) => {
            let rest = &field[scheme.len()..];
            let end = rest.iter().position(|&b| b == b'/').ok_or_else(invalid)?;
            let host = without_port(&rest[..end]).to_ascii_lowercase();
            if x.head.host() != Some(&host) {
                let text =
                    format!("\"Destination\" URI \"{shown}\" is handled by different repository than the source URI");
                return Err(HttpError::new(400, "other-host").log(Level::Error, text));
            }
            &rest[end..]
        }
    };
    if raw.first() != Some(&b'/') || climbs(raw) {
        return Err(invalid());
    }
    let mut path = Vec::new();
    let target = target::parse(raw, true, &mut path).map_err(|_| invalid())?;
    let args = target.args.map(|range| raw[range].to_vec());
    match &x.place.root.alias {
        // What does not begin with the location's prefix has no place below its alias.
        Some(alias) if alias.prefix.is_none_or(|n| x.uri.get(..n) != path.get(..n)) => Err(invalid()),
        _ => Ok(Destination { path, args }),
    }
}

/// A host without its port; an address in brackets keeps its colons.
fn without_port(authority: &[u8]) -> &[u8] {
    let from = authority.iter().rposition(|&b| b == b']').unwrap_or(0);
    authority[from..].iter().position(|&b| b == b':').map_or(authority, |at| &authority[..from + at])
}

/// Whether a path, decoded, has a segment that leads up. It is refused, not resolved.
fn climbs(raw: &[u8]) -> bool {
    let decoded = escape::percent_decode(raw.split(|&b| b == b'?' || b == b'#').next().unwrap_or_default());
    decoded.split(|&b| b == b'/').any(|segment| segment == b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ways_up() {
        for (authority, host) in [("h", "h"), ("h:1", "h"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")] {
            assert_eq!(without_port(authority.as_bytes()), host.as_bytes(), "{authority}");
        }
        for (raw, up) in [("/a/../b", true), ("/%2e%2E/b", true), ("/a..b", false), ("/a?../", false), ("/..", true)] {
            assert_eq!(climbs(raw.as_bytes()), up, "{raw}");
        }
    }
}
