//! `dav_methods`: files and folders that clients put, make, copy, move and remove, by nginx's rules. This file is the step
//! and what the methods share: the paths, the header fields, and which failure of the system is which status.

mod copy;
mod put;
mod removal;
mod rows;
mod tree;
mod work;

pub use rows::{Conf, DIRECTIVES, VARIABLES};

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use crate::exchange::Exchange;
use crate::exchange::account::{self, Accounts};
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Step, Wait};
use crate::exchange::store::{Folder, Found};
use crate::exchange::symlinks::Symlinks;
use crate::exchange::trace::Act;
use crate::http::escape;
use crate::http::head::BodyLength;
use crate::http::method::Method;
use crate::http::response::{ContentType, Response};
use work::Work;

/// What others have between two turns of a long work.
const PAUSE: Duration = Duration::from_millis(1);
/// The longest that a folder may take to be counted.
const LONG: Duration = Duration::from_secs(3600);

/// How deep a request reaches (RFC 4918 section 10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Zero,
    One,
    Infinity,
}

/// A path as its folder, held open, and a name in it.
struct Spot {
    folder: Folder,
    name: Vec<u8>,
    path: Vec<u8>,
}

/// Where COPY and MOVE lead, as the Destination field says: a path that is decoded once, and a query.
pub struct Destination {
    /// The path.
    pub path: Vec<u8>,
    /// The query without `?`.
    pub args: Option<Vec<u8>>,
}

/// Asks whether the client of this request might put something there; it says no by an error, and may have to wait.
pub type Admit<'a> = &'a mut dyn FnMut(&Exchange, &Destination) -> Result<Option<Wait>, HttpError>;

/// Does what the method asks for, where it is one of ours. `tags` says whether files have tags here (`etag`).
pub fn step(x: &mut Exchange, conf: &Conf, tags: bool, admit: Admit<'_>) -> Result<Step, HttpError> {
    if conf.methods == 0 {
        return Ok(Step::Next);
    }
    match x.method() {
        Method::Options => Ok(Step::done(options(conf))),
        method if conf.methods & method.bit() == 0 => Ok(Step::Next),
        Method::Put => put::step(x, conf, tags),
        Method::Mkcol => make_folder(x, conf, tags),
        Method::Delete => match under_way(x) {
            Some(work) => go_on(x, work),
            None => delete(x, conf, tags).and_then(|begun| start(x, begun)),
        },
        Method::Copy | Method::Move => carry(x, conf, tags, admit),
        _ => Ok(Step::Next),
    }
}

fn carry(x: &mut Exchange, conf: &Conf, tags: bool, admit: Admit<'_>) -> Result<Step, HttpError> {
    if let Some(work) = under_way(x) {
        return go_on(x, work);
    }
    let asked = copy::Asked::read(x)?;
    // Before the first look at what stands there, which is for those who may come in.
    if let Some(wait) = admit(x, &asked.to)? {
        return Ok(Step::Wait(wait));
    }
    copy::begin(x, conf, tags, &asked).and_then(|begun| start(x, begun))
}

/// What came of the first look at a work that may take long.
enum Begun {
    /// It may be done.
    Work(Box<Work>),
    /// It may not, or not yet.
    Not(Step),
}

/// What this request has begun, and after how many internal redirects.
fn under_way(x: &mut Exchange) -> Option<Box<(Work, u8)>> {
    let kept = x.handler.take()?.downcast::<(Work, u8)>().ok()?;
    (kept.1 == x.redirects).then_some(kept)
}

fn start(x: &mut Exchange, begun: Begun) -> Result<Step, HttpError> {
    match begun {
        Begun::Work(work) => go_on(x, Box::new((*work, x.redirects))),
        Begun::Not(step) => Ok(step),
    }
}

/// Does a turn of what was begun; then others have theirs.
fn go_on(x: &mut Exchange, mut kept: Box<(Work, u8)>) -> Result<Step, HttpError> {
    if let Some(status) = kept.0.go_on()? {
        return Ok(Step::done(empty(status)));
    }
    x.handler = Some(kept);
    // Half a tree would be of no use to anybody.
    x.outlives_client = true;
    Ok(Step::Wait(Wait::Until(Instant::now() + PAUSE)))
}

/// What a new file counts in.
enum Counted {
    /// These accounts.
    Known(Accounts),
    /// Nobody knows yet what they hold.
    Later(Step),
}

