//! The life of a request, top to bottom. This file alone knows the order in which features run; each
//! step decides from the exchange and its own feature's settings. The pipeline is resumable: a step
//! that needs the body or time returns, and `advance` is entered again at the same step. Steps that several
//! features take part in stand in `pipeline/steps.rs`, what becomes of a failure in `pipeline/failing.rs`, and how one request
//! asks whether another would be let in in `pipeline/probe.rs`.

mod failing;
mod probe;
mod steps;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Sink, Step, Target, Wait};
use crate::exchange::wishes;
use crate::exchange::{Arrival, Exchange};
use crate::features::*;
use crate::http::escape;
use crate::http::framing;
use crate::http::response::{Body, Response};
use crate::http::status;
use crate::route::{Found, Location, Server};
use crate::settings::sockets::Group;
use crate::settings::{Scope, Settings};
use steps::*;

/// nginx's limit on internal redirects.
const REDIRECTS: u8 = 10;

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
    pub scope: Arc<Scope>,
    cursor: usize,
    /// The settings under which it was let in already.
    admitted: Option<Arc<Scope>>,
    /// An answer that waits for the store of its session.
    answer: Option<Box<Response>>,
    /// Another request of this client's, while it is asked whether that would be let in.
    probe: Option<Box<Run>>,
}

/// What the engine has to do next.
pub enum Outcome {
    /// Send this answer.
    Respond(Box<Response>),
    /// Read the body into the sink, then call `advance` again.
    NeedBody(Sink),
    /// Wait, then call `advance` again.
    Wait(Wait),
    /// Close without an answer.
    Close,
}

type StepFn = fn(&mut Run) -> Result<Step, HttpError>;

/// Whether a step has anything to do under these settings.
type UseFn = fn(&Scope) -> bool;

/// The steps, in the order of a request's life: its name, which settings it is for, and what it does. Everything up to
/// `content` decides before the first byte of a body is read.
pub const STEPS: &[(&str, UseFn, StepFn)] = &[
    ("tls", always, |run| ssl::step(&run.x, &run.scope.ssl, run.server.tls.as_ref())),
    ("realip", |scope| scope.realip.is_used(), |run| realip::step(&mut run.x, &run.scope.realip)),
    ("refused methods", always, |run| methods::refuse(&mut run.x)),
    ("not built", leads_elsewhere, |run| unbuilt::before(&mut run.x, &run.scope.unbuilt)),
    ("server rewrite", rewrites, rewrite_in_server),
    ("location", always, find_location),
    ("internal", |scope| scope.internal.only, |run| internal::step(&mut run.x, &run.scope.internal)),
    ("alias", always, |run| root::step(&mut run.x)),
    ("body size", always, |run| request_body::step(&mut run.x, &run.scope.request_body)),
    ("methods", |scope| scope.methods.allowed.is_some(), |run| methods::step(&mut run.x, &run.scope.methods)),
    // What is done to a session is done before the location's own lines, so that a `return` can show it; and nothing
    // is done to it for somebody who may not come in.
    ("session", |scope| scope.session.zone.is_some(), |run| session::find(&mut run.x, &run.scope.session)),
    ("realip", session_acts, |run| realip::step(&mut run.x, &run.scope.realip)),
    ("limit_req", session_acts, |run| limit_req::step(&mut run.x, &run.scope.limit_req)),
    ("limit_conn", session_acts, |run| limit_conn::step(&mut run.x, &run.scope.limit_conn)),
    ("access", session_acts, admit),
    ("session_require", session_acts, |run| session::admit(&mut run.x, &run.scope.session)),
    ("session", always, |run| session::change(&mut run.x, &run.scope.session)),
    ("not built", leads_elsewhere, |run| unbuilt::before(&mut run.x, &run.scope.unbuilt)),
    ("rewrite", rewrites, rewrite_in_location),
    ("realip", |scope| scope.realip.is_used(), |run| realip::step(&mut run.x, &run.scope.realip)),
    ("limit_req", |scope| scope.limit_req.is_used(), |run| limit_req::step(&mut run.x, &run.scope.limit_req)),
    ("limit_conn", |scope| scope.limit_conn.is_used(), |run| limit_conn::step(&mut run.x, &run.scope.limit_conn)),
    ("access", is_guarded, admit),
    ("not built", |scope| scope.unbuilt.handler.is_some(), |run| unbuilt::step(&mut run.x, &run.scope.unbuilt)),
    ("alias", always, |run| root::after_rewrite(&mut run.x)),
    ("try_files", |scope| scope.try_files.list.is_some(), |run| try_files::step(&mut run.x, &run.scope.try_files)),
    ("status", |scope| scope.stub_status.on, |run| stub_status::step(&mut run.x, &run.scope.stub_status)),
    ("empty_gif", |scope| scope.empty_gif.on, |run| empty_gif::step(&mut run.x, &run.scope.empty_gif)),
    ("upload", |scope| scope.upload.store.is_some(), store_uploads),
    ("proxy", |scope| scope.proxy.pass.is_some(), pass_on),
    (
        "fastcgi",
        |scope| scope.fastcgi.pass.is_some(),
        |run| ask_program(run, |x, scope, around| fastcgi::step(x, &scope.fastcgi, around)),
    ),
    (
        "scgi",
        |scope| scope.scgi.pass.is_some(),
        |run| ask_program(run, |x, scope, around| scgi::step(x, &scope.scgi, around)),
    ),
    (
        "uwsgi",
        |scope| scope.uwsgi.pass.is_some(),
        |run| ask_program(run, |x, scope, around| uwsgi::step(x, &scope.uwsgi, around)),
    ),
    ("cgi", |scope| scope.cgi.is_on(), run_script),
    ("dav", |scope| scope.dav.methods != 0, change_files),
    ("index", always, |run| index::step(&mut run.x, &run.scope.index)),
    ("autoindex", always, list_folder),
    ("file", always, serve_file),
];

