//! The handshake of TLS as a phase of a connection, parked like any other while the client is waited for, and what is said of one
//! that failed.

use std::sync::Arc;
use std::time::Instant;

use rustls::server::ClientHello;

use super::connection::{Connection, Phase};
use super::greeting::Greeting;
use super::slot::Parked;
use super::tls::Shake;
use super::transport::Transport;
use super::worker::{Turn, Worker};
use crate::exchange::error::{Level, Report};
use crate::exchange::tls::Security;
use crate::http::escape;
use crate::pipeline;

/// No name of a host is longer (RFC 1035 section 2.3.4): that much of a wrong one is told.
const LONGEST_NAME: usize = 255;

impl Worker {
    /// Goes on with a handshake.
    pub(super) fn greet(&mut self, c: &mut Connection, mut greeting: Box<Greeting>) -> Turn {
        let entry = self.entry(c).clone();
        let group = self.group(c, &entry).clone();
        let mut early = (group.finds_late && greeting.certified.is_none())
            .then(|| self.carried(c, &entry, &group, Default::default(), Instant::now()));
        let Transport::Tls(tls) = &mut c.endpoint.socket else { return Turn::Close };
        if !group.tls {
            // This address shares its socket with another one where TLS is spoken.
            tls.go_bare();
            c.phase = Phase::Idle;
            return Turn::Go;
        }
        let mut choose =
            |hello: &ClientHello<'_>| greeting.read(hello, &group, early.as_mut().map(|carried| &mut carried.task.run));
        match tls.shake(&mut self.scratch.buffer, &mut choose) {
            Shake::Blocked { sending } => {
                let deadline = greeting.deadline;
                c.phase = Phase::Greeting(greeting);
                Turn::Park(if sending { Parked::Busy } else { Parked::Head }, deadline)
            }
            Shake::Done => {
                c.endpoint.drained = tls.is_dry() && !c.place.slot().has_ended();
                c.security = match tls.session() {
                    Some(done) => Security::Tls(Arc::new(greeting.finish(done))),
                    None => return Turn::Close,
                };
                c.phase = Phase::Idle;
                Turn::Go
            }
            Shake::Bare(n) => {
                c.endpoint.take_read(&self.scratch.buffer[..n], self.scratch.buffer.len(), c.place.slot().heard());
                c.security = Security::Missing;
                c.phase = Phase::Idle;
                Turn::Go
            }
            Shake::Left => {
                self.report_handshake(c, Level::Info, "peer closed connection in SSL handshake");
                Turn::Close
            }
            Shake::Failed(why) => {
                if let Some(lack) = greeting.lack.take() {
                    self.report_handshake(c, Level::Error, &lack);
                }
                self.report_handshake(c, Level::Info, &format!("SSL_do_handshake() failed (SSL: {why})"));
                Turn::Close
            }
            Shake::NoHost(name) => {
                let shown = escape::error_log(&name[..name.len().min(LONGEST_NAME)]);
                let why = format!("client asked for the server name \"{shown}\" (SNI), which is no host name");
                self.report_handshake(c, Level::Warn, &why);
                Turn::Close
            }
        }
    }

    /// A line in the error log about a handshake that came to nothing.
    pub(super) fn report_handshake(&mut self, c: &Connection, level: Level, why: &str) {
        let entry = self.entry(c).clone();
        let group = self.group(c, &entry).clone();
        // Where a proxy announced the client, it is the client that the line names.
        let mut task = self.carried(c, &entry, &group, Default::default(), Instant::now()).task;
        task.run.name_client();
        let report = Report::new(level, format!("{why} while SSL handshaking"));
        let logs = &entry.logs;
        let write = &mut |log, line: &[u8]| logs.write_error(log, line);
        pipeline::connection_lines(&task.run.x.client, &group.default, &report, write);
    }
}
