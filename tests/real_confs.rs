//! Confs that others wrote and nginx accepts: each must be read without a word of complaint.
//! `LONGSHORE_REAL_CONFS` names a folder of them with an `INDEX.tsv` (file, level at which nginx
//! accepts it); without it the test says so and passes.

use longshore::conf::diagnostic::Diagnostic;
use longshore::conf::parse::parse;
use longshore::conf::reference;
use longshore::conf::source::{Source, Sources};
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
