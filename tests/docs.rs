//! The manual pages that are committed must be those that the rows make. `LONGSHORE_BLESS=1` writes them.

use std::path::Path;
use std::process::Command;

#[test]
fn the_manual_is_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = |text: std::io::Result<Vec<u8>>| {
        String::from_utf8(text.expect("it is written to memory")).expect("it is UTF-8")
    };
    std::fs::create_dir_all(folder.join("man")).expect("docs/ can be written");
    for (name, text) in [
        ("directives.md", longshore::cli::manual::directives()),
        ("variables.md", longshore::cli::manual::variables()),
        ("diagnostics.md", longshore::cli::explained::diagnostics()),
        ("reasons.md", longshore::cli::explained::reasons()),
        ("man/longshore.1", page(longshore::cli::man::command_line())),
        ("man/longshore.conf.5", page(longshore::cli::man::conf())),
    ] {
        let path = folder.join(name);
        if std::env::var_os("LONGSHORE_BLESS").is_some() {
            std::fs::write(&path, &text).expect("docs/ can be written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "docs/{name} is out of date: run LONGSHORE_BLESS=1 cargo test --test docs");
    }
}

/// The fenced block behind a remark of the page.
fn block<'a>(page: &'a str, mark: &str) -> &'a str {
    let behind = page.split_once(&format!("<!-- {mark} -->\n```")).expect("the page has the remark").1;
    let text = behind.split_once('\n').expect("the fence has a line of its own").1;
    text.split_once("```").expect("the block ends").0
}

#[test]
fn the_lines_of_the_testing_page_hold() {
    let longshore = env!("CARGO_BIN_EXE_longshore");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/testing.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lines = block(&page, "expect: lines");
    for (name, text) in
        [("site.conf", block(&page, "expect: conf")), ("site.expect", lines), ("small.txt", "a small file\n")]
    {
        std::fs::write(folder.path().join(name), text).expect("it can be written");
    }
    std::fs::create_dir(folder.path().join("up")).expect("it can be made");
    let run = |args: &[&str]| {
        let out = Command::new(longshore).args(args).current_dir(folder.path()).output().expect("the program runs");
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
    };
    assert_eq!(run(&["cert", "self-signed", "a.test"]).0, Some(0));
    let (code, said) = run(&["expect", "site.expect", "-c", "site.conf"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("# SKIP nobody is empty"), "{said}");
    // Each word that the page lists stands in the lines that were run.
    for word in [
        "base ",
        "set ",
        "cookies on",
        "cookies off",
        "insecure on",
        "insecure off",
        "section ",
        "RAW ",
        "https://",
        "!host",
        "!content-length",
        "body=",
        "=101b",
        "kb",
        "=1mb",
        "=@",
        " chunked",
        "form:",
        "file:",
        "http/1.0",
        " same",
        "times=",
        "at-once=",
        "pause ",
        "4xx",
        "|",
        "closed",
        "~^",
        "!body~",
        "!allow~",
        "!x-other",
        "within ",
        "availability ",
        "${",
    ] {
        assert!(lines.contains(word), "no line of docs/testing.md shows {word}");
    }
}

/// Each row of the table of limits: the directives in its second column have the default in its third.
#[test]
fn the_limits_of_the_security_page_are_the_defaults() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let mut looked_at = 0;
    for line in page.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<&str> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let directives = cells[1].split(", ").filter_map(|cell| cell.strip_prefix('`')?.strip_suffix('`'));
        for name in directives {
            let row = longshore::settings::ROWS.iter().find(|row| row.manual.name == name);
            let row = row.unwrap_or_else(|| panic!("no directive {name}: {line}"));
            assert_eq!(row.manual.default.unwrap_or("none"), cells[2].replace("\\|", "|"), "{line}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 15, "the table has rows with directives");
}
