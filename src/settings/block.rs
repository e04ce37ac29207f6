//! The driver that reads blocks: each in two passes, its simple directives in order, then the blocks inside
//! it, each from a copy of the finished parent. Contexts, arity, repeats and inheritance are checked
//! here from the rows, so no setter repeats them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::ifs::is_line;
use super::load::{Level, first_scope};
use super::names::NameTable;
use super::rows::{Inherits, Repeats, Row};
use super::{Places, ROWS, Scope};
use crate::conf::args::{Args, Enclosing, Fault, Load};
use crate::conf::ast::Node;
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::{Arity, Contexts};
use crate::conf::pattern::Pattern;
use crate::conf::source::Span;
use crate::conf::{reference, suggest};
use crate::features::unbuilt;
use crate::http::method::Method;
use crate::route::{Location, Locations, Matcher, Server};

/// A block directive.
pub struct BlockRow {
    /// Its name.
    pub name: &'static str,
    /// Its arguments.
    pub syntax: &'static str,
    /// Where it may stand.
    pub contexts: Contexts,
    /// What stands inside it.
    pub inside: Contexts,
    /// How many words it takes.
    pub arity: (usize, usize),
    /// Its text.
    pub doc: &'static str,
}

/// The block directives: the second, small table.
pub const BLOCKS: &[BlockRow] = &[
    BlockRow {
        name: "events",
        syntax: "",
        contexts: Contexts::MAIN,
        inside: Contexts::EVENTS,
        arity: (0, 0),
        doc: "Holds what concerns connections as such. It may be left out.",
    },
    BlockRow {
        name: "http",
        syntax: "",
        contexts: Contexts::MAIN,
        inside: Contexts::HTTP,
        arity: (0, 0),
        doc: "Holds the servers and what they share. A conf without it may hold `server` blocks at top level.",
    },
    BlockRow {
        name: "server",
        syntax: "",
        contexts: Contexts::HTTP,
        inside: Contexts::SERVER,
        arity: (0, 0),
        doc: "One server: its addresses by `listen`, its host names by `server_name`, and its locations.",
    },
    BlockRow {
        name: "location",
        syntax: "[= | ~ | ~* | ^~] uri | @name",
        contexts: Contexts::SERVER.or(Contexts::LOCATION),
        inside: Contexts::LOCATION,
        arity: (1, 2),
        doc: "Settings for a part of the URIs. An exact location (`=`) is taken at once; else the longest prefix is \
              remembered and the regexes (`~`, or `~*` without regard to case) are asked in the order they stand, unless the prefix \
              has `^~`; the first that matches is taken, else the prefix. `@name` is reached only from inside.",
    },
    BlockRow {
        name: "if",
        syntax: "(condition)",
        contexts: Contexts::SERVER.or(Contexts::LOCATION),
        inside: Contexts::IF_SERVER.or(Contexts::IF_LOCATION),
        arity: (1, usize::MAX),
        doc: "What stands inside holds if the condition does: a variable that is neither empty nor `0`; a variable compared by `=` or \
              `!=`; one matched with a regex by `~`, `~*` (without regard to case), `!~` or `!~*`; a file that is there by `-f`, a \
              folder by `-d`, one of both by `-e`, one to execute by `-x`, each also with `!` before it. Its `set`, `rewrite`, `return` \
              and `break` run in order with those around it. In a location it may hold other settings too: those of \
              the last `if` that was true are in force.",
    },
    BlockRow {
        name: "limit_except",
        syntax: "method ...",
        contexts: Contexts::LOCATION,
        inside: Contexts::LIMIT_EXCEPT,
        arity: (1, 16),
        doc: "Settings for all methods but these; `GET` includes `HEAD`. Usually it holds `deny all;`.",
    },
];

static INDEX: LazyLock<HashMap<&'static str, &'static Row>> =
    LazyLock::new(|| ROWS.iter().map(|row| (row.manual.name, row)).collect());

/// The row of a simple directive of ours.
pub(super) fn row(name: &[u8]) -> Option<&'static Row> {
    std::str::from_utf8(name).ok().and_then(|name| INDEX.get(name).copied())
}

/// Whether a word is the name of a directive, ours or one of nginx's.
pub fn is_known(name: &[u8]) -> bool {
    contexts_of(name).is_some()
}

/// Where a directive of this name may stand; none for a name nobody knows.
pub fn contexts_of(name: &[u8]) -> Option<Contexts> {
    let name = std::str::from_utf8(name).ok()?;
    let row = INDEX.get(name).map(|row| row.manual.contexts);
    let block = BLOCKS.iter().find(|block| block.name == name).map(|block| block.contexts);
    row.or(block).or_else(|| reference::lookup(name).map(|known| known.contexts))
}

