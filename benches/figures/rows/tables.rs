//! A map and a geo of 100,000 lines each: how long a look-up takes, and how long the conf takes to load. Look-ups are made in this
//! process, by the very code of a request, since over a socket they would vanish behind it.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore::exchange::engine::Waker;
use longshore::exchange::{Arrival, Client, Exchange, Origin, Source};
use longshore::settings::Settings;
use longshore::settings::load::{Request, load};

use crate::bench::Bench;
use crate::table::Bound::AtMost;
use crate::table::{Goal, Report, Row};

const LINES: u32 = 100_000;
const LOOK_UPS: u32 = 300_000;
/// Loads of which the quickest counts.
const LOADS: usize = 3;

/// One row for both tables: the slower one counts.
pub fn measure(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let folder = bench.site.path("tables");
    fs::create_dir_all(&folder)?;
    let (mut look_up, mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for (name, block) in [("map", map()), ("geo", geo())] {
        let file = folder.join(format!("{name}.conf"));
        let head = format!("error_log {0}/log; pid {0}/pid;", folder.display());
        let temps: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/temp;\n", folder.display()))
            .concat();
        let hash = "map_hash_max_size 262144; map_hash_bucket_size 128;";
        let text = format!(
            "{head}\nevents {{}}\nhttp {{ access_log off; {hash}\n{temps}{block}\n\
             server {{ listen unix:{}/socket; location / {{ return 200 $value; }} }} }}\n",
            folder.display()
        );
        fs::write(&file, text)?;
        let settings = settings(&file)?;
        let here = time_look_ups(&settings, name)?;
        let own = time_load(&bench.arguments.longshore, &folder, &file)?;
        let other = time_load(&bench.arguments.nginx, &folder, &file)?;
        report.note(format!(
            "tables: {name}: a look-up {:.2} µs; `-t` {:.2} s, nginx {:.2} s",
            here.as_secs_f64() * 1e6,
            own.as_secs_f64(),
            other.as_secs_f64()
        ));
        (look_up, ours, theirs) = (look_up.max(here), ours.max(own), theirs.max(other));
    }
    let (micros, seconds) = (look_up.as_secs_f64() * 1e6, ours.as_secs_f64());
    let goals = [Goal::new(micros, AtMost(2.0), AtMost(1.0)), Goal::new(seconds, AtMost(2.0), AtMost(0.5))];
    let measured = format!("{micros:.2} µs; {seconds:.2} s (nginx {:.2} s)", theirs.as_secs_f64());
    let work = "a map and a geo of 100,000 lines: a look-up; loading";
    report.push(Row::measured(work, "≤ 2 µs; ≤ 2 s", "≤ 1 µs; ≤ 0.5 s", measured, &goals));
    Ok(())
}

fn map() -> String {
    let mut text = "map $arg_key $value { default none;\n".to_string();
    for n in 0..LINES {
        text.push_str(&format!("/old/page-{n}.html /new/{n};\n"));
    }
    text + "}"
}

/// Networks of three lengths, one within the other.
fn geo() -> String {
    let mut text = "geo $arg_key $value { default none;\n".to_string();
    for n in 0..LINES {
        let (high, low) = (10 + (n >> 16), n & 0xffff);
        let (b, c) = (low >> 8, low & 0xff);
        match n % 3 {
            0 => text.push_str(&format!("{high}.{b}.{c}.0/24 {n};\n")),
            1 => text.push_str(&format!("{high}.{b}.{c}.64/26 {n};\n")),
            _ => text.push_str(&format!("{high}.{b}.{c}.7/32 {n};\n")),
        }
    }
    text + "}"
}

fn settings(file: &Path) -> io::Result<Settings> {
    let request = Request { file: file.to_path_buf(), prefix: "/".into(), ..Request::default() };
    let loaded = load(&request);
    let first = loaded.diagnostics.first().map(|diagnostic| diagnostic.message.clone());
    loaded.settings.ok_or_else(|| io::Error::other(first.unwrap_or_default()))
}

/// The mean time of one look-up, the argument's search included.
fn time_look_ups(settings: &Settings, name: &str) -> io::Result<Duration> {
    let named = |(found, _): &(String, _)| found == "value";
    let (_, getter) = settings.variables.entries.iter().find(|entry| named(entry)).ok_or(io::ErrorKind::NotFound)?;
    let getter = getter.as_ref().ok_or(io::ErrorKind::NotFound)?;
    let server = settings.servers.first().ok_or(io::ErrorKind::NotFound)?;
    let now = Instant::now();
    // Each look-up is another request's: one request works a value out once.
    let request = || {
        let origin = Origin {
            nth: 1,
            connected: now,
            started: now,
            pipelined: false,
            source: Source::Client,
            waker: Waker::new(None, 0),
        };
        let arrival = Arrival { client: Client::default(), head: Default::default(), origin };
        let scope = server.scope.clone();
        Exchange::new(arrival, scope.place(), scope, settings.variables.clone(), Arc::default())
    };
    let (mut spent, mut found) = (Duration::ZERO, 0u32);
    for i in 0..LOOK_UPS {
        // A step that has no factor in common with the number of lines comes by all of them, far apart.
        let n = i.wrapping_mul(48_271) % LINES;
        let key = match name {
            "map" => format!("key=/old/page-{n}.html"),
            _ => format!("key={}.{}.{}.7", 10 + (n >> 16), n >> 8 & 0xff, n & 0xff),
        };
        let mut x = request();
        x.args = Some(key.into_bytes());
        let begun = Instant::now();
        let value = getter(&x);
        spent += begun.elapsed();
        found += u32::from(value.is_some_and(|value| value.as_ref() != b"none"));
    }
    match found > LOOK_UPS / 2 {
        true => Ok(spent / LOOK_UPS),
        false => Err(io::Error::other(format!("only {found} look-ups found something"))),
    }
}

fn time_load(binary: &Path, folder: &Path, file: &Path) -> io::Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..LOADS {
        let begun = Instant::now();
        let mut command = Command::new(binary);
        command.arg("-p").arg(folder).arg("-t").arg("-c").arg(file);
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        best = best.min(begun.elapsed());
    }
    Ok(best)
}
