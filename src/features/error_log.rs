//! `error_log`: which file gets which reports, and the line a report becomes. Knows a file only as its number
//! in the list of logs.

use std::cell::Cell;
use std::io::Write;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

use crate::conf::args::{Args, Fault, Load};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::error::{Level, Report};
use crate::exchange::logging::{Place, Target};
use crate::exchange::syslog::Syslog;
use crate::exchange::variables::Variable;
use crate::exchange::{Client, Exchange};
use crate::http::date;
use crate::http::escape;
use crate::http::head::Known;

/// nginx's limit on one line. Clients choose what stands in it, so there must be one.
const LONGEST: usize = 2048;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// The files.
    pub targets: Vec<Target>,
    /// Whether these are still the settings of a conf that says nothing.
    pub is_default: bool,
}

impl Conf {
    /// What holds before a conf says anything: `-e`'s file, else `logs/error.log` under the prefix if there is such a
    /// folder, else standard error.
    pub fn initial(load: &mut Load) -> Self {
        let folder = load.prefix.join("logs");
        let path = match &load.error_log {
            Some(path) => path.clone(),
            None if load.outside.is_folder(&folder) => folder.join("error.log"),
            None => "/dev/stderr".into(),
        };
        Conf { targets: vec![Target { place: Place::Log(load.log(path)), level: Level::Error }], is_default: true }
    }

    /// The places that get reports of this level.
    pub fn targets(&self, level: Level) -> impl Iterator<Item = &Place> {
        self.targets.iter().filter(move |target| level <= target.level).map(|target| &target.place)
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "error_log",
        syntax: &[
            "file [level]",
            "stderr [level]",
            "syslog:server=address[,facility=name][,tag=name][,severity=name][,nohostname] [level]",
        ],
        default: Some("logs/error.log error"),
        contexts: Contexts::MAIN.or(Contexts::SCOPES),
        arity: Arity::Words(1, 2),
        block: false,
        doc: "A file that gets a line for each event of this level or a more urgent one: `debug`, `info`, `notice`, \
              `warn`, `error`, `crit`, `alert`, `emerg`. Several lines write to several files or syslog servers, where each line has the severity of its event; a block that has its own \
              replaces those around it. Events of the process itself go where the outermost level says. Text that \
              came from a client is escaped. A line about a request that was refused is followed by one with the reason and the line of the conf that \
              decided it, such as `*17 reason 403/denied site.conf:31`. Where there is no folder `logs` under the prefix, the default is `stderr`; \
              `-e` names another.",
    },
    repeat: Repeat::List { key: "error_log", clear },
    inherit: Inherit::Yes,
    set,
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn clear(conf: &mut Conf) {
    conf.targets.clear();
    conf.is_default = false;
}

fn set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    if word.text.starts_with(b"memory:") {
        return Err(Fault::at(word, "cannot keep a log in memory, where only a debugger would find it")
            .help("log to a file, to `stderr` or to a syslog server"));
    }
    if word.text == b"off" {
        args.warn(Some(0), "`error_log off` writes to a file of the name `off`; `error_log /dev/null crit` is silent");
    }
    let level = match args.words().get(1) {
        None => Level::Error,
        Some(word) if word.text.starts_with(b"debug_") => Level::Debug,
        Some(_) => args.one_of(1, &Level::NAMES)?,
    };
    let place = match word.text.as_slice() {
        text if text.starts_with(b"syslog:") => Place::Syslog(Arc::new(Syslog::read(args, 0)?)),
        b"stderr" => Place::Log(args.load.log("/dev/stderr".into())),
        _ => Place::Log(args.load.log(args.path(0))),
    };
    conf.targets.push(Target { place, level });
    Ok(())
}

/// Writes a report about a request: `out` gets the file's number and the lines with their ends. Why the request was refused is a
/// line of its own, so that the one before it is nginx's for whatever reads logs.
pub fn write(x: &Exchange, conf: &Conf, report: &Report, out: &mut dyn FnMut(usize, &[u8])) {
    let (mut lines, mut first) = (Vec::new(), 0);
    for place in conf.targets(report.level) {
        if lines.is_empty() {
            request_line(&mut lines, x, report);
            first = lines.len();
            if let Some(why) = &report.why {
                reason_line(&mut lines, &x.client, report.level, why);
            }
        }
        match place {
            // In one piece, since other threads write there too.
            Place::Log(number) => out(*number, &lines),
            Place::Syslog(server) => {
                let (line, reason) = lines.split_at(first);
                for line in [line, reason].into_iter().filter(|line| !line.is_empty()) {
                    if let Some(complaint) = server.send(Some(report.level), line) {
                        x.report(Level::Error, complaint);
                    }
                }
            }
        }
    }
}

/// The same for a report about a connection that has no request yet. What a syslog server has to say of it is lost.
pub fn write_about(client: &Client, conf: &Conf, report: &Report, out: &mut dyn FnMut(usize, &[u8])) {
    let mut line = Vec::new();
    for place in conf.targets(report.level) {
        if line.is_empty() {
            connection_line(&mut line, client, report);
        }
        match place {
            Place::Log(number) => out(*number, &line),
            Place::Syslog(server) => drop(server.send(Some(report.level), &line)),
        }
    }
}

