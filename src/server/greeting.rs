//! What is known of a handshake of TLS while it is under way: which server it is for, and what was settled in it. Knows no connection.

use std::sync::Arc;

use bytes::Bytes;
use rustls::server::{ClientHello, ServerConnection};
use rustls::{HandshakeKind, ProtocolVersion};

use super::tls::Choice;
use crate::exchange::tls::{Security, Session};
use crate::pipeline::Run;
use crate::route::Server;
use crate::settings::sockets::Group;
use crate::tls::ciphers;

/// A handshake under way.
pub struct Greeting {
    /// When it must be done.
    pub deadline: u64,
    /// What the client's first message said, as the session will remember it.
    asked: Session,
    /// The server whose certificates it gets.
    pub certified: Option<Arc<Server>>,
    /// Why there is no certificate for it.
    pub lack: Option<String>,
}

impl Greeting {
    /// One of which nothing has come.
    pub fn until(deadline: u64) -> Self {
        Greeting { deadline, asked: Session::default(), certified: None, lack: None }
    }

    /// Reads the client's first message and finds the server that it is for. Certificates that hang on variables are found with
    /// the help of `run`.
    pub fn read(&mut self, hello: &ClientHello<'_>, group: &Group, run: Option<&mut Run>) -> Choice {
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
    pub fn finish(self, done: &ServerConnection) -> Session {
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
