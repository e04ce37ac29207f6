//! The process: its user, its threads, its pid file, its environment. Also which of nginx's optional
//! modules are built in, since `load_module` and `-V` must give one answer.

use std::path::PathBuf;
use std::time::Duration;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::machine::Identity;
use crate::exchange::variables::Variable;

/// The modules that are built in, nginx's and others', under the names that `load_module` has for them.
pub const BUILT_IN: &[&str] = &[
    "ngx_http_access_module",
    "ngx_http_auth_basic_module",
    "ngx_http_auth_request_module",
    "ngx_http_autoindex_module",
    "ngx_http_brotli_static_module",
    "ngx_http_cgi_module",
    "ngx_http_charset_module",
    "ngx_http_core_module",
    "ngx_http_dav_module",
    "ngx_http_empty_gif_module",
    "ngx_http_fastcgi_module",
    "ngx_http_geo_module",
    "ngx_http_gunzip_module",
    "ngx_http_gzip_module",
    "ngx_http_gzip_static_module",
    "ngx_http_headers_module",
    "ngx_http_index_module",
    "ngx_http_limit_conn_module",
    "ngx_http_limit_req_module",
    "ngx_http_log_module",
    "ngx_http_map_module",
    "ngx_http_mirror_module",
    "ngx_http_proxy_module",
    "ngx_http_realip_module",
    "ngx_http_referer_module",
    "ngx_http_rewrite_module",
    "ngx_http_scgi_module",
    "ngx_http_ssl_module",
    "ngx_http_stub_status_module",
    "ngx_http_sub_module",
    "ngx_http_try_files_module",
    "ngx_http_upstream_hash_module",
    "ngx_http_upstream_ip_hash_module",
    "ngx_http_upstream_keepalive_module",
    "ngx_http_upstream_least_conn_module",
    "ngx_http_upstream_module",
    "ngx_http_upstream_random_module",
    "ngx_http_upstream_zone_module",
    "ngx_http_uwsgi_module",
    "ngx_http_zstd_static_module",
];

/// nginx's modules that are part of it unless left out, and that are not built in here.
pub const LACKING: &[&str] = &[
    "http_ssi_module",
    "http_userid_module",
    "http_split_clients_module",
    "http_grpc_module",
    "http_memcached_module",
    "http_browser_module",
];

/// The pool of threads that answer requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// How many threads.
    pub threads: usize,
    /// How many connections may wait for one.
    pub max_queue: usize,
    /// How many requests of our own there may be at once.
    pub errands: u32,
}

