//! How a request is moved on by whoever holds it: a worker beside its client, `longshore cgi run` and `explain` without one, another request
//! that asks it. All of them follow one protocol: `advance`, do what the outcome says, `advance` again. Bodies come in here alone, whatever
//! they come from, and here their limit is set. A holder that may block has the loop itself, `Drive`. Knows no socket and no step.

use std::collections::VecDeque;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use super::Run;
use crate::exchange::body_file::Name;
use crate::exchange::body_reader::{self, BodyReader, Given};
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Sink, Wait};
use crate::exchange::{Exchange, Received};
use crate::http::escape;
use crate::http::head::Version;
use crate::http::interim::Interim;
use crate::http::response::Response;

/// What has to be done next for a request.
pub enum Outcome {
    /// Send this response. Nothing more comes of the request, but that its body may be fed as long as the response is made of it.
    Respond(Box<Response>),
    /// Send this before the response, where there is a client, then call `advance` again.
    Interim(Box<Interim>),
    /// Give it the body by `feed`, then call `advance` again.
    Body(Feeding),
    /// Wait, then call `advance` again; sooner if there is more of a body that is fed beside.
    Wait(Wait),
    /// Close without a response.
    Close,
}

/// How much of a body is to be fed before the request goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feeding {
    /// All of it.
    Whole,
    /// What is there now. From then on it is fed whenever there is more and room for it, until it ends.
    Beside,
}

/// What the client is to hear first.
#[derive(Default)]
pub(super) struct Ahead {
    interim: VecDeque<Box<Interim>>,
    then: Option<Outcome>,
}

/// How many 103 responses one request gets at most, and how many bytes they have together.
const HINTS: usize = 32;
const HINTS_LEN: usize = 64 << 10;

/// A body that is kept in memory since it came whole with its head has this many bytes at most.
pub const AT_ONCE: usize = 64 << 10;

impl Run {
    /// A step wants the body. None if it may go on at once. `ahead` is what has come of it and was not fed yet.
    pub(super) fn want_body(&mut self, sink: Sink, ahead: &[u8]) -> Result<Option<Outcome>, HttpError> {
        match self.direct(sink, ahead) {
            Ok(None) => Ok(None),
            Ok(Some(feeding)) => Ok(Some(self.ask_for_body(feeding, ahead))),
            Err(error) => Err(self.lose_body(error)),
        }
    }

    /// Directs the body to where a step wants it.
    fn direct(&mut self, sink: Sink, ahead: &[u8]) -> Result<Option<Feeding>, HttpError> {
        let limit = self.body_limit();
        self.body.iter_mut().for_each(|body| body.bound(limit));
        let x = &mut self.x;
        let is_coming = matches!(x.received, Received::Coming(_));
        let is_passed = matches!(x.received, Received::Passed) || self.body.as_ref().is_some_and(BodyReader::passes_on);
        match sink {
            Sink::Live { .. } if is_coming => return Ok(Some(Feeding::Beside)),
            // Somebody took it, and a part of it is gone.
            _ if is_passed && !is_coming => {
                x.received = Received::Passed;
                return Ok(Some(Feeding::Beside));
            }
            _ => {}
        }
        let Some(body) = &mut self.body else { return no_more(x, sink).map(|()| None) };
        match sink {
            // It is all here: nothing has to be passed on piece by piece.
            Sink::Live { most } if body.is_fresh() && body.ends_in(ahead) => {
                body.keep(most.max(AT_ONCE), x.prefix.to_path_buf(), None)?;
            }
            Sink::Live { most } => {
                x.received = Received::Coming(body.pass_on(most));
                return Ok(Some(Feeding::Beside));
            }
            Sink::Spool { memory, folder, naming } => {
                let begun = std::mem::take(&mut x.received);
                body.keep(memory, folder, naming)?;
                // Another step wanted it piece by piece and then took nothing.
                if let Received::Coming(inflow) = begun {
                    body.put_first(&inflow.take(usize::MAX))?;
                }
            }
        }
        Ok(Some(Feeding::Whole))
    }

    /// RFC 9110 section 10.1.1: a client that waits for it is asked to send the body, once somebody wants it.
    fn ask_for_body(&mut self, feeding: Feeding, ahead: &[u8]) -> Outcome {
        let is_fresh = self.body.as_ref().is_some_and(BodyReader::is_fresh);
        if is_fresh && ahead.is_empty() && self.x.head.expects_continue {
            self.x.head.expects_continue = false;
            self.ahead.get_or_insert_default().interim.push_back(Interim::go_ahead());
        }
        Outcome::Body(feeding)
    }

