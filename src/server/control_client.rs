//! The other end of the control socket: asks a running server for a reload and waits for the verdict. Believes only the
//! process that the pid file names, and not even that one to be quick, short or fit for a terminal.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FileType;
use socket2::{Domain, SockAddr, Socket, Type};

pub use super::control_socket::beside;
use super::control_socket::{RELOAD, peer};
use super::verdicts::{BUSY, IN_FORCE, LONGEST, REFUSED, SAID};
use crate::conf::way::{Links, Spot, by_handle};

/// How long is waited for the server to take the question.
const TO_ASK: Duration = Duration::from_secs(2);
/// How long is waited for a verdict.
const FOR_A_VERDICT: Duration = Duration::from_secs(10);

/// What became of a reload.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The new conf is in force.
    InForce,
    /// The old one stays.
    Refused,
    /// The server ended meanwhile.
    Gone,
    /// Too many wait already to hear of it.
    Busy,
    /// Nothing was heard in time.
    Unknown,
}

/// Asks the server of a pid file, which is this process, for a reload and waits; `tell` gets each line that there is to say. An
/// error where that process does not answer: it takes signals only.
pub fn reload(pid_file: &Path, pid: i32, tell: impl FnMut(&str)) -> io::Result<Verdict> {
    let stream = ask(pid_file, pid)?;
    Ok(hear(&stream, Instant::now() + FOR_A_VERDICT, tell))
}

fn ask(pid_file: &Path, pid: i32) -> io::Result<UnixStream> {
    let spot = Spot::of(&beside(pid_file), Links::of_this_process())?;
    let (held, stat) = spot.look()?.ok_or(ErrorKind::NotFound)?;
    // Its folder may be somebody else's: a link could lead to any socket of the machine.
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no socket"));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Holds for connecting too, where the queue is full.
    socket.set_write_timeout(Some(TO_ASK))?;
    socket.connect(&SockAddr::unix(by_handle(held.as_fd()))?)?;
    let stream: UnixStream = socket.into();
    if peer(&stream)?.pid() != pid {
        return Err(io::Error::new(ErrorKind::PermissionDenied, "another process listens there"));
    }
    (&stream).write_all(format!("{RELOAD}\n").as_bytes())?;
    Ok(stream)
}

fn hear(mut stream: &UnixStream, until: Instant, mut tell: impl FnMut(&str)) -> Verdict {
    let (mut heard, mut piece, mut total) = (Vec::new(), [0; 4096], 0);
    while total <= LONGEST {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Verdict::Unknown;
        }
        match stream.read(&mut piece) {
            Ok(0) => return Verdict::Gone,
            Ok(read) => {
                heard.extend_from_slice(&piece[..read]);
                total += read;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
            Err(_) => return Verdict::Gone,
        }
        while let Some(end) = heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = heard.drain(..=end).collect();
            match &line[..end] {
                line if line == IN_FORCE.as_bytes() => return Verdict::InForce,
                line if line == REFUSED.as_bytes() => return Verdict::Refused,
                line if line == BUSY.as_bytes() => return Verdict::Busy,
                line => tell(&fit_to_show(line.strip_prefix(SAID.as_bytes()).unwrap_or(line))),
            }
        }
    }
    Verdict::Unknown
}

/// Text without anything that a terminal would obey.
fn fit_to_show(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().map(|sign| if sign.is_control() { '\u{fffd}' } else { sign }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(sent: &[u8], ends: bool) -> (Verdict, Vec<String>) {
        let (server, client) = UnixStream::pair().unwrap();
        let mut lines = Vec::new();
        let verdict = std::thread::scope(|scope| {
            scope.spawn(move || {
                let _ = (&server).write_all(sent);
                if !ends {
                    std::thread::sleep(Duration::from_millis(300));
                }
            });
            hear(&client, Instant::now() + Duration::from_millis(200), |line| lines.push(line.to_string()))
        });
        (verdict, lines)
    }

    #[test]
    fn verdicts_and_what_is_said_before_them() {
        let lines = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        for (sent, ends, verdict, said) in [
            ("in force\n", true, Verdict::InForce, lines(&[])),
            ("said one\nsaid refused\nrefused\n", true, Verdict::Refused, lines(&["one", "refused"])),
            ("busy\n", true, Verdict::Busy, lines(&[])),
            ("said one\nin for", true, Verdict::Gone, lines(&["one"])),
            ("said one\n", false, Verdict::Unknown, lines(&["one"])),
            (
                "said \x1b]0;x\x07y\u{9b}m\r\nrefused\n",
                true,
                Verdict::Refused,
                lines(&["\u{fffd}]0;x\u{fffd}y\u{fffd}m\u{fffd}"]),
            ),
        ] {
            assert_eq!(heard(sent.as_bytes(), ends), (verdict, said), "{sent:?}");
        }
    }

    #[test]
    fn neither_a_line_without_end_nor_a_slow_one_holds_the_client() {
        assert_eq!(heard(&vec![b'x'; LONGEST * 2], false).0, Verdict::Unknown);
        let (verdict, lines) = heard(&b"\n".repeat(LONGEST * 2), false);
        assert_eq!((verdict, lines.len() <= LONGEST + 4096), (Verdict::Unknown, true));
        let (server, client) = UnixStream::pair().unwrap();
        let before = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while (&server).write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
            assert_eq!(hear(&client, before + Duration::from_millis(200), |_| {}), Verdict::Unknown);
            drop(client);
        });
        assert!(before.elapsed() < Duration::from_secs(10));
    }
}
