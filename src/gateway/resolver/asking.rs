//! The resolver's thread: it asks the name servers over UDP and, where an answer does not fit, over TCP; it asks again when
//! none comes, the next server each time. It ends when nobody has asked for a while.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::ask::{Ask, Standing};
use super::packet::{Kind, LONGEST_CHAIN};
use super::{Lost, Resolver, Want};

/// After so long without an answer the next server is asked.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long the thread stays when nobody asks.
const LINGER: Duration = Duration::from_secs(10);
/// So often one server may be asked again for one name: for each alias, and over TCP.
const MOST_AGAIN: usize = 2 * LONGEST_CHAIN + 2;
/// The token of the waker.
const NEWS: Token = Token(0);

/// Starts the thread; what wakes it.
pub(super) fn start(resolver: Arc<Resolver>) -> io::Result<Arc<mio::Waker>> {
    let poll = Poll::new()?;
    let waker = Arc::new(mio::Waker::new(poll.registry(), NEWS)?);
    let asker = Asker { resolver, poll, asks: HashMap::new(), next: 1 };
    let guard = Guard(asker.resolver.clone());
    let work = move || {
        asker.run();
        drop(guard);
    };
    std::thread::Builder::new().name("resolver".into()).spawn(work)?;
    Ok(waker)
}

/// Should the thread panic, those who wait are told, and the next one starts another.
struct Guard(Arc<Resolver>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.state();
            state.thread = None;
            state.fresh.clear();
            state.asked.drain().for_each(|(_, pending)| pending.finish(Err(Lost::Busy)));
        }
    }
}

struct Asker {
    resolver: Arc<Resolver>,
    poll: Poll,
    asks: HashMap<Token, Ask>,
    next: usize,
}

impl Asker {
    fn run(mut self) {
        let mut events = Events::with_capacity(128);
        let mut last = Instant::now();
        loop {
            self.take_up();
            let now = Instant::now();
            if !self.asks.is_empty() {
                last = now;
            } else if now.duration_since(last) >= LINGER && self.is_over() {
                return;
            }
            let due = self.asks.values().map(|ask| ask.due).min().unwrap_or(last + LINGER);
            let wait = due.saturating_duration_since(now) + Duration::from_millis(1);
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != ErrorKind::Interrupted
            {
                log::error!("the resolver cannot wait for answers: {error}");
                std::thread::sleep(Duration::from_millis(100));
            }
            let tokens: Vec<_> = events.iter().map(|event| event.token()).filter(|token| *token != NEWS).collect();
            for token in tokens {
                self.look(token);
            }
            self.go_on_late(Instant::now());
        }
    }

    /// Whether nobody asked meanwhile; then the next one starts another thread.
    fn is_over(&self) -> bool {
        let mut state = self.resolver.state();
        let over = state.fresh.is_empty();
        if over {
            state.thread = None;
        }
        over
    }

    fn take_up(&mut self) {
        let fresh = std::mem::take(&mut self.resolver.state().fresh);
        for (key, pending) in fresh {
            let plan = &self.resolver.plan;
            let kinds = match key.want {
                Want::Addresses => [(plan.v4, Kind::A), (plan.v6, Kind::Aaaa)],
                Want::Services => [(true, Kind::Srv), (false, Kind::Srv)],
            };
            let kinds = kinds.into_iter().filter(|(wanted, _)| *wanted).map(|(_, kind)| kind);
            let token = Token(self.next);
            let ask = Ask::new(key, pending, kinds, self.next);
            // A token that is still in use after so many would be a name asked for since the start of time.
            self.next = self.next.wrapping_add(1).max(1);
            self.asks.insert(token, ask);
            self.ask_next(token);
        }
    }

    /// Asks the next server; when all were asked, it waits before it begins anew. What the others are asked may still be answered.
    fn ask_next(&mut self, token: Token) {
        let servers = &self.resolver.plan.servers;
        let Some(ask) = self.asks.get_mut(&token) else { return };
        let Some(server) = servers.get((ask.begin + ask.tries) % servers.len().max(1)) else {
            return self.finish(token);
        };
        (ask.tries, ask.again) = (ask.tries + 1, 0);
        ask.due = Instant::now() + PATIENCE;
        if let Err(error) = ask.send_rest(*server, token, &self.poll) {
            self.failed(token, *server, &error);
        }
    }

    fn failed(&mut self, token: Token, server: SocketAddr, error: &io::Error) {
        let servers = &self.resolver.plan.servers;
        let Some(ask) = self.asks.get_mut(&token) else { return };
        let name = crate::http::escape::error_log(ask.key.name.as_bytes());
        log::error!("{error} while resolving {name}, resolver: {server}");
        let is_last = servers.get((ask.begin + ask.tries - 1) % servers.len().max(1)) == Some(&server);
        // Each server gets one chance at once; then the patience of the last one is waited for.
        if is_last && ask.tries % servers.len().max(1) != 0 {
            self.ask_next(token);
        }
    }

    /// Drops what nobody waits for and asks again where no answer came.
    fn go_on_late(&mut self, now: Instant) {
        let late: Vec<_> = self.asks.iter().filter(|(_, ask)| ask.due <= now).map(|(token, _)| *token).collect();
        for token in late {
            let Some(ask) = self.asks.get(&token) else { continue };
            match ask.standing() {
                _ if self.drop_if_left(ask) => _ = self.asks.remove(&token),
                Standing::Open => self.ask_next(token),
                Standing::Settled | Standing::Refused(_) => self.finish(token),
            }
        }
    }

    /// Forgets a name that nobody waits for any more.
    fn drop_if_left(&self, ask: &Ask) -> bool {
        // Under the lock nobody can join in between.
        let mut state = self.resolver.state();
        let left = ask.pending.waiters().is_empty();
        if left {
            state.asked.remove(&ask.key);
        }
        left
    }

    fn look(&mut self, token: Token) {
        let Some(ask) = self.asks.get_mut(&token) else { return };
        let seen = ask.look();
        for (server, part, tcp) in seen.again {
            let Some(ask) = self.asks.get_mut(&token) else { return };
            ask.again += 1;
            let sent = match ask.again > MOST_AGAIN {
                true => Err(io::Error::other("the answers lead nowhere")),
                false => ask.send(server, &[part], token, &self.poll, tcp),
            };
            if let Err(error) = sent {
                self.failed(token, server, &error);
            }
        }
        for (server, error) in seen.failed {
            self.failed(token, server, &error);
        }
        let Some(ask) = self.asks.get(&token) else { return };
        match ask.standing() {
            Standing::Open => {}
            Standing::Refused(_) if ask.tries < self.resolver.plan.servers.len() => self.ask_next(token),
            // It has until the next would be asked.
            Standing::Refused(true) => {}
            Standing::Refused(false) | Standing::Settled => self.finish(token),
        }
    }

    fn finish(&mut self, token: Token) {
        if let Some(ask) = self.asks.remove(&token) {
            let key = ask.key.clone();
            self.resolver.finish(&key, ask.result());
        }
    }
}
