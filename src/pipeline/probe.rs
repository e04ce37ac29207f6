//! One request asks whether another of the same client would be let in, and would come to the file that is meant: the other is
//! walked by every step that stands before content, and what makes content there is looked at. Nothing is done or counted on the
//! way. Knows the order of the steps, not what they mean.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use super::steps::{is_for_files, keeps_limits};
use super::{Phase, Run, first};
use crate::exchange::admission::Question;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Step, Wait};
use crate::exchange::trace::Trace;
use crate::exchange::{Arrival, Client, Exchange};
use crate::http::authority;
use crate::http::escape;
use crate::http::head::{BodyLength, Head};
use crate::http::method::Method;
use crate::route::Server;
use crate::settings::Settings;

/// A question that waits for its answer.
pub(super) type Kept = Option<Box<(Question, Run)>>;

/// Says no by the error that the client would get, or by 403 where it did not name the path itself. A wait is to be followed by
/// another call; what was found out so far is kept meanwhile.
pub(super) fn ask(
    kept: &mut Kept,
    x: &Exchange,
    settings: &Arc<Settings>,
    server: &Arc<Server>,
    question: &Question,
) -> Result<Option<Wait>, HttpError> {
    let is_told = question.is_named && question.place.is_some();
    let mut run = match kept.take().filter(|kept| kept.0 == *question) {
        Some(kept) => kept.1,
        None => {
            if is_told {
                let (method, path) = (question.method.as_str(), escape::error_log(&question.path));
                x.tell("Destination", None, || format!("a {method} of `{path}` is walked"));
            }
            begin(x, settings, server, question)?
        }
    };
    let walked = run.walk();
    if is_told {
        x.log.reports.borrow_mut().append(run.x.log.reports.get_mut());
        if let (Some(told), Some(trace)) = (&x.trace, &mut run.x.trace) {
            told.remarks.borrow_mut().append(trace.remarks.get_mut());
        }
    }
    let walked = match walked {
        Ok(Walked::Waits(wait)) => {
            *kept = Some(Box::new((question.clone(), run)));
            return Ok(Some(wait));
        }
        Ok(Walked::Content) => run.arrives(x, question),
        Ok(Walked::Elsewhere) => Ok(question.place.is_none()),
        Ok(Walked::Closed) => Ok(false),
        // What is not there yet is no guard.
        Err(error) if error.status < 400 || question.place.is_none() && error.reason == "try-files" => {
            Ok(question.place.is_none())
        }
        Err(error) => Err(error),
    };
    let refused = match walked {
        Ok(true) => return Ok(None),
        Ok(false) => None,
        Err(error) => Some(error),
    };
    let place = refused.as_ref().and_then(|error| run.decided(error));
    let mut error = match (refused, question.is_named) {
        // 405 would be about the method of this request.
        (Some(error), true) if error.status != 405 || question.place.is_none() => error,
        (refused, true) => HttpError { place: refused.and_then(|error| error.place), ..elsewhere(question) },
        (refused, false) => closed(question, refused.as_ref()),
    };
    error.place = place.or_else(|| run.decided(&error));
    Err(error)
}

/// A request would be answered by the conf, or led to another path: nothing of this client's could come to stand there.
fn elsewhere(question: &Question) -> HttpError {
    let (method, path) = (question.method.as_str(), escape::error_log(&question.path));
    let text = format!("a {method} of \"{path}\", the \"Destination\", would not get there");
    HttpError::new(403, "closed-destination").log(Level::Error, text)
}

/// The same of what the client did not name itself.
fn closed(question: &Question, refused: Option<&HttpError>) -> HttpError {
    let (method, path) = (question.method.as_str(), escape::error_log(&question.path));
    let why = match refused {
        Some(error) => format!("would be refused ({}/{})", error.status, error.reason),
        None => "would not get there".into(),
    };
    let text = format!("nothing was done: a {method} of \"{path}\", which belongs to it, {why}");
    HttpError::new(403, "closed-entry").log(Level::Error, text)
}

fn begin(x: &Exchange, settings: &Arc<Settings>, server: &Arc<Server>, question: &Question) -> Result<Run, HttpError> {
    let arrival = Arrival { client: as_it_came(&x.client), head: head(x, server, question)?, origin: x.origin.clone() };
    let mut run = Run::new(arrival, settings.clone(), server.clone());
    run.x.now = x.now;
    run.x.share_id(x);
    run.x.trace = Some(Box::new(Trace { is_verdict: x.may_act(), ..Trace::default() }));
    run.x.uri.clone_from(&question.path);
    run.x.args.clone_from(&question.args);
    Ok(run)
}

