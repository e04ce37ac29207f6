//! `set_cookie` and `cookie_flags`: cookies that the conf sets, and flags for those that programs set. Knows nothing of
//! sessions, whose cookie looks after itself.

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::cookie;
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::variables::Variable;
use crate::http::response::Response;
use crate::http::set_cookie::{self, Attributes, LONGEST};

/// One `set_cookie`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    name: Bytes,
    value: Text,
    attributes: Attributes,
    condition: Option<Text>,
}

/// One `cookie_flags`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    /// None for `*`.
    name: Option<Bytes>,
    attributes: Attributes,
}

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    set: Vec<Set>,
    flags: Vec<Flags>,
}

const PLACES: Contexts = Contexts::SCOPES.or(Contexts::IF_LOCATION);

impl Conf {
    /// Whether any cookie of a response is set or changed.
    pub fn is_used(&self) -> bool {
        !self.set.is_empty() || !self.flags.is_empty()
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "set_cookie",
            syntax: &["name value [attribute ...] [if=condition]"],
            default: None,
            contexts: PLACES,
            arity: Arity::AtLeast(2),
            block: false,
            doc: "Sets a cookie with every answer. Attributes are `Path=`, `Domain=`, `Max-Age=` (a time such as `30d`; `0` takes the cookie \
                  away), `Secure` (`Secure=auto`: if the request came over TLS), `HttpOnly`, `SameSite=Strict|Lax|None` and `Partitioned`; without \
                  `Path` it is `/`. The value may contain variables, and what may not stand in a cookie is percent-encoded. With `if=` it is set \
                  when the condition is neither empty nor `0`. Combinations that browsers throw away are errors of the conf. \
                  A block with a `set_cookie` of its own gets none of those further out.",
        },
        repeat: Repeat::List { key: "set_cookie", clear: |conf| conf.set.clear() },
        inherit: Inherit::Yes,
        set,
    },
    Directive {
        manual: Manual {
            name: "cookie_flags",
            syntax: &["name | * attribute ..."],
            default: None,
            contexts: PLACES,
            arity: Arity::AtLeast(2),
            block: false,
            doc: "Gives cookies that scripts and upstreams set the flags `Secure` (`Secure=auto`: if the request came over TLS), `HttpOnly`, \
                  `SameSite=Strict|Lax|None` and `Partitioned`, in the place of their own. The first line that names a cookie holds for it, \
                  then the one with `*`. A block with a `cookie_flags` of its own gets none of those further out.",
        },
        repeat: Repeat::List { key: "cookie_flags", clear: |conf| conf.flags.clear() },
        inherit: Inherit::Yes,
        set: add_flags,
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let name = cookie::name(args.word(0))?;
    let value = args.field_text(1)?;
    let mut attributes = Attributes::default();
    let mut condition = None;
    for i in 2..args.len() {
        let word = args.word(i);
        match word.text.strip_prefix(b"if=") {
            Some(text) => condition = Some(args.text_of(i, text)?),
            None if cookie::attribute(&mut attributes, word)? => {}
            None => {
                return Err(Fault::at(word, format!("has an unknown attribute `{}`", word.show()))
                    .help("attributes are `Path=`, `Domain=`, `Max-Age=`, `Secure`, `HttpOnly`, `SameSite=` and `Partitioned`"));
            }
        }
    }
    attributes.path.get_or_insert(Bytes::from_static(b"/"));
    if let Some(value) = value.constant() {
        if !value.iter().all(|&b| set_cookie::is_value_byte(b)) {
            let word = args.word(1);
            return Err(Fault::at(word, format!("has a value that no cookie can have: `{}`", word.show()))
                .help("write spaces, quotes, commas, semicolons and backslashes percent-encoded, such as `%20`"));
        }
        if name.len() + value.len() > LONGEST {
            return Err(Fault::at(
                args.word(1),
                "has a value that is too long: browsers keep 4096 bytes of name and value",
            ));
        }
    }
    cookie::check(&name, &attributes)?;
    conf.set.push(Set { name, value, attributes, condition });
    Ok(())
}

fn add_flags(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let name = match args.word(0).text.as_slice() {
        b"*" => None,
        _ => Some(cookie::name(args.word(0))?),
    };
    let mut attributes = Attributes::default();
    for word in &args.words()[1..] {
        let known = cookie::attribute(&mut attributes, word)?;
        let place = attributes.path.is_some() || attributes.domain.is_some() || attributes.max_age.is_some();
        if !known || place {
            return Err(Fault::at(word, format!("takes flags, not `{}`", word.show()))
                .help("flags are `Secure`, `HttpOnly`, `SameSite=` and `Partitioned`"));
        }
    }
    // What names and paths demand the program that sets the cookie has to meet.
    cookie::check(b"", &attributes)?;
    if conf.flags.iter().any(|flags| flags.name == name) {
        return Err(Fault::at(args.word(0), "is duplicate: another line of this block names the same cookie"));
    }
    conf.flags.push(Flags { name, attributes });
    Ok(())
}

/// Flags the cookies of an answer and adds those of the conf.
pub fn filter(x: &Exchange, conf: &Conf, response: &mut Response) {
    let https = x.client.security.session().is_some();
    if !conf.flags.is_empty() {
        for (_, value) in response.fields.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case(b"set-cookie")) {
            let name = set_cookie::name_of(value);
            let named = |flags: &&Flags| flags.name.as_deref() == Some(name);
            let any = || conf.flags.iter().find(|flags| flags.name.is_none());
            if let Some(flags) = conf.flags.iter().find(named).or_else(any) {
                *value = set_cookie::reflag(value, &flags.attributes, https).into();
            }
        }
    }
    for set in &conf.set {
        let is_on = |text: &Text| !matches!(x.eval(text).as_ref(), b"" | b"0");
        if set.condition.as_ref().is_none_or(is_on) {
            let value = x.eval(&set.value);
            if set.name.len() + value.len() <= LONGEST {
                response.push("Set-Cookie", set_cookie::write(&set.name, &value, &set.attributes, https));
            }
        }
    }
}
