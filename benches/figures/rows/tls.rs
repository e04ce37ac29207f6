//! The rows of TLS: requests on kept connections, and full handshakes, beside nginx with the same certificate.

use std::io;

use super::throughput::list;
use crate::bench::Bench;
use crate::contestant::{Contestant, Terms};
use crate::load::Load;
use crate::rounds::Rounds;
use crate::site::{Extras, SMALL};
use crate::table::Bound::{AtLeast, AtMost};
use crate::table::{Goal, Report, Row};

const CLIENTS: usize = 64;

/// The 613-byte file over TLS 1.3, 64 kept-alive clients.
pub fn kept(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let work = format!("TLS 1.3: 613-byte file, {CLIENTS} kept-alive clients");
    measure(bench, report, work, &bench.load(SMALL, CLIENTS), ("≥ 0.95 / ≤ 1.1", "≥ 1.1 / ≤ 1.0"), (0.95, 1.1))
}

/// A full handshake with ECDSA and P-256 for each request; wrk takes no session up again.
pub fn handshakes(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let work = format!("TLS 1.3: full handshakes (ECDSA P-256), {CLIENTS} clients");
    let load = Load { close: true, ..bench.load(SMALL, CLIENTS) };
    measure(bench, report, work, &load, ("≥ 0.9 / ≤ 1.1", "≥ 1.0 / ≤ 1.0"), (0.9, 1.0))
}

fn measure(
    bench: &Bench,
    report: &mut Report,
    work: String,
    load: &Load,
    (must, want): (&'static str, &'static str),
    (least, wished): (f64, f64),
) -> io::Result<()> {
    let extras = Extras { put: false, cgi: false, tls: true, session: false, regexes: false };
    let longshore = bench.longshore_as("longshore-tls", extras)?;
    let nginx = Contestant::start(&bench.site, "nginx-tls", &bench.arguments.nginx, Terms::Equal, extras)?;
    let servers = [&longshore, &nginx];
    let rounds = Rounds::run(&bench.wrk, load, &servers, bench.arguments.rounds)?;
    list(report, &work, &servers, &rounds);
    let (speed, cost) = (rounds.ratio(0, 1, |run| run.speed), rounds.ratio(0, 1, |run| run.cost));
    let errors = rounds.errors(0);
    let goals = [
        Goal::new(speed.median, AtLeast(least), AtLeast(wished)),
        Goal::new(cost.median, AtMost(1.1), AtMost(1.0)),
        Goal::none(errors as f64),
    ];
    report.push(Row::measured(work, must, want, format!("{speed} / {cost}; {errors} errors"), &goals));
    Ok(())
}
