//! `dav_methods`: files and folders that clients put, make, copy, move and remove, by nginx's rules. This file is the step
//! and what the methods share: the paths, the header fields, and which failure of the system is which status.

mod asking;
mod copy;
mod entries;
mod put;
mod removal;
mod rows;
mod spot;
mod tree;
mod work;

pub use rows::{Conf, DIRECTIVES, VARIABLES};

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use crate::exchange::Exchange;
use crate::exchange::account::{self, Accounts};
use crate::exchange::admission::{Admit, Question};
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Step, Wait};
use crate::exchange::store::{Folder, Found};
use crate::exchange::trace::Act;
use crate::exchange::trees::{self, Tree};
use crate::http::escape;
use crate::http::head::BodyLength;
use crate::http::method::Method;
use crate::http::response::{ContentType, Response};
use asking::{Asking, Branch, Held, Side};
use put::Put;
use spot::{Spot, is_same};
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

/// How long a request waits for another that works on the same tree.
const PATIENCE: Duration = Duration::from_secs(10);
/// When it looks again.
const SOON: Duration = Duration::from_millis(10);

/// What the step must know of the settings of others.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// Whether files have tags here (`etag`).
    pub tags: bool,
    /// The store that this location gives a quota of its own, and that.
    pub quota: Option<&'a (account::Id, u64)>,
}

/// Does what the method asks for, where it is one of ours. `admit` asks for
/// other requests of the client.
pub fn step(
    x: &mut Exchange,
    conf: &Conf,
    around: Around<'_>,
    admit: Admit<'_>,
    state: &mut Option<Box<State>>,
) -> Result<Step, HttpError> {
    if conf.methods == 0 {
        return Ok(Step::Next);
    }
    match x.method() {
        Method::Options => Ok(Step::done(options(conf))),
        method if conf.methods & method.bit() == 0 => Ok(Step::Next),
        Method::Put => put::step(x, conf, around, admit, state),
        Method::Mkcol | Method::Delete | Method::Copy | Method::Move => change(x, conf, around, admit, state),
        _ => Ok(Step::Next),
    }
}

/// What came of a look at what stands on disk.
enum Looked {
    /// There is more to ask.
    More,
    /// It may be done.
    Work(Box<Work>),
    /// Not yet: the look is to be repeated after a wait.
    Later(Step),
    /// This is the end of it.
    Done(Step),
}

/// How far a request is.
pub struct State(Stage);

enum Stage {
    Put(Box<Put>),
    Asking(Box<Asking>),
    Work(Box<Work>, Option<Held>),
}

/// Asks for all that is to be done, then looks again and does it.
fn change(
    x: &mut Exchange,
    conf: &Conf,
    around: Around<'_>,
    admit: Admit<'_>,
    state: &mut Option<Box<State>>,
) -> Result<Step, HttpError> {
    let mut asking = match state.take().map(|state| state.0) {
        Some(Stage::Work(work, hold)) => return go_on(x, work, hold, state),
        Some(Stage::Asking(asking)) => asking,
        // A file is on its way in under PUT alone.
        Some(Stage::Put(_)) | None => Box::new(begin(x)?),
    };
    loop {
        if let Some(wait) = asking.go_on(x, admit, conf.max_files)? {
            return Ok(keep(state, Stage::Asking(asking), wait));
        }
        let looked = match x.method() {
            Method::Delete => delete(x, conf, around, &mut asking),
            Method::Mkcol => make_folder(x, conf, around, &mut asking),
            _ => copy::look(x, conf, around, &mut asking),
        };
        match looked {
            Ok(Looked::More) => {}
            Ok(Looked::Work(work)) => {
                return go_on(x, work, asking.hold.take(), state);
            }
            Ok(Looked::Later(Step::Wait(wait))) => return Ok(keep(state, Stage::Asking(asking), wait)),
            Ok(Looked::Later(step) | Looked::Done(step)) => return Ok(step),
            Err(error) => {
                let wait = later(&mut asking.until, error)?;
                return Ok(keep(state, Stage::Asking(asking), wait));
            }
        }
    }
}

