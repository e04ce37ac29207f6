//! One request without a server: the same pipeline as in one, and an engine of a single connection that looks on while
//! scripts work. Knows what was asked and what came of it, not how that is shown.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};

use crate::conf::listening::Address;
use crate::exchange::engine::{Engine, Sight, Waker};
use crate::exchange::notebook::Notebook;
use crate::exchange::tls::Security;
use crate::exchange::{Arrival, Client, Origin, Source};
use crate::http::head::Head;
use crate::http::response::{Chunk, Response, Stream};
use crate::pipeline::{Drive, End, Feeding, Run};
use crate::server::request::resolve;
use crate::settings::Settings;
use crate::settings::sockets::Group;

/// Bytes of one output that are kept to be shown.
pub const KEPT: usize = 1 << 20;

/// A script that was started for the request.
#[derive(Debug)]
pub struct Seen {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// The folder it started in.
    pub folder: PathBuf,
    /// Its environment.
    pub variables: BTreeMap<OsString, OsString>,
    /// The first [`KEPT`] bytes of its standard output.
    pub output: Vec<u8>,
    /// How many bytes it wrote there in all.
    pub written: u64,
    /// The lines of its standard error, as they would stand in the log.
    pub lines: Vec<String>,
    /// How long it ran, and how it ended.
    pub ended: Option<(Duration, Option<ExitStatus>)>,
    started: Instant,
}

/// What came of a request.
pub struct Answer {
    /// The request as it stood at its end.
    pub run: Run,
    /// The answer; none if the connection would be closed without one.
    pub response: Option<Response>,
    /// The first bytes of its body.
    pub body: Vec<u8>,
    /// Whether the body goes out as it is written, so that nobody knows its length.
    pub streams: bool,
    /// Whether the body broke off.
    pub broken: bool,
    /// The scripts, in the order they were started.
    pub scripts: Vec<Seen>,
}

/// Asks the servers of one address. The head is complete, the body goes with it.
pub fn ask(settings: Arc<Settings>, group: &Group, head: Head, body: Vec<u8>) -> io::Result<Answer> {
    let mut poll = Poll::new()?;
    let waker = mio::Waker::new(poll.registry(), Token(0))?;
    let registry = poll.registry().try_clone()?;
    let onlooker = Arc::new(Onlooker { registry, waker, seen: Mutex::default(), news: Condvar::new() });
    let mut run = Run::new(arrival(group, head, Some(onlooker.clone())), settings, group.default.clone());
    let refused = resolve(&mut run, group);
    let mut drive = Drive::new(run, &body);
    let end = drive.to_end(refused, &mut |moment| wait(&mut poll, Some(moment)))?;
    let mut response = match end {
        End::Response(response) => Some(*response),
        End::Closed | End::Waits => None,
    };
    // A script whose answer is refused is ended when the request is done with it.
    drive.run.drop_states();
    let mut text = Vec::new();
    let broken =
        response.as_ref().is_some_and(|response| read_body(response, &mut drive, &mut poll, &mut text).is_err());
    let mut run = drive.run;
    let streams = response.as_ref().is_some_and(|response| response.body.known_len().is_none());
    if let Some(response) = &mut response {
        // Dropped with its stream, a script that is late is ended.
        response.body.chunks.retain(|chunk| !matches!(chunk, Chunk::Stream(_)));
    }
    let noted = run.x.log.notebook.get().map(Notebook::take).unwrap_or_default();
    run.x.log.reports.get_mut().extend(noted);
    run.report_broken();
    Ok(Answer { run, response, body: text, streams, broken, scripts: onlooker.all_ended() })
}

/// A request on a connection of its own, from this machine.
pub fn arrival(group: &Group, head: Head, engine: Option<Arc<dyn Engine>>) -> Arrival {
    let (local, unix) = match &group.address {
        Address::Unix(path) => (None, Some(Arc::from(path.to_string_lossy()))),
        Address::Ip(at) if at.ip().is_unspecified() => (Some(SocketAddr::from(([127, 0, 0, 1], at.port()))), None),
        Address::Ip(at) => (Some(*at), None),
    };
    // A port from the range that clients have.
    let peer = local.map(|_| SocketAddr::from(([127, 0, 0, 1], 49152)));
    // A handshake as good as any; nothing was agreed on in it.
    let security = if group.tls { Security::Tls(Arc::default()) } else { Security::Plain };
    Arrival {
        client: Client { peer, local, unix, number: 1, replaced: None, announced: None, security },
        head,
        origin: Origin {
            nth: 1,
            connected: Instant::now(),
            started: Instant::now(),
            pipelined: false,
            source: Source::Client,
            waker: Waker::new(engine, 1),
        },
    }
}

