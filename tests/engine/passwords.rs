//! Passwords: a flood of wrong ones leaves the server to others, and a password file that changes counts at once.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::client::Client;
use crate::site::{Site, wait_for};

/// `user:secret` by bcrypt.
const BCRYPT: &str = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

fn site(main: &str) -> Site {
    let conf = "server { listen 127.0.0.1:%PORT1%;
        location /guarded/ { auth_basic site; auth_basic_user_file %DIR%/users; alias %DIR%/html/; } }";
    let site = Site::start(main, conf);
    site.file("a", "hello");
    std::fs::write(site.path("users"), BCRYPT).unwrap();
    site
}

/// The status for `user` and this password, in Base64 with the user's name.
fn status(site: &Site, credentials: &str) -> u16 {
    let mut client = Client::new(site.port());
    client.send(format!("GET /guarded/a HTTP/1.1\r\nHost: h\r\nAuthorization: Basic {credentials}\r\n\r\n"));
    client.answer().map_or(0, |answer| answer.status)
}

const SECRET: &str = "dXNlcjpzZWNyZXQ=";

#[test]
fn a_flood_of_wrong_passwords_leaves_the_server_to_others() {
    let site = site("thread_pool default threads=2;");
    assert_eq!(status(&site, SECRET), 200);
    let counts = Mutex::new(BTreeMap::<u16, usize>::new());
    std::thread::scope(|scope| {
        for n in 100..180 {
            let (site, counts) = (&site, &counts);
            scope.spawn(move || {
                // "user:" and three bytes of a password that was never tried.
                let status = status(site, &format!("dXNlcjp{}", ["4", "5", "6"][n % 3].to_string() + &format!("{n}Y")));
                *counts.lock().unwrap().entry(status).or_default() += 1;
            });
        }
        // One that was right a moment ago waits for nobody, nor does what needs no password.
        for _ in 0..10 {
            assert_eq!(status(&site, SECRET), 200);
            assert_eq!(Client::new(site.port()).get("/a").status, 200);
        }
    });
    let counts = counts.into_inner().unwrap();
    assert!(counts.keys().all(|status| matches!(status, 401 | 503)), "{counts:?}");
    assert!(counts[&401] >= 32, "{counts:?}");
    wait_for("the flood is over", || status(&site, "dXNlcjpXcm9uZw==") == 401);
    site.stop();
}

#[test]
fn a_password_file_that_changes_counts_at_once() {
    let site = site("");
    assert_eq!(status(&site, SECRET), 200);
    for (text, expected) in [("user:{PLAIN}other\n", 401), (BCRYPT, 200), ("# nobody\n", 401), (BCRYPT, 200)] {
        std::fs::write(site.path("users"), text).unwrap();
        assert_eq!(status(&site, SECRET), expected, "{text}");
    }
    std::fs::remove_file(site.path("users")).unwrap();
    assert_eq!(status(&site, SECRET), 403);
    site.stop();
}

#[test]
fn a_test_of_the_conf_counts_who_cannot_log_in() {
    let site = Site::start(
        "",
        "server { listen 127.0.0.1:%PORT1%; auth_basic a; auth_basic_user_file %DIR%/users; return 200 hello; }",
    );
    let said = || {
        let output = site.asked(&["-t"]);
        assert!(output.status.success());
        crate::site::said(&output)
    };
    assert!(!said().contains("log in"), "a file that is not there yet is no matter of this");
    std::fs::write(site.path("users"), "a:abNANd1rDfiNc\nb:{PLAIN}x\nc:abNANd1rDfiNc\n").unwrap();
    let text = said();
    assert!(
        text.contains("warning") && text.contains("where 2 users cannot log in: 2 with the old DES crypt"),
        "{text}"
    );
    assert!(!text.contains("abNANd1rDfiNc"), "{text}");
    std::fs::write(site.path("users"), "b:{PLAIN}x\n").unwrap();
    assert!(!said().contains("log in"));
    site.stop();
}
