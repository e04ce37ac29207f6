//! The directives of CGI: one row each. What the words mean is read in `setters`.

use super::conf::{Buffering, Conf};
use super::setters::{
    set_cap, set_errors, set_extension, set_interpreter, set_limits, set_mode, set_pass, set_timeout, set_variable,
    set_working_dir,
};
use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::variables::Variable;

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
             from then, the group gets KILL. 0 as the first sends no TERM: the group gets KILL after the second time, and without one there is no limit. 0 as the second sends no KILL. \
             Processes that left the group, by `setsid` say, get the same. \
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
             file as they are, or nowhere. Of one request 64 KiB go into the error log or the file, the first lines and the last, and a line \
             says how much was left out between them. A file that is a pipe gets what its reader takes at once; nobody waits for it.",
        ),
        set_errors,
    ),
    row(
        manual(
            "cgi_strict",
            &["on | off"],
            Some("on"),
            Arity::Flag,
            "Whether a script whose head breaks the rules is answered 502, with the reason in the error log. With `off` wrong lines are left out, each with a warning; a status counts by its three digits; and what has no head at all is the body.",
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
            &["auto | on | off"],
            Some("auto"),
            Arity::Words(1, 1),
            "When a response is sent. With `auto`: once the script has written its head and then nothing for 50 milliseconds, and from then on \
             as it writes; a response that is whole before that has its length, and an event stream (`text/event-stream`) does not wait for a pause. With `on` it is sent once it is whole. With either the \
             server keeps what a slow client does not take yet, up to 256 MiB, so that the client does not hold the script; a response that is larger \
             than that is sent in any case. With `off` it is sent as it is written. `X-Accel-Buffering` in the script's head says `on` (`yes`) or `off` (`no`) \
             for one response.",
        ),
        |conf, args| {
            conf.buffering =
                args.one_of(0, &[("auto", Buffering::Auto), ("on", Buffering::On), ("off", Buffering::Off)])?;
            Ok(())
        },
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

fn flag(value: &mut bool, args: &mut Args<'_>) -> Result<(), Fault> {
    *value = args.flag(0)?;
    Ok(())
}
