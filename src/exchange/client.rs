//! Who is at the other end of a connection, as far as the connection tells. Knows no request.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::tls;

/// Who is at the other end, fixed for the life of the connection.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Its address; none on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// The address it connected to; none on a Unix socket.
    pub local: Option<SocketAddr>,
    /// The path of the Unix socket it connected to.
    pub unix: Option<Arc<str>>,
    /// The connection's number since the process started, as nginx's `*17` in logs.
    pub number: u64,
    /// The address that was its peer before a field of the request named another (`real_ip_header`); none if nothing did.
    pub replaced: Option<Box<Option<SocketAddr>>>,
    /// What a proxy said of it, if one did.
    pub announced: Option<Arc<Announced>>,
    /// How the connection is protected.
    pub security: tls::Security,
}

/// What a proxy announced before the first byte of a connection by the PROXY protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Who the client is.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
    /// What else the proxy says, coded as it came.
    pub fields: Bytes,
}