/// The client before a field of its request named another address: the destination's own lines say whom to believe.
fn as_it_came(client: &Client) -> Client {
    let mut client = client.clone();
    if let Some(peer) = client.replaced.take() {
        client.peer = *peer;
    }
    client
}

/// The head of this request with another method and target, and without a body.
fn head(x: &Exchange, server: &Server, question: &Question) -> Result<Head, HttpError> {
    let (raw, line) = (x.head.raw(), x.head.request_line());
    let (target, path) = (x.head.target(), escape::path(&question.path));
    // In absolute form the authority stands there too, and wins over Host.
    let origin = authority::of_absolute(target).map_or(&b""[..], |range| &target[..range.end]);
    let method = question.method.as_str().as_bytes();
    let first = [method, b" ", origin, path.as_bytes(), &query(question), b" ", x.head.protocol()].concat();
    let mut head = Head::default();
    let text = [&first, &raw[line.len()..]].concat();
    head.parse(&text, &server.scope.request_head.limits).map_err(|_| elsewhere(question))?;
    head.body_length = BodyLength::None;
    head.expects_continue = false;
    Ok(head)
}

/// The query behind its `?`, with nothing in it that a target may not hold.
fn query(question: &Question) -> Vec<u8> {
    let Some(args) = &question.args else { return Vec::new() };
    let mut query = b"?".to_vec();
    for &byte in args {
        match byte.is_ascii_graphic() {
            true => query.push(byte),
            false => query.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    query
}

/// Whether two paths lead to the same place on disk, however the folders on the way are spelled.
fn is_same_place(one: &[u8], other: &[u8]) -> bool {
    let names = |path: &[u8]| path.split(|&b| b == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect();
    let (one_names, other_names): (Vec<_>, Vec<_>) = (names(one), names(other));
    one_names == other_names || real(one_names).is_some_and(|one| Some(one) == real(other_names))
}

/// A path without the links on its way; what is not there yet stays as it is, and so does the last name.
fn real(mut names: Vec<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let mut rest = vec![names.pop()?];
    loop {
        let path = [b"/", names.join(&b'/').as_slice()].concat();
        if let Ok(real) = std::fs::canonicalize(Path::new(std::ffi::OsStr::from_bytes(&path))) {
            rest.push(real.into_os_string().into_vec());
            rest.reverse();
            return Some(rest);
        }
        rest.push(names.pop()?);
    }
}

/// How far a walk came.
enum Walked {
    /// Where content is made.
    Content,
    /// To an answer of the conf's own, or to another path.
    Elsewhere,
    /// To an end without an answer.
    Closed,
    /// Not yet to its end.
    Waits(Wait),
}

impl Run {
    /// Whether what makes content where the request came to is the file that is meant, and may be changed there if it is to be.
    fn arrives(&mut self, x: &Exchange, question: &Question) -> Result<bool, HttpError> {
        let Some(place) = &question.place else { return Ok(true) };
        if self.x.uri != question.path || !is_same_place(&self.x.path_of(&self.x.uri), place) {
            return Ok(false);
        }
        if !is_for_files(&self.scope, place) {
            return Ok(false);
        }
        if question.method == Method::Get {
            return Ok(true);
        }
        let methods = question.method.bit() | x.method().bit();
        if self.scope.dav.methods & methods == 0 {
            return Ok(false);
        }
        self.x.head.body_length = question.size.map_or(BodyLength::None, BodyLength::Length);
        keeps_limits(self)
    }

    /// Goes on to where content would begin.
    fn walk(&mut self) -> Result<Walked, HttpError> {
        loop {
            let step = match self.next_step() {
                Some(step) if self.cursor < first(Phase::Content) => self.run(step)?,
                _ => return Ok(Walked::Content),
            };
            match step {
                Step::Next => self.cursor += 1,
                Step::Search => self.search()?,
                Step::Wait(wait) => return Ok(Walked::Waits(wait)),
                Step::Done(response) => match self.x.blamed.take() {
                    Some(blamed) => return Err(HttpError::new(response.status, blamed.0).at(blamed.1)),
                    None => return Ok(Walked::Elsewhere),
                },
                Step::Close => return Ok(Walked::Closed),
                Step::Goto(_) | Step::Body(_) | Step::Interim(_) => return Ok(Walked::Elsewhere),
            }
        }
    }
}
