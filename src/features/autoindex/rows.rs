//! `autoindex` and its family: a listing for a folder without an index file. Reads the folder; how a listing looks
//! is the renderers' business.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use jiff::tz::TimeZone;

use super::{Entry, Format, Kind, Listing, callback, render, theme};
use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;
use crate::http::escape;
use crate::http::method::Method;
use crate::http::response::{Body, ContentType, Response};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// Whether folders are listed.
    pub on: bool,
    /// Whether sizes are written in full.
    pub exact_size: bool,
    /// Whether times are local rather than UTC.
    pub localtime: bool,
    /// The format.
    pub format: Format,
    /// Whether HTML listings are the pleasant page.
    pub theme: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { on: false, exact_size: true, localtime: false, format: Format::Html, theme: false }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "autoindex",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether a folder without an `index` file is answered with a list of what it holds; otherwise the answer is 403.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| flag(&mut conf.on, args),
    },
    Directive {
        manual: Manual {
            name: "autoindex_exact_size",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether an HTML listing names sizes in bytes (`on`) or rounded to kilobytes, megabytes and gigabytes.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| flag(&mut conf.exact_size, args),
    },
    Directive {
        manual: Manual {
            name: "autoindex_localtime",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether an HTML listing names times in the server's zone (`on`) or in UTC.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| flag(&mut conf.localtime, args),
    },
    Directive {
        manual: Manual {
            name: "autoindex_format",
            syntax: &["html | xml | json | jsonp"],
            default: Some("html"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The format of listings. With `jsonp` the argument `callback` of the request names the function. JSON and XML are valid UTF-8 \
                  whatever names the files have: what is not UTF-8 in a name, and in XML what no document may hold, stands there as U+FFFD.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_format,
    },
    Directive {
        manual: Manual {
            name: "autoindex_theme",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether HTML listings are a page with sortable columns, icons, a way back up, a filter box and a dark mode. It works without \
                  scripts and loads nothing from elsewhere.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| flag(&mut conf.theme, args),
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

static LOCAL: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

fn flag(value: &mut bool, args: &mut Args<'_>) -> Result<(), Fault> {
    *value = args.flag(0)?;
    Ok(())
}

fn set_format(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    use Format::{Html, Json, Jsonp, Xml};
    conf.format = args.one_of(0, &[("html", Html), ("xml", Xml), ("json", Json), ("jsonp", Jsonp)])?;
    Ok(())
}

/// Lists the folder of the current path, or refuses to. `server_line` is asked for only where it is shown.
pub fn step<L: AsRef<str>>(
    x: &mut Exchange,
    conf: &Conf,
    server_line: impl Fn(&Exchange) -> L,
) -> Result<Step, HttpError> {
    let method = x.method();
    if x.uri.last() != Some(&b'/') || !matches!(method, Method::Get | Method::Head | Method::Post) {
        return Ok(Step::Next);
    }
    let path = x.path_of(&x.uri);
    if !conf.on || method == Method::Post {
        let path = escape::error_log(&path);
        let error = HttpError::new(403, "autoindex-off");
        return Err(error.log(Level::Error, format!("directory index of \"{path}\" is forbidden")));
    }
    let callback = match conf.format {
        Format::Jsonp => callback(x.argument(b"callback"))
            .map_err(|message| HttpError::new(400, "callback").log(Level::Error, message))?,
        _ => None,
    };
    let listing = Listing {
        uri: &x.uri,
        entries: read(&path)?,
        exact_size: conf.exact_size,
        zone: conf.localtime.then(|| &*LOCAL),
        utf8: false,
        callback,
    };
    let (kind, page) = match (conf.theme, conf.format) {
        (true, Format::Html) => {
            let sort = theme::Sort::from_arguments(x.args.as_deref().unwrap_or_default());
            ("text/html; charset=utf-8", theme::page(listing, sort, server_line(x).as_ref()))
        }
        (_, format) => render::render(format, listing),
    };
    let mut response = Response::new(200);
    response.content_type = ContentType::Is(Bytes::from_static(kind.as_bytes()));
    response.body = Body::bytes(page);
    Ok(Step::done(response))
}

/// What a folder holds, without hidden files.
fn read(path: &[u8]) -> Result<Vec<Entry>, HttpError> {
    let name = match path.strip_suffix(b"/") {
        Some(b"") | None => path,
        Some(name) => name,
    };
    let fault = |call: &str, error| HttpError::file(call, name, &error);
    let folder = Path::new(OsStr::from_bytes(name));
    let mut entries = Vec::new();
    for found in fs::read_dir(folder).map_err(|error| fault("opendir()", error))? {
        let name = found.map_err(|error| fault("readdir()", error))?.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        let path = folder.join(&name);
        // A link that leads nowhere is shown as what it is; what may not be looked at is left out.
        let meta = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => continue,
            Err(_) => fs::symlink_metadata(&path),
            found => found,
        };
        // It may have gone since the folder was read.
        entries.extend(meta.map(|meta| entry(name.as_bytes(), &meta)));
    }
    Ok(entries)
}

fn entry(name: &[u8], meta: &Metadata) -> Entry {
    let kind = match () {
        () if meta.is_dir() => Kind::Directory,
        () if meta.is_file() => Kind::File,
        () => Kind::Other,
    };
    Entry { name: name.to_vec(), kind, size: meta.len(), mtime: meta.mtime() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_without_hidden_files_and_with_dead_links() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "xyz").unwrap();
        fs::write(folder.path().join(".hidden"), "").unwrap();
        fs::create_dir(folder.path().join("d")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("l")).unwrap();
        let mut entries = read(folder.path().as_os_str().as_bytes()).unwrap();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let shown: Vec<_> = entries.iter().map(|e| (e.name.as_slice(), e.kind)).collect();
        assert_eq!(shown, [(&b"a"[..], Kind::File), (b"d", Kind::Directory), (b"l", Kind::Other)]);
        assert_eq!(entries[0].size, 3);
        assert_eq!(read(b"/nowhere/at/all/").unwrap_err().status, 404);
    }
}
