//! Filters that more than one feature takes part in, and what the rows of the table need to be one line each. Knows not their order.

use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Wait;
use crate::features::*;
use crate::http::response::Response;
use crate::settings::Scope;

/// A filter that never waits has done its part.
pub(super) fn done(_: ()) -> Result<Option<Wait>, HttpError> {
    Ok(None)
}

/// A packed response is unpacked for a client that may not have it so.
pub(super) fn unpack(x: &mut Exchange, scope: &Scope, response: &mut Response) -> Result<Option<Wait>, HttpError> {
    gunzip::filter(x, response, |x, response| gzip::accepts(x) && gzip::is_allowed(x, &scope.gzip, response));
    Ok(None)
}

/// Whatever depends on Accept-Encoding says so (RFC 9110 section 12.5.5), if the conf wants it.
pub(super) fn vary(_: &mut Exchange, _: &Scope, response: &mut Response) -> Result<Option<Wait>, HttpError> {
    if response.varies {
        response.push("Vary", "Accept-Encoding");
    }
    Ok(None)
}

/// A value that would break the head: a line end from a decoded path, say.
pub(super) fn unsafe_field() -> HttpError {
    let text = "a line break or a zero byte stands in a response field's value";
    HttpError::new(500, "unsafe-field").log(Level::Error, text)
}
