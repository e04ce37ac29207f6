//! A file of 4 GiB up and down again, by PUT and by a form: the speed at which it is stored, of nginx's PUT, and how much
//! memory that takes. One file stands on the disk at a time.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use crate::bench::Bench;
use crate::census;
use crate::contestant::{self, Contestant};
use crate::load::Run;
use crate::rounds::Rounds;
use crate::site::Extras;
use crate::table::Bound::{AtLeast, Below};
use crate::table::{Goal, Report, Row};
use crate::transfer::{Content, Request, watched};

/// MiB that come before what is counted, for buffers and pages that the first file makes. Memory counts from before them.
const WARM: usize = 16;
const MIB: f64 = 1024.0 * 1024.0;
const BOUNDARY: &str = "----figures";
/// What one file needs of the disk beside itself: the rest of the bench, and somebody else.
const SPARE: u64 = 1024 * 1024 * 1024;

/// A server that takes files in one way.
struct Taker {
    server: Contestant,
    request: Request,
    /// Where the file is fetched, and where it stands.
    url: String,
    file: Stored,
    /// Memory before the first file, and the most since, in KiB.
    before: u64,
    most: u64,
}

/// A file that is gone when this is, however the row ends.
struct Stored(PathBuf);

/// Longshore's PUT and its form, beside nginx's PUT.
pub fn measure(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let mib = bench.arguments.upload_mib;
    let (put, form) = (format!("upload of {mib} MiB by PUT"), format!("upload of {mib} MiB in a form"));
    let nginx = &bench.arguments.nginx;
    if !contestant::accepts(&bench.site, nginx, Extras { put: true, ..Extras::default() }) {
        let reason = format!("{} has no dav module to compare with (nginx -V)", nginx.display());
        [put, form].into_iter().for_each(|work| report.push(Row::unmeasured(work, &reason)));
        return Ok(());
    }
    let mut content = Content::new(mib);
    let disk = nix::sys::statvfs::statvfs(&bench.site.path(""))?;
    let free = disk.blocks_available() * disk.fragment_size();
    if free < content.bytes() + SPARE {
        return Err(io::Error::other(format!("{} MiB are free, which is too little (TMPDIR)", free / 1024 / 1024)));
    }
    let longshore = &bench.arguments.longshore;
    let mut takers = vec![Taker::put(bench, "longshore-put", longshore)?, Taker::put(bench, "nginx-put", nginx)?];
    let missing = match Taker::form(bench, "longshore-form", longshore) {
        Ok(taker) => {
            takers.push(taker);
            None
        }
        Err(error) => Some(error),
    };
    let rounds = run(bench, &mut takers, &mut content)?;
    for (place, taker) in takers.iter().enumerate() {
        report.note(format!(
            "upload, {}: {:.0} MiB/s, {:.0} µs of CPU for each MiB, {:.1} MiB of memory more at most (medians, and the worst)",
            taker.server.name(),
            rounds.median(place, |run| run.speed),
            rounds.median(place, |run| run.cost),
            taker.growth()
        ));
    }
    judge(report, put, &rounds, &takers, 0);
    match missing {
        Some(reason) => report.push(Row::unmeasured(form, reason)),
        None => judge(report, form, &rounds, &takers, 2),
    }
    Ok(())
}

/// Rounds in which each server takes the file once; another begins in each. What comes back is compared every time.
fn run(bench: &Bench, takers: &mut [Taker], content: &mut Content) -> io::Result<Rounds> {
    let mut warm = Content::new(WARM);
    // Now that all run: what two servers share counts half for each, and would seem to shrink when the second starts.
    for taker in &mut *takers {
        taker.before = census::memory_kib(taker.server.id());
        taker.most = taker.before;
    }
    for taker in &mut *takers {
        taker.take(&mut warm)?;
    }
    let mut runs = vec![Vec::new(); takers.len()];
    for round in 0..bench.arguments.rounds {
        for turn in 0..takers.len() {
            let place = (round + turn) % takers.len();
            runs[place].push(takers[place].take(content)?);
        }
    }
    Ok(Rounds::from_runs(runs))
}

fn judge(report: &mut Report, work: String, rounds: &Rounds, takers: &[Taker], place: usize) {
    let (speed, cost) = (rounds.ratio(place, 1, |run| run.speed), rounds.ratio(place, 1, |run| run.cost));
    let growth = takers[place].growth();
    let goals = [Goal::new(speed.median, AtLeast(0.9), AtLeast(1.0)), Goal::new(growth, Below(16.0), Below(4.0))];
    let measured = format!("{speed}; {growth:.1} MiB; the same SHA-256 back; CPU {cost}");
    let work = format!("{work}: speed, of nginx's PUT; growth of memory");
    report.push(Row::measured(work, "≥ 0.9; < 16 MiB", "≥ 1.0; < 4 MiB", measured, &goals));
}

impl Taker {
    fn put(bench: &Bench, name: &str, binary: &std::path::Path) -> io::Result<Taker> {
        let p = bench.site.prefix();
        let location = format!("location /put/ {{ root {p}; dav_methods PUT; client_max_body_size 0; sendfile on; }}");
        let server = bench.gateway(name, binary, "", &location)?;
        let url = format!("/put/{name}.bin");
        let request =
            Request { line: format!("PUT {url}"), fields: String::new(), before: Vec::new(), behind: Vec::new() };
        Ok(Taker::new(bench, server, request, url))
    }

    fn form(bench: &Bench, name: &str, binary: &std::path::Path) -> io::Result<Taker> {
        let p = bench.site.prefix();
        let location = format!("location /put/ {{ upload_store {p}put; client_max_body_size 0; sendfile on; }}");
        let server = bench.gateway(name, binary, "", &location)?;
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}.bin\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let request = Request {
            line: "POST /put/".into(),
            fields: format!("Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"),
            before: head.into_bytes(),
            behind: format!("\r\n--{BOUNDARY}--\r\n").into_bytes(),
        };
        Ok(Taker::new(bench, server, request, format!("/put/{name}.bin")))
    }

    fn new(bench: &Bench, server: Contestant, request: Request, url: String) -> Taker {
        let file = Stored(bench.site.path(url.trim_start_matches('/')));
        Taker { server, request, url, file, before: 0, most: 0 }
    }

    /// Sends the file, fetches and compares it, and removes it. Only the sending is timed; nothing that was written
    /// before is still on its way to the disk then.
    fn take(&mut self, content: &mut Content) -> io::Result<Run> {
        nix::unistd::sync();
        let Taker { server, request, url, .. } = &*self;
        let (id, address) = (server.id(), server.address());
        let (given, most) = watched(id, || {
            let (cpu, start) = (census::cpu(id), Instant::now());
            let status = content.send(address, request)?;
            let (taken, cpu) = (start.elapsed(), census::cpu(id).saturating_sub(cpu));
            if !matches!(status, 200 | 201 | 204) {
                return Err(io::Error::other(format!("answered {status}")));
            }
            content.fetch(address, url)?;
            Ok((taken, cpu))
        });
        let (taken, cpu) =
            given.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", server.name())))?;
        self.most = self.most.max(most);
        self.file.remove()?;
        let mib = content.bytes() as f64 / MIB;
        Ok(Run { speed: mib / taken.as_secs_f64(), cost: cpu.as_micros() as f64 / mib, ..Run::default() })
    }

    /// MiB.
    fn growth(&self) -> f64 {
        self.most.saturating_sub(self.before) as f64 / 1024.0
    }
}

impl Stored {
    fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.0)
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        // Usually it is gone already.
        let _ = self.remove();
    }
}
