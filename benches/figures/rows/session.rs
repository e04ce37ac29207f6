//! What a session costs: the same file for clients that have one, and from a server that knows of none.

use std::io::{self, Read};

use super::throughput::list;
use crate::bench::Bench;
use crate::client;
use crate::contestant::Contestant;
use crate::load::Load;
use crate::rounds::Rounds;
use crate::site::{BEGIN, Extras, SMALL};
use crate::table::Bound::AtMost;
use crate::table::{Goal, Report, Row};

const CLIENTS: usize = 64;

/// The 613-byte file, 64 kept-alive clients, with and without a session from the embedded store.
pub fn measure(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let work = format!("a session in memory: 613-byte file, {CLIENTS} kept-alive clients, of the same without");
    let extras = Extras { session: true, ..Extras::default() };
    let with = bench.longshore_as("longshore-session", extras)?;
    let without = bench.longshore()?;
    let plain = bench.load(SMALL, CLIENTS);
    let named = Load { cookie: Some(begin(&with)?), ..plain.clone() };
    let pairs = [(&with, &named), (&without, &plain)];
    for (server, load) in pairs {
        bench.wrk.run(load, server)?;
    }
    let mut runs = vec![Vec::new(); pairs.len()];
    for _ in 0..bench.arguments.rounds {
        for ((server, load), of_server) in pairs.iter().zip(&mut runs) {
            of_server.push(bench.wrk.run(load, server)?);
        }
    }
    let rounds = Rounds::from_runs(runs);
    list(report, &work, &[&with, &without], &rounds);
    let (cost, speed) = (rounds.ratio(0, 1, |run| run.cost), rounds.ratio(0, 1, |run| run.speed));
    let goals = [Goal::new(cost.median, AtMost(1.15), AtMost(1.05)), Goal::none(rounds.errors(0) as f64)];
    report.push(Row::measured(work, "≤ 1.15", "≤ 1.05", format!("{cost}; speed {speed}"), &goals));
    Ok(())
}

/// Begins a session: the cookie that names it, which is tried once.
fn begin(server: &Contestant) -> io::Result<String> {
    let cookie = |answer: &str| {
        let field = answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: "))?;
        field.split(';').next().map(str::to_owned)
    };
    let begun = ask(server, "")?;
    let named = cookie(&begun).ok_or_else(|| io::Error::other(format!("no session begins: {begun}")))?;
    let found = ask(server, &format!("Cookie: {named}\r\n"))?;
    match found.starts_with("HTTP/1.1 200") && cookie(&found).is_none() {
        true => Ok(named),
        false => Err(io::Error::other(format!("the session is not found again: {found}"))),
    }
}

fn ask(server: &Contestant, fields: &str) -> io::Result<String> {
    let mut stream = client::connect(server.address(), 0)?;
    client::send(&mut stream, "GET", BEGIN, &format!("Connection: close\r\n{fields}"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
