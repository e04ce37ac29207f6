//! The packs that come with the program: what audits of two courses look at, each with a conf for Longshore and the site that both
//! share. Knows files, not what their lines mean.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A pack.
pub struct Pack {
    /// Its name.
    pub name: &'static str,
    /// What it asks, in a line.
    about: &'static str,
    /// Its expectations.
    pub expect: &'static str,
    /// The conf for Longshore.
    conf: &'static str,
}

/// Their names.
pub const NAMES: [&str; 2] = [PACKS[0].name, PACKS[1].name];

const PACKS: [Pack; 2] = [
    Pack {
        name: "localhost01",
        about: "what audits of the localhost project look at: ports, names, error pages, limits, uploads, sessions, CGI, load",
        expect: include_str!("../../../conf/packs/localhost01.expect"),
        conf: include_str!("../../../conf/packs/localhost01.conf"),
    },
    Pack {
        name: "webserv42",
        about: "what audits of the webserv project look at: ports, names, routes, methods, limits, uploads, CGI, load",
        expect: include_str!("../../../conf/packs/webserv42.expect"),
        conf: include_str!("../../../conf/packs/webserv42.conf"),
    },
];

/// The site: path, text, and whether it is a script.
const SITE: [(&str, &str, bool); 10] = [
    ("index.html", include_str!("../../../conf/packs/site/index.html"), false),
    ("errors/404.html", include_str!("../../../conf/packs/site/errors/404.html"), false),
    ("errors/4xx.html", include_str!("../../../conf/packs/site/errors/4xx.html"), false),
    ("errors/5xx.html", include_str!("../../../conf/packs/site/errors/5xx.html"), false),
    ("files/a.txt", include_str!("../../../conf/packs/site/files/a.txt"), false),
    ("cgi-bin/beside.txt", include_str!("../../../conf/packs/site/cgi-bin/beside.txt"), false),
    ("cgi-bin/show.sh", include_str!("../../../conf/packs/site/cgi-bin/show.sh"), true),
    ("cgi-bin/visit.sh", include_str!("../../../conf/packs/site/cgi-bin/visit.sh"), true),
    ("cgi-bin/fails.sh", include_str!("../../../conf/packs/site/cgi-bin/fails.sh"), true),
    ("cgi-bin/hangs.sh", include_str!("../../../conf/packs/site/cgi-bin/hangs.sh"), true),
];

/// The folders of the site that begin empty.
const EMPTY: [&str; 3] = ["up", "form", "closed"];

/// The pack of a name.
pub fn named(name: &str) -> Result<&'static Pack, String> {
    PACKS
        .iter()
        .find(|pack| pack.name == name)
        .ok_or_else(|| format!("there is no pack `{name}`; there are: {}", NAMES.join(" ")))
}

/// Says which packs there are.
pub fn list() -> Result<(), String> {
    PACKS.iter().try_for_each(|pack| print(&format!("{:12}  {}\n", pack.name, pack.about)))
}

fn print(text: &str) -> Result<(), String> {
    // A reader that closed its end wants no more, and hears nothing more.
    std::io::stdout().write_all(text.as_bytes()).map_err(|_| String::new())
}

impl Pack {
    /// Prints its expectations.
    pub fn print(&self) -> Result<(), String> {
        print(self.expect)
    }

    /// Writes expectations, conf and site into a folder; replaces nothing.
    pub fn unpack(&self, folder: &Path) -> Result<(), String> {
        let site = folder.join("site");
        write(&folder.join(format!("{}.expect", self.name)), self.expect, false)?;
        write(&folder.join(format!("{}.conf", self.name)), self.conf, false)?;
        SITE.iter().try_for_each(|(path, text, is_script)| write(&site.join(path), text, *is_script))?;
        EMPTY.iter().try_for_each(|path| make(&site.join(path)))
    }

    /// What is said when it was unpacked.
    pub fn unpacked(&self, folder: &Path) -> String {
        let (name, folder) = (self.name, folder.display());
        format!(
            "longshore: {folder} has {name}.expect, {name}.conf for Longshore and the site that it serves; for another server write a conf \
             that does what this one does, start it, and ask: longshore expect --pack {name} --live http://localhost:8080"
        )
    }
}

fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))
}

fn write(file: &Path, text: &str, is_script: bool) -> Result<(), String> {
    file.parent().map_or(Ok(()), make)?;
    // The site is the same for all packs: what is there already as it should be may stay.
    if fs::read(file).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let mode = if is_script { 0o755 } else { 0o644 };
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            format!("{} is there already and something else; name another folder", file.display())
        }
        _ => format!("cannot write {}: {error}", file.display()),
    })
}