/// Where an internal redirect begins again.
const AT_SERVER: usize = 3;
/// Where a rewritten path's location is searched.
const AT_LOCATION: usize = 5;
/// Where content begins: what stands before it decides who may come in, and where to.
const AT_CONTENT: usize = 26;
/// Where a named location begins: behind the search for one and what belongs to it, as in nginx.
const AT_NAMED: usize = 9;

impl Run {
    /// A request in front of its first step. Inlined, so that so large a value is made where it stays.
    #[inline(always)]
    pub fn new(arrival: Arrival, settings: Arc<Settings>, server: Arc<Server>) -> Self {
        let scope = server.scope.clone();
        let (variables, prefix) = (settings.variables.clone(), settings.prefix.clone());
        let mut x = Box::new(Exchange::new(arrival, scope.place(), scope.clone(), variables, prefix));
        x.server_name = server.name.clone();
        x.blocks.0 = server.span;
        Run { x, settings, server, location: None, scope, cursor: 0, admitted: None, answer: None, probe: None }
    }

    /// Another server than the address's default takes the request.
    pub fn choose(&mut self, server: Arc<Server>) {
        self.x.server_name = server.name.clone();
        self.x.blocks.0 = server.span;
        self.enter(server.scope.clone());
        self.server = server;
    }

