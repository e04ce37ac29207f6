//! PUT: a body goes straight into a nameless file on the file system where it is to stand, and gets its name when the last
//! byte is there.

use std::io::{self, ErrorKind, Read, Seek};
use std::time::{Duration, Instant};

use super::asking::Asking;
use super::{Around, Conf, Counted, Spot, Stage, State, accounts, empty, failed, is_same, keep, later, withhold};
use crate::exchange::account;
use crate::exchange::admission::{Admit, Question};
use crate::exchange::error::{HttpError, Level};
use crate::exchange::inflow::Inflow;
use crate::exchange::step::{Sink, Step, Wait};
use crate::exchange::store::{Draft, Folder, Found};
use crate::exchange::{Exchange, Received};
use crate::http::head::{BodyLength, Known};
use crate::http::method::Method;
use crate::http::{date, escape, etag};

/// Bytes of a body that may lie between the client and the file.
const AHEAD: usize = 256 << 10;
/// The engine watches over silent clients; this wait only has to end some day.
const LONG: Duration = Duration::from_secs(3600);

/// A file that is on its way in.
pub struct Put {
    draft: Draft,
    inflow: Option<Inflow>,
    path: Vec<u8>,
    /// Whether all of the body is there.
    is_whole: bool,
    /// What was asked for beside the file itself.
    asking: Asking,
}

/// What came of the first look.
enum Begun {
    /// The file may come.
    Put(Box<Put>),
    /// It may not, or not yet.
    Not(Step),
}

/// Stores the body of this request under its path.
pub fn step(
    x: &mut Exchange,
    conf: &Conf,
    around: Around<'_>,
    admit: Admit<'_>,
    state: &mut Option<Box<State>>,
) -> Result<Step, HttpError> {
    let mut put = match state.take().map(|state| state.0) {
        Some(Stage::Put(put)) => put,
        _ => match begin(x, conf, around, admit)? {
            Begun::Put(put) => put,
            Begun::Not(step) => return Ok(step),
        },
    };
    let stored = |error: io::Error| failed("write()", &put.path, &error, 409);
    if !put.is_whole && put.inflow.is_none() {
        match x.received.take() {
            Received::Coming(inflow) => put.inflow = Some(inflow),
            Received::Memory(bytes) => put.draft.write(&bytes).map_err(stored)?,
            Received::File(mut file, _) => copy(&mut file, &mut put.draft).map_err(stored)?,
            Received::Nothing if has_body(x) => {
                *state = Some(Box::new(State(Stage::Put(put))));
                return Ok(Step::Body(Sink::Live { most: AHEAD }));
            }
            Received::Nothing => {}
            Received::Passed => {
                let text = "PUT request body is unavailable: it was passed on before";
                return Err(HttpError::new(500, "body-passed").log(Level::Crit, text));
            }
        }
    }
    if let Some(inflow) = &put.inflow {
        loop {
            let piece = inflow.take(AHEAD);
            if piece.is_empty() {
                break;
            }
            put.draft.write(&piece).map_err(|error| failed("write()", &put.path, &error, 409))?;
        }
        if !inflow.has_ended() {
            return Ok(keep(state, Stage::Put(put), Wait::News(Instant::now() + LONG)));
        }
    }
    put.is_whole = true;
    match finish(x, conf, around, &mut put, admit) {
        Ok(Step::Wait(wait)) => Ok(keep(state, Stage::Put(put), wait)),
        Ok(step) => Ok(step),
        Err(error) => {
            let wait = later(&mut put.asking.until, error)?;
            Ok(keep(state, Stage::Put(put), wait))
        }
    }
}

fn has_body(x: &Exchange) -> bool {
    !matches!(x.head.body_length, BodyLength::None | BodyLength::Length(0))
}

