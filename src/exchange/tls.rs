//! What a request may know of the TLS connection it came by: facts that were settled in the handshake, as values. Knows
//! neither the library that made them nor any setting.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// How a connection is protected.
#[derive(Debug, Clone, Default)]
pub enum Security {
    /// Not at all, and nobody asked for it.
    #[default]
    Plain,
    /// Not at all, on a port where TLS is spoken.
    Missing,
    /// By TLS.
    Tls(std::sync::Arc<Session>),
}

impl Security {
    /// The session, if there is one.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Security::Tls(session) => Some(session),
            _ => None,
        }
    }
}

/// What was settled in a handshake. Names are those of OpenSSL.
#[derive(Debug, Default)]
pub struct Session {
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: &'static str,
    /// The cipher suite.
    pub cipher: &'static str,
    /// The curve of the key exchange; empty if it is not known.
    pub curve: &'static str,
    /// The name that the client asked for (SNI), in lower case.
    pub name: Option<Bytes>,
    /// Whether a server of the conf has that name: it is the connection's server then, not the address's default.
    pub is_bound: bool,
    /// The protocol that was agreed on by ALPN.
    pub alpn: Option<Bytes>,
    /// Whether an earlier session was taken up again.
    pub reused: bool,
    /// The cipher suites that the client offered, as numbers.
    pub ciphers: Box<[u16]>,
    /// The curves that the client offered, as numbers.
    pub curves: Box<[u16]>,
    /// The client's certificates in DER, its own first.
    pub chain: Vec<Vec<u8>>,
    /// The last verdict on these certificates, and whose it was.
    verdict: Mutex<Option<(u64, Verdict)>>,
}

/// What came of the check of a client's certificate: OpenSSL's number and words, 0 if it is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The number.
    pub code: u32,
    /// What is wrong.
    pub words: &'static str,
}

impl Verdict {
    /// A certificate with nothing wrong.
    pub const GOOD: Verdict = Verdict { code: 0, words: "ok" };
}

impl Session {
    /// A session of which nothing is known but what the client asked for.
    pub fn asking(name: Option<Bytes>, is_bound: bool) -> Session {
        Session { name, is_bound, ..Session::default() }
    }

    /// The verdict of this judge; worked out once for all requests that come to it in a row.
    pub fn judged_by(&self, judge: u64, verdict: impl FnOnce(&[Vec<u8>]) -> Verdict) -> Verdict {
        let mut last = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((by, verdict)) if by == judge => verdict,
            _ => {
                let verdict = verdict(&self.chain);
                *last = Some((judge, verdict));
                verdict
            }
        }
    }

    /// The last verdict; none before there was one.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).map(|(_, verdict)| verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_is_asked_once_and_another_one_again() {
        let session = Session::default();
        let bad = Verdict { code: 20, words: "no" };
        assert_eq!(session.verdict(), None);
        assert_eq!(session.judged_by(1, |_| bad), bad);
        assert_eq!(session.judged_by(1, |_| Verdict::GOOD), bad);
        assert_eq!(session.judged_by(2, |_| Verdict::GOOD), Verdict::GOOD);
        assert_eq!(session.verdict(), Some(Verdict::GOOD));
    }
}
