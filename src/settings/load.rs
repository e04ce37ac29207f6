//! From a conf file to [`Settings`], or to the list of what is wrong with it. The level of a fragment is
//! found here: a whole conf, the inside of `http`, of `server`, or of `location`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block::Builder;
use super::names::NameTable;
use super::{Scope, Settings, checks, dangers, sockets};
use crate::conf::args::Load;
use crate::conf::ast::Node;
use crate::conf::codes::Code;
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::Contexts;
use crate::conf::include;
use crate::conf::outside::Outside;
use crate::conf::source::{Sources, Span};
use crate::features;
use crate::gateway::upstream::Upstreams;

/// What to load, and how.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The conf file, absolute.
    pub file: PathBuf,
    /// The folder that relative paths start from, absolute.
    pub prefix: PathBuf,
    /// Directives given on the command line (`-g`).
    pub globals: Option<String>,
    /// Whether what is known but not built yet is let pass: its location answers 501.
    pub partial: bool,
    /// The error log until the conf names one (`-e`), absolute.
    pub error_log: Option<PathBuf>,
    /// Whether what needs root is moved out of the way (`--rootless`).
    pub rootless: bool,
}

/// For what kind of block a file is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A whole conf.
    Main,
    /// What stands inside `http { }`: `server` blocks and the like.
    Http,
    /// What stands inside `server { }`.
    Server,
    /// What stands inside `location { }`.
    Location,
}

/// What became of a conf.
pub struct Loaded {
    /// The settings; none when there were errors, or when the file is a fragment.
    pub settings: Option<Settings>,
    /// All messages, in the order of the conf.
    pub diagnostics: Vec<Diagnostic>,
    /// The directives as they stand, includes resolved.
    pub nodes: Vec<Node>,
    /// The texts that were read.
    pub sources: Arc<Sources>,
    /// The files among them, each once, in the order they were read.
    pub files: Vec<u32>,
    /// For what kind of block the file is.
    pub level: Level,
    /// Directives without effect here, each with its first place.
    pub without_effect: Vec<(String, Span)>,
}

impl Loaded {
    /// Whether the conf was refused.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Loads a conf from this machine.
pub fn load(request: &Request) -> Loaded {
    load_from(request, &Arc::default())
}

/// Loads a conf; what it names outside of its own text is asked for there.
pub fn load_from(request: &Request, outside: &Arc<Outside>) -> Loaded {
    let files = include::load(&request.file, request.globals.as_deref(), &super::blocks::is_known, outside);
    let mut builder = Builder::new(context(request, outside.clone()));
    builder.diagnostics = files.diagnostics;
    let level = find_level(&files.nodes);
    let (main, http) = builder.top(&files.nodes, level);
    let names = builder.names.clone();
    let made = features::map::getters(&http.map).into_iter().chain(features::geo::getters(&http.geo)).collect();
    let mut variables = names.finish(made, &mut builder.diagnostics);
    let sockets = sockets::build(&builder.servers, &mut builder.diagnostics);
    let blocks = http.upstream.blocks();
    let names: Vec<String> = blocks.iter().map(|block| block.name.to_ascii_lowercase()).collect();
    let (checks, expected) = checks::find(&builder.servers, &names, &mut builder.diagnostics);
    let upstreams = Upstreams::build(
        blocks,
        &expected,
        &http.resolver,
        &builder.load.destinations,
        &builder.load.outside,
        &mut builder.diagnostics,
    );
    let mut diagnostics = builder.diagnostics;
    if matches!(level, Level::Main | Level::Http) {
        // A part of a conf may use what another part declares.
        diagnostics.extend(builder.load.zones.undeclared());
    }
    diagnostics.append(&mut builder.load.warnings);
    let sources = Arc::new(files.sources);
    diagnostics.sort_by_key(|found| found.span.map(|span| (span.file, begin(&sources, found, span), span.start)));
    drop_consequences(&mut diagnostics);
    variables.sources = sources.clone();
    let settings = Settings {
        main,
        http,
        servers: builder.servers,
        sockets,
        upstreams,
        checks,
        zones: builder.load.zones.identities().to_vec(),
        logs: builder.load.logs,
        keeps_sent_fields: variables.entries.iter().any(|(name, _)| name.starts_with("sent_")),
        variables: Arc::new(variables),
        prefix: Arc::new(request.prefix.clone()),
        sources: sources.clone(),
    };
    diagnostics.extend(missing_maps(&settings));
    diagnostics.extend(half_sessions(&settings));
    diagnostics.extend(stores_among_scripts(&settings));
    diagnostics.extend(half_tls(&settings));
    let mut loaded = Loaded {
        settings: None,
        diagnostics,
        nodes: files.nodes,
        sources,
        files: files.files,
        level,
        without_effect: builder.without_effect,
    };
    if !loaded.has_errors() && matches!(level, Level::Main | Level::Http) {
        loaded.settings = Some(settings);
    }
    loaded
}

/// Where a message stands among others. A character that looks like a quote is the cause of whatever else is said of its line.
fn begin(sources: &Sources, found: &Diagnostic, span: Span) -> u32 {
    let source = sources.files.get(span.file as usize).filter(|_| found.code == Code::OddCharacter);
    let before = source.and_then(|source| source.text.get(..span.start as usize));
    before.map_or(span.start, |before| before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at as u32 + 1))
}

