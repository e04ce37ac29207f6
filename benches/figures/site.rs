//! The folder that all servers serve: its files, and the confs that say so. One conf for both contestants, another with
//! nothing but nginx's own defaults. It must not know how a server is started.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

/// The 613-byte page, as large as nginx's own welcome page.
pub const SMALL: &str = "/small.html";
/// The same page, in a location that keeps an access log.
pub const LOGGED: &str = "/logged.html";
/// 100 KiB.
pub const MEDIUM: &str = "/medium.bin";
/// 10 MiB.
pub const LARGE: &str = "/large.bin";
/// No byte at all.
pub const EMPTY: &str = "/empty.html";
/// Answers with the number of the conf that is in force.
pub const GENERATION: &str = "/generation";
/// Begins a session.
pub const BEGIN: &str = "/begin";
/// A script that answers nothing for two minutes (a program that truly never ended could outlive the bench).
pub const SCRIPT: &str = "/cgi-bin/forever.sh";

/// The bytes of a served file.
pub fn size(path: &str) -> usize {
    match path {
        SMALL | LOGGED => 613,
        MEDIUM => 100 * 1024,
        LARGE => 10 * 1024 * 1024,
        _ => 0,
    }
}

/// The folder, removed when this is dropped.
pub struct Site {
    folder: TempDir,
}

/// What a conf holds beyond what every server knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// A location that stores PUT bodies: the only one where plain nginx reads a body.
    pub put: bool,
    /// A location that runs CGI scripts.
    pub cgi: bool,
    /// TLS on the port.
    pub tls: bool,
    /// Sessions in memory on the whole server, and a location that begins one.
    pub session: bool,
    /// Fifty locations by regexes, none of which takes a path that is asked for.
    pub regexes: bool,
}

/// What distinguishes one conf from another.
pub struct Conf<'a> {
    /// Names this server's own files: logs, pid, temporary folders.
    pub name: &'a str,
    pub port: u16,
    pub extras: Extras,
    /// Which number `GENERATION` answers with.
    pub generation: usize,
    /// nginx makes its temporary folders where it was built to, unless told otherwise.
    pub nginx: bool,
}

/// Ten shapes that confs are full of, five of each.
fn regex_locations() -> String {
    const SHAPES: [&str; 10] = [
        r"~ ^/app%/(.+)$",
        r"~* \.(?:jpe?g|gif|png|ico)%$",
        r"~ \.php%(?:/|$)",
        r"~ /\.ht%",
        r"~* ^/(?:wp-admin|wp-includes)%/.*\.php$",
        r"~ ^/users/(?<id%>[0-9]+)/files/(?<name%>.+)$",
        r"~* (?:eval\(|base64_|%20union)%",
        r"~ ^/(?!static|media)[a-z]+%/edit$",
        r"~ ^(.+\.cgi)(/.*)?%$",
        r"~* /(?:backup|dump|old)%[^/]*\.(?:sql|zip|tar\.gz)$",
    ];
    let all = (0..5).flat_map(|n| SHAPES.map(|shape| shape.replace('%', &n.to_string())));
    all.map(|shape| format!("location {shape} {{ return 403; }}\n")).collect()
}

