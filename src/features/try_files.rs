//! `try_files`: the first of several files that exists, else somewhere to go.

use std::sync::Arc;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::exchange::files::Kind;
use crate::exchange::place::{Alias, Root};
use crate::exchange::step::{Step, Target};
use crate::exchange::variables::Variable;
use crate::http::escape;

/// One name to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The name as a URI, without the slash that asks for a folder.
    pub name: Text,
    /// Whether it has to be a folder.
    pub folder: bool,
}

/// What happens when nothing was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    /// Fail with this status.
    Status(u16),
    /// Go to a URI or a named location.
    Goto(Text),
}

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    /// The names in order, and what comes after them; none without the directive.
    pub list: Option<(Vec<Candidate>, Fallback)>,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "try_files",
        syntax: &["file ... uri", "file ... =code"],
        default: None,
        contexts: Contexts::SERVER.or(Contexts::LOCATION),
        arity: Arity::AtLeast(2),
        block: false,
        doc: "Looks for each name in turn, as a file under `root` or `alias`, with a slash at its end as a folder, and goes on with the first \
              that exists as if it had been asked for. If none does, the last word is where to go: a URI (an internal redirect, which may \
              bring arguments), a named location, or `=code`. On the `server` level it holds only where no location matches.",
    },
    repeat: Repeat::Refused,
    inherit: Inherit::No(|conf| conf.list = None),
    set,
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let last = args.len() - 1;
    let mut candidates = Vec::new();
    for i in 0..last {
        let word = &args.word(i).text;
        let (name, folder) = word.strip_suffix(b"/").map_or((word.as_slice(), false), |name| (name, true));
        candidates.push(Candidate { name: args.text_of(i, name)?, folder });
    }
    let word = args.word(last);
    let fallback = match word.text.strip_prefix(b"=") {
        None => Fallback::Goto(args.text(last)?),
        Some(code) => {
            let status = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok()).filter(|n| *n <= 999);
            let status = status.filter(|status| *status >= 200);
            Fallback::Status(
                status.ok_or_else(|| Fault::at(word, format!("has an invalid code in `{}`", word.show())))?,
            )
        }
    };
    conf.list = Some((candidates, fallback));
    Ok(())
}

/// Goes on with the first name that exists, or elsewhere.
pub fn step(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    let Some((candidates, fallback)) = &conf.list else { return Ok(Step::Next) };
    for candidate in candidates {
        // A variable's value must not lead out of the folder.
        if candidate.name.constant().is_none() && x.leads_up(&candidate.name, b"") {
            continue;
        }
        let name = name(x, &candidate.name);
        let path = path(x, &name);
        // Whatever keeps a name from being looked at, it is not there for this request.
        let found = x.stat(&path).is_ok_and(|stat| (stat.kind == Kind::Folder) == candidate.folder);
        x.tell("try_files", None, || {
            let kind = if candidate.folder { "folder" } else { "file" };
            let verdict = if found { "is there: taken" } else { "is not there" };
            format!("the {kind} `{}` {verdict}", escape::error_log(&path))
        });
        if found {
            go_on(x, name, candidate.folder);
            return Ok(Step::Next);
        }
    }
    match fallback {
        Fallback::Status(status) => {
            x.tell("try_files", None, || format!("none is there: the last word says {status}"));
            Err(HttpError::new(*status, "try-files"))
        }
        Fallback::Goto(text) => {
            let target = name(x, text);
            x.tell("try_files", None, || {
                format!("none is there: the last word leads to `{}`", escape::error_log(&target))
            });
            x.allow_ups(0, text);
            Ok(Step::Goto(split(target)))
        }
    }
}

/// A name with its variables. Under `alias` the location's prefix is left out, as it is not part of the path.
fn name(x: &Exchange, text: &Text) -> Vec<u8> {
    let name = x.eval(text).into_owned();
    match prefix(x) {
        Some(n) if text.constant().is_none() && n <= name.len() && name[..n] == x.uri[..n.min(x.uri.len())] => {
            name[n..].to_vec()
        }
        _ => name,
    }
}

/// How many bytes of the URI an alias replaces.
fn prefix(x: &Exchange) -> Option<usize> {
    x.place.root.alias.as_ref()?.prefix
}

fn path(x: &Exchange, name: &[u8]) -> Vec<u8> {
    match &x.place.root.alias {
        None => x.path_of(name),
        Some(_) => [&x.document_root(), name].concat(),
    }
}

/// Makes a name that exists the current URI.
fn go_on(x: &mut Exchange, name: Vec<u8>, folder: bool) {
    x.course.asked.get_or_insert_with(|| x.uri.clone());
    match &x.place.root.alias {
        None => x.uri = name,
        Some(Alias { prefix: Some(n), .. }) => {
            x.uri.truncate(*n);
            x.uri.extend_from_slice(&name);
        }
        Some(Alias { text, prefix: None }) if !folder => {
            // The path of a regex location's alias now has the name behind it.
            x.place.root = Arc::new(Root { root: text.clone(), alias: None, is_set_here: false });
            x.uri = name;
        }
        Some(_) => {}
    }
}

fn split(target: Vec<u8>) -> Target {
    if target.first() == Some(&b'@') {
        return Target::Named(target);
    }
    match target.iter().position(|&b| b == b'?') {
        None => Target::Uri { path: target, args: None },
        Some(at) => Target::Uri { path: target[..at].to_vec(), args: Some(target[at + 1..].to_vec()) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_last_word_leads() {
        for (target, path, args) in [("/a", "/a", None), ("/a?b=?", "/a", Some("b=?")), ("/a?", "/a", Some(""))] {
            let args = args.map(|args| args.as_bytes().to_vec());
            assert_eq!(split(target.into()), Target::Uri { path: path.into(), args });
        }
        assert_eq!(split(Vec::from(b"@a?b")), Target::Named(b"@a?b".to_vec()));
    }
}