/// Appends the line of a report about a request.
fn request_line(line: &mut Vec<u8>, x: &Exchange, report: &Report) {
    let start = line.len();
    // Writing to a Vec cannot fail, here and below.
    begin(line, report.level);
    let _ = write!(line, "*{} {}", x.client.number, report.text);
    client(line, &x.client);
    let _ = write!(line, ", server: {}", String::from_utf8_lossy(&x.server_name));
    let request = x.head.request_line();
    if !request.is_empty() {
        let _ = write!(line, ", request: \"{}\"", escape::error_log(request));
    }
    if x.head.depth() > 0 {
        let _ = write!(line, ", subrequest: \"{}\"", escape::error_log(&x.uri));
    }
    if let Some(upstream) = &report.upstream {
        let _ = write!(line, ", upstream: \"{upstream}\"");
    }
    for (name, field) in [("host", Known::Host), ("referrer", Known::Referer)] {
        if let Some(value) = x.head.known(field) {
            let _ = write!(line, ", {name}: \"{}\"", escape::error_log(value));
        }
    }
    end(line, start);
}

/// Appends the line that says why a request was refused. It names no client, so that nobody counts the refusal twice.
fn reason_line(line: &mut Vec<u8>, about: &Client, level: Level, why: &str) {
    let start = line.len();
    begin(line, level);
    let _ = write!(line, "*{} reason {why}", about.number);
    end(line, start);
}

/// Appends the line of a report about a connection that has no request yet.
fn connection_line(line: &mut Vec<u8>, about: &Client, report: &Report) {
    let start = line.len();
    begin(line, report.level);
    let _ = write!(line, "*{} {}", about.number, report.text);
    client(line, about);
    match (about.local, &about.unix) {
        (Some(local), _) => drop(write!(line, ", server: {local}")),
        (None, Some(path)) => drop(write!(line, ", server: unix:{path}")),
        (None, None) => {}
    }
    end(line, start);
}

/// Appends the line of an event of the process.
pub fn process_line(line: &mut Vec<u8>, level: Level, text: &str) {
    let start = line.len();
    begin(line, level);
    line.extend_from_slice(text.as_bytes());
    end(line, start);
}

fn begin(line: &mut Vec<u8>, level: Level) {
    thread_local! {
        static THREAD: Cell<(u32, i32)> = const { Cell::new((0, 0)) };
    }
    // Going to the background makes another process of this thread, so its number is kept with the process's.
    let pid = std::process::id();
    if THREAD.get().0 != pid {
        THREAD.set((pid, nix::unistd::gettid().as_raw()));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let time = date::error_log(now, &TimeZone::system());
    let _ = write!(line, "{time} [{}] {pid}#{}: ", level.name(), THREAD.get().1);
}

fn client(line: &mut Vec<u8>, about: &Client) {
    match about.peer {
        Some(peer) => drop(write!(line, ", client: {}", peer.ip())),
        None => line.extend_from_slice(b", client: unix:"),
    }
}

/// Ends the line that begins at `start`.
fn end(line: &mut Vec<u8>, start: usize) {
    line.truncate(start + LONGEST - 1);
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_choose_files() {
        let target = |number, level| Target { place: Place::Log(number), level };
        let targets = vec![target(0, Level::Error), target(1, Level::Debug), target(2, Level::Emerg)];
        let conf = Conf { targets, is_default: false };
        for (level, want) in
            [(Level::Emerg, &[0, 1, 2][..]), (Level::Error, &[0, 1]), (Level::Warn, &[1]), (Level::Debug, &[1])]
        {
            let numbers = conf.targets(level).map(|place| match place {
                Place::Log(number) => *number,
                Place::Syslog(_) => usize::MAX,
            });
            assert_eq!(numbers.collect::<Vec<_>>(), want, "{level:?}");
        }
    }

    #[test]
    fn lines_of_connections_and_of_the_process() {
        let peer = Some(([192, 0, 2, 7], 4000).into());
        let local = Some(([127, 0, 0, 1], 80).into());
        let about = Client { peer, local, number: 17, ..Client::default() };
        let report = Report::new(Level::Info, "client closed connection");
        let mut line = Vec::new();
        connection_line(&mut line, &about, &report);
        let line = String::from_utf8(line).unwrap();
        let (time, rest) = line.split_at(20);
        assert!(time.starts_with("20") && time.as_bytes()[4] == b'/', "{line}");
        let (id, rest) = rest.split_once(": ").unwrap();
        assert!(id.starts_with(&format!("[info] {}#", std::process::id())), "{line}");
        assert_eq!(rest, "*17 client closed connection, client: 192.0.2.7, server: 127.0.0.1:80\n");
        let mut line = Vec::new();
        process_line(&mut line, Level::Notice, &"x".repeat(5000));
        assert_eq!((line.len(), line.last()), (LONGEST, Some(&b'\n')));
    }
}
