//! What can go wrong between us and one server, in the words that nginx's logs have. Knows not what comes of it.

use std::io;
use std::sync::Arc;

use nix::libc::{EAGAIN, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH};
use rustls::{CertificateError, OtherError};

use super::protocol::Fault;
use crate::exchange::error::Level;

/// What is being done until an answer's head is there.
pub(super) const READING_HEAD: &str = " while reading response header from upstream";

/// What went wrong on a link, in nginx's words.
#[derive(Debug)]
pub enum Trouble {
    /// The system refuses at once to connect to this address.
    Open(Arc<str>, io::Error),
    /// The connection did not come to be.
    Connect(io::Error),
    /// It did not stand in time.
    ConnectTimeout,
    /// There is no TLS with this server.
    Handshake(io::Error),
    /// The handshake was not done in time.
    HandshakeTimeout,
    /// The request could not be written.
    Send(io::Error),
    /// The server took nothing of it in time.
    SendTimeout,
    /// The answer could not be read.
    Receive(io::Error),
    /// The server was silent for too long.
    ReadTimeout,
    /// The answer is wrong.
    Answer(Fault),
    /// The head is longer than allowed.
    TooBig,
}

impl Trouble {
    /// What happened, in the words that nginx's logs have.
    pub fn words(&self) -> String {
        let call = |name: &str, error: &io::Error| match error.raw_os_error() {
            Some(code) => format!("{name} failed ({code}: {})", crate::exchange::error::system_words(error)),
            None => format!("{name} failed ({error})"),
        };
        let late = "upstream timed out (110: Connection timed out)";
        let what = match self {
            Trouble::Open(address, error) => call(&format!("connect() to {address}"), error),
            Trouble::Connect(error) => call("connect()", error),
            Trouble::ConnectTimeout | Trouble::HandshakeTimeout | Trouble::SendTimeout | Trouble::ReadTimeout => {
                late.into()
            }
            Trouble::Handshake(error) => handshake(error),
            Trouble::Send(error) => call("send()", error),
            Trouble::Receive(error) => call("recv()", error),
            Trouble::TooBig => "upstream sent too big header".into(),
            Trouble::Answer(fault) => fault.words(),
        };
        what + self.stage()
    }

    /// How grave it is. That a server is down or cannot be reached happens; a socket that is missing or shut is a mistake.
    pub fn level(&self) -> Level {
        const USUAL: [i32; 7] = [ECONNREFUSED, EAGAIN, ECONNRESET, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH];
        match self {
            Trouble::Open(_, error) if !error.raw_os_error().is_some_and(|code| USUAL.contains(&code)) => Level::Crit,
            _ => Level::Error,
        }
    }

    /// What was being done.
    pub fn stage(&self) -> &'static str {
        match self {
            Trouble::Open(..) | Trouble::Connect(_) | Trouble::ConnectTimeout => " while connecting to upstream",
            Trouble::Handshake(_) | Trouble::HandshakeTimeout => " while SSL handshaking to upstream",
            Trouble::Send(_) | Trouble::SendTimeout => " while sending request to upstream",
            Trouble::Receive(_) | Trouble::ReadTimeout | Trouble::TooBig | Trouble::Answer(_) => READING_HEAD,
        }
    }
}

/// How a handshake failed.
fn handshake(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.raw_os_error()) {
        (Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why)))), _) => {
            format!("upstream SSL certificate verify error: {why}")
        }
        (Some(rustls::Error::InvalidCertificate(_)), _) => format!("upstream SSL certificate verify error: ({error})"),
        (Some(_), _) => format!("SSL_do_handshake() failed (SSL: {error})"),
        (None, Some(code)) => {
            let words = crate::exchange::error::system_words(error);
            format!("peer closed connection in SSL handshake ({code}: {words})")
        }
        (None, None) => "peer closed connection in SSL handshake".into(),
    }
}

impl Fault {
    /// What happened.
    pub fn words(&self) -> String {
        match self {
            Fault::Head(words) | Fault::Body(words) => format!("upstream sent {words}"),
            Fault::Closed => "upstream prematurely closed connection".into(),
            Fault::Refused(words) | Fault::Short(words) => words.clone(),
        }
    }
}
