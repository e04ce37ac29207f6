//! TLS over a connection to an upstream: handshake, records and plain bytes, none of which ever waits. Whom to trust is decided
//! by whoever made the configuration.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::socket::Socket;

/// How a connection is made safe.
#[derive(Clone)]
pub struct Secure {
    /// The configuration's number, which no other ever has.
    pub number: u64,
    /// Whom to trust, and what to say.
    pub config: Arc<ClientConfig>,
    /// The name that is checked, and asked for where the configuration says so.
    pub name: ServerName<'static>,
    /// The digest of the certificate that this request alone chose to show.
    pub shown: Option<[u8; 32]>,
}

impl Secure {
    /// What a kept connection of this protocol is good for: one that was found safe under other settings proves nothing here,
    /// and one that was shown another certificate speaks for somebody else.
    pub fn purpose(&self, protocol: &str) -> String {
        format!("{protocol} {:?} {} {:02x?}", self.name, self.number, self.shown.unwrap_or_default())
    }
}

/// A connection in TLS.
#[derive(Debug)]
pub struct Tls {
    pub(super) socket: Socket,
    session: ClientConnection,
    /// Whether bytes of the handshake went out: what fails from then on is the handshake.
    pub(super) has_begun: bool,
}

impl Tls {
    /// TLS over a socket that is being opened.
    pub fn new(socket: Socket, secure: &Secure) -> io::Result<Tls> {
        let session = ClientConnection::new(secure.config.clone(), secure.name.clone()).map_err(io::Error::other)?;
        Ok(Tls { socket, session, has_begun: false })
    }

    /// Goes on with the handshake: `WouldBlock` until it is done.
    pub fn shake(&mut self) -> io::Result<()> {
        loop {
            self.flush()?;
            if !self.session.is_handshaking() {
                return Ok(());
            }
            if self.session.read_tls(&mut self.socket)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Err(error) = self.session.process_new_packets() {
                // The other end hears why, if it still listens.
                let _ = self.flush();
                return Err(io::Error::other(error));
            }
        }
    }

    /// Writes what it takes, once the handshake is done.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.shake()?;
        let n = self.session.writer().write(bytes)?;
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(n),
        }
    }

    /// Reads plain bytes; 0 is the end.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // A server that takes no more may have answered before: what can be read tells.
            let _ = self.flush();
            match self.session.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The end without a word of it (close_notify) is an end too: HTTP knows whether something is missing.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
            if self.session.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            if let Err(error) = self.session.process_new_packets() {
                // The other end hears why, if it still listens.
                let _ = self.flush();
                return Err(io::Error::other(format!("TLS: {error}")));
            }
        }
    }

    /// Says that nothing more will be written.
    pub fn shut(&mut self) {
        self.session.send_close_notify();
        // It fails only when the other end has gone already.
        let _ = self.flush();
        self.socket.shut();
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
            self.has_begun = true;
        }
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Socket::read(self, into)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Socket::write(self, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
