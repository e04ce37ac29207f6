//! The options themselves: nginx's letters and our words.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};

use super::expect::PACKS;
use crate::conf::render::Format;

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
    /// The conf file (default: conf/nginx.conf, else conf/longshore.conf).
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
    /// What concerns scripts.
    #[command(subcommand, disable_help_subcommand = true)]
    Cgi(Cgi),
    /// What concerns certificates.
    #[command(subcommand, disable_help_subcommand = true)]
    Cert(Cert),
    /// Say what would become of a request, and which line of the conf decides each step. Nothing is done for it.
    Explain(Explain),
    /// What becomes of each directive of a conf that was written for nginx.
    Compat(Compat),
    /// Serve a folder at once, with listings.
    Serve(ServeFolder),
    /// Ask what files of expectations ask, and report in TAP whether the answers are those.
    Expect(Expect),
    /// Explain a message's code, a reason, a directive or a variable; without one, list the codes and reasons.
    Help(About),
    /// Print completions for a shell, to be put where it looks for them.
    Completions(Completions),
}

/// What is expected, and of whom.
#[derive(Debug, Default, Args)]
pub struct Expect {
    /// Show this help.
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    pub help: Option<bool>,
    /// The files of expectations.
    #[arg(value_name = "file", required_unless_present_any = ["packs", "list_packs", "print_pack"])]
    pub files: Vec<PathBuf>,
    /// The conf to be asked, in this process and without a port.
    #[arg(short = 'c', value_name = "conf", required_unless_present_any = ["live", "packs", "list_packs", "print_pack"])]
    pub conf: Option<PathBuf>,
    /// The folder that relative paths of the conf start from (default: the current folder).
    #[arg(short = 'p', value_name = "prefix")]
    pub prefix: Option<PathBuf>,
    /// A server that runs already, of any make.
    #[arg(long, value_name = "url", conflicts_with = "conf")]
    pub live: Option<String>,
    /// Expectations that come with Longshore; `--list-packs` names them. Without -c and --live, of the conf that comes with them.
    #[arg(long = "pack", value_name = "name", value_parser = PACKS)]
    pub packs: Vec<String>,
    /// Say which packs there are.
    #[arg(long)]
    pub list_packs: bool,
    /// Print the expectations of a pack.
    #[arg(long, value_name = "name", value_parser = PACKS)]
    pub print_pack: Option<String>,
    /// Write the pack's expectations, its conf for Longshore and its site into a folder.
    #[arg(long, value_name = "folder", requires = "packs")]
    pub unpack: Option<PathBuf>,
    /// What a variable of the files is, `NAME=VALUE`, in place of what they `set`; may be repeated. Lines with an empty one are left out.
    #[arg(long, value_name = "name=value")]
    pub set: Vec<String>,
    /// The process of the server, to see whether children, descriptors or memory stay behind.
    #[arg(long, value_name = "pid")]
    pub pid: Option<u32>,
    /// Take any certificate of a server that speaks TLS.
    #[arg(long)]
    pub insecure: bool,
    /// The authorities that are trusted (default: the system's).
    #[arg(long, value_name = "file")]
    pub ca: Option<PathBuf>,
    /// Ask a conf although parts of it are not built yet.
    #[arg(long)]
    pub partial: bool,
}

/// Which folder, and how.
#[derive(Debug, Default, Args)]
pub struct ServeFolder {
    /// Show this help.
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    pub help: Option<bool>,
    /// The folder (default: the current one).
    #[arg(value_name = "folder")]
    pub folder: Option<PathBuf>,
    /// The port to listen on.
    #[arg(long, value_name = "port", default_value_t = 8000, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Let other machines in; without it only this one gets in.
    #[arg(long)]
    pub public: bool,
    /// Run scripts: executable files below /cgi-bin/, and every *.cgi.
    #[arg(long)]
    pub cgi: bool,
    /// Take files from browsers and `curl -F` at /uploads/, into the folder `uploads` below the one that is served.
    #[arg(long)]
    pub upload: bool,
    /// Serve even a folder that holds somebody's home.
    #[arg(long)]
    pub yes: bool,
    /// Write the conf that this stands for to standard output, and serve nothing.
    #[arg(long)]
    pub print_conf: bool,
}

/// Which confs are looked at.
#[derive(Debug, Args)]
pub struct Compat {
    /// Show this help.
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    pub help: Option<bool>,
    /// The conf files; each is looked at with what it includes.
    #[arg(value_name = "file", required = true)]
    pub files: Vec<PathBuf>,
    /// The folder that relative paths of the conf start from (default: the current folder).
    #[arg(short = 'p', value_name = "prefix")]
    pub prefix: Option<PathBuf>,
    /// How it is shown.
    #[arg(long, value_name = "form", default_value = "table")]
    pub format: TableForm,
}

/// How a table is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum TableForm {
    /// In columns.
    #[default]
    Table,
    /// One JSON object for each file, on a line of its own.
    Json,
}

/// What is to be explained.
#[derive(Debug, Args)]
pub struct About {
    /// Show this help.
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    pub help: Option<bool>,
    /// A code (`LS001`), a rule (`alias-slash`), a reason (`403/denied`), a directive or a `$variable`.
    #[arg(value_name = "what")]
    pub what: Option<String>,
}

/// For which shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// Show this help.
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    pub help: Option<bool>,
    /// The shell.
    #[arg(value_name = "shell")]
    pub shell: clap_complete::Shell,
}

