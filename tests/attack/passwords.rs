//! What an attacker may try at a password: find out by the time which names exist, and keep the others of his address from
//! getting in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::client::Client;
use crate::site::{Site, wait_for};

/// `secret` by bcrypt: 256, 64 and 16 rounds of its costly step.
const SLOW: &str = "$2y$08$abcdefghijklmnopqrstuuKxCcvB7KZ7.BpDoK0bh6qM7Dl1/xiJa";
const MIDDLING: &str = "$2y$06$abcdefghijklmnopqrstuuxLa0AkDDSrQ9VwNnETzOsObiucpMYgC";
const QUICK: &str = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

fn site(users: &str) -> Site {
    let conf = "server { listen 127.0.0.1:%PORT1%;
        location / { auth_basic site; auth_basic_user_file %DIR%/users; } }";
    let dir = Site::folder();
    std::fs::write(dir.path().join("users"), users).unwrap();
    std::fs::write(dir.path().join("html/a"), "hello").unwrap();
    Site::start_in(dir, "", conf)
}

fn status(site: &Site, user: &str, password: &str) -> u16 {
    let credentials = STANDARD.encode(format!("{user}:{password}"));
    let mut client = Client::new(site.port());
    client.send(format!("GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: Basic {credentials}\r\n\r\n"));
    client.answer().map_or(0, |answer| answer.status)
}

/// The middle of the times that a wrong password for each of these names takes, asked in turns so that what else the machine
/// does is the same for all. No password is sent twice, since results are remembered.
fn times<const N: usize>(site: &Site, names: [&str; N]) -> [Duration; N] {
    let mut times = names.map(|_| Vec::new());
    for round in 0..9 {
        for (name, times) in names.iter().zip(&mut times) {
            let start = Instant::now();
            assert_eq!(status(site, name, &format!("wrong{round}")), 401, "{name}");
            times.push(start.elapsed());
        }
    }
    times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    })
}

#[test]
fn the_time_does_not_tell_which_names_exist() {
    // One whose password cannot be checked exists as well.
    let site = site(&format!("alice:{SLOW}\nbob:{SLOW}\ndes:abNANd1rDfiNc\n"));
    assert_eq!((status(&site, "alice", "secret"), status(&site, "mallory", "secret")), (200, 401));
    let [alice, mallory, des, empty] = times(&site, ["alice", "mallory", "des", ""]);
    for (name, time) in [("mallory", mallory), ("des", des), ("", empty)] {
        assert!(time > alice / 2 && time < alice * 2, "{name:?} takes {time:?}, alice {alice:?}");
    }
    // A password that was right for somebody else says nothing.
    assert_eq!(status(&site, "mallory", "secret"), 401);
    site.stop();
}

#[test]
fn names_without_a_user_are_like_those_of_the_file() {
    // Half of the users have a costly password and half a cheap one, so some names that do not exist must cost much, others little.
    let site = site(&format!("a:{SLOW}\nb:{QUICK}\n"));
    let [slow, quick, rest @ ..] = times(&site, ["a", "b", "n1", "n2", "n3", "n4", "n5", "n6"]);
    let border = (slow + quick) / 2;
    let dear = rest.iter().filter(|time| **time > border).count();
    assert!(slow > quick * 4 && (1..6).contains(&dear), "{dear} of 6: {slow:?} {quick:?} {rest:?}");
    site.stop();
}

/// Says when the flood is over, even if the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_flood_for_one_name_does_not_lock_the_others_of_its_address_out() {
    let site = site(&format!("alice:{MIDDLING}\nbob:{QUICK}\n"));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        for n in 0..60 {
            let (site, is_over) = (&site, &is_over);
            scope.spawn(move || {
                let mut round = 0;
                while !is_over.load(Ordering::Relaxed) {
                    match status(site, "alice", &format!("{n}-{round}")) {
                        401 => round += 1,
                        // It comes again, but the machine is for those that are let in.
                        status => assert_eq!((status, std::thread::sleep(Duration::from_millis(5))), (503, ())),
                    }
                }
            });
        }
        wait_for("the flood has its share of the queue", || site.said_times("too many passwords") > 100);
        let outcomes: Vec<u16> = (0..5).map(|n| status(&site, "bob", &format!("wrong{n}"))).collect();
        let right = status(&site, "bob", "secret");
        drop(over);
        assert_eq!((outcomes, right), (vec![401; 5], 200));
    });
    site.stop();
}
