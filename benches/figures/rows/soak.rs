//! Mixed load for a long time: what the server holds afterwards, beyond what it held after the first minute.

use std::io;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::census::{self, Holdings};
use crate::contestant::Contestant;
use crate::mixed;
use crate::table::Bound::{AtMost, Below};
use crate::table::{Goal, Report, Row};

const CLIENTS: usize = 8;

/// Longshore alone: the figure is absolute. Holdings are counted at rest, with all clients gone, because under load they
/// depend on the moment.
pub fn measure(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let mut longshore = bench.longshore()?;
    let total = Duration::from_secs_f64(bench.arguments.soak_minutes * 60.0);
    let warm = Duration::from_secs(60).min(total / 2);
    let mut tally = mixed::run(longshore.address(), CLIENTS, warm)?;
    let before = at_rest(&longshore);
    tally += mixed::run(longshore.address(), CLIENTS, total - warm)?;
    if !longshore.runs() {
        return Err(io::Error::other("the server ended under mixed load"));
    }
    let after = at_rest(&longshore);
    let descriptors = after.descriptors as f64 - before.descriptors as f64;
    let threads = after.threads as f64 - before.threads as f64;
    let mib = (after.pss_kib as f64 - before.pss_kib as f64) / 1024.0;
    report.note(format!(
        "soak: {} answers ({} files, {} not found, {} ranges, {} POSTs), {} downloads broken off; at rest after {:.0} s \
         {before}, at the end {after}",
        tally.answers(),
        tally.files,
        tally.missing,
        tally.ranges,
        tally.posts,
        tally.aborted,
        warm.as_secs_f64(),
    ));
    let work = format!("{} minutes of mixed load: growth after the first minute", bench.arguments.soak_minutes);
    let measured =
        format!("{descriptors:+.0} descriptors, {threads:+.0} threads, {mib:+.2} MiB; {} wrong answers", tally.wrong);
    let goals = [
        Goal::new(descriptors, AtMost(0.0), AtMost(0.0)),
        Goal::new(threads, AtMost(0.0), AtMost(0.0)),
        Goal::new(mib, Below(2.0), Below(2.0)),
        Goal::none(tally.wrong as f64),
    ];
    let wish = "0 descriptors, 0 threads, < 2 MiB";
    report.push(Row::measured(work, wish, wish, measured, &goals));
    Ok(())
}

/// What is held once that has not changed for six seconds, or after fifteen: lingering connections end within five.
fn at_rest(server: &Contestant) -> Holdings {
    let end = Instant::now() + Duration::from_secs(15);
    let mut last = census::holdings(server.id());
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_secs(6) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
        let now = census::holdings(server.id());
        if (now.descriptors, now.threads) != (last.descriptors, last.threads) {
            since = Instant::now();
        }
        last = now;
    }
    last
}
