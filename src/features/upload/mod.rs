//! `upload_store`: files that browsers send. This file is the step: which request is for the page, for a stored file, for
//! taking files in or for removing one. A stored file is only ever read, never run.

mod answer;
mod forging;
mod form;
mod listing;
mod name;
mod page;
mod passed;
mod put;
mod receive;
mod rows;
mod strangers;

pub use rows::{Conf, Conflict, DIRECTIVES, Store, VARIABLES};

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::exchange::account::{self, Accounts};
use crate::exchange::admission::{Admit, Question};
use crate::exchange::error::{HttpError, Level, system_words};
use crate::exchange::files::{self, Kind, Opened, Policy};
use crate::exchange::step::{Sink, Step, Target, Wait};
use crate::exchange::store::{Folder, Found};
use crate::exchange::symlinks::Symlinks;
use crate::exchange::temporary::Spool;
use crate::exchange::trace::Act;
use crate::exchange::trees;
use crate::exchange::{Exchange, Received};
use crate::http::escape;
use crate::http::head::{BodyLength, Known};
use crate::http::method::Method;
use crate::http::response::{ContentType, Response};
use crate::http::{multipart, negotiate};
use answer::Look;
use passed::Form;
use put::Quota;
use receive::Receiving;

/// Bytes of a body that may lie between the client and the files.
const AHEAD: usize = 256 << 10;
/// The engine watches over silent clients; this wait only has to end some day.
const LONG: Duration = Duration::from_secs(3600);
/// The most bytes of a form that asks for a removal.
const SMALL: usize = 16 << 10;

/// What the step must know of the settings of others.
pub struct Around<'a> {
    /// The media type that an extension stands for.
    pub type_of: &'a dyn Fn(&[u8]) -> Bytes,
    /// The answer that an open file is.
    pub answer: &'a dyn Fn(Opened) -> Response,
    /// Whether files have tags here.
    pub tags: bool,
    /// The line at the foot of pages.
    pub line: &'a dyn Fn(&Exchange) -> String,
    /// The largest body that is taken; 0 for any.
    pub most: u64,
    /// How many bytes of a body stay in memory.
    pub memory: usize,
    /// The folder for temporary files.
    pub folder: &'a Path,
}

/// What is kept between two entries.
pub struct State(Stage);

enum Stage {
    Receiving(Box<Receiving>),
    /// A small form is being read.
    Form,
    /// What the client is to see is being listed.
    Looking(Box<Look>),
}

/// The media type of forms with files.
const FORM: &[u8] = b"multipart/form-data";

type Kept = Option<Box<State>>;

/// Answers for a store, where there is one. `admit` asks for the requests of this client that would be about a stored file itself;
/// `quota` is for what another feature stores here.
pub fn step(
    x: &mut Exchange,
    conf: &Conf,
    around: &Around<'_>,
    admit: Admit<'_>,
    quota: &mut Quota,
    state: &mut Kept,
) -> Result<Step, HttpError> {
    let Some(store) = &conf.store else { return Ok(Step::Next) };
    let Some(rest) = x.uri.strip_prefix(store.prefix.as_ref()) else { return Ok(Step::Next) };
    let name = rest.strip_prefix(b"/").unwrap_or(rest).to_vec();
    match (x.method(), name.is_empty()) {
        (Method::Get | Method::Head, true) => match state.take().map(|state| state.0) {
            Some(Stage::Looking(look)) => answer::go_on(x, conf, around, look, state),
            _ => answer::listing(x, conf, around, state),
        },
        (Method::Get | Method::Head, false) => fetch(store, &name, around).map(Step::done),
        (Method::Post, true) => post(x, conf, around, admit, state),
        (Method::Delete, false) if conf.delete => {
            let folder = open(store)?;
            find(&folder, &name)?;
            if let Some(step) = would(x, "removes the file", &[store.folder.as_ref(), b"/", &name].concat()) {
                return Ok(step);
            }
            let _alone = folder.alone().map_err(|error| closed(store, "stat()", &error))?;
            find(&folder, &name)?;
            x.may_change(&folder, &name, around.tags)?;
            remove(&folder, &name)?;
            let mut response = Response::new(204);
            response.content_type = ContentType::None;
            Ok(Step::done(response))
        }
        (Method::Put, false) => {
            *quota = put::admit(x, conf, &name, around)?;
            Ok(Step::Next)
        }
        (method, _) if is_for_others(method) => {
            *quota = put::limit(x, conf)?;
            Ok(Step::Next)
        }
        (_, is_root) => Err(HttpError::new(405, "method").field("Allow", allowed(conf, is_root))),
    }
}

