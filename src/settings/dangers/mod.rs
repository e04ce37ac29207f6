//! What is allowed and dangerous: the rules behind the warnings of `-t`. They look at the directives as they stand, after
//! includes, and say only what is certain. `# longshore: allow RULE` on the line, or on the line above, silences one. What a rule
//! is about stands in the table of codes; serving a conf needs none of this.

mod block;
mod exposure;
mod guards;
mod headers;
mod locations;
mod pages;
mod router;

use std::path::Path;

use super::load::{Level, Loaded};
use crate::conf::codes::{self, Code};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::{Sources, Span};
use block::{Block, Place};

/// What a rule may know beside the block it is asked about.
struct Conf<'c> {
    /// The folder that relative paths start from.
    prefix: &'c Path,
    /// The conf files that were read.
    files: Vec<&'c Path>,
    /// The outermost block.
    top: Block<'c>,
    /// Whether nothing stands around what was read.
    is_whole: bool,
}

/// One rule, asked about every block.
type Rule = fn(&Conf<'_>, &Block<'_>, &mut Vec<Diagnostic>);

const RULES: &[Rule] = &[
    guards::allow_without_deny,
    guards::rule_behind_all,
    guards::return_before_access,
    locations::alias_slash,
    locations::unreachable_location,
    locations::unreachable_line,
    headers::add_header_hides,
    headers::return_decoded_path,
    pages::relative,
    pages::missing_file,
    pages::no_named_location,
    exposure::status_open,
    exposure::root_holds_secrets,
    exposure::upload_runs_scripts,
    exposure::certificate_unused,
    exposure::open_proxy,
];

/// The warnings for a conf without errors, in its order.
pub fn find(loaded: &Loaded, prefix: &Path) -> Vec<Diagnostic> {
    let sources = &loaded.sources;
    let files =
        loaded.files.iter().filter_map(|file| Some(sources.files.get(*file as usize)?.name.as_path())).collect();
    let place = match loaded.level {
        Level::Main => Place::Main,
        Level::Http => Place::Http,
        Level::Server => Place::Server,
        Level::Location => Place::Location,
    };
    let top = Block { place, node: None, children: &loaded.nodes, around: None };
    let is_whole = matches!(loaded.level, Level::Main | Level::Http);
    let conf = Conf { prefix, files, top, is_whole };
    let mut found = Vec::new();
    walk(&conf, &conf.top, &mut found);
    found.retain(|danger| !danger.span.is_some_and(|span| is_silenced(sources, span, danger.code)));
    found.sort_by_key(|danger| danger.span.map(|span| (span.file, span.start)));
    found.dedup();
    found
}

fn walk(conf: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    RULES.iter().for_each(|rule| rule(conf, block, found));
    for inner in block.blocks() {
        walk(conf, &inner, found);
    }
}

/// A warning of this kind.
fn danger(code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
    Diagnostic::warning(span, message).code(code).help(help)
}

/// Whether a comment on the line of `span`, or alone on the line above, allows this.
pub(super) fn is_silenced(sources: &Sources, span: Span, code: Code) -> bool {
    let Some(source) = sources.files.get(span.file as usize) else { return false };
    let (number, _) = sources.position(span);
    let mut lines = source.text.split(|&byte| byte == b'\n').map(|line| String::from_utf8_lossy(line));
    let above = number.checked_sub(2).and_then(|skipped| lines.by_ref().skip(skipped).take(1).next());
    let own = lines.next();
    let above = above.filter(|line| line.trim_start().starts_with('#'));
    [above, own].into_iter().flatten().any(|line| allows(&line, code))
}

fn allows(line: &str, code: Code) -> bool {
    let Some((_, comment)) = line.split_once('#') else { return false };
    // A `#` may stand in a value before the one that begins the comment.
    comment.split('#').any(|part| {
        let Some(rules) =
            part.trim_start().strip_prefix("longshore:").and_then(|rest| rest.trim_start().strip_prefix("allow"))
        else {
            return false;
        };
        let mut words = rules.split([' ', '\t', ',', '\r']).filter(|word| !word.is_empty());
        words.any(|word| codes::named(word).is_some_and(|kind| kind.code == code))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_that_allow() {
        for (line, want) in [
            ("alias /a/; # longshore: allow alias-slash", true),
            ("alias /a/; # longshore:allow LS101", true),
            ("# longshore: allow status-open, alias-slash", true),
            ("rewrite a#b c; # longshore: allow alias-slash\r", true),
            ("# longshore: allow status-open", false),
            ("# longshore: allow", false),
            ("# allow alias-slash", false),
            ("alias /a/;", false),
        ] {
            assert_eq!(allows(line, Code::AliasSlash), want, "{line}");
        }
    }
}
