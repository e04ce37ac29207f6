//! `if` blocks: their lines of the rewrite family become part of the program of the block around, in order with
//! its own; their other directives make settings that start as a copy of the finished block around. What makes content in such a
//! block makes it alone.

use std::collections::HashMap;
use std::sync::Arc;

use super::Scope;
use super::block::Builder;
use super::blocks::INDEX;
use super::rows::Inherits;
use crate::conf::args::Args;
use crate::conf::ast::Node;
use crate::conf::directive::Contexts;
use crate::features::{cgi, rewrite};

/// Whether a directive inside an `if` belongs to the program of the block around.
pub(super) fn is_line(name: &[u8], context: Contexts) -> bool {
    context.meets(Contexts::IF_SERVER.or(Contexts::IF_LOCATION))
        && rewrite::LINES.iter().any(|line| line.as_bytes() == name)
}

/// The place that the inside of an `if` is, which stands in this one.
fn inside(context: Contexts) -> Contexts {
    if context.meets(Contexts::SERVER) { Contexts::IF_SERVER } else { Contexts::IF_LOCATION }
}

impl Builder {
    /// In the first pass: the condition and the lines inside.
    pub(super) fn lines_of_if(&mut self, node: &Node, context: Contexts, scope: &mut Scope) {
        let mut args = Args { node, load: &mut self.load, context };
        let begun = match rewrite::begin_if(Arc::make_mut(&mut scope.rewrite), &mut args) {
            Ok(begun) => begun,
            Err(fault) => return self.fault(node, fault),
        };
        for line in node.block.as_deref().unwrap_or_default() {
            if is_line(&line.name.text, inside(context))
                && let Some(row) = super::blocks::row(&line.name.text, inside(context))
            {
                self.one(line, row, inside(context), scope, &mut HashMap::new(), &mut Vec::new());
            }
        }
        rewrite::end_if(Arc::make_mut(&mut scope.rewrite), begun);
    }

    /// In the second pass: the settings of an `if` of a server or a location, and what makes content in it. In a server they have no
    /// use, and only lines may stand there.
    pub(super) fn scope_of_if(
        &mut self,
        node: &Node,
        context: Contexts,
        around: &Scope,
    ) -> (Arc<Scope>, Option<&'static str>) {
        let mut scope = self.inner(around, true);
        self.load.around.push(super::block::words(node));
        self.simple(node.block.as_deref().unwrap_or_default(), inside(context), &mut scope);
        self.load.around.pop();
        Arc::make_mut(&mut scope.rewrite).is_if = true;
        let handler = only_own_handler(&mut scope, around);
        (Arc::new(scope), handler)
    }
}

/// Whether a directive makes content, so that no other does in its location. Its settings do not pass into locations inside.
fn makes_content(name: &str) -> bool {
    matches!(name, "cgi" | "cgi_pass") || INDEX.get(name).is_some_and(|row| matches!(row.inherits, Inherits::IntoIf(_)))
}

/// The directive that makes content in an `if` or a `limit_except`. It takes the place of those of the location around.
pub(super) fn only_own_handler(scope: &mut Scope, around: &Scope) -> Option<&'static str> {
    let is_off = scope.cgi.mode == cgi::Mode::Off;
    let is_handler = |name: &&'static str| makes_content(name) && !(is_off && name.starts_with("cgi"));
    let own = scope.places.names.iter().copied().rfind(is_handler)?;
    for name in &around.places.names {
        if scope.places.names.contains(name) {
            continue;
        }
        if let Some(Inherits::IntoIf(clear)) = INDEX.get(name).map(|row| &row.inherits) {
            clear(scope);
        }
    }
    Some(own)
}

impl Scope {
    /// Whether the directive of this name makes content in this `if`: it stands there or in the location around.
    pub fn has_handler(&self, name: &str) -> bool {
        let places = [Some(&self.places), self.places.parent.as_ref()];
        places.into_iter().flatten().any(|places| places.names.contains(&name))
    }
}
