//! The driver that reads blocks: each in two passes, its simple directives in order, then the blocks inside
//! it, each from a copy of the finished parent. Contexts, arity, repeats and inheritance are checked
//! here from the rows, so no setter repeats them.

use std::collections::HashMap;
use std::sync::Arc;

use super::blocks::{INDEX, block, contexts_of, row};
use super::ifs::is_line;
use super::load::{Level, first_scope};
use super::names::NameTable;
use super::refusals::check_shape;
use super::rows::{Inherits, Repeats, Row};
use super::{Places, Scope};
use crate::conf::args::{Args, Enclosing, Load};
use crate::conf::ast::Node;
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::Contexts;
use crate::conf::listening::Address;
use crate::conf::source::Span;
use crate::features;
use crate::features::referer;
use crate::features::server_name::{self, Name};
use crate::route::{Locations, Server};

/// What a location's block holds beside its settings and the locations inside.
#[derive(Default)]
pub(super) struct Inner {
    pub(super) limit_except: Option<(u32, Arc<Scope>)>,
    pub(super) ifs: Vec<(Arc<Scope>, Option<&'static str>)>,
}

/// Reads a tree of directives into settings.
pub struct Builder {
    /// What setters may know.
    pub load: Load,
    /// Variable names.
    pub names: NameTable,
    /// Everything said so far.
    pub diagnostics: Vec<Diagnostic>,
    /// The servers read so far.
    pub servers: Vec<Arc<Server>>,
    /// Directives without effect, each once.
    pub without_effect: Vec<(String, Span)>,
}

impl Builder {
    /// A builder for one load.
    pub fn new((load, names): (Load, NameTable)) -> Self {
        Builder { load, names, diagnostics: Vec::new(), servers: Vec::new(), without_effect: Vec::new() }
    }

    /// Reads the top of a conf; the settings of main and of http.
    pub fn top(&mut self, nodes: &[Node], level: Level) -> (Arc<Scope>, Arc<Scope>) {
        let mut main = first_scope(&mut self.load);
        match level {
            Level::Main => {
                let blocks = self.simple(nodes, Contexts::MAIN, &mut main);
                let mut http = None;
                for block in blocks {
                    match block.name.text.as_slice() {
                        b"events" => self.events(block, &mut main),
                        _ => http = Some(self.http(block.block.as_deref().unwrap_or_default(), &main)),
                    }
                }
                let http = http.unwrap_or_else(|| Arc::new(self.child(&main)));
                (Arc::new(main), http)
            }
            Level::Http => {
                let is_main = |node: &&Node| contexts_of(&node.name.text).is_some_and(|at| at.meets(Contexts::MAIN));
                let (top, inside): (Vec<&Node>, Vec<&Node>) = nodes.iter().partition(is_main);
                let top: Vec<Node> = top.into_iter().cloned().collect();
                let inside: Vec<Node> = inside.into_iter().cloned().collect();
                for block in self.simple(&top, Contexts::MAIN, &mut main) {
                    self.events(block, &mut main);
                }
                let http = self.http(&inside, &main);
                (Arc::new(main), http)
            }
            Level::Server => {
                let http = self.child(&main);
                self.server(nodes, Span::default(), &http);
                (Arc::new(main), Arc::new(http))
            }
            Level::Location => {
                let http = self.child(&main);
                let server = self.child(&http);
                self.load.location = Some(Enclosing { name: b"/".to_vec(), exact: false, regex: false, named: false });
                let mut scope = self.child(&server);
                self.scope_of_location(nodes, &mut scope, &mut Locations::default(), &mut HashMap::new(), None);
                (Arc::new(main), Arc::new(http))
            }
        }
    }

    fn events(&mut self, node: &Node, main: &mut Scope) {
        self.simple(node.block.as_deref().unwrap_or_default(), Contexts::EVENTS, main);
    }

    fn http(&mut self, nodes: &[Node], main: &Scope) -> Arc<Scope> {
        let mut scope = self.child(main);
        let blocks = self.simple(nodes, Contexts::HTTP, &mut scope);
        let (upstreams, servers): (Vec<&Node>, Vec<&Node>) =
            blocks.into_iter().partition(|block| block.name.text == b"upstream");
        // A server may name an upstream that stands behind it.
        upstreams.into_iter().for_each(|block| self.upstream(block, &mut scope));
        for block in servers {
            self.server(block.block.as_deref().unwrap_or_default(), block.span, &scope);
        }
        Arc::new(scope)
    }

    fn upstream(&mut self, node: &Node, http: &mut Scope) {
        let mut scope = self.child(http);
        Arc::make_mut(&mut scope.upstream).begin(node);
        for block in self.simple(node.block.as_deref().unwrap_or_default(), Contexts::UPSTREAM, &mut scope) {
            // No block may stand in an upstream, and whoever read this one has said so.
            debug_assert!(block.block.is_none(), "{block:?}");
        }
        if let Err(fault) = Arc::make_mut(&mut http.upstream).end(node, &scope.upstream) {
            self.fault(node, fault);
        }
    }

    fn server(&mut self, nodes: &[Node], span: Span, http: &Scope) {
        let naming = nodes.iter().filter(|node| matches!(node.name.text.as_slice(), b"listen" | b"server_name"));
        self.load.around.push(naming.map(words).collect());
        self.inside_server(nodes, span, http);
        self.load.around.pop();
    }

