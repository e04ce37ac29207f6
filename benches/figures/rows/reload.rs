//! A new conf every 200 ms while clients ask: none of them may notice.

use std::io;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::client;
use crate::contestant::Contestant;
use crate::load::Load;
use crate::site::{GENERATION, SMALL};
use crate::table::{Goal, Report, Row};

const PAUSE: Duration = Duration::from_millis(200);

/// nginx for a sixth of the time, to show what the same clients see there.
pub fn measure(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let seconds = bench.arguments.reload_seconds;
    let ours = reload(bench, &bench.longshore()?, seconds)?;
    let theirs = reload(bench, &bench.nginx()?, (seconds / 6).max(1))?;
    report.note(format!(
        "reload: nginx failed {} of {} requests in {} reloads",
        theirs.failed, theirs.requests, theirs.reloads
    ));
    let work = format!("reload every 200 ms for {seconds} s under load: failed requests");
    let measured = format!("{} of {} in {} reloads", ours.failed, ours.requests, ours.reloads);
    report.push(Row::measured(work, "0", "0", measured, &[Goal::none(ours.failed as f64)]));
    Ok(())
}

struct Outcome {
    failed: u64,
    requests: u64,
    reloads: usize,
}

/// Half of the clients keep their connections, half make new ones: a reload can harm either in its own way.
fn reload(bench: &Bench, server: &Contestant, seconds: u64) -> io::Result<Outcome> {
    let kept = Load { path: SMALL, clients: 32, seconds, close: false, cookie: None };
    let fresh = Load { close: true, ..kept.clone() };
    let (runs, reloads) = std::thread::scope(|scope| {
        let runs = [&kept, &fresh].map(|load| scope.spawn(move || bench.wrk.run(load, server)));
        let mut reloads = 0;
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            reloads += 1;
            server.reload(&bench.site, reloads)?;
            std::thread::sleep(PAUSE);
        }
        let runs = runs.map(|run| run.join().unwrap_or_else(|_| Err(io::Error::other("a load panicked"))));
        io::Result::Ok((runs, reloads))
    })?;
    wait_for_generation(server, reloads)?;
    let mut outcome = Outcome { failed: 0, requests: 0, reloads };
    for run in runs {
        let run = run?;
        outcome.failed += run.errors;
        outcome.requests += (run.speed * seconds as f64) as u64;
    }
    Ok(outcome)
}

/// A server that ignored the signal would fail no request either.
fn wait_for_generation(server: &Contestant, generation: usize) -> io::Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = client::fetch(server.address(), GENERATION)?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if text == generation.to_string() {
            return Ok(());
        }
        if Instant::now() >= end {
            let name = server.name();
            return Err(io::Error::other(format!("{name} still serves conf {text} after {generation} reloads")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