/// What can be done with certificates.
#[derive(Debug, Subcommand)]
pub enum Cert {
    /// Make a certificate that nobody else vouches for, with its key, for a laptop or a test.
    SelfSigned(SelfSigned),
}

/// Whom a certificate is for.
#[derive(Debug, Args)]
pub struct SelfSigned {
    /// Show this help.
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    pub help: Option<bool>,
    /// The names and addresses it is for: `localhost`, `*.example.com`, `127.0.0.1`.
    #[arg(value_name = "name", required = true)]
    pub names: Vec<String>,
    /// The folder for both files (default: the current folder).
    #[arg(long, value_name = "folder")]
    pub out: Option<PathBuf>,
    /// For how many days it is good.
    #[arg(long, value_name = "days", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
}

/// A request that is explained.
#[derive(Debug, Args)]
pub struct Explain {
    /// Show this help.
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    pub help: Option<bool>,
    /// The URL: `http://HOST:PORT/PATH`, or a path for the conf's first server. Several are explained one after the other.
    #[arg(value_name = "url", required = true)]
    pub urls: Vec<String>,
    /// The conf file (default: conf/nginx.conf, else conf/longshore.conf).
    #[arg(short = 'c', value_name = "file")]
    pub conf: Option<PathBuf>,
    /// The folder that relative paths start from (default: the current folder).
    #[arg(short = 'p', value_name = "prefix")]
    pub prefix: Option<PathBuf>,
    /// Directives to be read before the conf file.
    #[arg(short = 'g', value_name = "directives")]
    pub globals: Option<String>,
    /// The method (default: POST with a body, else GET).
    #[arg(short = 'X', value_name = "method")]
    pub method: Option<String>,
    /// A field, `Name: value`; may be repeated.
    #[arg(short = 'H', value_name = "field")]
    pub fields: Vec<String>,
    /// How many bytes the body would have.
    #[arg(long, value_name = "bytes")]
    pub body_size: Option<u64>,
    /// The address that the client would have (default: this machine's own).
    #[arg(long, value_name = "address")]
    pub client: Option<IpAddr>,
    /// A whole head, byte by byte as a client sends it, in place of the one made from URL, method and fields.
    #[arg(long, value_name = "file")]
    pub head: Option<PathBuf>,
    /// For people or for programs.
    #[arg(long, value_name = "form", default_value = "text")]
    pub format: Shape,
    /// Write a line for `longshore expect` instead.
    #[arg(long, conflicts_with = "format")]
    pub as_expect: bool,
    /// Explain although parts of the conf are not built yet.
    #[arg(long)]
    pub partial: bool,
    /// Take the conf as `--rootless` does.
    #[arg(long)]
    pub rootless: bool,
}

/// What `explain --format` takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// What can be done with scripts.
#[derive(Debug, Subcommand)]
pub enum Cgi {
    /// Run a script without a server, as a request would, and show all about it.
    Run(RunScript),
}

/// A script and the request for it.
#[derive(Debug, Args)]
pub struct RunScript {
    /// Show this help.
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    pub help: Option<bool>,
    /// The script's file.
    #[arg(value_name = "script")]
    pub script: PathBuf,
    /// The conf that says how it is run (default: every file of its folder is a script).
    #[arg(short = 'c', value_name = "file")]
    pub conf: Option<PathBuf>,
    /// The folder that relative paths of the conf start from (default: the current folder).
    #[arg(short = 'p', value_name = "prefix")]
    pub prefix: Option<PathBuf>,
    /// The URL to ask for; `?query` stands behind the script's own (default: the one that leads to the script).
    #[arg(long, value_name = "url")]
    pub url: Option<String>,
    /// The file to send as the request's body, `-` for standard input.
    #[arg(long, value_name = "file")]
    pub body: Option<PathBuf>,
    /// The method (default: POST with a body, else GET).
    #[arg(short = 'X', value_name = "method")]
    pub method: Option<String>,
    /// A further field, `Name: value`; may be repeated.
    #[arg(short = 'H', value_name = "field")]
    pub fields: Vec<String>,
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
    match Options::try_parse_from(&args) {
        Ok(options) if options.help => Ok(Asked::Help(Options::command().render_help().to_string())),
        Ok(options) => Ok(Asked::Run(Box::new(options))),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(Asked::Help(error.render().to_string())),
        Err(error) => {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let word = if error.kind() == ErrorKind::UnknownArgument { "invalid option: " } else { "" };
            let seen = Options::command().ignore_errors(true).try_get_matches_from(&args);
            let is_expect = seen.is_ok_and(|seen| seen.subcommand_name() == Some("expect"));
            Err(Refused { text: format!("longshore: {word}{text}"), code: if is_expect { 2 } else { 1 } })
        }
    }
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
            ("longshore expect a.expect", false),
            ("longshore expect -c a.conf", false),
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
            ("longshore help a b", false),
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
            ("longshore expect --pack webserv43", 2),
            ("longshore expect --print-pack webserv43", 2),
            ("longshore expect --pid many --pack webserv42", 2),
            ("longshore expect --nothing", 2),
        ] {
            assert!(matches!(read(line), Err(refused) if refused.code == code), "{line}");
        }
        for line in ["longshore -h", "longshore -?", "longshore -h -t", "longshore cgi run --help"] {
            assert!(matches!(read(line), Ok(Asked::Help(text)) if text.contains("-c")), "{line}");
        }
    }
}
