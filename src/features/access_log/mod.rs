//! `access_log` and `log_format`: which lines a request leaves in which files. Knows a file only as its
//! number in the list of logs; who writes it is the server's business.

mod format;
mod kept;

use std::cell::Cell;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::conf::args::{Args, Fault, Load, bytes_to_path, parse_size, parse_time};
use crate::conf::ast::Word;
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::{Level, system_words};
use crate::exchange::logging::Buffering;
use crate::exchange::syslog::Syslog;
use crate::exchange::variables::Variable;
use crate::http::escape::LogEscape;
pub use format::Format;
use kept::Kept;

/// Where a line goes.
#[derive(Debug, Clone)]
pub enum Place {
    /// An open file, by its number.
    Log(usize),
    /// A path with variables; the file is opened for each line, unless `open_log_file_cache` keeps it.
    Path(Text),
    /// A syslog server.
    Syslog(Arc<Syslog>),
}

/// One file that requests are logged to.
#[derive(Debug, Clone)]
pub struct Target {
    /// The file.
    pub file: Place,
    /// How a line looks.
    pub format: Arc<Format>,
    /// Whether lines are collected first.
    pub buffering: Option<Buffering>,
    /// The line is left out when this is empty or `0`.
    pub condition: Option<Text>,
}

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// The files.
    pub targets: Vec<Target>,
    /// Whether a line says `off`, which wins over files beside it.
    pub off: bool,
    /// Whether these are still the settings of a conf that says nothing.
    pub is_default: bool,
    /// Whether requests of our own, asked from inside, get lines as well.
    pub subrequests: bool,
    kept: Option<Arc<Kept>>,
    formats: Vec<Named>,
}

#[derive(Debug, Clone)]
struct Named {
    name: Vec<u8>,
    format: Arc<Format>,
    built_in: bool,
}

impl Conf {
    /// What holds before a conf says anything: `combined` into `logs/access.log` under the prefix if there is such
    /// a folder, else to standard output.
    pub fn initial(load: &mut Load) -> Self {
        let built_in = |(name, text, escape): (&str, &str, LogEscape), load: &mut Load| {
            let word = Word { text: text.into(), span: Default::default(), quoted: true };
            // The texts are ours and name variables of ours, so they compile; an empty format is harmless.
            let format = Format::compile(&[&word], escape, load.names.as_mut()).unwrap_or_default();
            Named { name: name.into(), format: Arc::new(format), built_in: true }
        };
        let formats: Vec<Named> = format::BUILT_IN.into_iter().map(|known| built_in(known, load)).collect();
        let folder = load.prefix.join("logs");
        let path = if load.outside.is_folder(&folder) { folder.join("access.log") } else { "/dev/stdout".into() };
        let target = Target {
            file: Place::Log(load.log(path)),
            format: formats[0].format.clone(),
            buffering: None,
            condition: None,
        };
        Conf { targets: vec![target], is_default: true, formats, ..Conf::default() }
    }
}

impl Conf {
    /// Closes the files that `open_log_file_cache` keeps open; the next line opens its own again.
    pub fn close_kept(&self) {
        self.kept.iter().for_each(|kept| kept.close());
    }
}

/// Takes a line for a log: its index, how it is buffered, its bytes.
pub type Sink<'s> = dyn FnMut(usize, Option<Buffering>, &[u8]) + 's;

