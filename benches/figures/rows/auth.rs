//! What a question by `auth_request` costs: the CPU that a request for a small file gains by it, and what questions that are never
//! answered do to other requests.

use std::io;
use std::path::Path;

use super::proxy;
use super::throughput::list;
use crate::bench::Bench;
use crate::client;
use crate::contestant::Contestant;
use crate::rounds::Rounds;
use crate::site::SMALL;
use crate::table::Bound::AtMost;
use crate::table::{Goal, Report, Row};

const CLIENTS: usize = 64;
/// The location that is asked.
const ASKED: &str = "/asked-inside";

/// A question that the conf answers itself, and one that is passed on over kept connections.
pub fn gain(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let behind =
        bench.gateway("behind", &bench.arguments.nginx, "", &format!("location = {ASKED} {{ return 204; }}"))?;
    let upstream = format!(
        "upstream behind {{ server {}; keepalive {CLIENTS}; keepalive_requests 1000000000; }}",
        behind.address()
    );
    let passed = "proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection \"\";";
    for (what, answer) in [("answered by `return 204`", "return 204;"), ("passed on, kept connections", passed)] {
        let work = format!("`auth_request` {what}: CPU that a request gains, {CLIENTS} clients");
        let location = format!("location = {ASKED} {{ {answer} }} location = {SMALL} {{ auth_request {ASKED}; }}");
        let start = |name: &str, binary: &Path, location: &str| bench.gateway(name, binary, &upstream, location);
        let (ours, theirs) = (&bench.arguments.longshore, &bench.arguments.nginx);
        let servers = [
            start("longshore-asks", ours, &location)?,
            start("longshore-plain", ours, "")?,
            start("nginx-asks", theirs, &location)?,
            start("nginx-plain", theirs, "")?,
        ];
        for server in &servers {
            let answer = client::fetch(server.address(), SMALL)?;
            if answer.status != 200 {
                return Err(io::Error::other(format!("{} lets nobody in: {}", server.name(), answer.status)));
            }
        }
        let servers: Vec<&Contestant> = servers.iter().collect();
        let rounds = Rounds::run(&bench.wrk, &bench.load(SMALL, CLIENTS), &servers, bench.arguments.rounds)?;
        list(report, &work, &servers, &rounds);
        let (gain, speed) = (rounds.gain((0, 1), (2, 3), |run| run.cost), rounds.ratio(0, 2, |run| run.speed));
        let errors = rounds.errors(0);
        let goals = [Goal::new(gain.median, AtMost(1.0), AtMost(0.9)), Goal::none(errors as f64)];
        let measured = format!("{gain} of nginx's; speed {speed}; {errors} errors");
        report.push(Row::measured(work, "≤ 1.0", "≤ 0.9", measured, &goals));
    }
    let (guarded, asked) = (format!("auth_request {ASKED}; try_files {SMALL} =404;"), format!("location = {ASKED}"));
    proxy::beside(bench, report, "questions wait for an answer that never comes", &guarded, &asked)
}
