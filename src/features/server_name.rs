//! `server_name`: which host names a server answers to.

use crate::conf::args::{Args, Fault};
use crate::conf::ast::Word;
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::pattern::Pattern;
use crate::conf::value::VarId;
use crate::exchange::Exchange;
use crate::exchange::variables::{Value, Variable};

/// One name of a server.
#[derive(Debug, Clone)]
pub enum Name {
    /// `www.example.com`, in lower case; empty for requests without a host.
    Exact(Vec<u8>),
    /// `*.example.com`, kept as `.example.com`.
    Leading(Vec<u8>),
    /// `www.example.*`, kept as `www.example.`.
    Trailing(Vec<u8>),
    /// `~regex`.
    Regex {
        /// The regex.
        pattern: Pattern,
        /// Its named groups and the variables they set.
        names: Vec<(VarId, usize)>,
    },
}

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// The names, each with the word it came from.
    pub names: Vec<(Name, Word)>,
    /// The first name as a value, in `$server_name`, redirects and logs: without the dot that `.example.com` begins with.
    pub first: Vec<u8>,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "server_name",
        syntax: &["name ..."],
        default: Some("\"\""),
        contexts: Contexts::SERVER,
        arity: Arity::AtLeast(1),
        block: false,
        doc: "The host names this server answers to. A name may begin with `*.` or end with `.*`; `.example.com` stands \
              for `example.com` and `*.example.com`; `~` begins a regex whose named groups become variables; `\"\"` \
              takes requests without a host; `$hostname` is this machine's name. The order of search: exact name, \
              longest `*.` name, longest `.*` name, first regex, then the address's default server.",
    },
    repeat: Repeat::Allowed,
    inherit: Inherit::No(|conf| *conf = Conf::default()),
    set,
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[Variable {
    name: "server_name",
    family: false,
    doc: "The first name of the server that took the request; of `.example.com` it is `example.com`.",
    get: server_name,
}];

fn set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    for (i, word) in args.words().iter().enumerate() {
        let mut text = word.text.clone();
        if text.first() != Some(&b'~') {
            text.make_ascii_lowercase();
        }
        if text == b"$hostname" {
            text = args.load.hostname.to_ascii_lowercase().into_bytes();
        } else if text.starts_with(b"/") {
            args.warn(Some(i), format!("server name `{}` has suspicious symbols", word.show()));
        }
        for name in read(word, &text, args)? {
            conf.names.push((name, word.clone()));
        }
        if conf.names.len() == 1 || conf.first.is_empty() && i == 0 {
            conf.first = text.strip_prefix(b".").unwrap_or(&text).to_vec();
        }
    }
    Ok(())
}

fn read(word: &Word, text: &[u8], args: &mut Args<'_>) -> Result<Vec<Name>, Fault> {
    let fault = |message: String| Fault::at(word, message);
    if let Some(regex) = text.strip_prefix(b"~") {
        if regex.is_empty() {
            return Err(fault("has an empty regex after `~`".into()));
        }
        let (pattern, names) = args.load.capturing(word, regex, true)?;
        return Ok(vec![Name::Regex { pattern, names }]);
    }
    let show = || String::from_utf8_lossy(text).into_owned();
    if let Some(rest) = text.strip_prefix(b".") {
        valid(rest, &show()).map_err(fault)?;
        return Ok(vec![Name::Exact(rest.to_vec()), Name::Leading(text.to_vec())]);
    }
    if let Some(rest) = text.strip_prefix(b"*") {
        valid(rest.strip_prefix(b".").ok_or_else(|| fault(format!("has a bad wildcard in `{}`", show())))?, &show())
            .map_err(fault)?;
        return Ok(vec![Name::Leading(rest.to_vec())]);
    }
    if let Some(head) = text.strip_suffix(b"*") {
        valid(head.strip_suffix(b".").ok_or_else(|| fault(format!("has a bad wildcard in `{}`", show())))?, &show())
            .map_err(fault)?;
        return Ok(vec![Name::Trailing(head.to_vec())]);
    }
    if !text.is_empty() {
        valid(text, &show()).map_err(fault)?;
    }
    Ok(vec![Name::Exact(text.strip_suffix(b".").unwrap_or(text).to_vec())])
}

fn valid(part: &[u8], whole: &str) -> Result<(), String> {
    match part.is_empty() || part.contains(&b'*') || part.windows(2).any(|pair| pair == b"..") {
        true => Err(format!("has an invalid name or wildcard `{whole}`")),
        false => Ok(()),
    }
}

fn server_name<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    Some(x.server_name.as_ref().into())
}
