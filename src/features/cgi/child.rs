//! One running script: how it is started, what it may use, and that it never outlives its welcome. Whoever drops a
//! child that still runs has its whole process group ended, and what left the group; the reaper sees it to its end.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};
use rustix::process::{PidfdFlags, Resource, Rlimit, pidfd_open, prlimit};

use super::conf::{Conf, Errors, Limits};
use super::copied;
use super::input::Input;
use super::reaper::{self, Orphan};
use super::script::Script;
use super::strays::{self, Mark};
use crate::exchange::Received;
use crate::exchange::children;
use crate::exchange::engine::{Sight, Waker};
use crate::exchange::inflow::Inflow;
use crate::exchange::queue::Permit;
use crate::gateway::env::Variables;

/// A script that was started.
pub struct Child {
    /// None once it is handed over or has ended.
    running: Option<Orphan>,
    /// How it ended.
    ended: Option<ExitStatus>,
    /// When its time is up.
    limit: Option<Instant>,
    kill: Option<Duration>,
    /// Whether it gets KILL then, not TERM.
    kills_at_once: bool,
    number: u32,
    engine: Waker,
}

/// A script and the ends of its pipes.
pub struct Started {
    /// The process.
    pub child: Child,
    /// What it writes, without waiting.
    pub output: ChildStdout,
    /// Its standard error, if that goes to the log or to a file.
    pub errors: Option<ChildStderr>,
    /// The file.
    pub copy: Option<File>,
    /// What its standard input is written from while the body comes.
    pub input: Input,
}

impl Child {
    /// Starts a script. Only what `posix_spawn` can do is asked for, since a fork of a large process takes ten times as
    /// long. All our descriptors close on exec, so the script has its three. `id`: what UNIQUE_ID in its environment says, if
    /// that is the request's.
    pub fn start(
        script: &Script,
        variables: &Variables,
        conf: &Conf,
        body: &mut Received,
        (permit, id): (Permit, Option<String>),
        engine: Waker,
    ) -> io::Result<Started> {
        use std::os::unix::ffi::OsStrExt;
        let os = |bytes: &[u8]| std::ffi::OsStr::from_bytes(bytes).to_os_string();
        let Some((program, arguments)) = script.command.split_first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut command = Command::new(program);
        command.args(arguments).env_clear().current_dir(&script.folder).process_group(0);
        command.envs(variables.iter().map(|(name, value)| (os(name), os(value))));
        let (input, coming) = input(body)?;
        let copy = if let Errors::File(path) = &conf.errors { copied::open(path)? } else { None };
        command.stdin(input).stdout(Stdio::piped());
        command.stderr(match &conf.errors {
            Errors::Log(_) => Stdio::piped(),
            Errors::File(_) if copy.is_some() => Stdio::piped(),
            Errors::Off | Errors::File(_) => Stdio::null(),
        });
        strays::inherit();
        let mut process = children::spawn(&mut command)?;
        // Linux process numbers are positive and fit.
        let (number, pid) = (process.id(), process.id() as i32);
        engine.show(number, Sight::Starts(&command));
        limit(pid, &conf.limits);
        let (input, output, errors) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let descriptor = rustix::process::Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let running = Orphan {
            process,
            mark: Mark::new(pid, id),
            descriptor,
            term_at: None,
            kill_at: None,
            kill: conf.kill,
            engine: engine.clone(),
            heard: Vec::new(),
            _permit: Some(permit),
        };
        let mut child = Child {
            running: Some(running),
            ended: None,
            limit: conf.time().map(|time| Instant::now() + time),
            kill: conf.kill,
            kills_at_once: conf.kills_at_once,
            number,
            engine,
        };
        let output = output.ok_or(io::ErrorKind::BrokenPipe)?;
        let descriptors = [Some(output.as_fd()), errors.as_ref().map(AsFd::as_fd), input.as_ref().map(AsFd::as_fd)];
        descriptors.into_iter().flatten().try_for_each(do_not_wait)?;
        if let Some(running) = &mut child.running {
            let heard = [Some(output.as_fd()), errors.as_ref().map(AsFd::as_fd)].into_iter().flatten();
            running.heard = heard.map(|end| end.try_clone_to_owned()).collect::<io::Result<_>>()?;
        }
        Ok(Started { child, output, errors, copy, input: Input::new(input, coming) })
    }

