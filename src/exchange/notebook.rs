//! Lines for the error log from what works on while an answer is sent: the streaming script of a request, say. They are
//! written with the request's own, to the files of its location.

use std::sync::{Arc, Mutex, MutexGuard};

use super::error::{Level, Report};

/// Takes lines of one request, from any thread.
#[derive(Debug, Clone, Default)]
pub struct Notebook(Arc<Mutex<Vec<Report>>>);

impl Notebook {
    /// Notes a line.
    pub fn report(&self, level: Level, text: impl Into<String>) {
        self.lock().push(Report::new(level, text));
    }

    /// What was noted since the last time.
    pub fn take(&self) -> Vec<Report> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Report>> {
        // Nothing that can panic runs under this lock.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
