//! Programs that were taken over, or that repeat what a client wrote: whatever they name in their fields opens nothing that is closed.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use crate::client::{Client, get};
use crate::site::{Site, wait_for};

/// Ways to write the path of a file that `location /files/` does not hold.
const CLIMBS: [&str; 22] = [
    "/files/../secret/s.txt",
    "/files/%2e%2e/secret/s.txt",
    "/files/%2E./secret/s.txt",
    "/files/.%2e/secret/s.txt",
    "/files/..%2fsecret/s.txt",
    "/files/..%2Fsecret/s.txt",
    "/files%2f..%2fsecret/s.txt",
    "%2ffiles/../secret/s.txt",
    "/files/a/../../secret/s.txt",
    "/files//../../secret/s.txt",
    "/files/./../secret/s.txt",
    "/files/../secret/s.txt?a=b",
    "/files/%2e%2e/secret/s.txt?a=b",
    "/files/x%3f/../../secret/s.txt",
    "/files/x#/../../secret/s.txt",
    "/files/%/../../secret/s.txt",
    "/files/%zz/../../secret/s.txt",
    "/files/%4/../../secret/s.txt",
    "/files/%2/../../secret/s.txt",
    "/files/..%00/../secret/s.txt",
    "../secret/s.txt",
    "-secret/s.txt",
];

/// A server that answers every connection, once a `;` has come, with what `answer` makes of the bytes.
fn program(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer): (TcpStream, _) = (stream.unwrap(), answer.clone());
            std::thread::spawn(move || {
                let (mut asked, mut piece) = (Vec::new(), [0; 4096]);
                while !asked.contains(&b';') {
                    match stream.read(&mut piece) {
                        Ok(n @ 1..) => asked.extend_from_slice(&piece[..n]),
                        _ => return,
                    }
                }
                // A server that has seen enough may have closed.
                let _ = stream.write_all(&answer(&asked));
                let _ = stream.shutdown(std::net::Shutdown::Write);
                while matches!(stream.read(&mut piece), Ok(1..)) {}
            });
        }
    });
    port
}

/// The entry of `CLIMBS` that a request names as `n=NUMBER;`.
fn climb(asked: &[u8]) -> &'static str {
    let asked = String::from_utf8_lossy(asked);
    let number = asked.split("n=").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    CLIMBS[number.parse::<usize>().unwrap()]
}

