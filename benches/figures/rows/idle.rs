//! Ten thousand kept-alive connections that ask nothing: what each costs in memory, and what they do to the busy ones.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use super::throughput::list;
use crate::bench::Bench;
use crate::census;
use crate::client;
use crate::contestant::Contestant;
use crate::rounds::Rounds;
use crate::site::SMALL;
use crate::table::Bound::{AtLeast, AtMost};
use crate::table::{Goal, Report, Row};

/// Connections opened before their answers are read: below any listener's backlog.
const BURST: usize = 200;

/// Each server runs twice, one beside the idle connections and one without, and the two take turns.
pub fn measure(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let wanted = bench.arguments.idle;
    // The server holds the connections, wrk's 64 and its own files; this process holds the connections of one server.
    let idle = bench.affordable(wanted, 300);
    if idle < wanted {
        report.note(format!("idle: {idle} connections instead of {wanted}: the hard limit of descriptors is too low"));
    }
    let ours = beside(bench, report, idle, &bench.longshore_pair()?)?;
    let theirs = beside(bench, report, idle, &bench.nginx_pair()?)?;
    let work = format!("{idle} idle kept-alive connections: memory each; speed beside them, of unloaded");
    let measured =
        format!("{:.2} KiB; {:.2} (nginx {:.2} KiB; {:.2})", ours.kib_each, ours.kept, theirs.kib_each, theirs.kept);
    let goals = [
        Goal::new(ours.kib_each, AtMost(0.5), AtMost(0.3)),
        Goal::new(ours.kept, AtLeast(0.8), AtLeast(0.95)),
        Goal::none(ours.unanswered as f64),
        Goal::none(ours.errors as f64),
    ];
    report.push(Row::measured(work, "≤ 0.5 KiB; ≥ 0.8", "≤ 0.3 KiB; ≥ 0.95", measured, &goals));
    Ok(())
}

struct Beside {
    kib_each: f64,
    /// Speed beside the idle connections, of that without.
    kept: f64,
    unanswered: usize,
    errors: u64,
}

fn beside(bench: &Bench, report: &mut Report, idle: usize, pair: &[Contestant; 2]) -> io::Result<Beside> {
    let [crowded, alone] = pair;
    // What serving itself needs is in memory before the first count.
    bench.wrk.run(&bench.load(SMALL, 64), crowded)?;
    let before = census::holdings(crowded.id());
    let crowd = open(crowded, idle);
    let unanswered = idle - crowd.len();
    std::thread::sleep(Duration::from_secs(1));
    let after = census::holdings(crowded.id());
    let rounds = Rounds::run(&bench.wrk, &bench.load(SMALL, 64), &[crowded, alone], bench.arguments.rounds)?;
    list(report, "beside idle connections", &[crowded, alone], &rounds);
    let standing = crowd.iter().filter(|stream| still_open(stream)).count();
    report.note(format!(
        "{}: {standing} of {idle} idle connections stood at the end, {} threads, PSS {} KiB before and {} KiB after",
        crowded.name(),
        after.threads,
        before.pss_kib,
        after.pss_kib
    ));
    Ok(Beside {
        kib_each: (after.pss_kib as f64 - before.pss_kib as f64).max(0.0) / crowd.len().max(1) as f64,
        kept: rounds.ratio(0, 1, |run| run.speed).median,
        unanswered: unanswered.max(idle - standing),
        errors: rounds.errors(0),
    })
}

/// Connections that were answered once and are kept.
fn open(server: &Contestant, count: usize) -> Vec<TcpStream> {
    let mut kept = Vec::with_capacity(count);
    for start in (0..count).step_by(BURST) {
        let mut burst: Vec<TcpStream> = (start..count.min(start + BURST))
            .filter_map(|number| {
                let mut stream = client::connect(server.address(), number).ok()?;
                client::send(&mut stream, "GET", SMALL, "").ok()?;
                Some(stream)
            })
            .collect();
        burst.retain_mut(|stream| client::receive(stream).is_ok_and(|answer| answer.status == 200 && !answer.closes));
        kept.append(&mut burst);
    }
    kept
}

/// Nothing to read yet means open; an end or an answer to nothing means that the server closed it.
pub(super) fn still_open(stream: &TcpStream) -> bool {
    let quiet = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
    stream.set_nonblocking(true).is_ok() && stream.peek(&mut [0]).is_err_and(quiet)
}
