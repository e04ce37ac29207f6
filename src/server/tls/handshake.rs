//! The handshake of TLS over one socket, never waiting: the client's first message, whose settings go on with it, and what a client
//! is told that gets no further. Knows no server and no request.

use std::sync::Arc;

use rustls::server::{Accepted, AcceptedAlert, Acceptor, ClientHello, ServerConfig};
use rustls::{Error, PeerMisbehaved};

use super::{LEAST, PIECE, RECORD, State, Tls, held};
use crate::server::socket::Io;
use crate::tls::hello;

/// A client's first message as far as it has come.
#[derive(Default)]
pub(super) struct Hello {
    acceptor: Acceptor,
    /// What came before its last piece.
    seen: Vec<u8>,
}

/// How far a handshake came.
#[derive(Debug)]
pub enum Shake {
    /// It waits for the client, with bytes to send or without.
    Blocked {
        /// Whether something is still to be sent.
        sending: bool,
    },
    /// It is done.
    Done,
    /// The client speaks no TLS; so many bytes of what it speaks are in the buffer.
    Bare(usize),
    /// The client left.
    Left,
    /// It failed; the client was told.
    Failed(String),
    /// The client asked for a name that is none of a host; it was told.
    NoHost(Vec<u8>),
}

/// Why a handshake goes no further.
enum Failure {
    Text(String),
    NoHost(Vec<u8>),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure::Text(text)
    }
}

/// What a server does with a client's first message.
pub enum Choice {
    /// It goes on with these settings.
    Config(Arc<ServerConfig>),
    /// It wants nothing to do with it.
    Reject,
    /// It would go on and lacks what it needs.
    Fail,
}

/// Alerts before there are any keys (RFC 8446 sections 5.1 and 6): "unrecognized_name", "internal_error" and "decode_error".
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
const INTERNAL_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

impl Hello {
    /// Keeps a piece in case that the name in the message has to be told.
    fn keep(&mut self, piece: &[u8]) {
        let room = hello::MOST.saturating_sub(self.seen.len());
        self.seen.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// What is said of a first message that was refused.
    fn failure(&mut self, error: &Error, last: &[u8]) -> Failure {
        if !matches!(error, Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName)) {
            return Failure::Text(error.to_string());
        }
        self.keep(last);
        hello::server_name(&self.seen).map_or_else(|| Failure::Text(error.to_string()), Failure::NoHost)
    }
}

impl Tls {
    /// Goes on with the handshake as far as it goes. `choose` sees the client's first message.
    pub fn shake(&mut self, buffer: &mut [u8], choose: &mut dyn FnMut(&ClientHello<'_>) -> Choice) -> Shake {
        loop {
            if let State::Session(session) = &self.state
                && !session.is_handshaking()
            {
                // Tickets that wait here go out with the answer if the request has come, else now.
                if !self.holds_input() {
                    self.flush();
                }
                return Shake::Done;
            }
            match self.flush() {
                Io::Gone | Io::End => return Shake::Left,
                Io::Blocked => return Shake::Blocked { sending: true },
                Io::Bytes(_) => {}
            }
            // What stands behind the handshake has to fit what rustls keeps of it.
            let most = buffer.len().min(LEAST);
            let n = match self.socket.receive(&mut buffer[..most]) {
                Io::Bytes(n) => n,
                Io::Blocked => return Shake::Blocked { sending: false },
                Io::End | Io::Gone => return Shake::Left,
            };
            self.is_dry = n < most;
            if matches!(self.state, State::Fresh) {
                // A handshake begins with 22; what has its high bit set is one of SSL 2. The rest is meant for HTTP.
                if buffer[0] != 22 && buffer[0] & 0x80 == 0 {
                    self.state = State::Bare;
                    return Shake::Bare(n);
                }
                self.state = State::Greeting(Box::default());
            }
            if let Err(failure) = self.take_in(&buffer[..n], choose) {
                self.flush();
                self.state = State::Failed;
                return match failure {
                    Failure::Text(text) => Shake::Failed(text),
                    Failure::NoHost(name) => Shake::NoHost(name),
                };
            }
        }
    }

    /// Gives bytes from the socket to the handshake.
    fn take_in(&mut self, mut bytes: &[u8], choose: &mut dyn FnMut(&ClientHello<'_>) -> Choice) -> Result<(), Failure> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Greeting(hello) => {
                    let before = bytes;
                    hello.acceptor.read_tls(&mut bytes).map_err(|error| error.to_string())?;
                    let read = &before[..before.len() - bytes.len()];
                    match hello.acceptor.accept() {
                        Ok(None) => hello.keep(read),
                        Ok(Some(accepted)) => self.greet(accepted, choose)?,
                        Err((error, alert)) => {
                            let failure = hello.failure(&error, read);
                            self.send_alert(alert);
                            return Err(failure);
                        }
                    }
                }
                State::Session(session) => {
                    session.read_tls(&mut bytes).map_err(|error| error.to_string())?;
                    let now = session.process_new_packets().map_err(|error| error.to_string())?;
                    self.held = held(&now);
                }
                State::Fresh | State::Bare | State::Failed => return Ok(()),
            }
        }
        Ok(())
    }

    fn greet(&mut self, accepted: Accepted, choose: &mut dyn FnMut(&ClientHello<'_>) -> Choice) -> Result<(), String> {
        let config = match choose(&accepted.client_hello()) {
            Choice::Config(config) => config,
            Choice::Reject => {
                self.socket.send(&UNRECOGNIZED_NAME);
                return Err("handshake rejected".into());
            }
            Choice::Fail => {
                self.socket.send(&INTERNAL_ERROR);
                return Err("error:0A000179:SSL routines::cert cb error".into());
            }
        };
        match accepted.into_connection(config) {
            Ok(mut session) => {
                session.set_buffer_limit(Some(PIECE + RECORD));
                self.state = State::Session(Box::new(session));
                Ok(())
            }
            Err((error, alert)) => {
                self.send_alert(alert);
                Err(error.to_string())
            }
        }
    }

    /// Tells the client that its first message was wrong. The close says the same where this cannot go out.
    fn send_alert(&mut self, mut alert: AcceptedAlert) {
        let mut bytes = Vec::new();
        // A Vec takes everything.
        let _ = alert.write_all(&mut bytes);
        self.socket.send(if bytes.is_empty() { &DECODE_ERROR } else { &bytes });
    }
}
