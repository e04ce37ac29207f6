//! Tags of files that change: what a client holds names one version, so that nothing is lost and no two are mixed.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::client::{Answer, Client};
use crate::site::{Site, wait_for};

const CONF: &str = "server { listen 127.0.0.1:%PORT1%; root %DIR%/html; dav_methods PUT DELETE COPY MOVE;
    location /cached/ { open_file_cache max=10; open_file_cache_valid 1h; open_file_cache_min_uses 1; alias %DIR%/html/; }
}";

/// A second that is over for a long time.
const LONG_AGO: u64 = 1_700_000_000;

fn ask(site: &Site, line: &str, fields: &[(&str, &str)], body: &str) -> Answer {
    let mut client = Client::new(site.port());
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    client.send(format!("{line} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}{length}\r\n{body}"));
    if line.starts_with("HEAD") {
        // Its length is that of a body that does not come.
        let head = String::from_utf8(client.rest().0).unwrap();
        return Answer { status: head[9..12].parse().unwrap(), head, body: Vec::new() };
    }
    client.answer().unwrap()
}

fn tag(answer: &Answer) -> String {
    let lines = answer.head.lines();
    lines.filter_map(|line| line.strip_prefix("ETag: ")).next().unwrap_or_default().to_string()
}

/// How many numbers a tag is made of.
fn parts(tag: &str) -> usize {
    tag.split('-').count()
}

fn date(path: &Path, nanos: u32) {
    File::options().write(true).open(path).unwrap().set_modified(UNIX_EPOCH + Duration::new(LONG_AGO, nanos)).unwrap();
}

#[test]
fn what_is_put_again_at_once_has_another_tag() {
    let site = Site::start("", CONF);
    let mut before = String::new();
    for round in 0..20 {
        let put = tag(&ask(&site, "PUT /f", &[], &format!("round {}", round % 10)));
        assert_eq!(parts(&put), 3, "{put}");
        assert_ne!(put, before);
        if !before.is_empty() {
            for line in ["PUT /f", "DELETE /f"] {
                assert_eq!(ask(&site, line, &[("If-Match", &before)], "").status, 412, "{line}");
            }
            let resumed = ask(&site, "GET /f", &[("Range", "bytes=3-"), ("If-Range", &before)], "");
            assert_eq!((resumed.status, resumed.text().len()), (200, 7));
            assert_eq!(ask(&site, "GET /f", &[("If-None-Match", &before)], "").status, 200);
        }
        let (got, head) = (ask(&site, "GET /f", &[], ""), tag(&ask(&site, "GET /f", &[("If-Match", &put)], "")));
        assert_eq!((tag(&got), head), (put.clone(), put.clone()), "the tag of a PUT can be used at once");
        let resumed = ask(&site, "GET /f", &[("Range", "bytes=3-"), ("If-Range", &put)], "");
        assert_eq!((resumed.status, tag(&resumed)), (206, put.clone()));
        before = put;
    }
    // By its second and its size alone it is not named yet.
    let short = format!("{}\"", &before[..before.rfind('-').unwrap()]);
    let refused = ask(&site, "PUT /f", &[("If-Match", &short)], "other");
    assert_eq!(refused.status, 412);
    site.stop();
}

#[test]
fn a_file_that_has_grown_old_answers_to_both_forms() {
    let site = Site::start("", CONF);
    let put = tag(&ask(&site, "PUT /f", &[], "content"));
    let mut short = String::new();
    wait_for("it is old", || {
        short = tag(&ask(&site, "GET /f", &[], ""));
        parts(&short) == 2
    });
    for form in [&put, &short] {
        let same = ask(&site, "GET /f", &[("If-None-Match", form)], "");
        assert_eq!((same.status, &tag(&same)), (304, form));
        for method in ["GET", "HEAD"] {
            let held = ask(&site, &format!("{method} /f"), &[("If-Match", form)], "");
            assert_eq!((held.status, &tag(&held)), (200, form), "{method}");
        }
        let part = ask(&site, "GET /f", &[("Range", "bytes=0-2"), ("If-Range", form)], "");
        assert_eq!((part.status, &tag(&part)), (206, form));
    }
    assert_eq!(ask(&site, "DELETE /f", &[("If-Match", &put)], "").status, 204);
    site.stop();
}

#[test]
fn another_version_of_one_second_is_told_by_its_nanoseconds() {
    let site = Site::start("", CONF);
    let path = site.path("html/f");
    fs::write(&path, "one").unwrap();
    date(&path, 1);
    let one = format!("\"{LONG_AGO:x}-3-1\"");
    assert_eq!(ask(&site, "GET /f", &[("If-None-Match", &one)], "").status, 304);
    fs::write(&path, "two").unwrap();
    date(&path, 2);
    assert_eq!(ask(&site, "GET /f", &[("If-None-Match", &one)], "").text(), "two");
    let part = ask(&site, "GET /f", &[("Range", "bytes=1-"), ("If-Range", &one)], "");
    assert_eq!(part.text(), "two");
    assert_eq!(ask(&site, "DELETE /f", &[("If-Match", &one)], "").status, 412);
    site.stop();
}

#[test]
fn what_a_cache_took_for_young_stays_so_until_it_looks_again() {
    let site = Site::start("", CONF);
    fs::write(site.path("html/f"), "content").unwrap();
    let kept = tag(&ask(&site, "GET /cached/f", &[], ""));
    assert_eq!(parts(&kept), 3);
    wait_for("it is old", || parts(&tag(&ask(&site, "GET /f", &[], ""))) == 2);
    // The file may be another by now, and that would have the short form.
    assert_eq!(tag(&ask(&site, "GET /cached/f", &[], "")), kept);
    site.stop();
}
