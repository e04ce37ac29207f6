//! Another request of the same client, which a request asks for before it does what that one would do: whether it would be let
//! in, and whether it would come to the very file that is meant. Knows neither who asks nor how the answer is found.

use super::Exchange;
use super::error::HttpError;
use super::step::Wait;
use crate::http::method::Method;

/// Another request of this client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its method.
    pub method: Method,
    /// Its path, decoded.
    pub path: Vec<u8>,
    /// Its query without `?`.
    pub args: Option<Vec<u8>>,
    /// The file that it has to come to; none where it is enough that nothing refuses it.
    pub place: Option<Vec<u8>>,
    /// How large that is, where it would be stored.
    pub size: Option<u64>,
    /// Whether the client named the path itself: then it gets the other request's own refusal.
    pub is_named: bool,
}

impl Question {
    /// A request for a path that has to come to this file.
    pub fn of(method: Method, path: &[u8], place: &[u8]) -> Question {
        Question { place: Some(place.to_vec()), ..Question::unrefused(method, path) }
    }

    /// A request for a path that must not be refused, wherever it comes to.
    pub fn unrefused(method: Method, path: &[u8]) -> Question {
        Question { method, path: path.to_vec(), args: None, place: None, size: None, is_named: false }
    }
}

/// Asks; it says no by an error, and may have to wait: then the same question is asked again.
pub type Admit<'a> = &'a mut dyn FnMut(&Exchange, &Question) -> Result<Option<Wait>, HttpError>;
