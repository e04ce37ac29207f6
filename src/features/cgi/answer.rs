//! From what a script has written to the answer: a document, a redirect, or another URI of this server (RFC 3875
//! section 6.2). Starts and ends nothing.

use bytes::Bytes;

use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Step, Target};
use crate::exchange::{Exchange, Received};
use crate::gateway::head::OutputHead;
use crate::http::response::{Body, ContentType, Foreign, Response};
use crate::http::target;

/// What to do with a body whose length the head named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// As long as it should be, or nobody said.
    Right,
    /// Bytes are missing.
    Short,
    /// There are more than were named.
    Long,
}

/// Compares a body with the length that its head names.
pub fn fit(x: &Exchange, head: &OutputHead, len: u64) -> Fit {
    match head.length {
        // An answer to HEAD names the length of the body that it leaves out.
        Some(_) if x.is_head() && len == 0 => Fit::Right,
        Some(_) if crate::http::status::is_bodiless(status(head)) => Fit::Right,
        Some(named) if named > len => Fit::Short,
        Some(named) if named < len => Fit::Long,
        _ => Fit::Right,
    }
}

/// The status: 200, or 302 beside a Location, unless the head names another.
pub fn status(head: &OutputHead) -> u16 {
    head.status.unwrap_or(if head.location.is_some() { 302 } else { 200 })
}

/// RFC 3875 section 6.2.2: a path of this server and nothing else. With further fields (a cookie, say) it is a redirect
/// for the client, since they would be lost.
fn is_local_redirect(head: &OutputHead) -> bool {
    let path = head.location.as_deref().unwrap_or_default();
    path.starts_with(b"/") && !path.starts_with(b"//") && head.status.is_none() && head.fields.is_empty()
}

/// Whether the answer is another URI of this server, so that what the script wrote behind its head is for nobody.
pub fn leads_elsewhere(head: &OutputHead) -> bool {
    head.accel.redirect.is_some() || is_local_redirect(head)
}

/// Leads the request to another URI of this server. It goes on as GET, without its body. `merges`: whether several slashes of a
/// client's path count as one.
pub fn redirect(x: &mut Exchange, head: &OutputHead, merges: bool) -> Result<Step, HttpError> {
    let accept_ranges = head.refuses_ranges.then(|| Bytes::from_static(b"none"));
    if let Some(step) = head.accel.lead(x, head.content_type.as_ref(), accept_ranges.as_ref(), &head.fields)? {
        return Ok(step);
    }
    let location = head.location.as_deref().unwrap_or_default();
    let mut path = Vec::new();
    let parsed = target::parse(location, merges, &mut path).map_err(|error| {
        let text = format!("script redirects to a path that is none: {}", error.log());
        HttpError::new(502, "cgi-bad-head").log(Level::Error, text)
    })?;
    x.course.as_get = true;
    x.received = Received::Nothing;
    Ok(Step::Goto(Target::AsAsked { path, args: parsed.args.map(|range| location[range].to_vec()) }))
}

/// The answer with this body.
pub fn document(x: &Exchange, head: OutputHead, body: Body, body_only: bool) -> Response {
    let mut response = Response::new(status(&head));
    response.content_type = match head.content_type {
        Some(value) => ContentType::Is(value),
        None if body_only => ContentType::ByExtension,
        None => ContentType::None,
    };
    // A body that would be another the next time has no ranges: only what a validator vouches for.
    let is_known = body.known_len().is_some() && (head.etag.is_some() || head.last_modified.is_some());
    response.ranges = is_known && response.status == 200 && !head.refuses_ranges;
    response.etag = head.etag;
    response.last_modified = head.last_modified;
    response.fields = head.fields;
    if let Some(location) = head.location {
        // As the script wrote it: whether it is absolute is the script's own decision.
        response.fields.insert(0, (Bytes::from_static(b"Location"), location));
    }
    if let Some(reason) = head.reason {
        response.foreign =
            Some(Box::new(Foreign { status: response.status, reason: Some(reason), ..Foreign::default() }));
    }
    response.body = body;
    if x.is_head() && response.body.is_empty() {
        // It is not there, and but for the head nobody may know how long it would be.
        response.length = head.length;
        if head.length.is_none() {
            response.body = Body::unknown();
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::head::parse;

    #[test]
    fn where_a_location_leads() {
        for (text, local, code) in [
            ("Location: /a?b\n\n", true, 302),
            ("Location: /a\nContent-Type: text/html\n\n", true, 302),
            ("Location: //h/a\n\n", false, 302),
            ("Location: http://h/a\n\n", false, 302),
            ("Location: /a\nStatus: 303 See Other\n\n", false, 303),
            ("Location: /a\nSet-Cookie: a=b\n\n", false, 302),
            ("Content-Type: text/html\n\n", false, 200),
            ("Status: 404\n\n", false, 404),
        ] {
            let head = parse(text.as_bytes()).unwrap();
            assert_eq!((is_local_redirect(&head), status(&head)), (local, code), "{text:?}");
        }
    }
}
