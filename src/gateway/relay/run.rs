//! The relay's course: server after server until one answers, and what the client gets if none does.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::account;
use super::answer::{Rewrite, hint};
use super::conf::{Bind, Cases, Conf, address};
use super::link::Link;
use super::outgoing::Payload;
use super::protocol::{Fault, Head, Protocol};
use super::socket::{Line, Socket};
use super::tls::{Secure, Tls};
use super::trouble::{READING_HEAD, Trouble};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level, system_words};
use crate::exchange::step::{Step, Wait};
use crate::gateway::passing::Passing;
use crate::gateway::upstream::peers::Outcome;
use crate::gateway::upstream::{Choice, Tried, Upstream, Waiting};
use crate::http::interim::Interim;
use crate::http::method::is_idempotent;

/// A request as it is to be sent, whoever gets it.
pub struct Order {
    /// The settings.
    pub conf: Arc<Conf>,
    /// Who may get it.
    pub upstream: Arc<Upstream>,
    /// Tells kept connections apart that cannot stand in for each other: the protocol, a name in TLS.
    pub purpose: Cow<'static, str>,
    /// How connections are made safe; none for bare ones.
    pub secure: Option<Secure>,
    /// Its protocol.
    pub protocol: Box<dyn Protocol>,
    /// The method that the server is told; the client's own counts beside it.
    pub method: Bytes,
    /// Whether it asks for another protocol, which alone can be answered with one.
    pub upgrades: bool,
    /// Its head, coded.
    pub head: Bytes,
    /// What stands behind the server's address in its URL, for log lines.
    pub uri: Bytes,
    /// Its body.
    pub body: Payload,
}

/// What the relay must know of the settings of others.
pub struct Around<'a> {
    /// Whether `error_page` names a status.
    pub catches: &'a dyn Fn(u16) -> bool,
    /// Whether the client hears the server's 103 (Early Hints) answers.
    pub hints: &'a dyn Fn(&Exchange) -> bool,
    /// The folder for temporary files.
    pub folder: &'a Path,
}

/// A request on its way.
pub struct Relay {
    pub(super) order: Order,
    pub(super) tried: Tried,
    begun: Instant,
    pub(super) link: Option<Link>,
    /// While the names of the servers are being looked up.
    waiting: Option<Waiting>,
}

/// A request ends while its relay waits: what has come until now is noted, the program's last words too.
pub fn abandon(x: &mut Exchange, state: &mut Passing) {
    let Some(mut relay) = state.relay.take() else { return };
    let Some(mut link) = relay.link.take() else { return };
    // Whatever it finds, nobody waits for it any more.
    let _ = link.look(&relay.order.conf, relay.order.protocol.as_mut(), x.now);
    relay.remark(x);
    account::record(x, &link);
}

impl Relay {
    /// Begins to relay.
    pub fn new(x: &mut Exchange, mut order: Order) -> Box<Relay> {
        x.attempts.begin((order.protocol.scheme(), std::mem::take(&mut order.uri)));
        x.outlives_client = order.conf.ignore_client_abort;
        let tried = Tried::at_most(order.conf.next_tries as usize);
        Box::new(Relay { order, tried, begun: x.now, link: None, waiting: None })
    }

    /// Goes as far as it goes without waiting. What the server says before its answer is for the client before anything else.
    pub fn advance(
        self: Box<Self>,
        x: &mut Exchange,
        around: &Around<'_>,
        rewrite: Rewrite<'_>,
        state: &mut Passing,
    ) -> Result<Step, HttpError> {
        x.unspoiled()?;
        let mut hints = Vec::new();
        let step = self.go_on(x, around, rewrite, state, &mut hints);
        Step::after(hints, step)
    }

    fn go_on(
        mut self: Box<Self>,
        x: &mut Exchange,
        around: &Around<'_>,
        rewrite: Rewrite<'_>,
        state: &mut Passing,
        hints: &mut Vec<Interim>,
    ) -> Result<Step, HttpError> {
        loop {
            let Some(link) = &mut self.link else {
                if let Some(until) = self.open(x)? {
                    state.relay = Some(self);
                    return Ok(Step::Wait(Wait::News(until)));
                }
                continue;
            };
            let body = self.order.body.source(&x.received);
            let went = link.go(&self.order.conf, self.order.protocol.as_mut(), &body, x.now);
            let came = self.order.protocol.hints();
            // A server that says too much is not listened to.
            if !came.is_empty() && !matches!(went, Err(Trouble::TooBig)) && (around.hints)(x) {
                let (conf, hidden) = (&self.order.conf, self.order.protocol.hidden());
                hints.extend(came.iter().map(|fields| hint(x, conf, hidden, fields, rewrite)));
            }
            let head = match went {
                Ok(Some(head)) => head,
                Ok(None) => {
                    // An hour without news is looked after too.
                    let late = || x.now + std::time::Duration::from_secs(3600);
                    let until = link.deadline(&self.order.conf).unwrap_or_else(late);
                    self.remark(x);
                    state.relay = Some(self);
                    return Ok(Step::Wait(Wait::News(until)));
                }
                Err(trouble) => {
                    self.fail(x, trouble)?;
                    continue;
                }
            };
            if self.is_passed_over(x, &head) {
                continue;
            }
            return self.answer(x, head, around, rewrite);
        }
    }

