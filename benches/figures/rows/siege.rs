//! siege's availability figure, which many people look at first.

use std::io;
use std::process::Command;
use std::time::Duration;

use crate::bench::Bench;
use crate::children;
use crate::contestant::Contestant;
use crate::site::EMPTY;
use crate::table::Bound::AtLeast;
use crate::table::{Goal, Report, Row};

/// Siege counts repetitions, not time: with `-t` Debian's siege does not end.
pub fn measure(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let ours = availability(bench, &bench.longshore()?)?;
    let theirs = availability(bench, &bench.nginx()?)?;
    let measured = format!("{ours:.2} % (nginx {theirs:.2} %)");
    let goals = [Goal::new(ours, AtLeast(100.0), AtLeast(100.0))];
    report.push(Row::measured("siege, 25 clients, empty page: availability", "100 %", "100 %", measured, &goals));
    Ok(())
}

fn availability(bench: &Bench, server: &Contestant) -> io::Result<f64> {
    let mut command = Command::new("siege");
    // It writes a settings folder into its home.
    command.env("HOME", bench.site.path("logs"));
    command.args(["-b", "-c", "25", "-r", "400", "--no-parser"]).arg(server.url(EMPTY));
    let (_, printed) = children::run(&mut command, Duration::from_secs(60))?;
    let line = printed.lines().find(|line| line.to_lowercase().contains("availability"));
    line.and_then(|line| line.split([':', ' ', '\t', ',', '%']).find_map(|word| word.parse().ok()))
        .ok_or_else(|| io::Error::other("siege (Debian's package siege) printed no availability"))
}
