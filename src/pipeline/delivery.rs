//! What stands after the filters: how a response is delivered, its trailer fields, and the lines it leaves in the logs. Whoever sends it
//! asks here, and knows no feature.

use super::{Run, hard};
use crate::exchange::Client;
use crate::exchange::error::{Level, Report};
use crate::features::{access_log, error_log, headers, keepalive, limit_rate, server_tokens};
use crate::http::response::{Delivery, Response};
use crate::route::Server;

impl Run {
    /// Settles how a response is delivered.
    pub(super) fn deliver(&mut self, response: &mut Response) {
        let (x, scope) = (&mut self.x, &self.scope);
        response.delivery = Delivery {
            server: server_tokens::field(x, &scope.server_tokens),
            chunks: scope.sending.chunks(response.trailers),
            may_keep: keepalive::allows(x, &scope.keepalive, response.close),
            keep_alive_timeout: scope.keepalive.header_timeout.map(|time| time.as_secs()),
            pace: limit_rate::pace(x, &scope.limit_rate),
        };
    }

    /// Works out the trailer fields, once the body is out; they stand in the exchange then.
    pub fn trailers(&mut self) {
        headers::trailers(&mut self.x, &self.scope.headers);
    }

    /// Gives `out` the lines of the access log: the number of the log, how its lines may be collected, and the line with its end.
    pub fn access_lines(&self, out: &mut access_log::Sink<'_>) {
        access_log::lines(&self.x, &self.scope.access_log, out);
        hard::book();
    }

    /// Gives `out` the lines of the error log for a report: the number of the log, and the line with its end.
    pub fn error_lines(&self, report: &Report, out: &mut dyn FnMut(usize, &[u8])) {
        error_log::write(&self.x, &self.scope.error_log, report, out);
    }
}

/// Gives `out` the line of the error log for a report about a connection that has no request yet.
pub fn connection_lines(client: &Client, server: &Server, report: &Report, out: &mut dyn FnMut(usize, &[u8])) {
    error_log::write_about(client, &server.scope.error_log, report, out);
}

/// The line of the error log for an event of the process.
pub fn event_line(level: Level, text: &str) -> Vec<u8> {
    let mut line = Vec::new();
    error_log::process_line(&mut line, level, text);
    line
}
