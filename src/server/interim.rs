//! Interim responses on their way to a client of HTTP/1.1. What the socket does not take at once goes out before the response: the client
//! is not waited for, and how much may be said to one request is bounded in the pipeline.

use super::connection::{Connection, Task};
use super::transport::Io;
use super::worker::Worker;
use crate::http::interim::Interim;

impl Worker {
    /// Tells the client.
    pub(super) fn say(&mut self, c: &mut Connection, task: &mut Task, interim: &Interim) {
        interim.write(&mut task.unsaid);
        // A client that is gone shows at the next read or write.
        if let Io::Bytes(n) = c.socket.write(&task.unsaid) {
            task.unsaid.drain(..n);
            task.said += n as u64;
            task.run.x.sent.bytes = task.said;
        }
    }
}