/// What can be refused is refused before the body comes.
fn begin(x: &Exchange, conf: &Conf, around: Around<'_>, admit: Admit<'_>) -> Result<Begun, HttpError> {
    if x.uri.ends_with(b"/") {
        return Err(HttpError::new(409, "is-folder").log(Level::Error, "cannot PUT to a collection"));
    }
    // RFC 9110 section 14.5: a part of a file would become the whole.
    if x.head.known(Known::ContentRange).is_some() {
        return Err(HttpError::new(501, "put-range").log(Level::Error, "PUT with range is unsupported"));
    }
    let path = x.path_of(&x.uri);
    let mut asking = Asking::default();
    let (folder, existed, replaced) = match Spot::find(x, &path) {
        Ok(spot) => {
            let existed = refuse_folder(&spot)?;
            // Before the body comes, and once more when it is there.
            x.may_change(&spot.folder, &spot.name, around.tags)?;
            let replaced = if account::is_any() { spot.folder.file(&spot.name) } else { None };
            (spot.folder, existed, replaced)
        }
        Err(error) if error.kind() == ErrorKind::NotFound && conf.full_path => {
            let way = Way::find(x, &path, &x.uri)?;
            if !asking.has_way(&way)
                && let Some(wait) = asking.go_on(x, admit, conf.max_files)?
            {
                return Ok(Begun::Not(Step::Wait(wait)));
            }
            let folder = way.folder;
            // Nothing stands there, under whatever name.
            x.may_change(&folder, b"\0", around.tags)?;
            (folder, false, None)
        }
        Err(error) => return Err(failed("open()", &path, &error, 409)),
    };
    let what = if existed { "puts the body in the place of the file" } else { "puts the body into the new file" };
    if let Some(step) = withhold(x, what, &path) {
        return Ok(Begun::Not(step));
    }
    let accounts = match accounts(x, around, &folder, &path)? {
        Counted::Known(accounts) => accounts,
        Counted::Later(step) => return Ok(Begun::Not(step)),
    };
    let refused = |error| failed("open()", &path, &error, 409);
    if let BodyLength::Length(size) = x.head.body_length {
        accounts.fit(size, replaced.map_or(0, |(_, old)| old)).map_err(refused)?;
    }
    let mut draft = folder.draft_in(conf.access, accounts).map_err(refused)?;
    replaced.into_iter().for_each(|(file, size)| draft.hold().replace(file, size));
    Ok(Begun::Put(Box::new(Put { draft, inflow: None, path, is_whole: false, asking })))
}

/// A folder is not overwritten; whether one is there.
fn refuse_folder(spot: &Spot) -> Result<bool, HttpError> {
    match spot.folder.find(&spot.name) {
        Ok(Found::Folder) => {
            let text = format!("\"{}\" could not be created (it is a folder)", escape::error_log(&spot.path));
            Err(HttpError::new(409, "is-folder").log(Level::Error, text))
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("lstat()", &spot.path, &error, 409)),
    }
}

/// The way to a file whose folder is not there.
pub struct Way<'p> {
    /// The last folder on it that is there.
    folder: Folder,
    /// The names of those that are missing behind it.
    missing: Vec<&'p [u8]>,
    /// What is to be asked before they are made.
    pub questions: Vec<Question>,
}

