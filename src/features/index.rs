//! `index`: which file stands for a folder.

use std::io::{Error, ErrorKind};

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level, system_words};
use crate::exchange::step::{Step, Target};
use crate::exchange::variables::Variable;
use crate::http::escape;
use crate::http::method::Method;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// The names, tried in order; one that begins with `/` is a URI of its own.
    pub files: Vec<Text>,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { files: vec![Text::literal("index.html")] }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "index",
        syntax: &["file ..."],
        default: Some("index.html"),
        contexts: Contexts::SCOPES,
        arity: Arity::AtLeast(1),
        block: false,
        doc: "The files that stand for a folder, tried in order. The first that exists is served by an internal redirect, so its \
              URI may lead to another location. Names may contain variables; the last one may begin with `/` and is then \
              taken without a look.",
    },
    repeat: Repeat::List { key: "index", clear: |conf| conf.files.clear() },
    inherit: Inherit::Yes,
    set,
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let last = args.len() - 1;
    for (i, word) in args.words().iter().enumerate() {
        if word.text.is_empty() {
            return Err(Fault::at(word, "has an empty file name"));
        }
        if word.text.first() == Some(&b'/') && i < last {
            args.warn(Some(i), "has an absolute path before its last one, so the rest is never tried");
        }
        conf.files.push(args.text(i)?);
    }
    Ok(())
}

/// Leads a folder's URI to its index file; goes on when there is none.
pub fn step(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    if x.uri.last() != Some(&b'/') || !matches!(x.method(), Method::Get | Method::Head | Method::Post) {
        return Ok(Step::Next);
    }
    let folder = x.path_of(&x.uri);
    let mut folder_is_there = false;
    for file in &conf.files {
        let name = x.eval(file);
        if name.first() == Some(&b'/') {
            x.tell("index", None, || "the name is a path of its own: taken without a look".into());
            let path = name.into_owned();
            x.allow_ups(0, file);
            return Ok(Step::Goto(Target::Uri { path, args: x.args.clone() }));
        }
        let path = [folder.as_slice(), &name].concat();
        let found = x.stat(&path);
        x.tell("index", None, || {
            let verdict = if found.is_ok() { "is there: it stands for the folder" } else { "is not there" };
            format!("`{}` {verdict}", escape::error_log(&path))
        });
        let error = match found {
            Ok(_) => {
                let path = [x.uri.as_slice(), &name].concat();
                x.allow_ups(x.course.ups, file);
                return Ok(Step::Goto(Target::Uri { path, args: x.args.clone() }));
            }
            Err(error) => error,
        };
        if error.kind() != ErrorKind::NotFound {
            return Err(fault(&path, &error));
        }
        if !folder_is_there {
            look_for_folder(x, &folder, &path)?;
            folder_is_there = true;
        }
    }
    Ok(Step::Next)
}

/// A folder that is not there is 404 rather than 403; one that may not be read is as good as there.
fn look_for_folder(x: &Exchange, folder: &[u8], file: &[u8]) -> Result<(), HttpError> {
    match x.stat(folder) {
        Err(error) if error.kind() != ErrorKind::PermissionDenied => Err(fault(file, &error)),
        _ => Ok(()),
    }
}

fn fault(path: &[u8], error: &Error) -> HttpError {
    let shown = escape::error_log(path);
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => {
            let (code, words) = (error.raw_os_error().unwrap_or(0), system_words(error));
            HttpError::new(404, "no-file").log(Level::Error, format!("\"{shown}\" is not found ({code}: {words})"))
        }
        ErrorKind::PermissionDenied => {
            let (code, words) = (error.raw_os_error().unwrap_or(0), system_words(error));
            HttpError::new(403, "no-permission")
                .log(Level::Error, format!("\"{shown}\" is forbidden ({code}: {words})"))
        }
        _ => HttpError::file("stat()", path, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults() {
        for (code, status, text) in [
            (2, 404, "\"/a\" is not found (2: No such file or directory)"),
            (20, 404, "\"/a\" is not found (20: Not a directory)"),
            (13, 403, "\"/a\" is forbidden (13: Permission denied)"),
        ] {
            let error = fault(b"/a", &Error::from_raw_os_error(code));
            assert_eq!((error.status, error.report.unwrap().text.as_str()), (status, text));
        }
    }
}
