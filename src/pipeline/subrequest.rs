//! A request of our own that a step asks another location, on behalf of a client's: a run inside a run, which waits on its parent's token
//! and is driven by the step that asks. It knows its client and shares the variables of its parent. Its response is for the step
//! alone; what is left of the body is read away, so that the connection that brought it can be kept.

use std::io::ErrorKind;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{FILTERS, Outcome, Phase, Run, STEPS, first};
use crate::exchange::error::{HttpError, Level, Report};
use crate::exchange::logging::Buffering;
use crate::exchange::step::Wait;
use crate::exchange::subrequest::{DEEPEST, Reply};
use crate::exchange::trace::Trace;
use crate::exchange::{Arrival, Exchange, Origin, Source};
use crate::features::limit_conn;
use crate::gateway::relay;
use crate::http::escape;
use crate::http::response::{Chunk, Response, Stream};
use crate::route::Server;
use crate::settings::Settings;

/// Bytes of a body that are read away; the connection of a longer one is closed.
const LONGEST: usize = 64 << 10;
/// How long a body may take to come that nobody waits for.
const PATIENCE: Duration = Duration::from_millis(100);

/// A subrequest that a step waits for.
pub(super) struct Subrequest {
    run: Run,
    state: State,
    /// Whether its parent goes on without a client anyway.
    outlives_client: bool,
}

enum State {
    /// It goes through the pipeline.
    Runs,
    /// It was answered, and the rest of the body is read away.
    Ends(Rest),
}

/// What is left of a body.
struct Rest {
    stream: Arc<Mutex<dyn Stream>>,
    left: usize,
    until: Instant,
}

/// How far a question came.
pub(super) enum Answer {
    /// It is to be asked again after this.
    Waits(Wait),
    /// This is the answer.
    Is(Reply),
    /// Nothing may be done for it: what would be.
    Withheld(Box<Exchange>),
}

/// Lines of subrequests for the logs, which the engine writes with those of their parent.
#[derive(Default)]
pub struct Lines {
    /// For error logs: the number of the log, and the line with its end.
    pub errors: Vec<(usize, Vec<u8>)>,
    /// For access logs: the number, how lines may be collected, and the line with its end.
    pub accesses: Vec<(usize, Option<Buffering>, Vec<u8>)>,
}

/// The steps that a subrequest goes through. As in nginx, rules of access hold for the client's request alone; its limits hold for
/// both, once. What is about a body, or about the connection, is no affair of a subrequest.
pub(super) static ITS_STEPS: LazyLock<u64> = LazyLock::new(|| {
    let skipped = ["body size", "methods", "session change", "session_require", "location realip", "mirror"];
    let is_its = |phase: Phase, name: &str| match phase {
        Phase::PostRead | Phase::Access => false,
        Phase::Session => name == "session",
        _ => !skipped.contains(&name),
    };
    STEPS.iter().enumerate().filter(|(_, (phase, name, ..))| is_its(*phase, name)).map(|(at, _)| 1 << at).sum()
});

/// The filters that its response passes.
pub(super) static ITS_FILTERS: LazyLock<u64> = LazyLock::new(|| {
    FILTERS
        .iter()
        .enumerate()
        .filter(|(_, (name, ..))| ["error_page", "types"].contains(name))
        .map(|(at, _)| 1 << at)
        .sum()
});

/// What a run lends to the subrequests that one of its steps asks.
pub(super) struct Home<'r> {
    /// Its place for one that waits.
    pub kept: &'r mut Option<Box<Subrequest>>,
    /// Their lines for the logs.
    pub lines: &'r mut Option<Box<Lines>>,
    /// The places that it takes under `limit_conn`.
    pub places: &'r mut Vec<limit_conn::Place>,
    /// What long matches of regexes took.
    pub took: &'r mut Duration,
    /// Its settings.
    pub settings: &'r Arc<Settings>,
    /// Its server.
    pub server: &'r Arc<Server>,
}

/// Asks for a path of the conf's, or goes on with what was asked before.
pub(super) fn ask(home: &mut Home<'_>, x: &mut Exchange, uri: &[u8]) -> Result<Answer, HttpError> {
    let mut asking = match home.kept.take() {
        Some(asking) => asking,
        None => begin(x, home.settings, home.server, uri)?,
    };
    lend(x, &mut asking.run.x);
    let went = asking.go_on();
    lend(x, &mut asking.run.x);
    asking.run.tell_parent(x, home.lines);
    *home.took += std::mem::take(&mut asking.run.took);
    // `proxy_ignore_client_abort` of the asked location counts as long as it is asked.
    x.outlives_client = asking.outlives_client || went.is_some() && asking.run.x.outlives_client;
    if let Some(wait) = went {
        *home.kept = Some(asking);
        return Ok(Answer::Waits(wait));
    }
    asking.run.x.attempts.settle();
    lend(x, &mut asking.run.x);
    if asking.run.scope.access_log.subrequests && x.may_act() {
        let lines = home.lines.get_or_insert_default();
        asking.run.access_lines(&mut |log, how, line| lines.accesses.push((log, how, line.to_vec())));
    }
    Ok(asking.end(x, home.places))
}

