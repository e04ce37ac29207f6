//! One request in flight: what the client sent, where it stands, what was decided so far. Knows no
//! feature and no socket; features read and change it, the pipeline carries it, the server
//! feeds it.

pub mod account;
pub mod admission;
pub mod attempts;
pub mod body_file;
pub mod body_reader;
pub mod changes;
pub mod children;
mod client;
pub mod counters;
mod dating;
pub mod engine;
pub mod error;
mod failure;
mod file_cache;
pub mod files;
pub mod inflow;
pub mod joint;
pub mod keys;
pub mod logging;
pub mod notebook;
pub mod place;
pub mod queue;
pub mod reasons;
pub mod session;
pub mod settable;
pub mod step;
pub mod store;
pub mod subrequest;
pub mod symlinks;
pub mod syslog;
pub mod temporary;
pub mod tls;
pub mod trace;
pub mod trees;
mod values;
pub mod variables;
pub mod wishes;

use std::any::Any;
use std::cell::{OnceCell, RefCell};
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::conf::source::Span;
use crate::conf::value::VarId;
use crate::http::head::Head;
use crate::http::method::Method;
use crate::http::transform::Tally;
pub use client::{Announced, Client};
use error::Report;
pub use failure::Failure;
use inflow::Inflow;
use notebook::Notebook;
use place::Place;
use values::{Captures, Values};
use variables::{Given, Variables};
use wishes::Wishes;

/// What a limit decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// The request goes on.
    Passed,
    /// It goes on later.
    Delayed,
    /// It would, were it not for a dry run.
    DelayedDryRun,
    /// It is refused.
    Rejected,
    /// It would be.
    RejectedDryRun,
}

impl Decided {
    /// As `$limit_req_status` and `$limit_conn_status` name it.
    pub fn name(self) -> &'static str {
        match self {
            Decided::Passed => "PASSED",
            Decided::Delayed => "DELAYED",
            Decided::DelayedDryRun => "DELAYED_DRY_RUN",
            Decided::Rejected => "REJECTED",
            Decided::RejectedDryRun => "REJECTED_DRY_RUN",
        }
    }
}

/// What the limits on requests and connections decided; none before they were asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// `limit_req`.
    pub requests: Option<Decided>,
    /// `limit_conn`.
    pub connections: Option<Decided>,
}

/// What went out, filled in by the sender, read by the access log.
#[derive(Debug, Default)]
pub struct Sent {
    /// The status of the answer; 0 before there is one.
    pub status: u16,
    /// All bytes, head included.
    pub bytes: u64,
    /// Bytes of the body as they stood on the wire.
    pub body_bytes: u64,
    /// Whether the whole answer went out.
    pub complete: bool,
    /// How much the body was compressed, if it was.
    pub compressed: Option<Arc<Tally>>,
    /// Fields of the head, for `$sent_http_NAME`.
    pub fields: Vec<(Bytes, Bytes)>,
    /// Trailer fields, for `$sent_trailer_NAME`.
    pub trailers: Vec<(Bytes, Bytes)>,
}

/// What there is of the request body.
#[derive(Debug, Default)]
pub enum Received {
    /// None, or not read.
    #[default]
    Nothing,
    /// In memory.
    Memory(Vec<u8>),
    /// In a temporary file that has no name any more.
    File(File, u64),
    /// It is passed on while it comes.
    Coming(Inflow),
    /// It was passed on, or refused: nobody can have it again.
    Passed,
}

impl Received {
    /// How many bytes there are, if all of them are here.
    pub fn size(&self) -> Option<u64> {
        match self {
            Received::Memory(bytes) => Some(bytes.len() as u64),
            Received::File(_, len) => Some(*len),
            Received::Nothing | Received::Coming(_) | Received::Passed => None,
        }
    }

    /// Takes the body: it can be taken once, by whoever passes it on.
    pub fn take(&mut self) -> Received {
        let left = match self {
            Received::Nothing => Received::Nothing,
            _ => Received::Passed,
        };
        std::mem::replace(self, left)
    }
}

/// A request as it comes in.
pub struct Arrival {
    /// The connection's two ends.
    pub client: Client,
    /// The head as it came.
    pub head: Head,
    /// When it came, and on which connection.
    pub origin: Origin,
}

/// When a request came, and where it stands on its connection.
#[derive(Clone)]
pub struct Origin {
    /// Which request on its connection it is, from 1.
    pub nth: u64,
    /// When the connection was accepted.
    pub connected: Instant,
    /// When the first byte of the head came.
    pub started: Instant,
    /// Whether it was there before the response to the one before it was sent.
    pub pipelined: bool,
    /// Who asks.
    pub source: Source,
    /// What wakes it, for steps that wait; it does nothing offline.
    pub waker: engine::Waker,
}

