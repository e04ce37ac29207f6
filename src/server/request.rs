//! How a request begins: from a head to an exchange, its server, and the first step of its pipeline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::connection::{Carried, Connection};
use super::current::Entry;
use super::h1::Sending;
use super::listen::loopback;
use super::task::Task;
use super::worker::{Turn, Worker};
use crate::exchange::body_reader::BodyReader;
use crate::exchange::engine::Waker;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::{Arrival, Client, Exchange, Origin, Source};
use crate::http::head::{Head, HeadError, Refusal};
use crate::http::target;
use crate::pipeline::{self, Run};
use crate::route::Server;
use crate::settings::sockets::Group;

impl Worker {
    /// The listener a connection came in by.
    pub(super) fn entry(&self, c: &Connection) -> &Entry {
        // Entries are added and never taken away, and a listener's number is its place among them.
        &self.current.entries[c.listener as usize]
    }

    /// The servers of the address a connection came to.
    pub(super) fn group<'e>(&self, c: &Connection, entry: &'e Entry) -> &'e Arc<Group> {
        let local = if entry.socket.is_shared() { c.endpoint.socket.local() } else { None };
        entry.socket.group(local)
    }

    /// The server whose settings hold until a Host field names one.
    pub(super) fn default_server(&self, c: &Connection) -> Arc<Server> {
        home(c, self.group(c, self.entry(c)))
    }

    /// Begins a request whose head is complete, or was refused.
    pub(super) fn begin(&mut self, c: &mut Connection, head: Head, started: Instant, refused: Option<Refusal>) -> Turn {
        c.requests += 1;
        let entry = self.entry(c).clone();
        let group = self.group(c, &entry).clone();
        let mut carried = Box::new(self.carried(c, &entry, &group, head, started));
        let task = &mut carried.task;
        let refused = match refused {
            Some(refused) => Some(refuse(&mut task.run, &group, refused)),
            None => resolve(&mut task.run, &group),
        };
        report_dropped(&mut task.run.x);
        if refused.is_some() {
            task.run.name_client();
        }
        match refused {
            Some(_) => task.linger = true,
            None => task.run.body = BodyReader::new(task.run.x.head.body_length),
        }
        self.begin_exchange(c, carried, refused)
    }

    /// Ends a request whose head never became complete: a log line, no answer. `why` is told what was being read.
    pub(super) fn abandon(&mut self, c: &mut Connection, started: Instant, why: fn(&str) -> HttpError) -> Turn {
        let mut head = std::mem::take(&mut self.spare);
        let entry = self.entry(c).clone();
        let group = self.group(c, &entry).clone();
        head.keep_lines(&c.endpoint.input, &group.default.scope.request_head.limits);
        let error = why(if head.target().is_empty() { "client request line" } else { "client request headers" });
        c.requests += 1;
        let mut task = self.carried(c, &entry, &group, head, started).task;
        recall(&mut task.run, &group, false);
        if error.status == 408 && task.run.scope().sending.reset_timedout {
            c.endpoint.socket.reset_on_close();
        }
        task.run.name_client();
        task.give_up(error);
        Turn::Close
    }

    #[inline(always)]
    pub(super) fn carried(
        &self,
        c: &Connection,
        entry: &Entry,
        group: &Group,
        head: Head,
        started: Instant,
    ) -> Carried {
        let arrival = Arrival {
            client: client(c, entry),
            head,
            origin: Origin {
                nth: u64::from(c.requests),
                connected: c.connected,
                started,
                pipelined: c.pipelined,
                source: Source::Client,
                waker: Waker::new(self.link.clone(), c.place.token()),
            },
        };
        let run = Run::new(arrival, entry.settings.clone(), home(c, group));
        Carried { task: Task::new(run, entry.logs.clone()), sending: Sending::default() }
    }
}

/// The two ends of a connection.
#[inline(always)]
pub(super) fn client(c: &Connection, entry: &Entry) -> Client {
    let (local, unix) = match &entry.socket.address {
        crate::conf::listening::Address::Unix(path) => (None, Some(Arc::from(path.to_string_lossy()))),
        crate::conf::listening::Address::Ip(address) if !address.ip().is_unspecified() => (Some(*address), None),
        crate::conf::listening::Address::Ip(address) => {
            // A file that stands in for the address has none of its own.
            let meant = || SocketAddr::new(loopback(address), address.port());
            (Some(c.endpoint.socket.local().unwrap_or_else(meant)), None)
        }
    };
    Client {
        peer: c.peer,
        local,
        unix,
        number: c.number,
        replaced: None,
        announced: c.announced.clone(),
        security: c.security.clone(),
    }
}

