//! Loads a conf: the main file, what it includes, and the text of the command line. Owns how an
//! `include` finds its files; must not know what any other directive means.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::bytes_to_path;
use super::ast::Node;
use super::codes::Code;
use super::diagnostic::{Diagnostic, Severity};
use super::outside::{Outside, Unreadable};
use super::parse::parse;
use super::source::{Source, Sources, Span};
use super::{glob, stock};

/// Larger files are refused.
const MAX_FILE: u64 = 256 << 20;
/// More files in one load are refused; a conf that includes itself by two ways would grow for ever.
const MAX_FILES: usize = 20_000;
/// More bytes of all files in one load are refused.
const MAX_TOTAL: u64 = 512 << 20;
/// Includes within includes.
const MAX_CHAIN: usize = 64;

/// What a load found: the tree with includes resolved, and every complaint.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All texts that were read.
    pub sources: Sources,
    /// The directives of the main file, those of the command line first.
    pub nodes: Vec<Node>,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// The files in the order they were read, each once (`-T`); the command line is none.
    pub files: Vec<u32>,
}

impl Loaded {
    /// Whether anything forbids to use the tree.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

/// Loads the conf file `main`; `globals` is the text of `-g`, read as if it stood before it.
/// Relative includes start from the main file's folder, in every file. `known` tells whether a
/// word is the name of a directive.
pub fn load(main: &Path, globals: Option<&str>, known: &dyn Fn(&[u8]) -> bool, outside: &Outside) -> Loaded {
    let folder = main.parent().unwrap_or(Path::new("")).to_owned();
    let mut loader =
        Loader { folder, known, outside, loaded: Loaded::default(), chain: Vec::new(), total: 0, full: false };
    let mut nodes = Vec::new();
    if let Some(globals) = globals {
        let text: Arc<[u8]> = globals.as_bytes().into();
        let source = Source { name: "command line".into(), text, included_from: None };
        nodes.extend(loader.nodes_of(source, None));
    }
    match loader.read(main) {
        Ok(text) => {
            let source = Source { name: main.to_owned(), text, included_from: None };
            nodes.extend(loader.nodes_of(source, Some(main)));
        }
        Err(reason) => loader.loaded.diagnostics.push(Diagnostic {
            span: None,
            ..Diagnostic::error(Span::default(), format!("cannot read `{}`: {reason}", main.display()))
                .code(Code::Unreadable)
        }),
    }
    Loaded { nodes, ..loader.loaded }
}

/// A file that is being read: its true path, and the `include` that named it.
struct Link {
    path: PathBuf,
    from: Option<Span>,
}

struct Loader<'a> {
    folder: PathBuf,
    known: &'a dyn Fn(&[u8]) -> bool,
    outside: &'a Outside,
    loaded: Loaded,
    chain: Vec<Link>,
    total: u64,
    /// Whether it was said that there are too many files.
    full: bool,
}