/// Where braces do not add up, everything after the place stands in other blocks than it seems: to say so of each line helps
/// nobody. Neither does a name that was perhaps declared there.
fn drop_consequences(diagnostics: &mut Vec<Diagnostic>) {
    let place = |found: &Diagnostic| found.span.map(|span| (span.file, span.start));
    let is_cause =
        |found: &&Diagnostic| matches!(found.code, Code::UnopenedBlock | Code::UnclosedBlock | Code::StrayBrace);
    let causes: Vec<(u32, u32)> = diagnostics.iter().filter(is_cause).filter_map(place).collect();
    if causes.is_empty() {
        return;
    }
    let is_after = |(file, at): (u32, u32)| causes.iter().any(|(other, start)| *other == file && at > *start);
    let lost = [Code::WrongPlace, Code::UnknownVariable, Code::UnknownZone, Code::UnknownUpstream];
    diagnostics.retain(|found| {
        let is_about_shapes = found.code < Code::Unreadable;
        match place(found) {
            Some(at) if is_after(at) => is_about_shapes && !is_cause(&found),
            _ => !lost.contains(&found.code),
        }
    });
}

fn context(request: &Request, outside: Arc<Outside>) -> (Load, NameTable) {
    let names = NameTable::default();
    let hostname = outside.hostname();
    let load = Load {
        prefix: request.prefix.clone(),
        conf_dir: request.file.parent().unwrap_or(Path::new("/")).to_path_buf(),
        outside,
        hostname,
        names: Box::new(names.clone()),
        zones: Default::default(),
        warnings: Vec::new(),
        logs: Vec::new(),
        error_log: request.error_log.clone(),
        rootless: request.rootless,
        partial: request.partial,
        regex_limit: Default::default(),
        location: None,
        destinations: Vec::new(),
        around: Vec::new(),
    };
    (load, names)
}

/// Charsets that would have to be recoded and cannot be: known only once a block stands with all that it inherits.
fn missing_maps(settings: &Settings) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    for scope in settings.scopes() {
        let Some((from, to)) = scope.charset.missing_map() else { continue };
        let span = scope.places.of("charset").unwrap_or_default();
        let message = format!("no `charset_map` between the charsets `{from}` and `{to}`");
        if !found.iter().any(|known| known.message == message) {
            found.push(
                Diagnostic::error(span, message)
                    .code(Code::NoCharsetMap)
                    .help(format!("write `charset_map {from} {to} {{ ... }}`, or name one charset")),
            );
        }
    }
    found
}

