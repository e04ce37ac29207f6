//! CGI requests per second of the smallest programs there are, beside the other servers that run such.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use super::throughput::list;
use crate::bench::Bench;
use crate::children;
use crate::contestant::Contestant;
use crate::gateways;
use crate::rounds::Rounds;
use crate::site::Extras;
use crate::table::Bound::AtLeast;
use crate::table::{Goal, Report, Row};

const CLIENTS: usize = 16;
/// A compiled program and a shell script that write the same.
const PROGRAMS: [(&str, &str); 2] = [("a static C program", "/cgi-bin/hello"), ("a sh script", "/cgi-bin/hello.sh")];
const SOURCE: &str = r#"#include <unistd.h>
int main(void) {
    static const char text[] = "Content-Type: text/plain\n\nhello\n";
    return write(1, text, sizeof text - 1) < 0;
}
"#;
const SCRIPT: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello\\n'\n";

/// Longshore against the best of the others.
pub fn measure(bench: &Bench, report: &mut Report) -> io::Result<()> {
    lay_out(bench)?;
    let longshore = bench
        .longshore_as("longshore-cgi", Extras { put: false, cgi: true, tls: false, session: false, regexes: false })?;
    let (others, missing) = gateways::start(&bench.site, &bench.arguments.nginx);
    missing.into_iter().for_each(|text| report.note(format!("CGI without {text}")));
    let servers: Vec<&Contestant> =
        std::iter::once(&longshore).chain(others.iter().map(|other| &other.server)).collect();
    for (program, path) in PROGRAMS {
        let work = format!("CGI: {program}, {CLIENTS} clients");
        if others.is_empty() {
            report.push(Row::unmeasured(work, "no other server that runs CGI is installed"));
            continue;
        }
        let rounds = Rounds::run(&bench.wrk, &bench.load(path, CLIENTS), &servers, bench.arguments.rounds)?;
        list(report, &work, &servers, &rounds);
        // The best of the others is the one against which we look worst. One that failed is no measure.
        let fair = (1..servers.len()).filter(|other| rounds.errors(*other) == 0);
        let ratios = fair.map(|other| (other, rounds.ratio(0, other, |run| run.speed)));
        let Some((best, ratio)) = ratios.min_by(|a, b| a.1.median.total_cmp(&b.1.median)) else {
            report.push(Row::unmeasured(work, "every other server failed requests"));
            continue;
        };
        let errors = rounds.errors(0);
        let goals = [Goal::new(ratio.median, AtLeast(1.0), AtLeast(1.05)), Goal::none(errors as f64)];
        let measured = format!("{ratio} of {}; {errors} errors", servers[best].name());
        report.push(Row::measured(work, "≥ 1.0 of the best", "≥ 1.05", measured, &goals));
    }
    Ok(())
}

fn lay_out(bench: &Bench) -> io::Result<()> {
    let path = |url: &str| bench.site.path(url.trim_start_matches('/'));
    let (program, script) = (path(PROGRAMS[0].1), path(PROGRAMS[1].1));
    let source = bench.site.path("hello.c");
    fs::write(&source, SOURCE)?;
    let mut command = Command::new("cc");
    command.args(["-O2", "-static"]).arg(source).arg("-o").arg(&program);
    let (status, said) = children::run(&mut command, Duration::from_secs(60))?;
    if !status.success() {
        return Err(io::Error::other(format!("cc could not compile a CGI program: {said}")));
    }
    fs::write(&script, SCRIPT)?;
    [program, script].iter().try_for_each(|file| fs::set_permissions(file, Permissions::from_mode(0o755)))
}
