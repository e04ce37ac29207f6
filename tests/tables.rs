//! The two tables, directives and variables, as a whole: what every row promises.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use longshore::conf::directive::{Arity, Contexts};
use longshore::settings::blocks::BLOCKS;
use longshore::settings::load::{Request, load};
use longshore::settings::{ROWS, VARIABLES};

#[test]
fn names_are_unique() {
    // In an upstream some names mean another thing than elsewhere.
    let (inside, outside): (Vec<_>, Vec<_>) = ROWS.iter().partition(|row| row.manual.contexts == Contexts::UPSTREAM);
    let blocks = BLOCKS.iter().map(|block| block.name);
    let outside: Vec<_> = outside.iter().map(|row| row.manual.name).chain(blocks).collect();
    let inside: Vec<_> = inside.iter().map(|row| row.manual.name).collect();
    for names in [outside, inside, VARIABLES.iter().map(|row| row.name).collect()] {
        let mut seen = BTreeSet::new();
        let twice: Vec<_> = names.into_iter().filter(|name| !seen.insert(*name)).collect();
        assert!(twice.is_empty(), "{twice:?} stand in more than one row");
    }
}

#[test]
fn every_row_is_explained() {
    let directives = ROWS.iter().map(|row| (row.manual.name, row.manual.doc));
    let blocks = BLOCKS.iter().map(|block| (block.name, block.doc));
    for (name, doc) in directives.chain(blocks).chain(VARIABLES.iter().map(|row| (row.name, row.doc))) {
        assert!(doc.ends_with('.') && !doc.contains("  "), "{name}: a text ends with a full stop: {doc}");
        let sentences = doc.split(". ").count();
        assert!((1..=6).contains(&sentences), "{name}: one to six sentences, not {sentences}");
    }
    for row in ROWS.iter() {
        assert!(!row.manual.syntax.is_empty() && row.manual.contexts != Contexts(0), "{}", row.manual.name);
        if row.manual.arity == Arity::Flag {
            assert_eq!(row.manual.syntax, ["on | off"], "{}", row.manual.name);
        }
    }
}

/// What a default names must be accepted where the directive may stand. Defaults that are no conf text are told by
/// what stands in them.
#[test]
fn stated_defaults_are_accepted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for row in ROWS.iter() {
        let manual = row.manual;
        let Some(default) = manual.default.filter(|default| !default.contains('|') && !default.contains("...")) else {
            continue;
        };
        let line = match (manual.block, default) {
            (true, _) => format!("{} {{ {default} }}", manual.name),
            (false, "") => format!("{};", manual.name),
            (false, _) => format!("{} {default};", manual.name),
        };
        let text = around(manual.contexts, &line);
        let file = folder.path().join("conf");
        std::fs::write(&file, &text).expect("a file");
        let loaded = load(&Request { file, prefix: folder.path().to_path_buf(), ..Request::default() });
        let messages: Vec<_> = loaded.diagnostics.iter().map(|diagnostic| &diagnostic.message).collect();
        assert!(!loaded.has_errors(), "{text}: {messages:?}");
    }
}

/// A conf with a line in a place where it may stand.
fn around(contexts: Contexts, line: &str) -> String {
    match () {
        () if contexts.meets(Contexts::MAIN) => format!("{line} http {{ }}"),
        () if contexts.meets(Contexts::EVENTS) => format!("events {{ {line} }} http {{ }}"),
        () if contexts.meets(Contexts::HTTP) => format!("http {{ {line} }}"),
        () if contexts == Contexts::UPSTREAM => format!("http {{ upstream u {{ server 127.0.0.1; {line} }} }}"),
        () if contexts.meets(Contexts::SERVER) => format!("http {{ server {{ {line} }} }}"),
        () => format!("http {{ server {{ location / {{ {line} }} }} }}"),
    }
}

#[test]
fn every_row_is_tried_somewhere() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut text = String::new();
    for folder in ["cases", "sh", "conf"] {
        read_all(&tests.join(folder), &mut text);
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: BTreeSet<&str> = text.split(|c| !is_word(c)).collect();
    let missing: Vec<_> = ROWS.iter().map(|row| row.manual.name).filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "no case under tests/ names {missing:?}");
}

fn read_all(folder: &Path, text: &mut String) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => read_all(&path, text),
            false => text.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default())),
        }
    }
}
