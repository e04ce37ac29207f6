//! What a program behind the server asked for beyond the answer it wrote: kept in the request, so that it holds for whatever
//! answers in the end. Knows neither who asked nor who grants it.

use bytes::Bytes;

use super::Exchange;
use crate::http::response::{ContentType, Response};

/// The wishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The type of the answer that was asked for elsewhere (X-Accel-Redirect).
    pub content_type: Option<Bytes>,
    /// Fields that go along with it.
    pub fields: Vec<(Bytes, Bytes)>,
    /// Whether it must have no ranges.
    pub refuses_ranges: bool,
    /// The charset that the answer is to be sent in; `off` for none.
    pub charset: Option<Bytes>,
}

/// Gives an answer that came from elsewhere what the program asked for.
pub fn grant(x: &Exchange, response: &mut Response) {
    let Some(wishes) = &x.wishes else { return };
    if let (Some(kind), ContentType::ByExtension) = (&wishes.content_type, &response.content_type) {
        response.content_type = ContentType::Is(kind.clone());
    }
    response.ranges &= !wishes.refuses_ranges;
    response.fields.splice(0..0, wishes.fields.iter().cloned());
}
