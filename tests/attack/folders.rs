//! Folders that are copied, moved and removed whole: no guard of a file inside is passed by, whatever the request is called.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::client::Client;
use crate::site::Site;

fn ask(site: &Site, head: &str) -> u16 {
    let mut client = Client::new(site.port());
    client.send(format!("{head}\r\nHost: h\r\nConnection: close\r\n\r\n"));
    client.answer().map_or(0, |answer| answer.status)
}

/// What stands below a folder, with the text of each file.
fn shape(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        all.push(format!("{} {text}", path.display()));
        if path.is_dir() && !path.is_symlink() {
            all.extend(shape(&path));
        }
    }
    all.sort();
    all
}

/// Writes a file in folders that the server's user may write in.
fn plant(site: &Site, name: &str, text: &str) {
    let path = site.path("html").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    let folders = path.ancestors().skip(1).take_while(|folder| *folder != site.path("html"));
    folders.for_each(|folder| fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap());
}

const CONF: &str = "server {
    listen 127.0.0.1:%PORT1%; root %DIR%/html; merge_slashes off;
    dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on;
    location / { }
    location ^~ /free/ { }
    location ^~ /same/ { alias %DIR%/html/free/; }
    location ~* \\.php$ { deny all; }
    location ~ \\.cgi$ { fastcgi_pass 127.0.0.1:1; }
    location /nested/ { location /nested/in/ { location = /nested/in/file { deny all; } } }
    location /excepted/in/ { limit_except GET COPY { deny all; } }
    location /write/in/ { limit_except PUT COPY MOVE DELETE { deny all; } }
    location /password/in/ { auth_basic x; auth_basic_user_file %DIR%/users; }
    location /internal/in/ { internal; }
    location = /exact/in { deny all; }
    location /returned/in/ { return 404; }
    location /led/in/ { rewrite ^ /free/x last; }
    location /link/out/ { deny all; }
}";

#[test]
fn a_guard_inside_a_folder() {
    let site = Site::start("", CONF);
    fs::write(site.path("users"), "u:{PLAIN}p\n").unwrap();
    let closed = ["nested", "excepted", "write", "password", "internal", "exact", "returned", "led"];
    closed.iter().for_each(|name| plant(&site, &format!("{name}/in/file"), name));
    plant(&site, "free/php/in/x.PhP", "script");
    plant(&site, "free/cgi/in/x.cgi", "script");
    plant(&site, "free/in/in/file", "plain");
    plant(&site, "free/file/file", "plain");
    plant(&site, "scripts/in/x.php", "script");
    plant(&site, "programs/in/x.cgi", "script");
    plant(&site, "away/secret", "secret");
    plant(&site, "link/file", "plain");
    symlink("../away", site.path("html/link/out")).unwrap();
    let before = shape(&site.path("html"));
    let sources = closed.iter().chain(&["scripts", "programs", "link"]);
    let spell = |name: &str| {
        let first = name.as_bytes()[0];
        [
            format!("/{name}/"),
            format!("/%{first:02x}{}/", &name[1..]),
            format!("/./{name}/"),
            format!("/free/../{name}/"),
            format!("/{name}/?x"),
        ]
    };
    for from in sources.flat_map(|name| spell(name)) {
        let may_copy = from.contains("xcepted") || from.contains("xact");
        for to in ["/free/copy/", "http://h/free/copy/", "/same/copy/", "/%66ree/copy/"] {
            for method in ["COPY", "MOVE"].iter().filter(|method| **method == "MOVE" || !may_copy) {
                let status = ask(&site, &format!("{method} {from} HTTP/1.1\r\nDestination: {to}"));
                assert!(matches!(status, 400..=404), "{method} of {from} to {to}: {status}");
            }
        }
        if !from.contains("ink") && !from.contains("rite") {
            let status = ask(&site, &format!("DELETE {from} HTTP/1.1"));
            assert!(matches!(status, 400..=404), "DELETE of {from}: {status}");
        }
    }
    for (from, to) in [
        ("php", "open"),
        ("cgi", "open"),
        ("in", "nested"),
        ("in", "excepted"),
        ("in", "password"),
        ("in", "internal"),
        ("in", "exact"),
        ("in", "returned"),
        ("in", "led"),
        ("file", "nested"),
        ("file", "scripts"),
        ("file", "programs"),
    ] {
        for to in spell(to).into_iter().chain([format!("//{to}//"), format!("http://H:81/{to}/")]) {
            for method in ["COPY /free", "MOVE /free", "COPY /same", "MOVE /same", "COPY http://h/free"] {
                let status = ask(&site, &format!("{method}/{from}/ HTTP/1.1\r\nDestination: {to}"));
                assert!(matches!(status, 400..=404), "{method}/{from}/ to {to}: {status}");
            }
        }
    }
    for head in [
        "MKCOL /new/x.php/",
        "MKCOL /x.PHP/",
        "PUT /way.php/in/file HTTP/1.1\r\nContent-Length: 0\r\nX: 1",
        "MOVE /free/in/in/file HTTP/1.1\r\nDestination: /way.php/file",
        "MOVE /free/in/in/file HTTP/1.1\r\nDestination: /free/x/../../way.php/file",
    ] {
        let status = ask(&site, &if head.contains("HTTP") { head.into() } else { format!("{head} HTTP/1.1") });
        assert!(matches!(status, 400..=404 | 409), "{head}: {status}");
    }
    assert_eq!(shape(&site.path("html")), before);
    // The same with what lets requests for the files in.
    let head = "MOVE /password/ HTTP/1.1\r\nDestination: /free/password/\r\nAuthorization: Basic dTpw";
    assert_eq!(ask(&site, head), 201);
    assert_eq!(ask(&site, "COPY /excepted/ HTTP/1.1\r\nDestination: /free/excepted/"), 201);
    assert_eq!(ask(&site, "DELETE /link/ HTTP/1.1"), 403);
    assert_eq!(ask(&site, "DELETE /free/ HTTP/1.1"), 204);
    assert_eq!(fs::read_to_string(site.path("html/away/secret")).unwrap(), "secret");
    site.stop();
}
