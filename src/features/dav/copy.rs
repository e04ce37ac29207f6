//! COPY and MOVE: where they lead, what may stand in the way, and what must not be copied. How it is done stands in `work.rs`.

use std::io::{self, ErrorKind};

use super::asking::{Asking, Branch, Side};
use super::put::Way;
use super::tree::Reach;
use super::work::{Order, Work, open_source};
use super::{
    Around, Conf, Counted, Depth, Looked, Spot, accounts, bad_depth, depth, exists, failed, refuse_body, withhold,
};
use crate::exchange::Exchange;
use crate::exchange::admission::Question;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::store::Found;
use crate::exchange::symlinks::Symlinks;
use crate::exchange::trees::Tree;
use crate::http::method::Method;
use crate::http::{escape, target};

/// What the head of a request to copy or move says.
struct Wanted {
    to: Destination,
    moves: bool,
    depth: Depth,
    overwrites: bool,
}

/// Where it leads, as the Destination field says: a path that is decoded once, and a query.
struct Destination {
    path: Vec<u8>,
    args: Option<Vec<u8>>,
}

impl Wanted {
    /// Reads it; what makes no sense is refused before anything is looked at.
    fn read(x: &Exchange) -> Result<Wanted, HttpError> {
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
        Ok(Wanted { to, moves, depth, overwrites: overwrite(x)? })
    }

    /// Whether this client might put something there.
    fn question(&self, x: &Exchange) -> Question {
        let path = &self.to.path;
        let args = self.to.args.clone();
        Question { args, is_named: true, ..Question::of(Method::Put, path, &x.path_of(path)) }
    }
}

/// Asks what can be asked without a look at what stands on disk.
pub fn begin(x: &Exchange, asking: &mut Asking) -> Result<(), HttpError> {
    let wanted = Wanted::read(x)?;
    // What is asked last is answered first.
    if !x.uri.ends_with(b"/") {
        let there = Question::unrefused(Method::Get, &wanted.to.path);
        let args = x.args.clone();
        asking.show(Question { args, ..Question::of(Method::Get, &x.uri, &x.path_of(&x.uri)) }, there);
    }
    asking.ask(wanted.question(x));
    Ok(())
}

/// Begins to copy or move what the path names to where the Destination field says, once all was asked.
pub fn look(x: &Exchange, conf: &Conf, around: Around<'_>, asking: &mut Asking) -> Result<Looked, HttpError> {
    let wanted = Wanted::read(x)?;
    let (uri, moves, overwrites) = (&wanted.to.path, wanted.moves, wanted.overwrites);
    let (from_path, to_path) = (x.path_of(&x.uri), x.path_of(uri));
    let from = Spot::find(x, &from_path);
    let to = match Spot::find(x, &to_path) {
        Err(error) if error.kind() == ErrorKind::NotFound && moves && !uri.ends_with(b"/") && from.is_ok() => {
            let way = Way::find(x, &to_path, uri)?;
            if !asking.has_way(&way) {
                return Ok(Looked::More);
            }
            if let Some(step) = withhold(x, "makes the folders on the way and moves the file to", &to_path) {
                return Ok(Looked::Done(step));
            }
            // As nginx: the way to a file that is moved is made.
            way.make(x, conf, &to_path)?;
            Spot::find(x, &to_path)
        }
        found => found,
    };
    let way = if uri.ends_with(b"/") { 404 } else { 409 };
    let to = to.map_err(|error| failed("open()", &to_path, &error, if is_below_file(&error) { 404 } else { way }))?;
    let there = found_there(x, &to, &wanted)?;
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
    let trees = apart(x, &from, &to, moves)?;
    if !asking.is_ready(x, trees, (there, &to_path))? {
        ask(x, &wanted, &from, &to, (is_folder, there), asking)?;
        return Ok(Looked::More);
    }
    let accounts = match accounts(x, around, &to.folder, &to_path)? {
        Counted::Known(accounts) => accounts,
        Counted::Later(step) => return Ok(Looked::Later(step)),
    };
    let what = match (moves, is_folder) {
        (true, true) => "moves the folder to",
        (true, false) => "moves the file to",
        (false, true) => "copies the folder to",
        (false, false) => "copies the file to",
    };
    let failed = |error| failed("stat()", &to_path, &error, 404);
    let _alone = from.folder.alone_with(&to.folder).map_err(failed)?;
    x.may_change(&from.folder, &from.name, around.tags)?;
    if let Some(step) = withhold(x, what, &to_path) {
        return Ok(Looked::Done(step));
    }
    let replaces = to.folder.find(&to.name).is_ok();
    if replaces && !overwrites {
        return Err(exists(&to_path));
    }
    let rule = x.symlinks(&from.path);
    let follows = rule == Symlinks::Followed;
    let reach = if wanted.depth == Depth::Zero { Reach::Itself } else { Reach::All { follows } };
    let reach = is_folder.then_some(reach);
    let asked = Some(std::mem::take(&mut asking.asked));
    let order = Order { from, to, moves, replaces, overwrites, rule, reach, accounts, asked };
    Work::carry(order).map(Looked::work)
}