/// What parent and subrequest have in common is with the one that is at work: values of variables, and what the limits decided.
fn lend(x: &mut Exchange, other: &mut Exchange) {
    x.swap_values(other);
    std::mem::swap(&mut x.limits, &mut other.limits);
}

fn begin(
    x: &Exchange,
    settings: &Arc<Settings>,
    server: &Arc<Server>,
    uri: &[u8],
) -> Result<Box<Subrequest>, HttpError> {
    if x.head.depth() >= DEEPEST {
        let text = format!("subrequests cycle while processing \"{}\"", escape::error_log(uri));
        return Err(HttpError::new(500, "subrequest-cycle").log(Level::Error, text));
    }
    let origin = Origin { source: Source::Subrequest, ..x.origin.clone() };
    let arrival = Arrival { client: x.client.clone(), head: x.head.question(), origin };
    // Made where it stays: it is large, and moves cost.
    let run = Run::new(arrival, settings.clone(), server.clone());
    let mut asking = Box::new(Subrequest { run, state: State::Runs, outlives_client: x.outlives_client });
    let run = &mut asking.run;
    run.its = (*ITS_STEPS, *ITS_FILTERS);
    run.cursor = first(Phase::ServerRewrite);
    let its = &mut run.x;
    its.now = x.now;
    its.course.internal = true;
    its.uri = uri.to_vec();
    // The path is the conf's own text.
    its.course.ups = uri.split(|&byte| byte == b'/').filter(|name| *name == b"..").count().min(u8::MAX.into()) as u8;
    its.user = x.user.clone();
    its.share_id(x);
    // Where only the verdict of the guards counts they ask what they need for it.
    if !x.may_act() && !x.may_ask() {
        its.trace = Some(Box::new(Trace::default()));
    }
    Ok(asking)
}

impl Subrequest {
    /// Goes on to the end, or to a wait.
    fn go_on(&mut self) -> Option<Wait> {
        loop {
            match &mut self.state {
                State::Runs => match self.run.step_on() {
                    Outcome::Wait(wait) => return Some(wait),
                    // It has no body, and nobody hears what comes before its response.
                    Outcome::Body(_) | Outcome::Interim(_) => continue,
                    Outcome::Respond(response) => match self.answered(*response) {
                        Some(rest) => self.state = State::Ends(rest),
                        None => return None,
                    },
                    Outcome::Close => {
                        let sent = &mut self.run.x.sent;
                        sent.status = if sent.status == 0 { 444 } else { sent.status };
                        return None;
                    }
                },
                State::Ends(rest) => return rest.read_away(),
            }
        }
    }

    /// Notes what the response says; what is left of its body comes back where more of it comes.
    fn answered(&mut self, mut response: Response) -> Option<Rest> {
        self.run.x.sent.status = response.status;
        // Few confs ask for any, and a refusal may say how to log in.
        if self.run.settings.keeps_sent_fields || response.status == 401 {
            self.run.x.sent.fields = response.fields_so_far();
            if let Some(length) = response.length.or(response.body.known_len()) {
                let field = (Bytes::from_static(b"Content-Length"), length.to_string().into());
                self.run.x.sent.fields.push(field);
            }
        }
        let stream = response.body.chunks.iter_mut().find_map(|chunk| match chunk {
            Chunk::Stream(stream) => Some(stream.clone()),
            _ => None,
        })?;
        Some(Rest { stream, left: LONGEST, until: Instant::now() + PATIENCE })
    }

    fn end(mut self: Box<Self>, x: &mut Exchange, places: &mut Vec<limit_conn::Place>) -> Answer {
        let run = &mut self.run;
        lend(x, &mut run.x);
        places.append(&mut run.places);
        x.share_id(&run.x);
        let its = self.run.x;
        if its.trace.as_ref().is_some_and(|trace| trace.act.borrow().is_some()) {
            return Answer::Withheld(its);
        }
        Answer::Is(Reply { status: its.sent.status, x: its })
    }
}

impl Rest {
    /// Reads what there is; a wait where more is to come.
    fn read_away(&mut self) -> Option<Wait> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match stream.next() {
                Ok(piece) if piece.is_empty() || piece.len() >= self.left => return None,
                Ok(piece) => self.left -= piece.len(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < self.until => {
                    let until = stream.deadline().map_or(self.until, |deadline| deadline.min(self.until));
                    return Some(Wait::News(until));
                }
                Err(_) => return None,
            }
        }
    }
}

impl Run {
    /// Goes on until something is to be done outside, for one that is driven by another.
    fn step_on(&mut self) -> Outcome {
        self.x.now = Instant::now();
        self.go_on(&[])
    }