/// Who asks for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A client.
    Client,
    /// We do, on behalf of a request that waits for the response.
    Subrequest,
    /// We do, and nobody waits.
    Errand,
}

impl Source {
    /// As `$request_source` names it.
    pub fn name(self) -> &'static str {
        match self {
            Source::Client => "client",
            Source::Subrequest => "subrequest",
            Source::Errand => "errand",
        }
    }
}

/// How a request came to its current path: where redirects and rewrites have led it.
#[derive(Debug, Default)]
pub struct Course {
    /// How many internal redirects there were.
    pub redirects: u8,
    /// Whether the current URI came from inside (index, try_files, error_page).
    pub internal: bool,
    /// Whether the path was rewritten without another search for its location.
    pub rewritten: bool,
    /// Whether the method counts as GET now (after `error_page` led to a URI).
    pub as_get: bool,
    /// How many `..` segments of the path stand in the conf.
    pub ups: u8,
    /// How many of the path that an internal redirect is about to lead to.
    pub next_ups: u8,
    /// The path before `try_files` found a file for it: what is passed on as it came goes on with this one, as in nginx.
    pub asked: Option<Vec<u8>>,
    /// The `rewrite` that made the path what it is.
    pub rewriter: Option<Span>,
}

/// Lines for the error log that are not written yet.
#[derive(Default)]
pub struct Log {
    /// Written by the server before the response goes out.
    pub reports: RefCell<Vec<Report>>,
    /// The same from what works on after the response has begun; made when asked for.
    pub notebook: OnceCell<Notebook>,
}

/// One request in flight.
pub struct Exchange {
    /// The connection's two ends.
    pub client: Client,
    /// When it came, and on which connection.
    pub origin: Origin,
    /// When the pipeline was entered last: steps that need not be exact go by it instead of reading the clock.
    pub now: Instant,
    /// The request's head as it came.
    pub head: Head,
    /// The current path, decoded and normalised; internal redirects change it.
    pub uri: Vec<u8>,
    /// The current query without `?`; none if there was no `?`.
    pub args: Option<Vec<u8>>,
    /// How it came to that path.
    pub course: Course,
    /// Who the client is, where a password that `auth_basic` checked proved it.
    pub user: Option<Bytes>,
    /// Where files are, here.
    pub place: Place,
    /// The error being answered, if any.
    pub failure: Option<Box<Failure>>,
    /// The reason of an answer from 400 upwards that no error page stands for, and the line that gives it.
    pub blamed: Option<Box<(&'static str, Span)>>,
    /// The request body, once it was asked for.
    pub received: Received,
    /// How many bytes of it were read from the wire.
    pub body_read: u64,
    /// The name of the file that it lies in, if that has one.
    pub body_file: Option<Box<body_file::Name>>,
    /// What a program asked for beyond its own answer.
    pub wishes: Option<Box<Wishes>>,
    /// What went out.
    pub sent: Sent,
    /// What the error log is to hear.
    pub log: Log,
    /// The server's first name, for `$server_name` and log lines.
    pub server_name: Bytes,
    /// What its variables are worked out from.
    values: Values,
    /// The folder that relative paths start from.
    pub prefix: Arc<PathBuf>,
    /// What other servers were asked for it.
    pub attempts: attempts::Attempts,
    /// Whether the request goes on when its client has left.
    pub outlives_client: bool,
    /// The session that it belongs to; none where sessions are off.
    pub session: Option<Box<session::Session>>,
    /// What the limits decided. They are asked once, whatever internal redirects follow.
    pub limits: Limits,
    /// Bytes of the answer for each second, where something but the conf's own `limit_rate` decided; 0 is no limit.
    pub limit_rate: Option<u64>,
    /// Where the blocks begin that took the request: its server, and its location if it is in one.
    pub blocks: (Span, Option<Span>),
    /// What is told to somebody who looks on; none while serving.
    pub trace: Option<Box<trace::Trace>>,
}

// Each request makes one, and small ones are made sooner.
const _: () = assert!(size_of::<Exchange>() <= 1008, "what few requests need lies in a box");

impl Exchange {
    /// A request in front of its first step. Inlined, so that so large a value is made where it stays.
    #[inline(always)]
    pub fn new(
        arrival: Arrival,
        place: Place,
        scope: Arc<dyn Any + Send + Sync>,
        variables: Arc<Variables>,
        prefix: Arc<PathBuf>,
    ) -> Self {
        Exchange {
            client: arrival.client,
            now: arrival.origin.started,
            origin: arrival.origin,
            head: arrival.head,
            uri: Vec::new(),
            args: None,
            course: Course::default(),
            user: None,
            place,
            failure: None,
            blamed: None,
            received: Default::default(),
            body_read: 0,
            body_file: None,
            sent: Sent::default(),
            log: Log::default(),
            server_name: Bytes::new(),
            values: Values::new(scope, variables),
            prefix,
            outlives_client: false,
            session: None,
            limits: Default::default(),
            attempts: Default::default(),
            limit_rate: None,
            wishes: None,
            blocks: Default::default(),
            trace: None,
        }
    }