/// What is asked before the first look at what stands there, which is for those who may come in.
fn begin(x: &Exchange) -> Result<Asking, HttpError> {
    let mut asking = Asking::default();
    if matches!(x.method(), Method::Copy | Method::Move) {
        copy::begin(x, &mut asking)?;
    }
    Ok(asking)
}

fn keep(state: &mut Option<Box<State>>, stage: Stage, wait: Wait) -> Step {
    *state = Some(Box::new(State(stage)));
    Step::Wait(wait)
}

/// When to try again what another request stands in the way of; any other error stays one, and so does this at some time.
fn later(until: &mut Option<Instant>, error: HttpError) -> Result<Wait, HttpError> {
    if error.reason != trees::BUSY {
        return Err(error);
    }
    let now = Instant::now();
    if *until.get_or_insert(now + PATIENCE) <= now {
        return Err(error);
    }
    Ok(Wait::Until(now + SOON))
}

/// Does a turn of what was begun; then others have theirs.
fn go_on(
    x: &mut Exchange,
    mut work: Box<Work>,
    hold: Option<Held>,
    state: &mut Option<Box<State>>,
) -> Result<Step, HttpError> {
    if let Some(status) = work.go_on()? {
        return Ok(Step::done(empty(status)));
    }
    // Half a tree would be of no use to anybody.
    x.outlives_client = true;
    Ok(keep(state, Stage::Work(work, hold), Wait::Until(Instant::now() + PAUSE)))
}

/// What a new file counts in.
enum Counted {
    /// These accounts.
    Known(Accounts),
    /// Nobody knows yet what they hold.
    Later(Step),
}

/// What files in a folder count in, with the quota that this location gives its own store.
fn accounts(x: &Exchange, around: Around<'_>, folder: &Folder, path: &[u8]) -> Result<Counted, HttpError> {
    let failed = |error| failed("readdir()", path, &error, 409);
    let mut accounts = Accounts::of(folder).map_err(failed)?;
    around.quota.iter().for_each(|quota| accounts.limit(quota.0, quota.1));
    match !x.may_act() || accounts.are_counted(|| x.waker()).map_err(failed)? {
        true => Ok(Counted::Known(accounts)),
        false => Ok(Counted::Later(Step::Wait(Wait::News(Instant::now() + LONG)))),
    }
}

/// Ends the request where nothing may be done, once all that could refuse it was asked.
fn withhold(x: &Exchange, what: &str, path: &[u8]) -> Option<Step> {
    x.withhold(|| Act::Change { what: what.into(), path: path.to_vec() })
}

/// What clients look for before they offer to write. No DAV field: class 1 would promise PROPFIND (RFC 4918 section 18.1).
fn options(conf: &Conf) -> Response {
    let mut response = empty(200);
    response.push("Allow", methods(conf));
    response
}

/// The methods there are.
fn methods(conf: &Conf) -> String {
    let ours = rows::METHODS.iter().filter(|(_, method)| conf.methods & method.bit() != 0).map(|(name, _)| *name);
    let all: Vec<&str> = ["OPTIONS", "GET", "HEAD"].into_iter().chain(ours).collect();
    all.join(", ")
}

/// A 405 of whatever answers here names the methods of `dav_methods` too (RFC 9110 section 15.5.6).
pub fn name_methods(conf: &Conf, mut error: HttpError) -> HttpError {
    if error.status != 405 || conf.methods == 0 {
        return error;
    }
    error.fields.retain(|(name, _)| !name.eq_ignore_ascii_case(b"allow"));
    error.field("Allow", methods(conf))
}

/// An answer without a body.
fn empty(status: u16) -> Response {
    let mut response = Response::new(status);
    response.content_type = ContentType::None;
    response
}

