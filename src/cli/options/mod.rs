//! The options themselves: nginx's letters and our words.

mod commands;
mod front;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::conf::render::Format;
pub use commands::{
    About, Cert, Cgi, Compat, Completions, Expect, Explain, RunScript, SelfSigned, ServeFolder, Shape, TableForm,
};

/// A web server that you drop an nginx-style conf file into.
#[derive(Debug, Default, Parser)]
#[command(
    name = "longshore",
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true,
    disable_help_subcommand = true
)]
pub struct Options {
    /// Show this help.
    #[arg(short = 'h', short_alias = '?', long = "help")]
    pub help: bool,
    /// Show the version.
    #[arg(short = 'v', long = "version")]
    pub version: bool,
    /// Show the version and what is built in.
    #[arg(short = 'V')]
    pub build: bool,
    /// Test the conf, say all that is wrong with it, and exit.
    #[arg(short = 't')]
    pub test: bool,
    /// Test the conf, show every file of it, and exit.
    #[arg(short = 'T')]
    pub dump: bool,
    /// Say only what is wrong while testing.
    #[arg(short = 'q')]
    pub quiet: bool,
    /// Send a signal to the server of this conf.
    #[arg(short = 's', value_name = "signal")]
    pub signal: Option<Signal>,
    /// The folder that relative paths start from (default: the current folder).
    #[arg(short = 'p', value_name = "prefix")]
    pub prefix: Option<PathBuf>,
    /// The error log until the conf names one (default: logs/error.log, else stderr).
    #[arg(short = 'e', value_name = "file")]
    pub error_log: Option<PathBuf>,
    /// The conf file (default: conf/nginx.conf, else conf/longshore.conf; under the name nginx, as process 1, and with -t, -T, -s, -g and
    /// -V then /etc/longshore/longshore.conf and /etc/nginx/nginx.conf, whose folder is the prefix).
    #[arg(short = 'c', value_name = "file")]
    pub conf: Option<PathBuf>,
    /// Directives to be read before the conf file.
    #[arg(short = 'g', value_name = "directives")]
    pub globals: Option<String>,
    /// Take a stock conf as it is without root: ports below 1024 move up by 8000, logs go to stderr, no pid file.
    #[arg(long)]
    pub rootless: bool,
    /// Start although parts of the conf are not built yet: those locations answer 501.
    #[arg(long)]
    pub partial: bool,
    /// How what is wrong with a conf is shown.
    #[arg(long, value_name = "form", default_value = "long")]
    pub format: Form,
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What nginx has no letter for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try CGI scripts without a server.
    #[command(subcommand, disable_help_subcommand = true, arg = help_flag())]
    Cgi(Cgi),
    /// Make certificates.
    #[command(subcommand, disable_help_subcommand = true, arg = help_flag())]
    Cert(Cert),
    /// Say what would become of a request, and which line of the conf decides each step. Nothing is done for it.
    Explain(Explain),
    /// What becomes of each directive of a conf that was written for nginx.
    Compat(Compat),
    /// Serve a folder at once, with listings.
    Serve(ServeFolder),
    /// Ask what files of expectations ask, and report in TAP whether the answers are those.
    Expect(Expect),
    /// Explain a message's code, a reason, a status, a directive, a variable or a command; without one, list the codes and reasons.
    Help(About),
    /// Print completions for a shell, to be put where it looks for them.
    Completions(Completions),
}

/// That of a command which only has commands below it; the others have a field for theirs.
fn help_flag() -> Arg {
    Arg::new("help").short('h').long("help").action(ArgAction::Help).help("Show this help")
}

/// What `-s` sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Signal {
    /// Stop at once.
    Stop,
    /// Stop when everything is answered.
    Quit,
    /// Open the log files again.
    Reopen,
    /// Load the conf again.
    Reload,
}

/// What `--format` takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// The line with a caret under the word.
    #[default]
    #[value(alias = "pretty")]
    Long,
    /// One line for each.
    Short,
    /// One JSON object for each, on standard output.
    Json,
}

