//! The fast 503 that clients get when the queue or the table of connections is full, and the
//! line about it in the log, once a second. Knows no request: none was read.

use super::transport::Transport;

/// How long a refused client may take to read its answer, in milliseconds.
pub const LINGER: u64 = 1000;
/// How many refused clients beyond `worker_connections` are waited for at once.
pub const LINGERING: u32 = 128;

/// The reasons, as `longshore help` has them.
pub const QUEUE_FULL: &str = "queue-full";
pub const CONNECTIONS_FULL: &str = "connections-full";

const HEAD: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 36\r\n\
    Retry-After: 1\r\nConnection: close\r\n";
const BODY: &str = "The server is busy. Try again soon.\n";

/// Sends the answer, as far as it goes without waiting: it fits an empty socket. Who may know is told why.
pub fn send(socket: &mut Transport, why: Option<&str>) {
    let why = why.map_or(String::new(), |why| format!("X-Longshore-Why: 503/{why}\r\n"));
    socket.write(format!("{HEAD}{why}\r\n{BODY}").as_bytes());
}

/// How many were refused, or not sent, since the last line in the log.
#[derive(Debug, Default)]
pub struct Refusals {
    queue: u64,
    connections: u64,
    errands: u64,
    next: u64,
}

impl Refusals {
    /// One was refused since the queue was full.
    pub fn queue_full(&mut self) {
        self.queue += 1;
    }

    /// One was refused since there were too many connections.
    pub fn connections_full(&mut self) {
        self.connections += 1;
    }

    /// So many requests of our own were not sent since there were too many.
    pub fn errands(&mut self, unsent: u64) {
        self.errands += unsent;
    }

    /// Whether a line is still to be written.
    pub fn unsaid(&self) -> bool {
        self.queue + self.connections + self.errands > 0
    }

    /// Writes the lines if there is something to say and the last one is a second old.
    pub fn log(&mut self, now: u64) {
        if !self.unsaid() || now < self.next {
            return;
        }
        self.next = now.saturating_add(1000);
        let Refusals { queue, connections, errands, .. } = std::mem::take(self);
        self.next = now.saturating_add(1000);
        if queue > 0 {
            log::warn!("{queue} requests answered with 503: the queue of the thread pool is full (max_queue)");
            log::warn!("reason 503/{QUEUE_FULL}");
        }
        if connections > 0 {
            log::warn!("{connections} connections answered with 503: worker_connections are not enough");
            log::warn!("reason 503/{CONNECTIONS_FULL}");
        }
        if errands > 0 {
            log::warn!("{errands} requests of our own were not sent: there are too many (`errands` of thread_pool)");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        assert!(HEAD.contains(&format!("Content-Length: {}\r\n", BODY.len())), "{}", BODY.len());
    }

    #[test]
    fn the_reasons_are_explained() {
        for why in [QUEUE_FULL, CONNECTIONS_FULL] {
            let reason = crate::exchange::reasons::of(why).unwrap();
            assert_eq!(reason.statuses, [503], "{why}");
        }
    }
}
