//! Confs that others wrote and nginx accepts: each must be read without a word of complaint, at its level, and
//! hold no name that is unknown here.
//! `LONGSHORE_REAL_CONFS` names a folder of them with an `INDEX.tsv` (file, level at which nginx
//! accepts it); without it the test says so and passes.

use longshore::conf::diagnostic::Diagnostic;
use longshore::conf::parse::parse;
use longshore::conf::reference;
use longshore::conf::source::{Source, Sources};
use longshore::settings::load::{Level, Request, load};
use std::path::PathBuf;

#[test]
fn confs_that_nginx_accepts_are_read_without_complaint() {
    let Some(folder) = std::env::var_os("LONGSHORE_REAL_CONFS").map(PathBuf::from) else {
        println!("skipped: LONGSHORE_REAL_CONFS names no folder of confs");
        return;
    };
    let index = std::fs::read_to_string(folder.join("INDEX.tsv")).expect("the folder has an INDEX.tsv");
    let known = |word: &[u8]| std::str::from_utf8(word).is_ok_and(|word| reference::lookup(word).is_some());
    for row in index.lines().skip(1) {
        let mut columns = row.split('\t');
        let (Some(file), Some(level)) = (columns.next(), columns.next()) else { continue };
        let text = std::fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut sources = Sources::default();
        let file_index = sources.add(Source { name: file.into(), text: text.into(), included_from: None });
        let mut complaints = Vec::new();
        let nodes = parse(&sources, file_index, &known, &mut complaints);
        if level == "not accepted by nginx" {
            continue;
        }
        let show = |c: &Diagnostic| format!("{}: {}", sources.place(c.span.unwrap_or_default()), c.message);
        let texts: Vec<_> = complaints.iter().map(show).collect();
        assert!(texts.is_empty() && !nodes.is_empty(), "{texts:#?}");
    }
}

#[test]
fn confs_that_nginx_accepts_are_taken_for_what_they_are() {
    let Some(folder) = std::env::var_os("LONGSHORE_REAL_CONFS").map(PathBuf::from) else {
        println!("skipped: LONGSHORE_REAL_CONFS names no folder of confs");
        return;
    };
    let index = std::fs::read_to_string(folder.join("INDEX.tsv")).expect("the folder has an INDEX.tsv");
    let prefix = tempfile::tempdir().expect("a temporary folder");
    let mut wrong = Vec::new();
    for row in index.lines().skip(1) {
        let mut columns = row.split('\t');
        let (Some(file), Some(level)) = (columns.next(), columns.next()) else { continue };
        let request =
            Request { file: folder.join(file), prefix: prefix.path().into(), rootless: true, ..Request::default() };
        let loaded = load(&request);
        // What may stand on several levels is taken for the outermost of them.
        let fits = match (level, loaded.level) {
            ("not accepted by nginx", _) | ("main", Level::Main) | ("http", Level::Http) => true,
            ("http/server", at) => at == Level::Server,
            ("http/server/(fragment)", at) => at == Level::Http,
            _ => false,
        };
        if !fits {
            wrong.push(format!("{file}: {level} was taken for {:?}", loaded.level));
        }
        let unknown = loaded.diagnostics.iter().filter(|said| said.message.starts_with("unknown directive"));
        if level != "not accepted by nginx" {
            wrong.extend(unknown.map(|said| format!("{file}: {}", said.message)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
