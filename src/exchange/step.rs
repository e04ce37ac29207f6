//! What one step of the pipeline answers with.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::body_file::Naming;
use super::error::HttpError;
use crate::http::interim::Interim;
use crate::http::response::Response;

/// Where an internal redirect leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A path (decoded) and a query.
    Uri {
        /// The path.
        path: Vec<u8>,
        /// The query without `?`.
        args: Option<Vec<u8>>,
    },
    /// The same as if the client had asked for it: what is open from inside alone stays closed (RFC 3875 section 6.2.2).
    AsAsked {
        /// The path.
        path: Vec<u8>,
        /// The query without `?`.
        args: Option<Vec<u8>>,
    },
    /// A named location, with its `@`.
    Named(Vec<u8>),
}

/// Where a request body goes while it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// Into memory up to so many bytes, then into a temporary file in this folder.
    Spool {
        /// Bytes kept in memory.
        memory: usize,
        /// The folder for the file.
        folder: PathBuf,
        /// How the file is named; every body goes to a file then.
        naming: Option<Naming>,
    },
    /// Into [`Received::Coming`](super::Received::Coming), piece by piece, at most so many bytes ahead of whoever takes them.
    /// The step is entered again at once, though nothing may have come yet; a body that came whole with its head is
    /// [`Received::Memory`](super::Received::Memory). From then on each [`Wait`] ends early when there
    /// is more of the body, or its end; a client that is not read from is held back. A client that leaves, is silent for
    /// `client_body_timeout` while there is room, or sends what is no body or too large a one ends the request: what the
    /// step keeps is dropped. The answer may begin before the body ended, and its stream may go on taking from
    /// it: it is asked again when there is more. The body is taken with [`Received::take`](super::Received::take), and by nobody
    /// else afterwards; a request without one leaves `Received::Nothing`, and whoever comes too late finds
    /// [`Received::Passed`](super::Received::Passed). Once the [`Inflow`](super::inflow::Inflow) is dropped, the rest of the body
    /// is read and thrown away.
    Live {
        /// Bytes kept.
        most: usize,
    },
}

/// Where the settings in force keep a body that is read before it is passed on.
#[derive(Debug, Clone, Copy)]
pub struct Spool<'a> {
    /// Bytes kept in memory.
    pub memory: usize,
    /// The folder for what does not fit; relative to the prefix.
    pub folder: &'a Path,
    /// How every body's file is named, where they all go to files.
    pub naming: Option<Naming>,
}

impl Spool<'_> {
    /// The sink of one request.
    pub fn sink(&self, prefix: &Path) -> Sink {
        Sink::Spool { memory: self.memory, folder: prefix.join(self.folder), naming: self.naming }
    }
}

/// What the request waits for before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A moment.
    Until(Instant),
    /// News of a watched descriptor or a call of the waker, at most until a moment.
    News(Instant),
}

/// What one kind of permission says of a request. A refusal is an error: 401 or 403 may be outvoted under `satisfy any`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may come in.
    Granted,
    /// Nothing: this kind is not configured here, or no rule fits.
    Silent,
    /// It cannot say yet.
    Wait(Wait),
}

/// The answer of one step.
#[derive(Debug)]
pub enum Step {
    /// Go on with the next one.
    Next,
    /// This is the answer.
    Done(Box<Response>),
    /// Begin again elsewhere.
    Goto(Target),
    /// The path was rewritten: search its location, and go on there.
    Search,
    /// Read the request body into this sink, then come back to this step.
    Body(Sink),
    /// Wait, then come back to this step.
    Wait(Wait),
    /// Close the connection without an answer (444).
    Close,
    /// Let the client hear these, then do what the step says otherwise.
    Interim(Box<(Vec<Interim>, Result<Step, HttpError>)>),
}

impl Step {
    /// This is the answer.
    pub fn done(response: Response) -> Step {
        Step::Done(Box::new(response))
    }

    /// What a step says after interim responses, if there are any.
    pub fn after(interim: Vec<Interim>, step: Result<Step, HttpError>) -> Result<Step, HttpError> {
        if interim.is_empty() { step } else { Ok(Step::Interim(Box::new((interim, step)))) }
    }
}