/// What files in a folder count in, with the quota that this location gives its own store.
fn accounts(x: &Exchange, folder: &Folder, path: &[u8]) -> Result<Counted, HttpError> {
    let failed = |error| failed("readdir()", path, &error, 409);
    let mut accounts = Accounts::of(folder).map_err(failed)?;
    x.quota.iter().for_each(|quota| accounts.limit(quota.0, quota.1));
    match !x.may_act() || accounts.are_counted(|| x.waker()).map_err(failed)? {
        true => Ok(Counted::Known(accounts)),
        false => Ok(Counted::Later(Step::Wait(Wait::News(Instant::now() + LONG)))),
    }
}

/// Ends the request where nothing may be done, once all that could refuse it was asked.
fn withhold(x: &Exchange, what: &str, path: &[u8]) -> Option<Step> {
    x.withhold(|| Act::Change { what: what.into(), path: path.to_vec() })
}

/// RFC 4918 section 10.1: what clients look for before they offer to write.
fn options(conf: &Conf) -> Response {
    let mut response = empty(200);
    let ours = rows::METHODS.iter().filter(|(_, method)| conf.methods & method.bit() != 0).map(|(name, _)| *name);
    let all: Vec<&str> = ["OPTIONS", "GET", "HEAD"].into_iter().chain(ours).collect();
    response.push("Allow", all.join(", "));
    response.push("DAV", "1");
    response
}

/// An answer without a body.
fn empty(status: u16) -> Response {
    let mut response = Response::new(status);
    response.content_type = ContentType::None;
    response
}

fn delete(x: &Exchange, conf: &Conf, tags: bool) -> Result<Begun, HttpError> {
    refuse_body(x, "DELETE with body is unsupported")?;
    let segments = x.uri.iter().take(x.uri.len().saturating_sub(1)).filter(|&&b| b == b'/').count() as u64;
    if segments < conf.min_delete_depth {
        let text = format!("insufficient URI depth:{segments} to DELETE");
        return Err(HttpError::new(409, "delete-depth").log(Level::Error, text));
    }
    let path = x.path_of(&x.uri);
    let spot = Spot::find(x, &path).map_err(|error| failed("lstat()", &path, &error, missing(&error)))?;
    let found = spot.folder.find(&spot.name).map_err(|error| failed("lstat()", &path, &error, missing(&error)))?;
    let wants_folder = x.uri.ends_with(b"/");
    let depth = depth(x, Depth::Infinity)?;
    let is_folder = found == Found::Folder;
    match (is_folder, wants_folder) {
        (true, true) if depth != Depth::Infinity => return Err(bad_depth("\"Depth\" header must be infinity")),
        (true, false) => return Err(failed("DELETE", &path, &ErrorKind::IsADirectory.into(), 409)),
        (false, true) => return Err(failed("DELETE", &path, &ErrorKind::NotADirectory.into(), 409)),
        (false, false) if depth == Depth::One => return Err(bad_depth("\"Depth\" header must be 0 or infinity")),
        _ => {}
    }
    let what = if is_folder { "removes the folder" } else { "removes the file" };
    let _alone = spot.folder.alone().map_err(|error| failed("stat()", &path, &error, 404))?;
    x.may_change(&spot.folder, &spot.name, tags)?;
    match withhold(x, what, &path) {
        Some(step) => Ok(Begun::Not(step)),
        None => Work::remove(spot).map(|work| Begun::Work(Box::new(work))),
    }
}

/// What nginx makes of a path that leads nowhere: a file on the way is a conflict, a missing name is just missing.
fn missing(error: &io::Error) -> u16 {
    if error.kind() == ErrorKind::NotADirectory { 409 } else { 404 }
}

fn make_folder(x: &Exchange, conf: &Conf, tags: bool) -> Result<Step, HttpError> {
    refuse_body(x, "MKCOL with body is unsupported")?;
    if !x.uri.ends_with(b"/") {
        let text = "MKCOL can create a collection only";
        return Err(HttpError::new(409, "no-collection").log(Level::Info, text));
    }
    let path = x.path_of(&x.uri);
    let spot = Spot::find(x, &path).map_err(|error| failed("mkdir()", &path, &error, 409))?;
    let _alone = spot.folder.alone().map_err(|error| failed("mkdir()", &path, &error, 409))?;
    let is_free = spot.folder.find(&spot.name).is_err();
    // What would be refused anyway is not 412 (RFC 9110 section 13.2.1).
    if is_free {
        x.may_change(&spot.folder, &spot.name, tags)?;
    }
    if !x.may_act()
        && is_free
        && let Some(step) = withhold(x, "makes the folder", &path)
    {
        return Ok(step);
    }
    let made = match x.may_act() {
        true => spot.folder.make(&spot.name, conf.folder_access()),
        // What is there already is all that can be known without trying.
        false => Err(ErrorKind::AlreadyExists.into()),
    };
    made.map_err(|error| failed("mkdir()", &path, &error, 409))?;
    let mut response = empty(201);
    response.location = Some(escape::path(&x.uri).into_owned().into());
    Ok(Step::done(response))
}

