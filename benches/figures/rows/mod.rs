//! Which rows there are and in what order they are measured. Each starts the servers it needs and ends them again, so
//! that no row inherits another's memory or connections, and a server that fell costs one row.

mod auth;
mod cgi;
mod fcgi;
mod hard;
mod idle;
mod proxy;
mod reload;
mod script;
mod session;
mod siege;
mod slow;
mod soak;
mod tables;
mod throughput;
mod tls;
mod upload;

use std::io;

use crate::bench::Bench;
use crate::table::{Report, Row};

/// Measures what was asked for. A row that fails is reported as not measured, with the reason.
pub fn measure(bench: &Bench) -> Report {
    let mut report = Report::default();
    for name in &bench.arguments.rows {
        eprintln!("figures: {name}");
        if let Err(error) = measure_one(bench, name, &mut report) {
            report.push(Row::unmeasured(*name, error));
        }
    }
    report
}

fn measure_one(bench: &Bench, name: &str, report: &mut Report) -> io::Result<()> {
    match name {
        "small" => throughput::small(bench, report),
        "conns" => throughput::many(bench, report),
        "one" => throughput::one(bench, report),
        "close" => throughput::close(bench, report),
        "files" => throughput::files(bench, report),
        "log" => throughput::logged(bench, report),
        "regex" => throughput::regexes(bench, report),
        "hard" => hard::measure(bench, report),
        "floor" => throughput::floor(bench, report),
        "idle" => idle::measure(bench, report),
        "slow" => slow::measure(bench, report),
        "cgi" => cgi::measure(bench, report),
        "fcgi" => fcgi::measure(bench, report),
        "script" => script::measure(bench, report),
        "reload" => reload::measure(bench, report),
        "soak" => soak::measure(bench, report),
        "siege" => siege::measure(bench, report),
        "tables" => tables::measure(bench, report),
        "tls" => tls::kept(bench, report),
        "session" => session::measure(bench, report),
        "handshake" => tls::handshakes(bench, report),
        "proxy" => proxy::kept(bench, report),
        "auth" => auth::gain(bench, report),
        "ws" => proxy::websockets(bench, report),
        "hung" => proxy::hung(bench, report),
        "upload" => upload::measure(bench, report),
        other => Err(io::Error::other(format!("there is no row {other}"))),
    }
}
