//! Rules about the fields of answers.

use super::block::{Block, Matching, Place};
use super::{Conf, danger};
use crate::conf::ast::Node;
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;

/// Fields that protect browsers: to lose one goes unnoticed.
const PROTECTIVE: [&str; 9] = [
    "content-security-policy",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "referrer-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
];

pub fn add_header_hides(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let (Some(first), Some(around)) = (block.own(&["add_header"]).next(), block.around) else { return };
    let Some(outer) = around.nearest(&["add_header"]) else { return };
    if block.in_force("add_header_inherit").is_some_and(|node| node.args.first().is_none_or(|word| word.text != b"on"))
    {
        return;
    }
    let own: Vec<String> = block.own(&["add_header"]).filter_map(field).collect();
    let is_lost = |name: &String| PROTECTIVE.contains(&name.as_str()) && !own.contains(name);
    let lost: Vec<(String, &Node)> =
        outer.own(&["add_header"]).filter_map(|node| Some((field(node).filter(is_lost)?, node))).collect();
    let Some((_, place)) = lost.first() else { return };
    let names: Vec<String> =
        lost.iter().filter_map(|(_, node)| Some(format!("`{}`", node.args.first()?.show()))).collect();
    let stand = if names.len() == 1 { "stands" } else { "stand" };
    let message = format!("this `add_header` takes away {}, which {stand} further out", names.join(", "));
    let help = "repeat it here, or write `add_header_inherit merge;`";
    found.push(danger(Code::AddHeaderHides, first.span, message, help).also(place.span, "not sent from here"));
}

fn field(node: &Node) -> Option<String> {
    Some(node.args.first()?.show().to_ascii_lowercase())
}

pub fn return_decoded_path(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    // The path of an exact location is known, and a regex may forbid line ends.
    let is_fixed = |around: Block<'_>| matches!(around.matching(), Some((Matching::Exact | Matching::Regex { .. }, _)));
    if block.outward().any(is_fixed) || !matches!(block.place, Place::Server | Place::Location | Place::If) {
        return;
    }
    for node in block.own(&["add_header", "proxy_set_header"]) {
        let Some(value) = node.args.get(1) else { continue };
        if let Some(name) = ["uri", "document_uri"].into_iter().find(|name| names_variable(&value.text, name)) {
            let message = format!("`${name}` is decoded: a client can put line ends into this field");
            found.push(danger(Code::ReturnDecodedPath, value.span, message, "write `$request_uri` in its place"));
        }
    }
    for node in block.own(&["return"]) {
        let redirects = |code: &[u8]| matches!(code, b"301" | b"302" | b"303" | b"307" | b"308");
        let url = match node.args.as_slice() {
            [url] if !url.text.iter().all(u8::is_ascii_digit) => url,
            [code, url] if redirects(&code.text) => url,
            _ => continue,
        };
        if let Some(name) = ["uri", "document_uri"].into_iter().find(|name| names_variable(&url.text, name)) {
            let message = format!("`${name}` is decoded: a client can put line ends into this redirect");
            found.push(danger(Code::ReturnDecodedPath, url.span, message, "write `$request_uri` in its place"));
        }
    }
}

/// Whether a text holds `$name` or `${name}`, and not only a longer name.
pub fn names_variable(text: &[u8], name: &str) -> bool {
    let text = String::from_utf8_lossy(text);
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    text.contains(&format!("${{{name}}}"))
        || text.split('$').skip(1).any(|part| part.strip_prefix(name).is_some_and(ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_in_texts() {
        for (text, want) in [
            ("$uri", true),
            ("a${uri}b", true),
            ("$host$uri?x", true),
            ("$uri_path", false),
            ("$request_uri", false),
            ("uri", false),
        ] {
            assert_eq!(names_variable(text.as_bytes(), "uri"), want, "{text}");
        }
    }
}
