//! Thousands of slow clients of three kinds at once, and what 64 busy clients get meanwhile.

use std::io;
use std::time::Duration;

use super::throughput::list;
use crate::attack::{Attack, Plan};
use crate::bench::Bench;
use crate::contestant::Contestant;
use crate::load::Run;
use crate::rounds::Rounds;
use crate::site::{LARGE, SMALL};
use crate::table::Bound::AtLeast;
use crate::table::{Goal, Report, Row};

/// In each round each server is measured alone, attacked, and released; never are two attacked at once, because slow
/// readers of one would take the kernel's socket memory from the other.
pub fn measure(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let wanted = bench.arguments.slow;
    // A slow reader may cost the server a file beside its connection: 3 + 3 + 2 thirds of `slow`.
    let slow = bench.affordable(wanted * 8 / 3, 300) * 3 / 8;
    if slow < wanted {
        report.note(format!("slow: {slow} of each kind instead of {wanted}: the hard limit of descriptors is too low"));
    }
    let plan = Plan {
        heads: slow,
        bodies: slow,
        readers: slow / 3,
        drip: Duration::from_secs(5),
        body_request: if bench.put { "PUT /put/slow HTTP/1.1".into() } else { format!("POST {SMALL} HTTP/1.1") },
        download: LARGE.into(),
    };
    let (longshore, nginx) = (bench.longshore()?, bench.nginx()?);
    let mut calm = vec![Vec::new(), Vec::new()];
    let mut pressed = vec![Vec::new(), Vec::new()];
    let mut lost = [0, 0];
    for _ in 0..bench.arguments.rounds {
        for (place, server) in [&longshore, &nginx].into_iter().enumerate() {
            calm[place].push(bench.wrk.run(&bench.load(SMALL, 64), server)?);
            let (run, gone) = under_attack(bench, server, &plan)?;
            pressed[place].push(run);
            lost[place] = lost[place].max(gone);
        }
    }
    let (calm, pressed) = (Rounds::from_runs(calm), Rounds::from_runs(pressed));
    let servers = [&longshore, &nginx];
    list(report, "no slow clients", &servers, &calm);
    list(report, "beside slow clients", &servers, &pressed);
    for (place, server) in servers.into_iter().enumerate() {
        let kept = pressed.median(place, |run| run.speed) / calm.median(place, |run| run.speed);
        report.note(format!(
            "{}: keeps {kept:.2} of its own speed beside the slow clients; at most {} of them lost in a round",
            server.name(),
            lost[place]
        ));
    }
    let speed = pressed.ratio(0, 1, |run| run.speed);
    let errors = pressed.errors(0);
    let work = format!("{slow} slow heads + {slow} slow bodies + {} slow readers: errors; speed of nginx's", slow / 3);
    let goals = [Goal::none(errors as f64), Goal::new(speed.median, AtLeast(0.6), AtLeast(0.9))];
    report.push(Row::measured(work, "0; ≥ 0.6", "0; ≥ 0.9", format!("{errors}; {speed}"), &goals));
    Ok(())
}

/// One run of the busy clients while the attack stands, and how many slow clients the server got rid of.
fn under_attack(bench: &Bench, server: &Contestant, plan: &Plan) -> io::Result<(Run, usize)> {
    let attack = Attack::start(server.address(), plan.clone())?;
    if !attack.wait_connected(Duration::from_secs(60)) {
        let counts = attack.stop();
        return Err(io::Error::other(format!("the slow clients did not all connect to {}: {counts:?}", server.name())));
    }
    // Until every slow reader had a turn.
    std::thread::sleep(Duration::from_secs(1));
    let run = bench.wrk.run(&bench.load(SMALL, 64), server)?;
    Ok((run, attack.stop().lost))
}
