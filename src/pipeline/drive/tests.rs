//! A request in the hands of somebody who has all of its body: what is asked for, what is fed, and where the limit lies.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::exchange::engine::Waker;
use crate::exchange::step::Target;
use crate::exchange::tls::Security;
use crate::exchange::{Arrival, Client, Origin, Source};
use crate::http::head::Head;
use crate::settings::load::{self, Request};
use crate::settings::{Scope, Settings};

/// A server that stores what is put, in a folder.
fn settings(folder: &Path, limit: &str) -> Arc<Settings> {
    let conf = format!(
        "events {{}} http {{ client_body_buffer_size 4; client_max_body_size {limit}; dav_methods PUT; root {0}; \
        error_page 413 /big; server {{ listen 127.0.0.1:1; location = /big {{ return 413 big; }} \
        location /never {{ return 200 fine; }} location /if {{ if ($arg_x) {{ root /elsewhere; }} }} }} }}",
        folder.display()
    );
    let file = folder.join("server.conf");
    std::fs::write(&file, conf).unwrap();
    let request = Request { file, prefix: folder.to_path_buf(), ..Request::default() };
    Arc::new(load::load(&request).settings.expect("the conf is good"))
}

/// A request for the first server of a conf, from this machine.
pub(crate) fn run(settings: &Arc<Settings>, head: &str) -> Run {
    let peer = SocketAddr::from(([127, 0, 0, 1], 49152));
    let server = settings.sockets[0].groups[0].default.clone();
    let text = format!("{head}\r\nHost: h\r\n\r\n");
    let mut parsed = Head::default();
    parsed.parse(text.as_bytes(), &server.scope.request_head.limits).unwrap();
    let now = Instant::now();
    let client = Client {
        peer: Some(peer),
        local: Some(peer),
        unix: None,
        number: 1,
        replaced: None,
        announced: None,
        security: Security::Plain,
    };
    let arrival = Arrival {
        client,
        head: parsed,
        origin: Origin {
            nth: 1,
            connected: now,
            started: now,
            pipelined: false,
            source: Source::Client,
            waker: Waker::new(None, 1),
        },
    };
    let mut run = Run::new(arrival, settings.clone(), server);
    run.x.uri = head.split(' ').nth(1).unwrap().into();
    run
}

/// The status and the reason of the response.
fn end(drive: &mut Drive<'_>) -> (u16, Option<&'static str>) {
    match drive.to_end(None, &mut |_| Ok(false)).unwrap() {
        End::Response(response) => (response.status, drive.run.x.failure.as_ref().map(|failure| failure.reason)),
        End::Closed => (0, drive.run.x.failure.as_ref().map(|failure| failure.reason)),
        End::Waits => panic!("there is nothing to wait for"),
    }
}

#[test]
fn one_limit_holds_however_a_body_is_framed() {
    let folder = tempfile::tempdir().unwrap();
    for (limit, expected) in [("6", (201, None)), ("5", (413, Some("body-too-large"))), ("0", (201, None))] {
        let settings = settings(folder.path(), limit);
        for (field, body) in [
            ("Content-Length: 6", "abcdef"),
            ("Transfer-Encoding: chunked", "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "6\r\nabcdef\r\n0\r\n\r\n"),
        ] {
            let _ = std::fs::remove_file(folder.path().join("f"));
            let run = run(&settings, &format!("PUT /f HTTP/1.1\r\n{field}"));
            let mut drive = Drive::new(run, body.as_bytes());
            assert_eq!(end(&mut drive), expected, "{limit} {field} {body:?}");
            let stored = std::fs::read_to_string(folder.path().join("f")).ok();
            assert_eq!(stored.as_deref(), (expected.0 == 201).then_some("abcdef"));
            assert_eq!(drive.run.has_lost_body, expected.0 == 413 && field.starts_with("Transfer"));
        }
    }
}

#[test]
fn a_body_that_is_not_whole_ends_the_request_without_a_response() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "0");
    let run = run(&settings, "PUT /f HTTP/1.1\r\nContent-Length: 6");
    assert_eq!(end(&mut Drive::new(run, b"abcde")), (0, Some("client-left")));
    assert!(!folder.path().join("f").exists());
}

#[test]
fn a_client_that_waits_for_it_is_told_to_go_ahead_once_somebody_wants_its_body() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "6");
    let begin = |path: &str, ahead: &[u8]| {
        let head = format!("PUT {path} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 6");
        let mut run = run(&settings, &head);
        run.body = BodyReader::new(run.x.head.body_length);
        let outcome = run.advance(ahead);
        (run, outcome)
    };
    let (mut run, Outcome::Interim(interim)) = begin("/f", b"") else { panic!("the client waits") };
    assert_eq!(interim.status, 100);
    // Once, and then the body is what is missing.
    assert!(matches!(run.advance(b""), Outcome::Body(Feeding::Beside)));
    assert!(run.feed(b"abcdef").unwrap().is_whole);
    assert!(matches!(run.advance(b""), Outcome::Respond(response) if response.status == 201));
    // A client that did not wait is told nothing, nor one whose body nobody wants.
    assert!(matches!(begin("/f", b"a").1, Outcome::Body(Feeding::Beside)));
    assert!(matches!(begin("/f", b"abcdef").1, Outcome::Body(Feeding::Whole)));
    assert!(matches!(begin("/never", b"").1, Outcome::Respond(response) if response.status == 200));
}

#[test]
fn what_a_step_keeps_is_dropped_where_the_request_leaves_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "6");
    for leads in [true, false] {
        let mut run = run(&settings, "PUT /f HTTP/1.1\r\nContent-Length: 6");
        run.body = BodyReader::new(run.x.head.body_length);
        assert!(matches!(run.advance(b""), Outcome::Body(Feeding::Beside)));
        assert!(run.states.dav.is_some());
        if leads {
            run.redirect(Target::AsAsked { path: b"/g".to_vec(), args: None }, "index").unwrap();
        } else {
            run.search().unwrap();
        }
        assert!(run.states.dav.is_none());
    }
}

#[test]
fn steps_files_and_variables_go_by_the_same_settings() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "6");
    for (path, args, in_location) in
        [("/if/f", "", true), ("/if/f", "x=1", false), ("/f", "", true), ("/never", "", true)]
    {
        let mut run = run(&settings, &format!("GET {path} HTTP/1.1"));
        run.x.args = Some(args.into());
        assert!(matches!(run.advance(b""), Outcome::Respond(_)));
        let around = run.location.as_ref().map_or(&run.server.scope, |location| &location.scope);
        assert_eq!(Arc::ptr_eq(around, run.scope()), in_location, "{path} {args}");
        assert!(run.x.settings::<Scope>().is_some_and(|seen| std::ptr::eq(seen, Arc::as_ptr(run.scope()))));
        assert!(Arc::ptr_eq(&run.x.place.root, &run.scope().place().root));
    }
}
