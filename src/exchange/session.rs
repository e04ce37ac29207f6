//! The session of a request, as variables and programs see it. What keeps sessions, and how a client proves that one is
//! its own, must not be known here.

use std::any::Any;

use bytes::Bytes;

use super::Exchange;
use crate::http::escape;

/// What became of the session that a request names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// The request names none.
    #[default]
    None,
    /// It names one that was never given out here.
    Forged,
    /// It names several.
    Repeated,
    /// It was given out, and is over.
    Expired,
    /// It is there.
    Live,
    /// It is there; its id was replaced a moment ago.
    Grace,
    /// This request began it.
    New,
    /// This request ended it.
    Destroyed,
    /// The store does not answer.
    Failed,
}

impl State {
    /// The word of `$session_state`.
    pub fn name(self) -> &'static str {
        match self {
            State::None => "none",
            State::Forged => "forged",
            State::Repeated => "repeated",
            State::Expired => "expired",
            State::Live => "live",
            State::Grace => "grace",
            State::New => "new",
            State::Destroyed => "destroyed",
            State::Failed => "failed",
        }
    }

    /// Whether there is a session to read.
    pub fn is_there(self) -> bool {
        matches!(self, State::Live | State::Grace | State::New)
    }
}

/// A session.
#[derive(Default)]
pub struct Session {
    /// What became of it.
    pub state: State,
    /// Its values, in the order they came.
    pub values: Vec<(Bytes, Bytes)>,
    /// What a form of a page of this session carries.
    pub csrf: Bytes,
    /// By what logs may name it; it opens nothing.
    pub reference: String,
    /// What its keeper needs to know.
    pub kept: Option<Box<dyn Any + Send>>,
}

impl Session {
    /// One value.
    pub fn value(&self, name: &[u8]) -> Option<&Bytes> {
        self.values.iter().find(|(known, _)| known.as_ref() == name).map(|(_, value)| value)
    }
}

/// Names and values, as programs are told them.
pub type Told = Vec<(Vec<u8>, Vec<u8>)>;

/// Fields by which a program behind the server changes the session; a client's own never reach one.
pub const FIELDS: &[u8] = b"x-session-";

impl Exchange {
    /// What programs are told of the session: its values as `SESSION_NAME`, what it is, and all values as one form
    /// (`HTTP_SESSION`). Nothing where sessions are off.
    pub fn session_variables(&self) -> Told {
        let Some(session) = &self.session else { return Told::new() };
        let mut told = vec![(b"SESSION_STATE".to_vec(), session.state.name().into())];
        if !session.state.is_there() {
            return told;
        }
        told.push((b"SESSION_REF".to_vec(), session.reference.clone().into_bytes()));
        told.push((b"SESSION_CSRF".to_vec(), session.csrf.to_vec()));
        let mut form = Vec::new();
        for (name, value) in &session.values {
            told.push(([b"SESSION_", name.to_ascii_uppercase().as_slice()].concat(), value.to_vec()));
            if !form.is_empty() {
                form.push(b'&');
            }
            form.extend_from_slice(name);
            form.push(b'=');
            form.extend_from_slice(escape::component(value).as_bytes());
        }
        told.push((b"HTTP_SESSION".to_vec(), form));
        told
    }
}
