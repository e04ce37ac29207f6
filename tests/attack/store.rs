//! Stores and folders that clients may write in: whatever they send, nothing comes to stand where they may not write.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::client::Client;
use crate::site::{Site, wait_for};

/// Sends a request on a connection of its own; the status of its answer, 0 if there is none.
fn ask(site: &Site, head: &str) -> u16 {
    let mut client = Client::new(site.port());
    client.send(format!("{head}\r\nHost: h\r\nConnection: close\r\n\r\n"));
    client.answer().map_or(0, |answer| answer.status)
}

/// The names of all that stands below a folder.
fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        names.push(entry.file_name().to_string_lossy().into_owned());
        if entry.file_type().unwrap().is_dir() {
            names.extend(self::names(&entry.path()));
        }
    }
    names.sort();
    names
}

/// A folder that the server's user may write in.
fn open_folder(site: &Site, name: &str) {
    let path = site.path("html").join(name);
    fs::create_dir_all(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
}

#[test]
fn a_destination_that_is_closed_to_a_put() {
    let site = Site::start(
        "",
        "map $http_x_key $realm { default x; 1 off; }
        server {
            listen 127.0.0.1:%PORT1%; root %DIR%/html; merge_slashes off;
            dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on;
            location /denied/ { deny all; }
            location ^~ /password/ { auth_basic x; auth_basic_user_file %DIR%/users; }
            location /mapped/ { auth_basic $realm; auth_basic_user_file %DIR%/users; }
            location /returned/ { return 403; }
            location /closed/ { return 444; }
            location /either/ { satisfy any; deny all; auth_basic x; auth_basic_user_file %DIR%/users; }
            location /nested/ { location /nested/deep/ { deny all; } }
            location /internal/ { internal; }
            location /readonly/ { limit_except GET { deny all; } }
            location = /denied { return 403; }
            location ~ \\.secret$ { deny all; }
            location ~* ^/case { deny all; }
        }",
    );
    fs::write(site.path("users"), "u:{PLAIN}p\n").unwrap();
    let closed = "denied password mapped returned closed either nested nested/deep internal readonly case";
    closed.split(' ').for_each(|name| open_folder(&site, name));
    open_folder(&site, "tree");
    site.file("f", "text");
    let before = names(&site.path("html"));
    for folder in closed.split(' ').filter(|name| *name != "nested") {
        let first = folder.as_bytes()[0];
        for to in [
            format!("/{folder}/x"),
            format!("/%{first:02x}{}/x", &folder[1..]),
            format!("//{folder}/x"),
            format!("/{folder}//x"),
            format!("/./{folder}/x"),
            format!("/{folder}%2fx"),
            format!("/{folder}/x?query"),
            format!("/{folder}/x#fragment"),
            format!("http://h/{folder}/x"),
            format!("https://H:81/{folder}/x"),
            format!("/{folder}/x\r\nDestination: /open"),
            format!("/{folder}/x\r\nAuthorization: Basic dTp4"),
            format!("/{folder}/x\r\nX-Key: 2"),
            format!("/{folder}/new/way/x"),
        ] {
            for line in ["COPY /f", "MOVE /f", "COPY http://h/f"] {
                let status = ask(&site, &format!("{line} HTTP/1.1\r\nDestination: {to}"));
                assert!(matches!(status, 0 | 400..=404), "{line} to {to}: {status}");
            }
            for method in ["COPY", "MOVE"] {
                let tree = to.replacen("/x", "/x/", 1);
                let status = ask(&site, &format!("{method} /tree/ HTTP/1.1\r\nDestination: {tree}"));
                assert!(matches!(status, 0 | 400..=409), "{method} of a folder to {tree}: {status}");
            }
        }
    }
    for to in ["/a.secret", "/CASE/x", "/%43ase/x", "/denied"] {
        let status = ask(&site, &format!("COPY /f HTTP/1.1\r\nDestination: {to}"));
        assert_eq!(status, 403, "{to}");
    }
    assert_eq!(names(&site.path("html")), before);
    // The same with what lets a PUT in.
    for to in ["/password/x", "/either/x", "/mapped/x"] {
        let head = format!("COPY /f HTTP/1.1\r\nDestination: {to}\r\nAuthorization: Basic dTpw");
        assert_eq!(ask(&site, &head), 204, "{to}");
    }
    assert_eq!(ask(&site, "COPY /f HTTP/1.1\r\nDestination: /mapped/y\r\nX-Key: 1"), 204);
    site.stop();
}

const QUOTA: u64 = 1 << 20;
/// A tenth of it and a little more: nine such files fit.
const PIECE: usize = 110 << 10;

/// A store with a quota, which three locations write in: its own, one beside it, and one around it without a word of the quota.
fn quota_site(files: usize) -> Site {
    let dir = Site::folder();
    for name in ["html/store", "html/store/sub", "html/tree"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    (0..files).for_each(|n| fs::write(dir.path().join(format!("html/store/{n}")), "").unwrap());
    Site::start_in(
        dir,
        "",
        "client_max_body_size 0; server {
            listen 127.0.0.1:%PORT1%; root %DIR%/html;
            dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on;
            location /up/ { alias %DIR%/html/store/; upload_store %DIR%/html/store; upload_quota 1m; upload_on_conflict rename; }
            location /more/ { alias %DIR%/html/store/sub/; }
        }",
    )
}

/// Bytes on disk: those of the files below the store, and those of files without a name that the server holds open.
fn taken(site: &Site) -> (u64, u64) {
    fn below(folder: &std::path::Path) -> u64 {
        let entries = fs::read_dir(folder).unwrap().flatten();
        entries
            .map(|entry| match entry.metadata() {
                Ok(meta) if meta.is_dir() => below(&entry.path()),
                Ok(meta) => meta.len(),
                Err(_) => 0,
            })
            .sum()
    }
    let open = fs::read_dir(format!("/proc/{}/fd", site.serving())).unwrap().flatten();
    let nameless = open.filter(|entry| {
        fs::read_link(entry.path())
            .is_ok_and(|path| path.starts_with(site.path("html")) && path.to_string_lossy().ends_with("(deleted)"))
    });
    let drafts = nameless.map(|entry| fs::metadata(entry.path()).map_or(0, |meta| meta.len())).sum();
    (below(&site.path("html/store")), drafts)
}

fn send(site: &Site, head: &str, body: &[u8]) -> u16 {
    let mut client = Client::new(site.port());
    client.send(format!("{head}\r\nHost: h\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len()));
    client.send(body);
    client.answer().map_or(0, |answer| answer.status)
}

#[test]
fn a_quota_holds_by_every_way_into_the_store() {
    let site = quota_site(0);
    let piece = vec![b'x'; PIECE];
    site.file("big", &piece);
    site.file("tree/big", &piece);
    let form =
        [&b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"[..], &piece, b"\r\n--b--\r\n"]
            .concat();
    let mut statuses = std::collections::BTreeMap::<(&str, u16), usize>::new();
    for n in 0..12 {
        let chunked = |path: String| {
            let mut client = Client::new(site.port());
            client.send(format!("PUT {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{PIECE:x}\r\n"));
            client.send(&piece);
            client.send("\r\n0\r\n\r\n");
            client.answer().map_or(0, |answer| answer.status)
        };
        site.file(&format!("move{n}"), &piece);
        fs::create_dir_all(site.path(&format!("html/tree{n}/in"))).unwrap();
        open_folder(&site, &format!("tree{n}"));
        open_folder(&site, &format!("tree{n}/in"));
        site.file(&format!("tree{n}/in/big"), &piece);
        let kind = "Content-Type: multipart/form-data; boundary=b";
        for (what, status) in [
            ("PUT", send(&site, &format!("PUT /up/put{n} HTTP/1.1"), &piece)),
            ("PUT below", send(&site, &format!("PUT /up/sub/way/{n}/put HTTP/1.1"), &piece)),
            ("PUT beside", send(&site, &format!("PUT /more/put{n} HTTP/1.1"), &piece)),
            ("PUT around", send(&site, &format!("PUT /store/around{n} HTTP/1.1"), &piece)),
            ("PUT in chunks", chunked(format!("/up/chunked{n}"))),
            ("form", send(&site, &format!("POST /up/ HTTP/1.1\r\n{kind}"), &form)),
            ("COPY", ask(&site, &format!("COPY /big HTTP/1.1\r\nDestination: /store/copy{n}"))),
            ("COPY of a folder", ask(&site, &format!("COPY /tree/ HTTP/1.1\r\nDestination: /store/tree{n}/"))),
            ("COPY within", ask(&site, &format!("COPY /up/put0 HTTP/1.1\r\nDestination: /up/again{n}"))),
            ("MOVE", ask(&site, &format!("MOVE /move{n} HTTP/1.1\r\nDestination: /store/sub/move{n}"))),
            ("MOVE of a folder", ask(&site, &format!("MOVE /tree{n}/ HTTP/1.1\r\nDestination: /store/sub/tree{n}/"))),
        ] {
            *statuses.entry((what, status)).or_default() += 1;
            let (stored, drafts) = taken(&site);
            assert!(stored + drafts <= QUOTA, "{what} has led to {stored} bytes and {drafts} in drafts");
        }
    }
    assert_eq!(taken(&site).0, 9 * PIECE as u64, "{statuses:?}");
    assert!(statuses.keys().all(|(_, status)| matches!(status, 201 | 204 | 303 | 507 | 200)), "{statuses:?}");
    // What goes makes room, file by file and with its folder.
    assert_eq!(ask(&site, "DELETE /store/put0 HTTP/1.1"), 204);
    assert_eq!(send(&site, "PUT /more/fits HTTP/1.1", &piece), 201);
    assert_eq!(send(&site, "PUT /more/too-much HTTP/1.1", &piece), 507);
    assert_eq!(ask(&site, "DELETE /store/sub/ HTTP/1.1"), 204);
    assert_eq!(send(&site, "PUT /up/fits HTTP/1.1", &piece), 201);
    site.stop();
}

#[test]
fn uploads_that_never_end_count() {
    let site = quota_site(0);
    let piece = vec![b'x'; PIECE];
    let mut clients: Vec<Client> = (0..40)
        .map(|n| {
            let mut client = Client::new(site.port());
            match n % 3 {
                0 => client.send(format!("PUT /up/{n} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", PIECE + 1)),
                1 => client.send(format!("PUT /more/{n} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", PIECE + 1)),
                _ => client.send(format!(
                    "POST /up/ HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n\
                     --b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n",
                    2 * PIECE
                )),
            };
            client.send(&piece);
            client
        })
        .collect();
    // All but those that still may send more are told.
    wait_for("the others are refused", || clients.iter_mut().map(Client::is_answered).filter(|is| *is).count() >= 31);
    let (stored, drafts) = taken(&site);
    assert!(stored == 0 && drafts <= QUOTA, "{stored} bytes and {drafts} in drafts");
    assert_eq!(send(&site, "PUT /up/small HTTP/1.1", &piece), 507);
    // Those that leave give back what they had.
    clients.clear();
    wait_for("there is room again", || send(&site, "PUT /up/small HTTP/1.1", &piece) == 201);
    site.stop();
}

#[test]
fn heads_of_uploads_do_not_have_the_store_counted() {
    let site = quota_site(20_000);
    // It waits for the only count.
    assert_eq!(send(&site, "PUT /up/first HTTP/1.1", b"x"), 201);
    let once = site.cpu().max(Duration::from_millis(20));
    let before = site.cpu();
    let clients: Vec<Client> = (0..100)
        .map(|n| {
            let mut client = Client::new(site.port());
            client.send(match n % 2 {
                0 => format!("PUT /up/{n} HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"),
                _ => "POST /up/ HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\n\
                      Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
                    .into(),
            });
            client
        })
        .collect();
    for mut client in clients {
        assert_eq!(client.answer().unwrap().status, 100);
    }
    let all = site.cpu() - before;
    assert!(all < once * 10, "a hundred heads took {all:?}, and counting once {once:?}");
    site.stop();
}
