//! Sequences of choices as nginx makes them, over upstreams that need no sockets.

use std::sync::Arc;

use super::super::address::{Address, Target, parse};
use super::super::peers::Outcome;
use super::super::{Choose, Keepalive, Line, Tried, Upstream};
use super::*;
use crate::conf::value::Text;

/// A server by its name, then its share, then `down` or `backup`.
fn line(text: &str) -> Line {
    let mut words = text.split(' ');
    let name = words.next().unwrap();
    let Ok(Target::Address(address)) = parse(name.as_bytes(), 80) else { panic!("{name} is no address") };
    let mut line = Line::new(name, vec![address]);
    for word in words {
        match word {
            "down" => line.down = true,
            "backup" => line.backup = true,
            _ => match word.split_once('=') {
                Some(("weight", n)) => line.weight = n.parse().unwrap(),
                Some(("max_fails", n)) => line.max_fails = n.parse().unwrap(),
                Some(("max_conns", n)) => line.max_conns = n.parse().unwrap(),
                Some(("slow_start", n)) => line.slow_start = std::time::Duration::from_secs(n.parse().unwrap()),
                _ => panic!("{word}"),
            },
        }
    }
    line
}

fn upstream(lines: &[&str], choose: Choose) -> Arc<Upstream> {
    let lines: Vec<_> = lines.iter().map(|text| line(text)).collect();
    Arc::new(Upstream::new("u", &lines, choose, Keepalive::default()))
}

fn short(address: &Address) -> String {
    address.to_string().trim_start_matches("unix:/").trim_start_matches("127.0.0.").trim_end_matches(":18080").into()
}

/// Ten servers: `weights` by their number modulo three, four of them down.
fn ten(name: impl Fn(usize) -> String, weights: bool, down: bool) -> Vec<String> {
    let weight = |i: usize| if weights { format!(" weight={}", i % 3 + 1) } else { String::new() };
    let is_down = |i: usize| if down && [2, 3, 5, 7].contains(&i) { " down" } else { "" };
    (0..10).map(|i| format!("{}{}{}", name(i), weight(i), is_down(i))).collect()
}

/// Who is tried for one request; a server whose name begins with `dead` fails.
fn ask(upstream: &Arc<Upstream>, seed: Seed<'_>, now: u64) -> String {
    let mut tried = Tried::at_most(0);
    let mut names = Vec::new();
    loop {
        let Some(choice) = upstream.choose_by(seed, &mut tried, now) else {
            names.push("none".to_string());
            break;
        };
        let name = short(choice.address());
        let dead = name.starts_with("dead");
        choice.finish_at(if dead { Outcome::Failed } else { Outcome::Answered }, &mut tried, now);
        names.push(name);
        if !dead || tried.left() == 0 {
            break;
        }
    }
    names.join(",")
}

const NOW: u64 = 1 << 40;

fn sequence(lines: &[&str], choose: Choose, requests: usize) -> String {
    let upstream = upstream(lines, choose);
    let asked: Vec<_> = (0..requests).map(|_| ask(&upstream, Seed::default(), NOW)).collect();
    asked.join(" ")
}

// What nginx 1.22 was seen to choose stands in the tests as data.

#[test]
fn turns_are_taken_as_nginx_takes_them() {
    let plain = ["unix:/s0", "unix:/s1", "unix:/s2"];
    let weighted = ["unix:/s0 weight=5", "unix:/s1 weight=2", "unix:/s2"];
    let busy = ["unix:/s0 weight=3", "unix:/s1", "unix:/s2 weight=2"];
    for (lines, choose, want) in [
        (plain, Choose::RoundRobin, "s0 s1 s2 s0 s1 s2 s0 s1 s2 s0 s1 s2 s0 s1 s2 s0"),
        (weighted, Choose::RoundRobin, "s0 s1 s0 s0 s2 s0 s1 s0 s0 s1 s0 s0 s2 s0 s1 s0"),
        (busy, Choose::LeastConn, "s0 s2 s0 s1 s2 s0 s0 s2 s0 s1 s2 s0 s0 s2 s0 s1"),
    ] {
        assert_eq!(sequence(&lines, choose, 16), want, "{lines:?}");
    }
}

#[test]
fn failures_are_counted_as_nginx_counts_them() {
    for (lines, want) in [
        (&["unix:/s0", "unix:/dead1", "unix:/s2 weight=2"][..], "s2 s0 dead1,s2 s2 s0 s2 s2 s0 s2 s2 s0 s2"),
        (
            &["unix:/dead1", "unix:/dead2", "unix:/s2 backup", "unix:/s3 backup"],
            "dead1,dead2,s2 s3 s2 s3 s2 s3 s2 s3 s2 s3 s2 s3",
        ),
        (&["unix:/dead1", "unix:/dead2"], "dead1,dead2 none none none none none none none none none none none"),
        (&["unix:/dead1"], "dead1 dead1 dead1 dead1 dead1 dead1 dead1 dead1 dead1 dead1 dead1 dead1"),
        (
            &["unix:/dead1 max_fails=0", "unix:/s1"],
            "dead1,s1 s1 dead1,s1 s1 dead1,s1 s1 dead1,s1 s1 dead1,s1 s1 dead1,s1 s1",
        ),
        (
            &["unix:/dead1 max_fails=3 weight=6", "unix:/s1", "unix:/s2"],
            "dead1,s1 s2 dead1,s1 dead1,s1 s1 s2 s1 s2 s1 s2 s1 s2",
        ),
    ] {
        assert_eq!(sequence(lines, Choose::RoundRobin, 12), want, "{lines:?}");
    }
}

