//! The rule about what a conf names on this machine and requests will need: folders, files, programs, sockets. What the start
//! itself needs is an error, and found where it is opened.

use std::collections::HashSet;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::block::{Block, Matching, Place, literal};
use super::{Conf, danger, router};
use crate::conf::ast::{Node, Word};
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::machine::{self, Identity};
use crate::http::escape;

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Files are served from it.
    Folder,
    /// Files are stored in it.
    Store,
    /// Names and passwords are read from it.
    Passwords,
    /// It is run.
    Program,
    /// Another program listens on it.
    Socket,
}

pub fn missing(conf: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let mut look = |word: &Word, path: PathBuf, what: Use| {
        if let Some((wrong, help)) = lack(&path, what, conf.user.as_ref()) {
            let message = format!("{} `{}` {wrong}", what.name(), path.display());
            found.push(danger(Code::PathMissing, word.span, message, help));
        }
    };
    for node in block.children {
        if let Some((word, path, what)) = named(conf, block, node) {
            look(word, path, what);
        }
        if node.name.text == b"upstream" && block.place == Place::Http {
            let servers = node.block.iter().flatten().filter(|line| line.name.text == b"server");
            for word in servers.filter_map(|line| line.args.first()) {
                let path = literal(word).and_then(|text| text.strip_prefix("unix:"));
                path.into_iter().for_each(|path| look(word, socket_path(path), Use::Socket));
            }
        }
    }
}

/// Keeps the first of those that say the same: many servers may share a folder.
pub fn once(found: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    found.retain(|danger| danger.code != Code::PathMissing || seen.insert(danger.message.clone()));
}

/// The path that a line names, if no variable stands in it.
fn named<'n>(conf: &Conf<'_>, block: &Block<'_>, node: &'n Node) -> Option<(&'n Word, PathBuf, Use)> {
    let below_conf = || conf.files.first().and_then(|file| file.parent()).unwrap_or(conf.prefix);
    let (number, base, what) = match node.name.text.as_slice() {
        b"root" => (0, conf.prefix, Use::Folder),
        // Elsewhere an alias is a file's name.
        b"alias" if matches!(block.matching(), Some((Matching::Prefix { .. }, path)) if path.ends_with(b"/")) => {
            (0, conf.prefix, Use::Folder)
        }
        b"auth_basic_user_file" => (0, below_conf(), Use::Passwords),
        b"upload_store" => (0, conf.prefix, Use::Store),
        b"cgi_pass" | b"cgi_interpreter" => (0, conf.prefix, Use::Program),
        b"cgi_extension" => (1, conf.prefix, Use::Program),
        b"proxy_pass" | b"fastcgi_pass" | b"scgi_pass" | b"uwsgi_pass" => (0, conf.prefix, Use::Socket),
        _ => return None,
    };
    let word = node.args.get(number)?;
    let text = literal(word).filter(|text| !text.is_empty())?;
    let path = match what {
        Use::Socket => {
            let text = text.split_once("://").map_or(text, |(_, rest)| rest);
            // What follows the colon is a URI.
            socket_path(text.strip_prefix("unix:")?.split(':').next().unwrap_or_default())
        }
        // A name without a folder is looked for along PATH.
        Use::Program if !text.starts_with('/') => return None,
        Use::Passwords if text == "off" => return None,
        Use::Store if text == "off" => return None,
        _ => router::absolute(base, text),
    };
    // Where a relative one of a socket starts is known once the server runs.
    (what != Use::Socket || path.is_absolute()).then_some((word, path, what))
}

fn socket_path(text: &str) -> PathBuf {
    PathBuf::from(text.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(text))
}

