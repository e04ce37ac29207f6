//! `error_page`, `recursive_error_pages`, `error_template`, `debug_clients`: what a client sees when a request fails. Which
//! failures there are is others' business; here each becomes a redirect or a page.

mod rows;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use ipnet::IpNet;

use crate::conf::source::Span;
use crate::conf::value::{Piece, Text};
use crate::exchange::error::HttpError;
use crate::exchange::step::Target;
use crate::exchange::variables::{Value, Variable};
use crate::exchange::{Exchange, Failure, reasons};
use crate::http::head::Known;
use crate::http::method::Method;
use crate::http::response::{Body, ContentType, Response};
use crate::http::{escape, negotiate, status};
pub use rows::DIRECTIVES;

/// What becomes of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewStatus {
    /// The error's own stays.
    Keep,
    /// The page's answer decides (`=`).
    OfPage,
    /// This one (`=200`).
    Is(u16),
}

/// One status with its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The error's status.
    pub status: u16,
    /// The answer's status.
    pub new_status: NewStatus,
    /// A path, a named location, or a URL.
    pub target: Text,
    /// Where the line stands.
    pub span: Span,
}

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// The pages, the first of a status counts.
    pub pages: Vec<Page>,
    /// Whether errors of error pages have pages too.
    pub recursive: bool,
    /// The page for all statuses that have none of their own.
    pub template: Option<Arc<Text>>,
    /// Clients that are told why a request failed.
    pub debug: Vec<Debugger>,
}

/// Who is told why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Debugger {
    /// Who comes over a Unix socket.
    Unix,
    /// The addresses of a network.
    Net(IpNet),
}

/// How a failure is answered.
#[derive(Debug)]
pub enum Answer {
    /// By the answer of another place.
    Goto(Target),
    /// By the built-in page of this failure.
    Page(HttpError),
}

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[
    Variable {
        name: "error_reason",
        family: false,
        doc: "Why the request failed: a stable code (docs/reasons.md) and the line of the conf that decided it, if one did, such as `403/denied site.conf:31`; empty for a request that did not fail.",
        get: error_reason,
    },
    Variable {
        name: "status_text",
        family: false,
        doc: "The words that belong to the status, such as `Not Found`.",
        get: status_text,
    },
];

/// After these the connection closes, as in nginx: the request is not trusted, or not read to its end.
const CLOSING: [u16; 9] = [400, 413, 414, 494, 495, 496, 497, 500, 501];

/// Why the request failed, for a client that may know.
fn told(x: &Exchange, conf: &Conf) -> Option<String> {
    x.failure.as_ref().filter(|_| conf.tells(x.client.peer))?.why()
}

impl Conf {
    /// Whether a client may know why it is refused.
    pub fn tells(&self, peer: Option<SocketAddr>) -> bool {
        let address = peer.map(|peer| peer.ip().to_canonical());
        let is_it = |debugger: &Debugger| match (debugger, &address) {
            (Debugger::Unix, None) => true,
            (Debugger::Net(net), Some(address)) => net.contains(address),
            _ => false,
        };
        self.debug.iter().any(is_it)
    }
}

/// Tells those who may know why the request failed.
pub fn tell(x: &Exchange, conf: &Conf, response: &mut Response) {
    if let Some(why) = told(x, conf) {
        response.push("X-Longshore-Why", why);
    }
}

