//! The directives of sessions and their variables: one row each.

use std::borrow::Cow;

use super::conf::Conf;
use super::{setters, zone};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::session::{Session, State};
use crate::exchange::variables::{Value, Variable};

/// `session_set`, `session_incr` and `session_unset` are one list, in the order they stand.
const ACTIONS: &str = "actions";
const PLACES: Contexts = Contexts::SERVER.or(Contexts::LOCATION);

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "session_zone",
            syntax: &[
                "name:size [on_error=fail | ignore]",
                "name store=file:folder | redis://... [on_error=fail | ignore]",
                "name store=rediss://... [ssl_trusted_certificate=file] [ssl_certificate=file ssl_certificate_key=file] [on_error=fail | ignore]",
            ],
            default: None,
            contexts: Contexts::HTTP,
            arity: Arity::Words(1, 6),
            block: false,
            doc: "Declares sessions: a name, and where they are kept. In memory (`app:8m`) they outlive a reload, and the one that was silent \
                  longest leaves when the zone is full; a megabyte holds about 3,000 small ones. `store=file:FOLDER` keeps each in a file, which outlives a \
                  restart; `store=redis://[user:password@]host[:port][/database]` shares them between machines, and `rediss://` does so over TLS: \
                  the store's certificate must come from an authority that the system trusts, or from one in `ssl_trusted_certificate`, and bear its name. A \
                  request waits at most 250 ms for a store, without a thread. `on_error` says what follows if it fails: 503 (`fail`, the default), or the request goes on \
                  without a session (`ignore`); what `session_require` guards stays closed.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::Yes,
        set: zone::declare,
    },
    Directive {
        manual: Manual {
            name: "session",
            syntax: &["name", "off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Turns the sessions of a `session_zone` on. A session begins when something is put into it, so who only looks gets no cookie. \
                  Scripts and upstreams read it (`SESSION_NAME`, `HTTP_SESSION`) and change it by fields of their answer: `X-Session-Set: \
                  user=ann&theme=dark`, `X-Session-Unset: theme`, `X-Session-Rotate: on`, `X-Session-Destroy: on`. Clients never see these \
                  fields, and those that a client sends are dropped.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: setters::turn_on,
    },
    Directive {
        manual: Manual {
            name: "session_key",
            syntax: &["file"],
            default: None,
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "A file of keys that sign the cookies of sessions: one on each line, 32 letters at least; lines with `#` are remarks. The first \
                  signs, all verify, so that a new one in front of the old logs nobody out. Without it the key is random and kept where the \
                  sessions are; sessions in Redis need the file, the same on every machine. The path is relative to the conf file.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: setters::read_keys,
    },
    Directive {
        manual: Manual {
            name: "session_cookie",
            syntax: &["name [attribute ...]"],
            default: Some("session Path=/ Secure=auto SameSite=Lax"),
            contexts: Contexts::SCOPES,
            arity: Arity::AtLeast(1),
            block: false,
            doc: "The cookie that names a session: `Path=`, `Domain=`, `Max-Age=`, `Secure=on|off|auto` (`auto`: if the request came over TLS; \
                  write `on` behind a balancer that ends TLS), `SameSite=Lax|Strict`, `Partitioned`. It is always `HttpOnly`. \
                  With `Secure`, `Path=/` and no `Domain` its name begins with `__Host-`, so that nobody but this very host can set it.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: setters::set_cookie,
    },
    Directive {
        manual: Manual {
            name: "session_timeout",
            syntax: &["idle [absolute]"],
            default: Some("30m 12h"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 2),
            block: false,
            doc: "How long a session lives without a request, and how long at most. It holds for sessions that begin under it.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: setters::set_timeout,
    },
    Directive {
        manual: Manual {
            name: "session_require",
            syntax: &["on | off", "name ... [login=URL]"],
            default: Some("off"),
            contexts: PLACES,
            arity: Arity::AtLeast(1),
            block: false,
            doc: "Lets nobody in but who has a session (`on`), or one with these values in it, none of them empty. Others get 401, or are sent \
                  to the login page: 302, and 303 after another method than GET. The page must not itself stand under this line.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: setters::require,
    },
    Directive {
        manual: Manual {
            name: "session_set",
            syntax: &["name value [if=condition]"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(2, 3),
            block: false,
            doc: "Puts a value into the session when a request comes here, and begins a session if there is none. It happens before `return`, \
                  and not before `allow`, `auth_basic` and `session_require` have let the request in; what `set` gives a variable in the same location \
                  comes too late for the value. With `if=` it happens when the condition is neither empty nor `0`. A session holds 64 values of 4 KiB, 16 KiB \
                  in all; more is 500.",
        },
        repeat: Repeat::List { key: ACTIONS, clear: clear_actions },
        inherit: Inherit::Yes,
        set: setters::add_set,
    },
    Directive {
        manual: Manual {
            name: "session_incr",
            syntax: &["name [number] [if=condition]"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(1, 3),
            block: false,
            doc: "Adds to a value of the session, 1 unless a number says otherwise; what is no number counts as 0. Requests that come at once \
                  lose nothing, in any store. Otherwise it is as `session_set`.",
        },
        repeat: Repeat::List { key: ACTIONS, clear: clear_actions },
        inherit: Inherit::Yes,
        set: setters::add_incr,
    },
    Directive {
        manual: Manual {
            name: "session_unset",
            syntax: &["name [if=condition]"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(1, 2),
            block: false,
            doc: "Takes a value out of the session. Otherwise it is as `session_set`, but begins none.",
        },
        repeat: Repeat::List { key: ACTIONS, clear: clear_actions },
        inherit: Inherit::Yes,
        set: setters::add_unset,
    },
    Directive {
        manual: Manual {
            name: "session_rotate",
            syntax: &["on | off | age [grace=time]"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 2),
            block: false,
            doc: "Gives the session another id, after a login above all, so that an id which somebody knew before is worth nothing: at each request \
                  (`on`), or when it is older than a time. The old id is good for `grace` more, 10 seconds, for requests that are under way.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: setters::set_rotation,
    },
    Directive {
        manual: Manual {
            name: "session_destroy",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: PLACES,
            arity: Arity::Flag,
            block: false,
            doc: "Ends the session of a request that comes here, in the store too, and takes the cookie away. Locations inside do not inherit it.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::No(|conf| conf.destroy = false),
        set: |conf, args| {
            conf.destroy = args.flag(0)?;
            Ok(())
        },
    },
];

fn clear_actions(conf: &mut Conf) {
    conf.actions = Default::default();
}

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[
    Variable {
        name: "session_",
        family: true,
        doc: "The value NAME of the session.",
        get: |x, _, name| there(x)?.value(name.as_bytes()).map(|value| Cow::Borrowed(value.as_ref())),
    },
    one(
        "session_state",
        "What became of the session that the request names: `none`, `forged`, `repeated`, `expired`, `live`, `grace` (its id was replaced a moment \
         ago), `new`, `destroyed` or `failed` (the store does not answer); nothing where sessions are off.",
        |x, _, _| Some(Cow::Borrowed(x.session.as_ref()?.state.name().as_bytes())),
    ),
    one(
        "session_csrf",
        "A random text of the session, for a hidden field in its forms: a page of another site cannot know it.",
        |x, _, _| Some(Cow::Borrowed(there(x)?.csrf.as_ref())),
    ),
    one("session_ref", "By what a log may name the session: eight digits that open nothing.", |x, _, _| {
        Some(Cow::Borrowed(there(x)?.reference.as_bytes()))
    }),
];

const fn one(
    name: &'static str,
    doc: &'static str,
    get: for<'a> fn(&'a Exchange, &'a Conf, &str) -> Value<'a>,
) -> Variable<Conf> {
    Variable { name, family: false, doc, get }
}

/// The session, if there is one to read.
fn there(x: &Exchange) -> Option<&Session> {
    x.session.as_deref().filter(|session| State::is_there(session.state))
}