#[test]
fn a_failed_server_is_asked_again_after_its_time() {
    let upstream = upstream(&["unix:/dead1", "unix:/s1"], Choose::RoundRobin);
    let at = |second: u64| ask(&upstream, Seed::default(), NOW + second);
    assert_eq!(at(0), "dead1,s1");
    assert_eq!([at(0), at(5), at(10)], ["s1", "s1", "s1"]);
    let later: Vec<_> = (0..4).map(|_| at(11)).collect();
    assert!(later.contains(&"dead1,s1".to_string()), "{later:?}");
}

/// One request that this server gets or another does; how it ends there.
fn one(upstream: &Arc<Upstream>, second: u64, fails: bool) -> String {
    let (mut tried, now) = (Tried::at_most(1), NOW + second);
    let choice = upstream.choose_by(Seed::default(), &mut tried, now).unwrap();
    let name = short(choice.address());
    let outcome = if fails && name == "s1" { Outcome::Failed } else { Outcome::Answered };
    choice.finish_at(outcome, &mut tried, now);
    name
}

#[test]
fn a_server_that_is_back_gets_its_share_little_by_little() {
    for (slow, choose, want) in [
        ("unix:/s1 slow_start=9", Choose::RoundRobin, [2, 11, 33]),
        ("unix:/s1 slow_start=9", Choose::LeastConn, [2, 11, 33]),
        ("unix:/s1", Choose::RoundRobin, [11, 16, 33]),
        ("unix:/s1 slow_start=0", Choose::RoundRobin, [11, 16, 33]),
    ] {
        let upstream = upstream(&["unix:/s0", slow], choose);
        let count = |second: u64, requests: usize| {
            (0..requests).filter(|_| one(&upstream, second, false) == "s1").count() as i32
        };
        assert_eq!(count(0, 10), 5, "all is well");
        while one(&upstream, 0, true) != "s1" {}
        assert_eq!(count(10, 10), 0, "it is left alone");
        while one(&upstream, 11, false) != "s1" {}
        for ((second, requests), want) in [(11, 22), (15, 33), (20, 66)].into_iter().zip(want) {
            let came = count(second, requests);
            assert!((came - want).abs() <= 1, "{slow}: {came} of {requests} in second {second}, wanted {want}");
        }
    }
}

#[test]
fn a_server_that_starts_slowly_takes_all_where_it_is_alone() {
    let upstream = upstream(&["unix:/s0 max_conns=1", "unix:/s1 slow_start=9"], Choose::RoundRobin);
    while one(&upstream, 0, true) != "s1" {}
    while one(&upstream, 11, false) != "s1" {}
    let mut tried = Tried::at_most(1);
    let _held = loop {
        let choice = upstream.choose_by(Seed::default(), &mut Tried::at_most(1), NOW + 11).unwrap();
        if short(choice.address()) == "s0" {
            break choice;
        }
    };
    for _ in 0..5 {
        let choice = upstream.choose_by(Seed::default(), &mut tried, NOW + 11).unwrap();
        assert_eq!(short(choice.address()), "s1");
        tried = Tried::at_most(1);
    }
}

#[test]
fn addresses_lead_where_nginx_leads_them() {
    let table = [
        ("1.2.3.1", "s1", "s5"),
        ("10.0.0.1", "s5", "s0"),
        ("192.168.1.1", "s4", "s1"),
        ("172.16.5.1", "s6", "s5"),
        ("8.8.8.1", "s3", "s1"),
        ("127.0.0.1", "s0", "s6"),
        ("203.0.113.1", "s2", "s4"),
        ("198.51.100.1", "s6", "s2"),
        ("100.64.9.1", "s2", "s2"),
        ("255.255.255.1", "s7", "s4"),
        ("::1", "s5", "s8"),
        ("2001:db8::1", "s0", "s8"),
        ("2001:db8::2", "s1", "s8"),
        ("fe80::1", "s3", "s7"),
    ];
    let of = |weights| {
        let lines = ten(|i| format!("unix:/s{i}"), weights, false);
        upstream(&lines.iter().map(String::as_str).collect::<Vec<_>>(), Choose::IpHash)
    };
    let (plain, weighted) = (of(false), of(true));
    for (client, one, other) in table {
        let seed = Seed { client: client.parse().ok(), key: b"" };
        assert_eq!(ask(&plain, seed, NOW), one, "{client}");
        assert_eq!(ask(&weighted, seed, NOW), other, "{client} by weight");
    }
}

