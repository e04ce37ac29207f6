//! Catastrophic regexes in a conf and clients that ask for paths that are too hard for them: what they leave to the others.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::bench::Bench;
use crate::client;
use crate::contestant::Contestant;
use crate::load::Run;
use crate::rounds::Rounds;
use crate::site::SMALL;
use crate::table::Bound::AtLeast;
use crate::table::{Goal, Report, Row};

/// Clients that send hostile paths.
const HOSTILE: usize = 64;

/// Locations as people write them. None takes the path of the others.
const LOCATIONS: &str = r"
    location ~ ^/at/(a+)+$ { return 403; }
    location ~ /free/(\w+\s?)*$ { return 403; }
    location ~* ^/mail/(([a-z])+.)+[A-Z]([a-z])+$ { return 403; }
    location ~ (?:a+)+c$ { return 403; }
    location ~ /a.*a.*a.*x$ { return 403; }
    location ~ ^/near/(a|a)+(?!b)$ { return 403; }";

fn paths() -> Vec<String> {
    let a = |times: usize| "a".repeat(times);
    vec![
        format!("/at/{}-", a(40)),
        format!("/free/{}-", a(40)),
        format!("/mail/{}1", a(60)),
        format!("/a{}c", "aaaaaaaaaaaab".repeat(300)),
        format!("/a{}", a(4000)),
        // Just below the limit, so that nothing is refused.
        format!("/near/{}c", a(13)),
    ]
}

/// Each server alone and beside the hostile clients by turns.
pub fn measure(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let ours = beside(bench, &bench.gateway("longshore", &bench.arguments.longshore, "", LOCATIONS)?, report)?;
    let theirs = beside(bench, &bench.gateway("nginx", &bench.arguments.nginx, "", LOCATIONS)?, report)?;
    let kept = |rounds: &Rounds| rounds.ratio(0, 1, |run| run.speed);
    let work = format!("613-byte file beside {HOSTILE} clients with hostile paths: speed, of that without them");
    let measured = format!("{} (nginx {})", kept(&ours), kept(&theirs));
    let goals = [Goal::new(kept(&ours).median, AtLeast(0.9), AtLeast(0.95)), Goal::none(ours.errors(0) as f64)];
    report.push(Row::measured(work, "≥ 0.9", "≥ 0.95", measured, &goals));
    Ok(())
}

fn beside(bench: &Bench, server: &Contestant, report: &mut Report) -> io::Result<Rounds> {
    let load = bench.load(SMALL, 64);
    bench.wrk.run(&load, server)?;
    let (mut crowded, mut alone) = (Vec::<Run>::new(), Vec::<Run>::new());
    let answered = AtomicUsize::new(0);
    for _ in 0..bench.arguments.rounds {
        let stop = AtomicBool::new(false);
        let run = std::thread::scope(|scope| {
            for number in 0..HOSTILE {
                let (stop, answered, target) = (&stop, &answered, server.address());
                scope.spawn(move || ask(target, number, stop, answered));
            }
            std::thread::sleep(Duration::from_millis(300));
            let run = bench.wrk.run(&load, server);
            stop.store(true, Relaxed);
            run
        });
        crowded.push(run?);
        alone.push(bench.wrk.run(&load, server)?);
    }
    report.note(format!("{}: {} hostile requests were answered", server.name(), answered.load(Relaxed)));
    Ok(Rounds::from_runs(vec![crowded, alone]))
}

/// Asks for one hostile path after the other until it is told to stop.
fn ask(target: SocketAddr, number: usize, stop: &AtomicBool, answered: &AtomicUsize) {
    let paths = paths();
    let mut stream: Option<TcpStream> = None;
    for path in paths.iter().cycle().skip(number) {
        let open = match stream.take() {
            Some(open) => Ok(open),
            None => client::connect(target, number),
        };
        let Ok(mut open) = open else { return };
        let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        if open.set_read_timeout(Some(Duration::from_millis(50))).is_err() || open.write_all(head.as_bytes()).is_err() {
            continue;
        }
        // Every answer is short: what comes first is all of it.
        let mut bytes = [0; 16 << 10];
        loop {
            match open.read(&mut bytes) {
                Ok(0) => break,
                Ok(_) => {
                    answered.fetch_add(1, Relaxed);
                    stream = Some(open);
                    break;
                }
                Err(_) if stop.load(Relaxed) => return,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
        }
        if stop.load(Relaxed) {
            return;
        }
    }
}
