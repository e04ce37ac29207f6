//! What all rows share: the site, wrk, the compiled floor, and how the contestants are started.
//! It must not know which figures are wished for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::arguments::Arguments;
use crate::children;
use crate::contestant::{self, Contestant, Terms};
use crate::load::{Load, Wrk};
use crate::site::{Extras, Site};

/// A prepared bench: nothing runs yet.
pub struct Bench {
    pub site: Site,
    pub wrk: Wrk,
    pub arguments: Arguments,
    /// The most descriptors that one process may hold.
    pub descriptors: usize,
    /// Both contestants store PUT bodies.
    pub put: bool,
    floor: Result<PathBuf, String>,
}

impl Bench {
    /// Lays out the site, compiles the floor and raises this process's (and so every server's) limit of descriptors.
    ///
    /// # Errors
    /// When wrk is missing or the folder cannot be made; a missing compiler costs only the rows that need the floor.
    pub fn prepare(arguments: Arguments) -> io::Result<Bench> {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        let site = Site::create()?;
        children::end_with_us(site.path(""))?;
        let wrk = Wrk::prepare(&site)?;
        let floor = compile_floor(&site);
        let extras = Extras { put: true, cgi: false, tls: false, session: false, regexes: false };
        let accepts = |binary: &Path| contestant::accepts(&site, binary, extras);
        let put = accepts(&arguments.longshore) && accepts(&arguments.nginx);
        let descriptors = usize::try_from(hard).unwrap_or(usize::MAX);
        Ok(Bench { site, wrk, arguments, descriptors, put, floor })
    }

    /// Longshore under the shared conf.
    pub fn longshore(&self) -> io::Result<Contestant> {
        self.longshore_as("longshore", self.extras())
    }

    /// Longshore under another name (so that two can run at once) or with more in its conf.
    pub fn longshore_as(&self, name: &str, extras: Extras) -> io::Result<Contestant> {
        Contestant::start(&self.site, name, &self.arguments.longshore, Terms::Equal, extras)
    }

    /// Both with more in their confs.
    pub fn both_with(&self, extras: Extras) -> io::Result<[Contestant; 2]> {
        let nginx = Contestant::start(&self.site, "nginx", &self.arguments.nginx, Terms::Equal, extras)?;
        Ok([self.longshore_as("longshore", extras)?, nginx])
    }

    /// nginx under the shared conf.
    pub fn nginx(&self) -> io::Result<Contestant> {
        self.nginx_as("nginx")
    }

    pub fn nginx_as(&self, name: &str) -> io::Result<Contestant> {
        Contestant::start(&self.site, name, &self.arguments.nginx, Terms::Equal, self.extras())
    }

    /// Two servers of a kind, to compare one that bears something with one that does not.
    pub fn longshore_pair(&self) -> io::Result<[Contestant; 2]> {
        Ok([self.longshore()?, self.longshore_as("longshore-alone", self.extras())?])
    }

    /// Likewise.
    pub fn nginx_pair(&self) -> io::Result<[Contestant; 2]> {
        Ok([self.nginx()?, self.nginx_as("nginx-alone")?])
    }

    /// nginx under its own defaults.
    pub fn nginx_defaults(&self) -> io::Result<Contestant> {
        Contestant::start(&self.site, "nginx-defaults", &self.arguments.nginx, Terms::Defaults, Extras::default())
    }

    /// A server that passes requests on: `upstream` stands in its `http`, `location` in its one server beside the files.
    pub fn gateway(&self, name: &str, binary: &Path, upstream: &str, location: &str) -> io::Result<Contestant> {
        let (port, p) = (contestant::free_port()?, self.site.prefix());
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {p}logs/{name}.{what};"))
            .join(" ");
        let text = format!(
            "daemon off; worker_processes 2; pid {p}logs/{name}.pid; error_log {p}logs/{name}.log error;
events {{ worker_connections 20000; }}
http {{
    {temporary} access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
    {upstream}
    server {{
        listen 127.0.0.1:{port}; root {p}html;
        {location}
    }}
}}
"
        );
        let conf = self.site.path(&format!("{name}.conf"));
        fs::write(&conf, text)?;
        let mut command = Command::new(binary);
        command.arg("-p").arg(&p).arg("-c").arg(conf);
        Contestant::start_command(&self.site, name, command, port)
    }

    /// The floor, answering with one file of the site.
    pub fn floor(&self, path: &str) -> io::Result<Contestant> {
        let binary = self.floor.as_ref().map_err(|reason| io::Error::other(reason.clone()))?;
        Contestant::start_floor(&self.site, binary, path)
    }

    /// Kept-alive clients asking for `path`.
    pub fn load(&self, path: &'static str, clients: usize) -> Load {
        Load { path, clients, seconds: self.arguments.seconds, close: false, cookie: None }
    }

    /// `wanted` connections, or as many as fit when `spare` descriptors are needed beside them.
    pub fn affordable(&self, wanted: usize, spare: usize) -> usize {
        wanted.min(self.descriptors.saturating_sub(spare))
    }

    /// The lines above the table: what was measured where.
    pub fn describe(&self) -> String {
        let Arguments { rounds, seconds, longshore, nginx, .. } = &self.arguments;
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        format!(
            "Longshore beside nginx: medians over {rounds} alternating rounds of {seconds} s, least and greatest in \
             parentheses.\n\n- {}\n- {}\n- Linux {}, {processors} processors, at most {} descriptors per process\n- \
             slow bodies are sent by {}\n",
            version(longshore),
            version(nginx),
            kernel.trim(),
            self.descriptors,
            if self.put { "PUT to a location with `dav_methods PUT`" } else { "POST to a static file" },
        )
    }

    fn extras(&self) -> Extras {
        Extras { put: self.put, cgi: false, tls: false, session: false, regexes: false }
    }
}

fn compile_floor(site: &Site) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/floor.c");
    let binary = site.path("floor");
    let mut command = Command::new("cc");
    command.args(["-O2", "-pthread"]).arg(source).arg("-o").arg(&binary);
    match children::run(&mut command, Duration::from_secs(60)) {
        Ok((status, _)) if status.success() => Ok(binary),
        Ok((status, _)) => Err(format!("cc could not compile floor.c ({status})")),
        Err(error) => Err(format!("no C compiler for floor.c (cc: {error})")),
    }
}

/// What `-v` says (nginx says it on stderr), or only the path.
fn version(binary: &Path) -> String {
    let said = Command::new(binary).arg("-v").stdin(Stdio::null()).output();
    let text = said.map(|said| [said.stderr, said.stdout].concat()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned();
    if text.is_empty() { binary.display().to_string() } else { format!("{text} ({})", binary.display()) }
}