/// Ends the request where nothing may be done.
fn would(x: &Exchange, what: &str, path: &[u8]) -> Option<Step> {
    x.withhold(|| Act::Change { what: what.into(), path: path.to_vec() })
}

/// Methods that `dav_methods` may take in the same location.
fn is_for_others(method: Method) -> bool {
    matches!(method, Method::Put | Method::Mkcol | Method::Copy | Method::Move | Method::Options)
}

fn allowed(conf: &Conf, is_root: bool) -> &'static str {
    match (is_root, conf.delete) {
        (true, _) => "GET, HEAD, POST",
        (false, true) => "GET, HEAD, DELETE",
        (false, false) => "GET, HEAD",
    }
}

/// The store's folder. Its path is the conf's, links in it are the owner's.
fn open(store: &Store) -> Result<Folder, HttpError> {
    Folder::open(&store.folder, &Symlinks::Followed).map_err(|error| closed(store, "open()", &error))
}

/// Whatever is wrong with our own folder is no 403 or 404 to the client.
fn closed(store: &Store, call: &str, error: &io::Error) -> HttpError {
    use nix::libc::{EDQUOT, EFBIG, EMFILE, ENFILE, ENOSPC};
    if let Some(refusal) = account::refusal(error) {
        return refusal;
    }
    if error.kind() == ErrorKind::ResourceBusy && error.raw_os_error().is_none() {
        return trees::busy(&store.folder);
    }
    let (folder, words) = (escape::error_log(&store.folder), system_words(error));
    let (status, reason, help) = match (error.raw_os_error().unwrap_or(0), error.kind()) {
        (ENOSPC | EDQUOT | EFBIG, _) => (507, "no-space", ""),
        (EMFILE | ENFILE, _) => (503, "no-descriptors", ""),
        (_, ErrorKind::NotFound) => (500, "store-missing", ": make the folder that upload_store names"),
        (_, ErrorKind::PermissionDenied) => {
            (500, "store-closed", ": the user that this server runs as must be let in to write")
        }
        _ => (500, "store-error", ""),
    };
    HttpError::new(status, reason).log(Level::Crit, format!("{call} in \"{folder}\" failed ({words}){help}"))
}

/// Refuses what the conf refuses to this client at a stored file's own URI: it is not stored or removed by way of the page either.
fn guard_of(x: &Exchange, conf: &Conf, name: &[u8], admit: Admit<'_>) -> Result<Option<Wait>, HttpError> {
    let Some(store) = &conf.store else { return Ok(None) };
    let uri = [store.prefix.strip_suffix(b"/").unwrap_or(&store.prefix), b"/", name].concat();
    let question = Question { is_named: true, ..Question::unrefused(x.method(), &uri) };
    match admit(x, &question) {
        // Which methods there are at a file has no say in how it came.
        Err(error) if error.status == 405 => Ok(None),
        Err(error) => {
            let (uri, why) = (escape::error_log(&uri), format!("{}/{}", error.status, error.reason));
            let text = format!("\"{uri}\" is neither stored nor removed: a request for it would be refused ({why})");
            let refusal = HttpError::new(403, "closed-entry").log(Level::Error, text);
            Err(HttpError { place: error.place, ..refusal })
        }
        asked => asked,
    }
}

