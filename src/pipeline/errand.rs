//! Requests of our own with nobody at the other end: copies for a mirror. A run makes them, and whoever drives it starts them: each goes
//! through the same steps as any request, in a slot and with a deadline of its own, and nothing waits for it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Instant;

use super::subrequest::{ITS_FILTERS, ITS_STEPS};
use super::{Phase, Run, STEPS, first};
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::exchange::{Arrival, Exchange, Origin, Received, Source};
use crate::gateway::relay;
use crate::http::escape;

impl Run {
    /// The errands that were made since this was asked last. They are to be started, each with a waker of its own.
    #[inline(always)]
    pub fn take_errands(&mut self) -> Vec<Run> {
        std::mem::take(&mut self.errands)
    }

    /// Whether its own lines go to the access log: an errand asks for it as a subrequest does.
    pub fn is_logged(&self) -> bool {
        self.x.origin.source == Source::Client || self.scope.access_log.subrequests
    }

    /// The request is over: has the location that `post_action` names hear of it.
    pub fn note_end(&mut self) {
        let Some(target) = self.scope.post_action.target.clone() else { return };
        if self.x.origin.source != Source::Client {
            return;
        }
        if !self.x.may_act() {
            let text = || format!("`{}` would be asked once the response is out", escape::error_log(&target));
            return self.x.tell("post_action", self.scope.places.of("post_action"), text);
        }
        // What of the body was passed on cannot be had again.
        let received = match &self.x.received {
            Received::Coming(_) | Received::Passed => Received::Nothing,
            _ => copy_body(&self.x).unwrap_or_default(),
        };
        let mut run = self.errand(&target, received);
        // Unlike a subrequest it has to pass the rules of its location, as in nginx.
        run.its.0 = !step_named("mirror");
        run.x.args = None;
        let (its, sent) = (&mut run.x.sent, &self.x.sent);
        (its.status, its.bytes, its.body_bytes, its.complete) =
            (sent.status, sent.bytes, sent.body_bytes, sent.complete);
        if let Some(location) = self.server.named.get(&target[..]) {
            run.x.uri = self.x.uri.clone();
            run.enter_location(location);
            run.cursor = first(Phase::Entered);
        }
        self.errands.push(run);
    }

    /// An errand that asks for a path of the conf's on behalf of this request, with its method, fields and query.
    fn errand(&self, uri: &[u8], received: Received) -> Run {
        let x = &self.x;
        let head = x.head.copy(received.size());
        let origin = Origin { source: Source::Errand, ..x.origin.clone() };
        let mut run =
            Run::new(Arrival { client: x.client.clone(), head, origin }, self.settings.clone(), self.server.clone());
        // Unlike a question a copy may have a body.
        run.its = (*ITS_STEPS | step_named("body size"), *ITS_FILTERS);
        run.cursor = first(Phase::ServerRewrite);
        let its = &mut run.x;
        its.now = Instant::now();
        its.course.internal = true;
        its.uri = uri.to_vec();
        its.args = x.args.clone();
        // The path is the conf's own text.
        its.course.ups =
            uri.split(|&byte| byte == b'/').filter(|name| *name == b"..").count().min(u8::MAX.into()) as u8;
        its.user = x.user.clone();
        its.limits = x.limits;
        its.received = received;
        its.outlives_client = true;
        its.copy_values(x);
        // They are one request to whoever reads the logs.
        x.request_id();
        its.share_id(x);
        run
    }
}

/// Sends copies of the request to the locations that `mirror` names.
pub(super) fn mirror(run: &mut Run) -> Result<Step, HttpError> {
    let (conf, spool) = (run.scope.mirror.clone(), run.scope.request_body.spool());
    if !run.x.may_act() {
        for (uri, span) in &conf.uris {
            let with = if conf.body { "with" } else { "without" };
            let text = || format!("`{}` would get a copy, {with} the body", escape::error_log(uri));
            run.x.tell("mirror", Some(*span), text);
        }
        return Ok(Step::Next);
    }
    if conf.body && relay::expects_body(&run.x, &spool) {
        return Ok(Step::Body(spool.sink(&run.x.prefix)));
    }
    for (uri, _) in &conf.uris {
        let received = if conf.body { copy_body(&run.x) } else { Some(Received::Nothing) };
        let Some(received) = received else { break };
        let errand = run.errand(uri, received);
        run.errands.push(errand);
    }
    Ok(Step::Next)
}

/// The bit of the step of this name.
fn step_named(name: &str) -> u64 {
    STEPS.iter().position(|(_, step, ..)| *step == name).map_or(0, |at| 1 << at)
}

/// Another hand on the body; none if it cannot be had, and a line in the log.
fn copy_body(x: &Exchange) -> Option<Received> {
    match &x.received {
        Received::Memory(bytes) => Some(Received::Memory(bytes.clone())),
        // Opened anew: who reads one does not move the other.
        Received::File(file, len) => match File::open(format!("/proc/self/fd/{}", file.as_raw_fd())) {
            Ok(file) => Some(Received::File(file, *len)),
            Err(error) => {
                x.report(Level::Error, format!("a request is not mirrored: its body cannot be opened again ({error})"));
                None
            }
        },
        Received::Nothing => Some(Received::Nothing),
        Received::Coming(_) | Received::Passed => {
            x.report(Level::Warn, "a request is not mirrored: its body was passed on before");
            None
        }
    }
}
