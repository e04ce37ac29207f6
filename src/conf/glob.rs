//! File name patterns of `include`, as the C library's glob reads them: `*`, `?` and `[...]`
//! never match a slash, nor a dot that begins a name; the result is sorted by bytes.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Whether a path is a pattern.
pub fn is_pattern(path: &[u8]) -> bool {
    path.iter().any(|b| b"*?[".contains(b))
}

/// The paths that match a pattern, sorted. Folders that cannot be read match nothing.
pub fn expand(pattern: &Path) -> Vec<PathBuf> {
    let bytes = pattern.as_os_str().as_bytes();
    let mut found = vec![PathBuf::from(if bytes.starts_with(b"/") { "/" } else { "" })];
    let mut parts = bytes.split(|&b| b == b'/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        found = found.iter().flat_map(|folder| step(folder, part, last)).collect();
    }
    found.sort_unstable_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    found
}

/// The entries of a folder that one part of the pattern matches.
fn step(folder: &Path, part: &[u8], last: bool) -> Vec<PathBuf> {
    if !is_pattern(part) {
        let path = folder.join(OsString::from_vec(literal(part)));
        return if !last || path.symlink_metadata().is_ok() { vec![path] } else { Vec::new() };
    }
    let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name());
    let hidden = part.first() == Some(&b'.');
    names
        .filter(|name| (hidden || !name.as_bytes().starts_with(b".")) && matches(part, name.as_bytes()))
        .map(|name| folder.join(name))
        .collect()
}

/// A part without its backslashes.
fn literal(part: &[u8]) -> Vec<u8> {
    let mut bytes = part.iter();
    let mut plain = Vec::with_capacity(part.len());
    while let Some(&byte) = bytes.next() {
        plain.push(if byte == b'\\' { *bytes.next().unwrap_or(&byte) } else { byte });
    }
    plain
}

/// Whether a pattern without slashes matches a whole name. After a mismatch only the last `*`
/// is widened, so the work is bounded by the product of both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut pos, mut star) = (0, 0, None);
    loop {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, pos));
            at += 1;
            continue;
        }
        match (name.get(pos), one(&pattern[at..], name.get(pos).copied())) {
            (None, _) if at == pattern.len() => return true,
            (Some(_), Some(used)) => (at, pos) = (at + used, pos + 1),
            _ => match star {
                Some((from, tried)) if tried < name.len() => {
                    star = Some((from, tried + 1));
                    (at, pos) = (from + 1, tried + 1);
                }
                _ => return false,
            },
        }
    }
}

/// How many bytes of the pattern match one byte of the name; none if they do not match.
fn one(pattern: &[u8], byte: Option<u8>) -> Option<usize> {
    let byte = byte?;
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', set @ ..] => match class(set) {
            Some((len, negated, members)) => (members.contains(&byte) != negated).then_some(len + 1),
            None => (byte == b'[').then_some(1),
        },
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [plain, ..] => (*plain == byte).then_some(1),
        [] => None,
    }
}

/// What stands behind a `[`: its length with the `]`, whether it is negated, its members.
fn class(set: &[u8]) -> Option<(usize, bool, Vec<u8>)> {
    let negated = matches!(set.first(), Some(b'!' | b'^'));
    let first = usize::from(negated);
    let mut at = first;
    let mut members = Vec::new();
    loop {
        match set.get(at..)? {
            [b']', ..] if at > first => return Some((at + 1, negated, members)),
            [from, b'-', to, ..] if *to != b']' => {
                members.extend(*from..=*to);
                at += 3;
            }
            [b'\\', escaped, ..] => {
                members.push(*escaped);
                at += 2;
            }
            [member, ..] => {
                members.push(*member);
                at += 1;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, name, want) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf~", false),
            ("*", "", true),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXbYb", false),
            ("?", "ab", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[", "[", true),
            ("[a-]", "-", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), want, "{pattern} {name}");
        }
    }

    #[test]
    fn expansion_is_sorted_and_skips_hidden_names() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["b.conf", "a.conf", ".c.conf", "B.conf", "d.txt"] {
            std::fs::write(folder.path().join(name), "").expect("a file");
        }
        std::fs::create_dir(folder.path().join("sub")).expect("a folder");
        std::fs::write(folder.path().join("sub/a.conf"), "").expect("a file");
        let found = |pattern: &str| -> Vec<String> {
            let strip = |path: PathBuf| path.strip_prefix(folder.path()).map(|p| p.display().to_string());
            expand(&folder.path().join(pattern)).into_iter().filter_map(|path| strip(path).ok()).collect()
        };
        assert_eq!(found("*.conf"), ["B.conf", "a.conf", "b.conf"]);
        assert_eq!(found("*/a.conf"), ["sub/a.conf"]);
        assert_eq!(found(".*.conf"), [".c.conf"]);
        assert_eq!(found("none/*"), [""; 0]);
        assert_eq!(found("s[u]b/a.conf"), ["sub/a.conf"]);
    }
}