    /// The client is to hear this before whatever comes next, within bounds for one request: what is too much is dropped, since nobody
    /// depends on it.
    pub(super) fn hint(&mut self, interim: Interim) {
        let (number, bytes) = (self.hints.0 + 1, self.hints.1 + interim.size());
        if number <= HINTS && bytes <= HINTS_LEN && self.x.head.version == Version::Http11 {
            self.hints = (number, bytes);
            self.ahead.get_or_insert_default().interim.push_back(Box::new(interim));
        }
    }

    /// The next interim response, or what was to be done after the last one.
    #[inline(always)]
    pub(super) fn say_next(&mut self) -> Option<Outcome> {
        let ahead = self.ahead.as_mut()?;
        match ahead.interim.pop_front() {
            Some(interim) => Some(Outcome::Interim(interim)),
            None => self.ahead.take()?.then,
        }
    }

    /// Interim responses go before an outcome.
    #[inline(always)]
    pub(super) fn say_first(&mut self, outcome: Outcome) -> Outcome {
        let Some(ahead) = &mut self.ahead else { return outcome };
        match ahead.interim.pop_front() {
            Some(interim) => {
                ahead.then = Some(outcome);
                Outcome::Interim(interim)
            }
            None => {
                self.ahead = None;
                outcome
            }
        }
    }

    /// How many bytes of the body may be fed now; none if there is no body, or none is to come.
    pub fn room(&self) -> Option<usize> {
        self.body.as_ref().map(BodyReader::room)
    }

    /// Gives the body what came of it. Whoever feeds it more than there is `room` for fills memory.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Given, HttpError> {
        let Some(body) = &mut self.body else { return Ok(Given { used: 0, is_whole: true }) };
        let taken = body.take(bytes);
        self.x.body_read = body.read();
        let given = taken?;
        if given.is_whole
            && let Some(body) = self.body.take()
        {
            let passes_on = body.passes_on();
            let (received, name) = body.finish();
            if !passes_on {
                hold(&mut self.x, received, name);
            }
        }
        Ok(given)
    }

    /// Answers a request whose body is malformed, too large, or cannot be stored.
    pub fn refuse_body(&mut self, error: HttpError) -> Outcome {
        let error = self.lose_body(error);
        self.refuse(error)
    }

    /// Where the body would end is not known any more, and what worked on it has no more to do.
    fn lose_body(&mut self, mut error: HttpError) -> HttpError {
        error.close = true;
        self.body = None;
        self.has_lost_body = true;
        self.drop_states();
        self.x.received = Received::Passed;
        error
    }

    /// Throws away what has come of a body that nobody reads, within its limit: how much that was. If that is malformed or too large, the
    /// response says so by an error, or at least that the connection closes.
    pub fn discard(&mut self, ahead: &[u8]) -> Result<usize, HttpError> {
        let limit = self.body_limit();
        let Some(body) = self.body.as_mut().filter(|body| !body.is_wanted()) else { return Ok(0) };
        body.bound(limit);
        let error = match body.take(ahead) {
            Ok(given) => {
                if given.is_whole {
                    self.body = None;
                }
                return Ok(given.used);
            }
            Err(error) => error,
        };
        self.body = None;
        self.has_lost_body = true;
        // A failure keeps its own status, as in nginx, but a redirect is none, and whatever `error_page` leads to answers like any
        // other; what comes before any location minds no size.
        let failure = self.x.failure.as_ref();
        let is_known = failure.is_some_and(|failure| failure.cause == error.status);
        let is_led = failure.is_some_and(|failure| failure.is_led) && !is_known;
        let failed = failure.is_some_and(|failure| failure.cause >= 400) && !is_led;
        if !failed && (error.status != 413 || self.minds_body()) {
            if !is_led {
                // Else it keeps in mind that a failure has one page.
                self.x.failure = None;
            }
            return Err(error);
        }
        if !is_known {
            self.x.keep(error.report.map(|report| *report));
        }
        Ok(0)
    }
}

