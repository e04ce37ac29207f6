//! Health checks: requests of our own to one server of an upstream, through the proxy step of the location that asks for them. The response
//! goes to nobody; it is judged, and what is thought of the server changes by it. When they are sent is not decided here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Release};
use std::time::{Duration, Instant};

use super::{Phase, Run, STEPS, first};
use crate::conf::value::Text;
use crate::exchange::engine::Waker;
use crate::exchange::error::Level;
use crate::exchange::{Arrival, Client, Exchange, Origin, Source};
use crate::features::health_check::Answer;
use crate::gateway::upstream::probes::{Change, Needed};
use crate::gateway::upstream::{Target, Upstream};
use crate::http::field_list::FieldList;
use crate::http::head::Head;
use crate::settings::Settings;
use crate::settings::checks::Checked;

/// What a check is about.
pub(super) struct Checking {
    checked: Arc<Checked>,
    /// The upstream whose servers are checked.
    upstream: Arc<Upstream>,
    /// The server among them.
    target: Target,
    /// That server alone.
    pub to: Arc<Upstream>,
    /// Set as long as the check is under way.
    _running: Running,
    /// What went wrong, in the words of the error log.
    trouble: Option<String>,
}

/// Says that a check is under way until it is dropped, however that comes.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}

/// How a check has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The response is there, or as much of it as is looked at.
    Whole,
    /// It broke off.
    Broken,
    /// It was given up.
    Late,
}

impl Run {
    /// A check of one server. `running` was set by the caller, and is unset once the check is gone.
    pub fn of_check(
        (checked, settings): (&Arc<Checked>, &Arc<Settings>),
        (upstream, target, to): (&Arc<Upstream>, Target, &Arc<Upstream>),
        running: Arc<AtomicBool>,
    ) -> Option<Run> {
        let running = Running(running);
        let uri = &checked.check.uri;
        let mut head = Head::default();
        let text = [&b"GET "[..], uri, b" HTTP/1.0\r\n\r\n"].concat();
        head.parse(&text, &checked.server.scope.request_head.limits).ok()?;
        let now = Instant::now();
        let waker = Waker::new(None, 0);
        let origin = Origin { nth: 1, connected: now, started: now, pipelined: false, source: Source::Errand, waker };
        let arrival = Arrival { client: Client::default(), head, origin };
        let mut run = Run::new(arrival, settings.clone(), checked.server.clone());
        let mut parts = uri.splitn(2, |byte| *byte == b'?');
        run.x.uri = parts.next().unwrap_or_default().to_vec();
        run.x.args = parts.next().map(<[u8]>::to_vec);
        run.x.outlives_client = true;
        run.location = Some(checked.location.clone());
        run.x.blocks.1 = Some(checked.location.span);
        run.enter(checked.scope.clone());
        run.cursor = first(Phase::Content);
        let is_its = |(_, name, ..): &super::StepRow| *name == "proxy";
        run.its = (STEPS.iter().position(|row| is_its(row)).map_or(0, |at| 1 << at), 0);
        let (checked, upstream, to) = (checked.clone(), upstream.clone(), to.clone());
        run.check = Some(Box::new(Checking { checked, upstream, target, to, _running: running, trouble: None }));
        Some(run)
    }

    /// Whether it is a health check.
    pub fn is_check(&self) -> bool {
        self.check.is_some()
    }

    /// Whether the check it is looks at the body of the response.
    pub fn judges_body(&self) -> bool {
        let test = self.check.as_ref().and_then(|check| check.checked.check.test.as_ref());
        test.is_some_and(|(_, test)| test.wants_body())
    }

    /// How long it may take in all, if it is a health check: as long as the timeouts of its location together.
    pub fn longest_check(&self) -> Option<Duration> {
        let relay = &self.scope.proxy.relay;
        let longest = relay.connect_timeout.saturating_add(relay.send_timeout).saturating_add(relay.read_timeout);
        self.check.as_ref().map(|_| longest)
    }

    /// Keeps what the check it is has to say, instead of writing it to the log: a server that is down would fill that.
    pub fn keep_reports(&mut self) {
        let Some(check) = &mut self.check else { return };
        let noted = self.x.log.notebook.get().map(|notebook| notebook.take()).unwrap_or_default();
        let mut reports = self.x.log.reports.take();
        reports.extend(noted);
        let worst = reports.into_iter().filter(|report| report.level <= Level::Error).map(|report| report.text).next();
        check.trouble = check.trouble.take().or(worst);
    }

    /// Judges the response to a check that has ended; `body` is what came of the body.
    pub fn judge(&mut self, body: &[u8], ending: Ending) {
        self.keep_reports();
        let Some(mut check) = self.check.take() else { return };
        let verdict = verdict(&self.x, &mut check, body, ending);
        let Checking { checked, upstream, target, .. } = &*check;
        let needed = Needed { fails: checked.check.fails, passes: checked.check.passes };
        let change = upstream.note(target, &checked.key, verdict.is_ok(), needed, Instant::now());
        let (name, address) = (&upstream.name, &target.address);
        let place = checked.scope.places.of("health_check").and_then(|span| self.settings.sources.short_place(span));
        let place = place.map_or(String::new(), |place| format!(" ({place})"));
        match (change, verdict) {
            (Some(Change::Out), Err(why)) => self.x.report(
                Level::Warn,
                format!(
                    "upstream \"{name}\": the server {address} gets no requests: its health check fails{place}: {why}"
                ),
            ),
            (Some(Change::Back), _) => self.x.report(
                Level::Warn,
                format!(
                    "upstream \"{name}\": the server {address} gets requests again: its health check passes{place}"
                ),
            ),
            _ => {}
        }
    }
}

fn verdict(x: &Exchange, check: &mut Checking, body: &[u8], ending: Ending) -> Result<(), String> {
    let none = FieldList::default();
    let answered = x.attempts.fields();
    let status = x.sent.status;
    let test = check.checked.check.test.as_ref().map(|(_, test)| test);
    let is_late = ending == Ending::Late && (answered.is_none() || test.is_some_and(|test| test.wants_body()));
    if answered.is_none() || is_late || ending == Ending::Broken || x.failure.is_some() {
        let words = if is_late { "it took too long" } else { "there is no whole response" };
        return Err(check.trouble.take().unwrap_or_else(|| words.into()));
    }
    let holds = |text: &Text| !matches!(&*x.eval(text), b"" | b"0");
    let answer = Answer { status, fields: answered.unwrap_or(&none), body, holds: &holds };
    match test {
        Some(test) => test.judge(&answer),
        None if (200..400).contains(&status) => Ok(()),
        None => Err(format!("the status is {status}")),
    }
}
