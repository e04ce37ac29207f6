//! The directives of CGI: one row each, and the settings they make. What the settings bring about stands in the
//! files beside this one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::conf::args::{Args, Fault, bytes_to_path, parse_size, parse_time};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::error::Level;
use crate::exchange::queue::Queue;
use crate::exchange::variables::Variable;

/// Which requests run a script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mode {
    /// None but those for files of a `cgi_extension`.
    #[default]
    Off,
    /// Every file here is a script.
    On,
    /// One program takes every request: its path, then its arguments.
    Pass(Vec<Text>),
}

/// Where the lines go that a script writes to its standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errors {
    /// Nowhere.
    Off,
    /// To the error log, at this level.
    Log(Level),
    /// Into a file, as they are.
    File(PathBuf),
}

/// What one process may use; none for what the server itself may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Seconds of processor time.
    pub cpu: Option<u64>,
    /// Bytes of address space.
    pub memory: Option<u64>,
    /// Processes of the same user.
    pub processes: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
    /// Bytes of one file that is written.
    pub file_size: Option<u64>,
}

/// How many scripts run at once, and how many requests wait for one to end.
#[derive(Debug, Clone)]
pub struct Cap {
    /// Scripts at once.
    pub running: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Who runs and who waits.
    pub queue: Arc<Queue>,
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// Which requests run a script.
    pub mode: Mode,
    /// No file is a script that a shorter part of the URI names: so many bytes are the location's own.
    pub floor: usize,
    /// What runs the scripts; empty for themselves.
    pub interpreter: Vec<Text>,
    /// Extensions with their dot, and what runs such files; empty for themselves.
    pub extensions: Vec<(Bytes, Vec<Text>)>,
    /// The folder a script starts in; none for its own.
    pub working_dir: Option<Text>,
    /// PATH.
    pub path: Text,
    /// Further variables.
    pub variables: Vec<(Bytes, Text)>,
    /// How long a script may run until TERM; none for ever.
    pub term: Option<Duration>,
    /// How long after TERM until KILL; none for never.
    pub kill: Option<Duration>,
    /// Where standard error goes.
    pub errors: Errors,
    /// Whether a wrong head is an error.
    pub strict: bool,
    /// Whether there is no head at all.
    pub body_only: bool,
    /// Whether an answer is complete before the first byte of it is sent.
    pub buffering: bool,
    /// Whether a request body is complete before its script starts.
    pub request_buffering: bool,
    /// What one process may use.
    pub limits: Limits,
    /// How many at once; none for half of the pool.
    pub cap: Option<Cap>,
}

impl Default for Conf {
    fn default() -> Self {
        Conf {
            mode: Mode::Off,
            floor: 0,
            interpreter: Vec::new(),
            extensions: Vec::new(),
            working_dir: None,
            path: Text::literal(PATH),
            variables: Vec::new(),
            term: Some(Duration::from_secs(60)),
            kill: Some(KILL),
            errors: Errors::Log(Level::Error),
            strict: true,
            body_only: false,
            buffering: true,
            request_buffering: true,
            limits: Limits::default(),
            cap: None,
        }
    }
}

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// From TERM to KILL where the conf says nothing.
const KILL: Duration = Duration::from_secs(5);
/// How many requests wait where the conf says nothing.
pub const WAITING: usize = 256;

const PLACES: Contexts = Contexts::SCOPES.or(Contexts::IF_LOCATION);

const fn manual(
    name: &'static str,
    syntax: &'static [&'static str],
    default: Option<&'static str>,
    arity: Arity,
    doc: &'static str,
) -> Manual {
    Manual { name, syntax, default, contexts: PLACES, arity, block: false, doc }
}

