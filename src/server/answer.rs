//! How an answer is sent and what comes after it: framing, the first write, the log lines, and
//! whether the connection is kept, drained, lingered on or closed.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::connection::{Connection, Phase, Rest, Task};
use super::output::Output;
use super::transport::Io;
use super::worker::{Turn, Worker};
use crate::exchange::error::Level;
use crate::features::lingering::Lingering;
use crate::features::{access_log, error_log, keepalive, server_tokens};
use crate::http::framing::{self, BodyFraming, HeadFields};
use crate::http::response::{Chunk, ContentType, Response};

/// Bodies up to this size are sent with their head from one buffer.
const TOGETHER: u64 = 16 << 10;

impl Worker {
    /// Sends an answer as far as the socket takes it.
    pub(super) fn respond(&mut self, c: &mut Connection, mut task: Box<Task>, mut response: Response) -> Turn {
        #[cfg(test)]
        super::panics::panic_if_asked(&task.run.x, "engine");
        discard_ahead(c, &mut task);
        self.write_reports(&mut task);
        task.keep = self.may_keep(c, &task, &response);
        let chunked = self.write_head(&mut task, &response);
        let nodelay = task.run.scope.sending.nodelay;
        if nodelay == c.delayed {
            c.delayed = !nodelay;
            c.socket.set_nodelay(nodelay);
        }
        let head = self.out.len();
        task.head_len = head as u64;
        let mut chunks = std::mem::take(&mut response.body.chunks);
        let mut together = 0;
        while let Some(Chunk::Bytes(bytes)) = chunks.front().filter(|_| !chunked) {
            together += bytes.len() as u64;
            if together > TOGETHER {
                break;
            }
            self.out.extend_from_slice(bytes);
            chunks.pop_front();
        }
        let sent = match self.out.is_empty() {
            true => 0,
            false => match c.socket.write(&self.out) {
                Io::Bytes(n) => n,
                Io::Blocked => 0,
                Io::End | Io::Gone => {
                    task.run.x.report(Level::Info, "client closed connection before the answer was sent");
                    self.record(&mut task);
                    return Turn::Close;
                }
            },
        };
        task.output = Output::new(chunks, chunked, sent as u64);
        if sent < self.out.len() {
            task.output.put_first(Bytes::copy_from_slice(&self.out[sent..]));
        }
        if task.output.is_done() {
            let x = &mut task.run.x;
            x.sent.bytes = sent as u64;
            x.sent.body_bytes = (sent - head) as u64;
            return self.answered(c, task);
        }
        c.deadline = self.after(task.run.scope.sending.timeout);
        self.send(c, task)
    }

