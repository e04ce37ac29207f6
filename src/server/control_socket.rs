//! The socket beside the pid file, for whoever runs `-s reload`: a signal brings no verdict back, this does. Only its owner and
//! root may connect. One thread serves all clients and waits for none of them, whatever they do.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{UnixCredentials, getsockopt, sockopt::PeerCredentials};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};

use super::signals::Signal;
use super::socket_file::SocketFile;
use super::verdicts::Verdicts;

/// What a client asks.
pub const RELOAD: &str = "reload";

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(3);
/// Clients that have not said yet what they want. One more, and the oldest is closed.
const MOST_CLIENTS: usize = 64;
/// Clients that the kernel keeps until they are accepted.
const BACKLOG: i32 = 64;
/// After accepting failed: the next try would fail at once, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(500);

/// The socket of a server that runs. Its file goes away with this value.
pub struct ControlSocket {
    listener: Option<UnixListener>,
    file: SocketFile,
}

/// Where the socket of a pid file is.
pub fn beside(pid_file: &Path) -> PathBuf {
    let mut path = pid_file.as_os_str().to_os_string();
    path.push(".control");
    path.into()
}

/// Who is at the other end. The process is 0 if it cannot be seen from here, as in another container.
pub fn peer(stream: &UnixStream) -> io::Result<UnixCredentials> {
    Ok(getsockopt(stream, PeerCredentials)?)
}

impl ControlSocket {
    /// Opens the socket beside a pid file. Clients are refused until it has its rights.
    pub fn open(pid_file: &Path) -> io::Result<ControlSocket> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        let file = SocketFile::bind(&socket, &beside(pid_file), 0o600)?;
        socket.listen(BACKLOG)?;
        Ok(ControlSocket { listener: Some(socket.into()), file })
    }

    /// Serves clients from now on, on a thread of its own: a client that asks for a reload is kept with the others that
    /// wait for the verdict, then the reload is asked for.
    pub fn answer(&mut self, verdicts: Arc<Verdicts>, pass: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let mut desk = Desk { listener, clients: VecDeque::new(), is_failing: false };
        let work = move || {
            loop {
                for client in desk.next() {
                    log::info!("a reload is asked for over the control socket");
                    verdicts.ask(Box::new(client));
                    pass(Signal::Reload);
                }
            }
        };
        std::thread::Builder::new().name("control".into()).spawn(work).map(drop)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Err(error) = self.file.remove() {
            log::error!("cannot remove {}: {error}", self.file.path().display());
        }
    }
}

/// A client that has not said yet what it wants.
struct Client {
    stream: UnixStream,
    line: Vec<u8>,
    until: Instant,
}

/// What a client has said so far.
enum Said {
    Reload,
    NotYet,
    /// Something else, or nothing and it has left.
    Nothing,
}

/// All that is known of clients.
struct Desk {
    listener: UnixListener,
    /// In the order in which they came.
    clients: VecDeque<Client>,
    /// Accepting failed the last time, which is in the log.
    is_failing: bool,
}

impl Desk {
    /// Waits for something to happen; the clients that ask for a reload.
    fn next(&mut self) -> Vec<UnixStream> {
        self.wait();
        let mut asking = Vec::new();
        let now = Instant::now();
        for mut client in std::mem::take(&mut self.clients) {
            match client.said() {
                Said::Reload => asking.push(client.stream),
                Said::NotYet if client.until > now => self.clients.push_back(client),
                Said::NotYet | Said::Nothing => {}
            }
        }
        asking.extend(self.accept());
        asking
    }

    fn wait(&self) {
        let time =
            |left: Duration| Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let mut all: Vec<PollFd<'_>> = vec![PollFd::new(&self.listener, PollFlags::IN)];
        all.extend(self.clients.iter().map(|client| PollFd::new(&client.stream, PollFlags::IN)));
        let left = self.clients.front().map(|first| time(first.until.saturating_duration_since(Instant::now())));
        if let Err(error) = poll(&mut all, left.as_ref())
            && error != rustix::io::Errno::INTR
        {
            std::thread::sleep(PAUSE);
        }
    }

    /// Accepts some of those that have come; most have said at once what they want.
    fn accept(&mut self) -> Vec<UnixStream> {
        let mut asking = Vec::new();
        for _ in 0..MOST_CLIENTS {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => break,
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        log::warn!("the control socket cannot accept a client: {error}");
                    }
                    std::thread::sleep(PAUSE);
                    break;
                }
            };
            self.is_failing = false;
            if !may_ask(&stream) || stream.set_nonblocking(true).is_err() {
                continue;
            }
            let mut client = Client { stream, line: Vec::new(), until: Instant::now() + PATIENCE };
            match client.said() {
                Said::Reload => asking.push(client.stream),
                Said::Nothing => {}
                Said::NotYet => {
                    if self.clients.len() == MOST_CLIENTS {
                        self.clients.pop_front();
                    }
                    self.clients.push_back(client);
                }
            }
        }
        asking
    }
}

impl Client {
    fn said(&mut self) -> Said {
        let most = RELOAD.len() + 1;
        let left = (most - self.line.len()) as u64;
        match (&self.stream).take(left).read_to_end(&mut self.line) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && self.line.len() < most => return Said::NotYet,
            Err(_) => return Said::Nothing,
        }
        if self.line.strip_suffix(b"\n") == Some(RELOAD.as_bytes()) { Said::Reload } else { Said::Nothing }
    }
}

/// Whether this client may ask for anything. Its rights on the file say so; this holds where they do not, as on a file system
/// without rights.
fn may_ask(stream: &UnixStream) -> bool {
    let Ok(peer) = peer(stream) else { return false };
    let is_known = peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw();
    if !is_known {
        log::warn!("user {} may not use the control socket", peer.uid());
    }
    is_known
}