    /// Gives up a subrequest that nobody waits for any more. The innermost says the last line of the log, which names what was waited for.
    pub(super) fn forget_subrequest(&mut self, last: Option<Report>) {
        if let Some(mut asking) = self.states.subrequest.take() {
            relay::abandon(&mut asking.run.x, &mut asking.run.states.gateway);
            match asking.run.states.subrequest {
                Some(_) => asking.run.forget_subrequest(last),
                None => asking.run.x.keep(last),
            }
            asking.run.tell_parent(&mut self.x, &mut self.lines);
        }
    }

    /// Hands on what is to be told: to whoever looks on, or for the logs.
    fn tell_parent(&mut self, parent: &mut Exchange, lines: &mut Option<Box<Lines>>) {
        if let Some(trace) = &mut self.x.trace {
            parent.log.reports.get_mut().append(self.x.log.reports.get_mut());
            if let Some(told) = &parent.trace {
                told.remarks.borrow_mut().append(trace.remarks.get_mut());
            }
            return;
        }
        let mut its = self.take_lines();
        if !(its.errors.is_empty() && its.accesses.is_empty()) {
            let lines = lines.get_or_insert_default();
            lines.errors.append(&mut its.errors);
            lines.accesses.append(&mut its.accesses);
        }
    }

    /// Whether there may be lines for the logs now.
    pub fn has_lines(&mut self) -> bool {
        !self.x.log.reports.get_mut().is_empty()
            || self.x.log.notebook.get().is_some()
            || self.lines.is_some()
            || self.states.subrequest.is_some()
    }

    /// The lines that are to be written to the logs now, but for this request's own in the access log.
    pub fn take_lines(&mut self) -> Lines {
        let mut lines = self.lines.take().map_or_else(Lines::default, |lines| *lines);
        if let Some(asking) = &mut self.states.subrequest {
            let mut its = asking.run.take_lines();
            lines.errors.append(&mut its.errors);
            lines.accesses.append(&mut its.accesses);
        }
        if let Some(notebook) = self.x.log.notebook.get() {
            notebook.take().into_iter().for_each(|report| self.x.keep(Some(report)));
            self.report_broken();
        }
        for report in self.x.log.reports.take() {
            self.error_lines(&report, &mut |log, line| lines.errors.push((log, line.to_vec())));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::drive::tests::run;
    use super::*;
    use crate::conf::value::VarId;
    use crate::settings::load::{Request, load};

    #[test]
    fn steps_and_filters_of_a_subrequest() {
        let names: Vec<_> = STEPS
            .iter()
            .enumerate()
            .filter(|(at, _)| *ITS_STEPS >> at & 1 == 1)
            .map(|(_, (_, name, ..))| *name)
            .collect();
        for name in
            ["server rewrite", "location", "internal", "session", "rewrite", "limit_req", "try_files", "proxy", "file"]
        {
            assert!(names.contains(&name), "{name}");
        }
        for name in ["tls", "realip", "body size", "methods", "session access", "access", "location realip"] {
            assert!(STEPS.iter().any(|(_, step, ..)| *step == name) && !names.contains(&name), "{name}");
        }
        assert_eq!(ITS_FILTERS.count_ones(), 2);
    }

    /// Asks for a path from inside of this request, and from inside of that one, so many deep.
    fn ask_within(run: &mut Run, uri: &[u8], deep: u8) -> Result<u16, HttpError> {
        let Run { x, states, places, lines, took, settings, server, .. } = run;
        let mut home = Home { kept: &mut states.subrequest, lines, places, took, settings, server };
        if deep > 1 {
            let mut inner = begin(x, settings, server, uri)?;
            return ask_within(&mut inner.run, uri, deep - 1);
        }
        match ask(&mut home, x, uri)? {
            Answer::Is(reply) => Ok(reply.status),
            Answer::Waits(_) | Answer::Withheld(_) => panic!("it is answered at once"),
        }
    }

    #[test]
    fn requests_ask_inside_each_other_eight_deep() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.conf");
        let conf =
            "events {} http { server { listen 127.0.0.1:1; set $n outer; location /a { set $n asked; return 204; } } }";
        std::fs::write(&file, conf).unwrap();
        let request = Request { file, prefix: folder.path().to_path_buf(), ..Request::default() };
        let settings = Arc::new(load(&request).settings.unwrap());
        for (deep, wanted) in [(1, Ok(204)), (DEEPEST, Ok(204)), (DEEPEST + 1, Err("subrequest-cycle"))] {
            let mut run = run(&settings, "POST / HTTP/1.1");
            assert_eq!(ask_within(&mut run, b"/a", deep).map_err(|error| error.reason), wanted, "{deep}");
        }
        let mut run = run(&settings, "POST / HTTP/1.1");
        ask_within(&mut run, b"/a", 1).unwrap();
        let known = settings.variables.entries.iter().position(|(name, _)| name == "n").unwrap();
        let value = run.x.variable(VarId(known as u32));
        assert_eq!(value.as_deref(), Some(&b"asked"[..]), "its variables are its parent's");
        assert_eq!((run.x.uri.as_slice(), run.x.method_text()), (&b"/"[..], &b"POST"[..]));
    }
}