fn script(site: &Site, name: &str, text: &str) {
    site.file(name, format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(site.path("html").join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn no_program_leads_up() {
    let head = |asked: &[u8]| format!("Content-Type: text/plain\r\nX-Accel-Redirect: {}\r\n\r\n", climb(asked));
    let http = program(move |asked| format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}", head(asked)).into_bytes());
    let plain = program(move |asked| head(asked).into_bytes());
    let fastcgi = program(move |asked| {
        let head = head(asked);
        let [high, low] = (head.len() as u16).to_be_bytes();
        [&[1, 6, 0, 1, high, low, 0, 0], head.as_bytes(), &[1, 3, 0, 1, 0, 8, 0, 0], &[0; 8]].concat()
    });
    let site = Site::start(
        "",
        &format!(
            "server {{ listen 127.0.0.1:%PORT1%; location /files/ {{ internal; }} location /secret/ {{ }}
            location /proxy {{ proxy_pass http://127.0.0.1:{http}; }}
            location /fastcgi {{ fastcgi_param QUERY_STRING $args; fastcgi_pass 127.0.0.1:{fastcgi}; }}
            location /scgi {{ scgi_param QUERY_STRING $args; scgi_pass 127.0.0.1:{plain}; }}
            location /uwsgi {{ uwsgi_param QUERY_STRING $args; uwsgi_pass 127.0.0.1:{plain}; }}
            location /cgi {{ cgi_pass %DIR%/html/lead.sh; cgi_set_var TO $arg_to; }} }}"
        ),
    );
    for folder in ["html/files", "html/secret", "html-secret"] {
        fs::create_dir(site.path(folder)).unwrap();
        fs::write(site.path(folder).join("s.txt"), "nobody may see this").unwrap();
    }
    script(&site, "lead.sh", "printf 'X-Accel-Redirect: %s\\n\\n' \"$TO\"");
    assert_eq!(get(site.port(), "/cgi?to=/files/s.txt").status, 200);
    for gateway in ["proxy", "fastcgi", "scgi", "uwsgi"] {
        for (n, climb) in CLIMBS.iter().enumerate() {
            let answer = get(site.port(), &format!("/{gateway}?n={n};"));
            assert_eq!(answer.status, 404, "{gateway}, {climb}: {}", answer.text());
        }
    }
    for to in CLIMBS {
        let answer = get(site.port(), &format!("/cgi?to={to}"));
        assert_eq!(answer.status, 404, "cgi, {to}: {}", answer.text());
    }
    site.stop();
}

#[test]
fn a_scripts_redirect_opens_no_internal_location() {
    let site = Site::start(
        "",
        "server { listen 127.0.0.1:%PORT1%; merge_slashes off;
            location /int/ { internal; alias %DIR%/html/int/; }
            location /in { internal; location /in/ner/ { alias %DIR%/html/int/; } }
            location ~ ^/re/ { internal; root %DIR%/html/int; try_files /s.txt =404; }
            location /go { cgi_pass %DIR%/html/go.sh; cgi_set_var TO $arg_to; }
            location /page { error_page 404 /err; return 404; }
            location /err { internal; cgi_pass %DIR%/html/go.sh; cgi_set_var TO $arg_to; } }",
    );
    fs::create_dir(site.path("html/int")).unwrap();
    site.file("int/s.txt", "nobody may see this");
    script(&site, "go.sh", "printf 'Location: %s\\n\\n' \"$TO\"");
    for to in [
        "/int/s.txt",
        "/%69nt/s.txt",
        "/int%2fs.txt",
        "/x/../int/s.txt",
        "/x/%2e%2e/int/s.txt",
        "/./int/s.txt",
        "/in/ner/s.txt",
        "/re/s.txt",
        "/go?to=/int/s.txt",
        "/go?to=/go?to=/int/s.txt",
        "/page?to=/int/s.txt",
    ] {
        for by in ["go", "page"] {
            let answer = get(site.port(), &format!("/{by}?to={to}"));
            assert_eq!(answer.status, 404, "{by}, {to}: {}", answer.text());
            assert!(!answer.text().contains("nobody"), "{by}, {to}");
        }
    }
    site.stop();
}

#[test]
fn a_script_does_not_fill_the_file_of_its_errors() {
    let site = Site::start(
        "thread_pool default threads=1;",
        "server { listen 127.0.0.1:%PORT1%; cgi on; cgi_timeout 60s 50ms;
            location /file/ { alias %DIR%/html/; cgi_stderr file %DIR%/html/said; }
            location /live/ { alias %DIR%/html/; cgi_stderr file %DIR%/html/said; cgi_buffering off; }
            location /pipe/ { alias %DIR%/html/; cgi_stderr file %DIR%/html/pipe; } }",
    );
    nix::unistd::mkfifo(&site.path("html/pipe"), nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    fs::set_permissions(site.path("html/pipe"), fs::Permissions::from_mode(0o666)).unwrap();
    script(
        &site,
        "flood.sh",
        "printf 'Content-Type: text/plain\\n\\n'\nyes a | head -c 24000000 >&2\necho last >&2\necho done",
    );
    for (asked, path) in ["/file/flood.sh", "/live/flood.sh"].into_iter().enumerate() {
        let mut client = Client::new(site.port());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
        assert!(String::from_utf8_lossy(&client.rest().0).contains("done\n"), "{path}");
        wait_for(path, || site.read("html/said").matches("bytes are left out here").count() == asked + 1);
        wait_for("the last words are there", || site.read("html/said").ends_with("last\n"));
        assert!(site.read("html/said").len() < (asked + 1) * (65 << 10), "{path}");
    }
    // A pipe without a reader, and one whose reader takes nothing: the one worker waits for neither.
    assert_eq!(get(site.port(), "/pipe/flood.sh").text(), "done\n");
    let reader = nix::fcntl::open(
        &site.path("html/pipe"),
        nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_NONBLOCK,
        nix::sys::stat::Mode::empty(),
    );
    assert_eq!(get(site.port(), "/pipe/flood.sh").text(), "done\n");
    drop(reader);
    assert_eq!(get(site.port(), "/pipe/flood.sh").text(), "done\n");
    site.stop();
}

#[test]
fn a_script_does_not_fill_the_log() {
    let site = Site::start(
        "",
        "server { listen 127.0.0.1:%PORT1%; cgi on; cgi_timeout 60s 50ms;
            location /live/ { alias %DIR%/html/; cgi_buffering off; }
            location /late/ { alias %DIR%/html/; cgi_buffering on; cgi_timeout 300ms 50ms; } }",
    );
    // 24 MB in lines of one byte, in long ones, in one without an end.
    let flood = |name: &str, line: &str, end: &str| {
        let head = "printf 'Content-Type: text/plain\\n\\n'";
        script(&site, name, &format!("{head}\nyes {line} | head -c 24000000 {end} >&2\necho done"));
    };
    flood("short.sh", "a", "");
    flood("long.sh", &"a".repeat(2000), "");
    flood("escaped.sh", "a", "| tr a '\\033'");
    flood("endless.sh", "a", "| tr -d '\\n'");
    script(&site, "late.sh", "yes >&2");
    let mut asked = 0;
    for path in ["/short.sh", "/long.sh", "/escaped.sh", "/endless.sh", "/live/short.sh", "/late/late.sh"] {
        let before = site.said().len();
        // The request's line stands behind each line of its script.
        let mut client = Client::new(site.port());
        client.send(format!("GET {path}?{} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "q".repeat(3000)));
        let answer = String::from_utf8_lossy(&client.rest().0).into_owned();
        let wanted = if path == "/late/late.sh" { "HTTP/1.1 504 " } else { "HTTP/1.1 200 " };
        assert!(answer.starts_with(wanted), "{path}: {answer}");
        asked += 1;
        wait_for(path, || site.said_times("bytes are left out here") == asked);
        let written = site.said().len() - before;
        assert!((16 << 10..80 << 10).contains(&written), "{path}: {written}");
    }
    // Whoever leaves takes nothing with them but the words about it.
    let before = site.said().len();
    let mut client = Client::new(site.port());
    client.send("GET /late.sh HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the script says something", || site.said().len() > before + (16 << 10));
    drop(client);
    wait_for("what was left out is counted", || site.said_times("bytes are left out here") == asked + 1);
    let written = site.said().len() - before;
    assert!(written < 80 << 10, "{written}");
    site.stop();
}

/// Whether a process runs: one that has ended and waits to be reaped does not.
fn runs(number: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Every process whose parent is the server, dead ones included.
fn children(site: &Site) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let stats = all.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    let parents = stats.filter_map(|stat| stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<i32>().ok());
    parents.filter(|parent| *parent == site.serving()).count()
}

/// Ways to get away from a script's process group. Each notes its number and ignores TERM.
const ESCAPES: [&str; 10] = [
    "setsid sh -c 'trap \"\" TERM; echo $$ >> $DIR/numbers; sleep 1000; :' &",
    "(setsid sh -c 'trap \"\" TERM; echo $$ >> $DIR/numbers; sleep 1000; :' &)",
    "nohup setsid sh -c 'trap \"\" TERM HUP; echo $$ >> $DIR/numbers; sleep 1000; :' > /dev/null 2>&1 < /dev/null &",
    "(setsid setsid -f sh -c 'trap \"\" TERM; echo $$ >> $DIR/numbers; sleep 1000; :' &)",
    "(setsid sh -c 'setsid sh -c \"trap \\\"\\\" TERM; echo \\$\\$ >> $DIR/numbers; sleep 1000; :\" & wait' &)",
    // It hides what it comes from, but not whom.
    "env -i DIR=$DIR PATH=$PATH setsid sh -c 'trap \"\" TERM; echo $$ >> $DIR/numbers; sleep 1000; :' &",
    // Groups of their own in the session of the server, as shells with jobs and `timeout` make them.
    "(timeout 1000 sh -c 'trap \"\" TERM; echo $$ >> $DIR/numbers; sleep 1000; :' &)",
    "perl -e 'setpgrp(0, 0); '\"$STAY\" &",
    // The group of the server itself.
    "perl -e 'setpgrp(0, getpgrp($ARGV[0])); '\"$STAY\" $PPID &",
    "(perl -e 'setpgrp(0, getpgrp($ARGV[0])); '\"$STAY\" $PPID &)",
];

/// The rest of an escape in Perl.
const STAY: &str =
    "$SIG{TERM} = q(IGNORE); open(F, q(>>), qq($ENV{DIR}/numbers)); print F qq($$\\n); close(F); sleep(1000)";

#[test]
fn nothing_gets_away_from_a_script_that_is_ended() {
    let site = Site::start(
        "",
        "server { listen 127.0.0.1:%PORT1%; cgi on; cgi_set_var DIR %DIR%; cgi_timeout 60s 50ms;
            location /live/ { alias %DIR%/html/; cgi_buffering off; }
            location /late/ { alias %DIR%/html/; cgi_buffering on; cgi_timeout 500ms 50ms; } }",
    );
    let escapes = format!("export STAY='{STAY}'\n{}", ESCAPES.join("\n"));
    script(&site, "away.sh", &format!("{escapes}\nprintf 'Content-Type: text/plain\\n\\nhere\\n'\nsleep 1000"));
    for path in ["/away.sh", "/live/away.sh", "/late/away.sh"] {
        let mut client = Client::new(site.port());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        wait_for("all have got away", || site.read("numbers").lines().count() == ESCAPES.len());
        let numbers = site.read("numbers");
        if path == "/late/away.sh" {
            assert_eq!(client.answer().unwrap().status, 504);
        }
        drop(client);
        wait_for("they are gone", || !numbers.lines().any(runs));
        wait_for("they are reaped", || children(&site) == 0);
        fs::remove_file(site.path("numbers")).unwrap();
    }
    site.stop();
}

#[test]
fn a_script_that_is_told_to_end_cleans_up() {
    let site = Site::start(
        "",
        "server { listen 127.0.0.1:%PORT1%; cgi on; cgi_set_var DIR %DIR%; cgi_timeout 60s 60s;
            location /late/ { alias %DIR%/html/; cgi_timeout 500ms 60s; } }",
    );
    // Shells say on their standard error that a part of theirs was terminated, and end if nobody can read it.
    let farewell = "trap 'echo bye; echo bye >&2; echo done >> $DIR/farewells; exit' TERM\nprintf 'Content-Type: text/plain\\n\\n'";
    script(&site, "long.sh", &format!("{farewell}\necho > $DIR/runs\nwhile :; do sleep 0.1; done"));
    for path in ["/long.sh", "/late/long.sh"] {
        let mut client = Client::new(site.port());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        wait_for("it runs", || site.path("runs").exists());
        if path == "/long.sh" {
            drop(client);
        }
        wait_for("it cleans up", || site.read("farewells") == "done\n");
        wait_for("it is reaped", || children(&site) == 0);
        fs::remove_file(site.path("farewells")).unwrap();
        fs::remove_file(site.path("runs")).unwrap();
    }
    site.stop();
}

#[test]
fn a_script_that_joins_the_group_of_the_server_ends_like_any_other() {
    let site = Site::start(
        "",
        "server { listen 127.0.0.1:%PORT1%; cgi on; cgi_set_var DIR %DIR%; cgi_timeout 500ms 50ms; cgi_max_procs 1 queue=1; }",
    );
    script(&site, "join.sh", &format!("exec perl -e 'setpgrp(0, getpgrp(getppid())); {STAY}'"));
    script(&site, "quick.sh", "printf 'Content-Type: text/plain\\n\\nhere\\n'");
    for _ in 0..2 {
        assert_eq!(get(site.port(), "/join.sh").status, 504);
        assert_eq!(get(site.port(), "/quick.sh").text(), "here\n");
    }
    wait_for("they are gone", || !site.read("numbers").lines().any(runs));
    wait_for("they are reaped", || children(&site) == 0);
    site.stop();
}

/// Ways to be gone before anybody looks: each process does nothing but start the next and end. `HYDRA` is in the command line of
/// each, and the second makes a session of its own each time.
const HYDRAS: [&str; 3] = [
    "trap '' TERM; [ -e $DIR/hydra.sh ] && $DIR/hydra.sh HYDRA &",
    "trap '' TERM; [ -e $DIR/hydra.sh ] && setsid $DIR/hydra.sh HYDRA &",
    "exec perl -e 'use POSIX; $SIG{TERM} = q(IGNORE); while (-e qq($ENV{DIR}/hydra.sh)) { fork and exit; POSIX::setsid() }' HYDRA",
];

/// Whether a process of this command line and folder runs. One that is just between two processes may not be seen: many looks tell.
fn hydra_runs(dir: &str) -> bool {
    let is_head = |entry: fs::DirEntry| {
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let has = |text: &[u8], word: &str| text.windows(word.len()).any(|part| part == word.as_bytes());
        has(&read("cmdline"), "HYDRA") && has(&read("environ"), dir)
    };
    (0..50).any(|_| fs::read_dir("/proc").unwrap().flatten().any(is_head))
}

#[test]
fn nobody_runs_ahead_of_the_end_of_a_script() {
    let site = Site::start(
        "",
        "server { listen 127.0.0.1:%PORT1%; cgi on; cgi_set_var DIR %DIR%; cgi_timeout 60s 50ms;
            location /late/ { alias %DIR%/html/; cgi_timeout 500ms 50ms; } }",
    );
    let folder = site.path("").display().to_string();
    let hydra = site.path("hydra.sh");
    script(&site, "away.sh", "(setsid $DIR/hydra.sh HYDRA &)\nsleep 1000");
    for way in HYDRAS {
        for path in ["/away.sh", "/late/away.sh"] {
            fs::write(&hydra, format!("#!/bin/sh\n{way}\n")).unwrap();
            fs::set_permissions(&hydra, PermissionsExt::from_mode(0o755)).unwrap();
            let mut client = Client::new(site.port());
            client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
            wait_for("it runs", || hydra_runs(&folder));
            if path == "/late/away.sh" {
                assert_eq!(client.answer().unwrap().status, 504);
            }
            drop(client);
            wait_for(&format!("{way} is caught"), || !hydra_runs(&folder));
            wait_for("all are reaped", || children(&site) == 0);
            // Had it not been, it would end now.
            fs::remove_file(&hydra).unwrap();
        }
    }
    site.stop();
}

