//! CGI (RFC 3875): programs that are run for each request and write the answer. This file is the step: it finds the
//! script, has the body read, waits for a place among the running ones, starts it and gathers what it writes. No
//! worker is ever held by a script.

mod answer;
mod child;
mod conf;
mod copied;
mod end;
mod input;
mod lines;
mod reaper;
mod rows;
mod run;
mod script;
mod setters;
mod spool;
mod strays;
mod stream;

pub use conf::{Buffering, Cap, Conf, Errors, Limits, Mode};
pub use rows::{DIRECTIVES, VARIABLES};

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use child::Child;
use run::{Next, Running};
use script::Script;

use crate::exchange::error::{HttpError, Level};
use crate::exchange::queue::{Entry, Permit, Queue, Ticket, Whose};
use crate::exchange::step::{Sink, Spool, Step, Wait};
use crate::exchange::trace::Act;
use crate::exchange::{Exchange, Received};
use crate::gateway::env::{Request, Variables};
use crate::http::head::BodyLength;

/// What the step must know of the settings of others.
pub struct Around<'a> {
    /// How many scripts run at once where the conf says nothing.
    pub places: usize,
    /// Where a body is kept; its folder is for answers too.
    pub spool: Spool<'a>,
    /// Whether several slashes of a path count as one.
    pub merges_slashes: bool,
}

/// What is kept between two entries.
pub struct State(Stage);

enum Stage {
    /// The body is being read.
    Body,
    /// It waits for a place, at most until then.
    Queued(Script, Ticket, Option<Instant>),
    /// It runs.
    Running(Box<Running>),
}

type Kept = Option<Box<State>>;

/// Bytes of a body that are kept while its script does not read: as much again lies in the pipe.
const AHEAD: usize = 64 << 10;

/// The cap of all locations that name none.
static QUEUE: LazyLock<Arc<Queue>> = LazyLock::new(Arc::default);

/// Answers with what a script writes.
pub fn step(x: &mut Exchange, conf: &Conf, around: &Around<'_>, state: &mut Kept) -> Result<Step, HttpError> {
    if !conf.is_on() {
        return Ok(Step::Next);
    }
    match state.take().map(|state| state.0) {
        Some(Stage::Running(running)) => follow(x, conf, *running, state),
        Some(Stage::Queued(script, ticket, until)) => wait(x, conf, around, (script, ticket, until), state),
        Some(Stage::Body) => begin(x, conf, around, true, state),
        None => begin(x, conf, around, false, state),
    }
}

fn begin(x: &mut Exchange, conf: &Conf, around: &Around<'_>, asked: bool, state: &mut Kept) -> Result<Step, HttpError> {
    let Some(script) = script::find(x, conf)? else { return Ok(Step::Next) };
    if !x.may_act() {
        let variables = environment(x, conf, &script)?;
        x.tell("cgi_buffering", None, || run::buffering(conf, &script.names.file).words().into());
        if let Some(step) = x.withhold(|| would_run(&script, &variables)) {
            return Ok(step);
        }
    }
    if !asked && expects_body(x, conf, around) {
        *state = Some(Box::new(State(Stage::Body)));
        let sink = if conf.request_buffering { around.spool.sink(&x.prefix) } else { Sink::Live { most: AHEAD } };
        return Ok(Step::Body(sink));
    }
    let (queue, running, waiting) = match &conf.cap {
        Some(cap) => (&cap.queue, cap.running, cap.waiting),
        None => (&*QUEUE, around.places, conf::WAITING),
    };
    match queue.enter(running, waiting, Whose::default(), x.waker()) {
        Entry::Now(permit) => start(x, conf, around, (script, permit), state),
        Entry::Later(ticket) => {
            let until = conf.time().map(|time| Instant::now() + time);
            wait(x, conf, around, (script, ticket, until), state)
        }
        Entry::Full => Err(busy(&format!("{running} scripts run and {waiting} requests wait already"))),
    }
}

/// Whether there is a body to read. One that follows an error or a local redirect is not for this script.
fn expects_body(x: &Exchange, conf: &Conf, around: &Around<'_>) -> bool {
    let announced = match x.head.body_length {
        BodyLength::None => false,
        // An empty one is read where every body gets a file.
        BodyLength::Length(0) => around.spool.naming.is_some(),
        _ => true,
    };
    let is_missing = match x.received {
        Received::Nothing => true,
        // Another location wanted it piece by piece and did not come to that.
        Received::Coming(_) => conf.request_buffering,
        _ => false,
    };
    announced && !x.course.as_get && is_missing
}

/// Waits for a place among the running ones.
fn wait(
    x: &mut Exchange,
    conf: &Conf,
    around: &Around<'_>,
    (script, ticket, until): (Script, Ticket, Option<Instant>),
    state: &mut Kept,
) -> Result<Step, HttpError> {
    let ticket = match ticket.redeem() {
        Ok(permit) => return start(x, conf, around, (script, permit), state),
        Err(ticket) => ticket,
    };
    let now = Instant::now();
    if until.is_some_and(|until| until <= now) {
        return Err(busy("no place became free within cgi_timeout"));
    }
    *state = Some(Box::new(State(Stage::Queued(script, ticket, until))));
    Ok(Step::Wait(Wait::News(until.unwrap_or(now + Duration::from_secs(3600)))))
}

fn busy(why: &str) -> HttpError {
    let text = format!("too many scripts: {why} (cgi_max_procs)");
    HttpError::new(503, "cgi-busy").field("Retry-After", "1").log(Level::Error, text)
}

/// What the script is told.
fn environment(x: &Exchange, conf: &Conf, script: &Script) -> Result<Variables, HttpError> {
    let mut variables = Request::of(x).variables(&script.names).map_err(|collision| {
        HttpError::new(400, "colliding-fields")
            .log(Level::Info, format!("client sent colliding fields: {}", collision.0))
    })?;
    variables.set("PATH", script.path.as_slice());
    for (name, value) in &conf.variables {
        variables.set(name.as_ref(), x.eval(value).into_owned());
    }
    Ok(variables)
}

fn would_run(script: &Script, variables: &Variables) -> Act {
    use std::os::unix::ffi::OsStrExt;
    Act::Run {
        command: script.command.iter().map(|word| word.as_bytes().to_vec()).collect(),
        folder: script.folder.clone(),
        variables: variables.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
    }
}

fn start(
    x: &mut Exchange,
    conf: &Conf,
    around: &Around<'_>,
    (script, permit): (Script, Permit),
    state: &mut Kept,
) -> Result<Step, HttpError> {
    let variables = environment(x, conf, &script)?;
    x.unspoiled()?;
    let id = x.request_id();
    let mark = variables.find(b"UNIQUE_ID").filter(|value| *value == id.as_bytes()).map(|_| id.to_string());
    let waker = x.waker();
    let started = Child::start(&script, &variables, conf, &mut x.received, (permit, mark), waker);
    let started = started.map_err(|error| script::diagnose(&script, &error))?;
    let running = Running::new(x, conf, started, &script.names.file, around).map_err(|error| {
        let text =
            format!("the pipes of a script could not be watched ({})", crate::exchange::error::system_words(&error));
        HttpError::new(503, "no-resources").log(Level::Error, text)
    })?;
    follow(x, conf, running, state)
}

fn follow(x: &mut Exchange, conf: &Conf, running: Running, state: &mut Kept) -> Result<Step, HttpError> {
    match running.advance(x, conf)? {
        Next::Step(step) => Ok(step),
        Next::Wait(running, step) => {
            *state = Some(Box::new(State(Stage::Running(running))));
            Ok(step)
        }
    }
}
