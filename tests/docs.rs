//! The manual pages that are committed must be those that the rows make. `LONGSHORE_BLESS=1` writes them.

use std::path::Path;

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