/// RFC 4918 section 9.3 and others: a body that means nothing to us must be refused.
fn refuse_body(x: &Exchange, text: &str) -> Result<(), HttpError> {
    match x.head.body_length {
        BodyLength::None | BodyLength::Length(0) => Ok(()),
        _ => Err(HttpError::new(415, "body-unsupported").log(Level::Error, text)),
    }
}

fn depth(x: &Exchange, default: Depth) -> Result<Depth, HttpError> {
    match x.head.field(b"depth") {
        None => Ok(default),
        Some(b"0") => Ok(Depth::Zero),
        Some(b"1") => Ok(Depth::One),
        Some(b"infinity") => Ok(Depth::Infinity),
        Some(other) => {
            Err(bad_depth(&format!("client sent invalid \"Depth\" header: \"{}\"", escape::error_log(other))))
        }
    }
}

fn bad_depth(text: &str) -> HttpError {
    HttpError::new(400, "bad-depth").log(Level::Error, text)
}

impl Spot {
    /// Opens the folder that a path ends in; a slash at its end does not count. Links on the way, and one under the name itself,
    /// are for the place's rule to allow.
    fn find(x: &Exchange, path: &[u8]) -> io::Result<Spot> {
        let trimmed = &path[..path.len() - path.iter().rev().take_while(|&&b| b == b'/').count()];
        let at = trimmed.iter().rposition(|&b| b == b'/').ok_or(ErrorKind::NotFound)?;
        let rule = x.symlinks(path);
        let folder = Folder::open(&path[..=at], &rule)?;
        let spot = Spot { folder, name: trimmed[at + 1..].to_vec(), path: path.to_vec() };
        if spot.name.is_empty() {
            // The root of the file system itself.
            return Err(ErrorKind::PermissionDenied.into());
        }
        if rule != Symlinks::Followed {
            // What stands there, if anything, is reached without a link or not at all.
            match x.stat(trimmed) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(spot)
    }
}

/// The answer where something stands that is not to be replaced (RFC 4918 section 10.6).
fn exists(path: &[u8]) -> HttpError {
    let text = format!("\"{}\" could not be created (it exists)", escape::error_log(path));
    HttpError::new(412, "exists").log(Level::Error, text)
}

/// A failed system call as an answer: a path that leads nowhere gets the status that the method has for it.
fn failed(call: &str, path: &[u8], error: &io::Error, missing: u16) -> HttpError {
    use nix::libc::{EDQUOT, EFBIG, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENOSPC};
    if let Some(refusal) = account::refusal(error) {
        return refusal;
    }
    let (status, reason, level) = match (error.kind(), error.raw_os_error().unwrap_or(0)) {
        (_, ENOSPC | EDQUOT | EFBIG) => (507, "no-space", Level::Crit),
        (_, EMFILE | ENFILE) => (503, "no-descriptors", Level::Crit),
        (ErrorKind::NotFound, _) if missing == 404 => (404, "no-file", Level::Error),
        (ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory, _) | (_, ENAMETOOLONG) => {
            (missing, "no-such-place", Level::Error)
        }
        (ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem, _) | (_, ELOOP) => {
            (403, "no-permission", Level::Error)
        }
        // Somebody else put something there meanwhile.
        (ErrorKind::DirectoryNotEmpty, _) => (409, "exists", Level::Error),
        // RFC 4918 section 9.3.1: MKCOL only where nothing is.
        (ErrorKind::AlreadyExists, _) => (405, "exists", Level::Error),
        _ => (500, "file-error", Level::Crit),
    };
    let words = crate::exchange::error::system_words(error);
    let text = format!("{call} \"{}\" failed ({words})", escape::error_log(path));
    HttpError::new(status, reason).log(level, text)
}
