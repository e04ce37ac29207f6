//! One bounded run of wrk, and what it says about the server. It must not know which server that is.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::census;
use crate::children;
use crate::contestant::Contestant;
use crate::site::{self, Site};

/// What is asked, by how many clients, for how long.
#[derive(Clone, Debug)]
pub struct Load {
    pub path: &'static str,
    pub clients: usize,
    pub seconds: u64,
    /// A new connection for each request.
    pub close: bool,
    /// A Cookie field.
    pub cookie: Option<String>,
}

/// What one run of one load gave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// Requests per second.
    pub speed: f64,
    /// CPU microseconds of the server's process tree for one request.
    pub cost: f64,
    /// Microseconds.
    pub p50: f64,
    /// Microseconds.
    pub p99: f64,
    /// Connections and reads that failed, time-outs, and answers of 400 and above.
    pub errors: u64,
}

/// wrk, with a script that prints its summary as plain numbers.
pub struct Wrk {
    script: PathBuf,
}

/// From this size on, requests are counted by the bytes that came: at the end of a run the requests under way are a
/// good part of all, and wrk counts whole ones only.
const COUNT_BYTES_FROM: usize = 64 * 1024;

impl Wrk {
    /// Lays the script into the site's folder.
    ///
    /// # Errors
    /// When wrk is not installed.
    pub fn prepare(site: &Site) -> io::Result<Wrk> {
        Command::new("wrk")
            .arg("-v")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| io::Error::new(error.kind(), format!("wrk (Debian's package wrk): {error}")))?;
        let script = site.path("summary.lua");
        // Only `done`: a script that has `request` or `response` would cost wrk time on every request.
        fs::write(
            &script,
            "done = function(sum, latency)\n\
             local bad = sum.errors\n\
             io.write(string.format('figures %d %d %d %d %d %d\\n', sum.duration, sum.requests, sum.bytes,\n\
             bad.connect + bad.read + bad.write + bad.timeout + bad.status, latency:percentile(50),\n\
             latency:percentile(99)))\n\
             end\n",
        )?;
        Ok(Wrk { script })
    }

    /// Runs the load once and measures the server meanwhile.
    pub fn run(&self, load: &Load, server: &Contestant) -> io::Result<Run> {
        let before = census::cpu(server.id());
        let printed = self.drive(load, &server.url(load.path))?;
        let cpu = census::cpu(server.id()).saturating_sub(before);
        let numbers: Vec<f64> = printed
            .lines()
            .find_map(|line| line.strip_prefix("figures "))
            .map(|line| line.split(' ').filter_map(|word| word.parse().ok()).collect())
            .unwrap_or_default();
        let [micros, whole, bytes, errors, p50, p99] = numbers[..] else {
            return Err(io::Error::other(format!("wrk printed no summary: {printed}")));
        };
        let size = site::size(load.path);
        let requests = if size >= COUNT_BYTES_FROM { bytes / size as f64 } else { whole };
        Ok(Run {
            speed: requests * 1e6 / micros.max(1.0),
            cost: cpu.as_secs_f64() * 1e6 / requests.max(1.0),
            p50,
            p99,
            errors: errors as u64,
        })
    }

    fn drive(&self, load: &Load, url: &str) -> io::Result<String> {
        let mut command = Command::new("wrk");
        command.arg("-t1").arg(format!("-c{}", load.clients)).arg(format!("-d{}s", load.seconds));
        command.arg("-s").arg(&self.script);
        if load.close {
            command.args(["-H", "Connection: close"]);
        }
        if let Some(cookie) = &load.cookie {
            command.args(["-H", &format!("Cookie: {cookie}")]);
        }
        let (status, printed) =
            children::run(command.arg(url), Duration::from_secs(load.seconds) + Duration::from_secs(30))?;
        if !status.success() {
            return Err(io::Error::other(format!("wrk ended with {status}: {printed}")));
        }
        Ok(printed)
    }
}
