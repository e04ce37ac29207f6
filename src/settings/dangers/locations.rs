//! Rules about locations and lines that no request reaches, and about folders that locations open by mistake.

use super::block::{Block, Matching, Place};
use super::{Conf, danger, guards};
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;

pub fn alias_slash(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let Some((Matching::Prefix { .. }, path)) = block.matching() else { return };
    let Some(word) = block.own(&["alias"]).next().and_then(|node| node.args.first()) else { return };
    let last = word.text.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let (opens, ends) = (path.ends_with(b"/"), word.text.ends_with(b"/"));
    if opens == ends || last.contains(&b'$') {
        return;
    }
    let (path, folder) = (String::from_utf8_lossy(path), word.show());
    let (message, help) = match ends {
        true => (
            format!(
                "`{path}../x` would lead out of `{folder}`: the location does not end with a slash and the alias does"
            ),
            format!("write `location {path}/`"),
        ),
        false => (
            format!("`{path}a` is the file `{folder}a`: the location ends with a slash and the alias does not"),
            format!("write `alias {folder}/;`"),
        ),
    };
    found.push(danger(Code::AliasSlash, word.span, message, help));
}

/// Regexes that match every path.
const EVERYTHING: [&str; 16] =
    ["", "/", "^/", "^", ".", ".*", "^.*", "^.*$", ".*$", "(.*)", "^(.*)$", "/.*", "^/.*", "^/.*$", "^/(.*)$", "/(.*)"];

pub fn unreachable_location(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    if !matches!(block.place, Place::Server | Place::Location) {
        return;
    }
    behind_return(block, found);
    let mut seen: Vec<(&[u8], bool, Span)> = Vec::new();
    let mut everything: Option<Span> = None;
    for location in block.locations() {
        let (Some((matching, text)), Some(node)) = (location.matching(), location.node) else { continue };
        let Matching::Regex { caseless } = matching else { continue };
        let twin = seen.iter().find(|(other, any_case, _)| *other == text && (*any_case || !caseless));
        if let Some(first) = everything {
            let message = "no request reaches this location: a regex before it matches every path";
            found.push(
                danger(Code::UnreachableLocation, node.span, message, "put it before that one")
                    .also(first, "matches every path"),
            );
        } else if let Some((.., first)) = twin {
            let message = "no request reaches this location: the same regex stands before it";
            found.push(
                danger(Code::UnreachableLocation, node.span, message, "join the two blocks")
                    .also(*first, "taken first"),
            );
        }
        if everything.is_none() && EVERYTHING.iter().any(|all| all.as_bytes() == text) {
            everything = Some(node.span);
        }
        seen.push((text, caseless, node.span));
    }
    let Some(first) = everything else { return };
    for location in block.locations() {
        let (Some((matching, _)), Some(node)) = (location.matching(), location.node) else { continue };
        if matching == (Matching::Prefix { is_final: false }) && location.locations().next().is_none() {
            let message = "no request reaches this location: a regex matches every path, and regexes come first";
            found.push(
                danger(
                    Code::UnreachableLocation,
                    node.span,
                    message,
                    "write `^~` before its path, or turn the regex into `location /`",
                )
                .also(first, "matches every path"),
            );
        }
    }
}

/// The locations of a server whose own `return` answers everything.
fn behind_return(block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let Some(answer) = guards::always_returns(block).filter(|_| block.place == Place::Server) else { return };
    let first = block.locations().find(|location| !matches!(location.matching(), None | Some((Matching::Named, _))));
    if let Some(node) = first.and_then(|location| location.node) {
        let message = "no request reaches this location: the server's own `return` answers before";
        found.push(
            danger(Code::UnreachableLocation, node.span, message, "put the `return` into `location / { }`")
                .also(answer.span, "answers every request"),
        );
    }
}

pub fn unreachable_line(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    if !matches!(block.place, Place::Server | Place::Location | Place::If) {
        return;
    }
    let mut lines =
        block.own(&["return", "rewrite", "set", "if", "break"]).skip_while(|node| node.name.text != b"return");
    if let (Some(answer), Some(behind)) = (lines.next(), lines.next()) {
        let message = format!("this `{}` never runs: `return` stands before it", behind.name.show());
        found.push(
            danger(Code::UnreachableLine, behind.span, message, "put it before the `return`, or remove it")
                .also(answer.span, "ends the run"),
        );
    }
}