/// Decides what answers a failure, and notes it in the exchange with the line of the conf that decided it.
pub fn answer(x: &mut Exchange, conf: &Conf, error: &HttpError, place: Option<String>) -> Answer {
    let is_last = x.failure.as_ref().is_some_and(|failure| failure.is_last);
    note(x, error, place);
    if let Some(failure) = &mut x.failure {
        failure.is_last = is_last || !conf.recursive;
    }
    let page = conf.pages.iter().find(|page| page.status == error.status).filter(|_| !is_last);
    let (Some(page), Some(failure)) = (page, &mut x.failure) else { return Answer::Page(error.clone()) };
    let (status, new_status, span) = (page.status, page.new_status, page.span);
    match new_status {
        NewStatus::Keep => {}
        NewStatus::OfPage => failure.own_status = true,
        NewStatus::Is(status) => failure.status = status,
    }
    let target = x.eval(&page.target).into_owned();
    x.tell("error_page", Some(span), || {
        let new = match new_status {
            NewStatus::Keep => String::new(),
            NewStatus::OfPage => ", and the page's own status counts".into(),
            NewStatus::Is(status) => format!(", and the status becomes {status}"),
        };
        format!("stands for {status}: `{}`{new}", escape::error_log(&target))
    });
    match target.first() {
        Some(b'/') => {
            x.course.as_get = !x.is_head();
            x.allow_ups(0, &page.target);
            Answer::Goto(split(target))
        }
        Some(b'@') => Answer::Goto(Target::Named(target)),
        _ => {
            let url = x.as_field(|| x.eval(&page.target).into_owned());
            Answer::Page(redirect(x, page.new_status, url))
        }
    }
}

/// Whether a page stands for a status.
pub fn names(conf: &Conf, status: u16) -> bool {
    conf.pages.iter().any(|page| page.status == status)
}

/// Notes a failure in the exchange. What an earlier one said of the connection stays.
pub fn note(x: &mut Exchange, error: &HttpError, place: Option<String>) {
    debug_assert!(
        reasons::of(error.reason).is_some(),
        "the reason `{}` is in no row of exchange/reasons.rs",
        error.reason
    );
    let close = x.failure.as_ref().is_some_and(|failure| failure.close);
    let fields = with_challenge(x, &error.fields);
    x.failure = Some(Box::new(Failure {
        cause: error.status,
        status: status::on_wire(error.status),
        own_status: false,
        reason: error.reason,
        place,
        fields,
        close: close || error.close || CLOSING.contains(&error.status),
        is_last: true,
        is_led: false,
    }));
}

fn split(target: Vec<u8>) -> Target {
    match target.iter().position(|&b| b == b'?') {
        None => Target::Uri { path: target, args: None },
        Some(at) => Target::Uri { path: target[..at].to_vec(), args: Some(target[at + 1..].to_vec()) },
    }
}

/// An error page at a URL: the failure becomes a redirect.
fn redirect(x: &mut Exchange, new_status: NewStatus, url: Vec<u8>) -> HttpError {
    let status = match new_status {
        NewStatus::Is(status @ (301 | 302 | 303 | 307 | 308)) => status,
        _ => 302,
    };
    let error = HttpError::redirect(status, url);
    let fields = with_challenge(x, &error.fields);
    if let Some(failure) = &mut x.failure {
        failure.status = status;
        failure.own_status = false;
        failure.fields = fields;
    }
    error
}

/// The fields of a failure, and the question for a password that the failure before it asked: as in nginx it stays, whatever
/// page answers it (RFC 9110 section 11.6.1 allows it beside any status).
fn with_challenge(x: &Exchange, fields: &[(Bytes, Bytes)]) -> Vec<(Bytes, Bytes)> {
    let mut fields = fields.to_vec();
    let before = x.failure.iter().flat_map(|failure| &failure.fields).find(|(name, _)| name == CHALLENGE);
    if let Some(challenge) = before.filter(|_| fields.iter().all(|(name, _)| name != CHALLENGE)) {
        fields.push(challenge.clone());
    }
    fields
}

