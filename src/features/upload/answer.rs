//! What clients see of a store: the page, JSON or lines of text, for those who look and for those who have just uploaded.
//! Must not know how files come in.

use bytes::Bytes;

use super::listing::{self, Share, Style};
use super::receive::Stored;
use super::rows::Conf;
use super::{Around, Kept, Stage, State, page};
use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::exchange::joint::Turn;
use crate::exchange::step::Step;
use crate::http::head::Known;
use crate::http::response::{Body, Chunk, ContentType, Response};
use crate::http::size::human;
use crate::http::{escape, negotiate};

/// What somebody is to see.
pub struct Look {
    /// The files that this request has just brought; none if it only looks.
    stored: Option<Vec<Stored>>,
    share: Share,
}

/// How it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The page, for browsers.
    Page,
    /// An object, for programs that ask for one.
    Json,
    /// A line for each stored file, for a client that names no type, such as `curl`.
    Lines,
}

impl Form {
    fn of(x: &Exchange, has_stored: bool) -> Form {
        let accept = x.head.known(Known::Accept);
        match () {
            () if negotiate::prefers_json(accept) => Form::Json,
            () if has_stored && !negotiate::names_html(accept) => Form::Lines,
            () => Form::Page,
        }
    }

    fn media_type(self) -> &'static [u8] {
        match self {
            Form::Page => b"text/html; charset=utf-8",
            Form::Json => b"application/json",
            Form::Lines => b"text/plain; charset=utf-8",
        }
    }
}

/// The answer to whoever looks at the location.
pub fn listing(x: &mut Exchange, conf: &Conf, around: &Around<'_>, state: &mut Kept) -> Result<Step, HttpError> {
    show(x, conf, around, None, state)
}

/// The answer to an upload.
pub fn stored(
    x: &mut Exchange,
    conf: &Conf,
    around: &Around<'_>,
    files: Vec<Stored>,
    state: &mut Kept,
) -> Result<Step, HttpError> {
    show(x, conf, around, Some(files), state)
}

fn show(
    x: &mut Exchange,
    conf: &Conf,
    around: &Around<'_>,
    stored: Option<Vec<Stored>>,
    state: &mut Kept,
) -> Result<Step, HttpError> {
    let form = Form::of(x, stored.is_some());
    // Whoever has stored files is told of those; only the page shows the others as well.
    let store = conf.store.as_ref().filter(|_| conf.list && (stored.is_none() || form == Form::Page));
    let Some(store) = store else {
        let files = stored.as_deref().unwrap_or_default();
        let list = match form {
            Form::Json => listing::json(conf.prefix(), files),
            Form::Lines => lines(conf.prefix(), files),
            Form::Page => Vec::new(),
        };
        return Ok(Step::done(written(x, conf, around, stored.as_deref(), Body::bytes(list))));
    };
    let style = if form == Form::Json { Style::Json } else { Style::Page { deletes: conf.delete } };
    let share = listing::ask(store, style, x.prefix.join(around.folder), x.waker());
    go_on(x, conf, around, Box::new(Look { stored, share }), state)
}

/// Does a turn of the list; the answer, when it is whole.
pub fn go_on(
    x: &mut Exchange,
    conf: &Conf,
    around: &Around<'_>,
    mut look: Box<Look>,
    state: &mut Kept,
) -> Result<Step, HttpError> {
    match look.share.turn(x)? {
        Turn::Made(list) => Ok(Step::done(written(x, conf, around, look.stored.as_deref(), list))),
        Turn::Wait(wait) => {
            *state = Some(Box::new(State(Stage::Looking(look))));
            Ok(Step::Wait(wait))
        }
    }
}

/// The URI of a stored file.
pub fn url(prefix: &[u8], name: &str) -> String {
    let slash = if prefix.ends_with(b"/") { "" } else { "/" };
    format!("{}{slash}{}", escape::path(prefix), escape::component(name.as_bytes()))
}

fn lines(prefix: &[u8], files: &[Stored]) -> Vec<u8> {
    if files.is_empty() {
        return b"Nothing was stored: the form brought no file.\n".to_vec();
    }
    let line = |file: &Stored| format!("Stored {} ({}) at {}\n", file.name, human(file.size), url(prefix, &file.name));
    files.iter().map(line).collect::<String>().into_bytes()
}

fn written(x: &Exchange, conf: &Conf, around: &Around<'_>, stored: Option<&[Stored]>, list: Body) -> Response {
    let files = stored.unwrap_or_default();
    let mut response = Response::new(if files.is_empty() { 200 } else { 201 });
    response.body = list;
    let form = Form::of(x, stored.is_some());
    response.content_type = ContentType::Is(Bytes::from_static(form.media_type()));
    if form == Form::Page {
        response.body.chunks.push_front(Chunk::Bytes(page::head(conf, around.most, files).into()));
        response.body.chunks.push_back(Chunk::Bytes(page::foot(&(around.line)(x)).into()));
        // Within a page of another site a visitor would press what that page lays its own words over. Old browsers know the first.
        response.push("X-Frame-Options", "DENY");
        response.push("Content-Security-Policy", "frame-ancestors 'none'");
    }
    // RFC 9110 section 12.5.5: the answer depends on what the client prefers.
    response.push("Vary", "Accept");
    response.push("Cache-Control", "no-store");
    if let [file] = files {
        response.location = Some(url(conf.prefix(), &file.name).into());
    }
    response
}