impl Default for Pool {
    fn default() -> Self {
        Pool { threads: 32, max_queue: 65_536, errands: 512 }
    }
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// Who root becomes; none when no line says so.
    pub user: Option<Identity>,
    /// Multiplies `worker_connections`; one process serves.
    pub workers: u64,
    /// The pool of threads.
    pub pool: Pool,
    /// Names of the pools declared so far.
    pools: Vec<Vec<u8>>,
    /// The number of descriptors to allow.
    pub nofile: Option<u64>,
    /// The pid file that a line names.
    pub pid: Option<PathBuf>,
    /// Whether to go to the background; where no line says so, the name of the program does.
    pub daemon: Option<bool>,
    /// Variables for programs that are started: with a value, or kept from our own environment.
    pub env: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// How long a graceful stop may last.
    pub shutdown_timeout: Option<Duration>,
    /// `master_process`; kept, without effect.
    pub master: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Conf {
            user: None,
            workers: 1,
            pool: Pool::default(),
            pools: Vec::new(),
            nofile: None,
            pid: None,
            daemon: None,
            env: Vec::new(),
            shutdown_timeout: None,
            master: true,
        }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "user",
            syntax: &["user [group]"],
            default: None,
            contexts: Contexts::MAIN,
            arity: Arity::Words(1, 2),
            block: false,
            doc: "The user that the worker process of a server started by root becomes, for good; the group is the user's \
                  own unless a second word names one. Without it that is `nobody`. A parent process keeps root's rights: \
                  it opens ports, logs and the conf for the worker, and touches nothing that comes from a client. With \
                  `user root` there is one process. A changed user takes effect at the next start. When the server is \
                  not started by root the line has no effect.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_user,
    },
    Directive {
        manual: Manual {
            name: "worker_processes",
            syntax: &["number", "auto"],
            default: Some("1"),
            contexts: Contexts::MAIN,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Multiplies `worker_connections`, so that a conf allows as many connections here as it does in nginx; \
                  `auto` is the number of processors. Requests are answered by one process whose threads share the work: \
                  see `thread_pool`.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_worker_processes,
    },
    Directive {
        manual: Manual {
            name: "thread_pool",
            syntax: &[
                "default threads=number [max_queue=number] [errands=number]",
                "name threads=number [max_queue=number] [errands=number]",
            ],
            default: Some("default threads=32 max_queue=65536 errands=512"),
            contexts: Contexts::MAIN,
            arity: Arity::Words(2, 4),
            block: false,
            doc: "The threads that answer requests, and how many connections may wait for one; beyond that the answer \
                  is 503 at once. Only the pool named `default` is used; others are accepted. A slow client never \
                  holds a thread, so the number follows from the disk and the scripts, not from the visitors. Ours: `errands` \
                  is how many requests of the server's own (`mirror`) there may be at once; one more is not sent, and a line at `warn` tells \
                  how many were not.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::Yes,
        set: set_thread_pool,
    },
    Directive {
        manual: Manual {
            name: "worker_rlimit_nofile",
            syntax: &["number"],
            default: None,
            contexts: Contexts::MAIN,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The limit of open descriptors (`RLIMIT_NOFILE`) for the server. Without it the soft limit is raised \
                  to the hard one.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.nofile = Some(args.number(0, 1..=u64::MAX)?);
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "pid",
            syntax: &["file"],
            default: None,
            contexts: Contexts::MAIN,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The file that holds the server's process id from the moment every port listens until it stops; `-s` \
                  reads it. Without the line, `-p`, `daemon on` and the name `nginx` write `logs/longshore.pid` (`longshore.pid` where \
                  there is no folder `logs`; `/run/nginx.pid` for `/etc/nginx/nginx.conf`), and otherwise none is written.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.pid = Some(args.path(0));
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "daemon",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::MAIN,
            arity: Arity::Flag,
            block: false,
            doc: "Whether the server goes to the background once its ports are open. Unlike nginx it stays in the \
                  foreground by default, unless the program is started under the name `nginx`. As process 1 of a container it \
                  always stays.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.daemon = Some(args.flag(0)?);
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "env",
            syntax: &["variable[=value]"],
            default: Some("TZ"),
            contexts: Contexts::MAIN,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "A variable for the environment of programs that the server starts: with `=` this value, else the \
                  value it had when the server started. Nothing else of the server's own environment reaches them, \
                  save `TZ`.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::Yes,
        set: set_env,
    },
    Directive {
        manual: Manual {
            name: "load_module",
            syntax: &["file"],
            default: None,
            contexts: Contexts::MAIN,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Accepted, so that stock confs need no change: no module can be loaded, and one that is not built in brings a \
                  warning. Its directives are errors where they stand. `-V` lists what is built in.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::Yes,
        set: load_module,
    },
    Directive {
        manual: Manual {
            name: "worker_shutdown_timeout",
            syntax: &["time"],
            default: None,
            contexts: Contexts::MAIN,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How long a graceful stop (`-s quit`) waits for requests in flight before it closes their connections, each with \
                  its line in the access log. After a reload, connections that have switched protocols (WebSockets) under the former conf end after that time too. 0, \
                  as without it, is no limit.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.shutdown_timeout = Some(args.time(0)?).filter(|time| !time.is_zero());
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "master_process",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: Contexts::MAIN,
            arity: Arity::Flag,
            block: false,
            doc: "Accepted for nginx's sake, without effect: whether there is a parent process follows from `user` and from \
                  who starts the server.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.master = args.flag(0)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set_user(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    if args.load.rootless {
        return Ok(());
    }
    if !args.load.outside.is_root() {
        args.warn(None, "`user` has no effect: the server was not started by root");
        return Ok(());
    }
    let word = args.word(0);
    let user = args.load.outside.user(&word.show()).ok_or_else(|| {
        Fault::at(word, format!("names a user that does not exist: `{}`", word.show()))
            .help("name a user of this machine, such as `nobody` or `www-data`")
    })?;
    let gid = match args.words().get(1) {
        // The group of the user's name if there is one, as nginx; else the user's own.
        None => args.load.outside.group(&user.name).unwrap_or(user.gid),
        Some(word) => args
            .load
            .outside
            .group(&word.show())
            .ok_or_else(|| Fault::at(word, format!("names a group that does not exist: `{}`", word.show())))?,
    };
    conf.user = Some(Identity { name: user.name, uid: user.uid, gid });
    Ok(())
}

fn set_worker_processes(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.workers = match args.word(0).text.as_slice() {
        b"auto" => args.load.outside.processors(),
        _ => args.number(0, 1..=100_000).map_err(|fault| fault.help("or `auto`, the number of processors"))?,
    };
    Ok(())
}

fn set_thread_pool(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let name = &args.word(0).text;
    let mut threads = None;
    let Pool { mut max_queue, mut errands, .. } = Pool::default();
    for word in &args.words()[1..] {
        let number = |text: &[u8], range: std::ops::RangeInclusive<usize>| {
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            number.filter(|number| range.contains(number)).ok_or_else(|| {
                let message = format!("takes a number from {} to {} in `{}`", range.start(), range.end(), word.show());
                Fault::at(word, message)
            })
        };
        if let Some(text) = word.text.strip_prefix(b"threads=") {
            threads = Some(number(text, 1..=10_000)?);
        } else if let Some(text) = word.text.strip_prefix(b"max_queue=") {
            max_queue = number(text, 1..=10_000_000)?;
        } else if let Some(text) = word.text.strip_prefix(b"errands=") {
            errands = number(text, 0..=1_000_000)? as u32;
        } else {
            return Err(Fault::at(
                word,
                format!("takes `threads=`, `max_queue=` and `errands=`, not `{}`", word.show()),
            ));
        }
    }
    let threads = threads.ok_or_else(|| Fault::new("needs `threads=number`"))?;
    if conf.pools.contains(name) {
        return Err(Fault::at(
            args.word(0),
            format!("has a duplicate name: the pool `{}` is there already", args.word(0).show()),
        ));
    }
    conf.pools.push(name.clone());
    if name == b"default" {
        conf.pool = Pool { threads, max_queue, errands };
    }
    Ok(())
}

fn set_env(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    let equals = word.text.iter().position(|&byte| byte == b'=');
    let (name, value) = match equals {
        Some(at) => (word.text[..at].to_vec(), Some(word.text[at + 1..].to_vec())),
        None => (word.text.clone(), None),
    };
    if name.is_empty() || word.text.contains(&0) {
        return Err(Fault::at(word, format!("names no variable in `{}`", word.show())));
    }
    // TZ is always kept, so naming it changes nothing.
    if name != b"TZ" || value.is_some() {
        conf.env.retain(|(known, _)| *known != name);
        conf.env.push((name, value));
    }
    Ok(())
}

fn load_module(_: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    let file = word.show();
    let name = file.rsplit('/').next().unwrap_or("");
    let name = name.strip_suffix(".so").unwrap_or(name);
    if !BUILT_IN.contains(&name) {
        // Debian writes such a line for each installed module, whether a site uses it or not; who does is told at its directives.
        let message = format!(
            "`load_module` names `{name}`, which is not built in: what needs that module is refused where it stands"
        );
        args.warn_left_out(word, message);
    }
    Ok(())
}