/// A stored file, as what it is and nothing that runs.
fn fetch(store: &Store, name: &[u8], around: &Around<'_>) -> Result<Response, HttpError> {
    let path = [store.folder.as_ref(), b"/", name].concat();
    if name.contains(&b'/') || name.starts_with(b".") {
        return Err(HttpError::new(404, "no-file").log(Level::Error, no_such(&path)));
    }
    let policy = Policy { symlinks: Symlinks::Refused { from: store.folder.len() }, ..Policy::default() };
    let opened = files::open(&path, &policy).map_err(|error| HttpError::file("open()", &path, &error))?;
    if opened.stat.kind != Kind::File {
        return Err(HttpError::new(404, "no-regular-file").log(Level::Error, no_such(&path)));
    }
    let mut response = (around.answer)(opened);
    guard(&mut response, name);
    Ok(response)
}

/// No browser guesses at what it is, and none runs a script in it with this site's rights. A browser's own viewer for PDF does
/// not work in such a box; a PDF runs nothing of this site's.
fn guard(response: &mut Response, name: &[u8]) {
    response.push("X-Content-Type-Options", "nosniff");
    if !name.to_ascii_lowercase().ends_with(b".pdf") {
        response.push("Content-Security-Policy", "sandbox");
    }
}

fn no_such(path: &[u8]) -> String {
    format!("\"{}\" is no stored file", escape::error_log(path))
}

/// Makes sure that there is such a file.
fn find(folder: &Folder, name: &[u8]) -> Result<(), HttpError> {
    let is_file = !name.contains(&b'/') && !name.starts_with(b".");
    match is_file && matches!(folder.find(name), Ok(Found::File(_))) {
        true => Ok(()),
        false => Err(HttpError::new(404, "no-file").log(Level::Error, no_such(name))),
    }
}

/// Removes a stored file.
fn remove(folder: &Folder, name: &[u8]) -> Result<(), HttpError> {
    find(folder, name)?;
    let shown = escape::error_log(name);
    folder.remove(name).map_err(|error| {
        let text = format!("unlink() of \"{shown}\" failed ({})", system_words(&error));
        HttpError::new(500, "not-removed").log(Level::Crit, text)
    })
}

fn post(
    x: &mut Exchange,
    conf: &Conf,
    around: &Around<'_>,
    admit: Admit<'_>,
    state: &mut Kept,
) -> Result<Step, HttpError> {
    match state.take().map(|state| state.0) {
        Some(Stage::Receiving(receiving)) => receive(x, conf, around, receiving, admit, state),
        Some(Stage::Form) => form::answer(x, conf, admit, state),
        Some(Stage::Looking(look)) => answer::go_on(x, conf, around, look, state),
        None => begin(x, conf, around, admit, state),
    }
}

fn begin(
    x: &mut Exchange,
    conf: &Conf,
    around: &Around<'_>,
    admit: Admit<'_>,
    state: &mut Kept,
) -> Result<Step, HttpError> {
    strangers::refuse(x, &conf.origins)?;
    let kind = x.head.known(Known::ContentType).unwrap_or_default();
    if conf.delete && kind.get(..form::TYPE.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(form::TYPE)) {
        if !announces_body(x) {
            return form::answer(x, conf, admit, state);
        }
        if let Some(step) = conf.store.as_ref().and_then(|store| {
            would(x, "removes the file that the form names, in", &[store.folder.as_ref(), b"/"].concat())
        }) {
            return Ok(step);
        }
        *state = Some(Box::new(State(Stage::Form)));
        return Ok(Step::Body(Sink::Spool { memory: SMALL, folder: x.prefix.join(around.folder), naming: None }));
    }
    let Some(boundary) = multipart::boundary(kind) else {
        let shown = escape::error_log(kind);
        let is_form = kind.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM));
        let text = match is_form {
            true => format!("client sent a form without the \"boundary=\" that parts its fields: \"{shown}\""),
            false => format!("client sent \"{shown}\" where multipart/form-data is taken"),
        };
        return Err(HttpError::new(415, "not-multipart")
            .field("Accept-Post", "multipart/form-data")
            .log(Level::Info, text));
    };
    let Some(store) = &conf.store else { return Ok(Step::Next) };
    let wants_hash = conf.pass.is_some() || negotiate::prefers_json(x.head.known(Known::Accept));
    let folder = open(store)?;
    if announces_body(x)
        && let Some(step) = would(x, "stores the files of the form in", &[store.folder.as_ref(), b"/"].concat())
    {
        return Ok(step);
    }
    let Some(accounts) = accounts(x, conf, &folder).map_err(|error| closed(store, "readdir()", &error))? else {
        return Ok(Step::Wait(Wait::News(Instant::now() + LONG)));
    };
    let mut receiving = Receiving::begin(folder, accounts, &boundary, wants_hash);
    if let Some(target) = &conf.pass {
        let spool = Spool::new(around.memory, x.prefix.join(around.folder));
        let form = Form::begin(spool).map_err(|error| closed(store, "getrandom()", &error))?;
        // A named location gets the query as it came.
        let query = x.args.as_deref().filter(|_| matches!(target, Target::Named(_)));
        receiving.pass_on(form, query, conf)?;
    }
    receive(x, conf, around, Box::new(receiving), admit, state)
}

