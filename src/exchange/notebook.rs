//! Lines for the error log from what works on while an answer is sent: the streaming script of a request, say. They are
//! written with the request's own, to the files of its location.

use std::sync::{Arc, Mutex, MutexGuard};

use super::error::{HttpError, Level, Report};

/// Takes lines of one request, from any thread.
#[derive(Debug, Clone, Default)]
pub struct Notebook(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    reports: Vec<Report>,
    failure: Option<HttpError>,
}

impl Notebook {
    /// Notes a line.
    pub fn report(&self, level: Level, text: impl Into<String>) {
        self.lock().reports.push(Report::new(level, text));
    }

    /// Notes why a response breaks off whose head is out: the error that would have been its page.
    pub fn fail(&self, failure: HttpError) {
        self.lock().failure = Some(failure);
    }

    /// Why the response breaks off, if that was noted since the last time.
    pub fn take_failure(&self) -> Option<HttpError> {
        self.lock().failure.take()
    }

    /// What was noted since the last time.
    pub fn take(&self) -> Vec<Report> {
        std::mem::take(&mut self.lock().reports)
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        // Nothing that can panic runs under this lock.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
