//! What each subcommand takes, in the order of the subcommands' help. Must not know what they do with it.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use crate::cli::expect::PACKS;

/// What is expected, and of whom.
#[derive(Debug, Default, Args)]
pub struct Expect {
    /// Show this help.
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    pub help: Option<bool>,
    /// The files of expectations.
    #[arg(value_name = "file", required_unless_present_any = ["packs", "list_packs", "print_pack"])]
    pub files: Vec<PathBuf>,
    /// The conf to be asked, in this process and without a port (default: conf/nginx.conf, else conf/longshore.conf).
    #[arg(short = 'c', value_name = "conf")]
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

/// A name that a server may have, with or without a star in front.
fn host_name(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let labels = name.strip_prefix("*.").unwrap_or(&name);
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    match labels.split('.').all(is_label) {
        true => Ok(name),
        false => Err("it is a name such as files.example.com, without http:// and without a port".into()),
    }
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
    /// Answer to this name too, as `files.example.com` or `*.example.com`; may be repeated. Without it the names are those of this machine.
    #[arg(long, value_name = "name", value_parser = host_name)]
    pub host: Vec<String>,
    /// Answer to every name, whatever site leads here by it.
    #[arg(long, conflicts_with = "host")]
    pub any_host: bool,
    /// Answer as this user, for a server that root starts (default: the folder's owner, or nobody if that is root).
    #[arg(long, value_name = "user")]
    pub user: Option<String>,
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
    /// A code (`LS001`), a rule (`alias-slash`), a reason (`403/denied`), a status (`502`), a directive, a `$variable` or a command.
    #[arg(value_name = "what")]
    pub what: Vec<String>,
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
    /// Only say how it ends, and which server, location and file it is about.
    #[arg(long, conflicts_with = "format")]
    pub short: bool,
    /// Write a line for `longshore expect` instead.
    #[arg(long, conflicts_with_all = ["format", "short"])]
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
