//! Confs and everything that is said of them, word for word: `tests/conf/ok` are accepted, `tests/conf/err` refused.
//! Beside each NAME.conf stands NAME.expected; `LONGSHORE_BLESS=1` writes them, and then they want to be read.

use std::path::{Path, PathBuf};

use longshore::conf::render::{Format, render};
use longshore::settings::load::{Level, Request, load};

#[test]
fn confs_are_answered_word_for_word() {
    let mut wrong = Vec::new();
    for (kind, refused) in [("ok", false), ("err", true)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf").join(kind);
        for conf in confs(&folder) {
            let name = conf.file_name().expect("it is a file").to_string_lossy().into_owned();
            let (text, errors) = said(&conf, &folder);
            assert_eq!(errors, refused, "{kind}/{name} belongs in the other folder:\n{text}");
            let expected = conf.with_extension("expected");
            if std::env::var_os("LONGSHORE_BLESS").is_some() {
                std::fs::write(&expected, &text).expect("the folder can be written");
            }
            if std::fs::read_to_string(&expected).unwrap_or_default() != text {
                wrong.push(format!("--- {kind}/{name}\n{text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "what is said differs from the .expected file:\n{}", wrong.join("\n"));
}

fn confs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of confs").flatten().map(|entry| entry.path());
    let mut confs: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "conf")).collect();
    confs.sort();
    confs
}

/// Everything that is said of a conf, with paths relative to its folder, and whether it is refused.
fn said(conf: &Path, folder: &Path) -> (String, bool) {
    let request = Request { file: conf.to_path_buf(), prefix: folder.to_path_buf(), ..Request::default() };
    let loaded = load(&request);
    let level = match loaded.level {
        Level::Main => "",
        Level::Http => "taken for the inside of http\n",
        Level::Server => "taken for the inside of server\n",
        Level::Location => "taken for the inside of location\n",
    };
    let mut text = level.to_string();
    for diagnostic in &loaded.diagnostics {
        text += &render(&loaded.sources, diagnostic, Format::Long, false);
    }
    for (name, _) in &loaded.without_effect {
        text += &format!("without effect: {name}\n");
    }
    (text.replace(&format!("{}/", folder.display()), ""), loaded.has_errors())
}
