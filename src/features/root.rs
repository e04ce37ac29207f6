//! `root` and `alias`: from URI to path.

use bytes::Bytes;

use crate::conf::args::{Args, Fault, bytes_to_path};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::{Piece, Text};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::place::{Alias, Root};
use crate::exchange::step::Step;
use crate::exchange::variables::{Value, Variable};

/// The settings: what the place of a request is made of.
pub type Conf = Root;

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "root",
            syntax: &["path"],
            default: Some("html"),
            contexts: Contexts::SCOPES.or(Contexts::IF_LOCATION),
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The folder that files are served from: the path of a file is this path with the URI appended. \
                  A relative path starts at the prefix (`-p`, else the current folder). It may contain variables.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Changed(|conf| conf.is_set_here = false),
        set: set_root,
    },
    Directive {
        manual: Manual {
            name: "alias",
            syntax: &["path"],
            default: None,
            contexts: Contexts::LOCATION,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The path that takes the place of the location's prefix: in `location /i/ { alias /data/; }` the URI \
                  `/i/a.gif` is the file `/data/a.gif`. End both with a slash or neither. In a regex location the \
                  path is the whole file name and usually holds captures. It may contain variables.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Changed(|conf| conf.is_set_here = false),
        set: set_alias,
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[
    Variable {
        name: "document_root",
        family: false,
        doc: "The value of `root` or `alias` for this request.",
        get: document_root,
    },
    Variable {
        name: "realpath_root",
        family: false,
        doc: "The same with all symbolic links resolved.",
        get: realpath_root,
    },
    Variable {
        name: "request_filename",
        family: false,
        doc: "The path of the file for this request's URI.",
        get: request_filename,
    },
];

fn set_root(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    begin(conf, "alias")?;
    refuse_itself(args)?;
    conf.root = absolute(args.text(0)?, args);
    // A root set further in takes the place of an alias further out.
    conf.alias = None;
    Ok(())
}

fn set_alias(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let Some(location) = args.load.location.clone() else {
        return Err(Fault::new("stands outside a location"));
    };
    if location.named {
        return Err(Fault::new("cannot stand in a named location, which has no prefix to replace").help("use `root`"));
    }
    begin(conf, "root")?;
    refuse_itself(args)?;
    let text = absolute(args.text(0)?, args);
    conf.alias = Some(Alias { text, prefix: (!location.regex).then_some(location.name.len()) });
    Ok(())
}

/// A folder cannot be told by the variables that are made from it.
fn refuse_itself(args: &Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    let text = word.show();
    let circle = ["document_root", "realpath_root"]
        .iter()
        .find(|name| text.contains(&format!("${name}")) || text.contains(&format!("${{{name}}}")));
    match circle {
        Some(name) => Err(Fault::at(word, format!("cannot hold `${name}`, which is made from it"))),
        None => Ok(()),
    }
}

/// One block has `root` or `alias`, not both.
fn begin(conf: &mut Conf, other: &str) -> Result<(), Fault> {
    if conf.is_set_here {
        return Err(Fault::new(format!("stands beside `{other}` in one block")).help("keep one of the two lines"));
    }
    conf.is_set_here = true;
    Ok(())
}

/// Refuses a URI that would lead out of an alias's folder.
pub fn step(x: &mut Exchange) -> Result<Step, HttpError> {
    match x.climbs() {
        true => Err(HttpError::new(404, "outside-alias")),
        false => Ok(Step::Next),
    }
}

/// Refuses to use an alias for a path that was rewritten and stayed: the location's prefix may not be in it any more.
/// What a rewrite put into the path, or an `if` into the root, must not lead out of the folder either.
pub fn after_rewrite(x: &mut Exchange) -> Result<Step, HttpError> {
    step(x)?;
    if x.place.root.alias.is_none() || !x.course.rewritten {
        return Ok(Step::Next);
    }
    let text = "\"alias\" cannot be used in a location where the URI was rewritten";
    Err(HttpError::new(500, "alias-of-rewritten").log(Level::Error, text))
}

/// Makes a text that begins with a constant relative path absolute from the prefix.
fn absolute(text: Text, args: &Args<'_>) -> Text {
    use std::os::unix::ffi::OsStrExt;
    let mut text = text;
    if let Some(Piece::Literal(first)) = text.pieces.first_mut() {
        let whole = args.load.prefix.join(bytes_to_path(first));
        *first = Bytes::copy_from_slice(whole.as_os_str().as_bytes());
    }
    text
}

fn document_root<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    Some(x.document_root())
}

fn realpath_root<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    use std::os::unix::ffi::OsStringExt;
    let real = std::fs::canonicalize(bytes_to_path(&x.document_root())).ok()?;
    Some(real.into_os_string().into_vec().into())
}

fn request_filename<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    Some(x.path_of(&x.uri).into())
}