/// What files in the store count in; none as long as nobody knows what it holds.
fn accounts(x: &Exchange, conf: &Conf, folder: &Folder) -> io::Result<Option<Accounts>> {
    if !x.may_act() {
        return Ok(Some(Accounts::default()));
    }
    let own = if conf.quota > 0 { Some(account::open(folder, conf.quota)?) } else { None };
    let mut accounts = Accounts::of(folder)?;
    own.into_iter().for_each(|id| accounts.limit(id, conf.quota));
    Ok(accounts.are_counted(|| x.waker())?.then_some(accounts))
}

fn announces_body(x: &Exchange) -> bool {
    !matches!(x.head.body_length, BodyLength::None | BodyLength::Length(0))
}

/// Takes what has come; the answer, when that was all.
fn receive(
    x: &mut Exchange,
    conf: &Conf,
    around: &Around<'_>,
    mut receiving: Box<Receiving>,
    admit: Admit<'_>,
    state: &mut Kept,
) -> Result<Step, HttpError> {
    let mut is_whole = true;
    match (receiving.inflow.take(), x.received.take()) {
        _ if receiving.is_whole => {}
        (Some(inflow), _) | (None, Received::Coming(inflow)) => {
            loop {
                let piece = inflow.take(AHEAD);
                if piece.is_empty() {
                    break;
                }
                receiving.feed(&piece, conf, around)?;
            }
            is_whole = inflow.has_ended();
            receiving.inflow = Some(inflow);
        }
        (None, Received::Memory(bytes)) => receiving.feed(&bytes, conf, around)?,
        (None, Received::File(mut file, _)) => receiving.feed_file(&mut file, conf, around)?,
        (None, Received::Nothing) if announces_body(x) => {
            *state = Some(Box::new(State(Stage::Receiving(receiving))));
            return Ok(Step::Body(Sink::Live { most: AHEAD }));
        }
        (None, Received::Nothing) => {}
        (None, Received::Passed) => {
            let text = "the body of an upload was passed on before";
            return Err(HttpError::new(500, "body-passed").log(Level::Crit, text));
        }
    }
    if !is_whole {
        receiving.rest();
        *state = Some(Box::new(State(Stage::Receiving(receiving))));
        return Ok(Step::Wait(Wait::News(Instant::now() + LONG)));
    }
    receiving.is_whole = true;
    while let Some(name) = receiving.settle(conf)? {
        match guard_of(x, conf, name.as_bytes(), admit) {
            Ok(None) => receiving.admit(name),
            Ok(Some(wait)) => {
                *state = Some(Box::new(State(Stage::Receiving(receiving))));
                return Ok(Step::Wait(wait));
            }
            Err(error) => {
                receiving.take_back(conf);
                return Err(error);
            }
        }
    }
    let stored = receiving.finish(conf)?;
    match &conf.pass {
        Some(target) => {
            stored.form.map_or(Ok(()), |form| form.hand_over(x))?;
            Ok(Step::Goto(target.clone()))
        }
        None => answer::stored(x, conf, around, stored.files, state),
    }
}
