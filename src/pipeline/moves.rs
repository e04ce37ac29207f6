//! Where a request goes on: another search for its location, an internal redirect, the settings it enters, and the server of the host that
//! it names. Knows which phase each begins with, and no step.

use std::sync::Arc;

use bytes::Bytes;

use super::states::States;
use super::{Phase, Run, first};
use crate::conf::source::Span;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Target;
use crate::http::escape;
use crate::route::{Found, Location, Server};
use crate::settings::Scope;
use crate::settings::sockets::Group;

/// nginx's limit on internal redirects.
pub(super) const REDIRECTS: u8 = 10;

impl Run {
    /// One more internal redirect or search for a location; too many are a cycle.
    /// `from` is the line that leads on.
    fn count(&mut self, doing: &str, from: Option<Span>) -> Result<(), HttpError> {
        self.drop_states();
        self.x.course.redirects += 1;
        if self.x.course.redirects <= REDIRECTS {
            return Ok(());
        }
        let uri = escape::error_log(&self.x.uri);
        let text = format!("rewrite or internal redirection cycle while {doing} \"{uri}\"");
        let error = HttpError::new(500, "redirect-cycle").log(Level::Error, text);
        Err(HttpError { place: from.or(self.x.blocks.1), ..error })
    }

    /// After a location's lines have rewritten the path.
    pub(super) fn search(&mut self) -> Result<(), HttpError> {
        self.count("processing", self.x.course.rewriter)?;
        self.leave();
        self.enter(self.server.scope.clone());
        self.cursor = first(Phase::FindLocation);
        Ok(())
    }

    /// `by` is the directive that leads there.
    pub(super) fn redirect(&mut self, target: Target, by: &str) -> Result<(), HttpError> {
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
        let from = self.scope.places.nearest(&[by]);
        self.count("internally redirecting to", from)?;
        self.x.course.internal = !matches!(target, Target::AsAsked { .. });
        match target {
            Target::Uri { path, args } | Target::AsAsked { path, args } => {
                self.x.uri = path;
                self.x.course.ups = std::mem::take(&mut self.x.course.next_ups);
                self.x.args = args;
                self.x.course.rewritten = false;
                self.x.course.asked = None;
                self.leave();
                self.enter(self.server.scope.clone());
                self.cursor = first(Phase::ServerRewrite);
            }
            Target::Named(name) => {
                let Some(location) = self.server.named.get(&name).cloned() else {
                    let name = escape::error_log(&name);
                    let error = HttpError::new(500, "no-named-location")
                        .log(Level::Error, format!("could not find named location \"{name}\""));
                    return Err(HttpError { place: from, ..error });
                };
                self.enter_location(&location);
                self.cursor = first(Phase::Entered);
            }
        }
        Ok(())
    }

    /// What features keep of the request is about the place where it is.
    pub fn drop_states(&mut self) {
        self.states = States::default();
    }

    fn leave(&mut self) {
        self.location = None;
        self.x.blocks.1 = None;
    }

    pub(super) fn enter(&mut self, scope: Arc<Scope>) {
        self.handler_of_if = None;
        put_in_force(&mut self.x, &mut self.scope, scope);
    }

    pub(super) fn enter_location(&mut self, location: &Arc<Location>) {
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
}

/// Puts settings in force: here alone they change, for the steps, for where files are and for variables alike.
pub(super) fn put_in_force(x: &mut Exchange, in_force: &mut Arc<Scope>, scope: Arc<Scope>) {
    x.enter(scope.place(), scope.clone());
    *in_force = scope;
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
