//! The settings of `proxy_pass` and its family, their rows and variables.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::cookies::{Domain, Flags, Path};
use super::pass::{Pass, Url};
use super::redirect::{Redirect, Redirects};
use crate::conf::args::{Args, Fault};
use crate::conf::directive::Arity::{AtLeast, Words};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::variables::{Value, Variable};
use crate::gateway::secure::{self, Lack};
use crate::gateway::{program, relay};
use crate::secure_gateway_rows;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// What all gateways have.
    pub relay: Arc<relay::Conf>,
    /// How https servers are spoken to.
    pub secure: Arc<secure::Conf>,
    /// Where requests go; none if they are answered here.
    pub pass: Option<Arc<Pass>>,
    /// Whether HTTP/1.1 is spoken.
    pub http11: bool,
    /// The method, where it is not the client's.
    pub method: Option<Text>,
    /// The body, where it is not the client's.
    pub body: Option<Text>,
    /// Fields of requests; an empty value removes the field.
    pub fields: Arc<Vec<(Bytes, Text)>>,
    /// How Location and Refresh are rewritten.
    pub redirects: Redirects,
    /// How domains in Set-Cookie are.
    pub domains: Arc<Vec<Domain>>,
    /// How paths in it are.
    pub paths: Arc<Vec<Path>>,
    /// Which flags it gets.
    pub flags: Arc<Vec<Flags>>,
}

impl Conf {
    /// The host of `proxy_pass` as written, and the index of its upstream, unless variables make them.
    pub fn fixed_host(&self) -> Option<(&[u8], usize)> {
        match &self.pass.as_ref()?.url {
            Url::Fixed(parts, index) => Some((&parts.authority, *index)),
            Url::Computed(_) => None,
        }
    }

    /// For requests of our own whose response is judged as it comes: nothing in it is obeyed, and no other server is asked.
    pub fn take_as_it_is(&mut self) {
        Arc::make_mut(&mut self.relay).take_as_it_is();
    }