/// The page of a failure that nothing else answers. `server_line` stands at its foot. Where uploads are taken, programs get what
/// they read, with or without a template.
pub fn built_in(x: &Exchange, conf: &Conf, error: &HttpError, server_line: &str, takes_uploads: bool) -> Response {
    let mut response = Response::new(status::on_wire(error.status));
    let accept = x.head.known(Known::Accept);
    let is_negotiated = error.status >= 400 && (takes_uploads || conf.template.is_some());
    let is_upload = is_negotiated && takes_uploads && x.head.method == Method::Post;
    let (kind, mut page) = match &conf.template {
        _ if is_negotiated && negotiate::prefers_json(accept) => ("application/json", json(x, error.status)),
        _ if is_upload && !negotiate::names_html(accept) => ("text/plain", line(x, error.status)),
        Some(template) if error.status >= 400 => ("text/html", fill(x, template)),
        _ => ("text/html", status::error_page(error.status, server_line)),
    };
    if let (Some(why), Some(at)) = (told(x, conf), page.windows(4).position(|four| four == b"<hr>")) {
        // The place holds a file's name.
        let line = [b"<center>", escape::html(why.as_bytes()).as_ref(), b"</center>\r\n"].concat();
        page.splice(at..at, line);
    }
    response.content_type = ContentType::None;
    if !page.is_empty() {
        response.content_type = ContentType::Is(Bytes::from_static(kind.as_bytes()));
        response.body = Body::bytes(page);
    }
    if is_negotiated {
        // RFC 9110 section 12.5.5: the page depends on what the client prefers.
        response.push("Vary", "Accept");
    }
    response
}

/// What is filled in may come from the client: it is escaped, so that it stays text.
fn fill(x: &Exchange, template: &Text) -> Vec<u8> {
    let mut page = Vec::new();
    for piece in &template.pieces {
        match (piece, x.piece(piece)) {
            (Piece::Literal(text), _) => page.extend_from_slice(text),
            // In a template a value may stand between single quotes too.
            (_, Some(value)) => escape::html(&value).iter().for_each(|&byte| match byte {
                b'\'' => page.extend_from_slice(b"&#39;"),
                _ => page.push(byte),
            }),
            (_, None) => {}
        }
    }
    page
}

fn json(x: &Exchange, code: u16) -> Vec<u8> {
    let reason = reason(x);
    let words = status::title(code).unwrap_or_default();
    let (code, id) = (status::on_wire(code), x.request_id());
    format!("{{\"status\":{code},\"error\":\"{words}\",\"reason\":\"{reason}\",\"request_id\":\"{id}\"}}\n")
        .into_bytes()
}

/// One line, for a client that names no type, such as `curl`.
fn line(x: &Exchange, code: u16) -> Vec<u8> {
    format!("{} ({})\n", status::reason(status::on_wire(code)), reason(x)).into_bytes()
}

/// The code of the failure, without the place in the conf.
fn reason(x: &Exchange) -> String {
    let reason = x.failure.as_deref().and_then(Failure::why).unwrap_or_default();
    reason.split(' ').next().unwrap_or_default().to_string()
}

/// What a 401 asks.
const CHALLENGE: &[u8] = b"WWW-Authenticate";

/// Gives an answer the status and the fields of the failure that it answers.
pub fn keep_status(x: &mut Exchange, response: &mut Response) {
    let Some(failure) = &x.failure else { return };
    if !failure.own_status {
        response.status = failure.status;
    }
    response.close |= failure.close;
    for (name, value) in &failure.fields {
        match name.as_ref() {
            b"Location" => response.location = Some(value.clone()),
            CHALLENGE => response.fields.push((name.clone(), value.clone())),
            // They explain the error's status (Allow a 405), so they do not stand beside another.
            _ if response.status == status::on_wire(failure.cause) => {
                response.fields.push((name.clone(), value.clone()))
            }
            _ => {}
        }
    }
    if !matches!(response.status, 200 | 204 | 206 | 304) {
        // An error's page has no date of its own: a later success would look unchanged.
        response.last_modified = None;
    }
}

fn error_reason<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    Some(x.failure.as_ref()?.why()?.into_bytes().into())
}

fn status_text<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    let status = x.status();
    Some(status::title(status).unwrap_or_else(|| status::reason(status)).as_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_split_at_the_question_mark() {
        for (target, path, args) in [("/a", "/a", None), ("/a?", "/a", Some("")), ("/a?b?c", "/a", Some("b?c"))] {
            let args = args.map(|args| args.as_bytes().to_vec());
            assert_eq!(split(target.into()), Target::Uri { path: path.into(), args });
        }
    }
}