/// Sessions that lack something: known only once a block stands with all that it inherits.
fn half_sessions(settings: &Settings) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    for scope in settings.scopes() {
        let Some((directive, message, help)) = scope.session.lack() else { continue };
        let span = scope.places.of(directive).unwrap_or_default();
        if !found.iter().any(|known| known.span == Some(span)) {
            found.push(Diagnostic::error(span, message).help(help));
        }
    }
    found
}

/// Stores for uploads that lie in a tree where scripts run: what a stranger stores there, a request elsewhere would run.
fn stores_among_scripts(settings: &Settings) -> Vec<Diagnostic> {
    let scopes = settings.scopes();
    let mut found: Vec<Diagnostic> = Vec::new();
    for scope in &scopes {
        let Some(store) = &scope.upload.store else { continue };
        let runs =
            |other: &&&Arc<Scope>| other.upload.store.is_none() && other.cgi.runs_files_in(&other.root, &store.folder);
        let Some(other) = scopes.iter().find(runs) else { continue };
        let span = scope.places.of("upload_store").unwrap_or_default();
        let folder = String::from_utf8_lossy(&store.folder).into_owned();
        let code = Code::UploadRunsScripts;
        if found.iter().any(|known| known.span == Some(span)) || dangers::is_silenced(&settings.sources, span, code) {
            continue;
        }
        let mut warning =
            Diagnostic::warning(span, format!("the store \"{folder}\" lies in a tree where scripts are run"))
                .code(code)
                .help("name a folder outside of it: whoever may upload could run programs here");
        let place = other.places.of("cgi").or_else(|| other.places.of("cgi_extension"));
        warning.also = place.map(|place| (place, "scripts are run by this".to_string()));
        found.push(warning);
    }
    found
}

/// What does not go together of how other servers are spoken to in TLS: each file may be well and the whole be not.
fn half_tls(settings: &Settings) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    let scopes = settings.scopes();
    let both = |scope: &'_ Arc<Scope>| scope.proxy.lack().into_iter().chain(scope.uwsgi.lack());
    for (scope, (directive, wrong)) in scopes.iter().flat_map(|scope| both(scope).map(move |lack| (scope, lack))) {
        let span = scope.places.of(&directive).unwrap_or_default();
        let diagnostic = Diagnostic::error(span, format!("`{directive}` {}", wrong.what));
        let diagnostic = Diagnostic { help: wrong.help, ..diagnostic };
        if !found.contains(&diagnostic) {
            found.push(diagnostic);
        }
    }
    found
}

/// The first level at which every directive of the file may stand; where there is none, the one with
/// the fewest misfits.
fn find_level(nodes: &[Node]) -> Level {
    const LEVELS: [(Level, Contexts); 4] = [
        (Level::Main, Contexts::MAIN),
        (Level::Http, Contexts::HTTP.or(Contexts::MAIN)),
        (Level::Server, Contexts::SERVER),
        (Level::Location, Contexts::LOCATION),
    ];
    let is = |name: &[u8]| nodes.iter().any(|node| node.name.text == name);
    if is(b"http") || nodes.is_empty() {
        return Level::Main;
    }
    let misfits = |contexts: Contexts| {
        let known = nodes.iter().filter_map(|node| super::blocks::contexts_of(&node.name.text));
        known.filter(|at| !at.meets(contexts)).count()
    };
    let (level, _) = LEVELS.iter().min_by_key(|(_, contexts)| misfits(*contexts)).expect("there are four levels");
    *level
}

/// The settings that stand before anything is read: those of an empty conf.
pub(super) fn first_scope(load: &mut Load) -> Scope {
    use std::os::unix::ffi::OsStrExt;
    let mut scope = Scope::default();
    let html = load.prefix.join("html");
    Arc::make_mut(&mut scope.root).root = crate::conf::value::Text::literal(html.as_os_str().as_bytes().to_vec());
    scope.error_log = Arc::new(features::error_log::Conf::initial(load));
    scope.access_log = Arc::new(features::access_log::Conf::initial(load));
    scope.request_variables = Arc::new(features::request_variables::Conf::initial(load));
    scope
}