    /// A descriptor that has news when the process ends; none on a kernel without such.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref()?.descriptor.as_ref().map(OwnedFd::as_fd)
    }

    /// How it ended; none while it runs. An ended process is reaped by this.
    pub fn status(&mut self) -> Option<ExitStatus> {
        let Some(running) = &mut self.running else { return self.ended };
        let status = match running.process.try_wait() {
            Ok(None) => return None,
            Ok(status) => status,
            // Reaped by somebody else: it has ended, and nobody knows how.
            Err(_) => None,
        };
        children::forget(self.number);
        self.show(Sight::Ends(status));
        self.running = None;
        self.ended = Some(status.unwrap_or_default());
        self.ended
    }

    /// The same for a process whose output has just ended: the kernel closes its descriptors a moment before it counts
    /// as ended, and to wait for that moment is cheaper than to come again.
    pub fn status_soon(&mut self) -> Option<ExitStatus> {
        if let Some(descriptor) = self.descriptor().filter(|_| self.ended.is_none()) {
            let mut news = [PollFd::new(descriptor, PollFlags::POLLIN)];
            // An early end of the wait shows below.
            let _ = poll(&mut news, PollTimeout::from(1u8));
        }
        self.status()
    }

    /// Shows what it does to an engine that looks on.
    pub fn show(&self, sight: Sight<'_>) {
        self.engine.show(self.number, sight);
    }

    /// Whether its time is up.
    pub fn is_late(&self, now: Instant) -> bool {
        self.limit().is_some_and(|at| at <= now)
    }

    /// When its time is up: it gets TERM then, or KILL where the conf spares TERM. `None` once it has ended.
    pub fn limit(&self) -> Option<Instant> {
        self.limit.filter(|_| self.ended.is_none())
    }

    /// Its answer is complete and it still runs: it may finish what it does, within its time.
    pub fn let_go(&mut self) {
        if self.status().is_some() {
            return;
        }
        if let Some(mut orphan) = self.running.take() {
            // Nobody listens any more: it may as well be told.
            orphan.heard.clear();
            let at = if self.kills_at_once { &mut orphan.kill_at } else { &mut orphan.term_at };
            *at = self.limit;
            reaper::take_over(orphan);
        }
    }

    /// Ends it, unless it has ended: nobody has a use for what it does.
    pub fn end(&mut self) {
        if self.status().is_some() {
            return;
        }
        if let Some(mut orphan) = self.running.take() {
            let now = Instant::now();
            if self.kills_at_once && self.limit.is_some_and(|at| at <= now) {
                orphan.signal(Signal::SIGKILL);
            } else {
                orphan.signal(Signal::SIGTERM);
                orphan.kill_at = self.kill.map(|time| now + time);
            }
            reaper::take_over(orphan);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

impl Orphan {
    /// Sends a signal to the whole group, and to what left it. The process has not been reaped, so its number is still its own.
    pub fn signal(&mut self, signal: Signal) {
        // Before the group, whose end would leave orphans.
        let to_strays =
            if signal == Signal::SIGKILL { rustix::process::Signal::KILL } else { rustix::process::Signal::TERM };
        self.mark.signal(to_strays);
        let script = Pid::from_raw(self.process.id() as i32);
        // A group that is gone already needs no signal.
        let _ = killpg(script, signal);
        // It may have moved to another.
        if getpgid(Some(script)).is_ok_and(|group| group != script) {
            let _ = kill(script, signal);
        }
        if signal == Signal::SIGKILL {
            self.mark.end_all();
        }
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        reaper::look_soon();
    }
}

/// The body as standard input: an end of file stands behind its last byte, and nobody waits for a writer. One that is
/// still coming goes through a pipe.
fn input(body: &mut Received) -> io::Result<(Stdio, Option<Inflow>)> {
    if let Received::Memory(bytes) = body {
        if bytes.is_empty() {
            return Ok((Stdio::null(), None));
        }
        // It stays what it is, for `$request_body`.
        let mut file = File::from(memfd_create(c"body", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(bytes)?;
        file.rewind()?;
        return Ok((file.into(), None));
    }
    let file = match body.take() {
        Received::Coming(inflow) => return Ok((Stdio::piped(), Some(inflow))),
        Received::File(file, _) => file,
        Received::Nothing | Received::Passed | Received::Memory(_) => return Ok((Stdio::null(), None)),
    };
    (&file).rewind()?;
    Ok((file.into(), None))
}

/// Sets what the process may use, right after it was started: what it does before is its first microseconds.
fn limit(pid: i32, limits: &Limits) {
    let all = [
        (Resource::Cpu, limits.cpu),
        (Resource::As, limits.memory),
        (Resource::Nproc, limits.processes),
        (Resource::Nofile, limits.files),
        (Resource::Fsize, limits.file_size),
    ];
    let pid = rustix::process::Pid::from_raw(pid);
    for (resource, value) in all {
        if let Some(value) = value
            && let Err(error) = prlimit(pid, resource, Rlimit { current: Some(value), maximum: Some(value) })
            && error != rustix::io::Errno::SRCH
        {
            log::error!("cgi_limit: prlimit({resource:?}, {value}) failed ({error})");
        }
    }
}

fn do_not_wait(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFL)?);
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