/// What is wrong with a path, and what to do.
fn lack(path: &Path, what: Use, user: Option<&Identity>) -> Option<(String, String)> {
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Some(("is not there".into(), what.remedy(path))),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Some(("is not there: a folder on the way is a file".into(), what.remedy(path)));
        }
        // Whoever tests may not look; the server perhaps may.
        Err(_) => return None,
    };
    if let Some(kind) = what.misfit(&found) {
        return Some((kind.into(), what.remedy(path)));
    }
    let user = user?;
    let name = &user.name;
    let way = if found.is_dir() { path } else { path.parent().unwrap_or(path) };
    if let Some(closed) = machine::closed_folder(way, user) {
        let closed = closed.display();
        let shown = escape::shell(&closed);
        let help = format!("let the server in (`chmod o+x {shown}`), or name another `user`");
        return Some((format!("cannot be reached: the server's user {name} may not enter `{closed}`"), help));
    }
    let (bits, verb) = match what {
        Use::Folder => return None,
        Use::Store => (0o3, "write into"),
        Use::Passwords => (0o4, "read"),
        Use::Program => (0o1, "run"),
        Use::Socket => (0o2, "connect to"),
    };
    let path = escape::shell(path.display());
    (!machine::may(user, &found, bits)).then(|| {
        let help = match what {
            Use::Program => format!("`chmod a+rx {path}`"),
            Use::Store => format!("`chown {name} {path}`"),
            Use::Passwords => format!("`chgrp {name} {path}` and `chmod g+r {path}`, with a group of the server's"),
            Use::Folder | Use::Socket => format!("give it to a group that {name} is in, or `chmod o+rw {path}`"),
        };
        (format!("is closed: the server's user {name} may not {verb} it"), help)
    })
}

impl Use {
    fn name(self) -> &'static str {
        match self {
            Use::Folder => "the folder",
            Use::Store => "the store",
            Use::Passwords => "the password file",
            Use::Program => "the program",
            Use::Socket => "the socket",
        }
    }

    /// What it is instead.
    fn misfit(self, found: &Metadata) -> Option<&'static str> {
        match self {
            Use::Folder | Use::Store if !found.is_dir() => Some("is not a folder"),
            Use::Passwords | Use::Program if found.is_dir() => Some("is a folder"),
            Use::Socket if !found.file_type().is_socket() => Some("is not a socket"),
            _ => None,
        }
    }

    fn remedy(self, path: &Path) -> String {
        let shown = escape::shell(path.display());
        match self {
            Use::Folder | Use::Store => format!("`mkdir -p {shown}`, or name the folder that is meant"),
            Use::Passwords => format!("`htpasswd -c {shown} NAME` makes one, or name the file that is meant"),
            Use::Socket => "start the program that listens there, or name its socket".into(),
            Use::Program => match installed(path) {
                Some(there) => format!("write `{}`", there.display()),
                None => "install it, or name the program that is meant".into(),
            },
        }
    }
}

/// The program of this name where programs usually are.
fn installed(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?;
    let places = ["/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/usr/lib/cgi-bin"];
    places.into_iter().map(|folder| Path::new(folder).join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_wrong_with_a_path_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mode =
            |name: &str, mode| std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::write(at("file"), "").unwrap();
        std::fs::create_dir(at("closed")).unwrap();
        std::fs::create_dir(at("store")).unwrap();
        mode("", 0o755);
        mode("file", 0o600);
        mode("closed", 0o700);
        mode("store", 0o755);
        let stranger = Identity { name: "nobody-here".into(), uid: 3_999_999, gid: 3_999_999 };
        let said =
            |name: &str, what| lack(&at(name), what, Some(&stranger)).map(|(wrong, _)| wrong).unwrap_or_default();
        for (name, what, want) in [
            ("none", Use::Folder, "is not there"),
            ("file/x", Use::Folder, "is not there: a folder on the way is a file"),
            ("file", Use::Folder, "is not a folder"),
            ("file", Use::Socket, "is not a socket"),
            ("store", Use::Passwords, "is a folder"),
            ("file", Use::Passwords, "is closed: the server's user nobody-here may not read it"),
            ("file", Use::Program, "is closed: the server's user nobody-here may not run it"),
            ("store", Use::Store, "is closed: the server's user nobody-here may not write into it"),
            ("store", Use::Folder, ""),
        ] {
            assert_eq!(said(name, what), want, "{name}");
        }
        assert!(said("closed", Use::Folder).contains("may not enter"));
        let root = Identity { name: "root".into(), uid: 0, gid: 0 };
        assert_eq!(lack(&at("file"), Use::Passwords, Some(&root)), None);
        assert!(lack(&at("file"), Use::Program, Some(&root)).is_some());
        let (_, help) = lack(Path::new("/no/such/sh"), Use::Program, None).unwrap();
        assert!(help.ends_with("/sh`"), "{help}");
    }
}
