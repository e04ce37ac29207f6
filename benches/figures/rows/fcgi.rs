//! The smallest PHP page on php-fpm: what passing a request to a FastCGI program costs, beside nginx over the same program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::throughput::list;
use crate::bench::Bench;
use crate::children::Guarded;
use crate::contestant::Contestant;
use crate::rounds::Rounds;
use crate::table::Bound::AtLeast;
use crate::table::{Goal, Report, Row};

const CLIENTS: usize = 16;
const PAGE: &str = "/hello.php";
const LONGSHORE: &str = "longshore-fcgi";
const NGINX: &str = "nginx-fcgi";

/// Longshore against nginx, with a connection for each request and with kept ones.
pub fn measure(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let work = |how: &str| format!("php-fpm hello, {CLIENTS} clients, {how}");
    let Some(fpm) = find_fpm() else {
        report.push(Row::unmeasured(work("all"), "php-fpm is not installed"));
        return Ok(());
    };
    fs::write(bench.site.file(PAGE), "<?php echo \"hello\\n\";\n")?;
    // One for each server: a connection that the other keeps would hold a child meanwhile.
    let _programs = [start_fpm(bench, &fpm, LONGSHORE)?, start_fpm(bench, &fpm, NGINX)?];
    for (how, keep) in [("a connection each", false), ("kept connections", true)] {
        let longshore = start(bench, LONGSHORE, &bench.arguments.longshore, keep)?;
        let nginx = start(bench, NGINX, &bench.arguments.nginx, keep)?;
        let servers = [&longshore, &nginx];
        let rounds = Rounds::run(&bench.wrk, &bench.load(PAGE, CLIENTS), &servers, bench.arguments.rounds)?;
        list(report, &work(how), &servers, &rounds);
        let (speed, cost) = (rounds.ratio(0, 1, |run| run.speed), rounds.ratio(0, 1, |run| run.cost));
        let errors = rounds.errors(0);
        let goals = [Goal::new(speed.median, AtLeast(0.95), AtLeast(1.0)), Goal::none(errors as f64)];
        let measured = format!("{speed}; CPU {cost}; {errors} errors");
        report.push(Row::measured(work(how), "≥ 0.95", "≥ 1.0", measured, &goals));
    }
    Ok(())
}

fn find_fpm() -> Option<PathBuf> {
    let entries = fs::read_dir("/usr/sbin").ok()?.flatten().map(|entry| entry.path());
    let is_fpm = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("php-fpm"));
    entries.filter(is_fpm).max()
}

/// More children than clients: a kept connection holds one each.
fn start_fpm(bench: &Bench, fpm: &Path, name: &str) -> io::Result<Guarded> {
    let p = bench.site.prefix();
    let user =
        if nix::unistd::geteuid().is_root() { "user = nobody\ngroup = nogroup\nlisten.mode = 0666\n" } else { "" };
    let conf = bench.site.path(&format!("{name}.fpm.conf"));
    let text = format!(
        "[global]\nerror_log = {p}logs/{name}.fpm.log\ndaemonize = no\n[www]\nlisten = {p}logs/{name}.sock\n{user}\
         listen.backlog = 1024\npm = static\npm.max_children = 20\n"
    );
    fs::write(&conf, text)?;
    let mut command = Command::new(fpm);
    command.arg("-n").arg("-y").arg(conf).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Guarded::start(&mut command)?;
    let (socket, end) = (bench.site.path(&format!("logs/{name}.sock")), Instant::now() + Duration::from_secs(10));
    while !socket.exists() {
        if process.ended().is_some() || Instant::now() >= end {
            let said = fs::read_to_string(bench.site.path(&format!("logs/{name}.fpm.log"))).unwrap_or_default();
            return Err(io::Error::other(format!("php-fpm does not start: {}", said.trim())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(process)
}

fn start(bench: &Bench, name: &str, binary: &Path, keep: bool) -> io::Result<Contestant> {
    let p = bench.site.prefix();
    let (pool, line) = if keep { ("keepalive 16;", "fastcgi_keep_conn on;") } else { ("", "") };
    let upstream = format!("upstream fpm {{ server unix:{p}logs/{name}.sock; {pool} }}");
    let location = format!(
        "location ~ \\.php$ {{
            fastcgi_pass fpm; {line}
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_param SCRIPT_NAME $fastcgi_script_name;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param REQUEST_URI $request_uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param DOCUMENT_ROOT $document_root;
            fastcgi_param SERVER_PROTOCOL $server_protocol;
            fastcgi_param REMOTE_ADDR $remote_addr;
            fastcgi_param SERVER_NAME $server_name;
        }}"
    );
    bench.gateway(name, binary, &upstream, &location)
}
