//! What becomes of a request that fails: the line in the log, why and by which line of the conf, and the page. Knows not the
//! order of the steps.

use super::moves::REDIRECTS;
use super::{Outcome, Run};
use crate::conf::source::Span;
use crate::exchange::error::{HttpError, Report};
use crate::exchange::notebook::Notebook;
use crate::exchange::reasons;
use crate::features::{error_page, server_tokens, static_files};
use crate::gateway::relay;
use crate::http::response::Response;

impl Run {
    /// Answers a request that was refused before it had a pipeline (a bad head), or that failed in the
    /// engine (a body over its limit).
    pub fn refuse(&mut self, error: HttpError) -> Outcome {
        let outcome = match self.fail(error) {
            Ok(None) => return self.advance(&[]),
            Ok(Some(outcome)) => outcome,
            Err(error) => self.built_in(error),
        };
        self.pace(outcome)
    }

    /// Answers with the built-in page, whatever the conf says: after a panic nothing else is trusted.
    pub fn refuse_plainly(&mut self, error: HttpError) -> Outcome {
        self.built_in(error)
    }

    /// Ends a request that gets no answer: what its lines in the logs say of it.
    pub fn give_up(&mut self, mut error: HttpError) {
        // Where a subrequest is waited for, it says what it waited for.
        let last = if self.states.subrequest.is_some() { error.report.take() } else { None };
        let last = last.map(|mut report| {
            report.why = Some(self.why(&error).0);
            *report
        });
        self.abandon(last);
        let place = self.explain(&mut error);
        error_page::note(&mut self.x, &error, place);
        self.x.sent.status = error.status;
    }

    /// Nothing comes any more of what it waits for; `last` is for the log, and said by whoever waits.
    pub fn abandon(&mut self, mut last: Option<Report>) {
        if self.states.subrequest.is_some() {
            self.forget_subrequest(last.take());
        }
        relay::abandon(&mut self.x, &mut self.states.gateway);
        self.x.keep(last);
    }

    /// Tells the log why a response breaks off on its way, in the words of the failure that came too late for a page.
    pub fn report_broken(&mut self) {
        if let Some(mut failure) = self.x.log.notebook.get().and_then(Notebook::take_failure) {
            self.explain(&mut failure);
        }
    }

    /// Notes why an answer is an error that was given as it is, without a page.
    pub(super) fn blame(&mut self, response: &Response) {
        let blamed = self.x.blamed.take().filter(|_| self.x.failure.is_none());
        let Some((reason, span)) = blamed.map(|blamed| *blamed) else { return };
        let place = self.settings.sources.short_place(span);
        error_page::note(&mut self.x, &HttpError::new(response.status, reason), place);
        if let Some(failure) = &mut self.x.failure {
            (failure.own_status, failure.close) = (true, false);
        }
    }

    /// One place turns an error into a page: `error_page` first, the built-in page at last.
    pub(super) fn fail(&mut self, mut error: HttpError) -> Result<Option<Outcome>, HttpError> {
        self.forget_subrequest(None);
        relay::abandon(&mut self.x, &mut self.states.gateway);
        static_files::quieten(&self.scope.static_files, &mut error);
        self.tell_failure(&error);
        let place = self.explain(&mut error);
        if is_silent(error.status) {
            error_page::note(&mut self.x, &error, place);
            self.x.sent.status = error.status;
            return Ok(Some(Outcome::Close));
        }
        if self.x.course.redirects > REDIRECTS {
            // As in nginx, a cycle has no page of its own: that would be one more redirect.
            return Err(error);
        }
        match error_page::answer(&mut self.x, &self.scope.error_page, &error, place) {
            error_page::Answer::Goto(target) => {
                if let Some(failure) = &mut self.x.failure {
                    failure.is_led = true;
                }
                self.redirect(target, "error_page")?;
                Ok(None)
            }
            error_page::Answer::Page(error) => Ok(Some(self.page(&error))),
        }
    }

    fn tell_failure(&self, error: &HttpError) {
        self.x.tell("answer", None, || {
            let why = error.report.as_ref().map_or(String::new(), |report| format!(": {}", report.text));
            let (at, status, reason) = (self.at(), error.status, error.reason);
            match is_silent(status) {
                true => format!("`{at}` closes the connection without an answer ({status}, {reason}){why}"),
                false => format!("`{at}` answers {status} ({reason}){why}"),
            }
        });
    }

    pub(super) fn built_in(&mut self, mut error: HttpError) -> Outcome {
        let place = self.explain(&mut error);
        error_page::note(&mut self.x, &error, place);
        self.page(&error)
    }

    /// Writes why a request fails after the line that says so, and returns the place in the conf that decided it.
    fn explain(&mut self, error: &mut HttpError) -> Option<String> {
        let has_report = error.report.is_some();
        self.x.keep(error.report.take().map(|report| *report));
        if error.status < 400 {
            return None;
        }
        let (why, place) = self.why(error);
        let is_told = has_report || error.status >= 500;
        if let Some(report) = self.x.log.reports.get_mut().last_mut().filter(|report| is_told && report.why.is_none()) {
            report.why = Some(why);
        }
        place
    }

    /// The code of an error with the place that decided it, as the log has them, and that place.
    fn why(&self, error: &HttpError) -> (String, Option<String>) {
        let place = self.decided(error).and_then(|span| self.settings.sources.short_place(span));
        let code = format!("{}/{}", error.status, error.reason);
        (place.as_ref().map_or(code.clone(), |place| format!("{code} {place}")), place)
    }

    /// The line that decided an error: the one that the step named, else one of the directives that its reason belongs to.
    pub(super) fn decided(&self, error: &HttpError) -> Option<Span> {
        let decided_by = reasons::of(error.reason).map_or(&[][..], |reason| reason.decided_by);
        error.place.or_else(|| self.scope.places.nearest(decided_by))
    }

    fn page(&mut self, error: &HttpError) -> Outcome {
        let line = server_tokens::page_line(&self.x, &self.scope.server_tokens);
        let takes_uploads = self.scope.upload.store.is_some();
        let response = error_page::built_in(&self.x, &self.scope.error_page, error, &line, takes_uploads);
        // The filters refuse nothing here: a built-in page is no file, has no tag and no ranges.
        match self.filter(Box::new(response)) {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Close,
        }
    }
}

/// Statuses that stand in logs only: the connection closes without an answer, as in nginx.
fn is_silent(status: u16) -> bool {
    matches!(status, 408 | 444 | 499)
}