    /// Chooses a server and begins to speak with it. Until when it waits if no server's name is known yet.
    fn open(&mut self, x: &mut Exchange) -> Result<Option<Instant>, HttpError> {
        let now = x.now;
        let mut choice = self.order.upstream.choose(x, &mut self.tried, now);
        if choice.is_none() {
            let until = self.waiting.as_ref().map(|waiting| waiting.deadline);
            self.waiting = self.order.upstream.wait(x.waker());
            // An answer that came in between wakes nobody.
            choice = self.order.upstream.choose(x, &mut self.tried, now);
            if let (None, Some(waiting)) = (&choice, &mut self.waiting) {
                waiting.deadline = until.unwrap_or(waiting.deadline);
                if now < waiting.deadline {
                    return Ok(Some(waiting.deadline));
                }
            }
        }
        self.waiting = None;
        let Some(choice) = choice else {
            x.attempts.add(self.order.upstream.name.clone(), None);
            account::fail(x, 502);
            return Err(HttpError::new(502, "no-live-upstream")
                .log(Level::Error, "no live upstreams while connecting to upstream"));
        };
        x.attempts.add(choice.shown().clone(), Some(now));
        let kept =
            self.order.upstream.idle.take::<Line>(choice.address(), &self.order.purpose, !self.may_repeat(x), now);
        match kept {
            Some((line, age)) => self.start(x, choice, line, Some(age), now),
            None => match self.connect(x, &choice) {
                Ok(socket) => self.start(x, choice, Box::new(socket.into()), None, now),
                // No other server can be reached from an address that is not ours either.
                Err(error)
                    if error.raw_os_error() == Some(nix::libc::EADDRNOTAVAIL) && self.order.conf.bind.is_some() =>
                {
                    let text = format!("bind() failed (99: {}) while connecting to upstream", system_words(&error));
                    account::fail(x, 500);
                    return Err(HttpError::new(500, "bind-failed").log(Level::Crit, text));
                }
                Err(error) => {
                    let trouble = Trouble::Open(choice.shown().clone(), error);
                    self.give_up(x, trouble, choice, false, Progress::Nothing)?;
                }
            },
        }
        Ok(None)
    }

    fn connect(&self, x: &Exchange, choice: &Choice) -> std::io::Result<Socket> {
        let from = match &self.order.conf.bind {
            None => None,
            Some(Bind::Fixed(address)) => Some(*address),
            Some(Bind::Text(text)) => match x.eval(text).as_ref() {
                b"" => None,
                text => {
                    let found = address(text);
                    if found.is_none() {
                        let text = crate::http::escape::error_log(text);
                        x.report(Level::Error, format!("\"{text}\" is no address to connect from"));
                    }
                    found
                }
            },
        };
        let socket = Socket::open(choice.address(), from, self.order.conf.socket_keepalive)?;
        Ok(match &self.order.secure {
            None => socket,
            Some(secure) => Socket::Tls(Box::new(Tls::new(socket, secure)?)),
        })
    }

    fn start(
        &mut self,
        x: &Exchange,
        choice: Choice,
        line: Box<Line>,
        age: Option<crate::gateway::upstream::idle::Age>,
        now: Instant,
    ) {
        self.order.protocol.restart();
        self.link = Some(Link::new(line, choice, age, self.order.head.clone(), x.waker(), now));
    }

    /// The link failed: on to the next server, or an error for the client.
    fn fail(&mut self, x: &mut Exchange, trouble: Trouble) -> Result<(), HttpError> {
        // It is only called while there is one.
        let Some(link) = self.link.take() else { return Ok(()) };
        self.remark(x);
        account::record(x, &link);
        account::end(x, link.took());
        let sent = if link.out.is_spent { Progress::Spent } else { Progress::Sent };
        let sent = if link.connected.is_some() { sent } else { Progress::Nothing };
        self.give_up(x, trouble, link.choice, link.is_kept, sent)
    }