/// What stands at the destination; what may not be replaced is an error.
fn found_there(x: &Exchange, to: &Spot, wanted: &Wanted) -> Result<Option<Found>, HttpError> {
    let uri = &wanted.to.path;
    let there = match to.folder.find(&to.name) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed("lstat()", &to.path, &error, 404)),
    };
    if there == Some(Found::Folder) && !uri.ends_with(b"/") {
        let (own, other) = (escape::error_log(&x.uri), escape::error_log(uri));
        let text = format!("\"{own}\" could not be {}ed to collection \"{other}\"", x.method().as_str());
        return Err(HttpError::new(409, "is-folder").log(Level::Error, text));
    }
    match there.is_some() && !wanted.overwrites {
        true => Err(exists(&to.path)),
        false => Ok(there),
    }
}

/// Asks for what stands on disk: what is copied or moved, and what goes for it.
fn ask(
    x: &Exchange,
    wanted: &Wanted,
    from: &Spot,
    to: &Spot,
    (is_folder, there): (bool, Option<Found>),
    asking: &mut Asking,
) -> Result<(), HttpError> {
    let failed = |error| failed("open()", &from.path, &error, 404);
    let uri = &wanted.to.path;
    if !is_folder {
        let size = x.stat(&from.path).map_err(failed)?.size;
        asking.ask(Question { size: Some(size), ..wanted.question(x) });
        return Ok(());
    }
    asking.ask_bare(Method::Put, uri);
    let readable = |uri: &[u8]| Question::unrefused(Method::Get, uri);
    asking.show(readable(&x.uri), readable(uri));
    if wanted.moves {
        asking.ask_bare(Method::Move, &x.uri);
    }
    let target = Side { uri: uri.clone(), path: to.path.clone() };
    match there {
        None => {}
        Some(Found::Folder) => {
            let folder = to.folder.inner(&to.name).map_err(failed)?;
            let (from, takes) = (target.clone(), Some(Method::Delete));
            asking.branch(Branch { folder, from, takes, to: None, follows: false, is_source: false });
        }
        Some(_) => asking.ask_bare(Method::Delete, uri),
    }
    if wanted.depth == Depth::Infinity {
        let rule = x.symlinks(&from.path);
        let folder = open_source(from, &rule).and_then(TryInto::try_into).map_err(failed)?;
        let takes = wanted.moves.then_some(Method::Move);
        let from = Side { uri: x.uri.clone(), path: from.path.clone() };
        let follows = rule == Symlinks::Followed;
        asking.branch(Branch { folder, from, takes, to: Some(target), follows, is_source: true });
    }
    Ok(())
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

/// Both ends by their true paths. RFC 4918 sections 9.8.5 and 9.9.4: nothing is copied or moved onto itself. Neither goes a folder
/// into itself, nor onto one that it stands in, which would be removed first.
fn apart(x: &Exchange, from: &Spot, to: &Spot, moves: bool) -> Result<Vec<Tree>, HttpError> {
    let inside = |path: &[u8], of: &[u8]| path.starts_with(of) && path.get(of.len()) == Some(&b'/');
    let paths = from.true_path().and_then(|from| to.true_path().map(|to| (from, to)));
    let (own, other) = paths.map_err(|error| failed("realpath()", &to.path, &error, 404))?;
    if own != other && !inside(&own, &other) && !inside(&other, &own) {
        return Ok(vec![Tree { path: own, is_read: !moves }, Tree { path: other, is_read: false }]);
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
