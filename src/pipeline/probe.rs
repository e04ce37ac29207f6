//! One request asks whether another of the same client would be let in: the destination of COPY and MOVE is walked as a PUT of it,
//! by every step that stands before content. Nothing is done or counted on the way. Knows the order of the steps, not what they
//! mean.

use std::sync::Arc;

use super::{Phase, Run, first};
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Step, Wait};
use crate::exchange::trace::Trace;
use crate::exchange::{Arrival, Client, Exchange};
use crate::features::dav::Destination;
use crate::http::authority;
use crate::http::escape;
use crate::http::head::Head;
use crate::route::Server;
use crate::settings::Settings;

/// Says no by the error that the client would get for the PUT. A wait is to be followed by another call; what was found out
/// so far is kept meanwhile.
pub(super) fn ask(
    kept: &mut Option<Box<Run>>,
    x: &Exchange,
    settings: &Arc<Settings>,
    server: &Arc<Server>,
    to: &Destination,
) -> Result<Option<Wait>, HttpError> {
    let mut run = match kept.take() {
        Some(run) => run,
        None => {
            x.tell("Destination", None, || format!("a PUT of `{}` is walked", escape::error_log(&to.path)));
            Box::new(begin(x, settings, server, to)?)
        }
    };
    let walked = run.walk();
    x.reports.borrow_mut().append(run.x.reports.get_mut());
    if let (Some(told), Some(trace)) = (&x.trace, &mut run.x.trace) {
        told.remarks.borrow_mut().append(trace.remarks.get_mut());
    }
    let refused = match walked {
        Ok(Walked::Waits(wait)) => {
            *kept = Some(run);
            return Ok(Some(wait));
        }
        Ok(Walked::Content) if run.x.uri == to.path => return Ok(None),
        Ok(Walked::Content | Walked::Elsewhere) => None,
        Err(error) => Some(error),
    };
    // 405 would be about the method of this request, and a redirect would lead it away.
    let refused = refused.filter(|error| error.status >= 400 && error.status != 405);
    let mut error = refused.unwrap_or_else(|| elsewhere(to));
    error.place = run.decided(&error);
    Err(error)
}

/// A PUT would be answered by the conf, or led to another path: nothing of this client's could come to stand there.
fn elsewhere(to: &Destination) -> HttpError {
    let text = format!("a PUT of \"{}\", the \"Destination\", would not get there", escape::error_log(&to.path));
    HttpError::new(403, "closed-destination").log(Level::Error, text)
}

fn begin(x: &Exchange, settings: &Arc<Settings>, server: &Arc<Server>, to: &Destination) -> Result<Run, HttpError> {
    let arrival = Arrival {
        client: as_it_came(&x.client),
        nth: x.nth,
        connected: x.connected,
        started: x.started,
        head: head(x, server, to)?,
        pipelined: x.pipelined,
        engine: x.engine.clone(),
        connection: x.connection,
    };
    let mut run = Run::new(arrival, settings.clone(), server.clone());
    run.x.now = x.now;
    run.x.id = x.id.clone();
    run.x.trace = Some(Box::new(Trace { is_verdict: x.may_act(), ..Trace::default() }));
    run.x.uri.clone_from(&to.path);
    run.x.args.clone_from(&to.args);
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

/// The head of this request with the method PUT and the destination as its target.
fn head(x: &Exchange, server: &Server, to: &Destination) -> Result<Head, HttpError> {
    let (raw, line) = (x.head.raw(), x.head.request_line());
    let (target, path) = (x.head.target(), escape::path(&to.path));
    // In absolute form the authority stands there too, and wins over Host.
    let origin = authority::of_absolute(target).map_or(&b""[..], |range| &target[..range.end]);
    let first = [b"PUT ", origin, path.as_bytes(), &query(to), b" ", x.head.protocol()].concat();
    let mut head = Head::default();
    let text = [&first, &raw[line.len()..]].concat();
    head.parse(&text, &server.scope.request_head.limits).map_err(|_| elsewhere(to))?;
    Ok(head)
}

/// The query behind its `?`, with nothing in it that a target may not hold.
fn query(to: &Destination) -> Vec<u8> {
    let Some(args) = &to.args else { return Vec::new() };
    let mut query = b"?".to_vec();
    for &byte in args {
        match byte.is_ascii_graphic() {
            true => query.push(byte),
            false => query.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    query
}

/// How far a walk came.
enum Walked {
    /// Where content is made.
    Content,
    /// To an answer of the conf's own, or to another path.
    Elsewhere,
    /// Not yet to its end.
    Waits(Wait),
}

impl Run {
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
                Step::Goto(_) | Step::Body(_) | Step::Close => return Ok(Walked::Elsewhere),
            }
        }
    }
}