    fn give_up(
        &mut self,
        x: &mut Exchange,
        trouble: Trouble,
        choice: Choice,
        is_kept: bool,
        sent: Progress,
    ) -> Result<(), HttpError> {
        let (case, status, reason) = sort(&trouble);
        x.report(trouble.level(), trouble.words());
        account::fail(x, status);
        self.leave(x, choice, Outcome::Failed, trouble.stage());
        if is_kept && case == Cases::ERROR {
            // That a kept connection died says nothing about the server.
            self.tried.grant();
        }
        match self.order.upstream.left(&mut self.tried) > 0 && self.may_go_on(x, case, sent) {
            true => Ok(()),
            false => Err(HttpError::new(status, reason)),
        }
    }

    pub(super) fn leave(&mut self, x: &Exchange, choice: Choice, outcome: Outcome, stage: &str) {
        if choice.finish(outcome, &mut self.tried, Instant::now()) {
            x.report(Level::Warn, format!("upstream server temporarily disabled{stage}"));
        }
    }

    /// RFC 9110 section 9.2.2: whether a request that was sent twice means the same as once.
    fn may_repeat(&self, x: &Exchange) -> bool {
        is_idempotent(&self.order.method) && is_idempotent(x.method_text())
    }

    /// Whether the conf lets the request go to another server.
    fn may_go_on(&self, x: &Exchange, case: Cases, sent: Progress) -> bool {
        let conf = &self.order.conf;
        let case = if sent != Progress::Nothing && !self.may_repeat(x) { case.or(Cases::NON_IDEMPOTENT) } else { case };
        let in_time = conf.next_timeout.is_zero() || self.begun.elapsed() < conf.next_timeout;
        conf.next.has(case) && in_time && sent != Progress::Spent
    }

    /// Whether an answer of this status leads on.
    fn is_passed_over(&mut self, x: &mut Exchange, head: &Head) -> bool {
        let Some(case) = Cases::of_status(head.status) else { return false };
        let spent = self.link.as_ref().is_some_and(|link| link.out.is_spent);
        let sent = if spent { Progress::Spent } else { Progress::Sent };
        if self.tried.left() <= 1 || !self.may_go_on(x, case, sent) {
            return false;
        }
        let Some(link) = self.link.take() else { return false };
        self.remark(x);
        account::record(x, &link);
        account::end(x, link.took());
        account::note(x, head.status);
        let outcome = if matches!(head.status, 403 | 404) { Outcome::PassedOver } else { Outcome::Failed };
        self.leave(x, link.choice, outcome, READING_HEAD);
        true
    }

    /// Brings what is to be said beside an answer to the error log. What a program writes there comes when it comes.
    pub(super) fn remark(&mut self, x: &Exchange) {
        for remark in self.order.protocol.remarks() {
            x.report(remark.level, remark.text);
        }
    }
}

/// How much of a request was sent to a server that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing.
    Nothing,
    /// Some, and it can be sent again.
    Sent,
    /// Some that nobody can have again.
    Spent,
}

/// The case of a failure, its status and its reason.
fn sort(trouble: &Trouble) -> (Cases, u16, &'static str) {
    match trouble {
        Trouble::Open(..) | Trouble::Connect(_) => (Cases::ERROR, 502, "upstream-refused"),
        Trouble::ConnectTimeout | Trouble::HandshakeTimeout => (Cases::TIMEOUT, 504, "upstream-connect-timeout"),
        Trouble::Handshake(_) => (Cases::ERROR, 502, "upstream-tls"),
        Trouble::Send(_) => (Cases::ERROR, 502, "upstream-broke-off"),
        Trouble::SendTimeout => (Cases::TIMEOUT, 504, "upstream-send-timeout"),
        Trouble::Receive(_) => (Cases::ERROR, 502, "upstream-broke-off"),
        Trouble::ReadTimeout => (Cases::TIMEOUT, 504, "upstream-timeout"),
        Trouble::TooBig => (Cases::INVALID_HEADER, 502, "upstream-head-too-big"),
        Trouble::Answer(Fault::Closed | Fault::Short(_)) => (Cases::ERROR, 502, "upstream-closed"),
        Trouble::Answer(Fault::Head(_) | Fault::Body(_)) => (Cases::INVALID_HEADER, 502, "upstream-bad-head"),
        // As in nginx, which knows no reason in the end of a request: an answer without its head is a broken one.
        Trouble::Answer(Fault::Refused(_)) => (Cases::INVALID_HEADER, 502, "upstream-refused"),
    }
}