impl Loader<'_> {
    /// The nodes of one source, with its includes resolved.
    fn nodes_of(&mut self, source: Source, path: Option<&Path>) -> Vec<Node> {
        let from = source.included_from;
        let name = source.name.clone();
        let file = self.loaded.sources.add(source);
        let nodes = parse(&self.loaded.sources, file, self.known, &mut self.loaded.diagnostics);
        let Some(path) = path else { return self.resolve(nodes) };
        let listed = |file: &u32| self.loaded.sources.files.get(*file as usize).is_some_and(|s| s.name == name);
        if !self.loaded.files.iter().any(listed) {
            self.loaded.files.push(file);
        }
        self.chain.push(Link { path: self.outside.true_path(path), from });
        let nodes = self.resolve(nodes);
        self.chain.pop();
        nodes
    }

    /// Puts the nodes of the named files in the place of each `include`.
    fn resolve(&mut self, nodes: Vec<Node>) -> Vec<Node> {
        let mut out = Vec::with_capacity(nodes.len());
        for mut node in nodes {
            if node.name.text == b"include" {
                out.extend(self.include(&node));
                continue;
            }
            node.block = node.block.take().map(|block| self.resolve(block));
            out.push(node);
        }
        out
    }

    fn include(&mut self, node: &Node) -> Vec<Node> {
        let word = match (node.args.as_slice(), &node.block) {
            ([word], None) => word,
            (_, Some(_)) => {
                return self.refuse(Code::IncludeShape, node.span, "`include` takes no block: end it with `;`");
            }
            ([], None) => {
                return self.refuse(
                    Code::IncludeShape,
                    node.span,
                    "`include` takes a file name or a pattern such as `sites/*.conf`",
                );
            }
            ([_, more, ..], None) => {
                return self.refuse(
                    Code::IncludeShape,
                    more.span,
                    "`include` takes one file name or pattern, not several",
                );
            }
        };
        if word.text.is_empty() || word.text.contains(&0) {
            return self.refuse(Code::IncludeShape, word.span, "this names no file");
        }
        let path = self.folder.join(bytes_to_path(&word.text));
        let paths = if glob::is_pattern(&word.text) { self.outside.matching(&path) } else { vec![path] };
        paths.into_iter().flat_map(|path| self.include_file(&path, word.span)).collect()
    }

    fn include_file(&mut self, path: &Path, from: Span) -> Vec<Node> {
        if let Some(error) = self.cycle(path, from) {
            self.loaded.diagnostics.push(error);
            return Vec::new();
        }
        if self.chain.len() > MAX_CHAIN {
            return self.refuse(Code::TooLarge, from, format!("more than {MAX_CHAIN} files that include one another"));
        }
        if self.loaded.sources.files.len() >= MAX_FILES || self.total > MAX_TOTAL {
            let twice = std::mem::replace(&mut self.full, true);
            return if twice {
                Vec::new()
            } else {
                self.refuse(Code::TooLarge, from, "the conf has grown too large: too many files are included")
            };
        }
        let text = match self.read(path) {
            Ok(text) => text,
            Err(reason) => return self.missing(path, &reason, from),
        };
        self.nodes_of(Source { name: path.to_owned(), text, included_from: Some(from) }, Some(path))
    }

    /// Our own copy of a file that is not there, or an error.
    fn missing(&mut self, path: &Path, reason: &Unreadable, from: Span) -> Vec<Node> {
        let shown = path.display();
        let copy = if matches!(reason, Unreadable::Absent) { self.stock(path) } else { None };
        let Some(text) = copy else {
            let error = Diagnostic::error(from, format!("cannot read `{shown}`: {reason}")).code(Code::Unreadable);
            let help = self.elsewhere(path, reason);
            self.loaded.diagnostics.push(Diagnostic { help, ..error });
            return Vec::new();
        };
        let message = format!("`{shown}` is not there: Longshore's own copy is used");
        let note = Diagnostic::note(from, message);
        if !self.loaded.diagnostics.iter().any(|said| said.message == note.message) {
            self.loaded.diagnostics.push(note);
        }
        let source = Source { name: path.to_owned(), text: text.as_bytes().into(), included_from: Some(from) };
        self.nodes_of(source, Some(path))
    }

    /// Our copy of a stock file, looked for beside the conf or where packages put it.
    fn stock(&self, path: &Path) -> Option<&'static str> {
        match path.strip_prefix(&self.folder) {
            Ok(beside) => stock::copy_of(beside),
            Err(_) => stock::copy_of(path),
        }
    }

    /// Where a file is that is not beside the conf, if it is where nginx's packages put theirs.
    fn elsewhere(&self, path: &Path, reason: &Unreadable) -> Option<String> {
        let beside = path.strip_prefix(&self.folder).ok().filter(|_| matches!(reason, Unreadable::Absent))?;
        let there = Path::new("/etc/nginx").join(beside);
        self.outside.read(&there, MAX_FILE).ok()?;
        let (there, folder) = (there.display(), self.folder.display());
        Some(format!("write `include {there};`: a relative name starts at the conf's folder, `{folder}`"))
    }

    /// An error if `path` is being read already: a file that includes itself, if by detours.
    fn cycle(&self, path: &Path, from: Span) -> Option<Diagnostic> {
        let path = self.outside.true_path(path);
        let start = self.chain.iter().position(|link| link.path == path)?;
        let mut names: Vec<String> =
            self.chain[start..].iter().map(|link| format!("`{}`", short(&link.path))).collect();
        names.push(format!("`{}`", short(&path)));
        let error = Diagnostic::error(from, format!("the file includes itself: {}", names.join(" includes ")))
            .code(Code::IncludeCircle);
        Some(match self.chain.get(start + 1).and_then(|link| link.from) {
            Some(first) => error.also(first, "the circle begins here"),
            None => error,
        })
    }

    fn read(&mut self, path: &Path) -> Result<Arc<[u8]>, Unreadable> {
        let text = self.outside.read(path, MAX_FILE)?;
        self.total += text.len() as u64;
        Ok(text)
    }

    fn refuse(&mut self, code: Code, span: Span, message: impl Into<String>) -> Vec<Node> {
        self.loaded.diagnostics.push(Diagnostic::error(span, message).code(code));
        Vec::new()
    }
}

