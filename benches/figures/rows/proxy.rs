//! Requests passed on over HTTP: what one costs over kept connections, what a WebSocket costs that says nothing, and what
//! requests to a server that never answers do to the others. nginx is the other proxy, and the server behind both.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use super::idle::still_open;
use super::throughput::list;
use crate::backend::Backend;
use crate::bench::Bench;
use crate::census;
use crate::client;
use crate::contestant::Contestant;
use crate::rounds::Rounds;
use crate::site::SMALL;
use crate::table::Bound::{AtLeast, AtMost};
use crate::table::{Goal, Report, Row};

const CLIENTS: usize = 64;
/// What is passed on; everything else is a file.
const PASSED: &str = "/passed";
const WEBSOCKETS: usize = 2_000;
const HUNG: usize = 500;
/// Connections opened before their answers are read: below any listener's backlog.
const BURST: usize = 100;
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

/// An answer of 1 KiB from a local server, the connections to it kept.
pub fn kept(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let work = format!("proxy, a 1 KiB answer, {CLIENTS} kept-alive clients");
    let page = format!("location = {PASSED} {{ return 200 \"{}\"; }}", "0123456789abcdef".repeat(64));
    let behind = bench.gateway("behind", &bench.arguments.nginx, "", &page)?;
    let upstream = format!(
        "upstream behind {{ server {}; keepalive {CLIENTS}; keepalive_requests 1000000000; }}",
        behind.address()
    );
    let location = format!(
        "location = {PASSED} {{ proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}"
    );
    let longshore = bench.gateway("longshore-proxy", &bench.arguments.longshore, &upstream, &location)?;
    let nginx = bench.gateway("nginx-proxy", &bench.arguments.nginx, &upstream, &location)?;
    for server in [&longshore, &nginx] {
        let answer = client::fetch(server.address(), PASSED)?;
        if answer.status != 200 || answer.body.len() != 1024 {
            return Err(io::Error::other(format!("{} passes nothing on: {}", server.name(), answer.status)));
        }
    }
    let servers = [&longshore, &nginx];
    let rounds = Rounds::run(&bench.wrk, &bench.load(PASSED, CLIENTS), &servers, bench.arguments.rounds)?;
    list(report, &work, &servers, &rounds);
    let (speed, cost) = (rounds.ratio(0, 1, |run| run.speed), rounds.ratio(0, 1, |run| run.cost));
    let errors = rounds.errors(0);
    let goals = [
        Goal::new(speed.median, AtLeast(0.9), AtLeast(1.1)),
        Goal::new(cost.median, AtMost(1.1), AtMost(0.9)),
        Goal::none(errors as f64),
    ];
    let measured = format!("{speed} / {cost}; {errors} errors");
    report.push(Row::measured(work, "≥ 0.9 / ≤ 1.1", "≥ 1.1 / ≤ 0.9", measured, &goals));
    Ok(())
}

/// WebSockets that stand and say nothing: memory each, and whether anything is left to answer others with.
pub fn websockets(bench: &Bench, report: &mut Report) -> io::Result<()> {
    // Each costs two descriptors, in the server as here.
    let count = bench.affordable(2 * WEBSOCKETS, 600) / 2;
    let ours = switched(bench, report, "longshore-ws", &bench.arguments.longshore, count)?;
    let theirs = switched(bench, report, "nginx-ws", &bench.arguments.nginx, count)?;
    let work = format!("{count} idle WebSockets passed on: memory each; lost; files answered beside them");
    let measured = format!(
        "{:.2} KiB; {}; {} of {CLIENTS} (nginx {:.2} KiB; {}; {})",
        ours.kib_each, ours.lost, ours.answered, theirs.kib_each, theirs.lost, theirs.answered
    );
    let goals = [
        Goal::new(ours.kib_each, AtMost(20.0), AtMost(20.0)),
        Goal::none(ours.lost as f64),
        Goal::none((CLIENTS - ours.answered) as f64),
        Goal::none((WEBSOCKETS - count) as f64),
    ];
    report.push(Row::measured(work, "≤ 20 KiB; 0; all", "≤ 20 KiB; 0; all", measured, &goals));
    Ok(())
}

/// What became of one server's WebSockets.
struct Switched {
    kib_each: f64,
    lost: usize,
    answered: usize,
}

