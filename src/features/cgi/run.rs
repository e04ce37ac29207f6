//! A script at work for a request: its output is gathered as it comes, its standard error goes to the log line by line,
//! and its time is watched. Entered again at every piece of news; it never waits itself.

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdout, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Around;
use super::answer::{self, Fit};
use super::child::{Child, Started};
use super::conf::Conf;
use super::input::Input;
use super::lines::Lines;
use super::spool::Spool;
use super::stream::Live;
use crate::exchange::Exchange;
use crate::exchange::engine::Sight;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Step, Wait};
use crate::gateway::head::{self, Fault, OutputHead};
use crate::http::escape;
use crate::http::response::Body;

/// Bytes read of one script in one turn.
const TURN: usize = 4 << 20;
/// What one read takes at most.
pub const PIECE: usize = 32 << 10;
/// How long the end of the process may come after the end of its output, and the other way round: what stays open
/// longer is held by something that the script left behind.
const GRACE: Duration = Duration::from_millis(100);
/// A wait without a limit is looked after this often.
const LONG: Duration = Duration::from_secs(3600);

/// Lines of a head that are left out are told so many times.
const MOST_FAULTS: usize = 10;
/// What stands behind the words about a fault that `cgi_strict off` passes over.
const LENIENT: &str = "; with \"cgi_strict off\" this is passed over";

/// A script that was started for a request.
pub struct Running {
    pub(super) child: Child,
    pub(super) output: ChildStdout,
    pub(super) input: Input,
    pub(super) lines: Lines,
    pub(super) held: Spool,
    pub(super) name: String,
    /// Whether the output has ended.
    pub(super) ended: bool,
    /// When the first of the two ends was seen, of the process or of its output.
    pub(super) since: Option<Instant>,
    head: Option<OutputHead>,
    looked: usize,
    /// Whether the answer is sent as it comes.
    streams: bool,
    merges_slashes: bool,
    /// Whether it wrote no head, so that all is the body.
    is_headless: bool,
}

/// How reading ended for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    End,
    Nothing,
    More,
}

impl Running {
    /// Watches over a script that was just started.
    pub fn new(x: &Exchange, conf: &Conf, started: Started, file: &[u8], around: &Around<'_>) -> io::Result<Running> {
        let Started { child, output, errors, copy, input } = started;
        let errors_end = errors.as_ref().map(|errors| errors.as_fd());
        let descriptors = [Some(output.as_fd()), errors_end, child.descriptor(), input.descriptor()];
        descriptors.into_iter().flatten().try_for_each(|descriptor| x.watch(descriptor))?;
        let shown = escape::error_log(file);
        let name = file.rsplit(|&b| b == b'/').next().unwrap_or(file);
        Ok(Running {
            child,
            output,
            input,
            lines: Lines::new(x, &shown, errors, copy),
            held: Spool::new(&x.prefix.join(around.spool.folder)),
            name: shown,
            ended: false,
            since: None,
            head: conf.body_only.then(OutputHead::default),
            looked: 0,
            // RFC 3875 section 5: what such a script writes goes to the client at once.
            streams: !conf.buffering || name.starts_with(b"nph-"),
            merges_slashes: around.merges_slashes,
            is_headless: false,
        })
    }

    /// Goes as far as the script's output allows.
    pub fn advance(mut self, x: &mut Exchange, conf: &Conf) -> Result<Next, HttpError> {
        self.input.write();
        let flow = self.read(x, conf).map_err(|error| self.unreadable(&error))?;
        if flow == Flow::End {
            self.ended = true;
        }
        if self.head.is_none() {
            self.look_for_head(x, conf)?;
        }
        let now = Instant::now();
        let is_full = self.held.is_full();
        let leads_elsewhere = self.head.as_ref().is_some_and(answer::leads_elsewhere);
        // What stands behind a local redirect is for nobody, so there is no use in more of it.
        let is_over = self.is_over(flow, now) || (leads_elsewhere && is_full);
        if !is_over
            && !leads_elsewhere
            && (self.streams || is_full)
            && let Some(head) = self.head.take()
        {
            return Ok(Next::Step(self.stream(x, conf, head)));
        }
        if is_over {
            self.read_lines(x, conf);
            self.lines.close(&conf.errors, &mut |level, _, text| x.report(level, text));
            return self.finish(x, conf).map(Next::Step);
        }
        if self.child.is_late(now) {
            self.lines.close(&conf.errors, &mut |level, _, text| x.report(level, text));
            let text = format!("script \"{}\" took longer than cgi_timeout allows", self.name);
            return Err(HttpError::new(504, "cgi-timeout").log(Level::Error, text));
        }
        if flow == Flow::More {
            x.waker().wake();
        }
        let grace = self.since.map(|since| since + GRACE);
        let next = [grace, self.child.limit()].into_iter().flatten().min().unwrap_or(now + LONG);
        Ok(Next::Wait(Box::new(self), Step::Wait(Wait::News(next))))
    }

