//! The socket beside the pid file: `-s reload` asks there and hears the verdict, which a signal cannot bring back. Only its
//! owner and root may connect.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_peercred;
use socket2::{Domain, SockAddr, Socket, Type};

use super::signals::Signal;
use super::socket_file::SocketFile;
use super::verdicts::{IN_FORCE, REFUSED, SAID, Verdicts};
use crate::conf::way::{Links, Spot};

/// How long a client may take to say what it wants, and to take what it is told.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long is waited for a verdict.
const FOR_A_VERDICT: Duration = Duration::from_secs(10);
/// What a client asks.
const RELOAD: &str = "reload";
/// No verdict is longer.
const MOST: u64 = 64 << 10;

/// The socket of a server that runs. Its file goes away with this value.
pub struct ControlSocket {
    listener: Option<UnixListener>,
    file: SocketFile,
}

/// Where the socket of a pid file is.
fn beside(pid_file: &Path) -> PathBuf {
    let mut path = pid_file.as_os_str().to_os_string();
    path.push(".control");
    path.into()
}

impl ControlSocket {
    /// Opens the socket beside a pid file.
    pub fn open(pid_file: &Path) -> io::Result<ControlSocket> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        let file = SocketFile::bind(&socket, &beside(pid_file), 0o600)?;
        socket.listen(8)?;
        Ok(ControlSocket { listener: Some(socket.into()), file })
    }

    /// Answers from now on, on a thread of its own: who asks is kept with the others who wait, then the reload is asked for.
    pub fn answer(&mut self, verdicts: Arc<Verdicts>, pass: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let work = move || {
            for client in listener.incoming() {
                match client.and_then(asked) {
                    Ok(Some(client)) => {
                        log::info!("a reload is asked for over the control socket");
                        verdicts.ask(Box::new(client));
                        pass(Signal::Reload);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        log::warn!("a client of the control socket was not understood: {error}");
                        // Where there are no descriptors left, the next try would fail at once.
                        std::thread::sleep(Duration::from_millis(10));
                    }
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

/// A client that asks for a reload; none for one that wants nothing.
fn asked(client: UnixStream) -> io::Result<Option<UnixStream>> {
    let peer = socket_peercred(&client)?.uid;
    if !peer.is_root() && peer != rustix::process::geteuid() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new((&client).take(RELOAD.len() as u64 + 1)).read_line(&mut line)?;
    match line.trim_end() {
        RELOAD => Ok(Some(client)),
        "" => Ok(None),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// What became of a reload.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The new conf is in force.
    InForce,
    /// The old one stays.
    Refused,
    /// The server ended meanwhile.
    Gone,
    /// Nothing was heard in time.
    Unknown,
}

/// Asks the server of a pid file, which is this process, for a reload and waits; `tell` gets what there is to say. None
/// where nothing answers in that server's name: it takes signals only.
pub fn reload(pid_file: &Path, pid: i32, tell: impl FnMut(&str)) -> Option<Verdict> {
    let spot = Spot::of(&beside(pid_file), Links::of_this_process()).ok()?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).ok()?;
    socket.connect(&SockAddr::unix(spot.steady_path()).ok()?).ok()?;
    let stream: UnixStream = socket.into();
    let server = socket_peercred(&stream).ok()?;
    let is_meant = server.pid.as_raw_nonzero().get() == pid;
    if !is_meant {
        return None;
    }
    io::Write::write_all(&mut &stream, format!("{RELOAD}\n").as_bytes()).ok()?;
    Some(hear(&stream, Instant::now() + FOR_A_VERDICT, tell))
}

fn hear(stream: &UnixStream, until: Instant, mut tell: impl FnMut(&str)) -> Verdict {
    let mut lines = BufReader::new(stream.take(MOST));
    let mut line = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Verdict::Unknown;
        }
        match lines.read_until(b'\n', &mut line) {
            Ok(_) if line.last() == Some(&b'\n') => {}
            Ok(_) => return Verdict::Gone,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
            Err(_) => return Verdict::Gone,
        }
        let text = String::from_utf8_lossy(&line);
        match text.trim_end() {
            IN_FORCE => return Verdict::InForce,
            REFUSED => return Verdict::Refused,
            said => tell(said.strip_prefix(SAID).unwrap_or(said)),
        }
        line.clear();
    }
}