    /// Whether this is a HEAD request: the answer has no body.
    pub fn is_head(&self) -> bool {
        self.head.method == Method::Head
    }

    /// The method as it counts now.
    pub fn method(&self) -> Method {
        if self.course.as_get { Method::Get } else { self.head.method }
    }

    /// The same as it is written; the head's own text where nothing has changed it.
    pub fn method_text(&self) -> &[u8] {
        if self.course.as_get && !self.is_head() { b"GET" } else { self.head.method_text() }
    }

    /// The status of the answer as far as it is known; 0 before there is one.
    pub fn status(&self) -> u16 {
        match &self.failure {
            Some(failure) if !failure.own_status => failure.status,
            _ => self.sent.status,
        }
    }

    /// The random number of `$request_id`: 32 hexadecimal digits, the same for the whole request.
    pub fn request_id(&self) -> &str {
        self.values.id.get_or_init(|| {
            let mut bytes = [0; 16];
            // Without randomness the id is less than unique, but the request goes on.
            let _ = getrandom::fill(&mut bytes);
            format!("{:032x}", u128::from_be_bytes(bytes)).into()
        })
    }

    /// The argument of this name in the query, as it was sent. Case does not matter, as in nginx.
    pub fn argument(&self, name: &[u8]) -> Option<&[u8]> {
        let arguments = self.args.as_deref()?.split(|&b| b == b'&');
        arguments.filter_map(|argument| argument.split_at_checked(name.len())).find_map(|(key, rest)| match rest {
            [b'=', value @ ..] if key.eq_ignore_ascii_case(name) => Some(value),
            _ => None,
        })
    }

    /// Gives a variable a value for the rest of this request.
    pub fn assign(&self, id: VarId, value: impl Into<Given>) {
        let (value, mut assigned) = (value.into(), self.values.assigned.borrow_mut());
        match assigned.iter_mut().find(|(known, _)| *known == id) {
            Some(slot) => slot.1 = value,
            None => assigned.push((id, value)),
        }
    }

    /// Keeps what a regex captured: numbered groups, and named ones as variables.
    pub fn capture(&self, subject: &Bytes, groups: &[Option<Range<usize>>], names: &[(VarId, usize)]) {
        let groups: Vec<_> = groups.iter().map(|range| range.clone().map(|range| subject.slice(range))).collect();
        for (id, n) in names {
            self.assign(*id, groups.get(*n).cloned().flatten().unwrap_or_default());
        }
        self.values.captures.replace(Captures { groups });
    }

    /// Says that something that was asked about this request has no answer (a regex that takes too long), where there is
    /// no way to return an error. What guards a place must not count as passed, so the request fails.
    pub fn spoil(&self, error: error::HttpError) {
        self.values.spoiled.set(Some(Box::new(error)));
    }

    /// The reason as an error. What acts on values of the conf asks before it does.
    pub fn unspoiled(&self) -> Result<(), error::HttpError> {
        self.values.spoiled.take().map_or(Ok(()), |error| Err(*error))
    }

    /// What takes lines for the error log from whatever outlives the step that asks for it.
    pub fn notebook(&self) -> Notebook {
        self.log.notebook.get_or_init(Notebook::default).clone()
    }

    /// Notes a line for the error log.
    pub fn report(&self, level: error::Level, text: impl Into<String>) {
        self.keep(Some(Report::new(level, text)));
    }

    /// Notes a line that somebody else made, with where the request is being passed to.
    pub fn keep(&self, report: Option<Report>) {
        let Some(report) = report else { return };
        self.log.reports.borrow_mut().push(Report { upstream: self.attempts.url(), ..report });
    }

    /// The extension of the current path: what follows the last dot of the last segment. A dot that begins the
    /// segment makes it hidden and gives it no extension.
    pub fn extension(&self) -> &[u8] {
        let name = self.uri.rsplit(|&b| b == b'/').next().unwrap_or(b"");
        match name.iter().rposition(|&b| b == b'.') {
            Some(dot) if dot > 0 => &name[dot + 1..],
            _ => b"",
        }
    }
}
