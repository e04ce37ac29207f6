//! The rows where wrk asks for one file as fast as it gets it: speed, CPU time for each request, latency.

use std::io;

use crate::bench::Bench;
use crate::contestant::Contestant;
use crate::load::Load;
use crate::rounds::Rounds;
use crate::site::{Extras, LARGE, LOGGED, MEDIUM, SMALL};
use crate::table::Bound::{AtLeast, AtMost};
use crate::table::{Absolute, Goal, Report, Row};

/// The wishes of a row that compares speed and cost with nginx's.
struct Wishes {
    must: &'static str,
    want: &'static str,
    /// Must and want.
    speed: (f64, f64),
    /// Must and want.
    cost: (f64, f64),
}

/// The 613-byte file, 64 kept-alive clients.
pub fn small(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let wishes =
        Wishes { must: "≥ 1.15 / ≤ 0.90", want: "≥ 1.25 / ≤ 0.75", speed: (1.15, 1.25), cost: (0.90, 0.75) };
    compare(bench, report, "613-byte file, 64 kept-alive clients", &bench.load(SMALL, 64), &wishes)
}

/// The same with 1,000 clients.
pub fn many(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let wishes =
        Wishes { must: "≥ 1.0 / ≤ 1.0", want: "≥ 1.05 / ≤ 0.85", speed: (1.0, 1.05), cost: (1.0, 0.85) };
    compare(bench, report, "1,000 clients", &bench.load(SMALL, 1000), &wishes)
}

/// How long one client alone waits.
pub fn one(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let (longshore, nginx, defaults) = trio(bench)?;
    let servers = [&longshore, &nginx, &defaults];
    let rounds = Rounds::run(&bench.wrk, &bench.load(SMALL, 1), &servers, bench.arguments.rounds)?;
    let work = "one client, p50";
    list(report, work, &servers, &rounds);
    let ratio = rounds.ratio(0, 1, |run| run.p50);
    let goals = [Goal::new(ratio.median, AtMost(1.2), AtMost(1.0)), Goal::none(rounds.errors(0) as f64)];
    report.push(Row::measured(work, "≤ 1.2", "≤ 1.0", ratio.to_string(), &goals));
    Ok(())
}

/// A new connection for each request.
pub fn close(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let wishes = Wishes { must: "≥ 0.9 / ≤ 1.3", want: "≥ 1.0 / ≤ 1.0", speed: (0.9, 1.0), cost: (1.3, 1.0) };
    let load = Load { close: true, ..bench.load(SMALL, 64) };
    compare(bench, report, "a new connection each time", &load, &wishes)
}

/// 100 KiB and 10 MiB.
pub fn files(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let wishes =
        Wishes { must: "≥ 0.95 / ≤ 1.05", want: "≥ 1.0 / ≤ 0.95", speed: (0.95, 1.0), cost: (1.05, 0.95) };
    compare(bench, report, "100 KiB file, 64 clients", &bench.load(MEDIUM, 64), &wishes)?;
    compare(bench, report, "10 MiB file, 16 clients", &bench.load(LARGE, 16), &wishes)
}

/// The access log as nginx keeps it by default: combined, each line written at once.
pub fn logged(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let wishes =
        Wishes { must: "≥ 1.05 / ≤ 0.95", want: "≥ 1.2 / ≤ 0.8", speed: (1.05, 1.2), cost: (0.95, 0.8) };
    compare(bench, report, "access_log combined, unbuffered", &bench.load(LOGGED, 64), &wishes)
}

/// A path that fifty regexes are asked about in vain. An older Longshore in nginx's place (`--nginx FILE`) shows what a change costs.
pub fn regexes(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let servers = bench.both_with(Extras { regexes: true, ..Extras::default() })?;
    let servers = [&servers[0], &servers[1]];
    let work = "613-byte file behind 50 regex locations, 64 clients";
    let rounds = Rounds::run(&bench.wrk, &bench.load(SMALL, 64), &servers, bench.arguments.rounds)?;
    list(report, work, &servers, &rounds);
    let speed = rounds.ratio(0, 1, |run| run.speed);
    let cost = rounds.ratio(0, 1, |run| run.cost);
    let goals = [
        Goal::new(speed.median, AtLeast(0.9), AtLeast(1.1)),
        Goal::new(cost.median, AtMost(1.1), AtMost(0.9)),
        Goal::none(rounds.errors(0) as f64),
    ];
    report.push(Row::measured(work, "≥ 0.9 / ≤ 1.1", "≥ 1.1 / ≤ 0.9", format!("{speed} / {cost}"), &goals));
    Ok(())
}

/// CPU time for each request against the kernel's own price for it.
pub fn floor(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let cases = [
        ("CPU against the floor: 613 bytes, 64 clients", SMALL, 64),
        ("CPU against the floor: 613 bytes, 1,000 clients", SMALL, 1000),
        ("CPU against the floor: 100 KiB, 64 clients", MEDIUM, 64),
        ("CPU against the floor: 10 MiB, 16 clients", LARGE, 16),
    ];
    for (work, path, clients) in cases {
        let (longshore, floor) = (bench.longshore()?, bench.floor(path)?);
        let servers = [&longshore, &floor];
        let rounds = Rounds::run(&bench.wrk, &bench.load(path, clients), &servers, bench.arguments.rounds)?;
        list(report, work, &servers, &rounds);
        let cost = rounds.ratio(0, 1, |run| run.cost);
        let speed = rounds.ratio(0, 1, |run| run.speed);
        let measured = format!("{cost}; speed {:.2} of the floor's", speed.median);
        let goals = [Goal::new(cost.median, AtMost(1.7), AtMost(1.3)), Goal::none(rounds.errors(0) as f64)];
        report.push(Row::measured(work, "≤ 1.7", "≤ 1.3", measured, &goals));
    }
    Ok(())
}

fn compare(bench: &Bench, report: &mut Report, work: &str, load: &Load, wishes: &Wishes) -> io::Result<()> {
    let (longshore, nginx, defaults) = trio(bench)?;
    let servers = [&longshore, &nginx, &defaults];
    let rounds = Rounds::run(&bench.wrk, load, &servers, bench.arguments.rounds)?;
    list(report, work, &servers, &rounds);
    let speed = rounds.ratio(0, 1, |run| run.speed);
    let cost = rounds.ratio(0, 1, |run| run.cost);
    let errors = rounds.errors(0);
    let mut measured = format!("{speed} / {cost}");
    if errors > 0 {
        measured += &format!("; {errors} errors");
    }
    let goals = [
        Goal::new(speed.median, AtLeast(wishes.speed.0), AtLeast(wishes.speed.1)),
        Goal::new(cost.median, AtMost(wishes.cost.0), AtMost(wishes.cost.1)),
        Goal::none(errors as f64),
    ];
    report.push(Row::measured(work, wishes.must, wishes.want, measured, &goals));
    Ok(())
}

fn trio(bench: &Bench) -> io::Result<(Contestant, Contestant, Contestant)> {
    Ok((bench.longshore()?, bench.nginx()?, bench.nginx_defaults()?))
}

/// Puts every server's own numbers into the second table.
pub fn list(report: &mut Report, work: &str, servers: &[&Contestant], rounds: &Rounds) {
    for (place, server) in servers.iter().enumerate() {
        report.push_absolute(Absolute {
            work: work.to_owned(),
            server: server.name().to_owned(),
            speed: rounds.median(place, |run| run.speed),
            cost: rounds.median(place, |run| run.cost),
            p50: rounds.median(place, |run| run.p50),
            p99: rounds.median(place, |run| run.p99),
            errors: rounds.errors(place),
        });
    }
}
