//! Regexes in a server at work: hostile texts cost others nothing, workers match at the same time, and a system that
//! refuses code made at run time gets the same answers.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::client::{self, Client};
use crate::site::{Site, wait_for};

/// Each kind of regex that a text may blow up, and a path that does.
const CONF: &str = r#"
    map $uri $mapped { "~^/map/(a|a)+(?!b)$" yes; default no; }
    server { listen 127.0.0.1:%PORT1%; keepalive_requests 1000000;
        location ~ ^/at/(a+)+$ { return 200; }
        location ~ /free/(\w+\s?)*$ { return 200; }
        location /map/ { return 200 $mapped; }
        location /if/ { if ($uri ~* "^/if/(([a-z])+.)+[A-Z]([a-z])+$") { return 403; } return 200; }
        location /many/ { if ($uri ~ "(?:a+)+c$") { return 403; } return 200; }
        location /long/ { if ($uri ~ "a.*a.*a.*x$|y$") { return 403; } return 200; }
        location / { }
    }"#;

fn hostile() -> Vec<String> {
    vec![
        format!("/at/{}-", "a".repeat(40)),
        format!("/free/{}-", "a".repeat(40)),
        format!("/map/{}c", "a".repeat(40)),
        format!("/if/{}1", "a".repeat(60)),
        format!("/long/{}", "a".repeat(4000)),
        format!("/many/{}c", "aaaaaaaaaaaab".repeat(300)),
    ]
}

#[test]
fn hostile_paths_leave_the_processors_to_others() {
    const HOSTILE: usize = 64;
    let site = Site::start("", CONF);
    site.file("a", "hello");
    let mut other = Client::new(site.port());
    let (stop, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for n in 0..HOSTILE {
            let (stop, refused, site) = (&stop, &refused, &site);
            scope.spawn(move || {
                let paths = hostile();
                for path in paths.iter().cycle().skip(n) {
                    if stop.load(Relaxed) {
                        return;
                    }
                    assert_eq!(client::get(site.port(), path).status, 500, "{path}");
                    refused.fetch_add(1, Relaxed);
                }
            });
        }
        wait_for("each has been refused once", || refused.load(Relaxed) >= HOSTILE);
        // From now on the server has little to do, however busy the machine is.
        let (begun, cpu, before) = (Instant::now(), site.cpu(), refused.load(Relaxed));
        let mut served = 0;
        while begun.elapsed() < Duration::from_secs(2) {
            assert_eq!(other.get("/a").status, 200);
            served += 1;
            std::thread::sleep(Duration::from_millis(10));
        }
        let (took, cpu) = (begun.elapsed(), site.cpu() - cpu);
        let refused = refused.load(Relaxed) - before;
        stop.store(true, Relaxed);
        assert!(served > 10, "{served} in {took:?}");
        assert!(refused as f64 <= 20.0 * took.as_secs_f64() + 5.0, "{refused} in {took:?}");
        assert!(cpu < took / 4, "{cpu:?} of {took:?} for {refused} refused and {served} served");
    });
    assert!(site.said_times("500/regex-too-hard") >= HOSTILE);
    site.stop();
}

#[test]
fn workers_match_at_the_same_time() {
    let conf = r#"server { listen 127.0.0.1:%PORT1%; keepalive_requests 1000000;
        location ~ "^/(?<number>\d+)/((?:x|y)*)(z)?$" { return 200 "$number $2 <$3>"; } }"#;
    let site = Site::start("thread_pool default threads=16;", conf);
    std::thread::scope(|scope| {
        for number in 0..32 {
            let site = &site;
            scope.spawn(move || {
                let mut client = Client::new(site.port());
                for round in 0..100 {
                    let tail = "xy".repeat((number * 7 + round) % 50);
                    let z = if round % 2 == 0 { "z" } else { "" };
                    let answer = client.get(&format!("/{number}/{tail}{z}"));
                    assert_eq!(answer.text(), format!("{number} {tail} <{z}>"));
                }
            });
        }
    });
    site.stop();
}

/// The lines of the server's memory map, if we may look.
fn maps(site: &Site) -> Option<String> {
    fs::read_to_string(format!("/proc/{}/maps", site.serving())).ok()
}

/// Whether there is code in it that belongs to no file.
fn has_made_code(maps: &str) -> bool {
    maps.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1).is_some_and(|rights| rights.contains('x')) && words.len() == 5
    })
}

#[test]
fn without_jit_the_interpreter_answers() {
    // As under systemd's MemoryDenyWriteExecute.
    let refusing = "import ctypes, os, sys\n\
                    if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0: sys.exit(77)\n\
                    os.execv(sys.argv[1], sys.argv[1:])";
    let probe = std::process::Command::new("python3").args(["-c", refusing, "/bin/true"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no python3, or a kernel before 6.3");
        return;
    }
    let (jit, plain) = (Site::start("", CONF), Site::start_under(&["python3", "-c", refusing], "", CONF));
    let mut paths = hostile();
    paths.extend(
        ["/at/aaa", "/map/aaa", "/map/c", "/if/aaB", "/if/abcDef", "/long/aaax", "/many/aac"].map(str::to_owned),
    );
    paths.push(format!("/map/{}", "a".repeat(6000)));
    for path in &paths {
        let ask = |site: &Site| {
            let answer = Client::new(site.port()).get(path);
            (answer.status, answer.text())
        };
        let (with, without) = (ask(&jit), ask(&plain));
        assert_eq!(with.0, without.0, "{path}");
        assert!(with.0 == 500 || with.1 == without.1, "{path}");
    }
    if let (Some(jit), Some(plain)) = (maps(&jit), maps(&plain)) {
        assert!(has_made_code(&jit) && !has_made_code(&plain), "{jit}\n{plain}");
        assert!(!jit.contains("libpcre"), "PCRE2 is linked in");
    }
    jit.stop();
    plain.stop();
}
