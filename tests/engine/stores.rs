//! Stores of uploads that several fill at once: by PUT and by form, a quota holds for what stands there in the end.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::client::Client;
use crate::site::Site;

const CONF: &str = "server { listen 127.0.0.1:%PORT1%; location /up/ {
    alias %DIR%/store/; upload_store %DIR%/store; upload_quota 10; upload_on_conflict overwrite; dav_methods PUT;
} }";

fn site() -> Site {
    let dir = Site::folder();
    let store = dir.path().join("store");
    fs::create_dir(&store).unwrap();
    // A server that root started is another user.
    fs::set_permissions(&store, fs::Permissions::from_mode(0o777)).unwrap();
    Site::start_in(dir, "", CONF)
}

fn stored(site: &Site) -> u64 {
    fs::read_dir(site.path("store")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// A PUT of six bytes that was admitted.
fn begin(site: &Site, name: &str) -> Client {
    let mut client = Client::new(site.port());
    let head = format!("PUT /up/{name} HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n");
    assert!(client.send(head));
    assert_eq!(client.answer().unwrap().status, 100);
    client
}

fn post(site: &Site, files: &[(&str, &str)]) -> u16 {
    let part = |(name, text): &(&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n{text}\r\n")
    };
    let body: String = files.iter().map(part).chain(["--b--\r\n".into()]).collect();
    let mut client = Client::new(site.port());
    client.send(format!(
        "POST /up/ HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.answer().unwrap().status
}

#[test]
fn files_that_are_put_at_once_do_not_pass_a_quota_together() {
    let site = site();
    let mut clients: Vec<_> = ["a", "b", "c"].iter().map(|name| begin(&site, name)).collect();
    let statuses: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            client.send("123456");
            client.answer().unwrap().status
        })
        .collect();
    assert_eq!((statuses, stored(&site)), (vec![201, 507, 507], 6));
    let mut late = begin(&site, "a");
    assert!(matches!(post(&site, &[("b", "1234")]), 200..=303));
    late.send("654321");
    // It takes the place of one of its size.
    assert_eq!((late.answer().unwrap().status, stored(&site)), (204, 10));
}

#[test]
fn a_form_that_brings_one_name_twice_replaces_it_once() {
    let site = site();
    assert!(matches!(post(&site, &[("a", "12345")]), 200..=303));
    assert!(matches!(post(&site, &[("b", "12345")]), 200..=303));
    assert_eq!(post(&site, &[("a", ""), ("a", "1234567890")]), 507);
    assert_eq!(stored(&site), 10);
}

#[test]
fn of_many_that_make_the_same_file_one_does() {
    let site = site();
    let mut clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = Client::new(site.port());
            let head = "PUT /up/a HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
            assert!(client.send(head));
            assert_eq!(client.answer().unwrap().status, 100);
            client
        })
        .collect();
    // All were let in while nothing stood there.
    clients.iter_mut().for_each(|client| _ = client.send("x"));
    let mut statuses: Vec<_> = clients.iter_mut().map(|client| client.answer().unwrap().status).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (201, &[412; 7][..]));
}
