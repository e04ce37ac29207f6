//! Sessions in Redis or Valkey, shared by several machines. A few threads of its own hold the connections, so that no
//! worker ever waits for the server; an order that takes longer than its time is given up by whoever gave it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use redis::{Client, Connection, RedisError, TlsCertificates};

use super::{Order, Outcome, Pending, Vault, carry_out};
use crate::exchange::engine::Waker;
use crate::features::session::record::Entry;
use crate::features::session::ticket::{Key, hex};

/// Threads, and connections.
const CONNECTIONS: usize = 4;
/// Orders that may wait for one.
const WAITING: usize = 1024;
/// A connection that was idle for so long is tried before it is trusted.
const IDLE: Duration = Duration::from_millis(500);

/// Puts the new text under the key for so many milliseconds if the old one is still there (an empty one: nothing).
const SWAP: &str = "local there = redis.call('GET', KEYS[1]) or '' \
    if there ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1";

/// The store.
pub struct Redis {
    client: Client,
    /// What stands before every key.
    prefix: String,
    orders: Mutex<Option<Sender<Job>>>,
}

impl fmt::Debug for Redis {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({})", self.client.get_connection_info().addr())
    }
}

struct Job {
    order: Order,
    pending: Arc<Pending>,
}

impl Redis {
    /// A store by its URL: `redis://[[user]:password@]host[:port][/database]`, or `rediss://` and certificates. Connects to
    /// nobody yet.
    pub fn new(url: &str, zone: &str, certificates: Option<TlsCertificates>) -> Result<Redis, String> {
        let client = match certificates {
            Some(certificates) => Client::build_with_tls(url, certificates),
            None => Client::open(url),
        };
        let client = client.map_err(|error| error.to_string())?;
        Ok(Redis { client, prefix: format!("longshore:{zone}:"), orders: Mutex::new(None) })
    }

    /// Gives an order to the first thread that is free.
    pub fn ask(&self, order: Order, waker: Waker, deadline: Instant) -> Arc<Pending> {
        let pending = Pending::new(waker, deadline);
        let sent = self.threads().and_then(|orders| {
            orders.try_send(Job { order, pending: pending.clone() }).map_err(|error| match error {
                TrySendError::Full(_) => format!("{WAITING} orders wait for it already"),
                TrySendError::Disconnected(_) => "its threads have ended".to_string(),
            })
        });
        if let Err(why) = sent {
            pending.finish(Err(why));
        }
        pending
    }

    /// The way to the threads, which are started at the first order: nothing is started while a conf is only read.
    fn threads(&self) -> Result<Sender<Job>, String> {
        // Nothing that can panic runs under this lock.
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = &*orders {
            return Ok(orders.clone());
        }
        let (sender, receiver) = bounded(WAITING);
        for number in 0..CONNECTIONS {
            let (client, prefix, receiver) = (self.client.clone(), self.prefix.clone(), receiver.clone());
            // They end when the store is dropped, with the conf that named it.
            let started = std::thread::Builder::new()
                .name(format!("sessions {number}"))
                .spawn(move || work(&Line { client, prefix }, &receiver));
            started.map_err(|error| format!("its threads cannot be started: {error}"))?;
        }
        *orders = Some(sender.clone());
        Ok(sender)
    }
}

/// How to reach the server.
struct Line {
    client: Client,
    prefix: String,
}

fn work(line: &Line, jobs: &Receiver<Job>) {
    let mut open: Option<(Connection, Instant)> = None;
    for Job { order, pending } in jobs {
        // Nobody waits for one that is late.
        if Instant::now() >= pending.deadline {
            continue;
        }
        let outcome = follow(line, &mut open, order, pending.deadline);
        if outcome.is_err() {
            // What is left in a connection after an error would answer the next order.
            open = None;
        }
        pending.finish(outcome);
    }
}

fn follow(line: &Line, open: &mut Option<(Connection, Instant)>, order: Order, deadline: Instant) -> Outcome {
    let tried = open.take().and_then(|(mut connection, used)| {
        let alive = used.elapsed() < IDLE || {
            // One that a restart of the server has cut answers nothing, and nothing is lost by asking.
            limit(&connection, deadline).is_ok() && redis::cmd("PING").exec(&mut connection).is_ok()
        };
        alive.then_some(connection)
    });
    let connection = match tried {
        Some(connection) => connection,
        None => line.client.get_connection_with_timeout(rest(deadline)?).map_err(|error| said(&error))?,
    };
    let mut vault = Open { prefix: &line.prefix, connection, deadline };
    let outcome = carry_out(&mut vault, order);
    *open = Some((vault.connection, Instant::now()));
    outcome
}

fn limit(connection: &Connection, deadline: Instant) -> Result<(), String> {
    let rest = rest(deadline)?;
    let set = connection.set_read_timeout(Some(rest)).and_then(|()| connection.set_write_timeout(Some(rest)));
    set.map_err(|error| said(&error))
}

/// The time that is left.
fn rest(deadline: Instant) -> Result<Duration, String> {
    let rest = deadline.saturating_duration_since(Instant::now());
    match rest.is_zero() {
        true => Err("it did not answer in time".into()),
        false => Ok(rest),
    }
}

fn said(error: &RedisError) -> String {
    match error.is_timeout() {
        true => "it did not answer in time".into(),
        false => error.to_string(),
    }
}

/// The server, for one order.
struct Open<'a> {
    prefix: &'a str,
    connection: Connection,
    deadline: Instant,
}

impl Open<'_> {
    fn name(&self, key: &Key) -> String {
        format!("{}{}", self.prefix, hex(key))
    }
}

impl Vault for Open<'_> {
    fn look(&mut self, key: &Key, now: u64) -> Result<Option<Entry>, String> {
        limit(&self.connection, self.deadline)?;
        let name = self.name(key);
        let asked = redis::pipe().cmd("GET").arg(&name).cmd("PTTL").arg(&name).query(&mut self.connection);
        let (text, left): (Option<Vec<u8>>, i64) = asked.map_err(|error| said(&error))?;
        let Some(entry) = text.as_deref().and_then(Entry::decode) else { return Ok(None) };
        if let Entry::Live(record) = &entry {
            let rest = record.rest(now);
            if rest == 0 {
                return Ok(None);
            }
            // The server ends sessions by itself. To the sixteenth of the time is near enough.
            if u64::try_from(left).unwrap_or(0) < rest - rest / 16 {
                let kept = redis::cmd("PEXPIRE").arg(&name).arg(rest).exec(&mut self.connection);
                kept.map_err(|error| said(&error))?;
            }
        }
        Ok(Some(entry))
    }

    fn swap(&mut self, key: &Key, old: Option<&Entry>, new: &Entry, now: u64) -> Result<bool, String> {
        limit(&self.connection, self.deadline)?;
        let rest = match new {
            Entry::Live(record) => record.rest(now),
            Entry::Moved(_, until) => until.saturating_sub(now),
        };
        let old = old.map(Entry::encode).unwrap_or_default();
        let mut swap = redis::cmd("EVAL");
        // A time of zero is an error there.
        swap.arg(SWAP).arg(1).arg(self.name(key)).arg(old).arg(new.encode()).arg(rest.max(1));
        let swapped: i64 = swap.query(&mut self.connection).map_err(|error| said(&error))?;
        Ok(swapped == 1)
    }

    fn remove(&mut self, key: &Key) -> Result<(), String> {
        limit(&self.connection, self.deadline)?;
        redis::cmd("DEL").arg(self.name(key)).exec(&mut self.connection).map_err(|error| said(&error))
    }
}