/// What a step gets that asks for a body of which nothing is to come: what came before, or an empty one.
fn no_more(x: &mut Exchange, sink: Sink) -> Result<(), HttpError> {
    match (std::mem::take(&mut x.received), sink) {
        (Received::Coming(inflow), _) => x.received = Received::Memory(inflow.take(usize::MAX).into()),
        (Received::Nothing, Sink::Spool { folder, naming: Some(naming), .. }) if x.may_act() => {
            let (received, name) = body_reader::empty_file(&folder, naming)?;
            hold(x, received, name);
        }
        // Asked for again and again it would never be there.
        (Received::Nothing, _) => x.received = Received::Memory(Vec::new()),
        (before, _) => x.received = before,
    }
    Ok(())
}

/// Leaves a body that is whole with its request.
fn hold(x: &mut Exchange, received: Received, name: Option<Name>) {
    x.received = received;
    if let Some(name) = name {
        let path = escape::error_log(name.path().as_os_str().as_bytes());
        x.report(Level::Notice, format!("a client request body is buffered to a temporary file {path}"));
        x.body_file = Some(Box::new(name));
    }
}

/// A client that left before its body was complete.
pub fn left() -> HttpError {
    HttpError::new(400, "client-left").log(Level::Info, "client prematurely closed connection")
}

/// A request in the hands of somebody who may block, and has all of its body.
pub struct Drive<'b> {
    /// The request.
    pub run: Run,
    body: &'b [u8],
}

/// Waits for news, at most until the moment that is named. False if there is to be no more waiting.
pub type Waiting<'w> = &'w mut dyn FnMut(Instant) -> io::Result<bool>;

/// How a request ended.
pub enum End {
    /// By this response.
    Response(Box<Response>),
    /// Without one.
    Closed,
    /// Not yet: it waits for something that does not come.
    Waits,
}

impl<'b> Drive<'b> {
    /// A request with its body as it would come on a connection.
    pub fn new(mut run: Run, body: &'b [u8]) -> Self {
        run.body = BodyReader::new(run.x.head.body_length).filter(|_| !body.is_empty());
        Drive { run, body }
    }

    /// Drives it to its end; `refused` says why it has no way through the pipeline, if it has none.
    pub fn to_end(&mut self, refused: Option<HttpError>, wait: Waiting<'_>) -> io::Result<End> {
        let mut outcome = match refused {
            Some(error) => self.run.refuse(error),
            None => self.run.advance(self.ahead()),
        };
        loop {
            outcome = match outcome {
                Outcome::Respond(response) => return Ok(End::Response(response)),
                Outcome::Close => return Ok(End::Closed),
                // Nobody hears it.
                Outcome::Interim(_) => self.run.advance(self.ahead()),
                Outcome::Body(feeding) => match self.feed(feeding) {
                    Ok(_) if self.is_cut_short(feeding) => return Ok(self.leave()),
                    Ok(_) => self.run.advance(self.ahead()),
                    Err(error) => self.run.refuse_body(error),
                },
                Outcome::Wait(Wait::Until(until) | Wait::News(until)) => match self.feed(Feeding::Beside) {
                    Ok(false) if self.is_cut_short(Feeding::Beside) => return Ok(self.leave()),
                    Ok(false) if !wait(until)? => return Ok(End::Waits),
                    Ok(_) => self.run.advance(self.ahead()),
                    Err(error) => self.run.refuse_body(error),
                },
            };
        }
    }

    /// Whether more of the body is wanted than there is.
    fn is_cut_short(&self, feeding: Feeding) -> bool {
        let is_wanted = |body: &BodyReader| feeding == Feeding::Whole || body.is_wanted();
        self.body.is_empty() && self.run.body.as_ref().is_some_and(is_wanted)
    }

    /// A client that has sent a part of its body is gone.
    fn leave(&mut self) -> End {
        self.run.give_up(left());
        End::Closed
    }

    /// What may come with the head.
    fn ahead(&self) -> &'b [u8] {
        &self.body[..self.body.len().min(AT_ONCE)]
    }

    /// Feeds it as far as it has room; whether it took any. A response may be made of the body while it goes out.
    pub fn feed(&mut self, feeding: Feeding) -> Result<bool, HttpError> {
        let mut has_fed = false;
        let is_wanted = |run: &Run| feeding == Feeding::Whole || run.body.as_ref().is_some_and(BodyReader::passes_on);
        while is_wanted(&self.run) && !self.body.is_empty() {
            let most = self.run.room().unwrap_or(0).min(self.body.len()).min(AT_ONCE);
            if most == 0 {
                break;
            }
            let fed = self.run.feed(&self.body[..most])?;
            self.body = &self.body[fed.used..];
            has_fed = true;
        }
        Ok(has_fed)
    }
}

#[cfg(test)]
pub(super) mod tests;
