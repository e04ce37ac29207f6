//! Which location a path leads to, and which file, as far as the conf's text settles it. For warnings only: what serves is
//! `route.rs`. Where it is not sure it says so.

use std::path::{Component, Path, PathBuf};

use super::block::{Block, Matching, literal};
use crate::conf::pattern::Pattern;

/// What answers otherwise than by a file, or changes the path before one is looked for.
const HANDLERS: &[&str] = &[
    "return",
    "rewrite",
    "if",
    "try_files",
    "proxy_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "memcached_pass",
    "cgi",
    "cgi_pass",
    "stub_status",
    "empty_gif",
    "perl",
    "js_content",
    "content_by_lua",
    "content_by_lua_block",
    "content_by_lua_file",
];

/// The file for a path in this server and the block that serves it; none where something else may answer.
pub fn file_of(server: &Block<'_>, prefix: &Path, path: &str, then: &mut dyn FnMut(&Block<'_>, &Path, &Path)) {
    if server.own(HANDLERS).next().is_some() {
        return;
    }
    take(server, path, &mut |block| {
        if block.own(HANDLERS).next().is_none()
            && let Some((root, file)) = root_of(block, prefix, path)
        {
            then(block, &root, &file);
        }
    });
}

/// Calls `then` with the location for a path, or the server itself, by the rules that requests follow.
pub fn take(block: &Block<'_>, path: &str, then: &mut dyn FnMut(&Block<'_>)) {
    let is_exact = |location: &Block<'_>| location.matching() == Some((Matching::Exact, path.as_bytes()));
    if let Some(location) = block.locations().find(is_exact) {
        return then(&location);
    }
    let fits = |location: &Block<'_>| match location.matching() {
        Some((Matching::Prefix { is_final }, prefix)) if path.as_bytes().starts_with(prefix) => {
            Some((prefix.len(), is_final))
        }
        _ => None,
    };
    let longest =
        block.locations().filter_map(|location| Some((fits(&location)?, location))).max_by_key(|((len, _), _)| *len);
    // Locations within locations are few; who has them is not judged.
    if longest.as_ref().is_some_and(|(_, location)| location.locations().next().is_some()) {
        return;
    }
    if !longest.as_ref().is_some_and(|((_, is_final), _)| *is_final)
        && let Some(regex) = block.locations().find(|location| matches(location, path))
    {
        return then(&regex);
    }
    match longest {
        Some((_, location)) => then(&location),
        None => then(block),
    }
}

fn matches(location: &Block<'_>, path: &str) -> bool {
    let Some((Matching::Regex { caseless }, text)) = location.matching() else { return false };
    Pattern::new(text, caseless, &Default::default())
        .is_ok_and(|pattern| pattern.is_match(path.as_bytes()).unwrap_or(false))
}

/// The folder that is in force in a block, and the file in it; none where variables decide.
fn root_of(block: &Block<'_>, prefix: &Path, path: &str) -> Option<(PathBuf, PathBuf)> {
    let path = path.trim_start_matches('/');
    let Some(holder) = block.nearest(&["root", "alias"]) else {
        let root = prefix.join("html");
        return Some((root.clone(), root.join(path)));
    };
    let node = holder.own(&["root", "alias"]).last()?;
    if node.name.text == b"alias" {
        // Where an alias leads is told by the location's prefix; the few that hold error pages are not judged.
        return None;
    }
    let root = absolute(prefix, literal(node.args.first()?)?);
    Some((root.clone(), root.join(path)))
}

/// A path of the conf without `.`, `..` and doubled slashes.
pub fn absolute(prefix: &Path, path: &str) -> PathBuf {
    let mut out = PathBuf::new();
    for part in prefix.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
    }
    out
}
