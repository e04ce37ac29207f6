//! The life of a request, top to bottom. This file alone knows the order in which features run: the steps that find a response, and the
//! filters that each response passes. A step decides from the exchange and its own feature's settings; one that needs the body or time
//! returns, and `advance` is entered again at it. In `pipeline/` stand the `steps` and `filters` that several features take part in, how a request
//! `moves` on, what becomes of one that is `failing`, `delivery` and logging, who may `drive` a request, the `states` that features keep
//! of it, how it asks another location (`subrequest`), which `errand`s it leads to, how a health `check` goes and is judged, and whether another request would be let in (`probe`).

mod asked;
mod check;
mod delivery;
mod drive;
mod errand;
mod failing;
mod filters;
mod hard;
mod moves;
mod probe;
mod states;
mod steps;
mod subrequest;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::exchange::body_reader::BodyReader;
use crate::exchange::error::HttpError;
use crate::exchange::step::{Step, Wait};
use crate::exchange::wishes;
use crate::exchange::{Arrival, Exchange};
use crate::features::*;
use crate::http::framing;
use crate::http::response::{Body, Response};
use crate::http::status;
use crate::route::{Location, Server};
use crate::settings::{Scope, Settings};
pub use check::Ending;
pub use delivery::{connection_lines, event_line};
pub use drive::*;
use filters::*;
pub use moves::find_server;
use states::States;
use steps::*;
pub use subrequest::Lines;

/// One request on its way through the pipeline.
pub struct Run {
    /// The request.
    pub x: Box<Exchange>,
    /// The settings it began with.
    pub settings: Arc<Settings>,
    /// The server it came to.
    pub server: Arc<Server>,
    /// The location it stands in; none outside any.
    pub location: Option<Arc<Location>>,
    /// The settings in force.
    scope: Arc<Scope>,
    /// The body that has not been read yet.
    pub body: Option<BodyReader>,
    /// Whether a body broke off whose end is not known: the client may still be sending.
    pub has_lost_body: bool,
    /// Interim responses that the client has not heard yet, and what is to be done then.
    ahead: Option<Box<Ahead>>,
    /// How many there were, and their bytes.
    hints: (usize, usize),
    cursor: usize,
    /// The settings under which it was let in already, and how many internal redirects there were then.
    admitted: Option<(Arc<Scope>, u8)>,
    /// A response that waits at a filter.
    held: Option<(Box<Response>, usize)>,
    /// The places that it takes under `limit_conn`, whatever internal redirects follow.
    places: Vec<limit_conn::Place>,
    /// What features keep of it while they wait.
    states: States,
    /// Lines of the subrequests that were answered, for the logs.
    lines: Option<Box<Lines>>,
    /// Requests of our own that it has led to and that are not started yet.
    errands: Vec<Run>,
    /// What it is to find out, if it is a health check.
    check: Option<Box<check::Checking>>,
    /// The steps and filters that are for it at all.
    its: (u64, u64),
    /// The limit on the body in the location that the path led to; none before there is one.
    most: Option<u64>,
    /// What was to make content in one of the `if` blocks that were true in this location.
    handler_of_if: Option<&'static str>,
    /// What long matches of regexes took.
    took: Duration,
    /// A response that waits until then because of them.
    paced: Option<Box<(Box<Response>, Instant)>>,
}

/// What a request goes through on its way to a response, in this order; the names are nginx's where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The head is complete, and its server is known.
    PostRead,
    /// The lines of the server. An internal redirect to a path begins here.
    ServerRewrite,
    /// A location is searched. A path that its location's lines have rewritten begins here.
    FindLocation,
    /// The location was entered. A redirect to a named location begins here.
    Entered,
    /// The session is found and changed, before the location's lines, so that a `return` can show it.
    Session,
    /// The lines of the location.
    Rewrite,
    /// Limits.
    Preaccess,
    /// Who may come in.
    Access,
    /// Which path the content is found by.
    Precontent,
    /// What makes the response.
    Content,
}

type StepFn = fn(&mut Run) -> Result<Step, HttpError>;

/// Whether a step or a filter has anything to do under these settings.
type UseFn = fn(&Scope) -> bool;

