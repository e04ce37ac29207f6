//! The end of the relay's course: a head that is not passed over becomes the client's response, with its body or the stream
//! that the rest of it comes by.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::account;
use super::answer::{self, Rewrite};
use super::flow::{Flow, Missing};
use super::link::Link;
use super::protocol::{Fault, Head, Part};
use super::run::{Around, Order, Relay};
use super::switched::Switched;
use super::trouble::READING_HEAD;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::gateway::upstream::Tried;
use crate::gateway::upstream::peers::Outcome;
use crate::http::response::{Body, Chunk, Response, Switch};

impl Relay {
    /// The answer goes to the client.
    pub(super) fn answer(
        mut self: Box<Self>,
        x: &mut Exchange,
        mut head: Head,
        around: &Around<'_>,
        rewrite: Rewrite<'_>,
    ) -> Result<Step, HttpError> {
        let Some(link) = self.link.take() else { return Err(HttpError::new(500, "no-link")) };
        self.remark(x);
        account::record(x, &link);
        account::note(x, head.status);
        if let Some(last) = x.attempts.last() {
            last.header_time = Some(link.took());
        }
        x.attempts.answered(std::mem::take(&mut head.fields));
        if self.order.conf.intercept_errors && head.status >= 300 && (around.catches)(head.status) {
            account::end(x, link.took());
            self.leave(x, link.choice, Outcome::Answered, READING_HEAD);
            return Err(answer::intercepted(x, head.status));
        }
        let made = answer::make(x, &self.order.conf, self.order.protocol.hidden(), head, rewrite)?;
        let (mut response, buffering) = match made {
            answer::Made::Elsewhere(step) => {
                account::end(x, link.took());
                return Ok(*step);
            }
            answer::Made::Here(response, buffering) => (response, buffering),
        };
        if response.status == 101 {
            // RFC 9110 section 15.2.2: only who asked for another protocol can get one.
            if !self.order.upgrades || !x.head.fields().any(|(name, _)| name.eq_ignore_ascii_case(b"upgrade")) {
                return Err(HttpError::new(502, "upstream-switched").log(
                    Level::Error,
                    "upstream switched protocols unasked while reading response header from upstream",
                ));
            }
            let switched = Switched::new(link, self.order.conf, x.attempts.share());
            if let Some(foreign) = &mut response.foreign {
                foreign.switch = Some(Switch(Arc::new(Mutex::new(switched))));
            }
            return Ok(Step::Done(response));
        }
        self.fill(x, link, &mut response, buffering, around.folder)?;
        Ok(Step::Done(response))
    }

    /// Gives an answer its body: all of it if it is there, else what comes. `folder` is for what its client is too slow for.
    fn fill(
        mut self: Box<Self>,
        x: &mut Exchange,
        mut link: Link,
        response: &mut Response,
        buffering: Option<bool>,
        folder: &Path,
    ) -> Result<(), HttpError> {
        let (begin, part) = std::mem::take(&mut link.body);
        let fault = |fault: Fault| fault.words() + " while reading upstream";
        let part = match part.unwrap_or(Ok(Part::More)) {
            // What came of it goes out all the same: its client sees by the length that something is missing.
            Err(Fault::Short(words)) => {
                x.report(Level::Error, fault(Fault::Short(words)));
                None
            }
            part => {
                Some(part.map_err(|wrong| HttpError::new(502, "upstream-bad-body").log(Level::Error, fault(wrong)))?)
            }
        };
        let length = begin.len() as u64;
        if let Some(last) = x.attempts.last() {
            last.length = length;
        }
        response.ranges = self.order.conf.force_ranges && response.status == 200;
        if !begin.is_empty() {
            response.body = Body::bytes(begin);
        }
        match part {
            None => {
                account::whole(x, &link);
                self.leave(x, link.choice, Outcome::Answered, READING_HEAD);
                response.body.chunks.push_back(Chunk::Stream(Arc::new(Mutex::new(Missing))));
            }
            Some(Part::Whole) => {
                account::whole(x, &link);
                self.order.put_back(link, &mut self.tried);
                if x.is_head() && response.length.is_none() {
                    // The body of an answer to HEAD is not there, and nobody may know how long it would be.
                    response.body = Body::unknown();
                }
            }
            Some(Part::More) => {
                let flow = Flow::new(x, self.order, self.tried, link, length, buffering, folder);
                response.body.chunks.push_back(Chunk::Stream(Arc::new(Mutex::new(flow))));
            }
        }
        Ok(())
    }
}

impl Order {
    /// The answer is whole: the connection is kept if it can be, and the server has done well.
    pub(super) fn put_back(&self, link: Link, tried: &mut Tried) {
        let may_keep = self.protocol.may_keep() && link.out.is_done() && !link.deaf;
        let (line, choice, mut age, now) = link.release();
        age.requests += 1;
        let (upstream, address) = (choice.upstream(), choice.address().clone());
        if let Some(line) = line.filter(|_| may_keep && upstream.keeps(&address)) {
            upstream.idle.put(&upstream.keepalive, address, self.purpose.clone(), line, age, now);
        }
        // Whoever is put aside by a success? Nobody; so there is nothing to say.
        choice.finish(Outcome::Answered, tried, now);
    }
}
