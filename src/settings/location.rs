//! How a `location` block becomes a [`Location`]: its name, its settings, what stands inside it.

use std::collections::HashMap;
use std::sync::Arc;

use super::Scope;
use super::block::{Builder, Inner, words};
use super::ifs::only_own_handler;
use crate::conf::args::{Enclosing, Fault};
use crate::conf::ast::Node;
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::Contexts;
use crate::http::method::Method;
use crate::route::{Location, Locations, Matcher};

impl Builder {
    pub(super) fn location(
        &mut self,
        node: &Node,
        around: &Scope,
        outer: Option<&Enclosing>,
        into: &mut Locations,
        named: &mut HashMap<Vec<u8>, Arc<Location>>,
    ) {
        let matcher = match self.matcher(node, outer) {
            Ok(matcher) => matcher,
            Err(fault) => return self.fault(node, fault),
        };
        let exact = matches!(matcher, Matcher::Exact(_));
        let enclosing = match &matcher {
            Matcher::Exact(name) | Matcher::Prefix { path: name, .. } => {
                Enclosing { name: name.clone(), exact, regex: false, named: false }
            }
            Matcher::Named(name) => Enclosing { name: name.clone(), exact, regex: false, named: true },
            Matcher::Regex { .. } => {
                let name = node.args.last().map(|word| word.text.clone()).unwrap_or_default();
                Enclosing { name, exact, regex: true, named: false }
            }
        };
        let before = self.load.location.replace(enclosing.clone());
        self.load.around.push(words(node));
        let mut scope = self.child(around);
        let mut locations = Locations::default();
        let nodes = node.block.as_deref().unwrap_or_default();
        let closed = match () {
            () if exact => Some("an exact location"),
            () if enclosing.named => Some("a named location"),
            () => None,
        };
        let inner = self.scope_of_location(nodes, &mut scope, &mut locations, named, closed);
        self.load.location = before;
        self.load.around.pop();
        let Inner { limit_except, ifs } = inner;
        let scope = Arc::new(scope);
        let location = Arc::new(Location { matcher, scope, limit_except, ifs, locations, span: node.span });
        let first = match &location.matcher {
            Matcher::Named(name) => named.insert(name.clone(), location.clone()).map(|first| first.span),
            _ if into.add(location.clone()) => None,
            matcher => into.all().find(|other| other.matcher.is_same(matcher)).map(|first| first.span),
        };
        if let Some(first) = first {
            let word = node.args.last().map_or(node.name.span, |word| word.span);
            let name = String::from_utf8_lossy(&enclosing.name).into_owned();
            let twice = Diagnostic::error(word, format!("duplicate location \"{name}\""));
            let twice = twice.code(Code::DuplicateLocation).also(first, "first one here");
            self.diagnostics.push(twice.help("join the two blocks"));
        }
    }

    pub(super) fn scope_of_location(
        &mut self,
        nodes: &[Node],
        scope: &mut Scope,
        locations: &mut Locations,
        named: &mut HashMap<Vec<u8>, Arc<Location>>,
        closed: Option<&str>,
    ) -> Inner {
        let enclosing = self.load.location.clone();
        let mut inner = Inner::default();
        for block in self.simple(nodes, Contexts::LOCATION, scope) {
            if block.name.text == b"limit_except" {
                inner.limit_except = self.limit_except(block, scope);
            } else if block.name.text == b"if" {
                inner.ifs.push(self.scope_of_if(block, Contexts::LOCATION, scope));
            } else if let Some(closed) = closed {
                self.fault(block, Fault::new(format!("cannot stand inside {closed}")));
            } else {
                self.location(block, scope, enclosing.as_ref(), locations, named);
            }
        }
        inner
    }

    pub(super) fn limit_except(&mut self, node: &Node, around: &Scope) -> Option<(u32, Arc<Scope>)> {
        let mut bits = 0;
        for word in &node.args {
            match Method::parse(&word.text.to_ascii_uppercase()) {
                Method::Other => {
                    self.fault(node, Fault::at(word, format!("has an invalid method `{}`", word.show())));
                }
                Method::Get => bits |= Method::Get.bit() | Method::Head.bit(),
                method => bits |= method.bit(),
            }
        }
        let mut scope = self.inner(around, true);
        self.load.around.push(words(node));
        self.simple(node.block.as_deref().unwrap_or_default(), Contexts::LIMIT_EXCEPT, &mut scope);
        self.load.around.pop();
        only_own_handler(&mut scope, around);
        Some((bits, Arc::new(scope)))
    }

    pub(super) fn matcher(&mut self, node: &Node, outer: Option<&Enclosing>) -> Result<Matcher, Fault> {
        let last = &node.args[node.args.len() - 1];
        let (modifier, path, word) = match node.args.as_slice() {
            [modifier, path] => (modifier.text.as_slice(), path.text.as_slice(), path),
            _ => {
                let text = last.text.as_slice();
                let glued = ["~*", "^~", "~", "="]
                    .iter()
                    .find_map(|m| text.strip_prefix(m.as_bytes()).map(|rest| (m.as_bytes(), rest)));
                let (modifier, path) = glued.unwrap_or((b"", text));
                (modifier, path, last)
            }
        };
        let matcher = match modifier {
            b"=" => Matcher::Exact(path.to_vec()),
            b"^~" => Matcher::Prefix { path: path.to_vec(), final_: true },
            b"~" | b"~*" => {
                let caseless = modifier == b"~*";
                let (pattern, names) = self.load.capturing(word, path, caseless)?;
                Matcher::Regex { pattern, names }
            }
            b"" if path.first() == Some(&b'@') => Matcher::Named(path.to_vec()),
            b"" => Matcher::Prefix { path: path.to_vec(), final_: false },
            _ => {
                let word = &node.args[0];
                return Err(Fault::at(word, format!("has an unknown modifier `{}`", word.show()))
                    .help("write `location /path { ... }`; before the path may stand `=`, `~`, `~*` or `^~`"));
            }
        };
        if let Some(outer) = outer {
            if matches!(matcher, Matcher::Named(_)) {
                return Err(Fault::at(word, "with a name can stand on the server level only"));
            }
            if let Matcher::Exact(path) | Matcher::Prefix { path, .. } = &matcher
                && !path.starts_with(&outer.name)
            {
                let (path, outer) = (String::from_utf8_lossy(path), String::from_utf8_lossy(&outer.name));
                let fault = Fault::at(word, format!("\"{path}\" is outside location \"{outer}\" that it stands in"));
                return Err(match path.strip_prefix("*.") {
                    Some(end) => fault.help(format!("a path's end is matched by a regex: `location ~ \\.{end}$`")),
                    None => fault.help(format!("begin it with `{outer}`, or put it beside that location")),
                });
            }
        }
        Ok(matcher)
    }
}