impl From<Form> for Format {
    fn from(form: Form) -> Self {
        match form {
            Form::Long => Format::Long,
            Form::Short => Format::Short,
            Form::Json => Format::Json,
        }
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// To do something.
    Run(Box<Options>),
    /// For this text.
    Help(String),
}

/// A command line that cannot be followed.
#[derive(Debug)]
pub struct Refused {
    /// What to say.
    pub text: String,
    /// The exit code: 1 as nginx has it, and 2 of `expect`, whose 1 is for a line that did not get what it wants.
    pub code: u8,
}

/// Reads the command line.
pub fn read(args: impl Iterator<Item = OsString>) -> Result<Asked, Refused> {
    let args: Vec<OsString> = args.collect();
    let refused = |text: String| {
        let seen = Options::command().ignore_errors(true).try_get_matches_from(&args);
        let is_expect = seen.is_ok_and(|seen| seen.subcommand_name() == Some("expect"));
        Refused { text, code: if is_expect { 2 } else { 1 } }
    };
    match Options::try_parse_from(&args) {
        Ok(options) if options.help => Ok(Asked::Help(match &options.command {
            Some(command) => help_of(&front::words(command)).unwrap_or_default(),
            None => Options::command().render_help().to_string(),
        })),
        Ok(mut options) => match front::hand_over(&mut options) {
            Ok(()) => Ok(Asked::Run(Box::new(options))),
            Err(text) => Err(refused(format!("longshore: {text}"))),
        },
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(Asked::Help(error.render().to_string())),
        Err(error) => Err(refused(told(&error))),
    }
}

/// The help of a command, named by its words.
pub fn help_of(words: &[&str]) -> Option<String> {
    let mut root = Options::command();
    root.build();
    let mut command = &mut root;
    for word in words {
        command = command.find_subcommand_mut(word)?;
    }
    (!words.is_empty()).then(|| command.render_help().to_string())
}

/// The names of the commands.
pub fn commands() -> impl Iterator<Item = &'static str> {
    ["cgi", "cert", "explain", "compat", "serve", "expect", "help", "completions"].into_iter()
}

