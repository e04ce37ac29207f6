//! `autoindex` and its family: a listing for a folder without an index file. Must not read the folder.

use std::path::Path;

use bytes::Bytes;

use super::{Format, Look, Style, callback, making, render, theme};
use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::joint::Turn;
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;
use crate::http::escape;
use crate::http::method::Method;
use crate::http::response::{Body, Chunk, ContentType, Response};

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
            doc: "Whether a folder without an `index` file is answered with a list of what it holds; otherwise the answer is 403. In HTML a name \
                  longer than 50 letters is cut, where `charset` is `utf-8`; elsewhere letters are bytes.",
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
            doc: "Whether an HTML listing names times in the server's zone (`on`) or in UTC; the listing of `autoindex_theme` says which.",
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

fn flag(value: &mut bool, args: &mut Args<'_>) -> Result<(), Fault> {
    *value = args.flag(0)?;
    Ok(())
}

fn set_format(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    use Format::{Html, Json, Jsonp, Xml};
    conf.format = args.one_of(0, &[("html", Html), ("xml", Xml), ("json", Json), ("jsonp", Jsonp)])?;
    Ok(())
}

/// What the step must know of the settings of others.
pub struct Around<'a> {
    /// A page that is too long for memory goes to a file in this folder.
    pub temporary: &'a Path,
    /// The line at the foot of the themed page.
    pub server_line: &'a dyn Fn(&Exchange) -> String,
    /// Whether pages are said to be in UTF-8.
    pub is_utf8: &'a dyn Fn(&Exchange) -> bool,
}

/// A page that a request waits for.
pub type State = making::Share;

/// Lists the folder of the current path, or refuses to.
pub fn step(
    x: &mut Exchange,
    conf: &Conf,
    around: &Around<'_>,
    state: &mut Option<Box<State>>,
) -> Result<Step, HttpError> {
    let method = x.method();
    if x.uri.last() != Some(&b'/') || !matches!(method, Method::Get | Method::Head | Method::Post) {
        return Ok(Step::Next);
    }
    let path = x.path_of(&x.uri);
    if !conf.on || method == Method::Post {
        let path = escape::error_log(&path);
        let error = HttpError::new(403, if method == Method::Post { "folder-post" } else { "autoindex-off" });
        return Err(error.log(Level::Error, format!("directory index of \"{path}\" is forbidden")));
    }
    let callback = match conf.format {
        Format::Jsonp => callback(x.argument(b"callback"))
            .map_err(|message| HttpError::new(400, "callback").log(Level::Error, message))?,
        _ => None,
    };
    let callback = callback.map(<[u8]>::to_vec);
    let mut share = match state.take() {
        Some(share) => share,
        None => {
            let look = look(x, conf, around);
            Box::new(making::ask(path.to_vec(), look, x.prefix.join(around.temporary), x.waker()))
        }
    };
    match share.turn(x)? {
        Turn::Made(page) => Ok(Step::done(answer(page, conf, callback.as_deref()))),
        Turn::Wait(wait) => {
            *state = Some(share);
            Ok(Step::Wait(wait))
        }
    }
}

fn look(x: &Exchange, conf: &Conf, around: &Around<'_>) -> Look {
    let style = match conf.format {
        Format::Html if conf.theme => {
            let sort = theme::Sort::from_arguments(x.args.as_deref().unwrap_or_default());
            Style::Theme(sort, (around.server_line)(x))
        }
        Format::Html => Style::Html,
        Format::Json | Format::Jsonp => Style::Json,
        Format::Xml => Style::Xml,
    };
    // Nothing else depends on it, and what is alike is shared.
    let utf8 = style == Style::Html && (around.is_utf8)(x);
    Look { uri: x.uri.clone(), style, exact_size: conf.exact_size, localtime: conf.localtime, utf8 }
}

fn answer(page: Body, conf: &Conf, callback: Option<&[u8]>) -> Response {
    let mut response = Response::new(200);
    let kind = match (conf.format, callback) {
        (Format::Html, _) if conf.theme => theme::CONTENT_TYPE,
        (Format::Html, _) => "text/html",
        (Format::Json, _) | (Format::Jsonp, None) => "application/json",
        (Format::Jsonp, Some(_)) => "application/javascript",
        (Format::Xml, _) => "text/xml; charset=utf-8",
    };
    response.content_type = ContentType::Is(Bytes::from_static(kind.as_bytes()));
    response.body = page;
    if let Some(callback) = callback {
        let (before, after) = render::call(callback);
        response.body.chunks.push_front(Chunk::Bytes(before.into()));
        response.body.chunks.push_back(Chunk::Bytes(Bytes::from_static(after)));
    }
    response
}
