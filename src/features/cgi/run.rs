//! A script at work for a request: its output is gathered as it comes, its standard error goes to the log line by line,
//! and its time is watched. Entered again at every piece of news; it never waits itself.

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::process::ChildStdout;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Around;
use super::answer;
use super::child::{Child, Started};
use super::conf::{Buffering, Conf};
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
use crate::http::status;

/// Bytes read of one script in one turn.
pub const TURN: usize = 4 << 20;
/// What one read takes at most.
pub const PIECE: usize = 32 << 10;
/// How long the end of the process may come after the end of its output, and the other way round: what stays open
/// longer is held by something that the script left behind.
const GRACE: Duration = Duration::from_millis(100);
/// Under `cgi_buffering auto`, how long a script writes nothing before what it has written is sent.
const PAUSE: Duration = Duration::from_millis(50);
/// A wait without a limit is looked after this often.
const LONG: Duration = Duration::from_secs(3600);

/// Lines of a head that are left out are told so many times.
const MOST_FAULTS: usize = 10;
/// What stands behind the words about a fault that `cgi_strict off` passes over.
pub(super) const LENIENT: &str = "; with \"cgi_strict off\" this is passed over";

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
    pub(super) head: Option<OutputHead>,
    looked: usize,
    /// When the response is sent.
    buffering: Buffering,
    /// When it wrote last.
    wrote: Option<Instant>,
    /// When it is looked at for a pause next.
    alarm: Option<Instant>,
    pub(super) merges_slashes: bool,
    /// Whether it wrote no head, so that all is the body.
    pub(super) is_headless: bool,
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
            buffering: buffering(conf, file),
            wrote: None,
            alarm: None,
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
        let pause = if flow == Flow::Nothing { self.pause(x) } else { None };
        let is_due = match self.buffering {
            Buffering::Off => true,
            Buffering::Auto => is_full || pause.is_some_and(|at| at <= now || self.is_event_stream()),
            Buffering::On => is_full,
        };
        if !is_over
            && !leads_elsewhere
            && is_due
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
            return Err(self.late());
        }
        if flow == Flow::More {
            x.waker().wake();
        }
        let pause = pause.map(|at| *self.alarm.insert(next_alarm(self.alarm, at, now)));
        let next = [self.deadline(), pause].into_iter().flatten().min().unwrap_or(now + LONG);
        Ok(Next::Wait(Box::new(self), Step::Wait(Wait::News(next))))
    }

    /// When its pause will be long enough for what it has written to be sent. Where the client gets no body there is nothing to send
    /// sooner, and a script that was ended halfway could leave its work undone. One that has ended is not waited for so long.
    fn pause(&self, x: &Exchange) -> Option<Instant> {
        let head = self.head.as_ref().filter(|_| self.buffering == Buffering::Auto && self.since.is_none())?;
        let is_sent = !x.is_head() && !status::is_bodiless(answer::status(head)) && !answer::leads_elsewhere(head);
        self.wrote.filter(|_| is_sent).map(|wrote| wrote + PAUSE)
    }

    /// Whether each piece of the response is an event that somebody waits for.
    fn is_event_stream(&self) -> bool {
        let kind = self.head.as_ref().and_then(|head| head.content_type.as_deref()).unwrap_or_default();
        kind.split(|&b| b == b';').next().unwrap_or_default().trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
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
            let most = self.most();
            match self.output.read(&mut piece[..most]) {
                Ok(0) => return Ok(Flow::End),
                Ok(n) => {
                    self.wrote = Some(Instant::now());
                    self.child.show(Sight::Writes(&piece[..n]));
                    self.held.put(&piece[..n])?;
                    total += n;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flow::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.most() < PIECE {
                // The head is looked for first.
                return Ok(Flow::More);
            }
        }
        Ok(Flow::More)
    }

    /// How many bytes may be read at once. Before the head was found these are no more than still may be a head, and one byte that
    /// shows that it is too long: the head is looked for in memory, and more would push it into the file.
    fn most(&self) -> usize {
        match self.head {
            Some(_) => PIECE,
            None => (head::LONGEST + 1).saturating_sub(self.held.len() as usize).clamp(1, PIECE),
        }
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
        self.obey(&parsed);
        self.head = Some(parsed);
        Ok(())
    }

    /// The head in the first `len` bytes, with a line in the log for each line of it that is left out; if it is none, all that
    /// was written is the body.
    pub(super) fn lenient_head(&mut self, x: &Exchange, len: usize) -> OutputHead {
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
        self.obey(&head);
        head
    }

    /// Does what X-Accel-Buffering says.
    fn obey(&mut self, head: &OutputHead) {
        self.buffering = match head.accel.buffering {
            Some(true) => Buffering::On,
            Some(false) => Buffering::Off,
            None => self.buffering,
        };
    }

    fn without_head(&mut self, x: &Exchange) -> OutputHead {
        x.report(Level::Warn, format!("script \"{}\" wrote no head: all of its output is the body", self.name));
        self.is_headless = true;
        OutputHead::default()
    }

    /// From here on the answer goes out as it is written.
    fn stream(self, x: &mut Exchange, conf: &Conf, head: OutputHead) -> Step {
        head.accel.note(x);
        let body_only = conf.body_only || self.is_headless;
        // A length that may not be kept is not passed on.
        let length = head.length.filter(|_| conf.strict && !status::is_bodiless(answer::status(&head)));
        let gathers = self.buffering != Buffering::Off;
        let live = Live::new(self, conf.errors.clone(), x, length, gathers);
        let body = Body::stream(Arc::new(Mutex::new(live)));
        let mut response = answer::document(x, head, body, body_only);
        response.length = length;
        Step::done(response)
    }

    fn bad_head(&self, fault: &Fault) -> HttpError {
        let text = format!("script \"{}\" wrote a bad head: {}{LENIENT}", self.name, fault.words());
        HttpError::new(502, "cgi-bad-head").log(Level::Error, text)
    }

    pub(super) fn unreadable(&self, error: &io::Error) -> HttpError {
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

/// When to look for a pause that will be long enough at `at`, where an alarm may be set already. One that rings too early costs less than
/// a new one for each byte of a script that writes many small pieces.
fn next_alarm(set: Option<Instant>, at: Instant, now: Instant) -> Instant {
    set.filter(|alarm| *alarm > now && *alarm <= at).unwrap_or(at)
}

/// When the response of the script in this file is sent, as far as its head says nothing about it.
pub fn buffering(conf: &Conf, file: &[u8]) -> Buffering {
    let name = file.rsplit(|&b| b == b'/').next().unwrap_or(file);
    // RFC 3875 section 5: what such a script writes goes to the client at once.
    if name.starts_with(b"nph-") { Buffering::Off } else { conf.buffering }
}

/// What comes after a turn.
pub enum Next {
    /// The script is done with, or the answer is on its way.
    Step(Step),
    /// It is waited for.
    Wait(Box<Running>, Step),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_writes_byte_by_byte_sets_one_alarm_after_another() {
        let begun = Instant::now();
        let (mut alarm, mut alarms) = (None, 0);
        // A byte each millisecond for a second.
        for wrote in (0..1000).map(|n| begun + Duration::from_millis(n)) {
            let next = next_alarm(alarm, wrote + PAUSE, wrote);
            assert!(next > wrote && next <= wrote + PAUSE, "no pause is missed, and none is waited for in vain");
            alarms += usize::from(alarm.replace(next) != Some(next));
        }
        assert_eq!(alarms, 20);
    }
}
