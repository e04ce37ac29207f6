//! The rooms and their order, read from the `use crate::` lines and from every `crate::` path: a file imports
//! only from rooms below its own, and no feature knows another. And what a conf means is asked of the machine in one place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// The rooms from the ground up, as the first part of a path.
const ROOMS: [&[&str]; 8] = [
    &["http", "sync"],
    &["conf"],
    &["exchange", "tls"],
    &["features", "gateway"],
    &["settings", "route"],
    &["pipeline"],
    &["server"],
    &["cli"],
];

/// What lower rooms may know of a higher one, each with its reason.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

fn height(room: &str) -> Option<usize> {
    ROOMS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn files_import_only_from_below() {
    let mut wrong = Vec::new();
    for (file, room, text) in sources() {
        let Some(own) = height(&room) else { continue };
        for path in paths(&text) {
            let target = path.split("::").next().unwrap_or_default();
            let excepted = EXCEPTIONS.iter().any(|(from, to, _)| file.starts_with(from) && path.starts_with(to));
            if height(target).is_some_and(|height| height > own) && !excepted {
                wrong.push(format!("{file} imports crate::{path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn features_do_not_know_each_other() {
    let mut wrong = Vec::new();
    for (file, _, text) in sources().into_iter().filter(|(_, room, _)| room == "features") {
        let own = file.trim_start_matches("features/").split(['/', '.']).next().unwrap_or_default().to_string();
        let others = paths(&text).into_iter().filter_map(|path| {
            let feature = path.strip_prefix("features::")?.split("::").next()?.to_string();
            (feature != own).then_some(feature)
        });
        wrong.extend(others.map(|other| format!("{file} knows {other}")));
        if text.contains("use super::super::")
            || (!file.contains("/mod.rs") && file.matches('/').count() == 1 && text.contains("\nuse super::"))
        {
            wrong.push(format!("{file} reaches its neighbours through super"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a directive means the engine asks of the pipeline and the settings: a new directive does not touch it.
#[test]
fn the_server_knows_no_feature() {
    let server = sources().into_iter().filter(|(_, room, _)| room == "server");
    let wrong: Vec<_> = server
        .flat_map(|(file, _, text)| paths(&text).into_iter().map(move |path| format!("{file} imports crate::{path}")))
        .filter(|import| import.contains(" crate::features"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_owns() {
    for (file, _, text) in sources() {
        let header = text.lines().take_while(|line| line.starts_with("//!")).count();
        assert!(
            (1..=6).contains(&header) || file == "lib.rs",
            "{file}: a file opens with two to six lines of what it owns"
        );
    }
}

/// What is found on the machine or by the rights of this process. Root's parent and its worker would find different things, so
/// a conf asks `conf/outside.rs`, which keeps the answer.
const QUESTIONS: [&str; 8] = [
    "geteuid",
    "getuid",
    "gethostname",
    "available_parallelism",
    "env::var",
    "env::current_dir",
    "machine::user(",
    "machine::group(",
];

/// Where they may be asked all the same, each with its reason.
const ASKERS: [(&str, &str); 4] = [
    ("conf/outside.rs", "it is what asks"),
    ("conf/machine.rs", "it knows how"),
    ("conf/way/", "what this process may open is its own question each time"),
    ("features/auth_basic/checks.rs", "how many slow hashes run at once, when a request needs one: no conf means it"),
];

#[test]
fn what_a_conf_means_is_asked_in_one_place() {
    let rooms = ["conf", "tls", "features", "gateway", "settings", "route"];
    let mut wrong = Vec::new();
    for (file, _, text) in sources().into_iter().filter(|(_, room, _)| rooms.contains(&room.as_str())) {
        if ASKERS.iter().any(|(known, _)| file.starts_with(known)) || file.ends_with("/tests.rs") {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        wrong.extend(
            QUESTIONS.iter().filter(|asked| code.contains(**asked)).map(|asked| format!("{file} asks {asked}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every source file: its path below src, its room, its text.
fn sources() -> Vec<(String, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let one = |path: PathBuf| {
        let name = path.strip_prefix(&src).expect("it is below src").to_string_lossy().into_owned();
        let room = name.split(['/', '.']).next().unwrap_or_default().to_string();
        (name, room, std::fs::read_to_string(path).expect("a source file"))
    };
    files.into_iter().map(one).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => collect(&path, files),
            false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
            false => {}
        }
    }
}

/// Every path that begins with `crate::`, groups spread out one level: `a::{b, c}` is `a::b` and `a::c`.
fn paths(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for part in code.split("crate::").skip(1) {
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(part.len());
        let (path, rest) = part.split_at(end);
        let Some(group) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
            found.push(path.to_string());
            continue;
        };
        found.extend(group.0.split(',').map(|name| format!("{path}{}", name.trim())));
    }
    found
}

/// A file of the server uses only files that do not use it, over however many others. A folder counts as one file, and nobody but the
/// rooms above uses what stands in `server/mod.rs` itself.
#[test]
fn the_server_has_no_circles() {
    let server = sources().into_iter().filter(|(file, room, _)| room == "server" && !file.ends_with("tests.rs"));
    // Tests in a file of their own.
    let of_tests = ["panics", "deadlines"];
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, _, text) in server {
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_string();
        let name = unit(file.trim_start_matches("server/").trim_end_matches(".rs"));
        // The module tree of the server is above all of its files: it lists them.
        if name != "mod" && !of_tests.contains(&name.as_str()) {
            uses.entry(name).or_default().extend(neighbours(&file, &code));
        }
    }
    let circles: Vec<_> = uses.keys().filter_map(|from| way_back(&uses, from)).collect();
    assert!(circles.is_empty(), "{circles:#?}");
    let known = |to: &String| uses.contains_key(to);
    let strange: Vec<_> =
        uses.iter().flat_map(|(from, to)| to.iter().filter(|to| !known(to)).map(move |to| (from, to))).collect();
    assert!(strange.is_empty(), "these use what stands in server/mod.rs: {strange:?}");
}

/// The file or folder right below `server/`.
fn unit(path: &str) -> String {
    path.split(['/', ':']).next().unwrap_or_default().to_string()
}

/// What a file names of the server's other files.
fn neighbours(file: &str, code: &str) -> BTreeSet<String> {
    let is_inner = file.matches('/').count() > 1 && !file.ends_with("/mod.rs");
    let up = if is_inner { "super::super::" } else { "super::" };
    let own = unit(file.trim_start_matches("server/").trim_end_matches(".rs"));
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for prefix in [up, "crate::server::"] {
        for part in code.split(prefix).skip(1) {
            let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(part.len());
            match part.strip_prefix('{').and_then(|rest| rest.split_once("};")) {
                Some((group, _)) => found.extend(group.split(',').map(|name| unit(name.trim()))),
                None => drop(found.insert(part[..end].to_string())),
            }
        }
    }
    found.retain(|name| *name != own && !name.is_empty() && name != "super");
    found
}

/// The way from a file back to itself, the shortest first.
fn way_back(uses: &BTreeMap<String, BTreeSet<String>>, from: &str) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![from.to_string()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in uses.get(way.last()?).into_iter().flatten() {
            let longer: Vec<_> = way.iter().chain([next]).cloned().collect();
            if next == from {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push_back(longer);
            }
        }
    }
    None
}