fn delete(x: &Exchange, conf: &Conf, around: Around<'_>, asking: &mut Asking) -> Result<Looked, HttpError> {
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
    if is_folder {
        let failed = |error| failed("opendir()", &path, &error, 404);
        let trees = vec![Tree { path: spot.true_path().map_err(failed)?, is_read: false }];
        if !asking.is_ready(x, trees, (Some(found), &path))? {
            asking.ask_bare(Method::Delete, &x.uri);
            let folder = spot.folder.inner(&spot.name).map_err(failed)?;
            let from = Side { uri: x.uri.clone(), path: path.clone() };
            let takes = Some(Method::Delete);
            asking.branch(Branch { folder, from, takes, to: None, follows: false, is_source: true });
            return Ok(Looked::More);
        }
    }
    let what = if is_folder { "removes the folder" } else { "removes the file" };
    let _alone = spot.lock(x).map_err(|error| failed("stat()", &path, &error, 404))?;
    x.may_change(&spot.folder, &spot.name, around.tags)?;
    match withhold(x, what, &path) {
        Some(step) => Ok(Looked::Done(step)),
        None => Work::remove(spot, is_folder.then(|| std::mem::take(&mut asking.asked))).map(Looked::work),
    }
}

/// What nginx makes of a path that leads nowhere: a file on the way is a conflict, a missing name is just missing.
fn missing(error: &io::Error) -> u16 {
    if error.kind() == ErrorKind::NotADirectory { 409 } else { 404 }
}

fn make_folder(x: &Exchange, conf: &Conf, around: Around<'_>, asking: &mut Asking) -> Result<Looked, HttpError> {
    refuse_body(x, "MKCOL with body is unsupported")?;
    if !x.uri.ends_with(b"/") {
        let text = "MKCOL can create a collection only";
        return Err(HttpError::new(409, "no-collection").log(Level::Info, text));
    }
    if !asking.is_whole {
        asking.is_whole = true;
        asking.ask_bare(Method::Mkcol, &x.uri);
        return Ok(Looked::More);
    }
    let path = x.path_of(&x.uri);
    let spot = Spot::find(x, &path).map_err(|error| failed("mkdir()", &path, &error, 409))?;
    let _alone = spot.lock(x).map_err(|error| failed("mkdir()", &path, &error, 409))?;
    let is_free = spot.folder.find(&spot.name).is_err();
    // What would be refused anyway is not 412 (RFC 9110 section 13.2.1).
    if is_free {
        x.may_change(&spot.folder, &spot.name, around.tags)?;
    }
    if !x.may_act()
        && is_free
        && let Some(step) = withhold(x, "makes the folder", &path)
    {
        return Ok(Looked::Done(step));
    }
    let made = match x.may_act() {
        true => spot.folder.make(&spot.name, conf.folder_access()),
        // What is there already is all that can be known without trying.
        false => Err(ErrorKind::AlreadyExists.into()),
    };
    made.map_err(|error| failed("mkdir()", &path, &error, 409))?;
    let mut response = empty(201);
    response.location = Some(escape::path(&x.uri).into_owned().into());
    Ok(Looked::Done(Step::done(response)))
}

impl Looked {
    fn work(work: Work) -> Looked {
        Looked::Work(Box::new(work))
    }
}

impl Asking {
    /// Asks for a folder as clients may name it without its slash: only a refusal counts.
    fn ask_bare(&mut self, method: Method, uri: &[u8]) {
        let bare = uri.strip_suffix(b"/").unwrap_or(uri);
        if !bare.is_empty() {
            self.ask(Question::unrefused(method, bare));
        }
    }

    /// Whether all was asked for these trees, while this stood at the destination. If it was not, nobody else changes them from
    /// now on.
    fn is_ready(
        &mut self,
        x: &Exchange,
        trees: Vec<Tree>,
        (there, path): (Option<Found>, &[u8]),
    ) -> Result<bool, HttpError> {
        let there = there.map(|found| found == Found::Folder);
        if self.is_whole && self.there == there && self.hold.as_ref().is_none_or(|held| held.trees == trees) {
            return Ok(true);
        }
        // Other trees by now are other questions.
        self.hold = None;
        self.asked = Default::default();
        self.there = there;
        if x.may_act() {
            self.take(trees).ok_or_else(|| trees::busy(path))?;
        }
        self.is_whole = true;
        Ok(false)
    }
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
    if error.kind() == ErrorKind::ResourceBusy && error.raw_os_error().is_none() {
        return trees::busy(path);
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