/// One step: where it stands in a request's life, its name (no two have the same), which settings it is for, and what it does.
pub type StepRow = (Phase, &'static str, UseFn, StepFn);

use Phase::*;

/// The steps, in the order of a request's life. Everything up to `Content` decides before the first byte of a body is read.
pub const STEPS: &[StepRow] = &[
    (PostRead, "tls", always, |run| ssl::step(&run.x, &run.scope.ssl, run.server.tls.as_ref())),
    (PostRead, "realip", |scope| scope.realip.is_used(), |run| realip::step(&mut run.x, &run.scope.realip)),
    (PostRead, "refused methods", always, |run| methods::refuse(&mut run.x)),
    (ServerRewrite, "server not built", leads_elsewhere, |run| unbuilt::before(&mut run.x, &run.scope.unbuilt)),
    (ServerRewrite, "server rewrite", rewrites, rewrite_in_server),
    (FindLocation, "location", always, find_location),
    (FindLocation, "internal", |scope| scope.internal.only, |run| internal::step(&mut run.x, &run.scope.internal)),
    (FindLocation, "alias", always, |run| root::step(&mut run.x)),
    (FindLocation, "body size", always, bound_body),
    (Entered, "methods", |scope| scope.methods.allowed.is_some(), |run| methods::step(&mut run.x, &run.scope.methods)),
    (Session, "session", |scope| scope.session.zone.is_some(), |run| session::find(&mut run.x, &run.scope.session)),
    // Nothing is done to a session for a client that may not come in, so the guards stand here too where something is.
    (Session, "session realip", session_acts, |run| realip::step(&mut run.x, &run.scope.realip)),
    (Session, "session limit_req", session_acts, |run| {
        limit_req::step(&mut run.x, &run.scope.limit_req, &mut run.states.limit_req)
    }),
    (Session, "session limit_conn", session_acts, |run| {
        limit_conn::step(&mut run.x, &run.scope.limit_conn, &mut run.places)
    }),
    (Session, "session access", session_acts, admit),
    (Session, "session_require", session_acts, |run| session::admit(&mut run.x, &run.scope.session)),
    (Session, "session change", always, |run| session::change(&mut run.x, &run.scope.session)),
    (Rewrite, "rewrite not built", leads_elsewhere, |run| unbuilt::before(&mut run.x, &run.scope.unbuilt)),
    (Rewrite, "rewrite", rewrites, rewrite_in_location),
    (Preaccess, "location realip", |scope| scope.realip.is_used(), |run| realip::step(&mut run.x, &run.scope.realip)),
    (
        Preaccess,
        "limit_req",
        |scope| scope.limit_req.is_used(),
        |run| limit_req::step(&mut run.x, &run.scope.limit_req, &mut run.states.limit_req),
    ),
    (
        Preaccess,
        "limit_conn",
        |scope| scope.limit_conn.is_used(),
        |run| limit_conn::step(&mut run.x, &run.scope.limit_conn, &mut run.places),
    ),
    (Access, "access", is_guarded, admit),
    (
        Precontent,
        "not built",
        |scope| scope.unbuilt.handler.is_some(),
        |run| unbuilt::step(&mut run.x, &run.scope.unbuilt),
    ),
    (Precontent, "rewritten alias", always, |run| root::after_rewrite(&mut run.x)),
    (
        Precontent,
        "try_files",
        |scope| scope.try_files.list.is_some(),
        |run| try_files::step(&mut run.x, &run.scope.try_files),
    ),
    // It may have been let in by now and found its location.
    (Precontent, "mirror", |scope| !scope.mirror.uris.is_empty(), errand::mirror),
    (Content, "if", |scope| scope.rewrite.is_if, miss_handler),
    (Content, "status", |scope| scope.stub_status.on, |run| stub_status::step(&mut run.x, &run.scope.stub_status)),
    (Content, "empty_gif", |scope| scope.empty_gif.on, |run| empty_gif::step(&mut run.x, &run.scope.empty_gif)),
    (Content, "upload", |scope| scope.upload.store.is_some(), store_uploads),
    (Content, "proxy", |scope| scope.proxy.pass.is_some(), pass_on),
    (
        Content,
        "fastcgi",
        |scope| scope.fastcgi.pass.is_some(),
        |run| ask_program(run, |x, scope, around, state| fastcgi::step(x, &scope.fastcgi, around, state)),
    ),
    (
        Content,
        "scgi",
        |scope| scope.scgi.pass.is_some(),
        |run| ask_program(run, |x, scope, around, state| scgi::step(x, &scope.scgi, around, state)),
    ),
    (
        Content,
        "uwsgi",
        |scope| scope.uwsgi.pass.is_some(),
        |run| ask_program(run, |x, scope, around, state| uwsgi::step(x, &scope.uwsgi, around, state)),
    ),
    (Content, "cgi", |scope| scope.cgi.is_on(), run_script),
    (Content, "dav", |scope| scope.dav.methods != 0, change_files),
    (Content, "index", always, |run| index::step(&mut run.x, &run.scope.index)),
    (Content, "autoindex", always, list_folder),
    (Content, "file", always, serve_file),
];

/// The first step of a phase.
const fn first(phase: Phase) -> usize {
    let mut at = 0;
    while (STEPS[at].0 as u8) < phase as u8 {
        at += 1;
    }
    at
}

type FilterFn = fn(&mut Exchange, &Scope, &mut Response) -> Result<Option<Wait>, HttpError>;

/// One filter: its name (no two have the same), which settings it is for, and what it does. It may ask to be called again after a wait.
pub type FilterRow = (&'static str, UseFn, FilterFn);

/// What every response passes on its way out, in this order: a handler's, a page, a redirect.
#[allow(clippy::unit_arg)] // A row is one line: what a filter that never waits returns is made of its nothing.
pub const FILTERS: &[FilterRow] = &[
    // What a program behind us asked for goes along with whatever answers for it.
    ("X-Accel fields", always, |x, _, response| done(wishes::grant(x, response))),
    // The response waits until the store has the session as it says.
    ("session", always, |x, _, response| session::close(x, response)),
    ("error_page", always, |x, _, response| done(error_page::keep_status(x, response))),
    (
        "debug_clients",
        |scope| !scope.error_page.debug.is_empty(),
        |x, scope, response| done(error_page::tell(x, &scope.error_page, response)),
    ),
    ("types", always, |x, scope, response| done(types::filter(x, &scope.types, response))),
    ("conditions", always, |x, scope, response| {
        static_files::not_modified(x, &scope.static_files, response)?;
        x.sent.status = response.status;
        Ok(None)
    }),
    (
        "cookies",
        |scope| scope.cookies.is_used(),
        |x, scope, response| done(cookies::filter(x, &scope.cookies, response)),
    ),
    (
        "added fields",
        |scope| scope.headers.is_used(),
        |x, scope, response| done(headers::filter(x, &scope.headers, response)),
    ),
    ("absolute_redirect", always, |x, scope, response| done(redirect::filter(x, &scope.redirect, response))),
    ("gunzip", |scope| scope.gunzip.is_used(), unpack),
    (
        "sub_filter",
        |scope| scope.sub_filter.is_used(),
        |x, scope, response| done(sub_filter::filter(x, &scope.sub_filter, response)),
    ),
    ("charset", always, |x, scope, response| done(charset::filter(x, &scope.charset, response))),
    ("gzip", |scope| scope.gzip.on, |x, scope, response| done(gzip::filter(x, &scope.gzip, response))),
    ("ranges", always, |x, scope, response| static_files::ranges(x, &scope.static_files, response).and_then(done)),
    ("gzip_vary", |scope| scope.gzip.vary, vary),
];

impl Run {
    /// A request in front of its first step. Inlined, so that so large a value is made where it stays.
    #[inline(always)]
    pub fn new(arrival: Arrival, settings: Arc<Settings>, server: Arc<Server>) -> Self {
        let scope = server.scope.clone();
        let (variables, prefix) = (settings.variables.clone(), settings.prefix.clone());
        let mut x = Box::new(Exchange::new(arrival, scope.place(), scope.clone(), variables, prefix));
        x.server_name = server.name.clone();
        x.blocks.0 = server.span;
        Run {
            x,
            settings,
            server,
            location: None,
            scope,
            body: None,
            has_lost_body: false,
            ahead: None,
            hints: (0, 0),
            cursor: 0,
            admitted: None,
            held: None,
            places: Vec::new(),
            states: States::default(),
            lines: None,
            errands: Vec::new(),
            check: None,
            its: (u64::MAX, u64::MAX),
            most: None,
            handler_of_if: None,
            took: Duration::ZERO,
            paced: None,
        }
    }

    /// Another server than the address's default takes the request.
    pub fn choose(&mut self, server: Arc<Server>) {
        self.x.server_name = server.name.clone();
        self.x.blocks.0 = server.span;
        self.enter(server.scope.clone());
        self.server = server;
    }

    /// Gives back what it takes from other requests, once its response is out.
    pub fn give_back(&mut self) {
        self.places.clear();
    }

    /// The settings in force.
    pub fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// The step that it stands at.
    pub fn at(&self) -> &'static str {
        STEPS.get(self.cursor).map_or("", |(_, name, ..)| name)
    }

    /// Goes on until something is to be done outside. `ahead` is what has come of the body and was not fed yet.
    pub fn advance(&mut self, ahead: &[u8]) -> Outcome {
        self.x.now = Instant::now();
        if let Some(outcome) = self.say_next() {
            return outcome;
        }
        if let Some(paced) = self.paced.take() {
            return self.hold_until(paced.0, paced.1);
        }
        let outcome = self.go_on(ahead);
        let outcome = self.pace(outcome);
        self.say_first(outcome)
    }

    fn go_on(&mut self, ahead: &[u8]) -> Outcome {
        loop {
            let followed = match self.held.take() {
                Some((response, at)) => self.filter_from(at, response).map(Some),
                None => match self.next_step() {
                    Some(step) => match self.run(step) {
                        // Most steps have nothing to say to a request: what they answer is not moved about.
                        Ok(Step::Next) => {
                            self.cursor += 1;
                            continue;
                        }
                        went => went.and_then(|step| self.follow(step, ahead)),
                    },
                    None => Err(HttpError::new(404, "no-handler")),
                },
            };
            match followed {
                Ok(None) => {}
                Ok(Some(outcome)) => return outcome,
                Err(error) => match self.fail(error) {
                    Ok(None) => {}
                    Ok(Some(outcome)) => return outcome,
                    // An error while an error is answered: the built-in page ends it.
                    Err(error) => return self.built_in(error),
                },
            }
        }
    }

    /// The step at which the request stands, or the next one that the settings in force have a use for.
    fn next_step(&mut self) -> Option<StepFn> {
        let ahead = (self.scope.steps.get(|| steps_of(&self.scope)) & self.its.0) >> self.cursor;
        self.cursor = if ahead == 0 { STEPS.len() } else { self.cursor + ahead.trailing_zeros() as usize };
        STEPS.get(self.cursor).map(|(.., step)| *step)
    }

    /// Runs a step. What it could not find out about the request is a failure, whatever it says itself.
    #[inline(always)]
    fn run(&mut self, step: StepFn) -> Result<Step, HttpError> {
        let went = step(self);
        match self.x.unspoiled() {
            Ok(()) => went,
            Err(error) => Err(error),
        }
    }

    fn follow(&mut self, step: Step, ahead: &[u8]) -> Result<Option<Outcome>, HttpError> {
        match step {
            Step::Next => self.cursor += 1,
            Step::Done(response) => {
                self.blame(&response);
                return self.filter(response).map(Some);
            }
            Step::Goto(target) => self.redirect(target, self.at())?,
            Step::Search => self.search()?,
            Step::Body(sink) => return self.want_body(sink, ahead),
            Step::Wait(wait) => return Ok(Some(Outcome::Wait(wait))),
            Step::Close => return Ok(Some(Outcome::Close)),
            Step::Interim(both) => {
                let (interim, step) = *both;
                interim.into_iter().for_each(|one| self.hint(one));
                return self.follow(step?, ahead);
            }
        }
        Ok(None)
    }

    /// From a handler's response to the one that is sent.
    fn filter(&mut self, response: Box<Response>) -> Result<Outcome, HttpError> {
        self.filter_from(0, response)
    }

    /// The same from one of the filters on: one that waited is asked again.
    fn filter_from(&mut self, first: usize, mut response: Box<Response>) -> Result<Outcome, HttpError> {
        let (x, scope) = (&mut self.x, &self.scope);
        let mut ahead = (scope.filters.get(|| filters_of(scope)) & self.its.1) >> first << first;
        while ahead != 0 {
            let at = ahead.trailing_zeros() as usize;
            ahead &= ahead - 1;
            if let Some(wait) = FILTERS[at].2(x, scope, &mut response)? {
                self.held = Some((response, at));
                return Ok(Outcome::Wait(wait));
            }
        }
        if self.x.head.depth() == 0 {
            self.deliver(&mut response);
        }
        let x = &mut self.x;
        // What answers a failure goes out all the same, and without unsafe fields.
        let spoiled = x.unspoiled();
        if x.failure.is_none() {
            spoiled?;
        }
        if x.failure.is_none() && !framing::is_safe(&response) {
            return Err(unsafe_field());
        }
        if x.is_head() {
            response.length = response.length.or(response.body.known_len());
            response.body = Body::empty();
        }
        if status::is_bodiless(response.status) {
            response.body = Body::empty();
        }
        Ok(Outcome::Respond(response))
    }
}

/// The steps that settings have a use for: a bit for each.
fn steps_of(scope: &Scope) -> u64 {
    const { assert!(STEPS.len() < u64::BITS as usize, "the cursor may stand after the last step") };
    STEPS.iter().enumerate().filter(|(_, (.., is_used, _))| is_used(scope)).map(|(at, _)| 1 << at).sum()
}

/// The filters that settings have a use for: a bit for each.
fn filters_of(scope: &Scope) -> u64 {
    const { assert!(FILTERS.len() <= u64::BITS as usize, "each filter has a bit") };
    FILTERS.iter().enumerate().filter(|(_, (_, is_used, _))| is_used(scope)).map(|(at, _)| 1 << at).sum()
}

/// The names of the filters that settings have a use for, in order.
pub fn filters_in_force(scope: &Scope) -> impl Iterator<Item = &'static str> + use<> {
    let bits = filters_of(scope);
    FILTERS.iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1).map(|(_, (name, ..))| *name)
}

#[cfg(test)]
mod tests;
