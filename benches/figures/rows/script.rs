//! Requests held by a script that does not end: static files must not notice.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use super::throughput::list;
use crate::bench::Bench;
use crate::client;
use crate::contestant;
use crate::rounds::Rounds;
use crate::site::{Extras, SCRIPT, SMALL};
use crate::table::Bound::Below;
use crate::table::{Goal, Report, Row};

const HELD: usize = 64;

/// nginx has no CGI, so Longshore is measured alone.
pub fn measure(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let work = format!("{HELD} requests held by a script that never ends: static files meanwhile");
    let extras = Extras { put: false, cgi: true, tls: false, session: false, regexes: false };
    if !contestant::accepts(&bench.site, &bench.arguments.longshore, extras) {
        report.push(Row::unmeasured(work, "this binary does not accept `cgi on`"));
        return Ok(());
    }
    let longshore = bench.longshore_as("longshore-cgi", extras)?;
    let held: Vec<TcpStream> = (0..HELD)
        .map(|number| {
            let mut stream = client::connect(longshore.address(), number)?;
            client::send(&mut stream, "GET", SCRIPT, "")?;
            Ok(stream)
        })
        .collect::<io::Result<_>>()?;
    std::thread::sleep(Duration::from_millis(500));
    let rounds = Rounds::run(&bench.wrk, &bench.load(SMALL, 64), &[&longshore], bench.arguments.rounds)?;
    list(report, "beside held scripts", &[&longshore], &rounds);
    let (errors, p99) = (rounds.errors(0), rounds.worst(0, |run| run.p99) / 1e3);
    // One that was answered already holds nothing: the script was not run at all.
    let answered = held.iter().filter(|stream| stream.set_nonblocking(true).is_ok() && stream.peek(&mut [0]).is_ok());
    let answered = answered.count();
    let goals = [Goal::none(errors as f64), Goal::new(p99, Below(200.0), Below(50.0)), Goal::none(answered as f64)];
    let mut measured = format!("{errors} errors; worst p99 {p99:.1} ms");
    if answered > 0 {
        measured += &format!("; {answered} requests were not held");
    }
    report.push(Row::measured(work, "0 errors, p99 < 200 ms", "0, < 50 ms", measured, &goals));
    Ok(())
}
