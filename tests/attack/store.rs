//! Stores and folders that clients may write in: whatever they send, nothing comes to stand where they may not write.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::client::Client;
use crate::site::Site;

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