    /// The step that it stands at.
    pub fn at(&self) -> &'static str {
        STEPS.get(self.cursor).map_or("", |(name, ..)| name)
    }

    /// Goes on until something is to be done outside.
    pub fn advance(&mut self) -> Outcome {
        self.x.now = Instant::now();
        loop {
            let followed = match self.answer.take() {
                Some(response) => self.settle(response).map(Some),
                None => match self.next_step() {
                    Some(step) => match self.run(step) {
                        // Most steps have nothing to say to a request: what they answer is not moved about.
                        Ok(Step::Next) => {
                            self.cursor += 1;
                            continue;
                        }
                        went => went.and_then(|step| self.follow(step)),
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
        let ahead = self.scope.steps.get(|| steps_of(&self.scope)) >> self.cursor;
        self.cursor = if ahead == 0 { STEPS.len() } else { self.cursor + ahead.trailing_zeros() as usize };
        STEPS.get(self.cursor).map(|(_, _, step)| *step)
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

    fn follow(&mut self, step: Step) -> Result<Option<Outcome>, HttpError> {
        match step {
            Step::Next => self.cursor += 1,
            Step::Done(response) => {
                self.blame(&response);
                return self.filter(response).map(Some);
            }
            Step::Goto(target) => self.redirect(target)?,
            Step::Search => self.search()?,
            Step::Body(sink) => return Ok(Some(Outcome::NeedBody(sink))),
            Step::Wait(wait) => return Ok(Some(Outcome::Wait(wait))),
            Step::Close => return Ok(Some(Outcome::Close)),
        }
        Ok(None)
    }

    /// One more internal redirect or search for a location; too many are a cycle.
    fn count(&mut self, doing: &str) -> Result<(), HttpError> {
        self.x.redirects += 1;
        if self.x.redirects <= REDIRECTS {
            return Ok(());
        }
        let uri = escape::error_log(&self.x.uri);
        let text = format!("rewrite or internal redirection cycle while {doing} \"{uri}\"");
        Err(HttpError::new(500, "redirect-cycle").log(Level::Error, text))
    }

    /// After a location's lines have rewritten the path.
    fn search(&mut self) -> Result<(), HttpError> {
        self.count("processing")?;
        self.leave();
        self.enter(self.server.scope.clone());
        self.cursor = AT_LOCATION;
        Ok(())
    }

    fn redirect(&mut self, target: Target) -> Result<(), HttpError> {
        self.x.tell("redirect", None, || {
            let goes_on = |path: &[u8], args: &Option<Vec<u8>>, how| {
                let query = args.as_ref().map_or(String::new(), |args| format!("?{}", escape::error_log(args)));
                format!("goes on as `{}{query}`, {how}", escape::error_log(path))
            };
            match &target {
                Target::Uri { path, args } => goes_on(path, args, "from inside"),
                Target::AsAsked { path, args } => goes_on(path, args, "as if the client had asked for it"),
                Target::Named(name) => format!("goes on in the location `{}`", escape::error_log(name)),
            }
        });
        self.count("internally redirecting to")?;
        self.x.internal = !matches!(target, Target::AsAsked { .. });
        match target {
            Target::Uri { path, args } | Target::AsAsked { path, args } => {
                self.x.uri = path;
                self.x.args = args;
                self.x.rewritten = false;
                self.x.asked = None;
                self.leave();
                self.enter(self.server.scope.clone());
                self.cursor = AT_SERVER;
            }
            Target::Named(name) => {
                let Some(location) = self.server.named.get(&name).cloned() else {
                    let name = escape::error_log(&name);
                    return Err(HttpError::new(500, "no-named-location")
                        .log(Level::Error, format!("could not find named location \"{name}\"")));
                };
                self.enter_location(&location);
                self.cursor = AT_NAMED;
            }
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.location = None;
        self.x.blocks.1 = None;
    }

    fn enter(&mut self, scope: Arc<Scope>) {
        // That of a location before an internal redirect.
        self.x.gate = None;
        self.x.place = scope.place();
        self.x.scope = scope.clone();
        self.scope = scope;
    }

    fn enter_location(&mut self, location: &Arc<Location>) {
        self.location = Some(location.clone());
        self.x.blocks.1 = Some(location.span);
        let excepted = location.limit_except.as_ref().filter(|(methods, _)| methods & self.x.method().bit() == 0);
        if excepted.is_some() {
            self.x.tell("limit_except", Some(location.span), || {
                "the method is none that `limit_except` names: the settings inside it are in force".into()
            });
        }
        self.enter(excepted.map_or(&location.scope, |(_, scope)| scope).clone());
    }

    /// From a handler's answer to the one that is sent.
    fn filter(&mut self, mut response: Box<Response>) -> Result<Outcome, HttpError> {
        wishes::grant(&self.x, &mut response);
        self.settle(response)
    }

    /// The same once the session is as the answer says; until then the answer waits.
    fn settle(&mut self, mut response: Box<Response>) -> Result<Outcome, HttpError> {
        let (x, scope) = (&mut self.x, &self.scope);
        if let Some(wait) = session::close(x, &mut response)? {
            self.answer = Some(response);
            return Ok(Outcome::Wait(wait));
        }
        error_page::keep_status(x, &mut response);
        error_page::tell(x, &scope.error_page, &mut response);
        types::filter(x, &scope.types, &mut response);
        static_files::not_modified(x, &scope.static_files, &mut response)?;
        x.sent.status = response.status;
        cookies::filter(x, &scope.cookies, &mut response);
        headers::filter(x, &scope.headers, &mut response);
        redirect::filter(x, &scope.redirect, &mut response);
        gunzip::filter(x, &scope.gunzip, &mut response, |x, response| {
            gzip::accepts(x) && gzip::is_allowed(x, &scope.gzip, response)
        });
        sub_filter::filter(x, &scope.sub_filter, &mut response);
        charset::filter(x, &scope.charset, &mut response);
        gzip::filter(x, &scope.gzip, &mut response);
        static_files::ranges(x, &scope.static_files, &mut response)?;
        if response.varies && scope.gzip.vary {
            response.push("Vary", "Accept-Encoding");
        }
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
    const { assert!(STEPS.len() < u64::BITS as usize, "the cursor may stand behind the last step") };
    STEPS.iter().enumerate().filter(|(_, (_, is_used, _))| is_used(scope)).map(|(at, _)| 1 << at).sum()
}

/// A value that would break the head: a line end from a decoded path, say.
fn unsafe_field() -> HttpError {
    let text = "a line break or a zero byte stands in a response field's value";
    HttpError::new(500, "unsafe-field").log(Level::Error, text)
}

/// The server of a group for the host that a request names; what a regex name captured goes to the exchange.
pub fn find_server(group: &Group, x: &Exchange) -> Result<Arc<Server>, HttpError> {
    let host = x.head.host().unwrap_or_default();
    let found = group.hosts.find(host);
    let found = found.map_err(|why| HttpError::regex(why, "a regex of server_name", "this host"))?;
    let Some(Found { server, regex }) = found else { return Ok(group.default.clone()) };
    if let Some((groups, names)) = regex {
        x.capture(&Bytes::copy_from_slice(host), &groups, names);
    }
    Ok(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_requests_begin_again() {
        assert_eq!((STEPS[AT_SERVER - 1].0, STEPS[AT_NAMED - 1].0), ("refused methods", "body size"));
        assert_eq!(STEPS[AT_LOCATION].0, "location");
        assert_eq!((STEPS[AT_CONTENT - 1].0, STEPS[AT_CONTENT].0), ("try_files", "status"));
    }
}
