//! What a request asked of other servers: one entry for each that was tried, in chains, since an answer of theirs may lead the request
//! to further ones. Whoever relays fills it in; variables and the access log read it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::http::field_list::FieldList;

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
    /// Until it was over; none while it goes on, as in nginx.
    pub response_time: Option<Duration>,
    /// The same of one whose answer is whole, before anybody may see it: `settle` shows it.
    pub ended: Option<Duration>,
    /// When its server was chosen; `None` if none could be.
    pub started: Option<Instant>,
    /// Bytes sent to it.
    pub sent: u64,
    /// Bytes it sent.
    pub received: u64,
    /// Bytes of the body of its answer.
    pub length: u64,
}

/// All tries of one request, and what the last answer said. Most requests have none.
#[derive(Debug, Clone, Default)]
pub struct Attempts(Option<Box<Tries>>);

#[derive(Debug, Clone, Default)]
struct Tries {
    /// The beginning and the end of the URL that is asked for, around the server's address, for log lines.
    url: (&'static str, Bytes),
    /// The last try, while its answer goes on coming.
    live: Option<Arc<Mutex<Attempt>>>,
    /// How many chains were begun.
    chains: usize,
    /// The last try, and those before it in order, each with the chain it belongs to, counted from one.
    last: Option<(usize, Attempt)>,
    earlier: Vec<(usize, Attempt)>,
    /// The fields of the last answer as they came.
    fields: FieldList,
}

impl Attempts {
    /// Begins a chain: a handler takes the request up. `url` is the beginning and the end of what it asks for.
    pub fn begin(&mut self, url: (&'static str, Bytes)) {
        self.close();
        let tries = self.0.get_or_insert_default();
        tries.url = url;
        tries.chains += 1;
        tries.fields = FieldList::default();
    }

    /// Notes a new try in the chain that was begun; the one before it is over. `started`: when its server was chosen.
    pub fn add(&mut self, address: impl Into<Arc<str>>, started: Option<Instant>) {
        self.close();
        let tries = self.0.get_or_insert_default();
        let next = (tries.chains, Attempt { address: address.into(), started, ..Attempt::default() });
        tries.earlier.extend(tries.last.replace(next));
        tries.fields = FieldList::default();
    }

    /// The URL that is asked for, or was last; none before any server was.
    pub fn url(&self) -> Option<String> {
        let tries = self.0.as_ref()?;
        let (_, Attempt { address, .. }) = tries.last.as_ref().filter(|(chain, _)| *chain == tries.chains)?;
        Some(format!("{}{address}{}", tries.url.0, crate::http::escape::error_log(&tries.url.1)))
    }

    /// The try that is under way, or the last one.
    pub fn last(&mut self) -> Option<&mut Attempt> {
        let tries = self.0.as_mut()?;
        tries.last.as_mut().filter(|(chain, _)| *chain == tries.chains).map(|(_, one)| one)
    }

    /// Notes what the last answer's head says.
    pub fn answered(&mut self, fields: FieldList) {
        self.0.get_or_insert_default().fields = fields;
    }

    /// The fields of the last answer as they came; none before there is one.
    pub fn fields(&self) -> Option<&FieldList> {
        self.0.as_ref().map(|tries| &tries.fields)
    }

    /// A handle on the last try for whatever goes on with its answer.
    pub fn share(&mut self) -> Arc<Mutex<Attempt>> {
        let last = self.last().cloned().unwrap_or_default();
        let shared = Arc::new(Mutex::new(last));
        self.0.get_or_insert_default().live = Some(shared.clone());
        shared
    }

    /// What comes now is no part of the last try.
    fn close(&mut self) {
        self.settle();
        if let Some(tries) = &mut self.0 {
            tries.live = None;
        }
    }

    /// The request is over: takes in how the last try stands now, and one that still goes on ends here.
    pub fn settle(&mut self) {
        let Some(tries) = &self.0 else { return };
        let live = tries.live.clone();
        let Some(last) = self.last() else { return };
        if let Some(live) = live {
            // Nothing that can panic runs under this lock.
            last.clone_from(&live.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        }
        let until_now = || last.started.map(|started| started.elapsed());
        last.response_time = last.response_time.or(last.ended).or_else(until_now);
    }

    /// A text of all tries: those of a chain are separated by a comma, chains by a colon. None without any chain.
    pub fn join(&self, one: impl Fn(&Attempt) -> String) -> Option<String> {
        let tries = self.0.as_ref()?;
        let chain = |chain| {
            let its = tries.earlier.iter().chain(&tries.last).filter(|(of, _)| *of == chain);
            its.map(|(_, attempt)| one(attempt)).collect::<Vec<_>>().join(", ")
        };
        Some((1..=tries.chains).map(chain).collect::<Vec<_>>().join(" : "))
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
        attempts.begin(("http://", Bytes::new()));
        for address in ["a", "b"] {
            attempts.add(address, None);
            attempts.last().expect("one was added").status = 502;
        }
        assert_eq!(shown(&attempts).as_deref(), Some("a=502, b=502"));
        attempts.begin(("http://", "/x".into()));
        assert_eq!(shown(&attempts).as_deref(), Some("a=502, b=502 : "));
        attempts.add("c", None);
        assert_eq!(shown(&attempts).as_deref(), Some("a=502, b=502 : c=0"));
        assert_eq!(attempts.url().as_deref(), Some("http://c/x"));
    }
}
