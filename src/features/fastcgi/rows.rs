//! The directives of FastCGI, one row each, and the settings they make. Those that all gateways share are made by the relay.

use std::sync::Arc;

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::pattern::Pattern;
use crate::gateway::params::Param;
use crate::gateway::program::{self, Door};
use crate::gateway::relay;
use crate::gateway_rows;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// Where the program listens that answers here.
    pub pass: Option<Door>,
    /// What it is told.
    pub params: Arc<Vec<Param>>,
    /// What is put behind a script's name that ends in a slash.
    pub index: Bytes,
    /// Splits a path into script and what is for it.
    pub split: Option<Arc<Pattern>>,
    /// Whether the program is asked to leave connections open.
    pub keep_conn: bool,
    /// Texts in standard error that make an answer a failure.
    pub catch: Vec<Bytes>,
    /// What all gateways share.
    pub relay: Arc<relay::Conf>,
}

const fn manual(
    name: &'static str,
    syntax: &'static [&'static str],
    default: Option<&'static str>,
    arity: Arity,
    doc: &'static str,
) -> Manual {
    Manual { name, syntax, default, contexts: Contexts::SCOPES, arity, block: false, doc }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = gateway_rows!(
    "fastcgi",
    "the program",
    Conf,
    [
        Directive {
            manual: Manual {
                contexts: Contexts::LOCATION.or(Contexts::IF_LOCATION),
                ..manual(
                    "fastcgi_pass",
                    &["address"],
                    None,
                    Arity::Words(1, 1),
                    "Lets a FastCGI program answer: `host:port`, `unix:/path/of/socket`, or the name of an `upstream`. It may contain \
                     variables. What the program is told is the affair of `fastcgi_param`; the file `fastcgi_params` holds what is usual \
                     and comes along, so `include fastcgi_params;` always finds it.",
                )
            },
            repeat: Repeat::Refused,
            inherit: Inherit::IntoIf(|conf| conf.pass = None),
            set: |conf, args| {
                conf.pass = Some(Door::read(args, &[])?);
                Ok(())
            },
        },
        Directive {
            manual: manual(
                "fastcgi_param",
                &["name value [if_not_empty]"],
                None,
                Arity::Words(2, 3),
                "Something that the program is told, such as `SCRIPT_FILENAME $document_root$fastcgi_script_name`. With `if_not_empty` it is \
                 left out when the value is empty. One whose name begins with `HTTP_` takes the place of that field of the request; \
                 the field `Proxy` is never passed on. A block that has its own lines replaces all of those around it.",
            ),
            repeat: Repeat::List { key: "fastcgi_param", clear: |conf| conf.params = Arc::default() },
            inherit: Inherit::Yes,
            set: |conf, args| {
                let param = program::read_param(args)?;
                Arc::make_mut(&mut conf.params).push(param);
                Ok(())
            },
        },
        Directive {
            manual: manual(
                "fastcgi_index",
                &["name"],
                None,
                Arity::Words(1, 1),
                "What is put behind `$fastcgi_script_name` when it ends in a slash.",
            ),
            repeat: Repeat::Refused,
            inherit: Inherit::Yes,
            set: |conf, args| {
                conf.index = Bytes::copy_from_slice(&args.word(0).text);
                Ok(())
            },
        },
        Directive {
            manual: manual(
                "fastcgi_split_path_info",
                &["regex"],
                None,
                Arity::Words(1, 1),
                "An expression with two groups that splits a path: the first becomes `$fastcgi_script_name`, the second \
                 `$fastcgi_path_info`.",
            ),
            repeat: Repeat::Refused,
            inherit: Inherit::Yes,
            set: set_split,
        },
        Directive {
            manual: manual(
                "fastcgi_keep_conn",
                &["on | off"],
                Some("off"),
                Arity::Flag,
                "Whether the program is asked to leave connections open, so that an `upstream` with `keepalive` can use them again.",
            ),
            repeat: Repeat::Refused,
            inherit: Inherit::Yes,
            set: |conf, args| relay::Conf::flag(&mut conf.keep_conn, args),
        },
        Directive {
            manual: manual(
                "fastcgi_catch_stderr",
                &["text"],
                None,
                Arity::Words(1, 1),
                "An answer in front of whose head the program writes this to its standard error is no answer: 502, or the next server with \
                 `fastcgi_next_upstream invalid_header`. It may stand several times.",
            ),
            repeat: Repeat::List { key: "fastcgi_catch_stderr", clear: |conf| conf.catch.clear() },
            inherit: Inherit::Yes,
            set: |conf, args| relay::Conf::add_name(&mut conf.catch, args),
        },
        Directive {
            manual: manual(
                "fastcgi_cache",
                &["off"],
                Some("off"),
                Arity::Words(1, 1),
                "Answers are not cached; `off` says so.",
            ),
            repeat: Repeat::Refused,
            inherit: Inherit::Yes,
            set: |_, args| program::read_cache(args),
        },
    ]
);

fn set_split(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    let pattern = args.load.pattern(word, &word.text, false)?;
    if pattern.groups() != 3 {
        let text = format!("takes an expression with two groups, script and rest, not {}", pattern.groups() - 1);
        return Err(Fault::at(word, text));
    }
    conf.split = Some(Arc::new(pattern));
    Ok(())
}
