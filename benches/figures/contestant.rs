//! A running server: Longshore, nginx, nginx with its own defaults, or the floor. Started on a port that the kernel
//! gave, ready when it answers, ended with its value. It must not know what is measured.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::children::{self, Guarded};
use crate::client;
use crate::site::{self, Conf, Extras, Site};

/// Which conf a server runs under.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// The conf that all contestants share.
    Equal,
    /// nginx's own defaults.
    Defaults,
}

/// A server that answers.
pub struct Contestant {
    name: String,
    binary: PathBuf,
    process: Guarded,
    address: SocketAddr,
    extras: Extras,
}

impl Contestant {
    /// Starts `binary` under the given terms and waits until it serves the small page. Somebody else may take the port
    /// before the server does, so a failure is tried again.
    pub fn start(site: &Site, name: &str, binary: &Path, terms: Terms, extras: Extras) -> io::Result<Contestant> {
        let mut tried = Self::try_start(site, name, binary, terms, extras);
        for _ in 0..2 {
            if tried.is_err() {
                tried = Self::try_start(site, name, binary, terms, extras);
            }
        }
        tried
    }

    fn try_start(site: &Site, name: &str, binary: &Path, terms: Terms, extras: Extras) -> io::Result<Contestant> {
        let port = free_port()?;
        let conf = Conf { name, port, extras, generation: 0, nginx: is_nginx(binary) };
        let path = match terms {
            Terms::Equal => site.write_equal_conf(&conf)?,
            Terms::Defaults => site.write_default_conf(&conf)?,
        };
        let said = site.path(&format!("logs/{name}.said"));
        let output = File::create(&said)?;
        let mut command = Command::new(binary);
        command.arg("-p").arg(site.prefix()).arg("-c").arg(&path);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let process = Guarded::start(&mut command)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", binary.display())))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut contestant = Contestant { name: name.to_owned(), binary: binary.to_owned(), process, address, extras };
        contestant.wait_ready(&said)?;
        Ok(contestant)
    }

    /// Starts another server by its own command line, and waits until it serves the small page on this port.
    pub fn start_command(site: &Site, name: &str, mut command: Command, port: u16) -> io::Result<Contestant> {
        let said = site.path(&format!("logs/{}.said", name.replace(' ', "-")));
        let output = File::create(&said)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let binary = PathBuf::from(command.get_program());
        let process = Guarded::start(&mut command)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", binary.display())))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut contestant = Contestant { name: name.to_owned(), binary, process, address, extras: Extras::default() };
        contestant.wait_ready(&said)?;
        Ok(contestant)
    }

    /// Starts the compiled floor over one file of the site.
    pub fn start_floor(site: &Site, binary: &Path, path: &str) -> io::Result<Contestant> {
        let mut command = Command::new(binary);
        command.arg("2").arg(site.file(path)).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Guarded::start(&mut command)?;
        let mut line = String::new();
        if let Some(pipe) = process.child().stdout.take() {
            BufReader::new(pipe).read_line(&mut line)?;
        }
        let port: u16 = line.trim().parse().map_err(|_| io::Error::other("the floor printed no port"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Contestant { name: "floor".into(), binary: binary.to_owned(), process, address, extras: Extras::default() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        let scheme = if self.extras.tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether the process still runs.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Writes the conf anew with another generation in it and asks the server to read it.
    pub fn reload(&self, site: &Site, generation: usize) -> io::Result<()> {
        let port = self.address.port();
        let conf = Conf { name: &self.name, port, extras: self.extras, generation, nginx: is_nginx(&self.binary) };
        site.write_equal_conf(&conf)?;
        self.process.signal(Signal::SIGHUP)
    }

    fn wait_ready(&mut self, said: &Path) -> io::Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            // A port with TLS says in plain that plain is wrong: it is there.
            let ready = if self.extras.tls { 400 } else { 200 };
            if client::fetch(self.address, site::SMALL).is_ok_and(|answer| answer.status == ready) {
                return Ok(());
            }
            let ended = self.process.ended();
            if ended.is_some() || Instant::now() >= end {
                let words = fs::read_to_string(said).unwrap_or_default();
                let tail: Vec<&str> = words.lines().rev().take(5).collect();
                let state = ended.map_or_else(|| "does not answer".to_owned(), |status| format!("ended ({status})"));
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                return Err(io::Error::other(format!("{} {state}: {}", self.name, tail.join(" / "))));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Whether `binary` accepts a conf with these extras.
pub fn accepts(site: &Site, binary: &Path, extras: Extras) -> bool {
    // nginx binds its ports for a test too.
    let Ok(port) = free_port() else { return false };
    let conf = Conf { name: "probe", port, extras, generation: 0, nginx: is_nginx(binary) };
    let Ok(path) = site.write_equal_conf(&conf) else { return false };
    let mut command = Command::new(binary);
    command.arg("-t").arg("-p").arg(site.prefix()).arg("-c").arg(path);
    children::run(&mut command, Duration::from_secs(10)).is_ok_and(|(status, _)| status.success())
}

/// nginx needs to be told where its temporary folders are; it is known by its file's name.
fn is_nginx(binary: &Path) -> bool {
    binary.file_name().is_some_and(|name| name.to_string_lossy().contains("nginx"))
}

/// A port that was free a moment ago.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
