//! How a script's end is judged: by what its process says of it, by its head, and by the length that it named. Waits for
//! nothing; where a response is on its way already, `stream` asks here for the words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::answer::{self, Fit};
use super::conf::Conf;
use super::run::{LENIENT, Running};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::gateway::head::OutputHead;

impl Running {
    /// Makes the response of a script that has ended, or the error that takes its place.
    pub(super) fn finish(mut self, x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
        if let Some(error) = self.killed() {
            return Err(error);
        }
        let head = match self.head.take() {
            Some(head) => head,
            None => self.head_without_end(x, conf)?,
        };
        if let Some(words) = self.failed() {
            x.report(Level::Warn, words);
        }
        if answer::leads_elsewhere(&head) {
            return answer::redirect(x, &head, self.merges_slashes);
        }
        head.accel.note(x);
        let mut len = self.held.len();
        match answer::fit(x, &head, len) {
            Fit::Right => {}
            Fit::Short if conf.strict => return Err(self.cut_short(head.length.unwrap_or_default(), len)),
            Fit::Short => x.report(Level::Warn, self.lengths(head.length.unwrap_or_default(), len)),
            Fit::Long => {
                let named = head.length.unwrap_or(len);
                x.report(Level::Warn, self.lengths(named, len));
                len = named;
            }
        }
        self.child.let_go();
        Ok(Step::done(answer::document(x, head, self.held.into_body(len), conf.body_only || self.is_headless)))
    }

    /// The output ended before an empty line came.
    fn head_without_end(&mut self, x: &Exchange, conf: &Conf) -> Result<OutputHead, HttpError> {
        let code = self.status().and_then(|status| status.code());
        let code = code.map_or(String::new(), |code| format!(" (exit code {code})"));
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

    fn status(&mut self) -> Option<ExitStatus> {
        self.child.status()
    }

    /// The failure of a script that a signal ended.
    pub(super) fn killed(&mut self) -> Option<HttpError> {
        let signal = self.status()?.signal()?;
        let text = format!("script \"{}\" was ended by signal {}", self.name, signal_name(signal));
        Some(HttpError::new(502, "cgi-killed").log(Level::Error, text))
    }

    /// What the log says of an exit code that means a failure.
    pub(super) fn failed(&mut self) -> Option<String> {
        let code = self.status()?.code().filter(|code| *code != 0)?;
        Some(format!("script \"{}\" ended with exit code {code}", self.name))
    }

    /// The failure of a script that wrote less than it had named.
    pub(super) fn cut_short(&self, named: u64, wrote: u64) -> HttpError {
        HttpError::new(502, "cgi-cut-short").log(Level::Error, self.lengths(named, wrote) + LENIENT)
    }

    /// What the log says of a length that is not the body's.
    pub(super) fn lengths(&self, named: u64, wrote: u64) -> String {
        format!("script \"{}\" named {named} bytes and wrote {wrote}", self.name)
    }

    /// The failure of a script whose time is up.
    pub(super) fn late(&self) -> HttpError {
        let text = format!("script \"{}\" took longer than cgi_timeout allows", self.name);
        HttpError::new(504, "cgi-timeout").log(Level::Error, text)
    }
}

fn signal_name(number: i32) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => format!("{number} ({signal})"),
        Err(_) => number.to_string(),
    }
}