fn short(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes files into a fresh folder, loads the first, and shows names and messages.
    fn loaded(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let loaded = load(&folder.path().join(files[0].0), Some("daemon off;"), &|_| false, &Outside::default());
        let here = format!("{}/", folder.path().display());
        let messages = loaded.diagnostics.iter().map(|d| d.message.replace(&here, "")).collect();
        (show(&loaded.nodes), messages)
    }

    fn show(nodes: &[Node]) -> Vec<String> {
        let one = |node: &Node| match &node.block {
            Some(block) => format!("{}{{{}}}", node.name.show(), show(block).join(" ")),
            None => node.name.show(),
        };
        nodes.iter().map(one).collect()
    }

    #[test]
    fn includes_stand_where_they_are_named() {
        let (nodes, messages) = loaded(&[
            ("etc/main.conf", "a; http { include sub/*.conf; z; } include none/*.conf;"),
            ("etc/sub/2.conf", "c;"),
            ("etc/sub/1.conf", "b { include deep.inc; }"),
            ("etc/deep.inc", "d;"),
        ]);
        assert_eq!(nodes, ["daemon", "a", "http{b{d} c z}"]);
        assert_eq!(messages, [""; 0]);
    }

    #[test]
    fn what_cannot_be_included_is_named() {
        for (text, want) in [
            ("include gone.conf;", "cannot read `gone.conf`: there is no such file"),
            ("include sub;", "cannot read `sub`: it is a folder"),
            ("include;", "`include` takes a file name or a pattern such as `sites/*.conf`"),
            ("include a b;", "`include` takes one file name or pattern, not several"),
            ("include a { }", "`include` takes no block: end it with `;`"),
            ("include '';", "this names no file"),
            ("include main.conf;", "the file includes itself: `main.conf` includes `main.conf`"),
            ("include sub/a;", "the file includes itself: `main.conf` includes `a` includes `main.conf`"),
        ] {
            let (nodes, messages) = loaded(&[("main.conf", text), ("sub/a", "include main.conf;")]);
            assert_eq!((nodes.as_slice(), messages.as_slice()), (&["daemon".to_owned()][..], &[want.to_owned()][..]));
        }
    }

    #[test]
    fn each_file_is_listed_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("main"), "include a; include a;").expect("a file");
        std::fs::write(folder.path().join("a"), "x;").expect("a file");
        let loaded = load(&folder.path().join("main"), None, &|_| false, &Outside::default());
        assert_eq!((loaded.files.len(), loaded.nodes.len(), loaded.has_errors()), (2, 2, false));
        assert!(load(&folder.path().join("none"), None, &|_| false, &Outside::default()).has_errors());
        assert!(load(folder.path(), None, &|_| false, &Outside::default()).has_errors());
    }
}