    /// Reads what is there, within one turn's share.
    fn read(&mut self, x: &mut Exchange, conf: &Conf) -> io::Result<Flow> {
        self.read_lines(x, conf);
        if self.ended {
            return Ok(Flow::End);
        }
        let mut piece = [0; PIECE];
        let mut total = 0;
        while total < TURN && !self.held.is_full() {
            match self.output.read(&mut piece) {
                Ok(0) => return Ok(Flow::End),
                Ok(n) => {
                    self.child.show(Sight::Writes(&piece[..n]));
                    self.held.put(&piece[..n])?;
                    total += n;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flow::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.head.is_none() && self.held.memory().is_empty() {
                // The head did not fit into memory, so it is too long in any case.
                return Ok(Flow::More);
            }
        }
        Ok(Flow::More)
    }

    fn read_lines(&mut self, x: &mut Exchange, conf: &Conf) {
        let child = &self.child;
        self.lines.read(&conf.errors, &mut |level, line, text| {
            child.show(Sight::Says(line));
            x.report(level, text);
        });
    }

    /// Whether nothing more is to be waited for: both ends were seen, or one of them and a little time.
    fn is_over(&mut self, flow: Flow, now: Instant) -> bool {
        let status = if self.ended { self.child.status_soon() } else { self.child.status() };
        if status.is_none() && !self.ended {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        (self.ended && status.is_some()) || (flow != Flow::More && since + GRACE <= now)
    }

    fn look_for_head(&mut self, x: &Exchange, conf: &Conf) -> Result<(), HttpError> {
        let is_spilled = self.held.memory().is_empty() && self.held.len() > 0;
        let bytes = self.held.memory();
        let len = match if is_spilled { Err(Fault::TooLong) } else { head::end(bytes, self.looked) } {
            Ok(Some(len)) => len,
            Ok(None) => {
                self.looked = bytes.len();
                return Ok(());
            }
            Err(_) if !conf.strict => {
                self.head = Some(self.without_head(x));
                return Ok(());
            }
            Err(fault) => return Err(self.bad_head(&fault)),
        };
        if !conf.strict {
            self.head = Some(self.lenient_head(x, len));
            return Ok(());
        }
        let parsed = head::parse(&bytes[..len]).map_err(|fault| self.bad_head(&fault))?;
        self.held.cut(len);
        self.streams = parsed.accel.buffering.map_or(self.streams, |buffers| !buffers);
        self.head = Some(parsed);
        Ok(())
    }

    /// The head in the first `len` bytes, with a line in the log for each line of it that is left out; if it is none, all that
    /// was written is the body.
    fn lenient_head(&mut self, x: &Exchange, len: usize) -> OutputHead {
        let mut faults = Vec::new();
        let head = head::parse_leniently(&self.held.memory()[..len], &mut |fault| faults.push(fault.words()));
        let Some(head) = head else { return self.without_head(x) };
        for words in faults.iter().take(MOST_FAULTS) {
            x.report(
                Level::Warn,
                format!("script \"{}\" wrote a bad head, and a line is left out: {words}", self.name),
            );
        }
        if let Some(more) = faults.len().checked_sub(MOST_FAULTS).filter(|more| *more > 0) {
            x.report(Level::Warn, format!("script \"{}\" wrote a bad head: {more} more lines are left out", self.name));
        }
        self.held.cut(len);
        self.streams = head.accel.buffering.map_or(self.streams, |buffers| !buffers);
        head
    }

    fn without_head(&mut self, x: &Exchange) -> OutputHead {
        x.report(Level::Warn, format!("script \"{}\" wrote no head: all of its output is the body", self.name));
        self.is_headless = true;
        OutputHead::default()
    }

    /// The script is done: its answer, or why there is none.
    fn finish(mut self, x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
        let status = self.child.status();
        if let Some(signal) = status.and_then(|status| status.signal()) {
            let text = format!("script \"{}\" was ended by signal {}", self.name, signal_name(signal));
            return Err(HttpError::new(502, "cgi-killed").log(Level::Error, text));
        }
        let head = match self.head.take() {
            Some(head) => head,
            None => self.head_without_end(x, conf, status)?,
        };
        if let Some(code) = status.and_then(|status| status.code()).filter(|code| *code != 0) {
            x.report(Level::Warn, format!("script \"{}\" ended with exit code {code}", self.name));
        }
        if answer::leads_elsewhere(&head) {
            return answer::redirect(x, &head, self.merges_slashes);
        }
        head.accel.note(x);
        let mut len = self.held.len();
        match answer::fit(x, &head, len) {
            Fit::Right => {}
            Fit::Short if conf.strict => {
                let named = head.length.unwrap_or_default();
                let text = format!("script \"{}\" named {named} bytes and wrote {len}{LENIENT}", self.name);
                return Err(HttpError::new(502, "cgi-cut-short").log(Level::Error, text));
            }
            Fit::Short => {
                let named = head.length.unwrap_or_default();
                x.report(Level::Warn, format!("script \"{}\" named {named} bytes and wrote {len}", self.name));
            }
            Fit::Long => {
                let named = head.length.unwrap_or(len);
                x.report(Level::Warn, format!("script \"{}\" named {named} bytes and wrote {len}", self.name));
                len = named;
            }
        }
        self.child.let_go();
        Ok(Step::done(answer::document(x, head, self.held.into_body(len), conf.body_only || self.is_headless)))
    }

    /// The output ended before an empty line came.
    fn head_without_end(
        &mut self,
        x: &Exchange,
        conf: &Conf,
        status: Option<ExitStatus>,
    ) -> Result<OutputHead, HttpError> {
        let code = status.and_then(|status| status.code()).map_or(String::new(), |code| format!(" (exit code {code})"));
        let name = &self.name;
        if self.held.len() == 0 {
            let text = format!("script \"{name}\" wrote nothing to its standard output{code}");
            return Err(HttpError::new(502, "cgi-no-output").log(Level::Error, text));
        }
        if !conf.strict {
            let head = self.lenient_head(x, self.held.memory().len());
            if !self.is_headless {
                x.report(
                    Level::Warn,
                    format!("script \"{}\" wrote no empty line behind its fields, and no body", self.name),
                );
            }
            return Ok(head);
        }
        let text = format!(
            "script \"{name}\" ended{code} within its head: an empty line must stand behind the fields{LENIENT}"
        );
        Err(HttpError::new(502, "cgi-no-head-end").log(Level::Error, text))
    }

    /// From here on the answer goes out as it is written.
    fn stream(self, x: &mut Exchange, conf: &Conf, head: OutputHead) -> Step {
        head.accel.note(x);
        let body_only = conf.body_only || self.is_headless;
        let live = Live::new(self, conf.errors.clone(), x);
        let body = Body::stream(Arc::new(Mutex::new(live)));
        Step::done(answer::document(x, head, body, body_only))
    }

    fn bad_head(&self, fault: &Fault) -> HttpError {
        let text = format!("script \"{}\" wrote a bad head: {}{LENIENT}", self.name, fault.words());
        HttpError::new(502, "cgi-bad-head").log(Level::Error, text)
    }

    fn unreadable(&self, error: &io::Error) -> HttpError {
        let words = crate::exchange::error::system_words(error);
        let text = format!("the output of script \"{}\" could not be kept ({words})", self.name);
        HttpError::new(500, "cgi-spool").log(Level::Crit, text)
    }

    /// Whether what the script left behind alone holds its output open.
    pub(super) fn is_left_behind(&mut self, now: Instant) -> bool {
        self.is_over(Flow::Nothing, now)
    }

    /// When it wants to be looked after without news.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let grace = self.since.map(|since| since + GRACE);
        [grace, self.child.limit()].into_iter().flatten().min()
    }
}

/// What comes after a turn.
pub enum Next {
    /// The script is done with, or the answer is on its way.
    Step(Step),
    /// It is waited for.
    Wait(Box<Running>, Step),
}

fn signal_name(number: i32) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => format!("{number} ({signal})"),
        Err(_) => number.to_string(),
    }
}