const fn row(manual: Manual, set: fn(&mut Conf, &mut Args<'_>) -> Result<(), Fault>) -> Directive<Conf> {
    Directive { manual, repeat: Repeat::Refused, inherit: Inherit::Yes, set }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    row(
        manual(
            "cgi",
            &["on | off", "pass script [argument ...]"],
            Some("off"),
            Arity::AtLeast(1),
            "Whether files here are programs that are run for each request and write the answer (RFC 3875). With `on` the first file \
             on the way down the path is the script and the rest of the path is its PATH_INFO. `pass` runs one program for every \
             request, with the whole path as PATH_INFO; its words may contain variables. A folder is still answered by `index`.",
        ),
        set_mode,
    ),
    row(
        manual(
            "cgi_pass",
            &["script [argument ...]"],
            None,
            Arity::AtLeast(1),
            "The same as `cgi pass`: one program for every request.",
        ),
        |conf, args| set_pass(conf, args, 0),
    ),
    row(
        manual(
            "cgi_interpreter",
            &["program [argument ...]"],
            None,
            Arity::AtLeast(1),
            "The program that runs the scripts; the script's path is put behind its arguments, and the script need not be executable. A \
             name without a slash is looked for in `cgi_path`. An empty word (`\"\"`) turns it off again. The words may contain variables.",
        ),
        set_interpreter,
    ),
    Directive {
        manual: manual(
            "cgi_extension",
            &[".ext [interpreter [argument ...]]"],
            None,
            Arity::AtLeast(1),
            "Files that end so are scripts, and the interpreter, if there is one, runs them; without one they must be executable. All \
             other files stay files, unless `cgi on` makes scripts of them too. It may stand several times.",
        ),
        repeat: Repeat::List { key: "cgi_extension", clear: |conf| conf.extensions.clear() },
        inherit: Inherit::Yes,
        set: set_extension,
    },
    row(
        manual(
            "cgi_working_dir",
            &["folder"],
            None,
            Arity::Words(1, 1),
            "The folder that scripts start in. Without it each starts in its own folder. It may contain variables.",
        ),
        set_working_dir,
    ),
    row(
        manual(
            "cgi_path",
            &["path"],
            Some("/usr/local/bin:/usr/bin:/bin"),
            Arity::Words(1, 1),
            "The variable PATH of scripts, and where interpreters are looked for that are named without a slash.",
        ),
        |conf, args| {
            conf.path = args.text(0)?;
            Ok(())
        },
    ),
    Directive {
        manual: manual(
            "cgi_set_var",
            &["name value"],
            None,
            Arity::Words(2, 2),
            "One more environment variable, or another value for one of the usual ones. The value may contain variables. The environment \
             is clean otherwise: to let a script see the credentials of a request, write \
             `cgi_set_var HTTP_AUTHORIZATION $http_authorization;`. A block that has its own replaces those around it.",
        ),
        repeat: Repeat::List { key: "cgi_set_var", clear: |conf| conf.variables.clear() },
        inherit: Inherit::Yes,
        set: set_variable,
    },
    row(
        manual(
            "cgi_timeout",
            &["time [time]"],
            Some("60s 5s"),
            Arity::Words(1, 2),
            "How long a script may run. After the first time its process group gets TERM and the client gets 504; after the second, counted \
             from then, the group gets KILL. 0 as the first turns the limit off, 0 as the second sends no KILL. \
             A script whose client has left gets TERM at once, and KILL after the second time.",
        ),
        set_timeout,
    ),
    row(
        manual(
            "cgi_stderr",
            &["off | level", "file path", "/path"],
            Some("error"),
            Arity::Words(1, 2),
            "Where the lines go that scripts write to their standard error: to the error log at a level (`error`, `warn`, `info` ...), into a \
             file as they are, or nowhere.",
        ),
        set_errors,
    ),
    row(
        manual(
            "cgi_strict",
            &["on | off"],
            Some("on"),
            Arity::Flag,
            "Whether a script whose head breaks the rules is answered 502, with the reason in the error log. With `off` wrong lines are left out.",
        ),
        |conf, args| flag(&mut conf.strict, args),
    ),
    row(
        manual(
            "cgi_body_only",
            &["on | off"],
            Some("off"),
            Arity::Flag,
            "Whether everything that a program writes is the body: for programs that know nothing of CGI. The type comes from `types` and \
             `default_type`.",
        ),
        |conf, args| flag(&mut conf.body_only, args),
    ),
    row(
        manual(
            "cgi_buffering",
            &["on | off"],
            Some("on"),
            Arity::Flag,
            "Whether an answer is complete before it is sent: then it has a length, and a slow client does not hold the script. With `off` it \
             is sent as it is written, as event streams need it.",
        ),
        |conf, args| flag(&mut conf.buffering, args),
    ),
    row(
        manual(
            "cgi_request_buffering",
            &["on | off"],
            Some("on"),
            Arity::Flag,
            "Whether a request body is complete before its script starts. With `off` the script starts at once and reads the body as the client \
             sends it; what it does not read is held back at the client. A body sent in chunks then has no CONTENT_LENGTH, and the script \
             reads to the end of file. With `client_max_body_size 0` bodies may be endless.",
        ),
        |conf, args| flag(&mut conf.request_buffering, args),
    ),
    row(
        manual(
            "cgi_limit",
            &["[cpu=time] [mem=size] [procs=number] [files=number] [fsize=size]"],
            None,
            Arity::AtLeast(1),
            "What one script may use: processor time, address space, processes of its user, open files, the size of a file it writes. The \
             limits are the system's own (setrlimit) and hold for what the script starts as well.",
        ),
        set_limits,
    ),
    row(
        manual(
            "cgi_max_procs",
            &["number [queue=number]"],
            None,
            Arity::Words(1, 2),
            "How many scripts run at once under this line, and how many requests wait for one to end (256). Beyond that the answer is 503 \
             with `Retry-After`. Without it half as many as the pool has threads run at once in the whole process.",
        ),
        set_cap,
    ),
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

impl Conf {
    /// Whether some request here may run a script.
    pub fn is_on(&self) -> bool {
        self.mode != Mode::Off || !self.extensions.is_empty()
    }
}

fn flag(value: &mut bool, args: &mut Args<'_>) -> Result<(), Fault> {
    *value = args.flag(0)?;
    Ok(())
}

fn set_mode(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    match args.word(0).text.as_slice() {
        b"pass" if args.len() < 2 => return Err(Fault::at(args.word(0), "needs a script behind `pass`")),
        b"pass" => return set_pass(conf, args, 1),
        _ if args.len() > 1 => {
            return Err(Fault::at(args.word(1), "takes `on`, `off`, or `pass` and a script"));
        }
        b"on" => {
            conf.mode = Mode::On;
            let around = args.load.location.as_ref().filter(|around| !around.regex && !around.named);
            conf.floor = around.map_or(0, |around| around.name.len());
        }
        b"off" => {
            conf.mode = Mode::Off;
            conf.extensions.clear();
        }
        _ => {
            let text = format!("takes `on`, `off`, or `pass` and a script, not `{}`", args.word(0).show());
            return Err(Fault::at(args.word(0), text));
        }
    }
    Ok(())
}

fn set_pass(conf: &mut Conf, args: &mut Args<'_>, from: usize) -> Result<(), Fault> {
    if args.word(from).text.is_empty() {
        return Err(Fault::at(args.word(from), "needs a path, not an empty word"));
    }
    conf.mode = Mode::Pass(texts(args, from)?);
    Ok(())
}

fn texts(args: &mut Args<'_>, from: usize) -> Result<Vec<Text>, Fault> {
    (from..args.len()).map(|i| args.text(i)).collect()
}

fn set_interpreter(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.interpreter = if args.word(0).text.is_empty() { Vec::new() } else { texts(args, 0)? };
    Ok(())
}

fn set_extension(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    if word.text.len() < 2 || word.text.first() != Some(&b'.') || word.text.contains(&b'/') {
        let text = format!("takes an extension with its dot, such as `.py`, not `{}`", word.show());
        return Err(Fault::at(word, text));
    }
    let interpreter = texts(args, 1)?;
    conf.extensions.push((Bytes::copy_from_slice(&word.text), interpreter));
    Ok(())
}

fn set_working_dir(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let text = args.text(0)?;
    conf.working_dir = (!text.pieces.is_empty()).then_some(text);
    Ok(())
}

fn set_variable(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    let legal = word.text.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
    if word.text.is_empty() || !legal || word.text[0].is_ascii_digit() {
        let text = format!("takes a name of letters, digits and `_`, not `{}`", word.show());
        return Err(Fault::at(word, text));
    }
    let value = args.text(1)?;
    conf.variables.push((Bytes::copy_from_slice(&word.text), value));
    Ok(())
}

fn set_timeout(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let some = |time: Duration| (!time.is_zero()).then_some(time);
    conf.term = some(args.time(0)?);
    conf.kill = if args.len() > 1 { some(args.time(1)?) } else { Some(KILL) };
    Ok(())
}

fn set_errors(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    conf.errors = match (word.text.as_slice(), args.len()) {
        (b"file", 2) => Errors::File(args.path(1)),
        (_, 2) => return Err(Fault::at(args.word(1), "takes a path only behind `file`")),
        (b"off" | b"", _) => Errors::Off,
        ([b'/', ..], _) => Errors::File(bytes_to_path(&word.text).to_path_buf()),
        _ => match Level::NAMES.iter().find(|(name, _)| name.as_bytes() == word.text) {
            Some((_, level)) => Errors::Log(*level),
            None => {
                let text = format!("takes `off`, a level such as `warn`, or `file` and a path, not `{}`", word.show());
                return Err(Fault::at(word, text));
            }
        },
    };
    Ok(())
}

fn set_limits(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let mut limits = Limits::default();
    for word in args.words() {
        let shown = word.show();
        let Some((name, value)) = shown.split_once('=') else {
            return Err(Fault::at(word, format!("takes pairs such as `cpu=10s` and `mem=256m`, not `{shown}`")));
        };
        let number = || value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse::<u64>().ok()).flatten();
        let (slot, parsed, form) = match name {
            // The system counts whole seconds: what is asked for beyond is rounded up.
            "cpu" => {
                let time = parse_time(value.as_bytes()).map(|time| time.as_millis().div_ceil(1000) as u64);
                (&mut limits.cpu, time, "a time such as `10s`")
            }
            "mem" => (&mut limits.memory, parse_size(value.as_bytes()), "a size such as `256m`"),
            "fsize" => (&mut limits.file_size, parse_size(value.as_bytes()), "a size such as `100m`"),
            "procs" => (&mut limits.processes, number(), "a number"),
            "files" => (&mut limits.files, number(), "a number"),
            _ => {
                let text = format!("knows `cpu`, `mem`, `procs`, `files` and `fsize`, not `{name}`");
                return Err(Fault::at(word, text));
            }
        };
        let parsed = parsed.ok_or_else(|| Fault::at(word, format!("takes {form} behind `{name}=`, not `{value}`")))?;
        *slot = Some(parsed);
    }
    conf.limits = limits;
    Ok(())
}

fn set_cap(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let running = args.number(0, 1..=100_000)? as usize;
    let mut waiting = WAITING;
    if args.len() > 1 {
        let word = args.word(1);
        let shown = word.show();
        let number = shown.strip_prefix("queue=").filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        waiting = number
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Fault::at(word, format!("takes `queue=number`, not `{shown}`")))?;
    }
    conf.cap = Some(Cap { running, waiting, queue: Arc::default() });
    Ok(())
}