    fn inside_server(&mut self, nodes: &[Node], span: Span, http: &Scope) {
        let mut scope = self.child(http);
        let blocks = self.simple(nodes, Contexts::SERVER, &mut scope);
        if scope.listen.listens.is_empty() && !scope.listen.is_named {
            let port = if self.load.outside.is_root() && !self.load.rootless { 80 } else { 8000 };
            let address = Address::Ip(([0, 0, 0, 0], port).into());
            let options = Default::default();
            let listen = features::listen::Listen {
                address,
                default_server: false,
                tls: false,
                proxy_protocol: false,
                options,
                span,
            };
            Arc::make_mut(&mut scope.listen).listens.push(listen);
        }
        if let Some(wrong) = features::request_head::check(&scope.request_head)
            && !self.diagnostics.contains(&wrong)
        {
            self.diagnostics.push(wrong);
        }
        Arc::make_mut(&mut scope.referer).take_names(names_of(&scope.server_name));
        let (mut locations, mut named) = (Locations::default(), HashMap::new());
        for block in blocks {
            match block.name.text.as_slice() {
                b"if" => {
                    self.scope_of_if(block, Contexts::SERVER, &scope);
                }
                _ => self.location(block, &scope, None, &mut locations, &mut named),
            }
        }
        let name = scope.server_name.first.clone().into();
        let tls = features::ssl::build(&scope.ssl, &self.load.outside, &mut self.diagnostics);
        self.servers.push(Arc::new(Server { scope: Arc::new(scope), locations, named, tls, name, span }));
    }

    /// A copy of the settings for a block inside, with what is not inherited put back.
    pub(super) fn child(&mut self, around: &Scope) -> Scope {
        self.inner(around, false)
    }

    pub(super) fn inner(&mut self, around: &Scope, same_location: bool) -> Scope {
        let mut scope = around.clone();
        // First of all: what is put back below copies what it changes, and a program may be long.
        if !scope.rewrite.program.is_empty() {
            scope.rewrite = Arc::new(around.rewrite.for_block_inside());
        }
        for name in &around.places.names {
            match INDEX.get(name).map(|row| &row.inherits) {
                Some(Inherits::No(clear) | Inherits::Changed(clear)) => clear(&mut scope),
                Some(Inherits::IntoIf(clear)) if !same_location => clear(&mut scope),
                _ => {}
            }
        }
        if !same_location && scope.unbuilt.handler.is_some() {
            Arc::make_mut(&mut scope.unbuilt).handler = None;
        }
        scope.places = Arc::new(Places { parent: Some(around.places.clone()), ..Places::default() });
        scope
    }

    /// Reads the simple directives of a block and returns the block directives in it.
    pub(super) fn simple<'n>(&mut self, nodes: &'n [Node], context: Contexts, scope: &mut Scope) -> Vec<&'n Node> {
        let mut blocks: Vec<&Node> = Vec::new();
        let mut seen: HashMap<&'static str, Span> = HashMap::new();
        let mut lists = Vec::new();
        for node in nodes {
            let name = node.name.text.as_slice();
            if let Some(block) = block(name, context) {
                if self.block_fits(node, block, context, &blocks) {
                    if block.name == "if" {
                        self.lines_of_if(node, context, scope);
                    }
                    blocks.push(node);
                }
                continue;
            }
            if is_line(name, context) {
                continue;
            }
            match row(name, context) {
                Some(row) => self.one(node, row, context, scope, &mut seen, &mut lists),
                None => self.foreign(node, context, scope),
            }
        }
        blocks
    }

    pub(super) fn one(
        &mut self,
        node: &Node,
        row: &'static Row,
        context: Contexts,
        scope: &mut Scope,
        seen: &mut HashMap<&'static str, Span>,
        lists: &mut Vec<(&'static str, &'static str)>,
    ) {
        if !row.manual.contexts.meets(context) {
            let allowed = contexts_of(&node.name.text).unwrap_or(row.manual.contexts);
            return self.misplaced(node, allowed, context);
        }
        // A line that turns out wrong counts as written: nobody is told that it is missing as well.
        Arc::make_mut(&mut scope.places).add(row.manual.name, node.span);
        if let Err(fault) = check_shape(node, row) {
            return self.fault(node, fault);
        }
        match &row.repeats {
            Repeats::Refused => {
                if let Some(first) = seen.get(row.manual.name) {
                    let message = format!("`{}` is duplicate in this block", row.manual.name);
                    let twice =
                        Diagnostic::error(node.name.span, message).code(Code::Duplicate).also(*first, "first set here");
                    return self.diagnostics.push(twice.help("keep one of the two lines"));
                }
            }
            Repeats::List { key, clear } if !lists.contains(key) => {
                clear(scope);
                lists.push(*key);
            }
            _ => {}
        }
        seen.entry(row.manual.name).or_insert(node.name.span);
        let mut args = Args { node, load: &mut self.load, context };
        if let Err(fault) = (row.set)(scope, &mut args) {
            self.fault(node, fault);
        }
    }
}

/// A directive as text, without what stands inside it.
pub(super) fn words(node: &Node) -> String {
    std::iter::once(&node.name).chain(&node.args).map(|word| word.show() + " ").collect()
}

/// The names of a server for `valid_referers server_names`.
fn names_of(server: &server_name::Conf) -> referer::Names {
    let mut names = referer::Names::default();
    for (name, _) in &server.names {
        match name {
            Name::Exact(name) => names.add(name),
            Name::Leading(name) => names.add(&[b"*", name.as_slice()].concat()),
            Name::Trailing(name) => names.add(&[name.as_slice(), b"*"].concat()),
            Name::Regex { pattern, .. } => names.add_regex(pattern.clone()),
        }
    }
    names
}