/// A client that left before its head was complete.
pub(super) fn left_in_head(what: &str) -> HttpError {
    let text = format!("client prematurely closed connection while reading {what}");
    HttpError::new(400, "client-left").log(Level::Info, text)
}

/// A client whose head was not complete in time.
pub(super) fn late_head(what: &str) -> HttpError {
    let text = format!("client timed out (110: Connection timed out) while reading {what}");
    HttpError::new(408, "head-timeout").log(Level::Info, text)
}

/// One line for each field that was dropped for its name.
fn report_dropped(x: &mut Exchange) {
    if x.head.dropped().next().is_none() {
        return;
    }
    let texts: Vec<String> = x
        .head
        .dropped()
        .map(crate::http::escape::error_log)
        .map(|line| format!("client sent invalid header line: \"{line}\" while reading client request headers"))
        .collect();
    for text in texts {
        x.report(Level::Info, text);
    }
}

/// The refusal that a head earned. Path and server are found as far as it was read: nginx reads line by line, and its log knows them.
pub fn refuse(run: &mut Run, group: &Group, refused: Refusal) -> HttpError {
    if let Some(error) = recall(run, group, refused.error == HeadError::NoHost) {
        return error;
    }
    let mut error = HttpError::new(refused.error.status(), refused.error.reason()).log(Level::Info, refused.text);
    error.close = true;
    error
}

/// Finds the path and the server of a request as far as its lines were read; why its target is none, if it is none. One that is known to
/// name no host is for the server without a name, as in nginx.
fn recall(run: &mut Run, group: &Group, names_no_host: bool) -> Option<HttpError> {
    if run.x.head.target().is_empty() {
        return None;
    }
    if let Some(error) = find_path(run) {
        return Some(error);
    }
    if (run.x.head.host().is_some() || names_no_host)
        && let Ok(server) = pipeline::find_server(group, &run.x)
    {
        run.choose(server);
    }
    None
}

/// Finds the path and the server. Both come from the head alone, before any setting of the server counts.
pub fn resolve(run: &mut Run, group: &Group) -> Option<HttpError> {
    if let Some(error) = find_path(run) {
        return Some(error);
    }
    if group.hosts.is_empty() {
        return None;
    }
    let server = match pipeline::find_server(group, &run.x) {
        Ok(server) => server,
        Err(error) => return Some(error),
    };
    if is_misdirected(&run.x, group, &server) {
        let text = "client attempted to request the server name different from the one that was negotiated";
        return Some(HttpError::new(421, "misdirected").log(Level::Info, text));
    }
    run.choose(server);
    None
}

fn find_path(run: &mut Run) -> Option<HttpError> {
    let merge = run.scope().request_head.merge_slashes;
    let mut path = std::mem::take(&mut run.x.uri);
    let parsed = target::parse(run.x.head.target(), merge, &mut path);
    run.x.uri = path;
    match parsed {
        Ok(target) => {
            run.x.args = target.args.map(|range| run.x.head.target()[range].to_vec());
            None
        }
        Err(error) => {
            let mut refused = HttpError::new(error.status(), error.reason()).log(Level::Info, error.log());
            refused.close = true;
            // What was read of the path is none, and nothing behind it counts.
            run.x.uri.clear();
            run.x.head.forget_target();
            Some(refused)
        }
    }
}

/// The server that a connection belongs to: the one that its client named in the handshake, else the address's default.
fn home(c: &Connection, group: &Group) -> Arc<Server> {
    let session = c.security.session().filter(|session| session.is_bound);
    let found = session.and_then(|session| group.hosts.find(session.name.as_deref()?).ok()?);
    found.map_or_else(|| group.default.clone(), |found| found.server)
}

/// Whether a request leads to another server than the handshake did, and that one wants to see clients' certificates: they were
/// not asked for in its name. Another name of the same server leads nowhere else.
fn is_misdirected(x: &Exchange, group: &Group, server: &Arc<Server>) -> bool {
    let Some(session) = x.client.security.session().filter(|session| session.is_bound) else { return false };
    let Some(name) = session.name.as_deref() else { return false };
    if name == x.head.host().unwrap_or_default() || !server.scope.ssl.asks_clients() {
        return false;
    }
    let greeted = group.hosts.find(name).ok().flatten();
    greeted.is_none_or(|greeted| !Arc::ptr_eq(&greeted.server, server))
}
