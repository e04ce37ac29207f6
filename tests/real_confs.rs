//! Confs that others wrote and nginx accepts: each must be read without a word of complaint, at its level, and
//! hold no name that is unknown here. Most of them load; the others and their reasons are told.
//! `LONGSHORE_REAL_CONFS` names a folder of them with an `INDEX.tsv` (file, level at which nginx
//! accepts it); without it the test says so and passes.

use longshore::conf::diagnostic::{Diagnostic, Severity};
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

/// How many of a thousand that nginx accepts are to load.
const WANTED: usize = 955;

#[test]
fn most_confs_that_nginx_accepts_load() {
    let Some(folder) = std::env::var_os("LONGSHORE_REAL_CONFS").map(PathBuf::from) else {
        println!("skipped: LONGSHORE_REAL_CONFS names no folder of confs");
        return;
    };
    let index = std::fs::read_to_string(folder.join("INDEX.tsv")).expect("the folder has an INDEX.tsv");
    let prefix = tempfile::tempdir().expect("a temporary folder");
    let (mut accepted, mut blocked) = (0, Vec::new());
    for row in index.lines().skip(1) {
        let mut columns = row.split('\t');
        let (Some(file), Some(level)) = (columns.next(), columns.next()) else { continue };
        if level == "not accepted by nginx" || nginx_refuses(&folder.join(file), level, prefix.path()) {
            continue;
        }
        accepted += 1;
        let request =
            Request { file: folder.join(file), prefix: prefix.path().into(), rootless: true, ..Request::default() };
        let loaded = load(&request);
        let errors = || loaded.diagnostics.iter().filter(|said| said.severity == Severity::Error);
        // Nobody has the files that these confs name, nor those that a fragment belongs to; what stands in them is missed.
        let lacks = level.contains("fragment") || errors().any(|said| is_absent(&said.message));
        let reason = errors().find(|said| !(is_absent(&said.message) || lacks && is_missed(&said.message)));
        blocked.extend(reason.map(|said| format!("{file}: {}", said.message)));
    }
    let loads = accepted - blocked.len();
    println!("{loads} of {accepted} load, {}.{} %", loads * 100 / accepted, loads * 1000 / accepted % 10);
    blocked.iter().for_each(|why| println!("  {why}"));
    assert!(loads * 1000 >= accepted * WANTED, "{loads} of {accepted} load: {blocked:#?}");
}

/// Whether a complaint is about the machine, and not about the conf.
fn is_absent(message: &str) -> bool {
    message.contains("no such file") || message.contains("host not found")
}

/// Whether a complaint is about something that a file which is not there may hold.
fn is_missed(message: &str) -> bool {
    ["unknown variable", "has no `ssl_certificate`", "no line says whose is good"]
        .iter()
        .any(|text| message.contains(text))
}

/// Whether the nginx beside us, if there is one, refuses a conf for what stands in it: it may lack a module.
fn nginx_refuses(file: &std::path::Path, level: &str, folder: &std::path::Path) -> bool {
    let conf = match level {
        "main" => file.to_path_buf(),
        _ => {
            let (open, close) = if level == "http" { ("", "") } else { ("server {", "}") };
            let text = format!("events {{}} http {{ {open} include {}; {close} }}", file.display());
            std::fs::write(folder.join("whole.conf"), text).expect("a file");
            folder.join("whole.conf")
        }
    };
    let Ok(said) = std::process::Command::new("nginx").arg("-t").arg("-c").arg(conf).output() else { return false };
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    ["unknown directive", "no \"ssl_certificate\" is defined"].iter().any(|text| said.contains(text))
}
