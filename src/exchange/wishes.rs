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
    /// The Accept-Ranges of the program that asked; `none` holds for whatever answers.
    pub accept_ranges: Option<Bytes>,
    /// The charset that the answer is to be sent in; `off` for none.
    pub charset: Option<Bytes>,
}

/// Gives an answer that came from elsewhere what the program asked for.
pub fn grant(x: &Exchange, response: &mut Response) {
    let Some(wishes) = &x.wishes else { return };
    // A type of its own stays; another server may have named none.
    if let (Some(kind), ContentType::ByExtension | ContentType::None) = (&wishes.content_type, &response.content_type) {
        response.content_type = ContentType::Is(kind.clone());
    }
    response.fields.splice(0..0, wishes.fields.iter().cloned());
    if let Some(ranges) = &wishes.accept_ranges {
        let name = "Accept-Ranges";
        if ranges.eq_ignore_ascii_case(b"none") {
            response.ranges = false;
            response.remove(&[name]);
        }
        if !response.ranges && response.field(name).is_none() {
            response.push(name, ranges.clone());
        }
    }
}