/// What a location's block holds beside its settings and the locations inside.
#[derive(Default)]
struct Inner {
    limit_except: Option<(u32, Arc<Scope>)>,
    ifs: Vec<Arc<Scope>>,
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
                self.load.location = Some(Enclosing { name: b"/".to_vec(), regex: false, named: false });
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
        for block in self.simple(nodes, Contexts::HTTP, &mut scope) {
            self.server(block.block.as_deref().unwrap_or_default(), block.span, &scope);
        }
        Arc::new(scope)
    }

    fn server(&mut self, nodes: &[Node], span: Span, http: &Scope) {
        let mut scope = self.child(http);
        let blocks = self.simple(nodes, Contexts::SERVER, &mut scope);
        if scope.listen.listens.is_empty() && !scope.listen.is_named {
            let port = if nix::unistd::geteuid().is_root() && !self.load.rootless { 80 } else { 8000 };
            let address = crate::features::listen::Address::Ip(([0, 0, 0, 0], port).into());
            let listen =
                crate::features::listen::Listen { address, default_server: false, options: Default::default(), span };
            Arc::make_mut(&mut scope.listen).listens.push(listen);
        }
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
        self.servers.push(Arc::new(Server { scope: Arc::new(scope), locations, named, name, span }));
    }

    fn location(
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
        let enclosing = match &matcher {
            Matcher::Exact(name) | Matcher::Prefix { path: name, .. } => {
                Enclosing { name: name.clone(), regex: false, named: false }
            }
            Matcher::Named(name) => Enclosing { name: name.clone(), regex: false, named: true },
            Matcher::Regex { .. } => {
                let name = node.args.last().map(|word| word.text.clone()).unwrap_or_default();
                Enclosing { name, regex: true, named: false }
            }
        };
        let exact = matches!(matcher, Matcher::Exact(_));
        let before = self.load.location.replace(enclosing.clone());
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
        let Inner { limit_except, ifs } = inner;
        let scope = Arc::new(scope);
        let location = Arc::new(Location { matcher, scope, limit_except, ifs, locations, span: node.span });
        let fresh = match &location.matcher {
            Matcher::Named(name) => named.insert(name.clone(), location.clone()).is_none(),
            _ => into.add(location.clone()),
        };
        if !fresh {
            let word = node.args.last().map_or(node.name.span, |word| word.span);
            let name = String::from_utf8_lossy(&enclosing.name).into_owned();
            self.diagnostics.push(Diagnostic::error(word, format!("duplicate location \"{name}\"")));
        }
    }

    fn scope_of_location(
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

    fn limit_except(&mut self, node: &Node, around: &Scope) -> Option<(u32, Arc<Scope>)> {
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
        self.simple(node.block.as_deref().unwrap_or_default(), Contexts::LIMIT_EXCEPT, &mut scope);
        Some((bits, Arc::new(scope)))
    }

    fn matcher(&mut self, node: &Node, outer: Option<&Enclosing>) -> Result<Matcher, Fault> {
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
                let pattern = Pattern::new(path, caseless).map_err(|message| Fault::at(word, message))?;
                let names = pattern
                    .names()
                    .iter()
                    .map(|(name, n)| (self.load.names.define(&name.to_ascii_lowercase()), *n))
                    .collect();
                Matcher::Regex { pattern, names }
            }
            b"" if path.first() == Some(&b'@') => Matcher::Named(path.to_vec()),
            b"" => Matcher::Prefix { path: path.to_vec(), final_: false },
            _ => {
                let word = &node.args[0];
                return Err(Fault::at(word, format!("has an unknown modifier `{}`", word.show()))
                    .help("the modifiers are `=`, `~`, `~*` and `^~`"));
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
                return Err(Fault::at(word, format!("\"{path}\" is outside location \"{outer}\" that it stands in")));
            }
        }
        Ok(matcher)
    }

    /// A copy of the settings for a block inside, with what is not inherited put back.
    fn child(&mut self, around: &Scope) -> Scope {
        self.inner(around, false)
    }

    pub(super) fn inner(&mut self, around: &Scope, same_location: bool) -> Scope {
        let mut scope = around.clone();
        for (name, _) in &around.places.set {
            match INDEX.get(name).map(|row| &row.inherits) {
                Some(Inherits::No(clear)) => clear(&mut scope),
                Some(Inherits::IntoIf(clear)) if !same_location => clear(&mut scope),
                _ => {}
            }
        }
        if !same_location && scope.unbuilt.handler.is_some() {
            Arc::make_mut(&mut scope.unbuilt).handler = None;
        }
        if !scope.rewrite.program.is_empty() {
            Arc::make_mut(&mut scope.rewrite).program.clear();
        }
        scope.places = Arc::new(Places { parent: Some(around.places.clone()), set: Vec::new() });
        scope
    }

    /// Reads the simple directives of a block and returns the block directives in it.
    pub(super) fn simple<'n>(&mut self, nodes: &'n [Node], context: Contexts, scope: &mut Scope) -> Vec<&'n Node> {
        let mut blocks: Vec<&Node> = Vec::new();
        let mut seen: HashMap<&'static str, Span> = HashMap::new();
        let mut lists = Vec::new();
        for node in nodes {
            let name = node.name.text.as_slice();
            if let Some(block) = BLOCKS.iter().find(|block| block.name.as_bytes() == name) {
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
            match row(name) {
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
            return self.misplaced(node, row.manual.contexts, context);
        }
        if let Err(fault) = check_shape(node, row) {
            return self.fault(node, fault);
        }
        match &row.repeats {
            Repeats::Refused => {
                if let Some(first) = seen.get(row.manual.name) {
                    let message = format!("`{}` is duplicate in this block", row.manual.name);
                    let twice = Diagnostic::error(node.name.span, message).also(*first, "first set here");
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
        Arc::make_mut(&mut scope.places).set.push((row.manual.name, node.span));
        let mut args = Args { node, load: &mut self.load, context };
        if let Err(fault) = (row.set)(scope, &mut args) {
            self.fault(node, fault);
        }
    }

    fn block_fits(&mut self, node: &Node, block: &BlockRow, context: Contexts, before: &[&Node]) -> bool {
        if !block.contexts.meets(context) {
            self.misplaced(node, block.contexts, context);
            return false;
        }
        let given = node.args.len();
        if given < block.arity.0 || given > block.arity.1 {
            let fault = miscounted(node, block.arity.0, block.arity.1);
            self.fault(node, fault.help(format!("write `{}`", form(block.name, block.syntax, true))));
            return false;
        }
        if node.block.is_none() {
            let fault = Fault::new("has no block in `{ }`");
            let fault = match block.name {
                "limit_except" => {
                    let methods: Vec<_> = node.args.iter().map(|word| word.show()).collect();
                    let methods = methods.join(" ");
                    fault.help(format!(
                        "write `allow_methods {methods};` (others get 405) or `limit_except {methods} {{ deny all; }}` (others get 403)"
                    ))
                }
                _ => fault.help(format!("write `{}`", form(block.name, block.syntax, true))),
            };
            self.fault(node, fault);
            return false;
        }
        let once = block.contexts == Contexts::MAIN || block.name == "limit_except";
        if let Some(first) = before.iter().find(|other| once && other.name.text == node.name.text) {
            let twice = Diagnostic::error(node.name.span, format!("`{}` is duplicate in this block", block.name));
            self.diagnostics.push(twice.also(first.name.span, "first one here").help("join the two blocks"));
            return false;
        }
        true
    }

    /// A name that no row has: one of nginx's, another project's, or a slip.
    fn foreign(&mut self, node: &Node, context: Contexts, scope: &mut Scope) {
        let name = node.name.show();
        if let Some(part) = suggest::unbuilt(&name) {
            let message = format!("`{name}` is not built yet: it belongs to {part}");
            return self.diagnostics.push(Diagnostic::error(node.name.span, message));
        }
        if let Some(known) = reference::lookup(&name) {
            if known.contexts == Contexts(0) {
                let message = format!("`{name}` of {} has no place here: that module is not built", known.module);
                return self.diagnostics.push(Diagnostic::error(node.name.span, message));
            }
            if !known.contexts.meets(context) {
                return self.misplaced(node, known.contexts, context);
            }
            self.define_unbuilt(node);
            match known.effect {
                reference::Effect::None => {
                    if !self.without_effect.iter().any(|(other, _)| *other == name) {
                        self.without_effect.push((name, node.name.span));
                    }
                }
                reference::Effect::Matters if self.load.partial && unbuilt::kind(&name) != unbuilt::Kind::Guard => {
                    Arc::make_mut(&mut scope.unbuilt).note(&name);
                    let message = format!("`{name}` of {} is not built yet and is left out", known.module);
                    let note = Diagnostic::error(node.name.span, message);
                    self.diagnostics.push(Diagnostic { severity: Severity::Note, ..note });
                }
                reference::Effect::Matters => {
                    let message =
                        format!("`{name}` of {} is not built yet, and it would change what is served", known.module);
                    let diagnostic = Diagnostic::error(node.name.span, message);
                    let help = match unbuilt::kind(&name) {
                        unbuilt::Kind::Guard => "it guards access: remove it only if anybody may come in",
                        _ => "remove it if you can do without what it does; `--partial` starts the rest",
                    };
                    self.diagnostics.push(diagnostic.help(help));
                }
            }
            return;
        }
        let diagnostic = Diagnostic::error(node.name.span, format!("unknown directive `{name}`"));
        let here = ROWS.iter().filter(|row| row.manual.contexts.meets(context)).map(|row| row.manual.name);
        let blocks = BLOCKS.iter().filter(|block| block.contexts.meets(context)).map(|block| block.name);
        let near = suggest::closest(&name, here.chain(blocks));
        let help = match (suggest::spelling(&name, |name| INDEX.contains_key(name)), near) {
            (Some(advice), _) => Some(advice),
            (None, Some(near)) => Some(format!("did you mean `{near}`?")),
            (None, None) => suggest::closest(&name, ROWS.iter().map(|row| row.manual.name)).map(|near| {
                let at = contexts_of(near.as_bytes()).map_or(String::new(), |at| at.names().join(", "));
                format!("did you mean `{near}`? It stands in {at}")
            }),
        };
        self.diagnostics.push(Diagnostic { help, ..diagnostic });
    }

    /// The variable that a directive makes which is not built, so that its users are not called wrong too.
    fn define_unbuilt(&mut self, node: &Node) {
        let makes = match node.name.text.as_slice() {
            b"perl_set" | b"js_set" | b"auth_request_set" => node.args.first(),
            b"map" | b"geo" | b"split_clients" => node.args.last(),
            _ => None,
        };
        if let Some(name) = makes.map(|word| word.show())
            && let Some(name) = name.strip_prefix('$')
        {
            self.load.names.define(&name.to_ascii_lowercase());
        }
    }

    fn misplaced(&mut self, node: &Node, allowed: Contexts, context: Contexts) {
        let (name, here) = (node.name.show(), context.names().join(", "));
        let message = format!("`{name}` is not allowed in {here}");
        let help = format!("`{name}` is allowed in {}", allowed.names().join(", "));
        self.diagnostics.push(Diagnostic::error(node.name.span, message).help(help));
    }

    pub(super) fn fault(&mut self, node: &Node, fault: Fault) {
        let message = format!("`{}` {}", node.name.show(), fault.message);
        let span = fault.span.unwrap_or(node.name.span);
        self.diagnostics.push(Diagnostic { help: fault.help, also: fault.also, ..Diagnostic::error(span, message) });
    }
}

/// Checks braces and the number of words.
fn check_shape(node: &Node, row: &Row) -> Result<(), Fault> {
    let manual = row.manual;
    let forms: Vec<_> =
        manual.syntax.iter().map(|syntax| format!("`{}`", form(manual.name, syntax, manual.block))).collect();
    let help = || format!("write {}", forms.join(" or "));
    if manual.block != node.block.is_some() {
        let message = if manual.block { "has no block in `{ }`" } else { "takes no block; it ends with `;`" };
        return Err(Fault::new(message).help(help()));
    }
    let given = node.args.len();
    let (least, most) = match manual.arity {
        Arity::Flag => (1, 1),
        Arity::Words(least, most) => (usize::from(least), usize::from(most)),
        Arity::AtLeast(least) => (usize::from(least), usize::MAX),
    };
    match given {
        n if n < least || n > most => Err(miscounted(node, least, most).help(help())),
        _ if manual.arity == Arity::Flag
            && !matches!(node.args[0].text.to_ascii_lowercase().as_slice(), b"on" | b"off") =>
        {
            Err(Fault::at(&node.args[0], format!("takes `on` or `off`, not `{}`", node.args[0].show())))
        }
        _ => Ok(()),
    }
}

/// What is said of a directive with too few or too many words.
fn miscounted(node: &Node, least: usize, most: usize) -> Fault {
    let words = |n: usize| if n == 1 { "one word".to_string() } else { format!("{n} words") };
    let given = node.args.len();
    match node.args.get(most) {
        Some(word) if most == 0 => Fault::at(word, "takes nothing after its name"),
        Some(word) if least == most => Fault::at(word, format!("takes {}, not {given}", words(most))),
        Some(word) => Fault::at(word, format!("takes at most {}, not {given}", words(most))),
        None if given == 0 && least == 1 => Fault::new("needs a word after its name"),
        None if least == most => Fault::new(format!("takes {}, not {given}", words(least))),
        None => Fault::new(format!("takes at least {}, not {given}", words(least))),
    }
}

fn form(name: &str, syntax: &str, block: bool) -> String {
    let end = if block { " { ... }" } else { ";" };
    match syntax {
        "" => format!("{name}{end}"),
        _ => format!("{name} {syntax}{end}"),
    }
}
