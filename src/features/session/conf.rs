//! The settings of sessions: what the directives leave behind for the steps.

use std::sync::Arc;

use bytes::Bytes;

use super::store::Store;
use super::ticket::Keys;
use crate::conf::value::Text;
use crate::conf::zone::Zone;
use crate::http::set_cookie::{Attributes, SameSite, Secure};

/// A zone as its line declares it.
#[derive(Debug)]
pub struct Declared {
    /// Its name, which signatures hold for.
    pub name: String,
    /// What becomes of a request when the store fails.
    pub on_error: OnError,
    /// What is in it.
    pub contents: Arc<Contents>,
}

/// What a reload keeps.
#[derive(Debug)]
pub struct Contents {
    /// The store.
    pub store: Store,
}

/// What becomes of a request when the store fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// It gets 503.
    #[default]
    Fail,
    /// It goes on without a session.
    Ignore,
}

/// What the conf does to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `session_set`.
    Set(Bytes, Text),
    /// `session_incr`.
    Add(Bytes, i64),
    /// `session_unset`.
    Unset(Bytes),
}

impl Action {
    fn directive(&self) -> &'static str {
        match self {
            Action::Set(..) => "session_set",
            Action::Add(..) => "session_incr",
            Action::Unset(..) => "session_unset",
        }
    }
}

/// One line of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// What is done.
    pub action: Action,
    /// When.
    pub condition: Option<Text>,
}

/// `session_require`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Require {
    /// Values that the session must have.
    pub names: Vec<Bytes>,
    /// Where others are sent; without it they get 401.
    pub login: Option<Text>,
}

/// The cookie that names a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    name: Bytes,
    /// The name where browsers keep it for this very host.
    host: Option<Bytes>,
    /// What follows its value.
    pub attributes: Attributes,
}

impl Cookie {
    /// A cookie of this name.
    pub fn new(name: Bytes, attributes: Attributes) -> Cookie {
        let for_one_host = attributes.domain.is_none() && attributes.path.as_deref() == Some(b"/");
        let host = (for_one_host && !name.starts_with(b"__")).then(|| [b"__Host-", name.as_ref()].concat().into());
        Cookie { name, host, attributes }
    }

    /// The name over this scheme. A cookie with `__Host-` can be set by nobody but this very host over TLS.
    pub fn name(&self, https: bool) -> &[u8] {
        match &self.host {
            Some(host) if self.attributes.secure.holds(https) => host,
            _ => &self.name,
        }
    }
}

impl Default for Cookie {
    fn default() -> Self {
        Cookie::new(Bytes::from_static(b"session"), attributes())
    }
}

/// The attributes of a session's cookie where the conf says nothing.
pub fn attributes() -> Attributes {
    Attributes {
        path: Some(Bytes::from_static(b"/")),
        secure: Secure::Auto,
        http_only: true,
        same_site: Some(SameSite::Lax),
        ..Attributes::default()
    }
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// Where the sessions are; none where there are none.
    pub zone: Option<Zone<Declared>>,
    /// What signs their cookies; none: what the store brings along.
    pub keys: Option<Keys>,
    /// Their cookie.
    pub cookie: Arc<Cookie>,
    /// How long one lives without a request, in milliseconds.
    pub idle: u64,
    /// How long one lives at most.
    pub absolute: u64,
    /// What is asked for.
    pub require: Option<Arc<Require>>,
    /// What is done.
    pub actions: Arc<Vec<Ordered>>,
    /// Whether the session ends here.
    pub destroy: bool,
    /// The age in milliseconds from which on it gets another id here.
    pub rotate: Option<u64>,
    /// How long the old id is good then.
    pub grace: u64,
}

impl Default for Conf {
    fn default() -> Self {
        Conf {
            zone: None,
            keys: None,
            cookie: Arc::default(),
            idle: 30 * 60_000,
            absolute: 12 * 3_600_000,
            require: None,
            actions: Arc::default(),
            destroy: false,
            rotate: None,
            grace: 10_000,
        }
    }
}

impl Conf {
    /// Whether something is asked of a session here, or done to it: then who may come in is asked before.
    pub fn acts(&self) -> bool {
        let does = self.require.is_some() || !self.actions.is_empty() || self.destroy || self.rotate.is_some();
        self.zone.is_some() && does
    }

    /// What sessions lack here: the directive that needs it, a message, and what to write.
    pub fn lack(&self) -> Option<(&'static str, String, &'static str)> {
        let needs = [
            (self.require.is_some(), "session_require"),
            (self.destroy, "session_destroy"),
            (
                !self.actions.is_empty(),
                self.actions.first().map_or("session_set", |ordered| ordered.action.directive()),
            ),
        ];
        let Some(zone) = &self.zone else {
            let (_, directive) = needs.into_iter().find(|(needs, _)| *needs)?;
            let message = format!("`{directive}` stands where there are no sessions");
            return Some((directive, message, "write `session_zone app:8m;` in http, and `session app;` here"));
        };
        // Each machine would refuse the cookies of the others.
        let declared = zone.get()?;
        let shared = matches!(declared.contents.store, Store::Redis(_));
        (shared && self.keys.is_none()).then(|| {
            let message = format!(
                "the sessions `{}` are shared by machines, and no `session_key` signs their cookies",
                declared.name
            );
            ("session", message, "write `session_key FILE;`, with the same file on every machine")
        })
    }
}