/// The lines of one request, once its last byte is out or its connection is gone. `out` gets the file's
/// number, how that line may be collected, and the line with its end.
pub fn lines(x: &Exchange, conf: &Conf, out: &mut Sink<'_>) {
    if conf.off || conf.targets.is_empty() {
        return;
    }
    thread_local! {
        static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // Taken and put back, so that the memory of one line serves the next.
    let mut line = LINE.take();
    for target in &conf.targets {
        if let Some(condition) = &target.condition
            && matches!(x.eval(condition).as_ref(), b"" | b"0")
        {
            continue;
        }
        line.clear();
        target.format.write(x, &mut line);
        match &target.file {
            Place::Log(number) => out(*number, target.buffering, &line),
            Place::Path(path) => append(x, path, conf.kept.as_deref(), &line),
            Place::Syslog(server) => {
                if let Some(complaint) = server.send(None, &line) {
                    x.report(Level::Error, complaint);
                }
            }
        }
    }
    LINE.set(line);
}

/// Appends a line to the file that the request's variables name. As in nginx there must be a document root, so
/// that made-up host names leave no files behind.
fn append(x: &Exchange, path: &Text, kept: Option<&Kept>, line: &[u8]) {
    // A value that leads out of its folder names no log of ours.
    if x.leads_astray(path) {
        return;
    }
    let path = x.eval(path);
    if path.contains(&0) {
        return;
    }
    if !bytes_to_path(&x.document_root()).is_dir() {
        return;
    }
    let path = x.prefix.join(bytes_to_path(&path));
    let opened = kept.map_or_else(|| kept::open(&path).map(Arc::new), |kept| kept.open(&path));
    if let Err(error) = opened.and_then(|file| (&*file).write_all(line)) {
        log::error!(target: "crit", "cannot write to the log {}: {}", path.display(), system_words(&error));
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "access_log",
            syntax: &[
                "path [format [buffer=size] [gzip[=level]] [flush=time] [if=condition]]",
                "syslog:server=address[,facility=name][,tag=name][,severity=name][,nohostname] [format [if=condition]]",
                "off",
            ],
            default: Some("logs/access.log combined"),
            contexts: Contexts::SCOPES.or(Contexts::IF_LOCATION).or(Contexts::LIMIT_EXCEPT),
            arity: Arity::AtLeast(1),
            block: false,
            doc: "A file that gets one line for each request, by the named `log_format` or by `combined` or `json`, which \
                  are built in. Several lines write to several files or syslog servers (which are never waited for); a block that has its own replaces those \
                  around it, and `off` logs nothing there. A line is in its file before the connection closes, unless \
                  `buffer=` collects lines, at most as long as `flush=` says; `gzip` compresses what is collected. A path may contain variables; the \
                  file is then opened for each line. With `if=` a request is logged when the text is \
                  neither empty nor `0`. Where there is no folder `logs` under the prefix, the default is `/dev/stdout`.",
        },
        repeat: Repeat::List { key: "access_log", clear },
        inherit: Inherit::Yes,
        set: set_log,
    },
    Directive {
        manual: Manual {
            name: "log_format",
            syntax: &["name [escape=default|json|none] string ..."],
            default: Some("combined \"...\""),
            contexts: Contexts::HTTP,
            arity: Arity::AtLeast(2),
            block: false,
            doc: "A form for the lines of `access_log`: the strings are put together and their variables filled in. \
                  `escape=` says how values are made harmless: `default` writes quotes, backslashes, controls and bytes \
                  above 126 as `\\xHH` and a missing value as `-`; `json` makes the inside of a JSON string; \
                  `none` changes nothing. A conf may define `combined` or `json` anew.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::Yes,
        set: set_format,
    },
    Directive {
        manual: Manual {
            name: "log_subrequest",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Whether a request that the server makes itself on behalf of a client's (`auth_request`, `mirror`, `post_action`) gets a line of its own in \
                  the access log. A question of `auth_request` has it before the client's request, a copy when it has ended. `combined` shows the \
                  client's request line in both: `$request_source` and `$uri` in a `log_format` tell them apart.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.subrequests = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "open_log_file_cache",
            syntax: &["max=number [inactive=time] [min_uses=number] [valid=time]", "off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 4),
            block: false,
            doc: "Keeps files open that `access_log` names by paths with variables: at most `max` of them, those that were written to at \
                  least `min_uses` times (1) within `inactive` (10s), which is also when an idle one is closed. After `valid` (60s) it is seen \
                  whether the path still leads to the file.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.kept = Kept::read(args)?.map(Arc::new);
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn clear(conf: &mut Conf) {
    conf.targets.clear();
    conf.off = false;
    conf.is_default = false;
}

fn set_log(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let path = args.word(0);
    if path.text == b"off" {
        if args.len() > 1 {
            return Err(Fault::at(args.word(1), "takes nothing after `off`"));
        }
        conf.off = true;
        return Ok(());
    }
    let name = args.words().get(1).map_or(&b"combined"[..], |word| &word.text);
    let Some(format) = conf.formats.iter().rev().find(|known| known.name == name) else {
        let names: Vec<_> = conf.formats.iter().map(|known| String::from_utf8_lossy(&known.name)).collect();
        return Err(Fault::at(
            args.word(1),
            format!("names no `log_format` that stands before it: `{}`", args.word(1).show()),
        )
        .help(format!("the formats known here are `{}`", names.join("`, `"))));
    };
    let format = format.format.clone();
    let (buffering, condition) = read_options(args)?;
    if path.text.starts_with(b"syslog:") {
        if buffering.is_some() {
            return Err(Fault::at(path, "is a syslog server, so its lines cannot be collected")
                .help("remove `buffer=`, `flush=` and `gzip`"));
        }
        let file = Place::Syslog(Arc::new(Syslog::read(args, 0)?));
        conf.targets.push(Target { file, format, buffering, condition });
        return Ok(());
    }
    let file = match path.text.contains(&b'$') && !args.load.rootless {
        true if buffering.is_some() => {
            return Err(Fault::at(path, "has a variable in its path, so its lines cannot be collected")
                .help("remove `buffer=`, `flush=` and `gzip`"));
        }
        true => Place::Path(args.text(0)?),
        false => Place::Log(args.load.log(args.path(0))),
    };
    conf.targets.push(Target { file, format, buffering, condition });
    Ok(())
}

fn read_options(args: &mut Args<'_>) -> Result<(Option<Buffering>, Option<Text>), Fault> {
    let (mut size, mut flush, mut gzip, mut condition) = (None, None, None, None);
    for i in 2..args.len() {
        let word = args.word(i);
        let bad = |what: &str| Fault::at(word, format!("takes {what} in `{}`", word.show()));
        if let Some(text) = word.text.strip_prefix(b"buffer=") {
            let fits = |size: &u64| (1..=1 << 30).contains(size);
            size = Some(parse_size(text).filter(fits).ok_or_else(|| bad("a size such as `32k`"))? as usize);
        } else if let Some(text) = word.text.strip_prefix(b"flush=") {
            let fits = |time: &Duration| !time.is_zero();
            flush = Some(parse_time(text).filter(fits).ok_or_else(|| bad("a time such as `5s`"))?);
        } else if let Some(text) = word.text.strip_prefix(b"if=") {
            condition = Some(args.text_of(i, text)?);
        } else if word.text == b"gzip" {
            gzip = Some(1);
        } else if let Some(text) = word.text.strip_prefix(b"gzip=") {
            gzip = match text {
                [level @ b'1'..=b'9'] => Some(u32::from(level - b'0')),
                _ => return Err(bad("a level from 1 to 9")),
            };
        } else {
            return Err(Fault::at(word, format!("takes `buffer=`, `gzip`, `flush=` and `if=`, not `{}`", word.show())));
        }
    }
    // As in nginx, compression alone collects 64 KiB.
    match (size.or(gzip.map(|_| 64 << 10)), flush) {
        (None, Some(_)) => {
            Err(Fault::new("has `flush=` without `buffer=`").help("give the buffer a size: `buffer=32k`"))
        }
        (None, None) => Ok((None, condition)),
        (Some(size), flush) => Ok((Some(Buffering { size, flush, gzip }), condition)),
    }
}

fn set_format(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    const ESCAPES: [(&str, LogEscape); 3] =
        [("default", LogEscape::Default), ("json", LogEscape::Json), ("none", LogEscape::None)];
    let name = args.word(0).text.clone();
    let mut words: Vec<&Word> = args.words()[1..].iter().collect();
    let mut escape = LogEscape::Default;
    if let Some(text) = words[0].text.strip_prefix(b"escape=") {
        let found = ESCAPES.iter().find(|(known, _)| known.as_bytes() == text);
        let refuse = || Fault::at(words[0], "takes `escape=default`, `escape=json` or `escape=none`");
        escape = found.ok_or_else(refuse)?.1;
        words.remove(0);
    }
    if conf.formats.iter().any(|known| known.name == name && !known.built_in) {
        return Err(Fault::at(
            args.word(0),
            format!("has a duplicate name: `{}` is defined already", args.word(0).show()),
        ));
    }
    let format = Arc::new(Format::compile(&words, escape, args.load.names.as_mut())?);
    if conf.is_default && name == b"combined" {
        conf.targets.iter_mut().for_each(|target| target.format = format.clone());
    }
    conf.formats.retain(|known| known.name != name);
    conf.formats.push(Named { name, format, built_in: false });
    Ok(())
}
