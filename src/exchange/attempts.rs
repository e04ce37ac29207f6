//! What a request asked of other servers: one entry for each that was tried, in chains, since an answer of theirs may lead the request
//! to further ones. Whoever relays fills it in; variables and the access log read it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

/// One try at one server.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// The server's address, or the upstream's name when none of its servers could be asked.
    pub address: Arc<str>,
    /// The status of its answer, or the one that its failure stands for (502, 504); 0 for none.
    pub status: u16,
    /// Until it was connected, TLS included.
    pub connect_time: Option<Duration>,
    /// Until the head of the answer was there.
    pub header_time: Option<Duration>,
    /// Until the answer was there.
    pub response_time: Option<Duration>,
    /// Bytes sent to it.
    pub sent: u64,
    /// Bytes it sent.
    pub received: u64,
    /// Bytes of the body of its answer.
    pub length: u64,
}

/// All tries of one request, and what the last answer said.
#[derive(Debug, Clone, Default)]
pub struct Attempts {
    /// The beginning and the end of the URL that is asked for, around the server's address, for log lines.
    pub url: (&'static str, Bytes),
    /// The last try, while its answer goes on coming.
    live: Option<Arc<Mutex<Attempt>>>,
    /// How many chains were begun.
    chains: usize,
    /// All tries in order, each with the chain it belongs to, counted from one.
    tries: Vec<(usize, Attempt)>,
    /// The fields of the last answer as they came.
    pub fields: Arc<[(Bytes, Bytes)]>,
    /// The trailer fields of the last answer.
    pub trailers: Vec<(Bytes, Bytes)>,
}

impl Attempts {
    /// Begins a chain: a handler takes the request up.
    pub fn begin(&mut self) {
        self.chains += 1;
        self.fields = Arc::default();
        self.trailers.clear();
    }

    /// Notes a new try; the one before it is over.
    pub fn add(&mut self, address: impl Into<Arc<str>>) {
        if self.chains == 0 {
            self.begin();
        }
        self.tries.push((self.chains, Attempt { address: address.into(), ..Attempt::default() }));
        self.fields = Arc::default();
        self.trailers.clear();
    }

    /// The URL that is asked for, or was last; none before any server was.
    pub fn url(&self) -> Option<String> {
        let (_, Attempt { address, .. }) = self.tries.last().filter(|(chain, _)| *chain == self.chains)?;
        Some(format!("{}{address}{}", self.url.0, crate::http::escape::error_log(&self.url.1)))
    }

    /// The try that is under way, or the last one.
    pub fn last(&mut self) -> Option<&mut Attempt> {
        self.tries.last_mut().filter(|(chain, _)| *chain == self.chains).map(|(_, one)| one)
    }

    /// A handle on the last try for whatever goes on with its answer.
    pub fn share(&mut self) -> Arc<Mutex<Attempt>> {
        let last = self.last().cloned().unwrap_or_default();
        let shared = Arc::new(Mutex::new(last));
        self.live = Some(shared.clone());
        shared
    }

    /// Takes in how the last try stands now.
    pub fn settle(&mut self) {
        let Some(live) = self.live.clone() else { return };
        if let Some(last) = self.last() {
            // Nothing that can panic runs under this lock.
            last.clone_from(&live.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        }
    }

    /// A text of all tries: those of a chain are separated by a comma, chains by a colon. None without any chain.
    pub fn join(&self, one: impl Fn(&Attempt) -> String) -> Option<String> {
        let chain = |chain| {
            let tries = self.tries.iter().filter(|(of, _)| *of == chain);
            tries.map(|(_, attempt)| one(attempt)).collect::<Vec<_>>().join(", ")
        };
        (self.chains > 0).then(|| (1..=self.chains).map(chain).collect::<Vec<_>>().join(" : "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_and_tries_are_told_apart() {
        let mut attempts = Attempts::default();
        let shown = |attempts: &Attempts| attempts.join(|one| format!("{}={}", one.address, one.status));
        assert_eq!(shown(&attempts), None);
        assert!(attempts.last().is_none());
        for address in ["a", "b"] {
            attempts.add(address);
            attempts.last().expect("one was added").status = 502;
        }
        assert_eq!(shown(&attempts).as_deref(), Some("a=502, b=502"));
        attempts.begin();
        assert_eq!(shown(&attempts).as_deref(), Some("a=502, b=502 : "));
        attempts.add("c");
        assert_eq!(shown(&attempts).as_deref(), Some("a=502, b=502 : c=0"));
    }
}
