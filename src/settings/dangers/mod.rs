//! What is allowed and dangerous: the rules behind the warnings of `-t`. They look at the directives as they stand, after
//! includes, and say only what is certain. `# longshore: allow RULE` silences one: on its line, on the line above, or at the
//! beginning of a block that it stands in. What a rule is about stands in the table of codes; serving a conf needs none of this.

mod block;
mod comments;
mod exposure;
mod guards;
mod headers;
mod locations;
mod pages;
mod passing;
mod paths;
mod router;
mod slips;

use std::path::Path;

use super::load::{Level, Loaded};
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::machine::Identity;
use crate::conf::source::{Sources, Span};
use block::{Block, Place};
pub(super) use comments::silence as is_silenced;

/// What a rule may know beside the block it is asked about.
struct Conf<'c> {
    /// The folder that relative paths start from.
    prefix: &'c Path,
    /// Who answers requests; `None` if whoever started the server does.
    user: Option<Identity>,
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
    guards::upload_limit_without_store,
    guards::asked_location_guards_itself,
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
    paths::missing,
    slips::location_never_matches,
    slips::comma_in_list,
    slips::capture_missing,
    slips::geo_variable,
    slips::content_type_added,
    slips::slow_regex,
    slips::connections_above_descriptors,
    passing::proxy_pass_slash,
    passing::proxy_pass_decoded,
    passing::host_spoofing,
    passing::public_resolver,
    passing::hints_without_http11,
    guards::auth_set_in_asked,
    guards::login_guarded,
];

/// The warnings for a conf without errors, in its order. `user` is who a server started now would answer as; none if that is the
/// user of this process.
pub fn find(loaded: &Loaded, prefix: &Path, user: Option<Identity>) -> Vec<Diagnostic> {
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
    let conf = Conf { prefix, user, files, top, is_whole };
    let mut found = Vec::new();
    walk(&conf, &conf.top, sources, &mut found);
    found.extend(loaded.files.iter().flat_map(|file| comments::unknown(sources, *file)));
    found.sort_by_key(|danger| danger.span.map(|span| (span.file, span.start)));
    found.dedup();
    paths::once(&mut found);
    found
}

fn walk(conf: &Conf<'_>, block: &Block<'_>, sources: &Sources, found: &mut Vec<Diagnostic>) {
    let mut here = Vec::new();
    RULES.iter().for_each(|rule| rule(conf, block, &mut here));
    let openers = || block.outward().filter_map(|block| Some(block.node?.span));
    found.extend(here.into_iter().filter(|danger| {
        let places = danger.span.into_iter().chain(openers());
        !places.into_iter().any(|span| comments::silence(sources, span, danger.code))
    }));
    for inner in block.blocks() {
        walk(conf, &inner, sources, found);
    }
}

/// A warning of this kind.
fn danger(code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
    Diagnostic::warning(span, message).code(code).help(help)
}
