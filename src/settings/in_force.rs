//! Which lines of a conf are in force in one block: its own, and those of the blocks around it that nothing inside
//! replaced. Read from the places that the driver kept and from what the rows say of inheritance.

use std::collections::HashSet;

use super::blocks::INDEX;
use super::rows::{Inherits, Repeats};
use super::{Places, Scope};
use crate::conf::directive::Contexts;
use crate::conf::source::Span;
use crate::features::rewrite;

/// The directives in force that concern a request, with their lines, as they stand: this block's first. `is_within` says that the
/// block stands in a location as part of it (`if`, `limit_except`).
pub fn lines(scope: &Scope, is_within: bool) -> Vec<(&'static str, Span)> {
    let mut found = Vec::new();
    let mut replaced: HashSet<&'static str> = HashSet::new();
    let mut next: Option<&Places> = Some(&scope.places);
    let mut level = 0;
    while let Some(places) = next {
        let mut here = HashSet::new();
        for (name, span) in &places.set {
            let Some(row) = INDEX.get(name).filter(|row| concerns_requests(row.manual.contexts, name)) else {
                continue;
            };
            let holds = match row.inherits {
                Inherits::Yes | Inherits::Changed(_) => true,
                Inherits::No(_) => level == 0,
                Inherits::IntoIf(_) => level == 0 || (is_within && level == 1),
            };
            let key = match &row.repeats {
                Repeats::List { key, .. } => key.1,
                // One of the two says where files are.
                _ if row.manual.name == "alias" => "root",
                Repeats::Refused | Repeats::Allowed => row.manual.name,
            };
            if holds && !replaced.contains(key) {
                found.push((*name, *span));
                here.insert(key);
            }
        }
        replaced.extend(here);
        next = places.parent.as_deref();
        level += 1;
    }
    found
}

/// Lines of the rewrite family are told one by one as they run, and an address or a name belongs to the server.
fn concerns_requests(contexts: Contexts, name: &str) -> bool {
    contexts.meets(Contexts::SERVER.or(Contexts::LOCATION))
        && !rewrite::LINES.contains(&name)
        && !matches!(name, "listen" | "server_name")
}
