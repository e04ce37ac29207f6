//! `valid_referers`: from which pages a request may come, by its `Referer` field. It guards against embedding elsewhere, not
//! against anybody who can write a field.

use std::sync::Arc;

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::ast::Word;
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::hostnames::{Hostnames, Refused};
use crate::conf::pattern::Pattern;
use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::exchange::variables::Variable;
use crate::http::head::Known;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    list: Arc<List>,
    /// The names of the server around, for `server_names`.
    own: Arc<Names>,
}

/// What `valid_referers` lists.
#[derive(Debug, Clone, Default)]
struct List {
    /// Whether a request without the field is fine.
    none: bool,
    /// Whether a field without a scheme is fine, as firewalls leave it.
    blocked: bool,
    server_names: bool,
    /// Hosts, each with what its path must begin with.
    hosts: Hostnames<Bytes>,
    /// Asked for all that follows the scheme.
    regexes: Vec<Pattern>,
}

/// The names of a server.
#[derive(Debug, Clone, Default)]
pub struct Names {
    hosts: Hostnames<()>,
    regexes: Vec<Pattern>,
}

impl Names {
    /// Adds a name as `server_name` takes it; what it refused there is not added here.
    pub fn add(&mut self, name: &[u8]) {
        // A name that stands there twice is one name.
        let _ = self.hosts.add(name, ());
    }

    /// Adds a regex.
    pub fn add_regex(&mut self, pattern: Pattern) {
        self.regexes.push(pattern);
    }
}

impl Conf {
    /// The settings inside a server with these names.
    pub fn take_names(&mut self, names: Names) {
        self.own = Arc::new(names);
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "valid_referers",
        syntax: &["none | blocked | server_names | host[/path] | ~regex ..."],
        default: None,
        contexts: Contexts::SERVER.or(Contexts::LOCATION),
        arity: Arity::AtLeast(1),
        block: false,
        doc: "Which values of the `Referer` field leave `$invalid_referer` empty: `none` is a request without it, `blocked` a value without \
              `http://` or `https://`, `server_names` the names of this server. A host may begin or end with `*` and be followed by the \
              beginning of a path; a regex, asked without regard to case, sees what follows the scheme. Use it with \
              `if ($invalid_referer) { return 403; }`.",
    },
    repeat: Repeat::List { key: "list", clear: |conf| conf.list = Arc::default() },
    inherit: Inherit::Yes,
    set,
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[Variable {
    name: "invalid_referer",
    family: false,
    doc: "Nothing if the request's `Referer` is one of `valid_referers`, or if there is no such list here; else `1`.",
    get: |x, conf, _| Some(if conf.is_valid(x) { b"" } else { &b"1"[..] }.into()),
}];

fn set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let list = Arc::make_mut(&mut conf.list);
    for word in args.words() {
        match word.text.as_slice() {
            b"none" => list.none = true,
            b"blocked" => list.blocked = true,
            b"server_names" => list.server_names = true,
            [b'~', pattern @ ..] => {
                let pattern = args.load.pattern(word, pattern, true)?;
                list.regexes.push(pattern);
            }
            text => {
                if text.windows(3).any(|part| part == b"://") {
                    args.warn_at(
                        word,
                        format!("`valid_referers` takes a host without a scheme: `{}` fits no page", word.show()),
                    );
                }
                add(list, word, text)?;
            }
        }
    }
    Ok(())
}

fn add(list: &mut List, word: &Word, text: &[u8]) -> Result<(), Fault> {
    let shown = word.show();
    let slash = text.iter().position(|&b| b == b'/').unwrap_or(text.len());
    let (host, path) = text.split_at(slash);
    let path = Bytes::copy_from_slice(path);
    list.hosts.add(&host.to_ascii_lowercase(), path).map_err(|why| match why {
        Refused::Invalid => Fault::at(word, format!("has an invalid host name or wildcard `{shown}`")),
        Refused::Twice => Fault::at(word, format!("names the host of `{shown}` twice")),
    })
}

impl Conf {
    fn is_valid(&self, x: &Exchange) -> bool {
        let list = &self.list;
        let has_names = list.server_names && !(self.own.hosts.is_empty() && self.own.regexes.is_empty());
        if list.hosts.is_empty() && list.regexes.is_empty() && !has_names && !list.none && !list.blocked {
            return true;
        }
        let Some(referer) = x.head.known(Known::Referer) else { return list.none };
        let Some(rest) = behind_scheme(referer) else { return list.blocked };
        let end = rest.iter().position(|b| matches!(b, b'/' | b':')).unwrap_or(rest.len());
        if end > 256 {
            return false;
        }
        let host = rest[..end].to_ascii_lowercase();
        if list.server_names && self.own.hosts.find(&host).is_some() {
            return true;
        }
        if let Some(path) = list.hosts.find(&host) {
            let from = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
            return rest[from..].starts_with(path);
        }
        let matches = |pattern: &Pattern, text: &[u8]| {
            pattern.is_match(text).unwrap_or_else(|why| {
                x.spoil(HttpError::regex(why, "a regex of valid_referers", "this Referer"));
                false
            })
        };
        (list.server_names && self.own.regexes.iter().any(|pattern| matches(pattern, &host)))
            || list.regexes.iter().any(|pattern| matches(pattern, rest))
    }
}

/// What follows `http://` or `https://`; as in nginx a whole value is at least as long as `http://i.ru`.
fn behind_scheme(referer: &[u8]) -> Option<&[u8]> {
    let schemes = ["http://", "https://"].into_iter().filter(|_| referer.len() >= "http://i.ru".len());
    schemes
        .filter_map(|scheme| {
            referer.split_at_checked(scheme.len()).filter(|(head, _)| head.eq_ignore_ascii_case(scheme.as_bytes()))
        })
        .map(|(_, rest)| rest)
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_scheme() {
        for (referer, want) in [
            ("http://a.example/x", Some("a.example/x")),
            ("HTTPS://a.example", Some("a.example")),
            ("http://i.ru", Some("i.ru")),
            ("http://i.r", None),
            ("ftp://a.example/x", None),
            ("a.example/x/y/z", None),
            ("", None),
        ] {
            assert_eq!(behind_scheme(referer.as_bytes()), want.map(str::as_bytes), "{referer}");
        }
    }
}