    /// The directive of `proxy_ssl_*` that does not go together with the others, and why, where an https server may be asked.
    pub fn lack(&self) -> Option<Lack> {
        match &self.pass.as_ref()?.url {
            Url::Fixed(parts, _) if !parts.secure => None,
            _ => self.secure.lack("proxy"),
        }
    }
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

const fn row(manual: Manual, set: fn(&mut Conf, &mut Args<'_>) -> Result<(), Fault>) -> Directive<Conf> {
    Directive { manual, repeat: Repeat::Refused, inherit: Inherit::Yes, set }
}

const fn list(
    manual: Manual,
    key: &'static str,
    clear: fn(&mut Conf),
    set: fn(&mut Conf, &mut Args<'_>) -> Result<(), Fault>,
) -> Directive<Conf> {
    Directive { manual, repeat: Repeat::List { key, clear }, inherit: Inherit::Yes, set }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = secure_gateway_rows!(
    "proxy",
    "the other server",
    "an https server",
    Some("$proxy_host"),
    Conf,
    [
        Directive {
            manual: Manual {
                contexts: Contexts::LOCATION.or(Contexts::IF_LOCATION).or(Contexts::LIMIT_EXCEPT),
                ..manual(
                    "proxy_pass",
                    &["URL"],
                    None,
                    Words(1, 1),
                    "Passes requests to another HTTP server: `http://` or `https://`, then a host with or without a port, the name of an `upstream`, or \
                 `unix:/path`. With a path in the URL, it takes the place of the location's prefix in the request's decoded path; without one the \
                 path is passed as the client sent it. The URL may contain variables; its path is then sent as it is. A location whose \
                 prefix ends with a slash answers requests for the same path without it with a redirect.",
                )
            },
            repeat: Repeat::Refused,
            inherit: Inherit::IntoIf(|conf| conf.pass = None),
            set: |conf, args| {
                conf.pass = Some(Arc::new(Pass::read(args)?));
                Ok(())
            },
        },
        row(
            manual(
                "proxy_http_version",
                &["1.0 | 1.1"],
                Some("1.0"),
                Words(1, 1),
                "The version of HTTP that is spoken. Connections are kept, and protocols are switched (WebSocket), with 1.1 alone.",
            ),
            |conf, args| {
                conf.http11 = args.one_of(0, &[("1.0", false), ("1.1", true)])?;
                Ok(())
            },
        ),
        row(
            manual(
                "proxy_method",
                &["method"],
                None,
                Words(1, 1),
                "The method of requests instead of the client's. It may contain variables; a line break of the client's in them is left out."
            ),
            |conf, args| {
                conf.method = Some(args.field_text(0)?);
                Ok(())
            },
        ),
        row(
            manual(
                "proxy_set_body",
                &["value"],
                None,
                Words(1, 1),
                "The body of requests instead of the client's. It may contain variables."
            ),
            |conf, args| {
                conf.body = Some(args.text(0)?);
                Ok(())
            },
        ),
        list(
            manual(
                "proxy_set_header",
                &["field value"],
                None,
                Words(2, 2),
                "A field of requests, in the place of the client's field of that name. The value may contain variables; a field whose value is empty \
             is not sent. Without such lines `Host` is `$proxy_host` and `Connection` is `close`. A block that has its own lines replaces \
             those around it.",
            ),
            "fields",
            |conf| conf.fields = Arc::default(),
            |conf, args| {
                let name = Bytes::copy_from_slice(&args.word(0).text);
                if name.is_empty() || !name.iter().all(|&b| b > b' ' && b != b':' && b != 0x7f) {
                    return Err(Fault::at(args.word(0), "takes the name of a field, without spaces and colons"));
                }
                let value = args.field_text(1)?;
                Arc::make_mut(&mut conf.fields).push((name, value));
                Ok(())
            },
        ),
        list(
            manual(
                "proxy_redirect",
                &["default", "off", "redirect replacement"],
                Some("default"),
                Words(1, 2),
                "How `Location` and `Refresh` of answers are rewritten: what begins with `redirect` begins with `replacement` instead; both may \
             contain variables. `~` or `~*` before `redirect` makes it a regex. `default` replaces the URL of `proxy_pass` by the location's prefix, \
             and `off` rewrites nothing. The first of several lines that matches counts.",
            ),
            "redirects",
            |conf| conf.redirects = Redirects::Lines(Arc::default()),
            |conf, args| {
                if args.word(0).text == b"off" && args.len() == 1 {
                    conf.redirects = Redirects::Lines(Arc::default());
                    return Ok(());
                }
                let line = Redirect::read(args)?;
                conf.redirects.add(line);
                Ok(())
            },
        ),
        list(
            manual(
                "proxy_cookie_domain",
                &["off", "domain replacement"],
                Some("off"),
                Words(1, 2),
                "How the `domain` of cookies in answers is rewritten. A dot at the beginning of both does not matter; `~` makes the domain a regex. \
             Both may contain variables.",
            ),
            "domains",
            |conf| conf.domains = Arc::default(),
            |conf, args| {
                if let Some(line) = Domain::read(args)? {
                    Arc::make_mut(&mut conf.domains).push(line);
                }
                Ok(())
            },
        ),
        list(
            manual(
                "proxy_cookie_path",
                &["off", "path replacement"],
                Some("off"),
                Words(1, 2),
                "How the `path` of cookies in answers is rewritten: what begins with the first begins with the second instead. `~` or `~*` makes the path \
             a regex. Both may contain variables.",
            ),
            "paths",
            |conf| conf.paths = Arc::default(),
            |conf, args| {
                if let Some(line) = Path::read(args)? {
                    Arc::make_mut(&mut conf.paths).push(line);
                }
                Ok(())
            },
        ),
        list(
            manual(
                "proxy_cookie_flags",
                &["off", "cookie flag ..."],
                Some("off"),
                AtLeast(1),
                "Flags that cookies in answers get or lose: `secure`, `httponly`, `samesite=strict`, `samesite=lax`, `samesite=none`, `nosecure`, \
             `nohttponly`, `nosamesite`. The cookie is a name, or a regex behind `~`; the first line that matches counts.",
            ),
            "flags",
            |conf| conf.flags = Arc::default(),
            |conf, args| {
                if let Some(line) = Flags::read(args)? {
                    Arc::make_mut(&mut conf.flags).push(line);
                }
                Ok(())
            },
        ),
        row(
            manual(
                "proxy_cache",
                &["off"],
                Some("off"),
                Words(1, 1),
                "Answers are not cached, so `off` is all it takes.",
            ),
            |_, args| program::read_cache(args),
        ),
    ]
);

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[
    Variable {
        name: "proxy_host",
        family: false,
        doc: "Host and port of `proxy_pass` as its URL has them, without the port that the scheme implies.",
        get: |x, conf, _| -> Value<'_> { Some(Cow::Owned(conf.pass.as_ref()?.parts(x)?.host().to_vec())) },
    },
    Variable {
        name: "proxy_port",
        family: false,
        doc: "The port of `proxy_pass`, or the one that its scheme implies.",
        get: |x, conf, _| -> Value<'_> { Some(Cow::Owned(conf.pass.as_ref()?.parts(x)?.port().into_bytes())) },
    },
    Variable {
        name: "proxy_add_x_forwarded_for",
        family: false,
        doc: "The client's `X-Forwarded-For` field with its address appended behind a comma, or the address alone.",
        get: |x, _, _| -> Value<'_> {
            let mut out = Vec::new();
            for (_, value) in x.head.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"x-forwarded-for")) {
                out.extend_from_slice(value);
                out.extend_from_slice(b", ");
            }
            match x.client.peer {
                Some(peer) => out.extend_from_slice(peer.ip().to_string().as_bytes()),
                None => out.extend_from_slice(b"unix:"),
            }
            Some(Cow::Owned(out))
        },
    },
];