#[test]
fn what_a_script_leaves_behind_on_purpose_lives_and_is_reaped() {
    let site = Site::start("", "server { listen 127.0.0.1:%PORT1%; cgi on; cgi_set_var DIR %DIR%; }");
    let leave = "(setsid sh -c 'echo $$ > $DIR/number; until [ -e $DIR/go ]; do sleep 0.01; done' > /dev/null 2>&1 &)";
    script(&site, "leave.sh", &format!("{leave}\nprintf 'Content-Type: text/plain\\n\\nhere\\n'"));
    script(&site, "hang.sh", "echo > $DIR/hangs; sleep 1000");
    assert_eq!(get(site.port(), "/leave.sh").text(), "here\n");
    wait_for("it runs", || site.read("number").ends_with('\n'));
    // Others are ended meanwhile.
    let mut client = Client::new(site.port());
    client.send("GET /hang.sh HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("another runs", || site.path("hangs").exists());
    drop(client);
    wait_for("only what was left is there", || children(&site) == 1);
    assert!(runs(site.read("number").trim()));
    fs::write(site.path("go"), "").unwrap();
    wait_for("it is reaped", || children(&site) == 0);
    // Jobs that lead a group of their own.
    let jobs = ["timeout 1000 true", "perl -e 'setpgrp(0, 0)'", "perl -e 'setpgrp(0, getpgrp($ARGV[0]))' $PPID"];
    for (number, job) in jobs.iter().enumerate() {
        let name = format!("job{number}.sh");
        script(
            &site,
            &name,
            &format!("{job} > /dev/null 2>&1 < /dev/null &\nprintf 'Content-Type: text/plain\\n\\nhere\\n'"),
        );
        assert_eq!(get(site.port(), &format!("/{name}")).text(), "here\n");
        wait_for(&format!("{job} is reaped"), || children(&site) == 0);
    }
    site.stop();
}