impl Site {
    /// Makes the folder and its files. Others may enter and read it: a server started by root serves as somebody else.
    pub fn create() -> io::Result<Site> {
        let folder = tempfile::Builder::new().prefix("figures-").tempdir()?;
        let site = Site { folder };
        for (name, mode) in [("", 0o755), ("html", 0o755), ("cgi-bin", 0o755), ("put", 0o777), ("logs", 0o777)] {
            let path = site.path(name);
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
        }
        for path in [SMALL, LOGGED, MEDIUM, LARGE, EMPTY] {
            let line = b"Ships come and go, and every box finds its place on the quay.\n";
            let bytes: Vec<u8> = line.iter().copied().cycle().take(size(path)).collect();
            fs::write(site.file(path), bytes)?;
        }
        let script = site.path(SCRIPT.trim_start_matches('/'));
        // ECDSA with P-256, as most sites have it.
        let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).map_err(io::Error::other)?;
        fs::write(site.path("tls.pem"), made.cert.pem())?;
        fs::write(site.path("tls.key"), made.signing_key.serialize_pem())?;
        fs::write(&script, "#!/bin/sh\nexec sleep 120\n")?;
        fs::set_permissions(&script, Permissions::from_mode(0o755))?;
        Ok(site)
    }

    /// A path inside the folder.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Where a served file stands.
    pub fn file(&self, path: &str) -> PathBuf {
        self.path("html").join(path.trim_start_matches('/'))
    }

    /// The folder itself, with a slash at its end: the servers' prefix.
    pub fn prefix(&self) -> String {
        format!("{}/", self.folder.path().display())
    }

    /// The conf under which the contestants are compared. It is replaced as a whole, so a reload never reads half of it.
    pub fn write_equal_conf(&self, conf: &Conf) -> io::Result<PathBuf> {
        let Conf { name, port, generation, .. } = conf;
        let p = self.folder.path().display();
        let put =
            if conf.extras.put { format!("location /put/ {{ root {p}; dav_methods PUT; }}") } else { String::new() };
        let cgi = if conf.extras.cgi { format!("location /cgi-bin/ {{ root {p}; cgi on; }}") } else { String::new() };
        let tls = match conf.extras.tls {
            true => format!(
                " ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {p}/tls.pem; ssl_certificate_key {p}/tls.key"
            ),
            false => String::new(),
        };
        let (zone, session) = match conf.extras.session {
            true => (
                "session_zone app:8m;",
                format!(
                    "session app; location = {BEGIN} {{ session_set user ann; session_set theme dark; return 200 begun; }}"
                ),
            ),
            false => ("", String::new()),
        };
        let regexes = if conf.extras.regexes { regex_locations() } else { String::new() };
        let text = format!(
            "daemon off;
worker_processes 2;
pid {p}/logs/{name}.pid;
error_log {p}/logs/{name}.error.log error;
events {{ worker_connections 20000; }}
http {{
    {temporary}
    types {{ text/html html; application/octet-stream bin; }}
    access_log off;
    sendfile on;
    tcp_nopush off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    {zone}
    server {{
        listen 127.0.0.1:{port}{tls};
        root {p}/html;
        location = {LOGGED} {{ access_log {p}/logs/{name}.access.log combined; }}
        location = {GENERATION} {{ return 200 \"{generation}\"; }}
        {put}
        {cgi}
        {session}
        {regexes}
    }}
}}
",
            temporary = self.temporary_folders(conf),
        );
        self.replace(name, &text)
    }

    /// nginx's own defaults; only where files go is said, so that nothing is written outside the folder.
    pub fn write_default_conf(&self, conf: &Conf) -> io::Result<PathBuf> {
        let Conf { name, port, .. } = conf;
        let p = self.folder.path().display();
        let text = format!(
            "daemon off;
pid {p}/logs/{name}.pid;
error_log {p}/logs/{name}.error.log;
events {{ }}
http {{
    {temporary}
    access_log {p}/logs/{name}.access.log;
    server {{ listen 127.0.0.1:{port}; root {p}/html; }}
}}
",
            temporary = self.temporary_folders(conf),
        );
        self.replace(name, &text)
    }

    fn temporary_folders(&self, conf: &Conf) -> String {
        if !conf.nginx {
            return String::new();
        }
        let folder = self.path("logs").join(conf.name);
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {}.{what};", folder.display()))
            .join(" ")
    }

    fn replace(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.path(&format!("{name}.conf"));
        let fresh = self.path(&format!("{name}.conf.new"));
        fs::write(&fresh, text)?;
        fs::rename(&fresh, &path)?;
        Ok(path)
    }
}