/// What to say of a command line that cannot be read.
fn told(error: &clap::Error) -> String {
    if let Some(text) = meant(error) {
        return format!("longshore: {text}");
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    match error.kind() {
        ErrorKind::UnknownArgument => format!("longshore: invalid option: {text}"),
        // The help itself.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => text.to_string(),
        _ => format!("longshore: {text}"),
    }
}

/// What a word that is no command may have been meant for.
fn meant(error: &clap::Error) -> Option<String> {
    let (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) =
        (error.kind(), error.get(ContextKind::InvalidSubcommand))
    else {
        return None;
    };
    let path = Path::new(word);
    let instead = match () {
        () if path.is_dir() => format!("serve {word}"),
        () if path.is_file() || path.extension().is_some_and(|end| end == "conf") => format!("-c {word}"),
        () => return None,
    };
    Some(format!("`{word}` is not a command; did you mean `longshore {instead}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        Options::command().debug_assert();
        let read = |line: &str| read(line.split(' ').map(OsString::from));
        for (line, fine) in [
            ("longshore", true),
            ("longshore -t -c a.conf", true),
            ("longshore -tqc a.conf", true),
            ("longshore -T -p . -e stderr", true),
            ("longshore -s reload", true),
            ("longshore -sreload", true),
            ("longshore -s nothing", false),
            ("longshore -x", false),
            ("longshore -c", false),
            ("longshore extra", false),
            ("longshore -c a -c b", true),
            ("longshore --format json --partial --rootless", true),
            ("longshore --format xml", false),
            ("longshore cgi run a.sh -c a.conf --url /a?b --body - -H A:b -H C:d", true),
            ("longshore cgi run", false),
            ("longshore cgi walk", false),
            ("longshore explain -c a.conf -X PUT -H A:b --body-size 5 --client ::1 --format json /a", true),
            ("longshore explain -c a.conf --short /a /b", true),
            ("longshore explain --short --as-expect /a", false),
            ("longshore explain --short --format json /a", false),
            ("longshore explain", false),
            ("longshore explain /a --client b", false),
            ("longshore explain /a --body-size -1", false),
            ("longshore cert self-signed localhost 127.0.0.1 --out conf --days 30", true),
            ("longshore cert self-signed", false),
            ("longshore cert self-signed a --days 0", false),
            ("longshore cert self-signed a --days 3651", false),
            ("longshore compat a.conf b.conf --format json -p /srv", true),
            ("longshore compat", false),
            ("longshore serve", true),
            ("longshore expect a.expect b.expect -c a.conf", true),
            ("longshore expect a.expect --live http://localhost:8080", true),
            ("longshore expect -c a.conf", false),
            ("longshore -c a.conf expect a.expect", true),
            ("longshore -c a.conf expect a.expect --live http://localhost", false),
            ("longshore -c a.conf -p . -g x; --partial --rootless --format json explain /", true),
            ("longshore -c a.conf -p . cgi run a.sh", true),
            ("longshore --format json -p . compat a.conf", true),
            ("longshore -g x; serve .", false),
            ("longshore -t serve", false),
            ("longshore -c a.conf serve", false),
            ("longshore -s stop explain /", false),
            ("longshore -V explain /", false),
            ("longshore -e log cert self-signed a", false),
            ("longshore --partial help", false),
            ("longshore --format short compat a.conf", false),
            ("longshore -g x; expect a.expect -c a.conf", false),
            ("longshore expect --pack webserv42", true),
            ("longshore expect --pack webserv42 --unpack here", true),
            ("longshore expect --unpack here", false),
            ("longshore expect --list-packs", true),
            ("longshore expect --pack webserv43", false),
            ("longshore expect --print-pack webserv42", true),
            (
                "longshore expect --pack localhost01 b.expect --live https://localhost --set a=b --set c= --pid 1 --insecure --ca f",
                true,
            ),
            ("longshore expect a.expect -c a.conf --live http://localhost", false),
            ("longshore serve html --port 8080 --public --cgi --upload --yes --print-conf", true),
            ("longshore serve --port 0", false),
            ("longshore serve a b", false),
            ("longshore --format pretty", true),
            ("longshore help", true),
            ("longshore help LS001", true),
            ("longshore help cgi run", true),
            ("longshore help 403/denied site.conf:31", true),
            ("longshore completions bash", true),
            ("longshore completions csh", false),
        ] {
            assert_eq!(matches!(read(line), Ok(Asked::Run(_))), fine, "{line}");
        }
        for (line, code) in [
            ("longshore -x", 1),
            ("longshore explain", 1),
            ("longshore -c expect --nothing", 1),
            ("longshore expect", 2),
            ("longshore -p . expect --pack webserv43", 2),
            ("longshore -t expect a.expect -c a.conf", 2),
            ("longshore expect --pack webserv43", 2),
            ("longshore expect --print-pack webserv43", 2),
            ("longshore expect --pid many --pack webserv42", 2),
            ("longshore expect --nothing", 2),
        ] {
            assert!(matches!(read(line), Err(refused) if refused.code == code), "{line}");
        }
        for line in
            ["longshore -h", "longshore -?", "longshore -h -t", "longshore cgi run --help", "longshore -h explain /"]
        {
            assert!(matches!(read(line), Ok(Asked::Help(text)) if text.contains("-c")), "{line}");
        }
    }
    #[test]
    fn help_stands_where_it_is_looked_for() {
        let asked = |line: &str| match read(line.split(' ').map(OsString::from)) {
            Ok(Asked::Help(text)) => text,
            other => panic!("{line}: {other:?}"),
        };
        assert!(asked("longshore cgi --help").contains("run "));
        assert!(asked("longshore cert -h").contains("self-signed "));
        assert_eq!(asked("longshore -h serve"), asked("longshore serve -h"));
        assert!(help_of(&["cgi", "run"]).is_some_and(|text| text.contains("longshore cgi run")));
        let all = Options::command();
        assert!(commands().eq(all.get_subcommands().map(clap::Command::get_name)));
        assert_eq!((help_of(&["none"]), help_of(&["cgi", "none"]), help_of(&[])), (None, None, None));
    }

    #[test]
    fn what_stands_in_front_reaches_its_command_or_is_named() {
        let read = |line: &str| read(line.split(' ').map(OsString::from));
        let Ok(Asked::Run(options)) = read("longshore -c a -g x; --format json explain / -c b") else { panic!() };
        let Some(Command::Explain(asked)) = options.command else { panic!() };
        assert_eq!((asked.conf, asked.globals, asked.format), (Some("b".into()), Some("x;".into()), Shape::Json));
        for (line, want) in [
            ("longshore -g x; serve .", "longshore: `serve` takes no -g; write your lines into"),
            ("longshore -t -q serve .", "longshore: `serve` takes no -t and no -q; `longshore serve --help`"),
            ("longshore -c a cgi", "Try CGI scripts"),
            ("longshore site.conf", "longshore: `site.conf` is not a command; did you mean `longshore -c site.conf`?"),
            ("longshore src", "longshore: `src` is not a command; did you mean `longshore serve src`?"),
            ("longshore serv", "a similar subcommand exists: 'serve'"),
        ] {
            let Err(refused) = read(line) else { panic!("{line}") };
            assert!(refused.text.contains(want), "{line}: {}", refused.text);
        }
    }
}
