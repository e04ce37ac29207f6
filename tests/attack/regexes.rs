//! Texts that are made to get past a guard by being too hard for its regex, or to cost the processors: none is let through,
//! wherever the regex stands.

use std::time::Duration;

use crate::client::{Answer, Client};
use crate::site::{Site, wait_for};

/// Each guard hides `secret` from texts that match, and a catastrophic regex decides. `%PORT2%` answers what the client tells it to.
const CONF: &str = r#"
    map $http_x_text $mapped { "~^(a|a)+(?!b)$" yes; "~(\w+\s?)+(?!b)$" yes; default no; }
    map $mapped $again { no open; default ""; }
    limit_req_zone $mapped zone=limit:1m rate=1000r/s;
    server { listen 127.0.0.1:%PORT1% default_server;
        location /if { if ($http_x_text ~ "^(a|a)+(?!b)$") { return 403; } return 200 secret; }
        location /not { if ($http_x_text !~ "^(a|a)+(?!b)$") { return 200 secret; } return 403; }
        location /map { if ($mapped = yes) { return 403; } return 200 secret; }
        location /twice { if ($again = "") { return 403; } return 200 secret; }
        location /set { set $copy "x$mapped"; if ($copy = xyes) { return 403; } return 200 secret; }
        location /limit { limit_req zone=limit burst=1000 nodelay; }
        location /referer { valid_referers none blocked ~^(a|a)+(?!b)$; if ($invalid_referer) { return 403; } return 200 secret; }
        location /rewrite { rewrite "^/rewrite/(a|a)+(?!b)$" /denied last; return 200 secret; }
        location /field { add_header X-Mapped $mapped; return 200 secret; }
        location /page { error_page 404 =200 /$mapped; return 404; }
        location /try { try_files /$mapped =404; }
        location /passed { proxy_pass http://127.0.0.1:%PORT1%/back; proxy_redirect "~^(a|a)+(?!b)$" /x; }
        location /cookie { proxy_pass http://127.0.0.1:%PORT1%/back; proxy_cookie_path "~^(a|a)+(?!b)$" /; }
        location /domain { proxy_pass http://127.0.0.1:%PORT1%/back; proxy_cookie_domain "~^(a|a)+(?!b)$" b; }
        location /flags { proxy_pass http://127.0.0.1:%PORT1%/back; proxy_cookie_flags "~^(a|a)+(?!b)$" secure; }
        location /back { add_header Location $http_x_text; add_header Set-Cookie "$http_x_text=secret; Path=$http_x_text; Domain=$http_x_text";
                         return 200 secret; }
        location ~ "^/at/(a|a)+(?!b)$" { deny all; }
        location ~ "/free(\w+\s?)+(?!b)$" { deny all; }
        location ~ "(?R)?/own(a|a)+(?!b)$" { deny all; }
        location ~ "(*NO_JIT)^/slow/(a|a)+(?!b)$" { deny all; }
        location ~ "/deep(a|b|ab)*(*PRUNE)(a|a)+(?!b)$" { deny all; }
        location /denied { deny all; }
        location / { return 200 secret; }
    }
    server { listen 127.0.0.1:%PORT1%; server_name "~^(a|a)+(?!b)\.x$"; deny all; }
    server { listen 127.0.0.1:%PORT1%; server_name other; location / { valid_referers server_names "~(a|a)+(?!b)/x$";
             if ($invalid_referer = "") { return 200 secret; } return 403; } }"#;

/// Texts that no regex above can be asked about to the end, short of a giant's time.
fn hostile() -> Vec<String> {
    let a = |times: usize| "a".repeat(times);
    vec![a(40) + "c", a(4000) + "c", a(33) + "c" + &a(33) + "c", (a(30) + "b").repeat(20) + "c"]
}

fn ask(site: &Site, path: &str, host: &str, text: &str, referer: &str) -> Answer {
    let mut client = Client::new(site.port());
    let referer = if referer.is_empty() { String::new() } else { format!("Referer: {referer}\r\n") };
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Text: {text}\r\n{referer}Connection: close\r\n\r\n"));
    client.answer().expect("an answer")
}

/// Asks again and again, as the regex's budget for hard texts runs out on the way.
fn is_kept(site: &Site, path: &str, host: &str, text: &str, referer: &str) {
    for round in 0..3 {
        let answer = ask(site, path, host, text, referer);
        let shown = String::from_utf8_lossy(&answer.body);
        assert!(matches!(answer.status, 500 | 403), "round {round}: {path} {host} gave {} {shown}", answer.status);
        assert!(!shown.contains("secret"), "round {round}: {path} {host} gave {shown}");
    }
}

#[test]
fn no_text_is_too_hard_for_a_guard() {
    let site = Site::start("", &format!("large_client_header_buffers 4 32k; regex_match_limit 1000;{CONF}"));
    site.file("limit", "secret");
    assert_eq!(ask(&site, "/limit", "h", "b", "").text(), "secret");
    assert_eq!(ask(&site, "/if", "h", "b", "").text(), "secret");
    for text in hostile() {
        for path in ["/if", "/not", "/map", "/twice", "/set", "/limit", "/field", "/page", "/try", "/passed", "/cookie"]
        {
            is_kept(&site, path, "h", &text, "");
        }
        for path in ["/domain", "/flags"] {
            is_kept(&site, path, "h", &text, "");
        }
        for path in ["/at/", "/free", "/own", "/slow/", "/deep", "/rewrite/"] {
            is_kept(&site, &format!("{path}{text}"), "h", "b", "");
        }
    }
    // A host has 255 bytes at most.
    for text in hostile().iter().filter(|text| text.len() < 100) {
        is_kept(&site, "/referer", "h", "b", &format!("http://{text}"));
        is_kept(&site, "/", &format!("{text}.x"), "b", "");
        is_kept(&site, "/", "other", "b", &format!("http://{text}/y"));
    }
    site.stop();
}

/// What it costs the server to be asked for paths by clients that do not wait for their answers, so that the pace of answers
/// holds none of them back. Each request has been done with, and been logged, when this is known.
fn cost(site: &Site, paths: &[String]) -> Duration {
    const ASKED: usize = 600;
    // So many at once find room at the server.
    const AT_ONCE: usize = 32;
    let logged = || site.read("access.log").lines().count();
    let (before, already) = (site.cpu(), logged());
    for (sent, path) in (1..).zip(paths.iter().cycle().take(ASKED)) {
        Client::new(site.port()).send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        if sent % AT_ONCE == 0 || sent == ASKED {
            wait_for("what was asked is done with", || logged() - already == sent);
        }
    }
    let cost = site.cpu() - before;
    assert!(!site.read("access.log").contains("\" 503 "), "a request was turned away unheard");
    cost
}

#[test]
fn a_crowd_of_hard_texts_costs_little() {
    let site = Site::start("", &format!("large_client_header_buffers 4 32k;{CONF}"));
    let of = |texts: &[String]| {
        ["/own", "/at/"]
            .into_iter()
            .flat_map(|to| texts.iter().map(move |text| format!("{to}{text}")))
            .collect::<Vec<_>>()
    };
    let texts = hostile();
    let easy: Vec<String> = texts.iter().map(|text| "x".repeat(text.len())).collect();
    let (easy, hard) = (of(&easy), of(&texts));
    cost(&site, &hard);
    let (easy, hard) = (cost(&site, &easy), cost(&site, &hard));
    // Tried to the end, each would cost more than a millisecond: some ten times as much as an easy one.
    assert!(hard < easy * 3, "{hard:?} where easy texts take {easy:?}");
    site.stop();
}
