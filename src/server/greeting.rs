//! The handshake of TLS as a phase of a connection: which server it is for, what was settled in it, and what is said of
//! one that failed. Parked like any other phase while the client is waited for.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rustls::server::{ClientHello, ServerConnection};
use rustls::{HandshakeKind, ProtocolVersion};

use super::connection::{Connection, Phase};
use super::reading::Input;
use super::slot::Parked;
use super::tls::{Choice, Shake};
use super::transport::Transport;
use super::worker::{Turn, Worker};
use crate::exchange::error::{Level, Report};
use crate::exchange::tls::{Security, Session};
use crate::http::escape;
use crate::pipeline::{self, Run};
use crate::route::Server;
use crate::settings::sockets::Group;
use crate::tls::ciphers;

/// No name of a host is longer (RFC 1035 section 2.3.4): that much of a wrong one is told.
const LONGEST_NAME: usize = 255;

/// A handshake under way.
pub struct Greeting {
    /// When it must be done.
    pub deadline: u64,
    /// What the client's first message said, as the session will remember it.
    asked: Session,
    /// The server whose certificates it gets.
    certified: Option<Arc<Server>>,
    /// Why there is no certificate for it.
    lack: Option<String>,
}

impl Greeting {
    /// One of which nothing has come.
    pub fn until(deadline: u64) -> Self {
        Greeting { deadline, asked: Session::default(), certified: None, lack: None }
    }

    /// Reads the client's first message and finds the server that it is for. Certificates that hang on variables are found with
    /// the help of `run`.
    fn read(&mut self, hello: &ClientHello<'_>, group: &Group, run: Option<&mut Run>) -> Choice {
        let name = hello.server_name().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let greeted = group.greet(name.as_ref().map(String::as_bytes));
        self.asked.is_bound = greeted.named.is_some();
        self.asked.name = name.clone().map(Bytes::from);
        self.asked.ciphers = hello.cipher_suites().iter().map(|suite| u16::from(*suite)).collect();
        self.asked.curves = hello.named_groups().unwrap_or_default().iter().map(|curve| u16::from(*curve)).collect();
        let certified = self.certified.insert(greeted.certified);
        let config = match (&certified.tls, run) {
            (Some(context), Some(run)) if context.is_late() => {
                run.choose(greeted.named.unwrap_or_else(|| group.default.clone()));
                let mut known = Session::asking(self.asked.name.clone(), self.asked.is_bound);
                known.ciphers.clone_from(&self.asked.ciphers);
                known.curves.clone_from(&self.asked.curves);
                run.x.client.security = Security::Tls(Arc::new(known));
                match context.late_config(&run.x) {
                    Ok(config) => config,
                    Err(lack) => {
                        self.lack = Some(lack);
                        return Choice::Fail;
                    }
                }
            }
            (context, _) => context.as_ref().and_then(|context| context.config.clone()),
        };
        config.map_or(Choice::Reject, Choice::Config)
    }

    /// The session, now that the handshake is done.
    fn finish(self, done: &ServerConnection) -> Session {
        let mut session = self.asked;
        session.protocol = match done.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "",
        };
        session.cipher = done.negotiated_cipher_suite().map_or("", ciphers::name_of);
        session.curve = done.negotiated_key_exchange_group().map_or("", ciphers::curve_name);
        session.alpn = done.alpn_protocol().map(Bytes::copy_from_slice);
        session.reused = done.handshake_kind() == Some(HandshakeKind::Resumed);
        session.chain = done.peer_certificates().unwrap_or_default().iter().map(|der| der.to_vec()).collect();
        if let Some(context) = self.certified.as_ref().and_then(|server| server.tls.as_ref())
            && !session.chain.is_empty()
        {
            context.judge(&session);
        }
        session
    }
}

impl Worker {
    /// Goes on with a handshake.
    pub(super) fn greet(&mut self, c: &mut Connection, mut greeting: Box<Greeting>) -> Turn {
        let entry = self.entry(c).clone();
        let group = self.group(c, &entry).clone();
        let mut early = (group.finds_late && greeting.certified.is_none())
            .then(|| self.task(c, &entry, &group, Default::default(), Instant::now()));
        let Transport::Tls(tls) = &mut c.socket else { return Turn::Close };
        if !group.tls {
            // This address shares its socket with another one where TLS is spoken.
            tls.go_bare();
            c.phase = Phase::Idle;
            return Turn::Go;
        }
        let mut choose =
            |hello: &ClientHello<'_>| greeting.read(hello, &group, early.as_mut().map(|task| &mut task.run));
        match tls.shake(&mut self.buffer, &mut choose) {
            Shake::Blocked { sending } => {
                let deadline = greeting.deadline;
                c.phase = Phase::Greeting(greeting);
                Turn::Park(if sending { Parked::Busy } else { Parked::Head }, deadline)
            }
            Shake::Done => {
                c.drained = tls.is_dry() && !c.place.slot().has_ended();
                c.security = match tls.session() {
                    Some(done) => Security::Tls(Arc::new(greeting.finish(done))),
                    None => return Turn::Close,
                };
                c.phase = Phase::Idle;
                Turn::Go
            }
            Shake::Bare(n) => {
                c.drained = self.is_drained(c, n, self.buffer.len());
                c.security = Security::Missing;
                self.first_bytes(c, Input::Buffer(n))
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
        let mut task = self.task(c, &entry, &group, Default::default(), Instant::now());
        task.run.name_client();
        let report = Report::new(level, format!("{why} while SSL handshaking"));
        let logs = &entry.logs;
        let write = &mut |log, line: &[u8]| logs.write_error(log, line);
        pipeline::connection_lines(&task.run.x.client, &group.default, &report, write);
    }
}