#[test]
fn keys_lead_where_nginx_leads_them() {
    const KEYS: [&str; 20] = [
        "a",
        "b",
        "c",
        "abc",
        "hello",
        "/index.html",
        "user42",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "9",
        "10",
        "11",
        "12",
        "13",
    ];
    let unix = |i: usize| format!("unix:/s{i}");
    let tcp = |i: usize| format!("127.0.0.{}:18080", i + 1);
    for (lines, consistent, want) in [
        (ten(unix, false, false), false, "s7 s8 s1 s4 s0 s0 s1 s8 s9 s4 s2 s1 s8 s7 s2 s5 s1 s6 s7 s0"),
        (ten(unix, true, false), false, "s8 s5 s5 s0 s4 s0 s2 s0 s5 s7 s1 s2 s4 s2 s8 s5 s5 s5 s8 s9"),
        (ten(unix, false, true), false, "s9 s8 s1 s4 s0 s0 s1 s8 s9 s4 s8 s1 s8 s9 s8 s4 s1 s6 s9 s0"),
        (ten(tcp, false, false), true, "5 8 2 1 8 10 5 10 7 5 7 5 9 1 6 9 1 8 10 1"),
        (ten(tcp, true, false), true, "5 8 2 5 5 5 5 6 3 9 6 5 6 1 6 9 1 8 3 3"),
        (ten(tcp, false, true), true, "5 10 2 1 7 10 5 10 7 5 7 5 9 1 10 9 1 1 10 1"),
    ] {
        let choose = Choose::Hash(Text::default(), consistent);
        let upstream = upstream(&lines.iter().map(String::as_str).collect::<Vec<_>>(), choose);
        let seed = |key: &'static str| Seed { client: None, key: key.as_bytes() };
        let asked: Vec<_> = KEYS.iter().map(|key| ask(&upstream, seed(key), NOW)).collect();
        assert_eq!(asked.join(" "), want, "{lines:?}");
    }
    let lines = ten(unix, false, false);
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    assert_eq!(sequence(&lines, Choose::Hash(Text::default(), false), 5), "s0 s1 s2 s3 s4", "an empty key");
}

#[test]
fn chance_leaves_nobody_out_and_asks_nobody_twice() {
    for two in [false, true] {
        let upstream = upstream(&["unix:/s0", "unix:/s1 weight=3", "unix:/s2"], Choose::Random(two));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let mut tried = Tried::at_most(0);
            let mut all = Vec::new();
            while let Some(choice) = upstream.choose_by(Seed::default(), &mut tried, NOW) {
                all.push(short(choice.address()));
                choice.finish_at(Outcome::PassedOver, &mut tried, NOW);
            }
            seen.insert(all[0].clone());
            all.sort();
            assert_eq!(all, ["s0", "s1", "s2"]);
        }
        assert_eq!(seen.len(), 3);
    }
}

#[test]
fn a_full_server_gets_no_more_until_one_is_done() {
    let upstream = upstream(&["unix:/s0 max_conns=1", "unix:/s1 max_conns=2"], Choose::RoundRobin);
    let choose = || upstream.choose_by(Seed::default(), &mut Tried::at_most(0), NOW);
    let first: Vec<_> = (0..3).map_while(|_| choose()).collect();
    assert_eq!(first.len(), 3);
    assert!(choose().is_none());
    drop(first);
    assert!(choose().is_some());
}

#[test]
fn tries_have_a_bound() {
    let lines = ["unix:/dead1", "unix:/dead2", "unix:/dead3"];
    for (most, want) in [(0, 3), (2, 2), (9, 3)] {
        let upstream = upstream(&lines, Choose::RoundRobin);
        let (mut tried, mut tries) = (Tried::at_most(most), 0);
        while tried.left() > 0
            && let Some(choice) = upstream.choose_by(Seed::default(), &mut tried, NOW)
        {
            choice.finish_at(Outcome::Failed, &mut tried, NOW);
            tries += 1;
        }
        assert_eq!(tries, want, "{most}");
    }
}

#[test]
fn a_reload_keeps_what_is_known_of_the_servers_that_stay() {
    let lines = ["unix:/dead1", "unix:/s1"];
    let before = upstream(&lines, Choose::RoundRobin);
    assert_eq!(ask(&before, Seed::default(), NOW), "dead1,s1");
    let again = |lines: &[&str]| {
        let mut after = (*upstream(lines, Choose::RoundRobin)).clone();
        after.inherit(&before);
        ask(&Arc::new(after), Seed::default(), NOW)
    };
    assert_eq!(again(&lines), "s1");
    assert!(["s1", "s2"].contains(&again(&["unix:/s2", "unix:/dead1 weight=2", "unix:/s1"]).as_str()));
    assert_eq!(again(&["unix:/dead1 weight=2", "unix:/s1"]), "s1");
    assert_eq!(again(&["unix:/dead2", "unix:/s1"]), "dead2,s1");
}