fn switched(
    bench: &Bench,
    report: &mut Report,
    name: &str,
    binary: &std::path::Path,
    count: usize,
) -> io::Result<Switched> {
    let backend = Backend::start(SWITCHED)?;
    let location = format!(
        "location = {PASSED} {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_read_timeout 1h; \
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection Upgrade; }}",
        backend.address()
    );
    let server = bench.gateway(name, binary, "", &location)?;
    // What passing on itself needs is in memory before the first count.
    bench.wrk.run(&bench.load(SMALL, CLIENTS), &server)?;
    let first = open(&server, CLIENTS.min(count), UPGRADE, Some(101));
    let before = census::holdings(server.id());
    let crowd = open(&server, count - first.len(), UPGRADE, Some(101));
    let after = census::holdings(server.id());
    // More than a pool has threads, at once.
    let asked = open(&server, CLIENTS, "", None);
    let standing = first.iter().chain(&crowd).filter(|stream| still_open(stream)).count();
    report.note(format!(
        "{name}: {standing} of {count} WebSockets stood at the end, {} threads, PSS {} KiB before and {} KiB after",
        after.threads, before.pss_kib, after.pss_kib
    ));
    Ok(Switched {
        kib_each: (after.pss_kib as f64 - before.pss_kib as f64).max(0.0) / crowd.len().max(1) as f64,
        lost: count - standing,
        answered: asked.len(),
    })
}

/// Requests that wait for a server which never answers: the speed of files beside them, of that of a server without.
pub fn hung(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let location = format!("location = {PASSED}");
    beside(bench, report, "requests wait on a server that never answers", "", &location)
}

/// The same of questions: `guarded` stands in the location that is asked for, and `asked` is the beginning of the one that it asks.
pub fn beside(bench: &Bench, report: &mut Report, what: &str, guarded: &str, asked: &str) -> io::Result<()> {
    let waiting = Waiting { guarded, asked };
    let (ours, lost, errors) = waiting.run(bench, report, "longshore", &bench.arguments.longshore)?;
    let (theirs, ..) = waiting.run(bench, report, "nginx", &bench.arguments.nginx)?;
    let work = format!("{HUNG} {what}: speed of files beside them, of unloaded");
    let measured = format!("{ours:.2}; {lost} lost (nginx {theirs:.2})");
    let goals = [Goal::new(ours, AtLeast(0.9), AtLeast(0.95)), Goal::none(lost as f64), Goal::none(errors as f64)];
    report.push(Row::measured(work, "≥ 0.9; 0 lost", "≥ 0.95; 0 lost", measured, &goals));
    Ok(())
}

/// What waits: the lines of the location that is asked for, if another is asked about it, and the beginning of the one that waits.
struct Waiting<'w> {
    guarded: &'w str,
    asked: &'w str,
}

impl Waiting<'_> {
    /// Speed kept, requests that did not wait to the end, errors.
    fn run(
        &self,
        bench: &Bench,
        report: &mut Report,
        name: &str,
        binary: &std::path::Path,
    ) -> io::Result<(f64, usize, u64)> {
        let backend = Backend::start(b"")?;
        let guarded = match self.guarded {
            "" => String::new(),
            lines => format!("location = {PASSED} {{ {lines} }}"),
        };
        let asked = self.asked;
        let location =
            format!("{guarded} {asked} {{ proxy_pass http://{}; proxy_read_timeout 1h; }}", backend.address());
        let crowded = bench.gateway(&format!("{name}-hung"), binary, "", &location)?;
        let alone = bench.gateway(&format!("{name}-calm"), binary, "", &location)?;
        let mut waiting = Vec::with_capacity(HUNG);
        for number in 0..HUNG {
            let mut stream = client::connect(crowded.address(), number)?;
            client::send(&mut stream, "GET", PASSED, "")?;
            waiting.push(stream);
        }
        backend.wait_for(HUNG, Duration::from_secs(30))?;
        let rounds = Rounds::run(&bench.wrk, &bench.load(SMALL, CLIENTS), &[&crowded, &alone], bench.arguments.rounds)?;
        list(report, "beside requests that wait for ever", &[&crowded, &alone], &rounds);
        let standing = waiting.iter().filter(|stream| still_open(stream)).count();
        Ok((rounds.ratio(0, 1, |run| run.speed).median, HUNG - standing, rounds.errors(0)))
    }
}

/// Connections on which the answer came: the head of one with `status` for what is passed on, else a whole file.
fn open(server: &Contestant, count: usize, fields: &str, status: Option<u16>) -> Vec<TcpStream> {
    let path = if status.is_some() { PASSED } else { SMALL };
    let mut kept = Vec::with_capacity(count);
    for start in (0..count).step_by(BURST) {
        let mut burst: Vec<TcpStream> = (start..count.min(start + BURST))
            .filter_map(|number| {
                let mut stream = client::connect(server.address(), number).ok()?;
                client::send(&mut stream, "GET", path, fields).ok()?;
                Some(stream)
            })
            .collect();
        burst.retain_mut(|stream| match status {
            Some(status) => client::receive_head(stream).is_ok_and(|head| head.status == status),
            None => client::receive(stream).is_ok_and(|answer| answer.status == 200),
        });
        kept.append(&mut burst);
    }
    kept
}