/// Waits for news, at most until a moment.
fn wait(poll: &mut Poll, until: Option<Instant>) -> io::Result<bool> {
    let time = until.map(|until| until.saturating_duration_since(Instant::now()));
    match poll.poll(&mut Events::with_capacity(16), time) {
        Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
        _ => Ok(true),
    }
}

/// Reads a body to its end and keeps its first bytes.
fn read_body(response: &Response, drive: &mut Drive<'_>, poll: &mut Poll, text: &mut Vec<u8>) -> io::Result<()> {
    for chunk in &response.body.chunks {
        match chunk {
            Chunk::Bytes(bytes) => keep(text, bytes),
            Chunk::File { file, offset, len } => {
                let mut part = vec![0; (*len).min(KEPT as u64) as usize];
                file.read_exact_at(&mut part, *offset)?;
                keep(text, &part);
            }
            Chunk::Stream(stream) => {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                read_stream(&mut *stream, drive, poll, text)?;
            }
        }
    }
    Ok(())
}

fn read_stream(stream: &mut dyn Stream, drive: &mut Drive<'_>, poll: &mut Poll, text: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 32 << 10];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(n) => keep(text, &piece[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // What makes the response may wait for more of the request.
                if !drive.feed(Feeding::Beside).unwrap_or(false) {
                    wait(poll, stream.deadline())?;
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn keep(text: &mut Vec<u8>, bytes: &[u8]) {
    let room = KEPT.saturating_sub(text.len());
    text.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// The engine of one connection, which keeps what it sees.
struct Onlooker {
    registry: Registry,
    waker: mio::Waker,
    seen: Mutex<Vec<(u32, Seen)>>,
    news: Condvar,
}

impl Onlooker {
    fn lock(&self) -> MutexGuard<'_, Vec<(u32, Seen)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scripts, once the last of them has ended: what is to be killed must not outlive this process.
    fn all_ended(&self) -> Vec<Seen> {
        let mut seen = self.lock();
        while seen.iter().any(|(_, one)| one.ended.is_none()) {
            seen = self.news.wait(seen).unwrap_or_else(PoisonError::into_inner);
        }
        seen.drain(..).map(|(_, one)| one).collect()
    }
}

impl Engine for Onlooker {
    fn watch(&self, connection: usize, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let raw = descriptor.as_raw_fd();
        self.registry.register(&mut SourceFd(&raw), Token(connection), Interest::READABLE | Interest::WRITABLE)
    }

    fn wake(&self, _connection: usize) {
        // It fails only when the queue of events is full: then there is one already.
        let _ = self.waker.wake();
    }

    fn see(&self, process: u32, sight: Sight<'_>) {
        let mut seen = self.lock();
        if let Sight::Starts(command) = sight {
            seen.push((process, started(command)));
        }
        let Some((_, one)) = seen.iter_mut().rev().find(|(number, _)| *number == process) else { return };
        match sight {
            Sight::Starts(_) => {}
            Sight::Writes(bytes) => {
                one.written += bytes.len() as u64;
                keep(&mut one.output, bytes);
            }
            Sight::Says(line) => one.lines.push(line.to_string()),
            Sight::Ends(status) => {
                one.ended.get_or_insert((one.started.elapsed(), status));
                self.news.notify_all();
            }
        }
    }
}

fn started(command: &Command) -> Seen {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let variables = command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    Seen {
        command: words.map(OsString::from).collect(),
        folder: command.get_current_dir().map(PathBuf::from).unwrap_or_default(),
        variables: variables.collect(),
        output: Vec::new(),
        written: 0,
        lines: Vec::new(),
        ended: None,
        started: Instant::now(),
    }
}