impl<'p> Way<'p> {
    /// Of a path that is this URI's.
    pub fn find(x: &Exchange, path: &'p [u8], uri: &[u8]) -> Result<Way<'p>, HttpError> {
        let rule = x.symlinks(path);
        let mut missing = Vec::new();
        let mut end = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
        loop {
            match Folder::open(&path[..=end], &rule) {
                Ok(folder) => {
                    let questions = questions(x, &missing, uri);
                    return Ok(Way { folder, missing, questions });
                }
                Err(error) if error.kind() == ErrorKind::NotFound && end > 0 => {
                    let start = path[..end].iter().rposition(|&b| b == b'/').unwrap_or(0);
                    if end > start + 1 {
                        missing.insert(0, &path[start + 1..end]);
                    }
                    end = start;
                }
                Err(error) => return Err(failed("open()", path, &error, 409)),
            }
        }
    }

    /// Makes the folders that are missing.
    pub fn make(self, x: &Exchange, conf: &Conf, path: &[u8]) -> Result<(), HttpError> {
        let failed = |error| failed("mkdir()", path, &error, 409);
        let mut folder = self.folder;
        let alone = folder.alone().map_err(failed)?;
        // It may have become another's since it was found.
        let now = Way::find(x, path, b"")?;
        if now.missing.len() > self.missing.len() || !is_same(&now.folder, &folder).map_err(failed)? {
            return Err(failed(ErrorKind::ResourceBusy.into()));
        }
        for name in self.missing {
            folder = folder.enter(name, conf.folder_access()).map_err(failed)?;
        }
        drop(alone);
        Ok(())
    }
}

/// Each folder as its own request, with its slash and without: a guard may name either. What stands above the place of the
/// location's own URI is named by none.
fn questions(x: &Exchange, missing: &[&[u8]], uri: &[u8]) -> Vec<Question> {
    let (mut questions, mut rest) = (Vec::new(), uri);
    for name in missing.iter().rev() {
        let Some(end) = rest.iter().rposition(|&b| b == b'/') else { break };
        rest = &rest[..end];
        let bare = rest.strip_suffix(b"/").unwrap_or(rest);
        if !bare.ends_with(name) || bare[..bare.len() - name.len()].last() != Some(&b'/') {
            break;
        }
        let method = if x.method() == Method::Move { Method::Put } else { x.method() };
        questions.push(Question::unrefused(method, &[bare, b"/"].concat()));
        questions.push(Question::unrefused(method, bare));
    }
    questions
}

/// Makes the folders on the way, once they were asked for.
fn make_way(x: &Exchange, conf: &Conf, put: &mut Put, admit: Admit<'_>) -> Result<Option<Wait>, HttpError> {
    loop {
        let way = Way::find(x, &put.path, &x.uri)?;
        if put.asking.has_way(&way) && put.asking.is_answered() {
            return way.make(x, conf, &put.path).map(|()| None);
        }
        if let Some(wait) = put.asking.go_on(x, admit, conf.max_files)? {
            return Ok(Some(wait));
        }
    }
}

fn finish(x: &Exchange, conf: &Conf, around: Around<'_>, put: &mut Put, admit: Admit<'_>) -> Result<Step, HttpError> {
    if conf.full_path
        && let Some(wait) = make_way(x, conf, put, admit)?
    {
        return Ok(Step::Wait(wait));
    }
    let spot = Spot::find(x, &put.path).map_err(|error| failed("open()", &put.path, &error, 409))?;
    let _alone = spot.lock(x).map_err(|error| failed("open()", &put.path, &error, 409))?;
    let existed = refuse_folder(&spot)?;
    x.may_change(&spot.folder, &spot.name, around.tags)?;
    let dated = put.draft.date(x.head.field(b"date").and_then(date::parse));
    let dated = dated.and_then(|()| put.draft.differ(&spot.folder, &spot.name));
    dated.map_err(|error| failed("utimes()", &put.path, &error, 409))?;
    let published = put.draft.publish(&spot.folder, &spot.name);
    published.map_err(|error| failed("rename()", &put.path, &error, 409))?;
    let mut response = empty(if existed { 204 } else { 201 });
    if around.tags
        && let Ok(stat) = rustix::fs::fstat(&put.draft.file)
    {
        let tag = etag::make(u64::try_from(stat.st_mtime).unwrap_or(0), stat.st_size as u64);
        response.etag = Some(etag::finer(&tag, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)));
    }
    if !existed {
        response.location = Some(escape::path(&x.uri).into_owned().into());
    }
    Ok(Step::done(response))
}

/// A body that another location wanted whole.
fn copy(file: &mut std::fs::File, draft: &mut Draft) -> io::Result<()> {
    file.rewind()?;
    let mut piece = vec![0; AHEAD];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            n => draft.write(&piece[..n])?,
        }
    }
}
