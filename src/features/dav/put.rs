//! PUT: a body goes straight into a nameless file on the file system where it is to stand, and gets its name when the last
//! byte is there.

use std::fs::FileTimes;
use std::io::{self, ErrorKind, Read, Seek};
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::{Conf, Counted, Spot, accounts, empty, failed, withhold};
use crate::exchange::account;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::inflow::Inflow;
use crate::exchange::step::{Sink, Step, Wait};
use crate::exchange::store::{Draft, Folder, Found};
use crate::exchange::{Exchange, Received};
use crate::http::head::{BodyLength, Known};
use crate::http::response::Response;
use crate::http::{date, escape};

/// Bytes of a body that may lie between the client and the file.
const AHEAD: usize = 256 << 10;
/// The engine watches over silent clients; this wait only has to end some day.
const LONG: Duration = Duration::from_secs(3600);

/// A file that is on its way in.
struct Put {
    draft: Draft,
    inflow: Option<Inflow>,
    path: Vec<u8>,
    redirects: u8,
}

/// What came of the first look.
enum Begun {
    /// The file may come.
    Put(Box<Put>),
    /// It may not, or not yet.
    Not(Step),
}

/// Stores the body of this request under its path.
pub fn step(x: &mut Exchange, conf: &Conf, tags: bool) -> Result<Step, HttpError> {
    let state = x.handler.take().and_then(|state| state.downcast::<Put>().ok());
    let mut put = match state {
        Some(put) if put.redirects == x.redirects => put,
        _ => match begin(x, conf, tags)? {
            Begun::Put(put) => put,
            Begun::Not(step) => return Ok(step),
        },
    };
    let stored = |error: io::Error| failed("write()", &put.path, &error, 409);
    if put.inflow.is_none() {
        match x.received.take() {
            Received::Coming(inflow) => put.inflow = Some(inflow),
            Received::Memory(bytes) => put.draft.write(&bytes).map_err(stored)?,
            Received::File(mut file, _) => copy(&mut file, &mut put.draft).map_err(stored)?,
            Received::Nothing if has_body(x) => {
                x.handler = Some(put);
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
            x.handler = Some(put);
            return Ok(Step::Wait(Wait::News(Instant::now() + LONG)));
        }
    }
    finish(x, conf, tags, *put).map(Step::done)
}

fn has_body(x: &Exchange) -> bool {
    !matches!(x.head.body_length, BodyLength::None | BodyLength::Length(0))
}

/// What can be refused is refused before the body comes.
fn begin(x: &Exchange, conf: &Conf, tags: bool) -> Result<Begun, HttpError> {
    if x.uri.ends_with(b"/") {
        return Err(HttpError::new(409, "is-folder").log(Level::Error, "cannot PUT to a collection"));
    }
    // RFC 9110 section 14.5: a part of a file would become the whole.
    if x.head.known(Known::ContentRange).is_some() {
        return Err(HttpError::new(501, "put-range").log(Level::Error, "PUT with range is unsupported"));
    }
    let path = x.path_of(&x.uri);
    let (folder, existed, replaced) = match Spot::find(x, &path) {
        Ok(spot) => {
            let existed = refuse_folder(&spot)?;
            // Before the body comes, and once more when it is there.
            x.may_change(&spot.folder, &spot.name, tags)?;
            let replaced = if account::is_any() { spot.folder.file(&spot.name) } else { None };
            (spot.folder, existed, replaced)
        }
        Err(error) if error.kind() == ErrorKind::NotFound && conf.full_path => {
            let folder = nearest(x, &path)?.0;
            // Nothing stands there, under whatever name.
            x.may_change(&folder, b"\0", tags)?;
            (folder, false, None)
        }
        Err(error) => return Err(failed("open()", &path, &error, 409)),
    };
    let what = if existed { "puts the body in the place of the file" } else { "puts the body into the new file" };
    if let Some(step) = withhold(x, what, &path) {
        return Ok(Begun::Not(step));
    }
    let accounts = match accounts(x, &folder, &path)? {
        Counted::Known(accounts) => accounts,
        Counted::Later(step) => return Ok(Begun::Not(step)),
    };
    let refused = |error| failed("open()", &path, &error, 409);
    if let BodyLength::Length(size) = x.head.body_length {
        accounts.fit(size, replaced.map_or(0, |(_, old)| old)).map_err(refused)?;
    }
    let mut draft = folder.draft_in(conf.access, accounts).map_err(refused)?;
    replaced.into_iter().for_each(|(file, size)| draft.hold().replace(file, size));
    Ok(Begun::Put(Box::new(Put { draft, inflow: None, path, redirects: x.redirects })))
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

/// The last folder on the way that is there, and the names of those that are missing behind it.
fn nearest<'p>(x: &Exchange, path: &'p [u8]) -> Result<(Folder, Vec<&'p [u8]>), HttpError> {
    let rule = x.symlinks(path);
    let mut missing = Vec::new();
    let mut end = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
    loop {
        match Folder::open(&path[..=end], &rule) {
            Ok(folder) => return Ok((folder, missing)),
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

/// Makes the folders that are missing on the way to a path.
pub fn make_way(x: &Exchange, conf: &Conf, path: &[u8]) -> Result<(), HttpError> {
    let (mut folder, missing) = nearest(x, path)?;
    for name in missing {
        folder = folder.enter(name, conf.folder_access()).map_err(|error| failed("mkdir()", path, &error, 409))?;
    }
    Ok(())
}

fn finish(x: &Exchange, conf: &Conf, tags: bool, mut put: Put) -> Result<Response, HttpError> {
    if conf.full_path {
        make_way(x, conf, &put.path)?;
    }
    let spot = Spot::find(x, &put.path).map_err(|error| failed("open()", &put.path, &error, 409))?;
    let _alone = spot.folder.alone().map_err(|error| failed("open()", &put.path, &error, 409))?;
    let existed = refuse_folder(&spot)?;
    x.may_change(&spot.folder, &spot.name, tags)?;
    if let Some(seconds) = x.head.field(b"date").and_then(date::parse) {
        let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(seconds));
        put.draft.file.set_times(times).map_err(|error| failed("utimes()", &put.path, &error, 409))?;
    }
    let published = put.draft.publish(&spot.folder, &spot.name);
    published.map_err(|error| failed("rename()", &put.path, &error, 409))?;
    let mut response = empty(if existed { 204 } else { 201 });
    if !existed {
        response.location = Some(escape::path(&x.uri).into_owned().into());
    }
    Ok(response)
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