    /// Writes the head into `out`; whether the body goes out in chunks.
    fn write_head(&mut self, task: &mut Task, response: &Response) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.date.0 != now {
            self.date = (now, crate::http::date::imf(now));
        }
        let (x, scope) = (&mut task.run.x, &task.run.scope);
        let length = response.length.or_else(|| response.body.known_len());
        let framing = framing::decide(x.head.version, x.head.method, response.status, length, task.keep);
        task.keep = framing.keep_alive;
        let server = server_tokens::field(x, &scope.server_tokens);
        let fields = HeadFields {
            server: (!server.is_empty()).then_some(&server),
            date: self.date.1.as_bytes(),
            content_type: match &response.content_type {
                ContentType::Is(value) => Some(value),
                _ => None,
            },
            keep_alive_timeout: scope.keepalive.header_timeout.map(|time| time.as_secs()),
        };
        self.out.clear();
        let dropped = framing::write_head(&mut self.out, response, &framing, &fields);
        if dropped > 0 {
            x.report(
                Level::Error,
                format!("{dropped} response fields were dropped: a line break or a zero byte in their value"),
            );
        }
        x.sent.status = crate::http::status::on_wire(response.status);
        if task.run.settings.keeps_sent_fields {
            x.sent_fields = sent_fields(&self.out);
        }
        framing.body == BodyFraming::Chunked
    }

    /// Whether client, settings and state of the server allow another request on this connection.
    fn may_keep(&self, c: &Connection, task: &Task, response: &Response) -> bool {
        let (x, conf) = (&task.run.x, &task.run.scope.keepalive);
        x.head.keep_alive
            && !response.close
            && !task.linger
            && !conf.timeout.is_zero()
            && u64::from(c.requests) < conf.requests
            && c.connected.elapsed() < conf.time
            && !self.shared.is_stopping()
            && !self.current.entries[c.listener as usize].gone
            && !(task.intake.is_some() && x.head.expects_continue)
            && !keepalive::is_disabled(x, conf)
    }

    /// Everything is out: the log lines, then what becomes of the connection.
    pub(super) fn answered(&mut self, c: &mut Connection, mut task: Box<Task>) -> Turn {
        task.run.x.sent.complete = true;
        self.record(&mut task);
        let lingering = task.run.scope.lingering.clone();
        let silence = lingering.timeout.as_millis() as u64;
        let until = self.after(lingering.time);
        let keep = task.run.scope.keepalive.timeout;
        let Task { run, intake, keep: kept, linger, .. } = *task;
        // The next request on this thread uses the head's memory again.
        self.spare = run.x.head;
        if kept {
            let Some(intake) = intake else {
                c.phase = Phase::Idle;
                c.deadline = self.after(keep);
                return Turn::Go;
            };
            let keep = keep.as_millis() as u64;
            c.phase = Phase::Draining(Box::new(Rest { intake, until, silence, keep }));
            return Turn::Go;
        }
        let wanted = match lingering.when {
            Lingering::Off => false,
            Lingering::On => linger || intake.is_some() || !c.input.is_empty(),
            Lingering::Always => true,
        };
        if !wanted {
            return Turn::Close;
        }
        c.socket.finish();
        c.phase = Phase::Lingering { until, silence };
        Turn::Go
    }

    /// Writes the lines a request leaves in the logs, after its last byte.
    pub(super) fn record(&mut self, task: &mut Task) {
        self.write_reports(task);
        let (logs, x) = (&self.current.logs, &task.run.x);
        access_log::lines(x, &task.run.scope.access_log, &mut |log, policy, line| logs.write(log, policy, line));
    }

    /// Writes what the request has to say to the error log.
    fn write_reports(&mut self, task: &mut Task) {
        for report in std::mem::take(&mut task.run.x.reports) {
            let (logs, scope) = (&self.current.logs, &task.run.scope);
            error_log::write(&task.run.x, &scope.error_log, &report, &mut |log, line| logs.write_error(log, line));
        }
    }
}

/// Throws away what has come of a body that nobody reads. If that is malformed, the answer can still say that
/// the connection closes.
fn discard_ahead(c: &mut Connection, task: &mut Task) {
    let Some(intake) = task.intake.as_mut().filter(|_| !c.input.is_empty()) else { return };
    match intake.take(&c.input) {
        Ok((n, done)) => {
            c.input.drain(..n);
            if done {
                task.intake = None;
            }
        }
        Err(error) => {
            task.run.x.reports.extend(error.report);
            task.intake = None;
            task.linger = true;
        }
    }
}

/// The fields of a head as they were sent, for `$sent_http_NAME`.
fn sent_fields(head: &[u8]) -> Vec<(Bytes, Bytes)> {
    let lines = head.split(|&b| b == b'\n').skip(1);
    let fields = lines.filter_map(|line| {
        let line = line.strip_suffix(b"\r")?;
        let colon = line.iter().position(|&b| b == b':')?;
        let value = line.get(colon + 2..).unwrap_or_default();
        Some((Bytes::copy_from_slice(&line[..colon]), Bytes::copy_from_slice(value)))
    });
    fields.collect()
}
